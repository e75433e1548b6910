//! To another local port of the same segment.

use super::classify::Frame;
use super::{strip, too_big};
use crate::abi::{Charge, Direction};
use crate::packet::Packet;
use crate::path::flow::wire_len;
use crate::path::{local, police};
use crate::tables::Tables;
use crate::verdict::{DropReason, Verdict};

/// Switches a frame locally.
#[inline(always)]
pub fn run<P: Packet, T: Tables>(
    packet: &mut P,
    tables: &T,
    frame: &Frame,
    index: u32,
) -> Result<Verdict, DropReason> {
    let port = local::port(tables, index)?;
    let max_frame = port.max_frame;
    if !packet.reaches(port.egress) || too_big::is_so(packet, max_frame) {
        return Ok(Verdict::Defer);
    }
    strip::run(packet, frame)?;
    let wire_len = wire_len(packet);
    if wire_len > max_frame {
        return Err(DropReason::TooBig);
    }
    let charge = police::charge(packet, wire_len);
    let Charge { packets, bytes, .. } = charge;
    police::all(packet, tables, frame.sender(), charge, true)?;
    let verdict = local::deliver(packet, tables, index, port, (packets, bytes))?;
    tables.count_port(frame.port, Direction::Rx, packets, bytes);
    Ok(verdict)
}

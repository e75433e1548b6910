//! To one local port.

use super::admit::Frame;
use super::decap;
use crate::abi::{Charge, Direction};
use crate::packet::Packet;
use crate::path::flow::wire_len;
use crate::path::{local, police};
use crate::tables::Tables;
use crate::verdict::{DropReason, Verdict};

/// Decapsulates a frame and delivers it.
#[inline(always)]
pub fn run<P: Packet, T: Tables>(
    packet: &mut P,
    tables: &T,
    frame: &Frame,
    index: u32,
) -> Result<Verdict, DropReason> {
    let port = local::port(tables, index)?;
    if !packet.reaches(port.egress) {
        return Ok(Verdict::Defer);
    }
    decap::run(packet, frame)?;
    let wire_len = wire_len(packet);
    if wire_len > port.max_frame {
        return Err(DropReason::TooBig);
    }
    let charge = police::charge(packet, wire_len);
    let Charge { packets, bytes, .. } = charge;
    police::all(packet, tables, frame.sender(), charge, true)?;
    let verdict = local::deliver(packet, tables, index, port, (packets, bytes))?;
    tables.count_peer(frame.peer, Direction::Rx, packets, bytes);
    Ok(verdict)
}

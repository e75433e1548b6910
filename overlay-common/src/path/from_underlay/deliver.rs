//! To one local port, or to the segment's router.

use super::admit::Frame;
use super::decap;
use crate::abi::{Charge, Direction, Target};
use crate::packet::Packet;
use crate::path::flow::{counted, wire_len};
use crate::path::{local, police, router};
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
    let port = match local::port(tables, index) {
        Ok(port) => port,
        Err(why) => return to_router::<P, T>(tables, frame, index, why),
    };
    if !packet.reaches(port.egress) {
        return Ok(Verdict::Defer);
    }
    decap::run(packet, frame)?;
    let wire_len = wire_len(packet);
    if wire_len > port.max_frame {
        return Err(DropReason::TooBig);
    }
    let (packets, bytes) = counted(packet, wire_len);
    police::run(tables, frame.sender(), Charge { packets, bytes, is_flood: false })?;
    let verdict = local::deliver(packet, tables, index, port, (packets, bytes))?;
    tables.count_peer(frame.peer, Direction::Rx, packets, bytes);
    Ok(verdict)
}

/// The router is no port.
#[inline(always)]
fn to_router<P: Packet, T: Tables>(
    tables: &T,
    frame: &Frame,
    index: u32,
    why: DropReason,
) -> Result<Verdict, DropReason> {
    if !Target::port(index).is_router() {
        return Err(why);
    }
    router::hand_on::<P, T>(tables, frame.arrival())
}

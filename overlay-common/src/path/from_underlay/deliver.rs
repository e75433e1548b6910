//! To one local port, or to the segment's router.

use super::admit::Frame;
use super::decap;
use crate::abi::{Arrival, Charge, Direction, Target};
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
    let is_routed = Target::port(index).is_router();
    let port = if is_routed { None } else { Some(local::port(tables, index)?) };
    if !port.map_or(P::COPIES, |port| packet.reaches(port.egress)) {
        return Ok(Verdict::Defer);
    }
    decap::run(packet, frame)?;
    let Some(port) = port else { return to_router(packet, tables, frame) };
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

#[inline(always)]
fn to_router<P: Packet, T: Tables>(
    packet: &mut P,
    tables: &T,
    frame: &Frame,
) -> Result<Verdict, DropReason> {
    let (source, segment, limits) = (Target::peer(frame.peer), frame.segment, frame.limits);
    router::hand_on(packet, tables, frame.ingress, Arrival { source, segment, limits })
}

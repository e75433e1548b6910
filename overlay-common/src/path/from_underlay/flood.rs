//! Broadcast, unknown unicast, multicast from a peer: one copy to every local
//! port of the segment, none to another peer (split horizon).

use super::admit::Frame;
use super::decap;
use crate::abi::{Charge, Direction};
use crate::packet::Packet;
use crate::path::flow::{counted, wire_len};
use crate::path::{local, police};
use crate::tables::Tables;
use crate::verdict::{DropReason, Verdict};

/// Decapsulates a frame and sends the copies.
#[inline(always)]
pub fn run<P: Packet, T: Tables>(
    packet: &mut P,
    tables: &T,
    frame: &Frame,
) -> Result<Verdict, DropReason> {
    if !P::COPIES {
        return Ok(Verdict::Defer);
    }
    let list = tables.segment(frame.segment).ok_or(DropReason::TableInconsistent)?.flood;
    decap::run(packet, frame)?;
    let (packets, bytes) = counted(packet, wire_len(packet));
    let charge = Charge { packets, bytes, is_flood: true };
    police::filter(packet, tables, frame.sender(), charge, true)?;
    police::run(tables, frame.sender(), charge)?;
    tables.count_peer(frame.peer, Direction::Rx, packets, bytes);
    let ifindex = frame.ingress.ifindex;
    match local::flood(packet, tables, list, frame.segment, None, ifindex) {
        true => Ok(Verdict::Consumed),
        false => Err(DropReason::NoReceiver),
    }
}

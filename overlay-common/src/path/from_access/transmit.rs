//! To one peer.

use super::classify::Frame;
use super::{strip, too_big};
use crate::abi::{Charge, Direction, PuntReason};
use crate::packet::Packet;
use crate::path::flow::{Flow, wire_len};
use crate::path::{encap, police, way};
use crate::tables::Tables;
use crate::verdict::{DropReason, Verdict};

/// Encapsulates a frame towards a peer. One whose next hop is not known yet goes
/// to user space, which finds it out.
#[inline(always)]
pub fn run<P: Packet, T: Tables>(
    packet: &mut P,
    tables: &T,
    frame: &Frame,
    index: u32,
) -> Result<Verdict, DropReason> {
    let peer = tables.peer(index).ok_or(DropReason::TableInconsistent)?;
    if !peer.is_ready() {
        frame.punt(packet, tables, PuntReason::PeerUnresolved, 0, [0; 16])?;
        return Ok(Verdict::Consumed);
    }
    let max_frame = peer.max_frame as u32;
    if !packet.reaches(peer.egress) || too_big::is_so(packet, max_frame) {
        return Ok(Verdict::Defer);
    }
    let segment = tables.segment(frame.segment).ok_or(DropReason::TableInconsistent)?;
    strip::run(packet, frame)?;
    let flow = Flow::of(packet).ok_or(DropReason::Truncated)?;
    let wire_len = wire_len(packet);
    if wire_len > max_frame {
        return Err(DropReason::TooBig);
    }
    let charge = police::charge(packet, wire_len);
    let Charge { packets, bytes, .. } = charge;
    police::all(packet, tables, frame.sender(), charge, false)?;
    let way = way::run(tables, peer, &flow)?;
    encap::wrap(packet, peer, &way, &flow, segment.vni)?;
    tables.count_port(frame.port, Direction::Rx, packets, bytes);
    tables.count_peer(index, Direction::Tx, packets, bytes);
    Ok(Verdict::Transmit(way.egress))
}

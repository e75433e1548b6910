//! Broadcast, unknown unicast, multicast: one copy to each other port and to
//! each peer of the segment (head-end replication).

use super::classify::Frame;
use super::{encap, strip};
use crate::abi::{Direction, FloodKey, FloodList};
use crate::packet::Packet;
use crate::path::flow::{Flow, wire_len};
use crate::path::local;
use crate::tables::Tables;
use crate::verdict::{DropReason, Verdict};

/// Sends the copies, to local ports first, while the frame is still plain.
#[inline(always)]
pub fn run<P: Packet, T: Tables>(
    packet: &mut P,
    tables: &T,
    frame: &Frame,
) -> Result<Verdict, DropReason> {
    if !P::COPIES {
        return Ok(Verdict::Defer);
    }
    let segment = tables.segment(frame.segment).ok_or(DropReason::TableInconsistent)?;
    let (list, vni) = (segment.flood, segment.vni);
    strip::run(packet, frame)?;
    let flow = Flow::of(packet).ok_or(DropReason::Truncated)?;
    let (packets, bytes) = (packet.segments(), packet.len());
    tables.count_port(frame.port, Direction::Rx, packets, bytes);

    let ifindex = frame.ingress.ifindex;
    let ports = local::flood(packet, tables, list, frame.segment, Some(frame.port), ifindex);
    if ports == 0 && list.peers() == 0 {
        return Err(DropReason::NoReceiver);
    }
    if list.peers() != 0 {
        to_peers(packet, tables, frame, &flow, list, vni)?;
    }
    Ok(Verdict::Consumed)
}

/// Opens the room once, then rewrites the outer headers for each peer.
#[inline(always)]
fn to_peers<P: Packet, T: Tables>(
    packet: &mut P,
    tables: &T,
    frame: &Frame,
    flow: &Flow,
    list: FloodList,
    vni: u32,
) -> Result<(), DropReason> {
    let (packets, bytes, wire_len) = (packet.segments(), packet.len(), wire_len(packet));
    packet.grow_head(flow.inner).map_err(|_| DropReason::ResizeFailed)?;
    tables.repeat(list.peers(), |slot| {
        let slot = slot.wrapping_add(list.ports());
        let key = FloodKey { segment: frame.segment, generation: list.generation(), slot };
        let Some(target) = tables.flood(&key) else { return };
        match to_peer(packet, tables, flow, target.index(), vni, (bytes, wire_len)) {
            Ok(()) => tables.count_peer(target.index(), Direction::Tx, packets, bytes),
            Err(reason) => tables.count_drop(frame.ingress.ifindex, reason, 1),
        }
    });
    Ok(())
}

/// Sends one copy. A peer that is not resolved misses it: user space resolves
/// every peer of a flood list on its own account.
#[inline(always)]
fn to_peer<P: Packet, T: Tables>(
    packet: &mut P,
    tables: &T,
    flow: &Flow,
    index: u32,
    vni: u32,
    (bytes, wire_len): (u32, u32),
) -> Result<(), DropReason> {
    let peer = tables.peer(index).ok_or(DropReason::TableInconsistent)?;
    if !peer.is_ready() {
        return Err(DropReason::PeerUnresolved);
    }
    if wire_len > peer.max_frame as u32 {
        return Err(DropReason::TooBig);
    }
    encap::run(packet, peer, flow, vni, bytes)?;
    packet.copy_to(peer.egress).map_err(|_| DropReason::CopyFailed)
}

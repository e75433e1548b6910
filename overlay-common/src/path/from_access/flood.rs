//! Broadcast, unknown unicast, multicast: one copy to each other port and to
//! each peer of the segment (head-end replication).

use super::classify::Frame;
use super::{encap, strip};
use crate::abi::{Direction, FloodKey, FloodList};
use crate::packet::Packet;
use crate::path::flow::{Flow, wire_len};
use crate::path::local;
use crate::tables::{Tables, Turns};
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
    let has_ports = local::flood(packet, tables, list, frame.segment, Some(frame.port), ifindex);
    if !has_ports && list.peers() == 0 {
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
    let ifindex = frame.ingress.ifindex;
    let sizes = Sizes { packets, bytes, wire_len };
    let segment = frame.segment;
    let mut copies = Copies { packet, tables, flow, list, segment, vni, ifindex, sizes };
    tables.repeat(list.peers(), &mut copies);
    Ok(())
}

/// Of the inner frame.
#[derive(Clone, Copy)]
struct Sizes {
    packets: u32,
    bytes: u32,
    wire_len: u32,
}

/// A turn sends a copy to one peer.
struct Copies<'a, P, T> {
    packet: &'a mut P,
    tables: &'a T,
    flow: &'a Flow,
    list: FloodList,
    segment: u16,
    vni: u32,
    ifindex: u32,
    sizes: Sizes,
}

impl<P: Packet, T: Tables> Turns for Copies<'_, P, T> {
    #[inline(always)]
    fn turn(&mut self, slot: u32) {
        // Peers stand behind the ports.
        let slot = slot.wrapping_add(self.list.ports());
        let generation = self.list.generation();
        let key = FloodKey { segment: self.segment, generation, slot };
        let Some(target) = self.tables.flood(&key) else { return };
        let (index, Sizes { packets, bytes, .. }) = (target.index(), self.sizes);
        match to_peer(self.packet, self.tables, self.flow, index, self.vni, self.sizes) {
            Ok(()) => self.tables.count_peer(index, Direction::Tx, packets, bytes),
            Err(reason) => self.tables.count_drop(self.ifindex, reason, 1),
        }
    }
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
    sizes: Sizes,
) -> Result<(), DropReason> {
    let peer = tables.peer(index).ok_or(DropReason::TableInconsistent)?;
    if !peer.is_ready() {
        return Err(DropReason::PeerUnresolved);
    }
    if sizes.wire_len > peer.max_frame as u32 {
        return Err(DropReason::TooBig);
    }
    encap::run(packet, peer, flow, vni, sizes.bytes)?;
    packet.copy_to(peer.egress).map_err(|_| DropReason::CopyFailed)
}

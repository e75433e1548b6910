//! Broadcast, unknown unicast, multicast: one copy to each other port and to
//! each peer of the segment (head-end replication).
//!
//! The kernel sends to peers over one address family and to a limited number of them:
//! between two copies only the outer headers are written anew. User space sends to the
//! rest ([`rest`]).

use core::marker::PhantomData;

use super::classify::Frame;
use super::strip;
use crate::abi::{Charge, Direction, FloodKey, FloodList, Policed, PuntReason, Target};
use crate::packet::Packet;
use crate::path::flow::{Flow, counted, wire_len};
use crate::path::{encap, local, police, unknown, way};
use crate::tables::{Tables, Turns};
use crate::verdict::{DropReason, Verdict};
use crate::wire::{Family, Outer, Outer4, Outer6};

/// Sends the copies: hands over what user space is to send, then those to local ports, while
/// the frame is plain.
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
    let ifindex = frame.ingress.ifindex;
    strip::run(packet, frame)?;
    let sizes = Sizes::of(packet);
    let Sizes { packets, bytes, .. } = sizes;
    let charge = Charge { packets, bytes, is_flood: true };
    police::filter(packet, tables, frame.sender(), charge, false)?;
    police::run(tables, frame.sender(), charge)?;
    if list.rest() != 0
        && let Err(reason) =
            frame.punt(packet, tables, PuntReason::Flood, list.generation(), [0; 16])
    {
        tables.count_drop(ifindex, reason, list.rest());
    }
    tables.count_port(frame.port, Direction::Rx, packets, bytes);

    let has_ports = match to_ports(packet, tables, frame, charge) {
        Ok(()) => local::flood(packet, tables, list, frame.segment, Some(frame.port), ifindex),
        Err(reason) => {
            tables.count_drop(ifindex, reason, 1);
            true
        }
    };
    if !has_ports && list.peers() + list.rest() == 0 {
        return Err(DropReason::NoReceiver);
    }
    if list.peers() != 0 {
        match list.family() {
            Family::V4 => to_peers::<Outer4, P, T>(packet, tables, frame, list, vni)?,
            Family::V6 => to_peers::<Outer6, P, T>(packet, tables, frame, list, vni)?,
        }
    }
    Ok(Verdict::Consumed)
}

/// Whether the ports of the segment take a plain frame.
#[inline(always)]
fn to_ports<P: Packet, T: Tables>(
    packet: &mut P,
    tables: &T,
    frame: &Frame,
    charge: Charge,
) -> Result<(), DropReason> {
    match frame.limits & Policed::FILTER_OUT {
        0 => Ok(()),
        _ => police::out(packet, tables, frame.segment, charge),
    }
}

/// Sends the copies that the kernel does not send, of a plain frame.
///
/// # Errors
///
/// The reason for which none is sent: where the list is not that of `generation` any more,
/// others may be the rest now.
#[inline(always)]
pub fn rest<P: Packet, T: Tables>(
    packet: &mut P,
    tables: &T,
    index: u16,
    generation: u16,
    ifindex: u32,
) -> Result<Verdict, DropReason> {
    let segment = tables.segment(index).ok_or(DropReason::TableInconsistent)?;
    let (list, vni) = (segment.flood, segment.vni);
    if list.generation() != generation {
        return Err(DropReason::TableInconsistent);
    }
    let flow = &Flow::of(packet).ok_or(DropReason::Truncated)?;
    let sizes = Sizes::of(packet);
    let copies = Copies { packet, tables, flow, list, segment: index, vni, ifindex, sizes };
    tables.repeat(list.rest(), &mut Plain(copies, list.ports().wrapping_add(list.peers())));
    Ok(Verdict::Consumed)
}

/// Sends a plain frame of this node's own to everybody: to every port of a segment, and from user
/// space to every peer.
#[inline(always)]
pub fn own<P: Packet, T: Tables>(packet: &mut P, tables: &T, index: u16) -> Option<()> {
    let segment = tables.segment(index)?;
    let (list, vni) = (segment.flood, segment.vni);
    let flow = &Flow::of(packet)?;
    let sizes = Sizes::of(packet);
    local::flood(packet, tables, list, index, None, 0);
    let copies = Copies { packet, tables, flow, list, segment: index, vni, ifindex: 0, sizes };
    tables.repeat(list.peers() + list.rest(), &mut Plain(copies, list.ports()));
    Some(())
}

/// Opens the room once, then rewrites the outer headers for each peer.
#[inline(always)]
fn to_peers<O: Outer, P: Packet, T: Tables>(
    packet: &mut P,
    tables: &T,
    frame: &Frame,
    list: FloodList,
    vni: u32,
) -> Result<(), DropReason> {
    let flow = &Flow::of(packet).ok_or(DropReason::Truncated)?;
    let flow = &Flow {
        inner: flow.inner,
        tos: unknown(u32::from(flow.tos)) as u8,
        source_port: unknown(u32::from(flow.source_port)) as u16,
    };
    let sizes = Sizes::of(packet);
    packet.grow_head(flow.inner, O::FAMILY).map_err(|_| DropReason::ResizeFailed)?;
    let (segment, ifindex) = (frame.segment, frame.ingress.ifindex);
    let copies = Copies { packet, tables, flow, list, segment, vni, ifindex, sizes };
    tables.repeat(list.peers(), &mut Kernel::<O, P, T>(copies, PhantomData));
    Ok(())
}

/// Of the inner frame.
#[derive(Clone, Copy)]
struct Sizes {
    /// As they are counted.
    packets: u32,
    bytes: u32,
    /// The longest packet.
    wire_len: u32,
    len: u32,
}

impl Sizes {
    #[inline(always)]
    fn of<P: Packet>(packet: &P) -> Self {
        let wire_len = wire_len(packet);
        let (packets, bytes) = counted(packet, wire_len);
        let (packets, bytes, wire_len) = (unknown(packets), unknown(bytes), unknown(wire_len));
        Self { packets, bytes, wire_len, len: packet.len() }
    }
}

/// What all copies have in common.
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

/// A turn sends a copy to one peer, in room that is open already.
struct Kernel<'a, O, P, T>(Copies<'a, P, T>, PhantomData<O>);

/// A turn sends a copy to one peer, from this slot on, and opens the room for it.
struct Plain<'a, P, T>(Copies<'a, P, T>, u32);

impl<O: Outer, P: Packet, T: Tables> Turns for Kernel<'_, O, P, T> {
    #[inline(always)]
    fn turn(&mut self, slot: u32) {
        let copies = &mut self.0;
        // Peers stand behind the ports.
        let Some(index) = copies.peer_at(slot.wrapping_add(copies.list.ports())) else { return };
        let sent = copies.send::<O>(index);
        copies.count(index, sent);
    }
}

impl<P: Packet, T: Tables> Turns for Plain<'_, P, T> {
    #[inline(always)]
    fn turn(&mut self, slot: u32) {
        let Self(copies, first) = self;
        let Some(index) = copies.peer_at(slot.wrapping_add(*first)) else { return };
        let sent = copies.grow_and_send(index);
        copies.count(index, sent);
    }
}

impl<P: Packet, T: Tables> Copies<'_, P, T> {
    #[inline(always)]
    fn peer_at(&self, slot: u32) -> Option<u32> {
        let key = FloodKey { segment: self.segment, generation: self.list.generation(), slot };
        self.tables.flood(&key).map(Target::index)
    }

    /// Sends one copy in room that is open. A peer that is not resolved misses it: user
    /// space resolves every peer of a flood list on its own account. So does one that has
    /// just changed its family.
    #[inline(always)]
    fn send<O: Outer>(&mut self, index: u32) -> Result<(), DropReason> {
        let peer = self.tables.peer(index).ok_or(DropReason::TableInconsistent)?;
        if !peer.is_ready() || peer.family() != O::FAMILY {
            return Err(DropReason::PeerUnresolved);
        }
        if self.sizes.wire_len > peer.max_frame as u32 {
            return Err(DropReason::TooBig);
        }
        let way = way::run(self.tables, peer, self.flow)?;
        encap::run::<O, P>(self.packet, peer, &way, self.flow, self.vni, self.sizes.len)?;
        self.packet.copy_to(way.egress).map_err(|_| DropReason::CopyFailed)
    }

    /// Sends one copy of the plain frame, and leaves it plain.
    #[inline(always)]
    fn grow_and_send(&mut self, index: u32) -> Result<(), DropReason> {
        let peer = self.tables.peer(index).ok_or(DropReason::TableInconsistent)?;
        let (inner, family) = (self.flow.inner, peer.family());
        self.packet.grow_head(inner, family).map_err(|_| DropReason::ResizeFailed)?;
        let sent = match family {
            Family::V4 => self.send::<Outer4>(index),
            Family::V6 => self.send::<Outer6>(index),
        };
        let len = family.tunnel_len() as u32;
        self.packet.trim_head(inner, family, len).map_err(|_| DropReason::ResizeFailed)?;
        sent
    }

    #[inline(always)]
    fn count(&self, index: u32, sent: Result<(), DropReason>) {
        let Sizes { packets, bytes, .. } = self.sizes;
        match sent {
            Ok(()) => self.tables.count_peer(index, Direction::Tx, packets, bytes),
            Err(reason) => self.tables.count_drop(self.ifindex, reason, 1),
        }
    }
}

//! Writes the outer headers in front of an inner frame.

use crate::abi::Peer;
use crate::packet::Packet;
use crate::path::ecn;
use crate::path::flow::Flow;
use crate::path::way::Taken;
use crate::verdict::DropReason;
use crate::wire::{Family, Outer, Outer4, Outer6, Patch};

/// Copies the peer's headers into the room that was opened, and patches what
/// differs from packet to packet. `inner_len` is the inner frame's length.
#[inline(always)]
pub fn run<O: Outer, P: Packet>(
    packet: &mut P,
    peer: &Peer,
    way: &Taken,
    flow: &Flow,
    vni: u32,
    inner_len: u32,
) -> Result<(), DropReason> {
    let outer = packet.at_mut::<O>(0).ok_or(DropReason::ResizeFailed)?;
    outer.copy_words(peer.words());
    if let Some(stations) = way.stations {
        outer.set_stations(stations);
    }
    let tos = peer.dscp(flow.tos) | ecn::encapsulate(flow.tos);
    outer.fill(&Patch { inner_len, tos, source_port: flow.source_port, vni });
    Ok(())
}

/// Opens the room in front of a plain frame and writes the headers.
#[inline(always)]
pub fn wrap<P: Packet>(
    packet: &mut P,
    peer: &Peer,
    way: &Taken,
    flow: &Flow,
    vni: u32,
) -> Result<(), DropReason> {
    match peer.family() {
        Family::V4 => wrap_over::<Outer4, P>(packet, peer, way, flow, vni),
        Family::V6 => wrap_over::<Outer6, P>(packet, peer, way, flow, vni),
    }
}

#[inline(always)]
fn wrap_over<O: Outer, P: Packet>(
    packet: &mut P,
    peer: &Peer,
    way: &Taken,
    flow: &Flow,
    vni: u32,
) -> Result<(), DropReason> {
    let len = packet.len();
    packet.grow_head(flow.inner, O::FAMILY).map_err(|_| DropReason::ResizeFailed)?;
    run::<O, P>(packet, peer, way, flow, vni, len)
}

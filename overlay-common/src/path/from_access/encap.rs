//! Writes the outer headers in front of an inner frame.

use crate::abi::Peer;
use crate::packet::Packet;
use crate::path::ecn;
use crate::path::flow::Flow;
use crate::path::way::Taken;
use crate::verdict::DropReason;
use crate::wire::{Outer, Patch};

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
    let (ecn, source_port) = (ecn::encapsulate(flow.ecn), flow.source_port);
    outer.fill(&Patch { inner_len, ecn, source_port, vni });
    Ok(())
}

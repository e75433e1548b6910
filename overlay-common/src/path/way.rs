//! Which of several ways to a peer a flow takes.

use crate::abi::{Egress, Peer, Way};
use crate::packet::Packet;
use crate::path::flow::Flow;
use crate::tables::Tables;
use crate::verdict::DropReason;
use crate::wire::Ethernet;

/// Sends encapsulated frames to the next hop that is their flow's, and returns the uplink.
/// The headers of a peer with one way lead there already.
#[inline(always)]
pub fn run<P: Packet, T: Tables>(
    packet: &mut P,
    tables: &T,
    peer: &Peer,
    flow: &Flow,
) -> Result<Egress, DropReason> {
    if !peer.is_multipath() {
        return Ok(peer.egress);
    }
    let way = tables.way(Way::index(peer, flow.source_port));
    let way = way.ok_or(DropReason::TableInconsistent)?;
    let ethernet = packet.at_mut::<Ethernet>(0).ok_or(DropReason::ResizeFailed)?;
    ethernet.destination = way.next_hop;
    ethernet.source = way.uplink;
    Ok(way.egress)
}

//! Which of several ways to a peer a flow takes.

use crate::abi::{Egress, Peer, Stations, Way};
use crate::path::flow::Flow;
use crate::tables::Tables;
use crate::verdict::DropReason;

/// The way that a flow takes.
pub struct Taken {
    /// The uplink.
    pub egress: Egress,
    /// The next hop's address and the uplink's, where the peer's headers do not have them.
    pub stations: Option<Stations>,
}

/// Chooses the next hop that is the flow's. The headers of a peer with one way lead there
/// already.
#[inline(always)]
pub fn run<T: Tables>(tables: &T, peer: &Peer, flow: &Flow) -> Result<Taken, DropReason> {
    if !peer.is_multipath() {
        // What a verifier is to walk through but once has stations in any case.
        let stations = if T::SHORT { Some(peer.stations()) } else { None };
        return Ok(Taken { egress: peer.egress, stations });
    }
    let way = tables.way(Way::index(peer, flow.source_port));
    let way = way.ok_or(DropReason::TableInconsistent)?;
    Ok(Taken { egress: way.egress, stations: Some(way.stations()) })
}

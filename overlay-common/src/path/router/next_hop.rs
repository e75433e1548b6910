//! Who a packet goes to next.

use super::head::{self, Head};
use crate::abi::{Arrival, FdbKey, Neighbour, NeighbourKey, Route, RouteKey, Target};
use crate::packet::Packet;
use crate::tables::Tables;

/// A station of a segment, and the way to it.
pub struct NextHop {
    /// The port or peer.
    pub target: Target,
    /// The station.
    pub station: Neighbour,
    /// Index of its segment.
    pub segment: u16,
}

/// The next hop of a route that leads somewhere; `None` where it has to be asked for, or is not
/// found where it was.
#[inline(always)]
pub fn of<T: Tables>(tables: &T, route: &Route, head: &Head) -> Option<NextHop> {
    let segment = route.segment;
    if route.kind == Route::PEER {
        return Some(NextHop { target: route.target, station: route.station, segment });
    }
    let station = tables.neighbour(&key(route, head))?;
    let entry = tables.fdb(&FdbKey::new(station.mac(), segment))?;
    // An address that is the router's own leads nowhere but here.
    if entry.target.is_router() {
        return None;
    }
    Some(NextHop { target: entry.target, station, segment })
}

#[inline(always)]
fn key(route: &Route, head: &Head) -> NeighbourKey {
    let address = if route.kind == Route::GATEWAY { route.gateway } else { head.destination };
    NeighbourKey { address, segment: route.segment, reserved: [0; 3] }
}

/// What a plain frame's packet is, and its route; `None` where it has none.
pub fn route_of<P: Packet, T: Tables>(
    packet: &P,
    tables: &T,
    arrival: Arrival,
) -> Option<(Head, Route)> {
    let head = head::of(packet).ok()??;
    let vrf = tables.router(arrival.segment)?.vrf;
    let route = tables.route(&RouteKey::to(vrf, head.family, head.destination))?;
    Some((head, route))
}

/// The neighbour that a plain frame's packet goes to next, where it goes to one.
pub fn wanted<P: Packet, T: Tables>(
    packet: &P,
    tables: &T,
    arrival: Arrival,
) -> Option<NeighbourKey> {
    let (head, route) = route_of(packet, tables, arrival)?;
    let has_one = matches!(route.kind, Route::CONNECTED | Route::GATEWAY);
    (has_one && head.is_global && head.life > 1).then(|| key(&route, &head))
}

/// Whether a plain frame's packet is the router's own.
pub fn is_local<P: Packet, T: Tables>(packet: &P, tables: &T, arrival: Arrival) -> bool {
    route_of(packet, tables, arrival).is_some_and(|(_, route)| route.kind == Route::LOCAL)
}

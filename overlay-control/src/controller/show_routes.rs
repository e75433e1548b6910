//! Routes as lists for people.

use overlay_common::abi::{NeighbourKey, Route, RouteKey};
use overlay_common::id::{PeerId, SegmentId};
use overlay_common::wire::Mac;

use super::{Controller, RouteView};
use crate::config::{Prefix, RouteTo};

impl Controller {
    /// The routes of every VRF, by VRF, as the configuration has them, and prefix.
    pub fn routes(&self) -> Vec<RouteView<'_>> {
        let routes = self.topology.routing.routes.iter();
        let mut views: Vec<(usize, RouteView<'_>)> =
            routes.filter_map(|(key, route)| self.route_view(*key, route)).collect();
        views.sort_unstable_by_key(|(position, view)| (*position, view.prefix));
        views.into_iter().map(|(_, view)| view).collect()
    }

    fn route_view(&self, key: RouteKey, route: &Route) -> Option<(usize, RouteView<'_>)> {
        let vrf = self.topology.routing.vrfs.get(&key.vrf())?;
        let position = self.config.vrfs.iter().position(|v| v.name == *vrf)?;
        let (address, len) = key.network();
        let prefix = Prefix { address, len };
        let segment = self.topology.segments.get(&SegmentId(route.segment));
        let segment = segment.map(|segment| segment.name.as_str());
        let is_said = self.config.vrfs[position]
            .routes
            .iter()
            .any(|r| r.prefix == prefix && matches!(r.to, RouteTo::Segment(_)));
        let gateway = NeighbourKey {
            address: route.gateway,
            segment: route.segment,
            ..NeighbourKey::default()
        };
        let view = RouteView {
            vrf,
            prefix,
            kind: match route.kind {
                Route::LOCAL => "local",
                Route::CONNECTED if is_said => "static",
                Route::CONNECTED => "connected",
                Route::GATEWAY | Route::PEER => "static",
                Route::BLACKHOLE => "blackhole",
                _ => "unreachable",
            },
            segment: segment.filter(|_| has_segment(route.kind)),
            via: (route.kind == Route::GATEWAY).then(|| gateway.ip()),
            peer: match route.kind {
                Route::PEER => {
                    let peer = self.topology.peers.get(&PeerId(route.target.index()));
                    peer.map(|peer| peer.name.as_str())
                }
                _ => None,
            },
            mac: match route.kind {
                Route::PEER => Some(route.station.mac()),
                Route::GATEWAY => self.known(gateway),
                _ => None,
            },
        };
        Some((position, view))
    }

    fn known(&self, key: NeighbourKey) -> Option<Mac> {
        self.neighbours.get(&key).map(|neighbour| neighbour.mac())
    }
}

const fn has_segment(kind: u16) -> bool {
    matches!(kind, Route::LOCAL | Route::CONNECTED | Route::GATEWAY)
}

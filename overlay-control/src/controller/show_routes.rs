//! Routes as lists for people.

use std::collections::{HashMap, HashSet};

use overlay_common::abi::{NeighbourKey, Route, RouteKey};
use overlay_common::id::{PeerId, SegmentId};
use overlay_common::wire::Mac;

use super::{Controller, RouteView};
use crate::config::{Prefix, RouteTo, StaticRoute, Vrf};

/// What the configuration says of VRFs, to look it up by.
struct Said<'a> {
    /// Where in the file each VRF is.
    positions: HashMap<&'a str, usize>,
    /// The prefixes that routes lead into segments by.
    into_segments: HashSet<(&'a str, Prefix)>,
}

impl<'a> Said<'a> {
    fn by(vrfs: &'a [Vrf]) -> Self {
        let names = vrfs.iter().map(|vrf| vrf.name.as_str());
        let routes = vrfs.iter().flat_map(|vrf| vrf.routes.iter().map(|r| (vrf.name.as_str(), r)));
        let leads_into = |(_, route): &(_, &StaticRoute)| matches!(route.to, RouteTo::Segment(_));
        Self {
            positions: names.zip(0..).collect(),
            into_segments: routes.filter(leads_into).map(|(vrf, r)| (vrf, r.prefix)).collect(),
        }
    }
}

impl Controller {
    /// The routes of every VRF, by VRF, as the configuration has them, and prefix.
    pub fn routes(&self) -> Vec<RouteView<'_>> {
        let said = Said::by(&self.config.vrfs);
        let routes = self.topology.routing.routes.iter();
        let mut views: Vec<(usize, RouteView<'_>)> =
            routes.filter_map(|(key, route)| self.route_view(&said, *key, route)).collect();
        views.sort_unstable_by_key(|(position, view)| (*position, view.prefix));
        views.into_iter().map(|(_, view)| view).collect()
    }

    fn route_view(
        &self,
        said: &Said<'_>,
        key: RouteKey,
        route: &Route,
    ) -> Option<(usize, RouteView<'_>)> {
        let vrf = self.topology.routing.vrfs.get(&key.vrf())?.as_str();
        let position = *said.positions.get(vrf)?;
        let (address, len) = key.network();
        let prefix = Prefix { address, len };
        let segment = self.topology.segments.get(&SegmentId(route.segment));
        let segment = segment.map(|segment| segment.name.as_str());
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
                Route::CONNECTED if said.into_segments.contains(&(vrf, prefix)) => "static",
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

//! Routers and routes in terms of table indices.
//!
//! A VRF with a VNI has a segment of its own for it, which has no ports: what its peers route to
//! this node comes in there, for its router. So a segment is all that the path knows of a VNI.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv6Addr};

use overlay_common::abi::{FdbKey, Neighbour, NeighbourKey, Route, RouteKey, Router, Target};
use overlay_common::id::SegmentId;
use overlay_common::wire::{Mac, address_words};

use super::topology::{Ids, Segment, Topology};
use crate::config::{Config, Limits, Prefix, RouteTo, Vrf, Vteps};

/// What the tables should hold.
#[derive(Debug, Default)]
pub struct Routing {
    pub routers: BTreeMap<SegmentId, Router>,
    pub routes: BTreeMap<RouteKey, Route>,
    /// The VRFs by their index.
    pub vrfs: BTreeMap<u16, String>,
}

/// The name of the segment for a VRF's VNI: no segment of the configuration can have it.
pub fn transit(vrf: &str) -> String {
    format!("vrf {vrf}")
}

impl Topology {
    /// Gives each VRF an index, and a segment where it has a VNI.
    pub(super) fn add_vrfs(&mut self, config: &Config, ids: &mut Ids) {
        for vrf in &config.vrfs {
            let Some(index) = ids.vrfs.take(&vrf.name) else {
                self.waiting = true;
                continue;
            };
            self.routing.vrfs.insert(index as u16, vrf.name.clone());
            let Some(vni) = vrf.vni else { continue };
            let name = transit(&vrf.name);
            if ids.segments.take(&name).is_none() {
                self.waiting = true;
            }
            let Some(id) = ids.segment(&name) else { continue };
            let spec = Segment {
                name,
                vni: vni.value(),
                learning: false,
                limits: Limits::default(),
                suppression: false,
                filters: 0,
                ports: Vec::new(),
                peers: Vec::new(),
                position: usize::MAX,
            };
            self.segments.insert(id, spec);
        }
    }

    /// Adds routers and routes, and what the path finds routers by.
    pub(super) fn add_routing(&mut self, config: &Config, ids: &Ids) {
        let macs = Macs { shared: config.node.router_mac, own: own_mac(config.node.vtep) };
        for segment in config.segments.iter().filter(|segment| !segment.router.is_empty()) {
            let index = segment.vrf.as_ref().and_then(|vrf| ids.vrf(vrf));
            let (Some(id), Some(vrf)) = (ids.segment(&segment.name), index) else { continue };
            self.add_router(id, macs.router(vrf, &segment.router));
            self.add_addresses(id, vrf, &segment.router, macs);
        }
        for vrf in &config.vrfs {
            self.add_transit(config, ids, vrf, macs);
            for (prefix, route) in static_routes(config, ids, vrf) {
                let Some(index) = ids.vrf(&vrf.name) else { continue };
                // What is connected, and the router's own addresses, come before.
                let key = RouteKey::prefix(index, prefix.address, prefix.len);
                self.routing.routes.entry(key).or_insert(route);
            }
        }
    }

    /// The router of a VRF's VNI, whose errors come from an address of the VRF.
    fn add_transit(&mut self, config: &Config, ids: &Ids, vrf: &Vrf, macs: Macs) {
        let id = vrf.vni.and_then(|_| ids.segment(&transit(&vrf.name)));
        let (Some(id), Some(index)) = (id, ids.vrf(&vrf.name)) else { return };
        let of_vrf = config.segments.iter().filter(|s| s.vrf.as_ref() == Some(&vrf.name));
        let addresses: Vec<Prefix> = of_vrf.flat_map(|s| s.router.iter().copied()).collect();
        self.add_router(id, macs.router(index, &addresses));
    }

    fn add_router(&mut self, id: SegmentId, router: Router) {
        for mac in [router.mac, router.own] {
            self.statics.insert(FdbKey::new(mac, id.0), Target::ROUTER);
        }
        self.routing.routers.insert(id, router);
    }

    /// The networks of a segment, and the addresses of its router in them.
    fn add_addresses(&mut self, id: SegmentId, vrf: u16, addresses: &[Prefix], macs: Macs) {
        for address in addresses {
            self.add_own(id, vrf, address.address, macs.shared);
            let kind = |kind| Route { kind, segment: id.0, ..Route::default() };
            let network = address.network();
            // A broadcast to a network from beyond it goes nowhere (RFC 2644).
            if network.address.is_ipv4() && network.len < 31 {
                for end in [network.address, network.last()] {
                    self.put(vrf, Prefix::host(end), kind(Route::BLACKHOLE));
                }
            }
            self.put(vrf, network, kind(Route::CONNECTED));
        }
        if addresses.iter().any(|address| address.address.is_ipv6()) {
            for mac in [macs.shared, macs.own] {
                self.add_own(id, vrf, IpAddr::V6(link_local(mac)), mac);
            }
            let link_local = Prefix { address: IpAddr::V6(LINK_LOCAL), len: 10 };
            let nowhere = Route { kind: Route::BLACKHOLE, ..Route::default() };
            self.put(vrf, link_local, nowhere);
        }
    }

    /// An address of the router itself.
    fn add_own(&mut self, id: SegmentId, vrf: u16, address: IpAddr, mac: Mac) {
        let route = Route { kind: Route::LOCAL, segment: id.0, ..Route::default() };
        self.put(vrf, Prefix::host(address), route);
        if let Some(key) = NeighbourKey::of(address, id.0) {
            self.neighbours.insert(key, Neighbour::new(mac).with_router(true).fixed());
        }
    }

    fn put(&mut self, vrf: u16, prefix: Prefix, route: Route) {
        let key = RouteKey::prefix(vrf, prefix.address, prefix.len);
        // A router's address is its own wherever else it may be.
        let known = self.routing.routes.get(&key);
        if known.is_none_or(|known| known.kind != Route::LOCAL) {
            self.routing.routes.insert(key, route);
        }
    }
}

/// The MAC addresses of a node's routers.
#[derive(Clone, Copy)]
struct Macs {
    /// The same on every gateway.
    shared: Mac,
    /// This gateway's alone, to which its own questions are answered.
    own: Mac,
}

impl Macs {
    fn router(self, vrf: u16, addresses: &[Prefix]) -> Router {
        let first = |is_right: fn(&IpAddr) -> bool| {
            addresses.iter().map(|prefix| prefix.address).find(is_right)
        };
        let v4 = match first(IpAddr::is_ipv4) {
            Some(IpAddr::V4(v4)) => v4.octets(),
            _ => [0; 4],
        };
        let v6 = match first(IpAddr::is_ipv6) {
            Some(IpAddr::V6(v6)) => address_words(&v6.octets()),
            _ => [0; 2],
        };
        Router { v6, v4, vrf, mac: self.shared, own: self.own, ..Router::default() }
    }
}

/// Locally administered, and of the VTEP, which no other gateway has.
fn own_mac(vtep: Vteps) -> Mac {
    let [a, b, c, d] = match (vtep.v4, vtep.v6) {
        (Some(v4), _) => v4.octets(),
        (None, Some(v6)) => {
            let words = v6.to_bits().to_be_bytes();
            let (words, _) = words.as_chunks::<4>();
            let fold = |sum: u32, word: &[u8; 4]| {
                sum.rotate_left(7).wrapping_mul(0x9e37_79b1) ^ u32::from_be_bytes(*word)
            };
            words.iter().fold(0, fold).to_be_bytes()
        }
        (None, None) => [0; 4],
    };
    Mac([0x06, 0x5e, a, b, c, d])
}

const LINK_LOCAL: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0);

/// RFC 4291, appendix A.
pub fn link_local(Mac([a, b, c, d, e, f]): Mac) -> Ipv6Addr {
    let words = [(a ^ 2, b), (c, 0xff), (0xfe, d), (e, f)];
    let [w, x, y, z] = words.map(|(high, low)| u16::from_be_bytes([high, low]));
    Ipv6Addr::new(0xfe80, 0, 0, 0, w, x, y, z)
}

fn static_routes<'a>(
    config: &'a Config,
    ids: &'a Ids,
    vrf: &'a Vrf,
) -> impl Iterator<Item = (Prefix, Route)> + 'a {
    let macs: HashMap<&str, Mac> =
        config.peers.iter().map(|peer| (peer.name.as_str(), peer.router_mac)).collect();
    vrf.routes.iter().filter_map(move |route| {
        let nowhere = |kind| Route { kind, ..Route::default() };
        let to = match &route.to {
            RouteTo::Unreachable => nowhere(Route::UNREACHABLE),
            RouteTo::Blackhole => nowhere(Route::BLACKHOLE),
            RouteTo::Segment(name) => {
                Route { segment: ids.segment(name)?.0, ..nowhere(Route::CONNECTED) }
            }
            RouteTo::Gateway { via, segment } => {
                let key = NeighbourKey::of(*via, ids.segment(segment)?.0)?;
                let (gateway, segment) = (key.address, key.segment);
                Route { gateway, segment, ..nowhere(Route::GATEWAY) }
            }
            RouteTo::Peer(name) => Route {
                station: Neighbour::new(*macs.get(name.as_str())?),
                target: Target::peer(ids.peer(name)?.0),
                segment: ids.segment(&transit(&vrf.name))?.0,
                ..nowhere(Route::PEER)
            },
        };
        Some((route.prefix, to))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_gateway_has_an_address_of_its_own() {
        let v4 = |last| Vteps { v4: Some([192, 0, 2, last].into()), v6: None };
        assert_eq!(own_mac(v4(1)), Mac([0x06, 0x5e, 192, 0, 2, 1]));
        let v6 = |text: &str| Vteps { v4: None, v6: Some(text.parse().unwrap()) };
        let all = ["2001:db8::1", "2001:db8::2", "2001:db9::1", "2001:db8:0:1::"].map(v6);
        let macs: std::collections::BTreeSet<_> = all.map(own_mac).into();
        assert_eq!(macs.len(), 4);
        assert!(macs.iter().all(|mac| mac.is_source()));
    }

    #[test]
    fn a_link_local_address_is_made_of_the_mac() {
        let address = link_local(Mac([0x02, 0, 0x5e, 0, 1, 1]));
        assert_eq!(address.to_string(), "fe80::5eff:fe00:101");
    }
}

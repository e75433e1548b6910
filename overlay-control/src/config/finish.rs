//! From a draft with nothing wrong to the configuration.

use std::collections::BTreeMap;
use std::sync::Arc;

use overlay_common::wire::Mac;

use super::api::DraftApi;
use super::cross_vrf::segment_of;
use super::host::Places;
use super::read::{
    Draft, DraftHost, DraftNeighbour, DraftNode, DraftPeer, DraftPort, DraftRoute, DraftSegment,
    DraftStatic, DraftUplink, DraftVrf, Nowhere,
};
use super::routing::ROUTER_MAC;
use super::source::{At, Position, Problems};
use super::{
    AGEING, AccessPort, Config, Dscp, FDB_ENTRIES, Host, Mode, Node, Peer, Place, RouteTo, Segment,
    StaticMac, StaticNeighbour, StaticRoute, UdpPorts, Uplink, Vrf, api, web,
};
use crate::acl::List;

/// `None` where a required value is missing, which was reported.
pub fn finish(
    draft: Draft,
    acls: Vec<[Option<Arc<List>>; 2]>,
    problems: &Problems,
    file: &str,
) -> Option<Config> {
    let node = draft.node.as_ref()?;
    let places = places(&draft, problems, file);
    let modes = modes(&draft);
    let metrics = draft.metrics.finish();
    let dscp = node.dscp.as_ref().map(|at| at.value).unwrap_or_default();
    let router_mac = node.router_mac.as_ref().map_or(ROUTER_MAC, |at| at.value);
    let vrfs = draft.vrfs.iter().map(|vrf| finished(vrf, &draft)).collect::<Option<_>>()?;
    Some(Config {
        node: Node {
            name: node.name.as_ref()?.value.clone(),
            vtep: node.vtep.as_ref()?.value,
            ports: ports(node),
            ageing: node.ageing.as_ref().map_or(AGEING, |at| at.value),
            fdb_entries: node.fdb_entries.as_ref().map_or(FDB_ENTRIES, |at| at.value),
            mss_clamp: node.mss_clamp.as_ref().is_none_or(|at| at.value),
            dscp,
            router_mac,
            waits: node.wait_for_interfaces.as_ref().is_some_and(|at| at.value),
        },
        api: match draft.api {
            Some(draft) => Some(api::finish(draft)?),
            None => None,
        },
        vrfs,
        uplinks: draft
            .uplinks
            .into_iter()
            .map(|draft| uplink(draft, &modes))
            .collect::<Option<_>>()?,
        segments: draft
            .segments
            .into_iter()
            .zip(acls)
            .map(|(draft, acls)| segment(draft, acls, &modes))
            .collect::<Option<_>>()?,
        peers: draft
            .peers
            .into_iter()
            .map(|draft| peer(draft, router_mac, dscp))
            .collect::<Option<_>>()?,
        metrics,
        web: match draft.web {
            Some(draft) => Some(web::finish(draft)?),
            None => None,
        },
        places,
    })
}

fn ports(node: &DraftNode) -> UdpPorts {
    let usual = UdpPorts::default();
    UdpPorts {
        vxlan: node.vxlan_port.as_ref().map_or(usual.vxlan, |at| at.value),
        geneve: node.geneve_port.as_ref().map_or(usual.geneve, |at| at.value),
    }
}

fn places(draft: &Draft, problems: &Problems, file: &str) -> Places {
    let uplinks = draft.uplinks.iter().filter_map(|u| u.interface.as_ref());
    let ports = draft.segments.iter().flat_map(|s| &s.ports).filter_map(|p| p.interface.as_ref());
    let place = |at: &At<String>| (at.value.clone(), problems.position(&at.span));
    let vtep = draft.node.as_ref().and_then(|node| node.vtep.as_ref());
    let file_of_api = |(key, at): (&'static str, Option<&At<String>>)| {
        at.map(|at| (key, problems.position(&at.span)))
    };
    Places {
        file: file.to_owned(),
        vtep: vtep.map(|at| problems.position(&at.span)).unwrap_or_default(),
        interfaces: uplinks.chain(ports).map(place).collect(),
        peers: draft.peers.iter().map(|peer| peer_place(peer, problems)).collect(),
        api: draft.api.iter().flat_map(DraftApi::named).filter_map(file_of_api).collect(),
    }
}

/// Where the file says how much a peer takes, or else which it is.
fn peer_place(peer: &DraftPeer, problems: &Problems) -> Position {
    let mtu = peer.mtu.as_ref().map(|at| &at.span);
    let span = mtu.or(peer.vtep.as_ref().map(|at| &at.span));
    span.map(|span| problems.position(span)).unwrap_or_default()
}

/// The mode of each interface. A port that names none has that of the other ports of
/// its interface.
fn modes(draft: &Draft) -> BTreeMap<String, Mode> {
    let uplinks = draft.uplinks.iter().map(|uplink| (&uplink.interface, &uplink.mode));
    let ports = draft.segments.iter().flat_map(|s| &s.ports);
    let access = ports.map(|port| (&port.interface, &port.mode));
    let named = uplinks.chain(access).filter_map(|(interface, mode)| {
        Some((interface.as_ref()?.value.clone(), mode.as_ref()?.value))
    });
    named.collect()
}

fn uplink(draft: DraftUplink, modes: &BTreeMap<String, Mode>) -> Option<Uplink> {
    let interface = draft.interface?.value;
    let mode = modes.get(&interface).copied().unwrap_or_default();
    Some(Uplink { interface, mode })
}

fn segment(
    draft: DraftSegment,
    acls: [Option<Arc<List>>; 2],
    modes: &BTreeMap<String, Mode>,
) -> Option<Segment> {
    Some(Segment {
        name: draft.name?.value,
        vni: draft.vni?.value,
        learning: draft.learning.is_none_or(|at| at.value),
        limits: draft.limits,
        suppression: draft.suppression.is_none_or(|at| at.value),
        ports: draft.ports.into_iter().map(|d| port(d, modes)).collect::<Option<_>>()?,
        fdb: draft.fdb.into_iter().map(static_mac).collect::<Option<_>>()?,
        neighbours: draft.neighbours.into_iter().map(neighbour).collect::<Option<_>>()?,
        acls,
        vrf: draft.vrf.map(|at| at.value),
        router: draft.router.into_iter().flat_map(|at| at.value).map(|at| at.value).collect(),
    })
}

fn port(draft: DraftPort, modes: &BTreeMap<String, Mode>) -> Option<AccessPort> {
    let interface = draft.interface?.value;
    let mode = modes.get(&interface).copied().unwrap_or_default();
    Some(AccessPort {
        interface,
        vlan: draft.vlan.map(|at| at.value),
        mode,
        sticky: draft.sticky.is_some_and(|at| at.value),
        limits: draft.limits,
        hosts: draft.hosts.into_iter().map(host).collect::<Option<_>>()?,
    })
}

fn host(draft: DraftHost) -> Option<Host> {
    let ips = draft.ips.into_iter().flat_map(|at| at.value).map(|at| at.value).collect();
    Some(Host { mac: draft.mac?.value, ips })
}

fn static_mac(draft: DraftStatic) -> Option<StaticMac> {
    let vlan = draft.vlan.map(|at| at.value);
    let place = match (draft.peer, draft.interface) {
        (Some(peer), None) => Place::Peer(peer.value),
        (None, Some(interface)) => Place::Port { interface: interface.value, vlan },
        _ => return None,
    };
    Some(StaticMac { mac: draft.mac?.value, place })
}

fn neighbour(draft: DraftNeighbour) -> Option<StaticNeighbour> {
    let router = draft.router.is_some_and(|at| at.value);
    Some(StaticNeighbour { ip: draft.ip?.value, mac: draft.mac?.value, router })
}

fn finished(draft: &DraftVrf, file: &Draft) -> Option<Vrf> {
    let name = draft.name.as_ref()?.value.clone();
    let routes = draft.routes.iter().map(|draft| route(draft, &name, file));
    Some(Vrf {
        routes: routes.collect::<Option<_>>()?,
        vni: draft.vni.as_ref().map(|at| at.value),
        name,
    })
}

fn route(draft: &DraftRoute, vrf: &str, file: &Draft) -> Option<StaticRoute> {
    let to = match (&draft.peer, &draft.via, &draft.segment, &draft.kind) {
        (Some(peer), None, None, None) => RouteTo::Peer(peer.value.clone()),
        (None, Some(via), Some(segment), None) => {
            RouteTo::Gateway { via: via.value, segment: segment.value.clone() }
        }
        (None, Some(via), None, None) => RouteTo::Gateway {
            via: via.value,
            segment: segment_of(file, vrf, via.value)?.name.as_ref()?.value.clone(),
        },
        (None, None, Some(segment), None) => RouteTo::Segment(segment.value.clone()),
        (None, None, None, Some(kind)) => match kind.value {
            Nowhere::Unreachable => RouteTo::Unreachable,
            Nowhere::Blackhole => RouteTo::Blackhole,
        },
        _ => return None,
    };
    Some(StaticRoute { prefix: draft.prefix.as_ref()?.value, to })
}

fn peer(draft: DraftPeer, router_mac: Mac, dscp: Dscp) -> Option<Peer> {
    Some(Peer {
        name: draft.name?.value,
        vtep: draft.vtep?.value,
        encap: draft.encap.map(|at| at.value).unwrap_or_default(),
        port: draft.port.map(|at| at.value),
        mtu: draft.mtu.map(|at| at.value),
        segments: draft.segments?.value.into_iter().map(|at| at.value).collect(),
        vrfs: draft.vrfs.into_iter().flat_map(|at| at.value).map(|at| at.value).collect(),
        router_mac: draft.router_mac.map_or(router_mac, |at| at.value),
        dscp: draft.dscp.map_or(dscp, |at| at.value),
        limits: draft.limits,
    })
}

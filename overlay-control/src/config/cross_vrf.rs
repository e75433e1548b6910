//! What VRFs, routers and routes can get wrong together.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::Prefix;
use super::cross::{meant, segment_names, unique};
use super::read::{Draft, DraftPeer, DraftRoute, DraftSegment, DraftVrf};
use super::source::{At, Problems};

/// Reports it.
pub fn check(draft: &Draft, peers: &BTreeMap<&str, &DraftPeer>, problems: &mut Problems) {
    unique(&draft.vrfs, |vrf| vrf.name.as_ref(), "vrf name", problems);
    vnis(draft, problems);
    for segment in &draft.segments {
        router(draft, segment, problems);
    }
    networks(draft, problems);
    for peer in &draft.peers {
        peer_vrfs(draft, peer, problems);
    }
    for vrf in &draft.vrfs {
        unique(&vrf.routes, |route| route.prefix.as_ref(), "prefix of this VRF", problems);
        for route in &vrf.routes {
            check_route(draft, vrf, route, peers, problems);
        }
    }
}

/// A VNI is a segment's or a VRF's.
fn vnis(draft: &Draft, problems: &mut Problems) {
    unique(&draft.vrfs, |vrf| vrf.vni.as_ref(), "vni of a VRF", problems);
    for vni in draft.vrfs.iter().filter_map(|vrf| vrf.vni.as_ref()) {
        let is_same = |at: &&At<_>| at.value == vni.value;
        if let Some(other) = draft.segments.iter().filter_map(|s| s.vni.as_ref()).find(is_same) {
            let line = problems.line(&other.span);
            let message = format!("vni {} is that of a segment (line {line})", vni.value);
            problems.add(
                &vni.span,
                message,
                "a VRF has a VNI of its own, the same on every gateway",
            );
        }
    }
}

/// A segment with a router has both keys, and hears of its stations' addresses.
fn router(draft: &Draft, segment: &DraftSegment, problems: &mut Problems) {
    match (&segment.vrf, &segment.router) {
        (None, None) => return,
        (Some(_), None) if segment.has_router => return,
        (Some(vrf), None) => {
            let help = "add router = [\"10.1.0.1/24\"], or leave vrf out";
            problems.add(&vrf.span, "vrf without router", help);
        }
        (None, Some(router)) => {
            let help = "add vrf = \"red\", the [[vrf]] that routes for the segment";
            problems.add(&router.span, "router without vrf", help);
        }
        (Some(vrf), Some(_)) => {
            known_vrf(draft, vrf, problems);
        }
    }
    if let Some(off) = segment.suppression.as_ref().filter(|at| !at.value) {
        let help =
            "a router has to hear of addresses, and to answer for its own: leave suppression out";
        problems.add(&off.span, "suppression = false in a segment with a router", help);
    }
    let own = |ip: IpAddr| addresses(segment).find(move |at| at.value.address == ip);
    for ip in segment.neighbours.iter().filter_map(|entry| entry.ip.as_ref()) {
        if let Some(at) = own(ip.value) {
            let line = problems.line(&at.span);
            let message = format!("ip {} is the router's (line {line})", ip.value);
            problems.add(&ip.span, message, "the router needs no [[segment.neighbour]]");
        }
    }
}

fn addresses(segment: &DraftSegment) -> impl Iterator<Item = &At<Prefix>> {
    segment.router.iter().flat_map(|at| &at.value)
}

fn segments_of<'a>(draft: &'a Draft, vrf: &'a str) -> impl Iterator<Item = &'a DraftSegment> {
    let is_its = move |at: &At<String>| at.value == vrf;
    draft.segments.iter().filter(move |segment| segment.vrf.as_ref().is_some_and(is_its))
}

/// The segment of a VRF in whose network an address is.
pub fn segment_of<'a>(draft: &'a Draft, vrf: &'a str, ip: IpAddr) -> Option<&'a DraftSegment> {
    segments_of(draft, vrf).find(|segment| addresses(segment).any(|at| at.value.holds(ip)))
}

/// Each network is in one segment of a VRF.
fn networks(draft: &Draft, problems: &mut Problems) {
    let mut first: Vec<(&str, &At<Prefix>, usize)> = Vec::new();
    for (position, segment) in draft.segments.iter().enumerate() {
        let Some(vrf) = &segment.vrf else { continue };
        for at in addresses(segment) {
            let clash = first.iter().find(|(other, earlier, place)| {
                *other == vrf.value
                    && earlier.value.overlaps(at.value)
                    && (*place != position || earlier.value.address == at.value.address)
            });
            if let Some((_, earlier, _)) = clash {
                let line = problems.line(&earlier.span);
                let message = format!(
                    "{} overlaps {} (line {line}) of the same VRF",
                    at.value, earlier.value
                );
                problems.add(&at.span, message, "each network is in one segment of a VRF");
            }
            first.push((&vrf.value, at, position));
        }
    }
}

fn known_vrf<'a>(
    draft: &'a Draft,
    name: &At<String>,
    problems: &mut Problems,
) -> Option<&'a DraftVrf> {
    let is_it = |at: &At<String>| at.value == name.value;
    let found = draft.vrfs.iter().find(|vrf| vrf.name.as_ref().is_some_and(is_it));
    if found.is_none() {
        let names = draft.vrfs.iter().filter_map(|vrf| vrf.name.as_ref());
        let known: BTreeSet<&str> = names.map(|at| at.value.as_str()).collect();
        let message = format!("there is no VRF {:?}", name.value);
        problems.add(&name.span, message, meant(&name.value, &known, "vrf"));
    }
    found
}

/// A peer has VRFs that have a VNI.
fn peer_vrfs(draft: &Draft, peer: &DraftPeer, problems: &mut Problems) {
    let Some(list) = &peer.vrfs else { return };
    unique(&list.value, Some, "vrf of this peer", problems);
    for name in &list.value {
        if known_vrf(draft, name, problems).is_some_and(|vrf| vrf.vni.is_none()) {
            let message = format!("VRF {} has no vni, so no peer can use it", name.value);
            problems.add(&name.span, message, "add vni = 5000 to it, the same on every gateway");
        }
    }
}

fn check_route(
    draft: &Draft,
    vrf: &DraftVrf,
    route: &DraftRoute,
    peers: &BTreeMap<&str, &DraftPeer>,
    problems: &mut Problems,
) {
    let Some(owner) = &vrf.name else { return };
    if let Some(name) = &route.segment {
        route_segment(draft, &owner.value, name, problems);
    }
    if let Some(via) = &route.via {
        gateway(draft, &owner.value, route, via, problems);
    }
    let Some(name) = &route.peer else { return };
    let Some(peer) = peers.get(name.value.as_str()) else {
        let known = peers.keys().copied().collect();
        let message = format!("there is no peer {:?}", name.value);
        problems.add(&name.span, message, meant(&name.value, &known, "peer"));
        return;
    };
    let mut permitted = peer.vrfs.iter().flat_map(|list| &list.value);
    if !permitted.any(|at| at.value == owner.value) {
        let message = format!("peer {} may not use VRF {}", name.value, owner.value);
        let help = format!("add vrfs = [{:?}] to the peer", owner.value);
        problems.add(&name.span, message, help);
    }
}

fn route_segment(draft: &Draft, vrf: &str, name: &At<String>, problems: &mut Problems) {
    let is_it = |at: &At<String>| at.value == name.value;
    if segments_of(draft, vrf).any(|segment| segment.name.as_ref().is_some_and(is_it)) {
        return;
    }
    let known: BTreeSet<&str> = segment_names(draft).collect();
    if known.contains(name.value.as_str()) {
        let message = format!("segment {} is not of VRF {vrf}", name.value);
        problems.add(&name.span, message, format!("add vrf = {vrf:?} and a router to the segment"));
    } else {
        let message = format!("there is no segment {:?}", name.value);
        problems.add(&name.span, message, meant(&name.value, &known, "segment"));
    }
}

/// The next hop is of the prefix's family, in a network of the VRF or a segment that is named,
/// and another.
fn gateway(
    draft: &Draft,
    vrf: &str,
    route: &DraftRoute,
    via: &At<IpAddr>,
    problems: &mut Problems,
) {
    let is_other = |at: &At<Prefix>| at.value.address.is_ipv4() != via.value.is_ipv4();
    if route.prefix.as_ref().is_some_and(is_other) {
        let message = format!("via {} is of another family than the prefix", via.value);
        problems.add(&via.span, message, "the next hop's address in the prefix's family");
        return;
    }
    if route.segment.is_none() && segment_of(draft, vrf, via.value).is_none() {
        let message = format!("via {} is in no network of VRF {vrf}", via.value);
        let help = "an address in the network of one of its routers, or name the segment too";
        problems.add(&via.span, message, help);
    }
    let is_own = |at: &&At<Prefix>| at.value.address == via.value;
    if let Some(own) = segments_of(draft, vrf).flat_map(addresses).find(is_own) {
        let line = problems.line(&own.span);
        let message = format!("via {} is this router itself (line {line})", via.value);
        problems.add(&via.span, message, "the address of another router");
    }
}

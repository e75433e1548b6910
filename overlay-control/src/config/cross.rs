//! What only several values together can get wrong: the same thing twice, and
//! names that lead nowhere.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::ops::Range;

use overlay_common::abi::{
    MAX_FLOOD_SLOTS, MAX_GUARDS, MAX_PEERS, MAX_PERMITS, MAX_PORTS, MAX_ROUTES, MAX_SEGMENTS,
    MAX_VRFS, neighbours_beside,
};
use overlay_common::id::Vlan;

use super::mtu::least_over;
use super::nearest::nearest;
use super::read::{Draft, DraftPeer, DraftPort, DraftSegment, DraftStatic};
use super::source::{At, Problems};
use super::{FDB_ENTRIES, Mode, UdpPorts, cross_vrf};

/// Reports everything that is wrong between the values of the file.
pub fn check(draft: &Draft, problems: &mut Problems) {
    sizes(draft, problems);
    unique(&draft.segments, |s| s.name.as_ref(), "segment name", problems);
    unique(&draft.segments, |s| s.vni.as_ref(), "vni", problems);
    unique(&draft.peers, |p| p.name.as_ref(), "peer name", problems);
    unique(&draft.peers, |p| p.vtep.as_ref(), "peer vtep", problems);
    unique(&draft.uplinks, |u| u.interface.as_ref(), "uplink interface", problems);
    own_vtep(draft, problems);
    mtus(draft, problems);
    udp_ports(draft, problems);
    ports(draft, problems);
    modes(draft, problems);
    peer_segments(draft, problems);
    let peers = peers_by_name(draft);
    cross_vrf::check(draft, &peers, problems);
    for segment in &draft.segments {
        unique(&segment.fdb, |entry| entry.mac.as_ref(), "mac of this segment", problems);
        for entry in &segment.fdb {
            static_peer(&peers, segment, entry, problems);
            static_port(segment, entry, problems);
        }
        unique(&segment.neighbours, |entry| entry.ip.as_ref(), "ip of this segment", problems);
        unheard(segment, problems);
        bound(segment, problems);
    }
}

/// Behind a port, each address is one host's.
fn bound(segment: &DraftSegment, problems: &mut Problems) {
    for port in &segment.ports {
        unique(&port.hosts, |host| host.mac.as_ref(), "mac of this port", problems);
        let ips: Vec<_> = port.hosts.iter().filter_map(|host| host.ips.as_ref()).collect();
        let ips: Vec<_> = ips.into_iter().flat_map(|at| &at.value).collect();
        unique(&ips, |at| Some(*at), "ip of this port", problems);
    }
}

/// Reports each value that an earlier item has already.
pub fn unique<'a, T, K: Ord + Display + 'a>(
    items: &'a [T],
    key: impl Fn(&'a T) -> Option<&'a At<K>>,
    what: &str,
    problems: &mut Problems,
) {
    let mut first: BTreeMap<&K, &Range<usize>> = BTreeMap::new();
    for at in items.iter().filter_map(key) {
        match first.get(&at.value) {
            None => {
                first.insert(&at.value, &at.span);
            }
            Some(earlier) => {
                let line = problems.line(earlier);
                let help = format!("each {what} may be used once; it is used on line {line}");
                problems.add(&at.span, format!("{what} {} is used twice", at.value), help);
            }
        }
    }
}

/// The kernel's tables have a fixed number of entries; index 0 is never used.
fn sizes(draft: &Draft, problems: &mut Problems) {
    let access: usize = draft.segments.iter().map(|s| s.ports.len()).sum();
    let hosts = draft.segments.iter().flat_map(|s| &s.ports).flat_map(|port| &port.hosts);
    // The MAC address and the link-local one as well.
    let bindings: usize = hosts.map(|h| 2 + h.ips.as_ref().map_or(0, |at| at.value.len())).sum();
    let fdb: usize = draft.segments.iter().map(|s| s.fdb.len()).sum();
    let names =
        |list: &'_ Option<At<Vec<At<String>>>>| list.as_ref().map_or(0, |at| at.value.len());
    let transits: usize = draft.peers.iter().map(|p| names(&p.vrfs)).sum();
    let permitted = draft.peers.iter().filter_map(|p| p.segments.as_ref());
    let sets: Vec<BTreeSet<&str>> =
        permitted.map(|list| list.value.iter().map(|s| s.value.as_str()).collect()).collect();
    let receivers = access + sets.iter().map(BTreeSet::len).sum::<usize>();
    let distinct: BTreeSet<&BTreeSet<&str>> = sets.iter().collect();
    let permits = draft.segments.len()
        + transits
        + draft.vrfs.len()
        + distinct.iter().map(|set| set.len()).sum::<usize>();

    let entries = draft.node.as_ref().and_then(|n| n.fdb_entries.as_ref());
    let (fdb_max, fdb_span) = entries.map_or((FDB_ENTRIES, 0..0), |e| (e.value, e.span.clone()));
    let mut limit = |count: usize, max: u32, what: &str, span: Range<usize>, help: &str| {
        if count > max as usize {
            let message = format!("the file has {count} {what}, and this node takes {max}");
            problems.add(&span, message, help);
        }
    };
    let spread = "spread them over several gateways";
    let ports = draft.uplinks.len() + access;
    limit(ports, MAX_PORTS - 1, "ports, uplinks included", 0..0, spread);
    let transits = draft.vrfs.iter().filter(|vrf| vrf.vni.is_some()).count();
    let routes: usize = draft.vrfs.iter().map(|vrf| vrf.routes.len()).sum();
    let what = "segments and VRFs with a VNI";
    limit(draft.segments.len() + transits, MAX_SEGMENTS - 1, what, 0..0, spread);
    limit(draft.vrfs.len(), MAX_VRFS - 1, "VRFs", 0..0, spread);
    limit(routes, MAX_ROUTES / 4, "routes", 0..0, "use shorter prefixes for several of them");
    limit(draft.peers.len(), MAX_PEERS - 1, "peers", 0..0, spread);
    let what = "receivers of floods (ports and peers of all segments)";
    let guards = "addresses of hosts behind ports";
    limit(bindings, MAX_GUARDS / 2, guards, 0..0, spread);
    limit(receivers, MAX_FLOOD_SLOTS / 2, what, 0..0, spread);
    let what = "permissions (segments of peers, equal sets counted once)";
    let alike = "give more peers the same segments, or spread them over several gateways";
    limit(permits, MAX_PERMITS / 2, what, 0..0, alike);
    let neighbours = draft.segments.iter().map(|s| s.neighbours.len()).sum();
    let (most, what) = (neighbours_beside(fdb_max), "static neighbours");
    limit(neighbours, most, what, fdb_span.clone(), "make node.fdb_entries larger");
    limit(fdb, fdb_max, "static addresses", fdb_span, "make node.fdb_entries larger");
}

/// A peer is another node, and one that this node's VTEP can send to.
fn own_vtep(draft: &Draft, problems: &mut Problems) {
    let Some(own) = draft.node.as_ref().and_then(|n| n.vtep.as_ref()) else { return };
    let line = problems.line(&own.span);
    for vtep in draft.peers.iter().filter_map(|p| p.vtep.as_ref()) {
        match own.value.like(vtep.value) {
            Some(same) if same == vtep.value => {
                let message = format!("peer vtep {} is this node's own (line {line})", vtep.value);
                problems.add(&vtep.span, message, "the address of the other gateway");
            }
            Some(_) => {}
            None => {
                let (family, example) = match vtep.value.is_ipv4() {
                    true => ("IPv4", "192.0.2.1"),
                    false => ("IPv6", "2001:db8::1"),
                };
                let message =
                    format!("peer vtep {} is {family}, and this node has no such VTEP", vtep.value);
                let help = format!(
                    "give the node one of each family (line {line}): vtep = [\"{}\", \"{example}\"]",
                    own.value
                );
                problems.add(&vtep.span, message, help);
            }
        }
    }
}

/// Every link of IPv6 carries this much (RFC 8200, section 5).
fn mtus(draft: &Draft, problems: &mut Problems) {
    for peer in &draft.peers {
        let (Some(mtu), Some(vtep)) = (&peer.mtu, &peer.vtep) else { continue };
        let least = least_over(vtep.value);
        if u32::from(mtu.value) < least {
            let message = format!("mtu {} for {}, a VTEP over IPv6", mtu.value, vtep.value);
            let help = format!("at least {least}, which every link of IPv6 carries (RFC 8200)");
            problems.add(&mtu.span, message, help);
        }
    }
}

/// One port stands for one encapsulation.
fn udp_ports(draft: &Draft, problems: &mut Problems) {
    let Some(node) = &draft.node else { return };
    let usual = UdpPorts::default();
    let value = |at: &Option<At<u16>>, usual| at.as_ref().map_or(usual, |at| at.value);
    let [vxlan, geneve] =
        [value(&node.vxlan_port, usual.vxlan), value(&node.geneve_port, usual.geneve)];
    if vxlan == geneve
        && let Some(at) = node.geneve_port.as_ref().or(node.vxlan_port.as_ref())
    {
        let message = format!("vxlan_port and geneve_port are both {vxlan}");
        problems.add(&at.span, message, "a port for each: 4789 and 6081 are usual");
    }
}

/// An interface, and a VLAN on it.
type PortName<'a> = (&'a str, Option<Vlan>);

/// An interface and VLAN belong to one segment, and what is untagged on an uplink to none.
fn ports(draft: &Draft, problems: &mut Problems) {
    let uplinks: BTreeMap<&str, &Range<usize>> = draft
        .uplinks
        .iter()
        .filter_map(|u| u.interface.as_ref())
        .map(|at| (at.value.as_str(), &at.span))
        .collect();
    let mut taken: BTreeMap<PortName<'_>, (&Range<usize>, &DraftSegment)> = BTreeMap::new();
    for (segment, port) in access_ports(draft) {
        let Some(interface) = &port.interface else { continue };
        let name = interface.value.as_str();
        let vlan = port.vlan.as_ref().map(|at| at.value);
        if let (Some(uplink), None) = (uplinks.get(name), vlan) {
            let line = problems.line(uplink);
            let message = format!("interface {name} is an uplink (line {line})");
            let help = "an untagged access port needs a device of its own; on the uplink's it \
                        needs a vlan";
            problems.add(&interface.span, message, help);
        }
        match taken.get(&(name, vlan)) {
            None => {
                taken.insert((name, vlan), (&port.span, segment));
            }
            Some((earlier, owner)) => {
                let line = problems.line(earlier);
                let owner = match &owner.name {
                    Some(at) => format!("segment {}", at.value),
                    None => "a segment".to_owned(),
                };
                let what = match vlan {
                    None => format!("untagged {name}"),
                    Some(vlan) => format!("VLAN {vlan} of {name}"),
                };
                let message = format!("{what} is in {owner} already (line {line})");
                let help = "a port is in one segment: remove it here or there, or give it a vlan \
                            that is free";
                let place = port.vlan.as_ref().map_or(&interface.span, |at| &at.span);
                problems.add(place, message, help);
            }
        }
    }
}

/// A device has one hook, whatever VLANs it carries, and be it an uplink as well.
fn modes(draft: &Draft, problems: &mut Problems) {
    let mut first: BTreeMap<&str, &At<Mode>> = BTreeMap::new();
    let uplinks = draft.uplinks.iter().map(|uplink| (&uplink.interface, &uplink.mode));
    let access = access_ports(draft).map(|(_, port)| (&port.interface, &port.mode));
    for (interface, mode) in uplinks.chain(access) {
        let (Some(interface), Some(mode)) = (interface, mode) else { continue };
        let earlier = first.entry(&interface.value).or_insert(mode);
        if earlier.value != mode.value {
            let line = problems.line(&earlier.span);
            let (name, this, that) = (&interface.value, mode.value.name(), earlier.value.name());
            let message = format!("mode {this} for {name}, which has mode {that} (line {line})");
            let help = "all ports of one interface share its hook: give them the same mode";
            problems.add(&mode.span, message, help);
        }
    }
}

fn peer_segments(draft: &Draft, problems: &mut Problems) {
    let known: BTreeSet<&str> = segment_names(draft).collect();
    for peer in &draft.peers {
        let Some(list) = &peer.segments else { continue };
        unique(&list.value, Some, "segment of this peer", problems);
        for segment in &list.value {
            if !known.contains(segment.value.as_str()) {
                let message = format!("there is no segment {:?}", segment.value);
                problems.add(&segment.span, message, meant(&segment.value, &known, "segment"));
            }
        }
    }
}

/// A static address may be behind a peer that may use the segment.
fn static_peer(
    peers: &BTreeMap<&str, &DraftPeer>,
    segment: &DraftSegment,
    entry: &DraftStatic,
    problems: &mut Problems,
) {
    let Some(name) = &entry.peer else { return };
    let Some(peer) = peers.get(name.value.as_str()) else {
        let known = peers.keys().copied().collect();
        let message = format!("there is no peer {:?}", name.value);
        problems.add(&name.span, message, meant(&name.value, &known, "peer"));
        return;
    };
    // What has no name, or no list, was reported.
    let (Some(owner), Some(list)) = (&segment.name, &peer.segments) else { return };
    if !list.value.iter().any(|permitted| permitted.value == owner.value) {
        let message = format!("peer {} may not use segment {}", name.value, owner.value);
        let line = problems.line(&list.span);
        let help = format!("add {:?} to the peer's segments (line {line})", owner.value);
        problems.add(&name.span, message, help);
    }
}

/// Or behind one of the segment's own ports.
fn static_port(segment: &DraftSegment, entry: &DraftStatic, problems: &mut Problems) {
    let Some(interface) = &entry.interface else { return };
    let vlan = entry.vlan.as_ref().map(|at| at.value);
    let same = |port: &DraftPort| {
        port.interface.as_ref().is_none_or(|at| at.value == interface.value)
            && port.vlan.as_ref().map(|at| at.value) == vlan
    };
    if !segment.ports.iter().any(same) {
        let name = &interface.value;
        let what = match vlan {
            None => format!("{name} is no untagged port of this segment"),
            Some(vlan) => format!("VLAN {vlan} of {name} is no port of this segment"),
        };
        let help = "name interface, vlan and protocol of one of its [[segment.port]]";
        problems.add(&interface.span, what, help);
    }
}

/// A neighbour is of use where questions are answered.
fn unheard(segment: &DraftSegment, problems: &mut Problems) {
    let Some(off) = segment.suppression.as_ref().filter(|at| !at.value) else { return };
    if let Some(entry) = segment.neighbours.first() {
        let line = problems.line(&off.span);
        let message =
            format!("[[segment.neighbour]] in a segment without suppression (line {line})");
        problems.add(&entry.span, message, "remove it, or set suppression = true");
    }
}

fn access_ports(draft: &Draft) -> impl Iterator<Item = (&DraftSegment, &DraftPort)> {
    draft.segments.iter().flat_map(|s| s.ports.iter().map(move |port| (s, port)))
}

fn peers_by_name(draft: &Draft) -> BTreeMap<&str, &DraftPeer> {
    let named = draft.peers.iter().filter_map(|peer| Some((peer.name.as_ref()?, peer)));
    named.map(|(name, peer)| (name.value.as_str(), peer)).collect()
}

pub fn segment_names(draft: &Draft) -> impl Iterator<Item = &str> {
    draft.segments.iter().filter_map(|s| s.name.as_ref()).map(|at| at.value.as_str())
}

pub fn meant(typed: &str, known: &BTreeSet<&str>, what: &str) -> String {
    const SHOWN: usize = 10;
    if let Some(word) = nearest(typed, known.iter().copied()) {
        return format!("did you mean {word:?}?");
    }
    if known.is_empty() {
        return format!("the file has no {what} with a name: add [[{what}]]");
    }
    let words: Vec<&str> = known.iter().copied().take(SHOWN).collect();
    let more = if known.len() > SHOWN { ", ..." } else { "" };
    format!("the file has {}{more}", words.join(", "))
}

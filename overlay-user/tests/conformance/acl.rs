//! Hand-picked vectors of access lists: those of the sample node's segment 6, at each place where
//! packets are held against them.

use overlay_common::abi::{Branch, Filter, FilterKey, FilterNode, FlowKey, MAX_FILTER_NODES};
use overlay_common::verdict::DropReason as Why;
use overlay_common::wire::Mac;
use overlay_control::action::Action;
use overlay_control::sample::{
    FILTERED_FAR_PORT, FILTERED_PORT, FILTERED_SEGMENT, ROUTER_ADDRESS, ROUTER_MAC, ipv4_of,
    ipv6_of, station,
};
use overlay_proof::ip::ipv4_with;

use crate::mtu::{ipv6, payload};
use crate::outer::Datagram;
use crate::picked::{Expect, Picks};
use crate::vector::{Given, ethernet, tagged};

const HERE: u8 = FILTERED_PORT as u8;
const FAR: u8 = FILTERED_FAR_PORT as u8;
const VLAN: u16 = 90;
const FAR_VLAN: u16 = 91;

/// Ports in front of nothing else; of TCP, no SYN.
fn ported(protocol: u8, from: [u8; 4], to: [u8; 4], port: u16) -> Vec<u8> {
    let ports = [&40_000_u16.to_be_bytes()[..], &port.to_be_bytes(), &[0; 30]].concat();
    ipv4_with(&[], protocol, 0x4000, (from, to), &ports)
}

pub fn add(picks: &mut Picks) {
    sent(picks);
    received(picks);
    flooded(picks);
    routed(picks);
    too_big(picks);
    odd(picks);
}

/// By hosts, to a peer and to another port.
fn sent(picks: &mut Picks) {
    let own = ipv4_of(HERE);
    let far = ipv4_of(0x11);
    let echo = |kind| ipv4_with(&[], 1, 0x4000, ([10, 9, 9, 9], far), &[kind, 0, 0, 0, 0, 1, 0, 1]);
    let options = {
        let ports = [&9_u16.to_be_bytes()[..], &22_u16.to_be_bytes(), &[0; 30]].concat();
        ipv4_with(&[1; 40], 6, 0x4000, (own, far), &ports)
    };
    let fragment = ipv4_with(&[], 6, 0x2010, (own, far), &[0, 9, 0, 22, 0, 0, 0, 0]);
    let v6 = |next, rest: &[u8]| ipv6(next, ipv6_of(HERE), ipv6_of(0x11), rest);
    let to_port = |port: u8| [&[0, 9, 0, port][..], &[0; 28]].concat();
    let part = |next, at: u8, rest: &[u8]| {
        v6(44, &[&[next, 0, 0, at << 3 | 1, 0, 0, 0, 7], rest].concat())
    };
    let stranger = ported(6, [172, 16, 0, 1], far, 80);
    for (name, packet, permits) in [
        ("TCP from the network", ported(6, own, far, 80), true),
        ("a port that is denied", ported(6, own, far, 22), false),
        ("a port that is denied, behind options", options, false),
        ("a later fragment has no ports", fragment, true),
        ("UDP of one host", ported(17, own, far, 53), true),
        ("UDP of another host", ported(17, ipv4_of(99), far, 53), false),
        ("UDP to another port", ported(17, own, far, 54), false),
        ("from another network", stranger, false),
        ("an echo request", echo(8), true),
        ("an echo reply", echo(0), false),
        ("another protocol", ported(47, own, far, 80), false),
        ("IPv6 of the network", ipv6(17, ipv6_of(HERE), ipv6_of(0x11), &payload(40)), true),
        ("IPv6 of another network", ipv6(17, [0x20; 16], ipv6_of(0x11), &payload(40)), false),
        ("IPv6 to a port that is denied", v6(6, &to_port(22)), false),
        ("IPv6 to another port", v6(6, &to_port(80)), true),
        ("IPv6, a first fragment to a port that is denied", part(6, 0, &to_port(22)), false),
        ("IPv6, a first fragment", part(6, 0, &to_port(80)), true),
        ("IPv6, a later fragment", part(6, 2, &to_port(22)), true),
        (
            "IPv6, behind options",
            v6(60, &[&[6, 0, 1, 4, 0, 0, 0, 0], &to_port(80)[..]].concat()),
            false,
        ),
        ("IPv6, a fragment with options", part(60, 0, &to_port(80)), false),
        ("IPv6, half a fragment header", v6(44, &[6, 0, 0, 0]), false),
        ("half a TCP header", ipv4_with(&[], 6, 0x4000, (own, far), &[0, 9, 0]), true),
    ] {
        let kind = if packet[0] >> 4 == 6 { 0x86dd } else { 0x0800 };
        let frame = |to| ethernet(station(to), station(HERE), kind, &packet);
        let expect = match permits {
            true => Expect::Tunnelled { peer: 1, vni: 600, tos: 0, inner: frame(0x11) },
            false => Expect::Dropped(Why::AclDenied),
        };
        picks.access(&format!("list: {name}"), tagged(&frame(0x11), VLAN), expect);
        // What is sent to hosts is held against another list, too: of IPv6, only echo requests.
        let passes = permits && kind == 0x0800 && name != "an echo request";
        let passes = passes || name == "an echo request";
        let expect = match passes {
            true => Expect::Delivered(frame(FAR), Some(FAR_VLAN)),
            false => Expect::Dropped(Why::AclDenied),
        };
        picks.access(&format!("both lists: {name}"), tagged(&frame(FAR), VLAN), expect);
    }
    let frame = ethernet(station(0x11), station(HERE), 0x88b5, &payload(60));
    let tunnel = Expect::Tunnelled { peer: 1, vni: 600, tos: 0, inner: frame.clone() };
    picks.access("list: what is no IP", tagged(&frame, VLAN), tunnel);
    let snap = |kind: [u8; 2]| {
        let ip = ported(6, own, far, 80);
        [&[0xaa, 0xaa, 3, 0, 0, 0, kind[0], kind[1]][..], &ip].concat()
    };
    let frame = ethernet(station(0x11), station(HERE), 60, &snap([0x20, 0]));
    let tunnel = Expect::Tunnelled { peer: 1, vni: 600, tos: 0, inner: frame.clone() };
    picks.access("list: SNAP with no IP", tagged(&frame, VLAN), tunnel);
    let frame = ethernet(station(0x11), station(HERE), 60, &[0xaa, 0xaa, 3]);
    let tunnel = Expect::Tunnelled { peer: 1, vni: 600, tos: 0, inner: frame.clone() };
    picks.access("list: half of SNAP", tagged(&frame, VLAN), tunnel);
    for (name, kind, packet) in [
        ("IPv4 in SNAP", 60, snap([8, 0])),
        ("IPv6 in SNAP", 60, snap([0x86, 0xdd])),
        ("half an IPv4 header", 0x0800, ported(6, own, far, 80)[..19].to_vec()),
        ("half an IPv6 header", 0x86dd, ipv6(17, ipv6_of(HERE), ipv6_of(0x11), &[])[..39].to_vec()),
    ] {
        let frame = ethernet(station(0x11), station(HERE), kind, &packet);
        let denied = Expect::Dropped(Why::AclDenied);
        picks.access(&format!("list: {name}"), tagged(&frame, VLAN), denied);
    }
}

/// From a peer, to hosts.
fn received(picks: &mut Picks) {
    let mut from_peer = |name: &str, from: [u8; 4], permits: bool| {
        let inner =
            ethernet(station(HERE), station(0x11), 0x0800, &ported(17, from, ipv4_of(HERE), 9));
        let frame = Datagram { vni: 600, ..Datagram::of(1) }.sent_to_node(&inner);
        let expect = match permits {
            true => Expect::Delivered(inner, Some(VLAN)),
            false => Expect::Dropped(Why::AclDenied),
        };
        picks.underlay(&format!("list: {name}, from a peer"), frame, expect);
    };
    from_peer("of the network", [10, 200, 0, 1], true);
    from_peer("one host is denied", [10, 1, 0, 17], false);
    from_peer("of another network", [172, 16, 0, 1], false);
    for (kind, permits) in
        [(128, true), (129, false), (134, false), (135, true), (136, true), (137, false)]
    {
        let message = [&[kind, 0, 0, 0][..], &payload(40)].concat();
        let packet = ipv6(58, ipv6_of(0x11), ipv6_of(HERE), &message);
        let inner = ethernet(station(HERE), station(0x11), 0x86dd, &packet);
        let frame = Datagram { vni: 600, ..Datagram::of(1) }.sent_to_node(&inner);
        let expect = match permits {
            true => Expect::Delivered(inner, Some(VLAN)),
            false => Expect::Dropped(Why::AclDenied),
        };
        picks.underlay(&format!("list: ICMPv6 type {kind}, from a peer"), frame, expect);
    }
}

fn flooded(picks: &mut Picks) {
    let flood = |from: [u8; 4], port| {
        let packet = ported(6, from, [255; 4], port);
        tagged(&ethernet(Mac::BROADCAST, station(HERE), 0x0800, &packet), VLAN)
    };
    picks.access_by_tc("list: a flood", flood(ipv4_of(HERE), 80), Expect::Consumed);
    picks.access_by_tc("list: a flood that is denied", flood(ipv4_of(HERE), 22), {
        Expect::Dropped(Why::AclDenied)
    });
    // The peers get theirs.
    picks.access_by_tc("list: a flood that hosts do not get", flood(ipv4_of(0x11), 80), {
        Expect::Missed(Why::AclDenied, 1)
    });
    let packet = |from: [u8; 4]| ported(17, from, [255; 4], 9);
    for (from, expect) in
        [([10, 9, 9, 9], Expect::Consumed), ([172, 16, 0, 1], Expect::Dropped(Why::AclDenied))]
    {
        let inner = ethernet(Mac::BROADCAST, station(0x11), 0x0800, &packet(from));
        let frame = Datagram { vni: 600, ..Datagram::of(1) }.sent_to_node(&inner);
        picks.underlay_by_tc(&format!("list: a flood of {from:?}, from a peer"), frame, expect);
    }
}

/// Into the segment, and out of it.
fn routed(picks: &mut Picks) {
    let with_ttl = |mut packet: Vec<u8>, ttl| {
        packet[8] = ttl;
        packet[10..12].fill(0);
        let sum = overlay_common::wire::checksum::full(&packet[..20]);
        packet[10..12].copy_from_slice(&sum.to_be_bytes());
        packet
    };
    for (from, permits) in [(ipv4_of(1), true), ([172, 16, 0, 1], false), (ipv4_of(0x11), false)] {
        let packet = ported(17, from, ipv4_of(FAR), 9);
        let frame = ethernet(ROUTER_MAC, station(1), 0x0800, &packet);
        let expect = match permits {
            true => {
                let sent = ethernet(station(FAR), ROUTER_MAC, 0x0800, &with_ttl(packet, 63));
                Expect::Delivered(sent, Some(FAR_VLAN))
            }
            false => Expect::Dropped(Why::AclDenied),
        };
        picks.access_by_tc(&format!("list: routed in from {from:?}"), frame, expect);
    }
    for (port, permits) in [(80, true), (22, false)] {
        let packet = ported(6, ipv4_of(HERE), ipv4_of(2), port);
        let frame = tagged(&ethernet(ROUTER_MAC, station(HERE), 0x0800, &packet), VLAN);
        let expect = match permits {
            true => {
                let sent = ethernet(station(2), ROUTER_MAC, 0x0800, &with_ttl(packet, 63));
                Expect::Delivered(sent, None)
            }
            false => Expect::Dropped(Why::AclDenied),
        };
        picks.access_by_tc(&format!("list: routed out to port {port}"), frame, expect);
    }
    // Before a router does anything with it, or says anything of it.
    for (name, to, ttl, otherwise) in [
        ("its own", ipv4_of(ROUTER_ADDRESS), 64, Expect::Consumed),
        ("nowhere", [10, 99, 0, 1], 64, Expect::Dropped(Why::NoRoute)),
        ("no further", ipv4_of(2), 1, Expect::Dropped(Why::TtlExceeded)),
        ("somebody unknown", [10, 1, 0, 77], 64, Expect::Consumed),
    ] {
        for (port, expect) in [(22, Expect::Dropped(Why::AclDenied)), (80, otherwise)] {
            let packet = with_ttl(ported(6, ipv4_of(HERE), to, port), ttl);
            let frame = tagged(&ethernet(ROUTER_MAC, station(HERE), 0x0800, &packet), VLAN);
            picks.access_by_tc(&format!("list: to a router, {name}, port {port}"), frame, expect);
        }
    }
}

/// Held against lists as a whole, before anybody is told, and before it is cut up.
fn too_big(picks: &mut Picks) {
    let long = |flags, port: u8| {
        let payload = [&[0, 9, 0, port][..], &[0; 1600]].concat();
        ipv4_with(&[], 17, flags, (ipv4_of(HERE), ipv4_of(0x11)), &payload)
    };
    for (name, flags, port, expect) in [
        ("to be cut up", 0, 53, Expect::Consumed),
        ("to be cut up, denied", 0, 54, Expect::Dropped(Why::AclDenied)),
        ("to be told of, denied", 0x4000, 54, Expect::Dropped(Why::AclDenied)),
    ] {
        let frame = ethernet(station(0x11), station(HERE), 0x0800, &long(flags, port));
        picks.access_by_tc(&format!("list: too big, {name}"), tagged(&frame, VLAN), expect);
    }
}

/// Lists that are not there, or lead nowhere.
fn odd(picks: &mut Picks) {
    let packet = ported(6, ipv4_of(HERE), ipv4_of(0x11), 80);
    let frame = ethernet(station(0x11), station(HERE), 0x0800, &packet);
    picks.access("a list that is gone", tagged(&frame, VLAN), Expect::Dropped(Why::AclDenied));
    let key = FilterKey { segment: FILTERED_SEGMENT, direction: FilterKey::IN };
    picks.given(Given { tables: vec![Action::DelFilter(key)], ..Given::default() });
    let put = |branch| Action::PutFilter(key, Filter { roots: [branch; 2] });
    let own = Branch::node(SPARE);
    let endless = FilterNode::new(FlowKey::PROTOCOL, (6, 6), [own, Branch::NOWHERE]);
    for (name, branch) in [
        ("beyond the table", Branch::node(MAX_FILTER_NODES)),
        ("beyond the table, of several trees", Branch::forest(MAX_FILTER_NODES)),
        ("nowhere", Branch::NOWHERE),
        ("round and round", own),
    ] {
        let denied = Expect::Dropped(Why::AclDenied);
        picks.access(&format!("a list that leads {name}"), tagged(&frame, VLAN), denied);
        let tables = vec![Action::PutFilterNode(SPARE, endless), put(branch)];
        picks.given(Given { tables, ..Given::default() });
    }
    // Of several trees, the rule with the lowest index counts, wherever it is.
    let [permit, deny, late] =
        [(5, false), (6, true), (7, true)].map(|(at, d)| Branch::leaf(at, d));
    let tcp = FilterNode::new(FlowKey::PROTOCOL, (6, 6), [permit, late]);
    let nowhere = Branch::NOWHERE;
    for (name, trees, permits) in [
        ("first", [own, deny, late, nowhere], true),
        ("in the middle", [late, deny, own, nowhere], true),
        ("last", [late, deny, late, own], true),
        ("not there", [late, deny, nowhere, nowhere], false),
        ("alone", [own, nowhere, nowhere, nowhere], true),
    ] {
        let expect = match permits {
            true => Expect::Tunnelled { peer: 1, vni: 600, tos: 0, inner: frame.clone() },
            false => Expect::Dropped(Why::AclDenied),
        };
        picks.access(&format!("several trees: the rule is {name}"), tagged(&frame, VLAN), expect);
        let nodes = [(SPARE, tcp), (SPARE - 1, FilterNode::forest(trees))];
        let nodes = nodes.map(|(index, node)| Action::PutFilterNode(index, node));
        let tables = nodes.into_iter().chain([put(Branch::forest(SPARE - 1))]).collect();
        picks.given(Given { tables, ..Given::default() });
    }
}

/// The last comparison of the table.
const SPARE: u32 = MAX_FILTER_NODES - 1;

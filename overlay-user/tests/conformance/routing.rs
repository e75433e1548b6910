//! Hand-picked vectors of routing: what is sent to a router leaves from another segment, or is
//! dropped, told or handed to user space. Packets are built byte by byte here.

use overlay_common::abi::{PuntLimit, PuntReason, RouteKey};
use overlay_common::id::SegmentId;
use overlay_common::verdict::DropReason as Why;
use overlay_common::wire::{Mac, checksum};
use overlay_control::action::Action;
use overlay_control::sample::{
    PEER_ROUTER_MAC, ROUTER_ADDRESS, ROUTER_MAC, ipv4_of, ipv6_of, station,
};
use overlay_proof::ip::ipv4_with;
use overlay_proof::neighbours;

use crate::mtu::{ipv6, payload, ptb4_from, ptb6_from, tcp};
use crate::outer::Datagram;
use crate::picked::{Expect, Picks, from_peer};
use crate::vector::{Given, ethernet, tagged};

const HOST: [u8; 4] = ipv4_of(1);
const HOST6: [u8; 16] = ipv6_of(1);

pub fn add(picks: &mut Picks) {
    between_segments(picks);
    over_ipv6(picks);
    from_peers(picks);
    clamped(picks);
    refused(picks);
    nowhere(picks);
    handed_over(picks);
    too_big(picks);
    asked(picks);
}

pub fn far6(network: u8) -> [u8; 16] {
    [0xfd, network, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9]
}

pub fn udp4(from: [u8; 4], to: [u8; 4], ttl: u8) -> Vec<u8> {
    with_ttl(ipv4_with(&[], 17, 0x4000, (from, to), &payload(60)), ttl)
}

fn with_ttl(mut packet: Vec<u8>, ttl: u8) -> Vec<u8> {
    let header = usize::from(packet[0] & 15) * 4;
    packet[8] = ttl;
    packet[10..12].fill(0);
    let sum = checksum::full(&packet[..header]);
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
    packet
}

pub fn udp6(from: [u8; 16], to: [u8; 16], hops: u8) -> Vec<u8> {
    let mut packet = ipv6(17, from, to, &payload(60));
    packet[7] = hops;
    packet
}

/// To the router of the station's segment.
pub fn to_router(from: Mac, packet: &[u8]) -> Vec<u8> {
    ethernet(ROUTER_MAC, from, ethertype(packet), packet)
}

/// From the router to the next hop.
fn routed(to: Mac, packet: &[u8]) -> Vec<u8> {
    ethernet(to, ROUTER_MAC, ethertype(packet), packet)
}

fn ethertype(packet: &[u8]) -> u16 {
    if packet[0] >> 4 == 6 { 0x86dd } else { 0x0800 }
}

fn tunnelled(peer: u8, vni: u32, inner: Vec<u8>) -> Expect {
    Expect::Tunnelled { peer, vni, tos: 0, inner }
}

fn between_segments(picks: &mut Picks) {
    let me = station(1);
    for (name, to, next_hop, expect) in [
        ("to a port of its segment", ipv4_of(2), station(2), None),
        ("to a host behind a peer", ipv4_of(0x11), station(0x11), Some((1, 100))),
        ("by a next hop in another segment", [10, 2, 0, 9], station(0x11), Some((1, 200))),
        ("by a longer prefix", [10, 2, 3, 9], station(2), None),
        ("to the router of a peer", [10, 3, 0, 9], PEER_ROUTER_MAC, Some((5, 200))),
    ] {
        let sent = routed(next_hop, &udp4(HOST, to, 63));
        let expect = match expect {
            Some((peer, vni)) => tunnelled(peer, vni, sent),
            None => Expect::Delivered(sent, None),
        };
        picks.access_by_tc(&format!("routed {name}"), to_router(me, &udp4(HOST, to, 64)), expect);
    }
    let sent = routed(station(3), &udp4(HOST, ipv4_of(3), 1));
    let frame = to_router(me, &udp4(HOST, ipv4_of(3), 2));
    picks.access_by_tc("routed to a port with tags", frame, Expect::Delivered(sent, Some(30)));
    let sent = routed(station(2), &udp4(ipv4_of(5), ipv4_of(2), 254));
    let frame = tagged(&to_router(station(5), &udp4(ipv4_of(5), ipv4_of(2), 255)), 20);
    picks.access_by_tc("routed from a port with tags", frame, Expect::Delivered(sent, None));
    let options = |ttl| with_ttl(ipv4_with(&[1; 8], 17, 0, (HOST, ipv4_of(2)), &payload(40)), ttl);
    let frame = to_router(me, &options(64));
    let sent = routed(station(2), &options(63));
    picks.access_by_tc("routed with IPv4 options", frame, Expect::Delivered(sent, None));
    let fragment =
        |ttl| with_ttl(ipv4_with(&[], 17, 0x2010, (HOST, ipv4_of(2)), &payload(40)), ttl);
    let frame = to_router(me, &fragment(64));
    let sent = routed(station(2), &fragment(63));
    picks.access_by_tc("routed fragment", frame, Expect::Delivered(sent, None));
    let padded = |packet: Vec<u8>| [&packet[..], &[0; 20]].concat();
    let frame = to_router(me, &padded(udp4(HOST, ipv4_of(2), 64)));
    let sent = routed(station(2), &padded(udp4(HOST, ipv4_of(2), 63)));
    picks.access_by_tc("routed with padding", frame, Expect::Delivered(sent, None));
}

fn over_ipv6(picks: &mut Picks) {
    let me = station(1);
    for (name, to, next_hop, expect) in [
        ("to a port of its segment", ipv6_of(2), station(2), None),
        ("by a next hop in another segment", far6(2), station(0x11), Some((1, 200))),
        ("to the router of a peer", far6(3), PEER_ROUTER_MAC, Some((5, 200))),
    ] {
        let sent = routed(next_hop, &udp6(HOST6, to, 63));
        let expect = match expect {
            Some((peer, vni)) => tunnelled(peer, vni, sent),
            None => Expect::Delivered(sent, None),
        };
        let frame = to_router(me, &udp6(HOST6, to, 64));
        picks.access_by_tc(&format!("IPv6 routed {name}"), frame, expect);
    }
}

fn from_peers(picks: &mut Picks) {
    let peer = station(0x11);
    let from = ipv4_of(0x11);
    for vni in [100, 200] {
        let sent = routed(station(2), &udp4(from, ipv4_of(2), 63));
        let frame = from_peer(vni, &to_router(peer, &udp4(from, ipv4_of(2), 64)));
        let name = format!("routed from a peer by VNI {vni}");
        picks.underlay_by_tc(&name, frame, Expect::Delivered(sent, None));
    }
    let sent = routed(PEER_ROUTER_MAC, &udp4(from, [10, 3, 0, 9], 63));
    let frame = from_peer(200, &to_router(peer, &udp4(from, [10, 3, 0, 9], 64)));
    picks.underlay_by_tc("routed from peer to peer", frame, tunnelled(5, 200, sent));
    let sent = routed(station(2), &udp6(ipv6_of(0x11), ipv6_of(2), 63));
    let inner = to_router(station(0x15), &udp6(ipv6_of(0x11), ipv6_of(2), 64));
    let frame = Datagram { vni: 200, ..Datagram::of(5) }.sent_to_node(&inner);
    picks.underlay_by_tc("routed from a peer over IPv6", frame, Expect::Delivered(sent, None));
    let frame = from_peer(100, &ethernet(ROUTER_MAC, peer, 0x88b5, &payload(60)));
    let why = Expect::Dropped(Why::NotRoutable);
    picks.underlay_by_tc("what is no IP, from a peer", frame, why);
    let mut marked = udp4(from, ipv4_of(2), 64);
    marked[1] = 2;
    let mut congested = marked.clone();
    congested[1] = 3;
    let inner = to_router(peer, &with_ttl(marked, 64));
    let frame = Datagram { ecn: 3, ..Datagram::of(1) }.sent_to_node(&inner);
    let sent = routed(station(2), &with_ttl(congested, 63));
    picks.underlay_by_tc("routed and congested", frame, Expect::Delivered(sent, None));
    let mut dropped = |name: &str, packet: Vec<u8>, why| {
        let frame = from_peer(100, &to_router(peer, &packet));
        picks.underlay_by_tc(&format!("{name}, from a peer"), frame, Expect::Dropped(why));
    };
    dropped("no route", udp4(from, [10, 99, 0, 1], 64), Why::NoRoute);
    dropped("the last hop", udp4(from, ipv4_of(2), 1), Why::TtlExceeded);
    dropped("no IP address", udp4([127, 0, 0, 1], ipv4_of(2), 64), Why::NotRoutable);
    let long = ipv4_with(&[], 17, 0x4000, (from, ipv4_of(4)), &payload(1100));
    dropped("too big for its way on", long, Why::TooBig);
}

fn clamped(picks: &mut Picks) {
    let syn = |mss: u16, ttl| {
        let [a, b] = mss.to_be_bytes();
        let addresses = [HOST, [10, 3, 0, 9]].concat();
        let segment = tcp(2, &[2, 4, a, b], &addresses);
        with_ttl(ipv4_with(&[], 6, 0x4000, (HOST, [10, 3, 0, 9]), &segment), ttl)
    };
    let sent = routed(PEER_ROUTER_MAC, &syn(1460, 63));
    let frame = to_router(station(1), &syn(8960, 64));
    picks.access_by_tc("SYN routed to a peer", frame, tunnelled(5, 200, sent));
    let sent = routed(PEER_ROUTER_MAC, &syn(536, 63));
    let frame = to_router(station(1), &syn(536, 64));
    picks.access_by_tc("SYN with a small segment, routed", frame, tunnelled(5, 200, sent));
}

fn refused(picks: &mut Picks) {
    let mut not_routable = |name: &str, kind: u16, packet: &[u8]| {
        let frame = ethernet(ROUTER_MAC, station(1), kind, packet);
        picks.access_by_tc(
            &format!("not routable: {name}"),
            frame,
            Expect::Dropped(Why::NotRoutable),
        );
    };
    not_routable("what is no IP", 0x88b5, &payload(60));
    not_routable("half an IPv4 header", 0x0800, &udp4(HOST, ipv4_of(2), 64)[..20][..19]);
    let mut broken = udp4(HOST, ipv4_of(2), 64);
    broken[10] ^= 1;
    not_routable("a wrong checksum", 0x0800, &broken);
    let version = [&[0x65][..], &udp4(HOST, ipv4_of(2), 64)[1..]].concat();
    not_routable("another version", 0x0800, &version);
    let mut short = udp4(HOST, ipv4_of(2), 64);
    short[0] = 0x44;
    not_routable("a header too short", 0x0800, &short);
    let cut = udp4(HOST, ipv4_of(2), 64);
    not_routable("a packet that ends early", 0x0800, &cut[..cut.len() - 1]);
    for (name, from, to) in [
        ("from a group", [224, 0, 0, 1], ipv4_of(2)),
        ("from loopback", [127, 0, 0, 1], ipv4_of(2)),
        ("from no address", [0; 4], ipv4_of(2)),
        ("to a group", HOST, [239, 1, 2, 3]),
        ("to everybody", HOST, [255; 4]),
        ("to loopback", HOST, [127, 0, 0, 1]),
    ] {
        not_routable(name, 0x0800, &udp4(from, to, 64));
    }
    let packet = udp6(HOST6, ipv6_of(2), 64);
    not_routable("half an IPv6 header", 0x86dd, &packet[..39]);
    not_routable("IPv6 that ends early", 0x86dd, &packet[..packet.len() - 1]);
    let version = [&[0x50][..], &packet[1..]].concat();
    not_routable("IPv6 of another version", 0x86dd, &version);
    let mut link_local = HOST6;
    link_local[..2].copy_from_slice(&[0xfe, 0xbf]);
    not_routable("from a link-local address", 0x86dd, &udp6(link_local, ipv6_of(2), 64));
    not_routable("from an IPv6 group", 0x86dd, &udp6([0xff; 16], ipv6_of(2), 64));
    not_routable("to an IPv6 group", 0x86dd, &udp6(HOST6, [0xff; 16], 64));
    let frame = ethernet(ROUTER_MAC, station(1), 0x0806, &payload(60));
    picks.access_by_tc("ARP in name only, to the router", frame, Expect::Consumed);
    let frame = tagged(&to_router(station(11), &udp4(HOST, ipv4_of(2), 64)), 70);
    picks.access_by_tc("over its segment's limit, routed", frame, Expect::Dropped(Why::Policed));
    let frame = to_router(station(1), &udp4(HOST, ipv4_of(7), 64));
    picks.access_by_tc("routed to a port that is down", frame, Expect::Dropped(Why::PortDown));
    let frame = to_router(station(1), &udp4(HOST, [10, 7, 0, 1], 64));
    picks.access_by_tc("routed beyond every table", frame, Expect::Dropped(Why::TableInconsistent));
}

fn nowhere(picks: &mut Picks) {
    let me = station(1);
    let mut dropped = |name: &str, packet: Vec<u8>, why| {
        picks.access_by_tc(name, to_router(me, &packet), Expect::Dropped(why));
    };
    dropped("no route", udp4(HOST, [10, 99, 0, 1], 64), Why::NoRoute);
    dropped("no route of IPv6", udp6(HOST6, far6(9), 64), Why::NoRoute);
    dropped("unreachable", udp4(HOST, [10, 6, 0, 1], 64), Why::NoRoute);
    dropped("a black hole", udp4(HOST, [10, 5, 0, 1], 64), Why::NoRoute);
    dropped("the last hop", udp4(HOST, ipv4_of(2), 1), Why::TtlExceeded);
    dropped("beyond the last hop", udp4(HOST, ipv4_of(2), 0), Why::TtlExceeded);
    dropped("the last hop of IPv6", udp6(HOST6, ipv6_of(2), 1), Why::TtlExceeded);
    dropped("no route, and too many are told", udp4(HOST, [10, 99, 0, 1], 64), Why::NoRoute);
    picks.given(silent());
    // Another VRF has another idea of where that is.
    let frame = tagged(&to_router(station(8), &udp4(HOST, [10, 5, 0, 1], 64)), 50);
    let sent = routed(Mac([0; 6]), &udp4(HOST, [10, 5, 0, 1], 63));
    picks.access_by_tc("the same address in another VRF", frame, tunnelled(4, 400, sent));
    let frame = to_router(me, &udp4(HOST, ipv4_of(2), 64));
    picks.access_by_tc("a VRF without routes", frame, Expect::Dropped(Why::NoRoute));
    picks.given(Given { tables: vec![Action::DelRouter(SegmentId(1))], ..Given::default() });
    let frame = to_router(me, &udp4(HOST, ipv4_of(2), 64));
    picks.access_by_tc("a route that is gone", frame, Expect::Dropped(Why::NoRoute));
    let gone = RouteKey::prefix(1, [10, 1, 0, 0].into(), 24);
    picks.given(Given { tables: vec![Action::DelRoute(gone)], ..Given::default() });
}

/// No router says anything.
fn silent() -> Given {
    let tables = vec![Action::PutPuntLimit(PuntReason::Router, PuntLimit::default())];
    Given { tables, ..Given::default() }
}

fn handed_over(picks: &mut Picks) {
    let own = ipv4_of(ROUTER_ADDRESS);
    let mut handed = |name: &str, packet: Vec<u8>| {
        let frame = to_router(station(1), &packet);
        picks.access_by_tc(&format!("handed over: {name}"), frame, Expect::Consumed);
    };
    handed("to the router", udp4(HOST, own, 64));
    handed("to the router, by its last hop", udp4(HOST, own, 1));
    handed("to the router over IPv6", udp6(HOST6, ipv6_of(ROUTER_ADDRESS), 64));
    let mut link_local = HOST6;
    link_local[..2].copy_from_slice(&[0xfe, 0x80]);
    handed("to the router from the link", udp6(link_local, ipv6_of(ROUTER_ADDRESS), 64));
    handed("to an address nobody was heard of", udp4(HOST, ipv4_of(99), 64));
    handed("to an IPv6 address nobody was heard of", udp6(HOST6, ipv6_of(99), 64));
    handed("to a station that is gone", udp4(HOST, ipv4_of(0x77), 64));
    handed("by a next hop that is the router itself", udp4(HOST, [10, 8, 0, 1], 64));
    handed("to a peer that is not resolved", udp4(HOST, [10, 4, 0, 1], 64));
    let frame = to_router(station(1), &udp4(HOST, own, 64));
    picks.access_by_tc("to the router, too often", frame, Expect::Dropped(Why::PuntLimited));
    picks.given(silent());
}

fn too_big(picks: &mut Picks) {
    let me = station(1);
    let big = |flags| ipv4_with(&[], 17, flags, (HOST, ipv4_of(4)), &payload(1100));
    let answer =
        ptb4_from(ipv4_of(ROUTER_ADDRESS), HOST, (me, ROUTER_MAC), 1000, &big(0x4000)[..548]);
    let frame = to_router(me, &big(0x4000));
    picks.access_by_tc("PTB: from the router", frame, Expect::Answered(answer));
    let frame = to_router(me, &big(0));
    picks.access_by_tc("to be cut up on its way on", frame, Expect::Consumed);
    let packet = ipv6(17, HOST6, far6(3), &payload(1461));
    let from = ipv6_of(ROUTER_ADDRESS);
    let answer = ptb6_from(from, HOST6, (me, ROUTER_MAC), 1500, &packet[..1232]);
    let frame = to_router(me, &packet);
    picks.access_by_tc("PTB: from the router over IPv6", frame, Expect::Answered(answer));
    let error = [&[3, 1][..], &payload(1100)].concat();
    let packet = ipv4_with(&[], 1, 0x4000, (HOST, ipv4_of(4)), &error);
    let frame = to_router(me, &packet);
    picks.access_by_tc(
        "no PTB from the router about an error",
        frame,
        Expect::Dropped(Why::TooBig),
    );
    let frame = to_router(me, &big(0x4000));
    picks.access_by_tc("no PTB from the router: too many", frame, Expect::Dropped(Why::TooBig));
    picks.given(crate::mtu::no_ptb());
    // A router without an address says nothing.
    let packet = ipv4_with(&[], 17, 0x4000, (HOST, ipv4_of(4)), &payload(9000));
    let frame = tagged(&to_router(station(8), &packet[..1600]), 50);
    picks.access_by_tc("half a packet, too big", frame, Expect::Dropped(Why::NotRoutable));
    for (name, packet) in [
        ("IPv4", ipv4_with(&[], 17, 0x4000, (HOST, [10, 99, 0, 1]), &payload(2100))),
        ("IPv6", ipv6(17, HOST6, far6(9), &payload(2100))),
    ] {
        let frame = tagged(&to_router(station(8), &packet), 50);
        let name = format!("no PTB from a router without an address of {name}");
        picks.access_by_tc(&name, frame, Expect::Dropped(Why::TooBig));
        picks.given(narrow());
    }
}

/// Peer 4 takes less, and VRF 2 routes all of IPv6 there, too.
fn narrow() -> Given {
    use overlay_control::sample::{Devices, actions};
    let mut tables = Vec::new();
    for action in actions(&Devices::default()) {
        match action {
            Action::PutPeer(id, mut peer) if id.0 == 4 => {
                peer.max_frame = 1514;
                tables.push(Action::PutPeer(id, peer));
            }
            Action::PutRoute(key, route) if key.vrf() == 2 && key.bits == 128 => {
                tables.push(Action::PutRoute(RouteKey::prefix(2, [0; 16].into(), 0), route));
            }
            _ => {}
        }
    }
    Given { tables, ..Given::default() }
}

/// Who asks the router alone whether it is there is answered.
fn asked(picks: &mut Picks) {
    let (me, own) = (station(1), ipv4_of(ROUTER_ADDRESS));
    for (name, to) in [("everybody", Mac::BROADCAST), ("the router", ROUTER_MAC)] {
        let question = neighbours::arp(1, (me, HOST), (Mac([0; 6]), own));
        let answer = neighbours::arp(2, (ROUTER_MAC, own), (me, HOST));
        let frame = ethernet(to, me, 0x0806, &question);
        let answer = ethernet(me, ROUTER_MAC, 0x0806, &answer);
        let name = format!("{name} is asked for the router's address");
        picks.access_by_tc(&name, frame, Expect::Delivered(answer, None));
    }
}

//! The way to a peer, and what stands in it.

use std::net::{IpAddr, Ipv4Addr};

use overlay_common::abi::{Egress, Peer};
use overlay_common::wire::{Mac, Outer4, bytes_of};
use overlay_control::controller::{LinkInfo, NextHop, PeerState, PeerView, WayView};

use crate::gateway::{Gateway, ROUTER, TWO_SEGMENTS, UPLINK_INDEX, UPLINK_MAC, link};

const GW2: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);
const GATEWAY: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 254);

fn hop(ifindex: u32, mac: Option<Mac>) -> Option<NextHop> {
    Some(NextHop { ifindex, gateway: IpAddr::V4(GATEWAY), mac, mtu: None })
}

fn entry(gateway: &Gateway) -> Peer {
    gateway.tables.peers[&gateway.peer("gw2")]
}

fn shown(gateway: &Gateway) -> PeerView {
    gateway.controller.peers().remove(0)
}

#[test]
fn a_resolved_peer_has_its_outer_header() {
    let mut gateway = Gateway::ready(TWO_SEGMENTS);
    gateway.next_hop(GW2, hop(UPLINK_INDEX, Some(ROUTER)));
    let entry = entry(&gateway);
    assert_eq!(entry.flags, Peer::READY | Peer::CLAMP);
    assert_eq!(entry.egress, Egress { ifindex: UPLINK_INDEX, flags: 0 });
    assert_eq!(entry.max_frame, 1464);
    let outer = entry.headers::<Outer4>();
    assert_eq!((outer.ethernet.destination, outer.ethernet.source), (ROUTER, UPLINK_MAC));
    // Bytes, and a checksum, from RFC 791 and RFC 7348 by hand.
    let expected: [u8; 36] = [
        0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, 17, 0xb6, 0xe9, 192, 0, 2, 1, 192, 0, 2, 2, // IPv4
        0, 0, 0x12, 0xb5, 0, 0, 0, 0, // UDP
        0x08, 0, 0, 0, 0, 0, 0, 0, // VXLAN
    ];
    assert_eq!(bytes_of(&outer)[12..14], [0x08, 0x00]);
    assert_eq!(bytes_of(&outer)[14..50], expected);
    let shown = shown(&gateway);
    assert_eq!((shown.state, shown.why), (PeerState::Ready, None));
    let way = WayView {
        interface: Some("eth0".into()),
        next_hop: IpAddr::V4(GATEWAY),
        mac: Some(ROUTER),
        ready: true,
    };
    assert_eq!(shown.ways, [way]);
}

#[test]
fn a_router_that_changes_its_address_is_followed() {
    let mut gateway = Gateway::ready(TWO_SEGMENTS);
    let other = Mac([2, 9, 9, 9, 9, 9]);
    gateway.next_hop(GW2, hop(UPLINK_INDEX, Some(other)));
    assert_eq!(gateway.last.len(), 1, "one peer, one change");
    assert_eq!(entry(&gateway).headers::<Outer4>().ethernet.destination, other);
    gateway.next_hop(GW2, hop(UPLINK_INDEX, Some(other)));
    assert_eq!(gateway.last, []);
}

#[test]
fn what_stands_in_the_way_is_named() {
    let mut gateway = Gateway::ready(TWO_SEGMENTS);
    for (next_hop, why) in [
        (None, "no route to 192.0.2.2"),
        (hop(3, Some(ROUTER)), "the route to 192.0.2.2 leaves by eth1, which is no [[uplink]]"),
        (
            hop(99, Some(ROUTER)),
            "the route to 192.0.2.2 leaves by device 99, which is no [[uplink]]",
        ),
        (hop(UPLINK_INDEX, None), "next hop 192.0.2.254 does not answer on eth0"),
    ] {
        gateway.resolve(GW2);
        assert!(entry(&gateway).is_ready());
        gateway.next_hop(GW2, next_hop);
        let shown = shown(&gateway);
        assert_eq!((shown.state, shown.why.as_deref()), (PeerState::Unresolved, Some(why)));
        let entry = entry(&gateway);
        assert!(!entry.is_ready(), "{why}");
        assert_eq!((entry.egress, entry.max_frame), (Egress::default(), 0));
        let outer = entry.headers::<Outer4>();
        assert_eq!(outer.ip.destination, GW2.octets(), "whoever reads the table knows the peer");
    }
    gateway.resolve(GW2);
    gateway.link(LinkInfo { up: false, ..link("eth0", UPLINK_INDEX) });
    assert_eq!(shown(&gateway).why.as_deref(), Some("uplink eth0 is down"));
}

#[test]
fn a_peer_is_resolved_alone() {
    let mut gateway = Gateway::bare(TWO_SEGMENTS);
    gateway.link(link("eth0", UPLINK_INDEX));
    gateway.resolve(GW2);
    let ready = |name: &str| gateway.tables.peers[&gateway.peer(name)].is_ready();
    assert!(ready("gw2") && !ready("gw3"));
}

#[test]
fn the_way_may_be_known_before_the_link() {
    let mut gateway = Gateway::bare(TWO_SEGMENTS);
    gateway.resolve(GW2);
    assert!(!entry(&gateway).is_ready());
    gateway.link(link("eth0", UPLINK_INDEX));
    assert!(entry(&gateway).is_ready());
}

#[test]
fn a_route_that_moves_to_another_uplink_is_followed() {
    let text = TWO_SEGMENTS.replace("[[uplink]]", "[[uplink]]\ninterface = \"eth3\"\n[[uplink]]");
    let mut gateway = Gateway::ready(&text);
    gateway.link(LinkInfo { mtu: 9000, ..link("eth3", 5) });
    gateway.next_hop(GW2, hop(5, Some(ROUTER)));
    assert_eq!((entry(&gateway).egress.ifindex, entry(&gateway).max_frame), (5, 8964));
}

#[test]
fn addresses_that_are_no_peers_are_ignored() {
    let mut gateway = Gateway::ready(TWO_SEGMENTS);
    gateway.next_hop(Ipv4Addr::new(198, 51, 100, 1), hop(UPLINK_INDEX, Some(ROUTER)));
    assert_eq!(gateway.last, []);
    let v6: IpAddr = "2001:db8::2".parse().unwrap();
    gateway.controller.handle_next_hops(
        v6,
        hop(UPLINK_INDEX, Some(ROUTER)).into_iter().collect(),
        gateway.now,
    );
    gateway.drain();
    assert_eq!(gateway.last, []);
}

#[test]
fn an_mtu_too_small_for_a_tunnel_lets_nothing_through() {
    let mut gateway = Gateway::ready(TWO_SEGMENTS);
    gateway.link(LinkInfo { mtu: 20, ..link("eth0", UPLINK_INDEX) });
    assert_eq!(entry(&gateway).max_frame, 0);
}

#[test]
fn a_path_takes_the_least_of_uplink_route_and_peer() {
    let with =
        |peer: &str| TWO_SEGMENTS.replace("\"192.0.2.2\"", &format!("\"192.0.2.2\"\n{peer}"));
    for (peer, route, path) in [
        ("", None, 1500),
        ("", Some(1400), 1400),
        ("", Some(9000), 1500),
        ("mtu = 1300", None, 1300),
        ("mtu = 1300", Some(1400), 1300),
        ("mtu = 1450", Some(1400), 1400),
        ("mtu = 9000", None, 1500),
    ] {
        let mut gateway = Gateway::ready(&with(peer));
        let way = hop(UPLINK_INDEX, Some(ROUTER)).map(|way| NextHop { mtu: route, ..way });
        gateway.next_hop(GW2, way);
        assert_eq!(entry(&gateway).max_frame, path - 36, "{peer:?} {route:?}");
        assert_eq!(shown(&gateway).mtu, Some(u32::from(path) - 50));
    }
    let mut gateway = Gateway::ready(&with("mtu = 1300"));
    gateway.controller.handle_next_hops(GW2.into(), Vec::new(), gateway.now);
    gateway.drain();
    assert_eq!(shown(&gateway).mtu, None);
}

#[test]
fn tcp_is_told_what_fits_unless_that_is_switched_off() {
    let text = TWO_SEGMENTS.replace("[node]", "[node]\nmss_clamp = false");
    let mut gateway = Gateway::ready(&text);
    gateway.next_hop(GW2, hop(UPLINK_INDEX, Some(ROUTER)));
    assert_eq!(entry(&gateway).flags, Peer::READY);
}

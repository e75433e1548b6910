//! Several next hops for a peer.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use overlay_common::abi::{Egress, Peer, Way};
use overlay_common::wire::Mac;
use overlay_control::action::Action;
use overlay_control::controller::{LinkInfo, NextHop};

use crate::gateway::{Gateway, TWO_SEGMENTS, UPLINK_INDEX, link};

const VTEPS: [&str; 2] = ["192.0.2.2", "192.0.2.3"];

/// A second uplink.
const OTHER: u32 = 5;

fn gateway() -> Gateway {
    let text = TWO_SEGMENTS.replace("[[uplink]]", "[[uplink]]\ninterface = \"eth3\"\n[[uplink]]");
    let mut gateway = Gateway::ready(&text);
    for vtep in VTEPS {
        set(&mut gateway, vtep, &[(UPLINK_INDEX, true), (OTHER, true)]);
    }
    gateway
}

fn router(ifindex: u32) -> Mac {
    Mac([2, 0, 0, 0, 0xee, ifindex as u8])
}

/// Sets a route's next hops: devices, and whether their routers are resolved.
fn set(gateway: &mut Gateway, vtep: &str, hops: &[(u32, bool)]) {
    let hop = |(ifindex, resolved): &(u32, bool)| NextHop {
        ifindex: *ifindex,
        gateway: IpAddr::V4(Ipv4Addr::new(198, 51, 100, *ifindex as u8)),
        mac: resolved.then(|| router(*ifindex)),
        mtu: None,
    };
    let vtep = vtep.parse().unwrap();
    gateway.controller.handle_next_hops(vtep, hops.iter().map(hop).collect(), gateway.now);
    gateway.drain();
}

fn peer(gateway: &Gateway, name: &str) -> Peer {
    gateway.tables.peers[&gateway.peer(name)]
}

/// How many entries each way of a peer has, by device.
fn shares(gateway: &Gateway, name: &str) -> BTreeMap<u32, usize> {
    let peer = peer(gateway, name);
    assert!(peer.is_ready() && peer.is_multipath(), "{peer:?}");
    let mut shares = BTreeMap::new();
    for bucket in 0..Way::BUCKETS {
        let way = gateway.tables.ways[&(peer.egress.ifindex + bucket)];
        assert_eq!(way.next_hop, router(way.egress.ifindex));
        *shares.entry(way.egress.ifindex).or_default() += 1;
    }
    shares
}

fn down(ifindex: u32) -> LinkInfo {
    let name = if ifindex == OTHER { "eth3" } else { "eth0" };
    LinkInfo { up: false, ..link(name, ifindex) }
}

#[test]
fn the_ways_of_a_route_are_shared_by_its_peers() {
    let gateway = gateway();
    assert_eq!(shares(&gateway, "gw2"), BTreeMap::from([(UPLINK_INDEX, 8), (OTHER, 8)]));
    assert_eq!(peer(&gateway, "gw2").egress, peer(&gateway, "gw3").egress);
    assert_eq!(gateway.tables.ways.len(), 16);
}

#[test]
fn a_link_that_goes_down_is_withdrawn_for_all_peers_at_once() {
    let mut gateway = gateway();
    gateway.link(down(OTHER));
    assert_eq!(shares(&gateway, "gw2"), BTreeMap::from([(UPLINK_INDEX, 16)]));
    let is_way = |action: &Action| matches!(action, Action::PutWay(..));
    assert!(gateway.last[..8].iter().all(is_way), "before anything else: {:?}", gateway.last);
    let peers = gateway.last.iter().filter(|action| matches!(action, Action::PutPeer(..)));
    assert_eq!(peers.count(), 0, "no peer is written");
    gateway.link(link("eth3", OTHER));
    assert_eq!(shares(&gateway, "gw2"), BTreeMap::from([(UPLINK_INDEX, 8), (OTHER, 8)]));
}

#[test]
fn without_any_way_a_peer_is_unresolved() {
    let mut gateway = gateway();
    gateway.link(down(OTHER));
    gateway.link(down(UPLINK_INDEX));
    assert!(!peer(&gateway, "gw2").is_ready());
    let shown = gateway.controller.peers().remove(0);
    assert_eq!(shown.why.as_deref(), Some("uplink eth0 is down"));
    gateway.link(link("eth3", OTHER));
    assert_eq!(shares(&gateway, "gw2"), BTreeMap::from([(OTHER, 16)]));
}

#[test]
fn a_router_that_does_not_answer_is_left_out() {
    let mut gateway = gateway();
    set(&mut gateway, VTEPS[0], &[(UPLINK_INDEX, true), (OTHER, false)]);
    set(&mut gateway, VTEPS[1], &[(UPLINK_INDEX, true), (OTHER, false)]);
    assert_eq!(shares(&gateway, "gw3"), BTreeMap::from([(UPLINK_INDEX, 16)]));
    let ready: Vec<bool> = gateway.controller.peers()[0].ways.iter().map(|way| way.ready).collect();
    assert_eq!(ready, [true, false]);
}

#[test]
fn frames_are_as_long_as_every_way_allows_and_go_where_all_can() {
    let mut gateway = gateway();
    gateway.controller.handle_attached("eth0", Egress::XDP | Egress::PEER, gateway.now);
    gateway.controller.handle_attached("eth3", Egress::XDP, gateway.now);
    gateway.link(LinkInfo { mtu: 1400, ..link("eth3", OTHER) });
    let peer = peer(&gateway, "gw2");
    assert_eq!((peer.max_frame, peer.egress.flags), (1364, Egress::XDP));
}

#[test]
fn a_route_with_one_next_hop_needs_no_group() {
    let mut gateway = gateway();
    for vtep in VTEPS {
        set(&mut gateway, vtep, &[(OTHER, true)]);
    }
    let entry = peer(&gateway, "gw2");
    assert!(entry.is_ready() && !entry.is_multipath());
    assert_eq!(entry.egress.ifindex, OTHER);
    // The group's number can be had again a moment later, and not before.
    gateway.wait(1);
    set(&mut gateway, VTEPS[0], &[(OTHER, true), (UPLINK_INDEX, true)]);
    assert_eq!(shares(&gateway, "gw2").len(), 2);
}

//! Vectors for what seldom happens: tables at odds with themselves, limits that are shut,
//! devices that are gone, super-frames, frames too short for one hook and not for another.

use overlay_common::abi::{
    Egress, FdbEntry, FdbKey, FloodKey, FloodList, Peer, Permit, PermitKey, Port, PuntLimit,
    PuntReason, Segment, Target,
};
use overlay_common::id::{PeerId, PortId, SegmentId};
use overlay_common::verdict::DropReason as Why;
use overlay_common::wire::{Encap, Ends, Family, Mac, Tag, TagKind, Template};
use overlay_control::action::Action;
use overlay_control::sample::{
    CALM_PORT, DANGLING_STATION, DOWN_PORT, EPOCH, OVER_IPV6_PORT, PEERS, PLAIN_PORT, SECOND_PORT,
    UPLINK_MAC, next_hop, station,
};

use crate::outer::Datagram;
use crate::picked::{Expect, Picks, arp, from_peer, inner_to, ipv4, ipv6, tcp_to};
use crate::vector::{Given, ethernet, tagged};

/// No device has this index.
const GONE: Egress = Egress { ifindex: u32::MAX, flags: Egress::XDP };
/// An index beyond every table.
const NOWHERE: u32 = 1 << 20;

/// Adds all of them.
pub fn add(picks: &mut Picks) {
    short_of_a_header(picks);
    small_inner_frames(picks);
    limits(picks);
    missing_copies(picks);
    missing_entries(picks);
    too_big(picks);
    padded_control_packet(picks);
    super_frames(picks);
    half_headers(picks);
}

fn tables(tables: Vec<Action>) -> Given {
    Given { tables, ..Given::default() }
}

fn nobody_reads() -> Given {
    Given { nobody_reads: true, ..Given::default() }
}

/// Tags with no frame, or half a one, behind them.
fn short_of_a_header(picks: &mut Picks) {
    let to_peer = ethernet(station(0x11), station(SECOND_PORT as u8), 0x0800, &[]);
    let group = ethernet(Mac::BROADCAST, station(SECOND_PORT as u8), 0x0800, &[]);
    for len in [16, 17] {
        let resize = || Expect::Dropped(Why::ResizeFailed);
        let name = |what: &str| format!("{what} a tag and {len} bytes in all");
        picks.access(&name("to a peer,"), tagged(&to_peer, 20)[..len].to_vec(), resize());
        picks.access_by_tc(&name("to all,"), tagged(&group, 20)[..len].to_vec(), resize());
    }
    let double = tagged(&tagged(&to_peer, 7), 20);
    for len in [20, 21] {
        let name = format!("two tags and {len} bytes in all");
        picks.access(&name, double[..len].to_vec(), Expect::Dropped(Why::ResizeFailed));
        picks.in_xdp(Expect::Dropped(Why::InnerVlan));
        picks.in_user_space(Expect::Dropped(Why::InnerVlan));
    }
    let beside = Given { stripped_vlan: Some(Tag::new(TagKind::Customer, 20)), ..Given::default() };
    let inner = ethernet(station(0x11), station(SECOND_PORT as u8), 0x0800, &ipv4(0, 6, 9));
    let tunnel = Expect::Tunnelled { peer: 1, vni: 200, tos: 0, inner: inner.clone() };
    picks.access("a tag beside the bytes", inner.clone(), tunnel);
    picks.given(beside.clone());
    let refused = Expect::Dropped(Why::InnerVlan);
    picks.access("a tag beside the bytes, and one inside", tagged(&inner, 7), refused);
    picks.given(beside);
}

/// tc leaves an IP header behind the inner Ethernet header, or nothing.
fn small_inner_frames(picks: &mut Picks) {
    for peer in [1, 4, 5, 6] {
        for (what, kind, least) in
            [("no IP", 0x88b5, 20), ("IPv4", 0x0800, 20), ("IPv6", 0x86dd, 40)]
        {
            for len in [0, least - 1, least] {
                let inner = ethernet(station(2), station(0x11), kind, &vec![0; len]);
                let frame = Datagram::of(peer).sent_to_node(&inner);
                let name = format!("{what} of {len} bytes from peer {peer}");
                picks.underlay(&name, frame, Expect::Delivered(inner.clone(), None));
                if len < least {
                    picks.tc_refuses();
                }
            }
        }
    }
    for (what, kind) in [("IPv4", 0x0800), ("IPv6", 0x86dd)] {
        let inner = ethernet(station(2), station(0x11), kind, &[0x45; 9]);
        let marked = Datagram { ecn: 3, ..Datagram::of(1) }.sent_to_node(&inner);
        let name = format!("congestion, but {what} cut off before it could say so");
        picks.underlay(&name, marked, Expect::Delivered(inner, None));
        picks.tc_refuses();
    }
    let other = ethernet(station(2), station(0x11), 0x88b5, &arp());
    let marked = Datagram { ecn: 3, ..Datagram::of(1) }.sent_to_node(&other);
    picks.underlay("congestion, and no IP inside", marked, Expect::Delivered(other, None));
}

fn limits(picks: &mut Picks) {
    let shut =
        |reason| tables(vec![Action::PutPuntLimit(reason, PuntLimit { per_second: 0, burst: 0 })]);
    let unresolved = tcp_to(station(0x13));
    let flooded = tagged(
        &ethernet(Mac::BROADCAST, station(OVER_IPV6_PORT as u8), 0x0800, &ipv4(0, 17, 9)),
        50,
    );
    let control =
        Datagram { geneve: [0, 0x80], ..Datagram::of(4) }.sent_to_node(&inner_to(station(2)));
    let (limited, full) = (Why::PuntLimited, Why::PuntQueueFull);
    for (given, reason, what) in [
        (shut as fn(PuntReason) -> Given, limited, "over its rate"),
        (|_| nobody_reads(), full, "and nobody reads"),
    ] {
        let name = |kind: &str| format!("{kind} for user space, {what}");
        picks.access(&name("an unresolved peer's"), unresolved.clone(), Expect::Dropped(reason));
        picks.given(given(PuntReason::PeerUnresolved));
        picks.access_by_tc(&name("a flood's rest"), flooded.clone(), Expect::Missed(reason, 2));
        picks.given(given(PuntReason::Flood));
        picks.underlay(&name("a control packet"), control.clone(), Expect::Dropped(reason));
        picks.given(given(PuntReason::Control));
        let unknown = ethernet(station(2), station(0x70), 0x0800, &ipv4(0, 6, 9));
        picks.access(&name("a report"), unknown.clone(), Expect::Delivered(unknown, None));
        picks.given(given(PuntReason::Learn));
    }
}

/// Floods of which one copy is not sent.
fn missing_copies(picks: &mut Picks) {
    let port = |egress| {
        let port = Port { egress, max_frame: 1514, vlan: 0, segment: 1 };
        Action::PutPort(PortId(PLAIN_PORT), port)
    };
    let slot =
        |slot, target| Action::PutFlood(FloodKey { segment: 1, generation: 1, slot }, target);
    let group = ethernet(Mac::BROADCAST, station(1), 0x88b5, &arp());
    let from_peer = from_peer(100, &ethernet(Mac::BROADCAST, station(0x11), 0x88b5, &arp()));
    for (name, why, change) in [
        ("a port's device is gone", Why::CopyFailed, port(GONE)),
        ("a port has no device", Why::PortDown, slot(1, Target::port(DOWN_PORT))),
        ("a port is none", Why::TableInconsistent, slot(1, Target::port(NOWHERE))),
    ] {
        let missed = || Expect::Missed(why, 1);
        picks.access_by_tc(&format!("broadcast, {name}"), group.clone(), missed());
        picks.given(tables(vec![change]));
        let name = format!("broadcast from a peer, {name}");
        picks.underlay_by_tc(&name, from_peer.clone(), missed());
        picks.given(tables(vec![change]));
    }
    for (name, why, change) in [
        ("a peer's uplink is gone", Why::CopyFailed, peer(2, |p| p.egress = GONE)),
        ("a peer is not resolved", Why::PeerUnresolved, peer(2, |p| p.flags = 0)),
        ("a peer has just changed its family", Why::PeerUnresolved, {
            peer_like(5, 2, |p| p.flags |= Peer::READY)
        }),
        ("a peer's uplink takes less", Why::TooBig, peer(2, |p| p.max_frame = 41)),
        ("a peer is none", Why::TableInconsistent, slot(4, Target::peer(NOWHERE))),
    ] {
        picks.access_by_tc(&format!("broadcast, {name}"), group.clone(), Expect::Missed(why, 1));
        picks.given(tables(vec![change]));
    }
    let long = ethernet(Mac::BROADCAST, station(1), 0x0800, &ipv4(0, 17, 961));
    picks.access_by_tc("broadcast too long for a port", long, Expect::Missed(Why::TooBig, 1));
    for (name, at) in [("port", 1), ("peer", 4)] {
        let del = Action::DelFlood(FloodKey { segment: 1, generation: 1, slot: at });
        let name = format!("broadcast, a {name} has left the list");
        picks.access_by_tc(&name, group.clone(), Expect::Consumed);
        picks.given(tables(vec![del]));
    }
    picks.access_by_tc("broadcast, a peer among the ports", group, Expect::Consumed);
    picks.given(tables(vec![slot(1, Target::peer(1))]));

    let local = FloodList::new(1, 4, Family::V4, 0, 0);
    let segment = Segment { flood: local, vni: 100, flags: 0 };
    let group = ethernet(Mac::BROADCAST, station(1), 0x88b5, &arp());
    picks.access_by_tc("broadcast where there are no peers", group, Expect::Consumed);
    picks.given(tables(vec![Action::PutSegment(SegmentId(1), segment)]));

    let empty = FloodList::new(1, 0, Family::V4, 0, 0);
    let segment = Segment { flood: empty, vni: 200, flags: 0 };
    let second = ethernet(Mac::BROADCAST, station(0x11), 0x88b5, &arp());
    let frame = Datagram { vni: 200, ..Datagram::of(1) }.sent_to_node(&second);
    picks.underlay_by_tc(
        "nobody to flood to, from a peer",
        frame,
        Expect::Dropped(Why::NoReceiver),
    );
    picks.given(tables(vec![Action::PutSegment(SegmentId(2), segment)]));
}

/// A peer of the sample node with one thing changed, which XDP does not reach.
fn peer(index: u32, change: impl Fn(&mut Peer)) -> Action {
    peer_like(index, index, |entry| {
        entry.flags |= Peer::READY;
        change(entry);
    })
}

/// Peer `index` with the headers of another, by an uplink that is the loopback device.
fn peer_like(headers: u32, index: u32, change: impl Fn(&mut Peer)) -> Action {
    let sample = PEERS[headers as usize - 1];
    let (next_hop, port) = (next_hop(headers as u8), sample.encap.port());
    let (ends, encap): (Ends, Encap) = (sample.ends, sample.encap);
    let mut entry = Peer::new(&Template { next_hop, uplink: UPLINK_MAC, ends, encap, port });
    entry.max_frame = 1514;
    entry.egress = Egress { ifindex: 1, flags: 0 };
    change(&mut entry);
    Action::PutPeer(PeerId(index), entry)
}

fn missing_entries(picks: &mut Picks) {
    let place = |target| {
        let key = FdbKey { mac: station(0x67).0, segment: 1 };
        tables(vec![Action::PutFdb(key, FdbEntry { target, flags: 0, seen: EPOCH, reserved: 0 })])
    };
    let inconsistent = || Expect::Dropped(Why::TableInconsistent);
    let frame = from_peer(100, &inner_to(DANGLING_STATION));
    picks.underlay("to a port that is none, from a peer", frame, inconsistent());
    picks.access("to a peer that is none", tcp_to(station(0x67)), inconsistent());
    picks.given(place(Target::peer(NOWHERE)));

    let moved = PermitKey { profile: 1, vni: 100 };
    let elsewhere = Permit { segment: 2, flags: Permit::LEARN, reserved: 0 };
    let frame = from_peer(100, &inner_to(station(2)));
    let refused = Expect::Dropped(Why::VniNotPermitted);
    picks.underlay("a VNI that is passing from one segment to another", frame, refused);
    picks.given(tables(vec![Action::PutPermit(moved, elsewhere)]));

    let unknown = ethernet(station(SECOND_PORT as u8), station(0x70), 0x88b5, &arp());
    let frame = Datagram { vni: 200, ..Datagram::of(1) }.sent_to_node(&unknown);
    let delivered = Expect::Delivered(unknown, Some(20));
    picks.underlay("from an unknown station where peers teach nothing", frame, delivered);
}

fn too_big(picks: &mut Picks) {
    let big = || Expect::Dropped(Why::TooBig);
    let local = ethernet(station(1), station(CALM_PORT as u8), 0x88b5, &[7; 1501]);
    picks.access_by_tc("one byte too long for another port", tagged(&local, 60), big());
    let inner = ethernet(station(1), station(0x11), 0x0800, &ipv4(0, 6, 1461));
    picks.underlay("one byte too long for a port, from a peer", from_peer(100, &inner), big());
    // Longer than a punt can be.
    let unresolved = ethernet(station(0x13), station(1), 0x0800, &vec![0; 65_000]);
    picks.access("too long to be held for an unresolved peer", unresolved, big());
    let datagram = Datagram { geneve: [0, 0x80], ..Datagram::of(4) };
    let control = datagram.sent_to_node(&vec![0; 65_400]);
    picks.underlay("too long for a control packet", control, big());
}

/// Link-layer padding is no part of what is handed over.
fn padded_control_packet(picks: &mut Picks) {
    let datagram = Datagram { geneve: [0, 0x80], ..Datagram::of(4) };
    let mut frame = datagram.sent_to_node(&inner_to(station(2)));
    frame.extend([0; 9]);
    picks.underlay("a control packet, padded", frame, Expect::Consumed);
}

/// Two segments and a half; a tunnel's length fields mean nothing then.
fn super_frames(picks: &mut Picks) {
    let given = || Given { gso_size: 1000, ..Given::default() };
    let v6_udp = || {
        let mut packet = ipv6(0, 17);
        packet.resize(2540, 7);
        packet
    };
    let kinds = [
        ("TCP over IPv4", 0x0800, ipv4(0, 6, 2500)),
        ("UDP over IPv4", 0x0800, ipv4(0, 17, 2480)),
        ("UDP over IPv6", 0x86dd, v6_udp()),
        ("another protocol over IPv4", 0x0800, ipv4(0, 132, 2480)),
        ("what is not IP", 0x88b5, vec![7; 2500]),
    ];
    for (name, kind, packet) in kinds {
        let inner = ethernet(station(0x11), station(1), kind, &packet);
        let tunnel = Expect::Tunnelled { peer: 1, vni: 100, tos: 0, inner: inner.clone() };
        picks.access(&format!("a super-frame of {name}"), inner, tunnel);
        picks.given(given());
        let inner = ethernet(station(2), station(0x11), kind, &packet);
        let mut frame = from_peer(100, &inner);
        frame[16..18].fill(0);
        crate::outer::seal(&mut frame);
        let name = format!("a super-frame of {name} out of a tunnel");
        picks.underlay(&name, frame, Expect::Delivered(inner, None));
        picks.given(given());
    }
    let short = ethernet(station(0x11), station(1), 0x0800, &ipv4(0, 6, 0)[..30]);
    let tunnel = Expect::Tunnelled { peer: 1, vni: 100, tos: 0, inner: short.clone() };
    picks.access("a super-frame of less than its headers", short, tunnel);
    picks.given(given());
    let alone = ethernet(station(2), station(1), 0x0800, &ipv4(0, 6, 0));
    picks.access("a super-frame of headers alone", alone.clone(), Expect::Delivered(alone, None));
    picks.given(given());
    // Behind a tag among the bytes, the headers are found too late for more than that.
    for (name, to) in [("a peer", station(0x11)), ("a port", station(1))] {
        let long = tagged(&ethernet(to, station(CALM_PORT as u8), 0x0800, &ipv4(0, 6, 2500)), 60);
        let big = Expect::Dropped(Why::TooBig);
        picks.access_by_tc(&format!("a super-frame with a tag, too long for {name}"), long, big);
        picks.given(Given { gso_size: 1480, ..Given::default() });
    }
    let small = ethernet(station(4), station(1), 0x0800, &ipv4(0, 6, 2500));
    picks.access_by_tc("a super-frame whose segments are too long", small, Expect::Consumed);
    picks.given(given());
}

/// IP frames that end inside their headers.
fn half_headers(picks: &mut Picks) {
    for (name, kind, len) in [("IPv4", 0x0800, 19), ("IPv6", 0x86dd, 39)] {
        let inner = ethernet(station(0x11), station(1), kind, &vec![0x45; len]);
        picks.tunnelled(&format!("{name} without all of its header"), inner, 0);
    }
    let v4 = ethernet(station(0x11), station(1), 0x0800, &ipv4(0, 6, 0)[..22]);
    picks.tunnelled("TCP without its ports", v4, 0);
    let v6 = ethernet(station(0x11), station(1), 0x86dd, &ipv6(0, 6)[..42]);
    picks.tunnelled("TCP without its ports, over IPv6", v6, 0);
    let mut fragment = ipv4(0, 17, 20);
    fragment[6] = 0x20;
    picks.tunnelled("a fragment", ethernet(station(0x11), station(1), 0x0800, &fragment), 0);
    let mut version = Datagram::of(5).sent_to_node(&inner_to(station(2)));
    version[14] = 0x40;
    picks.underlay("IPv6 in name only, on the underlay", version, Expect::Untouched);
    let mut frame = from_peer(100, &inner_to(station(2)));
    frame[16..18].copy_from_slice(&19_u16.to_be_bytes());
    crate::outer::seal(&mut frame);
    picks.underlay("IP length below the header's own", frame, Expect::Dropped(Why::BadLength));
}

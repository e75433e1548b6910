//! Hand-picked vectors of source guard, and of the DSCP of tunnels.

use overlay_common::abi::Peer;
use overlay_common::id::PeerId;
use overlay_common::verdict::DropReason as Why;
use overlay_common::wire::Mac;
use overlay_control::action::Action;
use overlay_control::sample::{GUARDED_PORT, SECOND_GUARDED, ipv4_of, ipv6_of, station};
use overlay_proof::ip::ipv4_with;
use overlay_proof::neighbours;

use crate::mtu::{changed, ipv6, payload};
use crate::picked::{Expect, Picks};
use crate::vector::{ethernet, tagged};

const HOST: u8 = GUARDED_PORT as u8;
const VLAN: u16 = 80;

pub fn add(picks: &mut Picks) {
    let own = station(HOST);
    let far = station(0x11);
    let udp4 = |from: [u8; 4]| ipv4_with(&[], 17, 0x4000, (from, ipv4_of(0x11)), &payload(40));
    let udp6 = |from: [u8; 16]| ipv6(17, from, ipv6_of(0x11), &payload(40));
    let passes = |picks: &mut Picks, name: &str, frame: Vec<u8>| {
        let tunnel = Expect::Tunnelled { peer: 1, vni: 100, tos: 0, inner: frame.clone() };
        picks.access(&format!("guarded: {name}"), tagged(&frame, VLAN), tunnel);
    };
    passes(picks, "its IPv4 address", ethernet(far, own, 0x0800, &udp4(ipv4_of(HOST))));
    passes(picks, "its IPv6 address", ethernet(far, own, 0x86dd, &udp6(ipv6_of(HOST))));
    passes(picks, "no address yet", ethernet(far, own, 0x0800, &udp4([0; 4])));
    passes(picks, "no IPv6 address yet", ethernet(far, own, 0x86dd, &udp6([0; 16])));
    passes(picks, "what is no IP", ethernet(far, own, 0x88b5, &payload(60)));
    let second = station(SECOND_GUARDED);
    let v4 = |last: u8| ethernet(far, second, 0x0800, &udp4(ipv4_of(last)));
    let v6 = |last: u8| ethernet(far, second, 0x86dd, &udp6(ipv6_of(last)));
    passes(picks, "the second station's IPv4 address", v4(SECOND_GUARDED));
    passes(picks, "the second station's IPv6 address", v6(SECOND_GUARDED));
    passes(picks, "the second station without IP", ethernet(far, second, 0x88b5, &payload(60)));

    let dropped = |picks: &mut Picks, name: &str, frame: Vec<u8>| {
        let expect = Expect::Dropped(Why::SourceGuard);
        picks.access(&format!("guarded: {name}"), tagged(&frame, VLAN), expect);
    };
    let other = station(1);
    dropped(picks, "another MAC address", ethernet(far, other, 0x88b5, &payload(60)));
    dropped(picks, "another's IPv4 address", ethernet(far, own, 0x0800, &udp4(ipv4_of(1))));
    dropped(picks, "its address at another MAC", {
        ethernet(far, other, 0x0800, &udp4(ipv4_of(HOST)))
    });
    dropped(picks, "an address that nobody has", ethernet(far, own, 0x0800, &udp4([127, 0, 0, 1])));
    dropped(picks, "the first one's IPv4 address at the second", v4(HOST));
    dropped(picks, "the first one's IPv6 address at the second", v6(HOST));
    dropped(picks, "the second one's address at the first", {
        ethernet(far, own, 0x0800, &udp4(ipv4_of(SECOND_GUARDED)))
    });
    dropped(picks, "another's IPv6 address", ethernet(far, own, 0x86dd, &udp6(ipv6_of(1))));
    dropped(picks, "half an IPv4 header", ethernet(far, own, 0x0800, &udp4(ipv4_of(HOST))[..19]));
    dropped(picks, "half an IPv6 header", ethernet(far, own, 0x86dd, &udp6(ipv6_of(HOST))[..39]));
    neighbours_told(picks);
    hidden(picks);
    dscp(picks);
}

/// What hosts look behind, and source guard does not.
fn hidden(picks: &mut Picks) {
    let (own, far) = (station(HOST), station(0x11));
    let packet = ipv4_with(&[], 17, 0x4000, (ipv4_of(1), ipv4_of(0x11)), &payload(40));
    for (name, vlan) in [("a priority tag", 0), ("another tag", VLAN)] {
        let frame = tagged(&tagged(&ethernet(far, own, 0x0800, &packet), vlan), VLAN);
        let name = format!("guarded: another's address behind {name}");
        picks.access(&name, frame, Expect::Dropped(Why::SourceGuard));
    }
    let with = |next, hops| {
        let mut packet = ipv6(next, ipv6_of(HOST), ipv6_of(0x11), &payload(40));
        packet[7] = hops;
        ethernet(far, own, 0x86dd, &packet)
    };
    for next in [0, 43, 60] {
        let name = format!("guarded: what may be discovery behind header {next}");
        let expect = Expect::Dropped(Why::SourceGuard);
        picks.access(&name, tagged(&with(next, 255), VLAN), expect);
        let name = format!("guarded: what is no discovery behind header {next}");
        let frame = with(next, 64);
        let tunnel = Expect::Tunnelled { peer: 1, vni: 100, tos: 0, inner: frame.clone() };
        picks.access(&name, tagged(&frame, VLAN), tunnel);
    }
    for (name, next) in [("UDP", 17), ("a fragment", 44)] {
        let frame = with(next, 255);
        let tunnel = Expect::Tunnelled { peer: 1, vni: 100, tos: 0, inner: frame.clone() };
        let name = format!("guarded: {name} with the highest hop limit");
        picks.access(&name, tagged(&frame, VLAN), tunnel);
    }
}

/// What it tells others of itself.
fn neighbours_told(picks: &mut Picks) {
    let (own, wanted) = (station(HOST), (Mac([0; 6]), ipv4_of(99)));
    let arp = |sender| {
        let packet = neighbours::arp(1, sender, wanted);
        tagged(&ethernet(Mac::BROADCAST, own, 0x0806, &packet), VLAN)
    };
    picks.access_by_tc("guarded: ARP of its address", arp((own, ipv4_of(HOST))), Expect::Consumed);
    picks.access_by_tc("guarded: an ARP probe", arp((own, [0; 4])), Expect::Consumed);
    let target = ipv6_of(HOST);
    let group = [0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
    let advertisement = |target: [u8; 16]| {
        let option = neighbours::option(2, HOST);
        let packet = neighbours::message([ipv6_of(HOST), group], 255, (136, 0x20), target, &option);
        ethernet(neighbours::GROUP, own, 0x86dd, &packet)
    };
    let frame = tagged(&advertisement(target), VLAN);
    picks.access_by_tc("guarded: it advertises itself", frame, Expect::Consumed);
    let mut refused = |name: &str, frame: Vec<u8>| {
        let name = format!("guarded: {name}");
        picks.access_by_tc(&name, frame, Expect::Dropped(Why::SourceGuard));
    };
    refused("ARP of another's address", arp((own, ipv4_of(1))));
    refused("ARP with another MAC inside", arp((station(1), ipv4_of(HOST))));
    refused("it advertises another", tagged(&advertisement(ipv6_of(1)), VLAN));
    let mut short = ethernet(Mac::BROADCAST, own, 0x0806, &payload(27));
    short.truncate(41);
    refused("half of ARP", tagged(&short, VLAN));
    let mut cut = advertisement(target);
    cut.truncate(14 + 40 + 20);
    let name = "guarded: half an advertisement";
    picks.access_by_tc(name, tagged(&cut, VLAN), Expect::Dropped(Why::SourceGuard));
}

fn dscp(picks: &mut Picks) {
    let inner = |tos: u8| {
        let mut packet = ipv4_with(&[], 17, 0x4000, (ipv4_of(1), ipv4_of(0x11)), &payload(40));
        packet[1] = tos;
        packet[10..12].fill(0);
        let sum = overlay_common::wire::checksum::full(&packet[..20]);
        packet[10..12].copy_from_slice(&sum.to_be_bytes());
        ethernet(station(0x11), station(1), 0x0800, &packet)
    };
    let with = |change: fn(Peer) -> Peer| {
        changed(move |action| match action {
            Action::PutPeer(id @ (PeerId(1) | PeerId(5)), peer) => {
                Some(Action::PutPeer(id, change(peer)))
            }
            _ => None,
        })
    };
    fn copies(mut peer: Peer) -> Peer {
        peer.flags |= Peer::COPY_DSCP;
        peer
    }
    for (name, change, tos, outer) in [
        ("set", (|peer: Peer| peer.with_dscp(46)) as fn(Peer) -> Peer, 0x29, 0xb9),
        ("copied", copies, 0xba, 0xba),
        ("copied, congestion too", copies, 0xff, 0xff),
    ] {
        let frame = inner(tos);
        let tunnel = Expect::Tunnelled { peer: 1, vni: 100, tos: outer, inner: frame.clone() };
        picks.access(&format!("DSCP: {name}"), frame, tunnel);
        picks.given(with(change));
        let mut packet = ipv6(17, ipv6_of(1), ipv6_of(2), &payload(40));
        packet[0] = 0x60 | tos >> 4;
        packet[1] = tos << 4;
        let frame = ethernet(station(0x15), station(1), 0x86dd, &packet);
        let tunnel = Expect::Tunnelled { peer: 5, vni: 100, tos: outer, inner: frame.clone() };
        picks.access(&format!("DSCP over IPv6: {name}"), frame, tunnel);
        picks.given(with(change));
    }
}

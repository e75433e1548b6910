//! ARP and neighbour discovery: every branch by hand.

use overlay_common::wire::Mac;
use overlay_control::sample::{
    LOST, OTHER_ADDRESS, ROUTER, STATIC_ADDRESS, ipv4_of, ipv6_of, station,
};
use overlay_proof::neighbours::*;

use crate::picked::{Expect, Picks, from_peer};
use crate::vector::{ethernet, tagged};

/// Every branch, at both hooks.
pub fn vectors(picks: &mut Picks) {
    answered(picks);
    over_arp(picks);
    over_discovery(picks);
    from_underlay(picks);
}

fn answered(picks: &mut Picks) {
    let mut answer = |name: &str, question: Vec<u8>, answer: Vec<u8>, tag: Option<u16>| {
        let question = tag.map_or_else(|| question.clone(), |tci| tagged(&question, tci));
        picks.access_by_tc(name, question, Expect::Delivered(answer, tag));
    };
    let ip = ipv4_of;
    for (name, of, told, flags) in [
        ("behind a peer", 0x11, 0x11, 0x60),
        ("behind another port", 2, 2, 0x60),
        ("a router", ROUTER, ROUTER, 0xe0),
        ("static", 0x11, STATIC_ADDRESS, 0x60),
    ] {
        let arp = (request(1, ip(1), ip(told)), reply(1, ip(1), (of, ip(told))));
        answer(&format!("ARP is answered: {name}"), arp.0, arp.1, None);
        let nd = (solicitation(1, told), advertised(1, flags, (of, told)));
        answer(&format!("a solicitation is answered: {name}"), nd.0, nd.1, None);
    }
    let second = (request(5, ip(5), ip(0x11)), reply(5, ip(5), (0x11, ip(0x11))));
    answer("ARP is answered with the port's tag", second.0, second.1, Some(20));
    let second = (solicitation(5, 0x11), advertised(5, 0x60, (0x11, 0x11)));
    answer("a solicitation is answered with the port's tag", second.0, second.1, Some(20));
    let mut plain = request(1, ip(1), ip(0x11));
    plain.truncate(42);
    let mut short = reply(1, ip(1), (0x11, ip(0x11)));
    short.truncate(42);
    answer("ARP is answered without padding", plain, short, None);
    let new = request(1, ip(NOBODYS), ip(0x11));
    picks.access_by_tc("ARP of a new address", new, Expect::Consumed);
    let moved = request(1, ip(2), ip(0x11));
    picks.access_by_tc("ARP of an address that moved", moved, Expect::Consumed);
    let ends = [ipv6_of(2), solicited_node(0x11)];
    let moved = message(ends, 255, (135, 0), ipv6_of(0x11), &option(1, 1));
    let moved = ethernet(GROUP, station(1), IPV6, &moved);
    picks.access_by_tc("a solicitation of an address that moved", moved, Expect::Consumed);
    let inside = tagged(&tagged(&request(5, ip(5), ip(0x11)), 7), 20);
    let dropped = Expect::Dropped(overlay_common::verdict::DropReason::InnerVlan);
    picks.access_by_tc("ARP behind two tags", inside, dropped);
}

fn over_arp(picks: &mut Picks) {
    let ip = ipv4_of;
    let sent = |operation, sender, wanted| {
        let packet = arp(operation, sender, (Mac([0; 6]), wanted));
        ethernet(Mac::BROADCAST, station(1), ARP, &packet)
    };
    let own = (station(1), ip(1));
    let mut odd = sent(1, own, ip(0x11));
    odd[16] = 9;
    let whole = sent(1, own, ip(0x11));
    let flooded = [
        ("an address that nobody has", sent(1, own, ip(NOBODYS))),
        ("an address whose station is gone", sent(1, own, ip(LOST))),
        ("an address behind the same port", sent(1, (station(1), ip(NOBODYS)), ip(1))),
        ("an announcement", sent(1, own, ip(1))),
        ("an announcement of another's", sent(1, (station(1), ip(0x11)), ip(0x11))),
        ("an announcement of a static one", {
            sent(1, (station(1), ip(STATIC_ADDRESS)), ip(STATIC_ADDRESS))
        }),
        ("a probe", sent(1, (station(1), [0; 4]), ip(0x11))),
        ("from a group", sent(1, (station(1), [224, 0, 0, 9]), ip(0x11))),
        ("for somebody else", sent(1, (station(9), ip(0x11)), ip(2))),
        ("for somebody else, unknown", sent(1, (station(9), ip(NOBODYS)), ip(2))),
        ("a broadcast reply", sent(2, (station(1), ip(NOBODYS)), ip(2))),
        ("of another operation", sent(3, own, ip(2))),
        ("of other lengths", odd),
        ("cut off", whole[..41].to_vec()),
        ("cut off in the header", whole[..20].to_vec()),
    ];
    for (name, frame) in flooded {
        picks.access_by_tc(&format!("ARP {name}"), frame, Expect::Consumed);
    }
    let unicast = ethernet(station(0x11), station(1), ARP, &arp(1, own, (Mac([0; 6]), ip(0x11))));
    picks.tunnelled_by_tc("ARP to one station", unicast);
    let told = ethernet(station(0x11), station(1), ARP, &arp(2, own, (station(0x11), ip(0x11))));
    picks.tunnelled_by_tc("an ARP reply", told);
}

fn over_discovery(picks: &mut Picks) {
    let ends = |from: u8, wanted| [ipv6_of(from), solicited_node(wanted)];
    let sent = |ends, hop_limit, what, target, options: &[u8]| {
        ethernet(GROUP, station(1), IPV6, &message(ends, hop_limit, what, target, options))
    };
    let asks =
        |target: u8, options: &[u8]| sent(ends(1, target), 255, (135, 0), ipv6_of(target), options);
    let tells = |told: u8, flags, of| {
        sent([ipv6_of(told), ALL_NODES], 255, (136, flags), ipv6_of(told), &option(2, of))
    };
    let own = option(1, 1);
    let nonce = [14, 1, 1, 2, 3, 4, 5, 6];
    let unspecified = [[0; 16], solicited_node(0x11)];
    let whole = asks(0x11, &own);
    let mut code = whole.clone();
    code[55] = 1;
    let mut short = whole.clone();
    short[19] = 23;
    let flooded = [
        ("asks for an address that nobody has", asks(NOBODYS, &own)),
        ("asks for an address whose station is gone", asks(LOST, &own)),
        ("asks for an address behind the same port", asks(1, &own)),
        ("asks for a group", sent(ends(1, 2), 255, (135, 0), ALL_NODES, &own)),
        ("detects duplicates", sent(unspecified, 255, (135, 0), ipv6_of(0x11), &[])),
        ("detects duplicates with a nonce", {
            sent(unspecified, 255, (135, 0), ipv6_of(0x11), &nonce)
        }),
        ("comes from afar", sent(ends(1, 0x11), 254, (135, 0), ipv6_of(0x11), &own)),
        ("asks without option", asks(0x11, &[])),
        ("asks with another option", asks(0x11, &nonce)),
        ("asks with an option more", asks(0x11, &[&own[..], &nonce].concat())),
        ("asks for somebody else", asks(0x11, &option(1, 2))),
        ("asks from another's address", sent(ends(2, 0x11), 255, (135, 0), ipv6_of(LOST), &own)),
        ("has another code", code),
        ("is shorter than it can be", short),
        ("is a router's", sent(ends(1, 0x11), 255, (134, 0), ipv6_of(0x11), &own)),
        ("is cut off in its option", whole[..85].to_vec()),
        ("is cut off in its target", whole[..77].to_vec()),
        ("is cut off", whole[..55].to_vec()),
        ("tells what is known", tells(1, 0x20, 1)),
        ("tells what is new", tells(NOBODYS, 0x20, 1)),
        ("tells what is new and does not override", tells(NOBODYS, 0, 1)),
        ("tells that it is a router", tells(1, 0xa0, 1)),
        ("tells that it is no router", tells(ROUTER, 0x20, 1)),
        ("tells of a move", tells(0x11, 0x20, 1)),
        ("tells of a move and does not override", tells(0x11, 0, 1)),
        ("tells of a static one", tells(STATIC_ADDRESS, 0x20, 1)),
        ("tells of another", tells(0x11, 0x20, 9)),
        ("tells nothing", sent([ipv6_of(1), ALL_NODES], 255, (136, 0), ipv6_of(1), &[])),
    ];
    for (name, frame) in flooded {
        picks.access_by_tc(&format!("discovery {name}"), frame, Expect::Consumed);
    }
    let ends = [ipv6_of(1), ipv6_of(0x11)];
    let probe = message(ends, 255, (135, 0), ipv6_of(0x11), &own);
    let probe = ethernet(station(0x11), station(1), IPV6, &probe);
    picks.tunnelled_by_tc("a solicitation of one station", probe);
    let told = message(ends, 255, (136, 0x60), ipv6_of(1), &option(2, 1));
    let told = ethernet(station(0x11), station(1), IPV6, &told);
    picks.tunnelled_by_tc("an advertisement to one station", told);
    let other = message(ends, 64, (128, 0), ipv6_of(1), &[]);
    let other = ethernet(station(0x11), station(1), IPV6, &other);
    let inner = other.clone();
    let expect = Expect::Tunnelled { peer: 1, vni: 100, tos: 0, inner };
    picks.access("an echo is none of these", other, expect);
}

/// In the second segment, which hears its peers, and in the first, which does not.
fn from_underlay(picks: &mut Picks) {
    let ip = ipv4_of;
    for vni in [100, 200] {
        let mut flooded = |name: &str, frame: &[u8]| {
            let name = format!("{name} in {vni}, from a peer");
            picks.underlay_by_tc(&name, from_peer(vni, frame), Expect::Consumed);
        };
        flooded("ARP asks", &request(0x11, ip(0x11), ip(5)));
        flooded("ARP asks and is new", &request(0x11, ip(NOBODYS), ip(5)));
        flooded("ARP of another's address", &request(0x11, ip(5), ip(1)));
        flooded("ARP of a static address", &request(0x11, ip(STATIC_ADDRESS), ip(1)));
        flooded("a solicitation", &solicitation(0x11, 5));
        let told = advertisement(GROUP, ALL_NODES, 0x20, (0x11, NOBODYS));
        flooded("an advertisement", &told);
        flooded("an advertisement cut off", &told[..80]);
    }
    let to = reply(5, ip(5), (0x11, ip(NOBODYS)));
    let told = Expect::Delivered(to.clone(), Some(20));
    picks.underlay_by_tc("an ARP reply from a peer", from_peer(200, &to), told);
    let to = advertised(5, 0xe0, (0x11, NOBODYS));
    let told = Expect::Delivered(to.clone(), Some(20));
    picks.underlay_by_tc("an advertisement from a peer", from_peer(200, &to), told);
    let other = request(1, OTHER_ADDRESS, ip(NOBODYS));
    picks.access_by_tc("ARP from another address of a station", other, Expect::Consumed);
}

//! Who is heard where.

use std::time::Instant;

use overlay_common::abi::{FdbEntry, FdbKey, Punt, PuntReason, Target};
use overlay_common::wire::Mac;
use overlay_control::action::Action;
use overlay_control::controller::Origin;

use crate::gateway::{Gateway, TWO_SEGMENTS, link, mac, peer, port};

#[test]
fn stations_are_learnt_from_ports_and_peers() {
    let mut gateway = Gateway::ready(TWO_SEGMENTS);
    gateway.frame("blue", mac(1), &port("eth1", 0));
    let target = gateway.target(&port("eth1", 0));
    let epoch = gateway.tables.node.unwrap().epoch;
    let entry = FdbEntry { target, flags: 0, seen: epoch, reserved: 0 };
    assert_eq!(gateway.last, [Action::PutFdb(gateway.key("blue", mac(1)), entry)]);
    gateway.frame("blue", mac(2), &peer("gw3"));
    gateway.frame("red", mac(1), &peer("gw2"));
    assert_eq!(gateway.lookup("blue", mac(1)), Some(port("eth1", 0)));
    assert_eq!(gateway.lookup("blue", mac(2)), Some(peer("gw3")));
    assert_eq!(gateway.lookup("red", mac(1)), Some(peer("gw2")), "segments do not mix");
    assert_eq!(gateway.controller.fdb_totals().learned, 3);
}

#[test]
fn a_station_that_moves_is_where_it_was_heard_last() {
    let mut gateway = Gateway::ready(TWO_SEGMENTS);
    let places = [port("eth1", 0), peer("gw2"), peer("gw3"), port("eth2", 10), port("eth1", 0)];
    for place in &places {
        gateway.frame("blue", mac(1), place);
        assert_eq!(gateway.lookup("blue", mac(1)).as_ref(), Some(place));
        assert_eq!(gateway.last.len(), 1, "one entry is replaced, none removed");
    }
    let totals = gateway.controller.fdb_totals();
    assert_eq!((totals.learned, totals.moved), (1, 4));
}

#[test]
fn reports_under_way_are_no_news() {
    let mut gateway = Gateway::ready(TWO_SEGMENTS);
    let (key, target) = (gateway.key("blue", mac(1)), gateway.target(&peer("gw2")));
    gateway.report(key, target);
    gateway.report(key, target);
    assert_eq!(gateway.last, [], "the second report left before the first was carried out");
    gateway.wait(2);
    gateway.report(key, target);
    assert_eq!(gateway.last.len(), 1, "the path still reports it: the writing has failed");
}

#[test]
fn static_addresses_do_not_move() {
    let fdb = "[[segment.fdb]]\nmac = \"02:01:00:00:00:01\"\npeer = \"gw2\"\n\n[[segment]]\nname = \"red\"";
    let text = TWO_SEGMENTS.replace("[[segment]]\nname = \"red\"", fdb);
    let mut gateway = Gateway::ready(&text);
    let (key, eth1) = (gateway.key("blue", mac(1)), gateway.target(&port("eth1", 0)));
    gateway.report(key, eth1);
    assert_eq!(gateway.last, []);
    assert_eq!(gateway.lookup("blue", mac(1)), Some(peer("gw2")));
    gateway.frame("red", mac(1), &port("eth2", 20));
    assert_eq!(gateway.lookup("red", mac(1)), Some(port("eth2", 20)), "in blue alone");
}

#[test]
fn impossible_reports_are_ignored() {
    let mut gateway = Gateway::ready(TWO_SEGMENTS);
    let (blue, red) = (gateway.segment("blue").0, gateway.segment("red").0);
    let (gw2, gw3) = (gateway.target(&peer("gw2")), gateway.target(&peer("gw3")));
    let eth1 = gateway.target(&port("eth1", 0));
    let uplink = gateway.target(&port("eth0", 0));
    let good = mac(1).0;
    for (what, segment, source, mac) in [
        ("broadcast", blue, eth1, [0xff; 6]),
        ("multicast", blue, gw2, [1, 0, 0x5e, 0, 0, 1]),
        ("zero", blue, eth1, [0; 6]),
        ("a port of another segment", red, eth1, good),
        ("a peer that may not use the segment", red, gw3, good),
        ("an uplink", blue, uplink, good),
        ("no such port", blue, Target::port(77), good),
        ("no such peer", blue, Target::peer(77), good),
        ("no such segment", 77, eth1, good),
        ("segment 0", 0, eth1, good),
    ] {
        gateway.report(FdbKey { mac, segment }, source);
        assert_eq!(gateway.last, [], "{what}");
    }
    let reason = PuntReason::PeerUnresolved as u8;
    let punt = Punt { reason, segment: blue, source: eth1, mac: good, ..Punt::default() };
    gateway.controller.handle_learn(&punt, gateway.now);
    gateway.drain();
    assert_eq!(gateway.last, [], "another reason");
    assert!(gateway.fdb().is_empty());
}

#[test]
fn peers_teach_only_where_learning_is_on() {
    let text = TWO_SEGMENTS.replace("vni = 100\n", "vni = 100\nlearning = false\n");
    let mut gateway = Gateway::ready(&text);
    gateway.frame("blue", mac(1), &peer("gw2"));
    assert_eq!(gateway.lookup("blue", mac(1)), None);
    gateway.frame("blue", mac(1), &port("eth1", 0));
    assert_eq!(gateway.lookup("blue", mac(1)), Some(port("eth1", 0)), "local stations always");
}

#[test]
fn a_port_that_went_down_teaches_nothing_more() {
    let mut gateway = Gateway::ready(TWO_SEGMENTS);
    let (key, target) = (gateway.key("blue", mac(1)), gateway.target(&port("eth1", 0)));
    gateway.link_gone("eth1");
    gateway.report(key, target);
    assert_eq!(gateway.last, [], "the report was under way when the device went");
}

#[test]
fn a_full_table_refuses_and_counts() {
    let text = TWO_SEGMENTS.replace("[[uplink]]", "fdb_entries = 3\n[[uplink]]");
    let mut gateway = Gateway::ready(&text);
    for i in 0..5 {
        gateway.frame("blue", mac(i), &port("eth1", 0));
    }
    assert_eq!(gateway.tables.fdb.len(), 3);
    assert_eq!(gateway.controller.fdb_totals().refused, 2);
    gateway.frame("blue", mac(0), &peer("gw2"));
    assert_eq!(gateway.lookup("blue", mac(0)), Some(peer("gw2")), "moves need no room");
    gateway.link(overlay_control::controller::LinkInfo { up: false, ..link("eth1", 3) });
    gateway.frame("blue", mac(4), &peer("gw2"));
    assert_eq!(gateway.lookup("blue", mac(4)), Some(peer("gw2")), "there is room again");
}

#[test]
fn a_hundred_thousand_stations_are_learnt_without_delay() {
    let mut gateway = Gateway::ready(TWO_SEGMENTS);
    let segment = gateway.segment("blue").0;
    let source = gateway.target(&peer("gw2"));
    let start = Instant::now();
    let count = 100_000;
    for i in 0..count {
        let Mac(mac) = mac(i);
        let reason = PuntReason::Learn as u8;
        let punt = Punt { reason, segment, source, mac, ..Punt::default() };
        gateway.controller.handle_learn(&punt, gateway.now);
        let action = gateway.controller.poll_action();
        assert!(matches!(action, Some(Action::PutFdb(..))));
        assert_eq!(gateway.controller.poll_action(), None);
    }
    assert_eq!(gateway.controller.fdb_len(Origin::Learned), count as usize);
    // Work that grew with the table would take minutes.
    assert!(start.elapsed().as_secs() < 20, "{:?}", start.elapsed());
}

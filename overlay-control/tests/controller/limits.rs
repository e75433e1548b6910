//! What may be learnt from where, and what may be sent.

use overlay_common::abi::{Meter, Policed, Policer, PolicerKey, Target};
use overlay_control::action::Action;
use overlay_control::config::Place;
use overlay_control::controller::Limited;

use crate::gateway::{Gateway, TWO_SEGMENTS, mac, peer, port};

const ETH1: &str = "interface = \"eth1\"\n";
const BLUE: &str = "vni = 100\n";
const GW3: &str = "vtep = \"192.0.2.3\"\n";

/// The usual gateway, with more lines behind one of its.
fn with(line: &str, more: &str) -> String {
    TWO_SEGMENTS.replace(line, &format!("{line}{more}\n"))
}

/// How many of so many addresses a place gets, which are always the same for a place.
fn learnt(gateway: &mut Gateway, place: &Place, count: u32) -> usize {
    let first = first_of(gateway, place);
    for number in first..first + count {
        gateway.frame("blue", mac(number), place);
    }
    let is_there = |number: &u32| gateway.lookup("blue", mac(*number)).as_ref() == Some(place);
    (first..first + count).filter(is_there).count()
}

fn first_of(gateway: &Gateway, place: &Place) -> u32 {
    let target = gateway.target(place);
    1000 * (2 * target.index() + u32::from(target.is_peer()))
}

#[test]
fn a_port_has_no_more_addresses_than_it_may() {
    let mut gateway = Gateway::ready(&with(ETH1, "limit = { macs = 3 }"));
    assert_eq!(learnt(&mut gateway, &port("eth1", 0), 10), 3);
    assert_eq!(learnt(&mut gateway, &port("eth2", 10), 10), 10, "others are free");
    assert_eq!(gateway.controller.fdb_totals().limited, 7);
    let told = gateway.controller.limited();
    assert_eq!(told, [Limited { subject: "port eth1".into(), learned: 3, most: 3 }]);
}

#[test]
fn nor_does_it_get_them_from_elsewhere() {
    let mut gateway = Gateway::ready(&with(ETH1, "limit = { macs = 3 }"));
    assert_eq!(learnt(&mut gateway, &port("eth1", 0), 3), 3);
    gateway.frame("blue", mac(1), &peer("gw2"));
    gateway.frame("blue", mac(1), &port("eth1", 0));
    assert_eq!(gateway.lookup("blue", mac(1)), Some(peer("gw2")));
    // Where one leaves, there is room for another.
    let own = first_of(&gateway, &port("eth1", 0));
    gateway.frame("blue", mac(own), &peer("gw2"));
    gateway.frame("blue", mac(1), &port("eth1", 0));
    assert_eq!(gateway.lookup("blue", mac(1)), Some(port("eth1", 0)));
}

#[test]
fn peers_and_segments_have_limits_too() {
    let mut gateway = Gateway::ready(&with(GW3, "limit = { macs = 2 }"));
    assert_eq!(learnt(&mut gateway, &peer("gw3"), 5), 2);
    assert_eq!(learnt(&mut gateway, &peer("gw2"), 5), 5);
    let mut gateway = Gateway::ready(&with(BLUE, "limit = { macs = 7 }"));
    assert_eq!(learnt(&mut gateway, &peer("gw3"), 5), 5);
    assert_eq!(learnt(&mut gateway, &port("eth1", 0), 5), 2, "of the segment's seven");
    gateway.frame("red", mac(1), &port("eth2", 20));
    assert_eq!(gateway.lookup("red", mac(1)), Some(port("eth2", 20)));
    let told = gateway.controller.limited();
    assert_eq!(told, [Limited { subject: "segment blue".into(), learned: 7, most: 7 }]);
}

#[test]
fn static_addresses_are_beyond_the_limit() {
    let fdb = "[[segment.fdb]]\nmac = \"02:01:00:00:00:01\"\ninterface = \"eth1\"\n";
    let text = with(ETH1, &format!("limit = {{ macs = 1 }}\n{fdb}"));
    let mut gateway = Gateway::ready(&text);
    assert_eq!(learnt(&mut gateway, &port("eth1", 0), 5), 1);
    assert_eq!(gateway.lookup("blue", mac(1)), Some(port("eth1", 0)));
}

/// Without any limit in the configuration.
#[test]
fn who_sends_from_many_addresses_leaves_room_for_others() {
    let mut gateway = Gateway::ready(&with("vtep = \"192.0.2.1\"\n", "fdb_entries = 400"));
    assert_eq!(learnt(&mut gateway, &peer("gw2"), 10), 10);
    assert_eq!(learnt(&mut gateway, &port("eth1", 0), 900), 290, "up to three quarters");
    assert_eq!(learnt(&mut gateway, &peer("gw3"), 60), 60);
    assert_eq!(learnt(&mut gateway, &peer("gw2"), 50), 50);
    assert_eq!(gateway.controller.fdb_totals().refused, 610);
    assert_eq!(learnt(&mut gateway, &port("eth2", 10), 10), 0, "now it is full");
    // Alone it may have all of it.
    let mut gateway = Gateway::ready(&with("vtep = \"192.0.2.1\"\n", "fdb_entries = 400"));
    assert_eq!(learnt(&mut gateway, &port("eth1", 0), 900), 400);
}

#[test]
fn an_address_stays_at_a_sticky_port() {
    let mut gateway = Gateway::ready(&with(ETH1, "sticky = true"));
    gateway.frame("blue", mac(1), &port("eth1", 0));
    gateway.frame("blue", mac(1), &peer("gw2"));
    gateway.frame("blue", mac(1), &port("eth2", 10));
    assert_eq!(gateway.lookup("blue", mac(1)), Some(port("eth1", 0)));
    assert_eq!(gateway.controller.fdb_totals().held, 2);
    gateway.frame("blue", mac(2), &peer("gw2"));
    gateway.frame("blue", mac(2), &port("eth1", 0));
    assert_eq!(gateway.lookup("blue", mac(2)), Some(port("eth1", 0)), "it may come");
}

fn policer(gateway: &Gateway, key: PolicerKey) -> Option<Policer> {
    gateway.tables.policers.get(&key).copied()
}

#[test]
fn limits_reach_the_tables_and_leave_them() {
    let text = with(ETH1, "limit = { bits = 80000, floods = 5, macs = 1 }")
        .replace(GW3, &format!("{GW3}limit = {{ packets = 7 }}\n"))
        .replace("vni = 200\n", "vni = 200\nlimit = { floods = 9 }\n");
    let mut gateway = Gateway::ready(&text);
    let of_eth1 = PolicerKey::source(gateway.target(&port("eth1", 0)));
    let of_gw3 = PolicerKey::source(gateway.target(&peer("gw3")));
    let of_red = PolicerKey::segment(gateway.segment("red").0);
    let meter = Meter::per_second;
    let none = Policer::default();
    let wanted = Policer { bytes: meter(10_000), floods: meter(5), ..none };
    assert_eq!(policer(&gateway, of_eth1), Some(wanted));
    assert_eq!(policer(&gateway, of_gw3), Some(Policer { packets: meter(7), ..none }));
    assert_eq!(policer(&gateway, of_red), Some(Policer { floods: meter(9), ..none }));
    assert_eq!(gateway.tables.policers.len(), 3);
    let limited = Policed::PORT | Policed::SEGMENT;
    let flags: Vec<u16> =
        gateway.tables.access.values().map(|access| access.flags & limited).collect();
    assert_eq!(flags, [Policed::PORT, 0, Policed::SEGMENT], "eth1, and VLANs 10 and 20 of eth2");
    let policed = gateway.tables.vteps.values().filter(|vtep| vtep.is_policed());
    assert_eq!(policed.map(|vtep| Target::peer(vtep.peer())).collect::<Vec<_>>(), [of_gw3.source]);

    // What stays the same is not written again: it would begin anew.
    gateway.reload(&text.replace("packets = 7", "packets = 8"));
    let put = |action: &&Action| matches!(action, Action::PutPolicer(..));
    assert_eq!(gateway.last.iter().filter(put).count(), 1);
    gateway.reload(TWO_SEGMENTS);
    assert!(gateway.tables.policers.is_empty());
    assert!(gateway.tables.access.values().all(|access| access.flags & limited == 0));
    assert!(gateway.tables.vteps.values().all(|vtep| !vtep.is_policed()));
}

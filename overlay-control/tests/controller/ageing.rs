//! Who is silent is forgotten.

use core::time::Duration;

use overlay_common::abi::{FdbEntry, FdbKey};
use overlay_control::action::Action;
use overlay_control::controller::{Restored, RestoredPlace};

use crate::gateway::{Gateway, TWO_SEGMENTS, mac, peer, port};

const STATIC: &str =
    "[[segment.fdb]]\nmac = \"02:01:00:00:00:09\"\npeer = \"gw2\"\n\n[[segment]]\nname = \"red\"";

fn with_static() -> String {
    TWO_SEGMENTS.replace("[[segment]]\nname = \"red\"", STATIC)
}

#[test]
fn the_clock_ticks_once_a_second() {
    let mut gateway = Gateway::ready(TWO_SEGMENTS);
    let before = gateway.tables.node.unwrap().epoch;
    gateway.wait(5);
    assert_eq!(gateway.tables.node.unwrap().epoch, before + 5);
    gateway.now += Duration::from_secs(60);
    gateway.controller.handle_timeout(gateway.now);
    gateway.drain();
    assert_eq!(gateway.tables.node.unwrap().epoch, before + 65, "held up for a minute");
}

#[test]
fn a_clock_that_runs_backwards_changes_nothing() {
    let mut gateway = Gateway::ready(TWO_SEGMENTS);
    gateway.frame("blue", mac(1), &port("eth1", 0));
    gateway.wait(50);
    let epoch = gateway.tables.node.unwrap().epoch;
    gateway.controller.handle_timeout(gateway.now - Duration::from_secs(40));
    gateway.drain();
    assert_eq!(gateway.last, []);
    assert_eq!(gateway.tables.node.unwrap().epoch, epoch);
}

#[test]
fn silent_stations_are_forgotten_and_talking_ones_are_not() {
    let mut gateway = Gateway::ready(TWO_SEGMENTS);
    gateway.frame("blue", mac(1), &port("eth1", 0));
    gateway.frame("blue", mac(2), &peer("gw2"));
    let talks = gateway.key("blue", mac(2));
    let wait = |gateway: &mut Gateway, seconds| {
        gateway.wait_with(Duration::from_secs(seconds), |key| *key == talks);
    };
    wait(&mut gateway, 299);
    assert_eq!(gateway.fdb().len(), 2, "before its time");
    wait(&mut gateway, 32);
    assert_eq!(gateway.lookup("blue", mac(1)), None, "after it, and the next scan");
    assert_eq!(gateway.lookup("blue", mac(2)), Some(peer("gw2")));
    assert_eq!(gateway.controller.fdb_totals().aged, 1);
    wait(&mut gateway, 3600);
    assert_eq!(gateway.lookup("blue", mac(2)), Some(peer("gw2")));
    gateway.wait(331);
    assert!(gateway.fdb().is_empty() && gateway.tables.fdb.is_empty());
}

#[test]
fn the_ageing_time_is_configured() {
    let text = TWO_SEGMENTS.replace("[[uplink]]", "ageing = 10\n[[uplink]]");
    let mut gateway = Gateway::ready(&text);
    gateway.frame("blue", mac(1), &port("eth1", 0));
    gateway.wait(9);
    assert_eq!(gateway.fdb().len(), 1);
    gateway.wait(2);
    assert_eq!(gateway.fdb().len(), 0);
}

#[test]
fn where_nothing_ages_scans_are_rare() {
    let text = with_static().replace("[[uplink]]", "ageing = 10\n[[uplink]]");
    let mut gateway = Gateway::ready(&text);
    gateway.scan();
    let after = |gateway: &Gateway, seconds| {
        gateway.controller.wants_scan(gateway.now + Duration::from_secs(seconds))
    };
    assert!(!after(&gateway, 29) && after(&gateway, 30));
    gateway.frame("blue", mac(1), &port("eth1", 0));
    assert!(!after(&gateway, 0) && after(&gateway, 1), "a tenth of the ageing time");
}

#[test]
fn a_shorter_ageing_time_takes_effect_at_once() {
    let mut gateway = Gateway::ready(TWO_SEGMENTS);
    gateway.frame("blue", mac(1), &port("eth1", 0));
    gateway.wait(20);
    gateway.reload(&TWO_SEGMENTS.replace("[[uplink]]", "ageing = 10\n[[uplink]]"));
    gateway.wait(2);
    assert_eq!(gateway.fdb().len(), 0);
}

#[test]
fn static_addresses_do_not_age() {
    let mut gateway = Gateway::ready(&with_static());
    gateway.wait(10_000);
    assert_eq!(gateway.lookup("blue", mac(9)), Some(peer("gw2")));
}

#[test]
fn ages_are_shown() {
    let mut gateway = Gateway::ready(TWO_SEGMENTS);
    gateway.frame("blue", mac(1), &port("eth1", 0));
    gateway.wait(100);
    let key = gateway.key("blue", mac(1));
    gateway.refresh(|k| *k == key);
    gateway.wait(7);
    gateway.scan();
    assert_eq!(gateway.fdb()[0].age, 7);
}

#[test]
fn a_scan_corrects_the_kernel() {
    let mut gateway = Gateway::ready(&with_static());
    gateway.frame("blue", mac(1), &port("eth1", 0));
    gateway.frame("blue", mac(2), &port("eth1", 0));
    gateway.wait(1);
    let (one, two) = (gateway.key("blue", mac(1)), gateway.key("blue", mac(2)));
    let (fixed, stray) = (gateway.key("blue", mac(9)), gateway.key("blue", mac(77)));
    let elsewhere = gateway.target(&peer("gw3"));
    gateway.tables.fdb.remove(&two);
    gateway.tables.fdb.remove(&fixed);
    gateway.tables.fdb.get_mut(&one).unwrap().target = elsewhere;
    gateway.tables.fdb.insert(stray, FdbEntry { target: elsewhere, ..FdbEntry::default() });
    gateway.scan();
    assert_eq!(gateway.lookup("blue", mac(1)), Some(port("eth1", 0)), "put right");
    assert_eq!(gateway.lookup("blue", mac(2)), None, "to be learnt again");
    assert!(gateway.last.contains(&Action::DelFdb(two)), "the forwarder's mirror may have it");
    assert_eq!(gateway.lookup("blue", mac(9)), Some(peer("gw2")), "written again");
    assert!(!gateway.tables.fdb.contains_key(&stray), "nobody's");
    assert_eq!(gateway.fdb().len(), 2);
    gateway.scan();
    assert_eq!(gateway.last, [], "nothing is left to do");
}

#[test]
fn what_happens_during_a_scan_stays() {
    let mut gateway = Gateway::ready(TWO_SEGMENTS);
    gateway.frame("blue", mac(1), &port("eth1", 0));
    gateway.wait(5);
    let started = gateway.now;
    let read: Vec<(FdbKey, FdbEntry)> =
        gateway.tables.fdb.iter().map(|(key, entry)| (*key, *entry)).collect();
    gateway.frame("blue", mac(1), &peer("gw2"));
    gateway.frame("blue", mac(2), &peer("gw2"));
    gateway.wait_with(Duration::from_secs(3), |_| false);
    gateway.controller.handle_scan(read, started, gateway.now);
    gateway.drain();
    assert_eq!(gateway.lookup("blue", mac(1)), Some(peer("gw2")), "moved after it was read");
    assert_eq!(gateway.lookup("blue", mac(2)), Some(peer("gw2")), "came after the reading began");
    assert_eq!(gateway.last, []);
}

#[test]
fn an_entry_stamped_in_the_future_is_young() {
    let mut gateway = Gateway::ready(TWO_SEGMENTS);
    gateway.frame("blue", mac(1), &port("eth1", 0));
    gateway.wait(2);
    let epoch = gateway.tables.node.unwrap().epoch;
    gateway.tables.fdb.values_mut().for_each(|entry| entry.seen = epoch + 1);
    gateway.scan();
    assert_eq!(gateway.fdb()[0].age, 0);
}

#[test]
fn addresses_of_an_earlier_run_are_taken_over() {
    let mut gateway = Gateway::ready(&with_static());
    gateway.frame("blue", mac(2), &peer("gw3"));
    let eth1 = RestoredPlace::Port { ifindex: 3, vlan: 0 };
    let gw2 = RestoredPlace::Peer([192, 0, 2, 2].into());
    let gw3 = RestoredPlace::Peer([192, 0, 2, 3].into());
    let is_loaded = false;
    let entry = |vni, last, place, age| Restored { vni, mac: mac(last), place, age, is_loaded };
    let entries = [
        entry(100, 1, eth1, 250),
        entry(200, 1, gw2, 0),
        entry(100, 2, gw2, 0),
        entry(100, 9, gw3, 0),
        entry(300, 3, gw2, 0),
        entry(100, 4, gw2, 300),
        entry(200, 5, gw3, 0),
        entry(200, 6, eth1, 0),
        entry(100, 7, RestoredPlace::Port { ifindex: 99, vlan: 0 }, 0),
        entry(100, 8, RestoredPlace::Port { ifindex: 3, vlan: 10 }, 0),
    ];
    gateway.controller.handle_restored(entries, gateway.now);
    gateway.drain();
    assert_eq!(gateway.lookup("blue", mac(1)), Some(port("eth1", 0)));
    assert_eq!(gateway.lookup("red", mac(1)), Some(peer("gw2")));
    assert_eq!(gateway.lookup("blue", mac(2)), Some(peer("gw3")), "known better already");
    assert_eq!(gateway.lookup("blue", mac(9)), Some(peer("gw2")), "static");
    assert_eq!(gateway.last.len(), 2, "the rest does not fit the configuration, or is too old");
    let shown = gateway.fdb();
    let first = shown.iter().find(|view| view.mac == mac(1) && view.vni == 100).unwrap();
    assert_eq!(first.age, 250, "it goes on ageing");
    gateway.wait(81);
    assert_eq!(gateway.lookup("blue", mac(1)), None);
}

#[test]
fn addresses_restored_first_follow_their_ports() {
    let mut gateway = Gateway::bare(TWO_SEGMENTS);
    gateway.controller.handle_link(crate::gateway::link("eth1", 3), gateway.now);
    let place = RestoredPlace::Port { ifindex: 3, vlan: 0 };
    let entry = Restored { vni: 100, mac: mac(1), place, age: 1, is_loaded: false };
    gateway.controller.handle_restored([entry], gateway.now);
    gateway.drain();
    assert!(matches!(gateway.last.last(), Some(Action::PutFdb(..))));
}

//! Addresses that are loaded by command, beside learnt and configured ones.

use overlay_common::abi::FdbEntry;
use overlay_control::addresses::Purpose;
use overlay_control::controller::{Origin, Refusal, Restored, RestoredPlace};

use crate::gateway::{Gateway, TWO_SEGMENTS, mac, peer, port};

const ONE: &str = "blue 02:01:00:00:00:01 peer gw2";

fn with_fdb(place: &str) -> String {
    let fdb = format!("[[segment.fdb]]\nmac = \"02:01:00:00:00:01\"\n{place}\n\n");
    TWO_SEGMENTS
        .replace("[[segment]]\nname = \"red\"", &format!("{fdb}[[segment]]\nname = \"red\""))
}

fn origin(gateway: &Gateway, segment: &str, last: u32) -> Option<Origin> {
    let shown = gateway.fdb();
    let is_it = |row: &&crate::gateway::Shown| row.segment == segment && row.mac == mac(last);
    shown.iter().find(is_it).map(|row| row.origin)
}

#[test]
fn loaded_addresses_are_static_for_the_packet_path() {
    let mut gateway = Gateway::ready(TWO_SEGMENTS);
    gateway.frame("blue", mac(1), &port("eth1", 0));
    gateway.load(&format!("{ONE}\nred 02:01:00:00:00:01 interface eth2 vlan 20")).unwrap();
    let entry = gateway.tables.fdb[&gateway.key("blue", mac(1))];
    assert_eq!(entry.flags, FdbEntry::STATIC | FdbEntry::LOADED);
    assert_eq!(gateway.lookup("blue", mac(1)), Some(peer("gw2")), "it was learnt elsewhere");
    assert_eq!(gateway.lookup("red", mac(1)), Some(port("eth2", 20)));
    assert_eq!(gateway.controller.fdb_len(Origin::Loaded), 2);
    let (key, elsewhere) = (gateway.key("blue", mac(1)), gateway.target(&port("eth1", 0)));
    gateway.report(key, elsewhere);
    assert_eq!(gateway.last, [], "it does not move");
    gateway.wait(10_000);
    assert_eq!(origin(&gateway, "blue", 1), Some(Origin::Loaded), "and does not age");
    assert_eq!(gateway.controller.segments()[0].fdb, 1);
}

#[test]
fn loading_again_moves_and_the_same_again_does_nothing() {
    let mut gateway = Gateway::ready(TWO_SEGMENTS);
    gateway.load(ONE).unwrap();
    gateway.load(ONE).unwrap();
    assert_eq!(gateway.last, []);
    gateway.load(&ONE.replace("gw2", "gw3")).unwrap();
    assert_eq!(gateway.last.len(), 1, "replaced in one step");
    assert_eq!(gateway.lookup("blue", mac(1)), Some(peer("gw3")));
    assert_eq!(gateway.controller.fdb_len(Origin::Loaded), 1);
}

#[test]
fn a_reload_keeps_what_still_fits() {
    let mut gateway = Gateway::ready(TWO_SEGMENTS);
    let second = "blue 02:01:00:00:00:02 peer gw3";
    let third = "blue 02:01:00:00:00:03 interface eth1";
    gateway.load(&format!("{ONE}\n{second}\n{third}")).unwrap();
    gateway.reload(&TWO_SEGMENTS.replace("vni = 100\n", "vni = 100\nlearning = false\n"));
    assert_eq!(gateway.controller.fdb_len(Origin::Loaded), 3, "learning has nothing to do with it");
    let gw3 = TWO_SEGMENTS.find("[[peer]]\nname = \"gw3\"").unwrap();
    gateway.reload(&TWO_SEGMENTS[..gw3]);
    assert_eq!(gateway.lookup("blue", mac(1)), Some(peer("gw2")));
    assert_eq!(gateway.lookup("blue", mac(2)), None, "its peer is gone");
    gateway.link_gone("eth1");
    assert_eq!(origin(&gateway, "blue", 3), Some(Origin::Loaded), "static addresses wait");
}

#[test]
fn the_configuration_stands_above_what_is_loaded() {
    let mut gateway = Gateway::ready(TWO_SEGMENTS);
    gateway.load(ONE).unwrap();
    gateway.reload(&with_fdb("interface = \"eth1\""));
    assert_eq!(origin(&gateway, "blue", 1), Some(Origin::Configured));
    assert_eq!(gateway.lookup("blue", mac(1)), Some(port("eth1", 0)));
    let before = gateway.tables.fdb.clone();
    let refused = gateway.load(&format!("blue 02:01:00:00:00:02 peer gw2\n{ONE}")).unwrap_err();
    let Refusal::Lines(errors) = refused else { panic!("{refused:?}") };
    assert_eq!((errors.len(), errors[0].line), (1, 2));
    assert!(errors[0].help.contains("[[segment.fdb]]"), "{}", errors[0]);
    assert_eq!(gateway.tables.fdb, before, "all or nothing");
    let refused = gateway.unload("blue 02:01:00:00:00:01").unwrap_err();
    assert!(matches!(&refused, Refusal::Lines(errors) if errors[0].help.contains("reload")));
    gateway.reload(TWO_SEGMENTS);
    assert_eq!(origin(&gateway, "blue", 1), None);
}

#[test]
fn only_what_is_loaded_is_unloaded() {
    let mut gateway = Gateway::ready(TWO_SEGMENTS);
    gateway.load(&format!("{ONE}\nblue 02:01:00:00:00:02 peer gw2")).unwrap();
    gateway.frame("blue", mac(3), &peer("gw2"));
    for (other, says) in [(3, "learnt"), (4, "not loaded")] {
        let refused = gateway.unload(&format!("{ONE}\nblue {} peer gw2", mac(other))).unwrap_err();
        let Refusal::Lines(errors) = refused else { panic!("{refused:?}") };
        assert!(errors[0].line == 2 && errors[0].message.contains(says), "{}", errors[0]);
    }
    assert_eq!(gateway.controller.fdb_len(Origin::Loaded), 2);
    gateway.unload(ONE).unwrap();
    assert_eq!(origin(&gateway, "blue", 1), None);
    assert_eq!(gateway.controller.loaded(), [gateway.key("blue", mac(2))]);
}

#[test]
fn a_list_read_under_another_configuration_is_refused() {
    let mut gateway = Gateway::ready(TWO_SEGMENTS);
    let list = gateway.list(ONE, Purpose::Load).unwrap();
    gateway.reload(TWO_SEGMENTS);
    assert_eq!(gateway.load_list(&list), Err(Refusal::Changed));
    assert_eq!(gateway.controller.check_unload(&list), Err(Refusal::Changed));
}

#[test]
fn learnt_addresses_make_room_and_static_ones_do_not() {
    let small = |text: &str| text.replace("[[uplink]]", "fdb_entries = 3\n[[uplink]]");
    let mut gateway = Gateway::ready(&small(&with_fdb("peer = \"gw2\"")));
    gateway.frame("blue", mac(7), &port("eth1", 0));
    gateway.wait(3);
    gateway.frame("blue", mac(8), &port("eth1", 0));
    gateway.load("blue 02:01:00:00:00:02 peer gw2").unwrap();
    assert_eq!(gateway.lookup("blue", mac(7)), None, "the one that was learnt first");
    assert_eq!(gateway.lookup("blue", mac(8)), Some(port("eth1", 0)));
    let refused = gateway.load("blue 02:01:00:00:00:03 peer gw2\nblue 02:01:00:00:00:04 peer gw2");
    assert_eq!(refused, Err(Refusal::Full { wanted: 4, room: 3 }));
    assert_eq!(gateway.lookup("blue", mac(8)), Some(port("eth1", 0)), "all or nothing");
    let full = "blue 02:01:00:00:00:02 peer gw3\nblue 02:01:00:00:00:08 peer gw3";
    gateway.load(full).unwrap();
    gateway.load(full).unwrap();
    assert_eq!(gateway.tables.fdb.len(), 3, "what is there needs no room");
}

#[test]
fn loaded_addresses_of_an_earlier_run_are_taken_over() {
    let mut gateway =
        Gateway::ready(&TWO_SEGMENTS.replace("vni = 100", "vni = 100\nlearning = false"));
    let place = RestoredPlace::Peer([192, 0, 2, 2].into());
    let entry =
        |last, is_loaded| Restored { vni: 100, mac: mac(last), place, age: 5000, is_loaded };
    gateway.controller.handle_restored([entry(1, true), entry(2, false)], gateway.now);
    gateway.drain();
    assert_eq!(
        origin(&gateway, "blue", 1),
        Some(Origin::Loaded),
        "neither age nor learning matter"
    );
    assert_eq!(origin(&gateway, "blue", 2), None);
}

#[test]
fn a_scan_writes_lost_addresses_again() {
    let mut gateway = Gateway::ready(TWO_SEGMENTS);
    gateway.load(ONE).unwrap();
    gateway.wait(1);
    let key = gateway.key("blue", mac(1));
    let right = gateway.tables.fdb.remove(&key).unwrap();
    gateway.scan();
    assert_eq!(gateway.tables.fdb.get(&key), Some(&right));
    gateway.tables.fdb.get_mut(&key).unwrap().flags = FdbEntry::STATIC;
    gateway.wait(1);
    gateway.scan();
    assert_eq!(gateway.tables.fdb.get(&key), Some(&right), "the mark that it was loaded");
    gateway.scan();
    assert_eq!(gateway.last, []);
}

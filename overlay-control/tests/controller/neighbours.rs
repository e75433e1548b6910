//! Whose an IP address is: as long as its station is there, and no longer.

use overlay_common::abi::{FdbKey, Neighbour, NeighbourKey, Punt, PuntReason, Target};
use overlay_common::wire::Mac;
use overlay_control::action::Action;
use overlay_control::config::Place;
use overlay_control::controller::RestoredNeighbour;

use crate::gateway::{Gateway, TWO_SEGMENTS, link, mac, peer, port};

const NOBODY: Mac = Mac([0; 6]);

impl Gateway {
    /// What the path reports of a claim.
    fn claim(&mut self, segment: &str, ip: &str, mac: Mac, place: &Place, router: bool) {
        let segment = self.segment(segment).0;
        let key = NeighbourKey::of(ip.parse().unwrap(), segment).unwrap();
        let punt = Punt {
            reason: PuntReason::Neighbour as u8,
            segment,
            source: self.target(place),
            mac: mac.0,
            address: key.bytes(),
            generation: router.into(),
            ..Punt::default()
        };
        self.controller.handle_neighbour(&punt, self.now);
        self.drain();
    }

    fn whose(&self, segment: &str, ip: &str) -> Option<Neighbour> {
        let key = NeighbourKey::of(ip.parse().unwrap(), self.segment(segment).0).unwrap();
        self.tables.neighbours.get(&key).copied()
    }

    /// The controller believes what the kernel's table says.
    fn shown(&self) -> Vec<(String, String, Mac, bool)> {
        let views = self.controller.neighbours();
        assert_eq!(views.len(), self.tables.neighbours.len());
        assert_eq!(views.len(), self.controller.neighbours_len());
        let shown = |view: &overlay_control::controller::NeighbourView<'_>| {
            (view.segment.to_owned(), view.ip.to_string(), view.mac, view.is_static)
        };
        views.iter().map(shown).collect()
    }
}

const FIXED: &str = "vni = 100\n[[segment.neighbour]]\nip = \"10.0.0.5\"\n\
                     mac = \"02:01:00:00:00:09\"\n";

#[test]
fn the_first_word_of_a_station_teaches_both_its_addresses() {
    let mut gateway = Gateway::ready(TWO_SEGMENTS);
    gateway.claim("blue", "10.0.0.1", mac(1), &port("eth1", 0), false);
    let key = gateway.key("blue", mac(1));
    assert!(
        matches!(gateway.last[..], [Action::PutFdb(k, _), Action::PutNeighbour(..)] if k == key)
    );
    gateway.claim("blue", "fe80::1", mac(1), &port("eth1", 0), true);
    gateway.claim("red", "10.0.0.1", mac(2), &peer("gw2"), false);
    assert_eq!(gateway.whose("blue", "10.0.0.1"), Some(Neighbour::new(mac(1))));
    assert_eq!(gateway.whose("blue", "fe80::1"), Some(Neighbour::new(mac(1)).with_router(true)));
    assert_eq!(
        gateway.whose("red", "10.0.0.1"),
        Some(Neighbour::new(mac(2))),
        "segments do not mix"
    );
    assert_eq!(gateway.controller.neighbour_totals().learned, 3);
    let ip = |segment: &str, ip: &str, last| (segment.to_owned(), ip.to_owned(), mac(last), false);
    let all = [ip("blue", "10.0.0.1", 1), ip("blue", "fe80::1", 1), ip("red", "10.0.0.1", 2)];
    assert_eq!(gateway.shown(), all);
}

#[test]
fn the_newest_has_an_address_and_the_configuration_above_it() {
    let text = TWO_SEGMENTS.replace("vni = 100\n", FIXED);
    let mut gateway = Gateway::ready(&text);
    gateway.claim("blue", "10.0.0.1", mac(1), &port("eth1", 0), false);
    gateway.claim("blue", "10.0.0.1", mac(2), &peer("gw2"), false);
    assert_eq!(gateway.whose("blue", "10.0.0.1"), Some(Neighbour::new(mac(2))));
    assert_eq!(gateway.controller.neighbour_totals().moved, 1);
    gateway.claim("blue", "10.0.0.1", mac(2), &peer("gw2"), false);
    assert_eq!(gateway.last.len(), 1, "the path still says it: the writing has failed");
    gateway.claim("blue", "10.0.0.5", mac(1), &port("eth1", 0), false);
    assert_eq!(gateway.whose("blue", "10.0.0.5"), Some(Neighbour::new(mac(9)).fixed()));
    // In doubt: the one is forgotten, the other stays.
    gateway.claim("blue", "10.0.0.1", NOBODY, &port("eth1", 0), false);
    gateway.claim("blue", "10.0.0.5", NOBODY, &port("eth1", 0), false);
    assert_eq!(gateway.shown(), [("blue".into(), "10.0.0.5".into(), mac(9), true)]);
    // The first station, which lost its address, takes none along.
    gateway.link_gone("eth1");
    assert_eq!(gateway.shown().len(), 1);
}

#[test]
fn an_address_goes_with_its_station() {
    let mut gateway = Gateway::ready(TWO_SEGMENTS);
    gateway.claim("blue", "10.0.0.1", mac(1), &port("eth1", 0), false);
    gateway.claim("blue", "fe80::1", mac(1), &port("eth1", 0), false);
    gateway.claim("blue", "10.0.0.2", mac(2), &peer("gw2"), false);
    gateway.claim("blue", "10.0.0.3", mac(3), &peer("gw3"), false);
    // A move takes nothing away.
    gateway.frame("blue", mac(3), &peer("gw2"));
    assert_eq!(gateway.shown().len(), 4);
    gateway.link(overlay_control::controller::LinkInfo { up: false, ..link("eth1", 3) });
    assert_eq!(gateway.shown().len(), 2, "the carrier is lost");
    let talking = gateway.key("blue", mac(2));
    gateway.wait_with(core::time::Duration::from_secs(400), |key| *key == talking);
    assert_eq!(gateway.shown(), [("blue".into(), "10.0.0.2".into(), mac(2), false)], "aged");
    let last = TWO_SEGMENTS.rfind("[[peer]]").unwrap();
    let without = TWO_SEGMENTS[..last].replace("\"blue\", ", "");
    gateway.reload(&without);
    assert_eq!(gateway.shown(), [], "the peer may not use the segment any more");
}

#[test]
fn a_reload_changes_what_is_static_and_who_listens() {
    let mut gateway = Gateway::ready(TWO_SEGMENTS);
    gateway.claim("blue", "10.0.0.5", mac(1), &port("eth1", 0), false);
    gateway.claim("red", "10.0.0.6", mac(1), &peer("gw2"), false);
    gateway.reload(&TWO_SEGMENTS.replace("vni = 100\n", FIXED));
    assert_eq!(gateway.whose("blue", "10.0.0.5"), Some(Neighbour::new(mac(9)).fixed()));
    gateway.link_gone("eth1");
    assert_eq!(gateway.whose("blue", "10.0.0.5"), Some(Neighbour::new(mac(9)).fixed()));
    gateway.reload(TWO_SEGMENTS);
    assert_eq!(gateway.whose("blue", "10.0.0.5"), None);
    let off = TWO_SEGMENTS.replace("vni = 200\n", "vni = 200\nsuppression = false\n");
    gateway.reload(&off);
    assert_eq!(gateway.shown(), []);
    let red = gateway.segment("red").0;
    let listens = gateway.tables.access.values().filter(|access| access.flags != 0);
    assert!(listens.clone().count() == 1 && listens.clone().all(|access| access.segment != red));
    let permits = gateway.tables.permits.values();
    let listens = permits.filter(|p| p.flags & overlay_common::abi::Permit::NEIGHBOURS != 0);
    assert!(listens.clone().count() == 3 && listens.clone().all(|p| p.segment != red));
    gateway.claim("red", "10.0.0.6", mac(1), &peer("gw2"), false);
    assert_eq!(gateway.last, [], "a word that was under way");
    gateway.reload(
        &TWO_SEGMENTS.replace("name = \"red\"", "name = \"green\"").replace(", \"red\"", ""),
    );
    gateway.wait(1);
    gateway.tables.check_settled();
}

#[test]
fn impossible_claims_are_ignored() {
    let mut gateway = Gateway::ready(TWO_SEGMENTS);
    let (blue, red) = (gateway.segment("blue").0, gateway.segment("red").0);
    let (eth1, gw3) = (gateway.target(&port("eth1", 0)), gateway.target(&peer("gw3")));
    let ip = NeighbourKey::v4([10, 0, 0, 1], 0).unwrap().bytes();
    let good = mac(1).0;
    for (what, segment, source, mac, address) in [
        ("broadcast", blue, eth1, [0xff; 6], ip),
        ("a port of another segment", red, eth1, good, ip),
        ("a peer that may not use the segment", red, gw3, good, ip),
        ("no such port", blue, Target::port(77), good, ip),
        ("no such segment", 77, eth1, good, ip),
        ("an address that no host has", blue, eth1, good, [0; 16]),
        ("a group", blue, eth1, good, [0xff; 16]),
    ] {
        let reason = PuntReason::Neighbour as u8;
        let punt = Punt { reason, segment, source, mac, address, ..Punt::default() };
        gateway.controller.handle_neighbour(&punt, gateway.now);
        gateway.drain();
        assert_eq!(gateway.last, [], "{what}");
    }
    let punt = Punt { segment: blue, source: eth1, mac: good, address: ip, ..Punt::default() };
    gateway.controller.handle_neighbour(&punt, gateway.now);
    gateway.drain();
    assert_eq!(gateway.last, [], "another reason");
}

#[test]
fn peers_tell_of_stations_that_are_known() {
    let fdb = "vni = 100\nlearning = false\n[[segment.fdb]]\nmac = \"02:01:00:00:00:02\"\npeer = \"gw2\"\n";
    let mut gateway = Gateway::ready(&TWO_SEGMENTS.replace("vni = 100\n", fdb));
    gateway.claim("blue", "10.0.0.1", mac(1), &peer("gw2"), false);
    assert_eq!(gateway.last, [], "nobody learns where that is");
    gateway.claim("blue", "10.0.0.2", mac(2), &peer("gw2"), false);
    assert_eq!(gateway.whose("blue", "10.0.0.2"), Some(Neighbour::new(mac(2))));
}

#[test]
fn nobody_makes_the_table_grow_without_end() {
    let text =
        TWO_SEGMENTS.replace("vtep = \"192.0.2.1\"\n", "vtep = \"192.0.2.1\"\nfdb_entries = 50\n");
    let mut gateway = Gateway::ready(&text);
    for low in 1..=250 {
        gateway.claim("blue", &format!("10.0.0.{low}"), mac(1), &port("eth1", 0), false);
    }
    assert_eq!(gateway.shown().len(), 32, "of one station");
    for low in 1..=250 {
        gateway.claim("blue", &format!("10.0.1.{low}"), mac(low), &port("eth1", 0), false);
    }
    assert_eq!(gateway.shown().len(), 32 + 49, "the FDB is full, and these are without station");
    assert_eq!(gateway.controller.fdb_totals().refused, 250 - 50);
    for low in 1..=250 {
        gateway.claim("blue", &format!("10.0.2.{low}"), mac(1 + low % 50), &port("eth1", 0), false);
    }
    assert_eq!(gateway.shown().len(), 100, "two for each station, all in all");
    assert!(gateway.controller.neighbour_totals().refused > 300);
}

#[test]
fn what_was_heard_outlives_the_daemon() {
    let mut gateway = Gateway::ready(&TWO_SEGMENTS.replace("vni = 100\n", FIXED));
    gateway.frame("blue", mac(1), &port("eth1", 0));
    let restored = |ip: &str, last, vni| RestoredNeighbour {
        vni,
        address: ip.parse().unwrap(),
        neighbour: Neighbour::new(mac(last)).with_router(true),
    };
    let entries = [
        restored("10.0.0.1", 1, 100),
        restored("10.0.0.2", 2, 100),
        restored("10.0.0.1", 1, 200),
        restored("10.0.0.1", 1, 300),
        restored("10.0.0.5", 1, 100),
    ];
    gateway.controller.handle_restored_neighbours(entries, gateway.now);
    gateway.drain();
    let ip = |ip: &str, last, fixed| ("blue".to_owned(), ip.to_owned(), mac(last), fixed);
    assert_eq!(gateway.shown(), [ip("10.0.0.1", 1, false), ip("10.0.0.5", 9, true)]);
    assert!(gateway.whose("blue", "10.0.0.1").unwrap().is_router());
    assert_eq!(gateway.key("blue", mac(1)), FdbKey::new(mac(1), gateway.segment("blue").0));
}

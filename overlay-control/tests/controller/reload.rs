//! Another configuration: what stays, stays.

use core::time::Duration;
use std::net::IpAddr;

use overlay_common::abi::{Permit, PermitKey};
use overlay_common::id::PortId;
use overlay_common::wire::Outer4;
use overlay_control::action::Action;

use crate::gateway::{Gateway, TWO_SEGMENTS, mac, parse, peer, port};

/// The text without the part from `from` up to `to` (or the end).
fn without(from: &str, to: &str) -> String {
    let start = TWO_SEGMENTS.find(from).unwrap();
    let end = TWO_SEGMENTS[start..].find(to).map_or(TWO_SEGMENTS.len(), |at| start + at);
    format!("{}{}", &TWO_SEGMENTS[..start], &TWO_SEGMENTS[end..])
}

fn without_gw2() -> String {
    without("[[peer]]\nname = \"gw2\"", "[[peer]]\nname = \"gw3\"")
}

#[test]
fn the_same_configuration_changes_nothing() {
    let mut gateway = Gateway::ready(TWO_SEGMENTS);
    gateway.frame("blue", mac(1), &peer("gw2"));
    gateway.reload(TWO_SEGMENTS);
    assert_eq!(gateway.last, []);
    gateway.wait(1);
    gateway.tables.check_settled();
}

/// With a thousand peers in another segment.
#[test]
fn a_change_costs_what_changes() {
    let peer_in = |number: usize, segment: &str, more: &str| {
        let (high, low) = (number / 250, number % 250 + 1);
        format!(
            "[[peer]]\nname = \"p{number}\"\nvtep = \"198.51.{high}.{low}\"\n\
             segments = [\"{segment}\"]\n{more}"
        )
    };
    let many: String = (0..1000).map(|number| peer_in(number, "blue", "")).collect();
    let text = format!("{TWO_SEGMENTS}{many}");
    let mut gateway = Gateway::ready(&text);
    let mut most = |what: &str, text: &str, most: usize| {
        gateway.reload(text);
        let written = gateway.last.len();
        assert!(written <= most && written > 0, "{what}: {written} writes: {:?}", gateway.last);
        gateway.wait(1);
        gateway.tables.check_settled();
    };
    let one = peer_in(7, "blue", "");
    let other = text.replace(&one, &peer_in(7, "blue", "dscp = 10\n"));
    most("a peer's DSCP", &other, 2);
    most("and back", &text, 2);
    let more = format!("{text}{}", peer_in(2000, "red", ""));
    most("a peer that comes", &more, 16);
    most("and goes", &text, 16);
    gateway.reload(&text);
    assert_eq!(gateway.last, []);
}

#[test]
fn indices_and_addresses_of_what_stays_are_kept() {
    let mut gateway = Gateway::ready(TWO_SEGMENTS);
    let before = (
        gateway.segment("red"),
        gateway.port("eth2", 10),
        gateway.peer("gw3"),
        gateway.segment("blue"),
    );
    gateway.frame("blue", mac(1), &port("eth2", 10));
    gateway.frame("blue", mac(2), &peer("gw3"));
    let more = "[[segment]]\nname = \"aaa\"\nvni = 1\n[[segment.port]]\ninterface = \"eth3\"\n\
                [[peer]]\nname = \"aaa\"\nvtep = \"192.0.2.9\"\nsegments = [\"aaa\", \"blue\"]\n";
    // New items first, so that whoever counts along gets it wrong.
    let text = without_gw2();
    let (head, tail) = text.split_once("[[segment]]").unwrap();
    gateway.reload(&format!("{head}{more}[[segment]]{tail}"));
    let after = (
        gateway.segment("red"),
        gateway.port("eth2", 10),
        gateway.peer("gw3"),
        gateway.segment("blue"),
    );
    assert_eq!(before, after);
    assert_eq!(gateway.lookup("blue", mac(1)), Some(port("eth2", 10)));
    assert_eq!(gateway.lookup("blue", mac(2)), Some(peer("gw3")));
    let touched = |action: &Action| matches!(action, Action::PutFdb(..) | Action::DelFdb(..));
    assert!(!gateway.last.iter().any(touched), "{:?}", gateway.last);
    assert_ne!(gateway.peer("aaa"), gateway.peer("gw3"));
    gateway.resolve_all();
    gateway.wait(1);
    gateway.tables.check_settled();
}

#[test]
fn a_peer_that_goes_takes_its_stations_and_permits_along() {
    let mut gateway = Gateway::ready(TWO_SEGMENTS);
    let (gw2, gw3) = (gateway.peer("gw2"), gateway.peer("gw3"));
    gateway.frame("blue", mac(1), &peer("gw2"));
    gateway.frame("blue", mac(2), &peer("gw3"));
    gateway.reload(&without_gw2());
    assert_eq!(gateway.lookup("blue", mac(1)), None);
    assert_eq!(gateway.lookup("blue", mac(2)), Some(peer("gw3")));
    assert!(!gateway.tables.vteps.contains_key(&IpAddr::from([192, 0, 2, 2])));
    assert_eq!(gateway.tables.flood_list(gateway.segment("blue")).1, [gw3.0]);
    assert_eq!(gateway.tables.flood_list(gateway.segment("red")).1, [0u32; 0]);
    assert!(gateway.tables.peers.contains_key(&gw2), "packets on their way may still find it");
    gateway.wait(1);
    assert!(!gateway.tables.peers.contains_key(&gw2));
    gateway.tables.check_settled();
}

#[test]
fn a_peer_that_may_no_longer_use_a_segment_is_out_of_it() {
    let mut gateway = Gateway::ready(TWO_SEGMENTS);
    gateway.frame("blue", mac(1), &peer("gw2"));
    gateway.frame("red", mac(1), &peer("gw2"));
    let profile = |gateway: &Gateway| gateway.tables.vteps[&IpAddr::from([192, 0, 2, 2])].profile;
    let (before, gw2) = (profile(&gateway), gateway.peer("gw2"));
    gateway.reload(&TWO_SEGMENTS.replace("[\"blue\", \"red\"]", "[\"red\"]"));
    assert_eq!(gateway.peer("gw2"), gw2);
    assert_eq!(gateway.lookup("blue", mac(1)), None);
    assert_eq!(gateway.lookup("red", mac(1)), Some(peer("gw2")));
    let after = profile(&gateway);
    assert_ne!(before, after, "another set, another profile");
    let permit = |profile, vni| gateway.tables.permits.get(&PermitKey { profile, vni });
    assert!(permit(after, 200).is_some() && permit(after, 100).is_none());
    assert!(permit(before, 100).is_none() && permit(before, 200).is_none());
}

#[test]
fn a_segment_that_goes_takes_everything_along() {
    let mut gateway = Gateway::ready(TWO_SEGMENTS);
    gateway.frame("red", mac(1), &port("eth2", 20));
    gateway.frame("red", mac(2), &peer("gw2"));
    gateway.frame("blue", mac(3), &port("eth2", 10));
    let text = without("[[segment]]\nname = \"red\"", "[[peer]]").replace(", \"red\"", "");
    gateway.reload(&text);
    assert_eq!(gateway.tables.fdb.len(), 1);
    assert_eq!(gateway.lookup("blue", mac(3)), Some(port("eth2", 10)));
    assert!(gateway.tables.permits.keys().all(|key| key.vni == 100));
    assert!(gateway.tables.access.keys().all(|key| key.vlan != 20));
    gateway.wait(1);
    assert_eq!(gateway.tables.segments.len(), 1);
    assert_eq!(gateway.tables.ports.len(), 3);
    gateway.tables.check_settled();
}

#[test]
fn a_port_that_changes_its_segment_is_another_port() {
    let mut gateway = Gateway::ready(TWO_SEGMENTS);
    let before = gateway.port("eth2", 10);
    gateway.frame("blue", mac(1), &port("eth2", 10));
    let text = TWO_SEGMENTS
        .replace("vlan = 10", "vlan = 11")
        .replace("vlan = 20", "vlan = 10")
        .replace("vlan = 11", "vlan = 20");
    gateway.reload(&text);
    let after = gateway.port("eth2", 10);
    assert_ne!(before, after);
    assert_eq!(gateway.lookup("blue", mac(1)), None);
    assert_eq!(gateway.tables.ports[&after].segment, gateway.segment("red").0);
    gateway.wait(1);
    assert!(!gateway.tables.ports.contains_key(&before));
    gateway.tables.check_settled();
}

#[test]
fn a_segment_that_changes_its_vni_keeps_its_stations() {
    let mut gateway = Gateway::ready(TWO_SEGMENTS);
    gateway.frame("blue", mac(1), &peer("gw2"));
    let id = gateway.segment("blue");
    gateway.reload(&TWO_SEGMENTS.replace("vni = 100", "vni = 101"));
    assert_eq!(gateway.segment("blue"), id);
    assert_eq!(gateway.tables.segments[&id].vni, 101);
    assert_eq!(gateway.lookup("blue", mac(1)), Some(peer("gw2")));
    assert!(gateway.tables.permits.keys().all(|key| key.vni != 100));
}

#[test]
fn two_segments_may_swap_their_vnis_and_two_peers_their_vteps() {
    let mut gateway = Gateway::ready(TWO_SEGMENTS);
    let swap = |text: &str, a: &str, b: &str| text.replace(a, "@").replace(b, a).replace('@', b);
    let text = swap(TWO_SEGMENTS, "vni = 100", "vni = 200");
    let text = swap(&text, "\"192.0.2.2\"", "\"192.0.2.3\"");
    gateway.reload(&text);
    gateway.resolve_all();
    let any = |vni| gateway.tables.permits[&PermitKey { profile: PermitKey::ANY, vni }].segment;
    assert_eq!((any(100), any(200)), (gateway.segment("red").0, gateway.segment("blue").0));
    let vtep = |last| gateway.tables.vteps[&IpAddr::from([192, 0, 2, last])].peer();
    assert_eq!((vtep(3), vtep(2)), (gateway.peer("gw2").0, gateway.peer("gw3").0));
    let outer: Outer4 = gateway.tables.peers[&gateway.peer("gw2")].headers();
    assert_eq!(outer.ip.destination, [192, 0, 2, 3]);
}

#[test]
fn a_peer_with_another_vtep_has_to_be_resolved_again() {
    let mut gateway = Gateway::ready(TWO_SEGMENTS);
    let gw2 = gateway.peer("gw2");
    gateway.reload(&TWO_SEGMENTS.replace("192.0.2.2", "192.0.2.22"));
    assert_eq!(gateway.peer("gw2"), gw2);
    assert!(!gateway.tables.peers[&gw2].is_ready());
    gateway.resolve([192, 0, 2, 22]);
    assert!(gateway.tables.peers[&gw2].is_ready());
}

#[test]
fn a_peer_that_comes_back_has_to_be_resolved_again() {
    let mut gateway = Gateway::ready(TWO_SEGMENTS);
    gateway.reload(&without_gw2());
    gateway.reload(TWO_SEGMENTS);
    let gw2 = gateway.peer("gw2");
    assert!(!gateway.tables.peers[&gw2].is_ready(), "its way may have changed meanwhile");
    gateway.resolve([192, 0, 2, 2]);
    assert!(gateway.tables.peers[&gw2].is_ready());
}

#[test]
fn another_local_vtep_is_in_every_header() {
    let mut gateway = Gateway::ready(TWO_SEGMENTS);
    gateway.reload(&TWO_SEGMENTS.replace("\"192.0.2.1\"", "\"192.0.2.100\""));
    assert_eq!(gateway.tables.node.unwrap().vtep, [192, 0, 2, 100]);
    assert!(
        gateway.tables.peers.values().all(|p| p.headers::<Outer4>().ip.source == [192, 0, 2, 100])
    );
}

#[test]
fn learning_switched_off_forgets_what_peers_taught() {
    let mut gateway = Gateway::ready(TWO_SEGMENTS);
    gateway.frame("blue", mac(1), &peer("gw2"));
    gateway.frame("blue", mac(2), &port("eth1", 0));
    gateway.frame("red", mac(1), &peer("gw2"));
    gateway.reload(&TWO_SEGMENTS.replace("vni = 100\n", "vni = 100\nlearning = false\n"));
    assert_eq!(gateway.lookup("blue", mac(1)), None);
    assert_eq!(gateway.lookup("blue", mac(2)), Some(port("eth1", 0)));
    assert_eq!(gateway.lookup("red", mac(1)), Some(peer("gw2")));
    let learns = |permit: &Permit| permit.flags & Permit::LEARN != 0;
    let permits = gateway.tables.permits.iter().filter(|(_, permit)| learns(permit));
    assert!(permits.into_iter().all(|(key, _)| key.vni == 200));
}

fn with_static(place: &str) -> String {
    let fdb = format!("[[segment.fdb]]\nmac = \"02:01:00:00:00:01\"\n{place}\n\n");
    TWO_SEGMENTS
        .replace("[[segment]]\nname = \"red\"", &format!("{fdb}[[segment]]\nname = \"red\""))
}

#[test]
fn static_addresses_come_change_and_go() {
    let mut gateway = Gateway::ready(TWO_SEGMENTS);
    gateway.frame("blue", mac(1), &port("eth1", 0));
    gateway.reload(&with_static("peer = \"gw2\""));
    assert_eq!(gateway.lookup("blue", mac(1)), Some(peer("gw2")), "what is configured wins");
    assert!(gateway.tables.fdb[&gateway.key("blue", mac(1))].is_static());
    gateway.reload(&with_static("interface = \"eth1\""));
    assert_eq!(gateway.lookup("blue", mac(1)), Some(port("eth1", 0)));
    assert_eq!(gateway.last.len(), 1, "replaced in one step");
    gateway.reload(TWO_SEGMENTS);
    assert_eq!(gateway.lookup("blue", mac(1)), None);
    gateway.frame("blue", mac(1), &peer("gw3"));
    assert!(!gateway.tables.fdb[&gateway.key("blue", mac(1))].is_static());
}

#[test]
fn learnt_addresses_make_room_for_static_ones() {
    let small = |text: &str| text.replace("[[uplink]]", "fdb_entries = 2\n[[uplink]]");
    let mut gateway = Gateway::ready(&small(TWO_SEGMENTS));
    gateway.frame("blue", mac(7), &port("eth1", 0));
    gateway.wait(3);
    gateway.frame("blue", mac(8), &port("eth1", 0));
    gateway.reload(&small(&with_static("peer = \"gw2\"")));
    assert_eq!(gateway.lookup("blue", mac(1)), Some(peer("gw2")));
    assert_eq!(gateway.lookup("blue", mac(7)), None, "the one that was silent longest");
    assert_eq!(gateway.lookup("blue", mac(8)), Some(port("eth1", 0)));
    let full = gateway.last.iter().position(|a| matches!(a, Action::PutFdb(..)));
    let room = gateway.last.iter().position(|a| matches!(a, Action::DelFdb(..)));
    assert!(room < full, "room first: {:?}", gateway.last);
}

#[test]
fn static_addresses_that_go_make_room_for_those_that_come() {
    let text = |macs: &[u32]| {
        let entries = macs
            .iter()
            .map(|last| format!("[[segment.fdb]]\nmac = \"{}\"\npeer = \"gw2\"\n\n", mac(*last)));
        let red = "[[segment]]\nname = \"red\"";
        TWO_SEGMENTS
            .replace("[[uplink]]", "fdb_entries = 3\n[[uplink]]")
            .replace(red, &format!("{}{red}", entries.collect::<String>()))
    };
    let mut gateway = Gateway::ready(&text(&[1, 2]));
    gateway.frame("blue", mac(7), &port("eth1", 0));
    gateway.controller.handle_config(parse(&text(&[3, 4])), gateway.now);
    while let Some(action) = gateway.controller.poll_action() {
        gateway.tables.apply(&action);
        assert!(gateway.tables.fdb.len() <= 3, "{action:?}: {:?}", gateway.tables.fdb);
    }
    for (last, place) in [(3, peer("gw2")), (4, peer("gw2")), (7, port("eth1", 0))] {
        assert_eq!(gateway.lookup("blue", mac(last)), Some(place), "{last}");
    }
    assert_eq!(gateway.lookup("blue", mac(1)), None);
}

#[test]
fn reloads_in_quick_succession_are_carried_out_one_after_the_other() {
    let mut gateway = Gateway::ready(TWO_SEGMENTS);
    for _ in 0..5 {
        gateway.controller.handle_config(parse(&without_gw2()), gateway.now);
        gateway.controller.handle_config(parse(TWO_SEGMENTS), gateway.now);
    }
    gateway.drain();
    gateway.resolve_all();
    gateway.wait(1);
    gateway.tables.check_settled();
    assert_eq!((gateway.tables.peers.len(), gateway.tables.ports.len()), (2, 4));
}

#[test]
fn reloads_that_nobody_saw_cost_no_index() {
    let mut gateway = Gateway::ready(TWO_SEGMENTS);
    let more = "[[segment.port]]\ninterface = \"eth3\"\n\n[[segment]]\nname = \"red\"";
    let more = parse(&TWO_SEGMENTS.replace("[[segment]]\nname = \"red\"", more));
    let less = parse(TWO_SEGMENTS);
    for _ in 0..overlay_common::abi::MAX_PORTS {
        gateway.controller.handle_config(more.clone(), gateway.now);
        gateway.controller.handle_config(less.clone(), gateway.now);
        gateway.now += Duration::from_secs(1);
        gateway.controller.handle_timeout(gateway.now);
    }
    gateway.controller.handle_config(more, gateway.now);
    assert!(gateway.controller.ports().iter().all(|port| port.id.is_some()));
}

#[test]
fn a_table_changed_as_a_whole_waits_for_free_indices() {
    let ports = overlay_common::abi::MAX_PORTS - 2;
    let text = |prefix: &str| {
        let mut text = "[node]\nname = \"gw1\"\nvtep = \"192.0.2.1\"\n[[uplink]]\n\
                        interface = \"eth0\"\n[[segment]]\nname = \"blue\"\nvni = 100\n"
            .to_owned();
        for i in 0..ports {
            let (interface, vlan) = (format!("{prefix}{}", i / 4000), i % 4000 + 1);
            text += &format!("[[segment.port]]\ninterface = \"{interface}\"\nvlan = {vlan}\n");
        }
        text
    };
    let mut gateway = Gateway::bare(&text("a"));
    let drain = |gateway: &mut Gateway| {
        while let Some(action) = gateway.controller.poll_action() {
            gateway.tables.apply(&action);
        }
        gateway.tables.check();
    };
    gateway.controller.handle_config(parse(&text("b")), gateway.now);
    drain(&mut gateway);
    for _ in 0..3 {
        gateway.now = gateway.controller.poll_timeout().unwrap();
        gateway.controller.handle_timeout(gateway.now);
        drain(&mut gateway);
    }
    assert_eq!(gateway.tables.ports.len() as u32, ports + 1);
    assert!(gateway.controller.ports().iter().all(|port| port.id.is_some()));
    assert!(gateway.tables.ports.keys().all(|id| (1..=ports + 1).contains(&id.0)));
    assert!(gateway.tables.ports.contains_key(&PortId(1)));
    gateway.tables.check_settled();
}

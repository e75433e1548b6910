//! Devices come, go, and change.

use core::time::Duration;

use overlay_common::abi::{AccessKey, Egress};
use overlay_common::wire::{Mac, Outer4};
use overlay_control::controller::LinkInfo;

use crate::gateway::{Gateway, TWO_SEGMENTS, UPLINK_INDEX, link, mac, peer, port};

fn down(name: &str, ifindex: u32) -> LinkInfo {
    LinkInfo { up: false, ..link(name, ifindex) }
}

#[test]
fn a_port_without_carrier_leaves_the_flood_list_and_forgets_its_stations() {
    let mut gateway = Gateway::ready(TWO_SEGMENTS);
    gateway.frame("blue", mac(1), &port("eth1", 0));
    gateway.frame("blue", mac(2), &port("eth2", 10));
    gateway.frame("blue", mac(3), &peer("gw2"));
    gateway.link(down("eth1", 3));
    assert_eq!(gateway.lookup("blue", mac(1)), None);
    assert_eq!(gateway.lookup("blue", mac(2)), Some(port("eth2", 10)));
    assert_eq!(gateway.lookup("blue", mac(3)), Some(peer("gw2")));
    assert_eq!(gateway.controller.fdb_totals().flushed, 1);

    let blue = gateway.segment("blue");
    let eth2 = gateway.port("eth2", 10).0;
    assert_eq!(gateway.tables.flood_list(blue).0, [eth2]);
    let eth1 = gateway.port("eth1", 0);
    assert_eq!(gateway.tables.ports[&eth1].egress, Egress::default(), "frames to it are counted");

    gateway.link(link("eth1", 3));
    assert_eq!(gateway.tables.flood_list(blue).0, [eth1.0, eth2]);
    assert_eq!(gateway.tables.ports[&eth1].egress.ifindex, 3);
}

#[test]
fn a_device_that_goes_takes_its_access_along_and_returns_under_another_index() {
    let mut gateway = Gateway::ready(TWO_SEGMENTS);
    let id = gateway.port("eth2", 10);
    let key = |ifindex| AccessKey { ifindex, vlan: 10, reserved: 0 };
    assert!(gateway.tables.access.contains_key(&key(4)));
    gateway.link_gone("eth2");
    assert!(!gateway.tables.access.contains_key(&key(4)));
    gateway.link(link("eth2", 44));
    assert_eq!(gateway.tables.access[&key(44)].port, id.0, "the same port");
    assert_eq!(gateway.tables.ports[&id].egress.ifindex, 44);
}

#[test]
fn a_device_replaced_without_notice_loses_its_programs() {
    let mut gateway = Gateway::ready(TWO_SEGMENTS);
    gateway.controller.handle_attached("eth1", Egress::XDP, gateway.now);
    gateway.drain();
    gateway.link(link("eth1", 33));
    let egress = gateway.tables.ports[&gateway.port("eth1", 0)].egress;
    assert_eq!(egress, Egress { ifindex: 33, flags: 0 });
    let key = |ifindex| AccessKey { ifindex, vlan: 0, reserved: 0 };
    assert!(gateway.tables.access.contains_key(&key(33)));
    assert!(!gateway.tables.access.contains_key(&key(3)));
}

#[test]
fn an_index_that_another_device_gets_is_that_devices() {
    let mut gateway = Gateway::ready(TWO_SEGMENTS);
    gateway.link_gone("eth1");
    gateway.link(link("eth2", 3));
    let key = |ifindex, vlan| AccessKey { ifindex, vlan, reserved: 0 };
    let access = &gateway.tables.access;
    assert!(!access.contains_key(&key(3, 0)) && !access.contains_key(&key(4, 10)));
    assert_eq!(access[&key(3, 10)].port, gateway.port("eth2", 10).0);
}

#[test]
fn a_renamed_device_leaves_its_ports() {
    let mut gateway = Gateway::ready(TWO_SEGMENTS);
    gateway.frame("blue", mac(1), &port("eth1", 0));
    gateway.link(link("other", 3));
    assert_eq!(gateway.tables.ports[&gateway.port("eth1", 0)].egress.ifindex, 0);
    assert_eq!(gateway.lookup("blue", mac(1)), None);
    gateway.link(link("eth1", 3));
    assert_eq!(gateway.tables.ports[&gateway.port("eth1", 0)].egress.ifindex, 3);
}

#[test]
fn peers_follow_their_uplink() {
    let mut gateway = Gateway::ready(TWO_SEGMENTS);
    let gw2 = gateway.peer("gw2");
    assert!(gateway.tables.peers[&gw2].is_ready());
    gateway.link(down("eth0", UPLINK_INDEX));
    assert!(gateway.tables.peers.values().all(|peer| !peer.is_ready()));
    gateway.frame("blue", mac(3), &peer("gw2"));
    assert_eq!(gateway.lookup("blue", mac(3)), Some(peer("gw2")), "stations stay behind peers");

    let changed = Mac([2, 0, 0, 0, 0, 0x77]);
    gateway.link(LinkInfo { mac: changed, mtu: 9000, ..link("eth0", UPLINK_INDEX) });
    let entry = gateway.tables.peers[&gw2];
    assert!(entry.is_ready());
    assert_eq!(entry.max_frame, 9000 - 36);
    assert_eq!(entry.headers::<Outer4>().ethernet.source, changed);
}

#[test]
fn an_mtu_is_followed() {
    let mut gateway = Gateway::ready(TWO_SEGMENTS);
    gateway.link(LinkInfo { mtu: 1450, ..link("eth1", 3) });
    assert_eq!(gateway.tables.ports[&gateway.port("eth1", 0)].max_frame, 1464);
}

#[test]
fn devices_of_others_change_nothing() {
    let mut gateway = Gateway::ready(TWO_SEGMENTS);
    gateway.link(link("docker0", 99));
    gateway.link(link("eth1", 3));
    gateway.link_gone("docker0");
    gateway.link_gone("never-seen");
    assert_eq!(gateway.last, []);
}

#[test]
fn a_dump_of_links_is_one_change() {
    let mut text =
        "[node]\nname = \"gw1\"\nvtep = \"192.0.2.1\"\n[[uplink]]\ninterface = \"eth0\"\n\
                    [[segment]]\nname = \"blue\"\nvni = 100\n"
            .to_owned();
    for i in 0..500 {
        text += &format!("[[segment.port]]\ninterface = \"tap{i}\"\n");
    }
    let mut gateway = Gateway::bare(&text);
    for i in 0..500 {
        gateway.controller.handle_link(link(&format!("tap{i}"), 10 + i), gateway.now);
    }
    let mut actions = 0;
    while gateway.controller.poll_action().is_some() {
        actions += 1;
    }
    assert_eq!(actions, 500 + 500 + 500 + 1, "ports, access, slots, one segment");
}

#[test]
fn a_flood_list_stays_for_a_while_after_it_was_replaced() {
    let mut gateway = Gateway::ready(TWO_SEGMENTS);
    gateway.wait(1);
    let blue = gateway.segment("blue");
    let slots = |gateway: &Gateway, generation: u16| {
        let of_it = |key: &&overlay_common::abi::FloodKey| {
            key.segment == blue.0 && key.generation == generation
        };
        gateway.tables.flood.keys().filter(of_it).count()
    };
    let generation = |gateway: &Gateway| gateway.tables.segments[&blue].flood.generation();
    let wait = |gateway: &mut Gateway, ms| gateway.wait_with(Duration::from_millis(ms), |_| false);

    let first = generation(&gateway);
    gateway.link(down("eth1", 3));
    let second = generation(&gateway);
    assert_eq!((slots(&gateway, first), slots(&gateway, second)), (4, 3));
    let due = gateway.controller.poll_timeout().unwrap() - gateway.now;
    assert_eq!(due, Duration::from_millis(100), "the next tick would be in a second");
    wait(&mut gateway, 60);
    gateway.link(down("eth2", 4));
    let third = generation(&gateway);
    assert_eq!(slots(&gateway, first), 0, "never more than two at a time");
    wait(&mut gateway, 60);
    assert_eq!(slots(&gateway, second), 3, "it was replaced 60 ms ago");
    wait(&mut gateway, 60);
    assert_eq!((slots(&gateway, second), slots(&gateway, third)), (0, 2));
}

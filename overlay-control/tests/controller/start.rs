//! From nothing to tables that carry packets.

use std::net::IpAddr;

use overlay_common::abi::{
    ABI_VERSION, Access, AccessKey, Egress, FdbEntry, Node, Permit, PermitKey, Port, PuntReason,
    Target, TunnelPorts, Vtep,
};
use overlay_control::action::Action;

use crate::gateway::{Gateway, TWO_SEGMENTS, link, mac, peer};

#[test]
fn the_node_comes_first_with_its_limits() {
    let gateway = Gateway::bare(TWO_SEGMENTS);
    let ports = TunnelPorts { vxlan: 4789, geneve: 0 };
    let vtep = [192, 0, 2, 1];
    let (vtep6, epoch) = (Node::NO_VTEP6, 1);
    let node = Node { abi_version: ABI_VERSION, vtep, vtep6, epoch, ports, ..Node::default() };
    let Action::PutNode(mut put) = gateway.last[0] else { panic!("{:?}", gateway.last[0]) };
    let answers = std::mem::take(&mut put.ptb_limit);
    assert_eq!(put, node);
    assert!(answers.per_second > 0 && answers.burst > 0);
    for reason in PuntReason::ALL {
        let limit = gateway.tables.limits[&reason];
        assert!(limit.per_second > 0 && limit.burst > 0, "{reason:?} is heard of");
    }
}

#[test]
fn a_node_without_devices_takes_nothing_in_and_knows_its_peers() {
    let gateway = Gateway::bare(TWO_SEGMENTS);
    let tables = &gateway.tables;
    assert!(tables.access.is_empty());
    assert!(tables.ports.values().all(|port| port.egress.ifindex == 0));
    assert!(tables.peers.values().all(|peer| !peer.is_ready()));
    let blue = gateway.segment("blue");
    let peers = vec![gateway.peer("gw2").0, gateway.peer("gw3").0];
    assert_eq!(tables.flood_list(blue), (vec![], peers), "peers are listed before they are ready");
}

#[test]
fn ports_follow_their_devices() {
    let mut gateway = Gateway::bare(TWO_SEGMENTS);
    gateway.link(link("eth0", 2));
    gateway.link(link("eth2", 4));
    let (blue, red) = (gateway.segment("blue").0, gateway.segment("red").0);
    let tables = &gateway.tables;
    let expected = |vlan, segment| Port {
        egress: Egress { ifindex: 4, flags: 0 },
        max_frame: 1514,
        vlan,
        segment,
    };
    assert_eq!(tables.ports[&gateway.port("eth2", 10)], expected(10, blue));
    assert_eq!(tables.ports[&gateway.port("eth2", 20)], expected(20, red));
    let uplink = tables.ports[&gateway.port("eth0", 0)];
    assert_eq!((uplink.egress.ifindex, uplink.vlan, uplink.segment), (2, 0, 0));

    let access = |vlan| tables.access.get(&AccessKey { ifindex: 4, vlan, reserved: 0 });
    let port = gateway.port("eth2", 10).0;
    let flags = Access::NEIGHBOURS;
    assert_eq!(access(10), Some(&Access { port, segment: blue, flags }));
    assert_eq!(access(20).map(|access| access.segment), Some(red));
    assert_eq!(access(0), None);
    assert_eq!(tables.access.len(), 2, "an uplink is no access port");
}

#[test]
fn attached_programs_tell_how_a_device_is_reached() {
    let mut gateway = Gateway::ready(TWO_SEGMENTS);
    let (now, flags) = (gateway.now, Egress::XDP | Egress::PEER);
    gateway.controller.handle_attached("eth2", flags, now);
    gateway.controller.handle_attached("eth0", Egress::XDP, now);
    gateway.drain();
    let tables = &gateway.tables;
    assert_eq!(tables.ports[&gateway.port("eth2", 10)].egress, Egress { ifindex: 4, flags });
    assert_eq!(tables.ports[&gateway.port("eth2", 20)].egress, Egress { ifindex: 4, flags });
    assert_eq!(tables.ports[&gateway.port("eth1", 0)].egress.flags, 0);
    assert!(tables.peers.values().all(|peer| peer.egress.flags == Egress::XDP));
    gateway.controller.handle_attached("eth2", flags, now);
    gateway.drain();
    assert_eq!(gateway.last, [], "nothing changed");
}

#[test]
fn peers_may_use_what_they_are_permitted() {
    let gateway = Gateway::ready(TWO_SEGMENTS);
    let tables = &gateway.tables;
    let vtep = |last| tables.vteps[&IpAddr::from([192, 0, 2, last])];
    let (gw2, gw3): (Vtep, Vtep) = (vtep(2), vtep(3));
    assert_eq!((gw2.peer(), gw3.peer()), (gateway.peer("gw2").0, gateway.peer("gw3").0));
    assert!(gw2.profile >= 1 && gw3.profile >= 1 && gw2.profile != gw3.profile);

    let permit = |profile, vni| tables.permits.get(&PermitKey { profile, vni }).copied();
    let of = |name, flags| {
        let flags = flags | Permit::NEIGHBOURS;
        Some(Permit { segment: gateway.segment(name).0, flags, reserved: 0 })
    };
    assert_eq!(permit(gw2.profile, 100), of("blue", Permit::LEARN));
    assert_eq!(permit(gw2.profile, 200), of("red", Permit::LEARN));
    assert_eq!(permit(gw3.profile, 100), of("blue", Permit::LEARN));
    assert_eq!(permit(gw3.profile, 200), None);
    assert_eq!(permit(PermitKey::ANY, 100), of("blue", Permit::LEARN));
    assert_eq!(permit(PermitKey::ANY, 200), of("red", Permit::LEARN));
    assert_eq!(tables.permits.len(), 5);
}

#[test]
fn equal_permissions_share_a_profile() {
    let mut text = TWO_SEGMENTS.to_owned();
    for i in 4..200 {
        text += &format!("[[peer]]\nname = \"gw{i}\"\nvtep = \"192.0.2.{i}\"\n");
        text += "segments = [\"red\", \"blue\"]\n";
    }
    let gateway = Gateway::bare(&text);
    assert_eq!(gateway.tables.vteps.len(), 198);
    assert_eq!(gateway.tables.permits.len(), 5, "as many as for two peers");
}

#[test]
fn without_learning_peers_teach_nothing() {
    let text = TWO_SEGMENTS.replace("vni = 100\n", "vni = 100\nlearning = false\n");
    let gateway = Gateway::ready(&text);
    let permits = gateway.tables.permits.iter().filter(|(key, _)| key.profile != PermitKey::ANY);
    for (key, permit) in permits {
        assert_eq!(permit.flags & Permit::LEARN != 0, key.vni == 200, "{key:?}");
    }
}

#[test]
fn static_addresses_are_there_from_the_start() {
    let fdb = "[[segment.fdb]]\nmac = \"02:01:00:00:00:07\"\npeer = \"gw2\"\n\
               [[segment.fdb]]\nmac = \"02:01:00:00:00:08\"\ninterface = \"eth1\"\n\n";
    let text = TWO_SEGMENTS
        .replace("[[segment]]\nname = \"red\"", &format!("{fdb}[[segment]]\nname = \"red\""));
    let gateway = Gateway::bare(&text);
    let entry = |target| FdbEntry { target, flags: FdbEntry::STATIC, seen: 0, reserved: 0 };
    let fdb = &gateway.tables.fdb;
    let gw2 = Target::peer(gateway.peer("gw2").0);
    let eth1 = Target::port(gateway.port("eth1", 0).0);
    assert_eq!(fdb[&gateway.key("blue", mac(7))], entry(gw2), "whether the peer is ready or not");
    assert_eq!(fdb[&gateway.key("blue", mac(8))], entry(eth1));
    assert_eq!(fdb.len(), 2);
    assert_eq!(gateway.lookup("blue", mac(7)), Some(peer("gw2")));
}

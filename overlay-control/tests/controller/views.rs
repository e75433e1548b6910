//! What people are shown.

use overlay_common::abi::Target;
use overlay_common::id::SegmentId;
use overlay_control::config::{Encap, Mode};
use overlay_control::controller::{PeerState, Role};

use crate::gateway::{Gateway, TWO_SEGMENTS, mac, peer, port};

#[test]
fn ports_are_shown_in_the_order_of_the_file() {
    let mut gateway = Gateway::ready(TWO_SEGMENTS);
    gateway.controller.handle_attached("eth1", 0, gateway.now);
    gateway.link_gone("eth2");
    let ports = gateway.controller.ports();
    let shown: Vec<_> = ports
        .iter()
        .map(|p| {
            (
                p.interface.as_str(),
                p.vlan.map(|vlan| vlan.id()),
                p.role,
                p.segment.as_deref(),
                p.ifindex,
                p.up,
            )
        })
        .collect();
    assert_eq!(
        shown,
        [
            ("eth0", None, Role::Uplink, None, Some(2), true),
            ("eth1", None, Role::Access, Some("blue"), Some(3), true),
            ("eth2", Some(10), Role::Access, Some("blue"), None, false),
            ("eth2", Some(20), Role::Access, Some("red"), None, false),
        ]
    );
    assert_eq!(ports[1].mtu, Some(1500));
    assert_eq!(ports[1].mode, Mode::Auto);
    assert!(ports[1].attached && !ports[0].attached);
    assert_eq!((Role::Uplink.name(), Role::Access.name()), ("uplink", "access"));
}

#[test]
fn segments_are_shown_with_what_they_hold() {
    let mut gateway = Gateway::ready(TWO_SEGMENTS);
    gateway.frame("blue", mac(1), &port("eth1", 0));
    gateway.frame("blue", mac(2), &peer("gw2"));
    let shown: Vec<_> = gateway
        .controller
        .segments()
        .into_iter()
        .map(|s| (s.name, s.vni, s.learning, s.ports, s.peers, s.fdb))
        .collect();
    assert_eq!(
        shown,
        [("blue".to_owned(), 100, true, 2, 2, 2), ("red".to_owned(), 200, true, 1, 1, 0)]
    );
}

#[test]
fn peers_are_shown_with_their_state() {
    let gateway = Gateway::ready(TWO_SEGMENTS);
    let peers = gateway.controller.peers();
    assert_eq!(peers[0].name, "gw2");
    assert_eq!(peers[0].segments, ["blue", "red"]);
    assert_eq!((peers[0].encap, peers[0].state), (Encap::Vxlan, PeerState::Ready));
    assert_eq!((PeerState::Ready.name(), PeerState::Unresolved.name()), ("ready", "unresolved"));
    let bare = Gateway::bare(TWO_SEGMENTS);
    let unresolved = &bare.controller.peers()[1];
    assert_eq!(unresolved.why.as_deref(), Some("no route to 192.0.2.3"));
    assert_eq!(unresolved.ways, []);
}

#[test]
fn the_fdb_is_shown_by_segment_and_address() {
    let mut gateway = Gateway::ready(TWO_SEGMENTS);
    gateway.frame("red", mac(1), &peer("gw2"));
    gateway.frame("blue", mac(3), &port("eth1", 0));
    gateway.frame("blue", mac(2), &port("eth2", 10));
    let shown: Vec<_> =
        gateway.fdb().into_iter().map(|v| (v.segment, v.vni, v.mac, v.place, v.age)).collect();
    assert_eq!(
        shown,
        [
            ("blue".to_owned(), 100, mac(2), port("eth2", 10), 0),
            ("blue".to_owned(), 100, mac(3), port("eth1", 0), 0),
            ("red".to_owned(), 200, mac(1), peer("gw2"), 0),
        ]
    );
}

#[test]
fn what_leaves_through_a_device_is_known() {
    let mut gateway = Gateway::ready(TWO_SEGMENTS);
    let ports = |gateway: &Gateway, name| gateway.controller.ports_on(name).collect::<Vec<_>>();
    assert_eq!(ports(&gateway, "eth2"), [gateway.port("eth2", 10), gateway.port("eth2", 20)]);
    assert_eq!(ports(&gateway, "eth0"), [], "an uplink");
    assert_eq!(ports(&gateway, "eth9"), []);
    let peers = |gateway: &Gateway, name| gateway.controller.peers_over(name).collect::<Vec<_>>();
    assert_eq!(peers(&gateway, "eth0"), [gateway.peer("gw2"), gateway.peer("gw3")]);
    assert_eq!((peers(&gateway, "eth1"), peers(&gateway, "eth9")), (vec![], vec![]));
    gateway.next_hop([192, 0, 2, 3], None);
    assert_eq!(peers(&gateway, "eth0"), [gateway.peer("gw2")]);
    assert_eq!(peers(&gateway, "eth9"), [], "neither device nor way is no match");
}

#[test]
fn indices_have_names() {
    let gateway = Gateway::ready(TWO_SEGMENTS);
    let place = |target| gateway.place(target);
    assert_eq!(place(Target::peer(gateway.peer("gw3").0)), Some(peer("gw3")));
    assert_eq!(place(Target::port(gateway.port("eth2", 20).0)), Some(port("eth2", 20)));
    assert_eq!(place(Target::port(gateway.port("eth0", 0).0)), Some(port("eth0", 0)));
    assert_eq!(place(Target::port(999)), None);
    assert_eq!(gateway.segment_name(gateway.segment("red")).as_deref(), Some("red"));
    assert_eq!(gateway.segment_name(SegmentId(999)), None);
}

//! Families, encapsulations and ports: what a peer's entry, the node's and a flood list say
//! of them.

use std::fmt::Write as _;
use std::net::IpAddr;

use overlay_common::abi::{KERNEL_COPIES, TunnelPorts};
use overlay_common::wire::{Encap, Family, Outer4, Outer6, Shim};

use crate::gateway::{Gateway, ROUTER, UPLINK_MAC, parse};

const NODE: &str = r#"
[node]
name = "gw1"
vtep = ["192.0.2.1", "2001:db8::1"]
geneve_port = 6082

[[uplink]]
interface = "eth0"

[[segment]]
name = "blue"
vni = 100
[[segment.port]]
interface = "eth1"
"#;

fn peers(list: impl IntoIterator<Item = (IpAddr, &'static str)>) -> String {
    let mut text = NODE.to_owned();
    for (number, (vtep, more)) in list.into_iter().enumerate() {
        let _ = write!(text, "[[peer]]\nname = \"p{number}\"\nvtep = \"{vtep}\"\n{more}\n");
        text += "segments = [\"blue\"]\n";
    }
    text
}

fn v4(last: usize) -> IpAddr {
    IpAddr::from([192, 0, 3, last as u8])
}

fn v6(last: usize) -> IpAddr {
    IpAddr::from([0x2001, 0xdb8, 1, 0, 0, 0, 0, last as u16])
}

#[test]
fn a_peer_has_headers_of_its_family_and_encapsulation() {
    let list = [
        (v4(1), ""),
        (v4(2), "encap = \"geneve\""),
        (v6(3), "port = 4790"),
        (v6(4), "encap = \"geneve\"\nport = 7000"),
    ];
    let gateway = Gateway::ready(&peers(list));
    let entry = |name: &str| gateway.tables.peers[&gateway.peer(name)];
    let geneve: Outer4 = entry("p1").headers();
    assert_eq!((entry("p1").family(), entry("p1").max_frame), (Family::V4, 1464));
    assert_eq!((geneve.udp.destination(), geneve.shim), (6082, Shim::new(Encap::Geneve, 0)));
    let v6: Outer6 = entry("p2").headers();
    assert_eq!((entry("p2").family(), entry("p2").max_frame), (Family::V6, 1444));
    assert!(entry("p2").is_ready());
    assert_eq!((v6.udp.destination(), v6.shim), (4790, Shim::new(Encap::Vxlan, 0)));
    assert_eq!((v6.ethernet.destination, v6.ethernet.source), (ROUTER, UPLINK_MAC));
    assert_eq!(IpAddr::from(v6.ip.source), "2001:db8::1".parse::<IpAddr>().unwrap());
    assert_eq!(IpAddr::from(v6.ip.destination), list[2].0);
    let both: Outer6 = entry("p3").headers();
    assert_eq!((both.udp.destination(), both.shim), (7000, Shim::new(Encap::Geneve, 0)));

    let encap = |number: usize| gateway.tables.vteps[&list[number].0].encap();
    assert_eq!([0, 1, 2, 3].map(encap), [Encap::Vxlan, Encap::Geneve, Encap::Vxlan, Encap::Geneve]);
}

#[test]
fn ports_that_no_peer_uses_are_the_hosts() {
    let ports = |list: &[(IpAddr, &'static str)]| {
        Gateway::bare(&peers(list.iter().copied())).tables.node.unwrap().ports
    };
    let geneve = "encap = \"geneve\"";
    assert_eq!(ports(&[]), TunnelPorts { vxlan: 4789, geneve: 0 });
    assert_eq!(ports(&[(v4(1), "")]), TunnelPorts { vxlan: 4789, geneve: 0 });
    assert_eq!(ports(&[(v4(1), geneve)]), TunnelPorts { vxlan: 0, geneve: 6082 });
    assert_eq!(ports(&[(v4(1), geneve), (v6(2), "")]), TunnelPorts { vxlan: 4789, geneve: 6082 });
}

#[test]
fn a_peer_may_change_its_family() {
    let mut gateway = Gateway::ready(&peers([(v4(1), "")]));
    let peer = gateway.peer("p0");
    gateway.controller.handle_config(parse(&peers([(v6(1), "")])), gateway.now);
    gateway.drain();
    gateway.resolve_all();
    assert_eq!(gateway.peer("p0"), peer, "it stays who it was");
    assert_eq!(gateway.tables.peers[&peer].family(), Family::V6);
    assert_eq!(gateway.tables.vteps.keys().collect::<Vec<_>>(), [&v6(1)]);
    let list = gateway.tables.segments[&gateway.segment("blue")].flood;
    assert_eq!((list.family(), list.peers(), list.rest()), (Family::V6, 1, 0));
}

#[test]
fn the_kernel_sends_to_one_family_and_to_so_many() {
    let shape = |v4s: usize, v6s: usize| {
        let list = (0..v4s).map(|i| (v4(i), "")).chain((0..v6s).map(|i| (v6(i), "")));
        let gateway = Gateway::bare(&peers(list));
        let blue = gateway.segment("blue");
        let list = gateway.tables.segments[&blue].flood;
        let (_, all) = gateway.tables.flood_list(blue);
        assert_eq!(all.len(), v4s + v6s, "everybody is in it");
        let first = list.peers() as usize;
        let of_family = |index: &u32| {
            gateway.tables.peers[&overlay_common::id::PeerId(*index)].family() == list.family()
        };
        assert!(all[..first].iter().all(of_family), "the kernel's are of its family");
        (list.family(), list.peers(), list.rest())
    };
    assert_eq!(KERNEL_COPIES, 64);
    assert_eq!(shape(0, 0), (Family::V4, 0, 0));
    assert_eq!(shape(64, 0), (Family::V4, 64, 0));
    assert_eq!(shape(70, 0), (Family::V4, 64, 6));
    assert_eq!(shape(3, 3), (Family::V4, 3, 3));
    assert_eq!(shape(2, 3), (Family::V6, 3, 2));
    assert_eq!(shape(1, 200), (Family::V6, 64, 137));
}

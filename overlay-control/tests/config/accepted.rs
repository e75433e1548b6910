//! What is taken.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use overlay_common::id::{Vlan, Vni};
use overlay_common::wire::Mac;
use overlay_control::acl::{Entry, List};
use overlay_control::config::{
    AccessPort, Dscp, Encap, Host, Limits, Mode, Node, Peer, Place, Prefix, RouteTo, Segment,
    StaticMac, StaticNeighbour, StaticRoute, TagKind, UdpPorts, Uplink, Vrf, Vteps,
};

use crate::marked::{BLUE, GW2, NODE, UPLINK, accepted};

#[test]
fn every_key_is_read() {
    let config = accepted(
        r#"
[node]
name        = "gw1"
vtep        = ["2001:db8::1", "192.0.2.1"]
vxlan_port  = 8472
geneve_port = 6082
ageing      = 60
fdb_entries = 1000
mss_clamp   = false
dscp        = "copy"
router_mac  = "02:00:00:00:0f:0f"
wait_for_interfaces = true

[[uplink]]
interface = "eth0"
mode      = "xdp"

[[segment]]
name     = "blue"
vni      = 100
learning = false
limit    = { macs = 100 }
suppression = true
vrf      = "red"
router   = ["10.1.0.1/24", "fd00:1::1/64"]
acl_default = { in = "permit" }

[[segment.acl]]
direction        = "in"
action           = "deny"
protocol         = "tcp"
source           = "10.1.0.0/24"
destination      = "10.9.0.5"
source_port      = "1024-65535"
destination_port = 22
[[segment.acl]]
direction = "out"
action    = "permit"
protocol  = "icmpv6"
icmp_type = 128
[[segment.acl]]
direction = "out"
action    = "permit"
protocol  = 89

[[segment.port]]
interface = "eth1"
vlan      = 10
mode      = "tc"
sticky    = true
[segment.port.limit]
bits    = 1000000000
packets = 100000
floods  = 1000
macs    = 0
[[segment.port.host]]
mac = "02:00:00:00:01:01"
ip  = ["10.1.0.5", "fd00:1::5"]

[[segment.port]]
interface = "eth2"
mode      = "xdp-generic"

[[segment.fdb]]
mac  = "02:00:00:00:02:02"
peer = "gw2"

[[segment.fdb]]
mac       = "02-00-00-00-02-0A"
interface = "eth1"
vlan      = 10

[[segment.neighbour]]
ip  = "10.0.0.5"
mac = "02:00:00:00:02:02"

[[segment.neighbour]]
ip     = "fe80::1"
mac    = "02:00:00:00:02:02"
router = true

[[peer]]
name     = "gw2"
vtep     = "192.0.2.2"
encap    = "vxlan"
segments = ["blue"]

[[peer]]
name     = "gw3"
vtep     = "2001:db8::3"
encap    = "geneve"
port     = 6083
mtu      = 1400
segments = []
vrfs     = ["red"]
router_mac = "02:00:00:00:0f:03"
dscp     = 46
limit    = { floods = 1 }

[[vrf]]
name = "red"
vni  = 5000
[[vrf.route]]
prefix = "10.9.0.0/16"
peer   = "gw3"
[[vrf.route]]
prefix = "0.0.0.0/0"
via    = "10.1.0.254"
[[vrf.route]]
prefix  = "fd00:9::/48"
via     = "fe80::9"
segment = "blue"
[[vrf.route]]
prefix  = "10.1.7.0/24"
segment = "blue"
[[vrf.route]]
prefix = "10.8.0.0/16"
kind   = "blackhole"
[[vrf.route]]
prefix = "fd00:8::/48"
kind   = "unreachable"
"#,
    );
    assert_eq!(
        config.node,
        Node {
            name: "gw1".into(),
            vtep: Vteps {
                v4: Some(Ipv4Addr::new(192, 0, 2, 1)),
                v6: Some("2001:db8::1".parse().unwrap()),
            },
            ports: UdpPorts { vxlan: 8472, geneve: 6082 },
            ageing: 60,
            fdb_entries: 1000,
            mss_clamp: false,
            dscp: Dscp::Copy,
            router_mac: Mac([2, 0, 0, 0, 15, 15]),
            waits: true,
        }
    );
    assert_eq!(config.uplinks, [Uplink { interface: "eth0".into(), mode: Mode::Xdp }]);
    let port = |interface: &str, vlan, mode| {
        let (sticky, limits) = (false, Limits::default());
        AccessPort { interface: interface.into(), vlan, mode, sticky, limits, hosts: Vec::new() }
    };
    let limits = Limits {
        bits: Some(1_000_000_000),
        packets: Some(100_000),
        floods: Some(1000),
        macs: Some(0),
    };
    let ten = Vlan::new(10, TagKind::Customer).unwrap();
    let neighbour = |ip: &str, router| {
        let mac = Mac([2, 0, 0, 0, 2, 2]);
        StaticNeighbour { ip: ip.parse().unwrap(), mac, router }
    };
    let prefix = |text: &str| Prefix::parse(text).unwrap();
    let list = |entries, permits| Some(Arc::new(List::new(entries, permits).unwrap()));
    let static_mac = |last, place| StaticMac { mac: Mac([2, 0, 0, 0, 2, last]), place };
    assert_eq!(
        config.segments,
        [Segment {
            name: "blue".into(),
            vni: Vni::new(100).unwrap(),
            learning: false,
            limits: Limits { macs: Some(100), ..Limits::default() },
            ports: vec![
                AccessPort {
                    sticky: true,
                    limits,
                    hosts: vec![Host {
                        mac: Mac([2, 0, 0, 0, 1, 1]),
                        ips: vec!["10.1.0.5".parse().unwrap(), "fd00:1::5".parse().unwrap()],
                    }],
                    ..port("eth1", Some(ten), Mode::Tc)
                },
                port("eth2", None, Mode::XdpGeneric),
            ],
            suppression: true,
            fdb: vec![
                static_mac(2, Place::Peer("gw2".into())),
                static_mac(10, Place::Port { interface: "eth1".into(), vlan: Some(ten) }),
            ],
            neighbours: vec![neighbour("10.0.0.5", false), neighbour("fe80::1", true)],
            acls: [
                list(
                    vec![Entry {
                        permits: false,
                        protocol: Some(6),
                        source: Some(prefix("10.1.0.0/24")),
                        destination: Some(prefix("10.9.0.5/32")),
                        source_port: Some((1024, 65_535)),
                        destination_port: Some((22, 22)),
                        icmp_type: None,
                    }],
                    true
                ),
                list(
                    vec![
                        Entry {
                            permits: true,
                            protocol: Some(58),
                            icmp_type: Some(128),
                            ..Entry::default()
                        },
                        Entry { permits: true, protocol: Some(89), ..Entry::default() },
                    ],
                    false
                ),
            ],
            vrf: Some("red".into()),
            router: vec![prefix("10.1.0.1/24"), prefix("fd00:1::1/64")],
        }]
    );
    let gateway =
        |via: &str| RouteTo::Gateway { via: via.parse().unwrap(), segment: "blue".into() };
    let route = |at: &str, to| StaticRoute { prefix: prefix(at), to };
    assert_eq!(
        config.vrfs,
        [Vrf {
            name: "red".into(),
            vni: Vni::new(5000),
            routes: vec![
                route("10.9.0.0/16", RouteTo::Peer("gw3".into())),
                route("0.0.0.0/0", gateway("10.1.0.254")),
                route("fd00:9::/48", gateway("fe80::9")),
                route("10.1.7.0/24", RouteTo::Segment("blue".into())),
                route("10.8.0.0/16", RouteTo::Blackhole),
                route("fd00:8::/48", RouteTo::Unreachable),
            ],
        }]
    );
    assert_eq!(
        config.peers,
        [
            Peer {
                name: "gw2".into(),
                vtep: IpAddr::from([192, 0, 2, 2]),
                encap: Encap::Vxlan,
                port: None,
                mtu: None,
                segments: vec!["blue".into()],
                vrfs: vec![],
                router_mac: Mac([2, 0, 0, 0, 15, 15]),
                dscp: Dscp::Copy,
                limits: Limits::default(),
            },
            Peer {
                name: "gw3".into(),
                vtep: "2001:db8::3".parse().unwrap(),
                encap: Encap::Geneve,
                port: Some(6083),
                mtu: Some(1400),
                segments: vec![],
                vrfs: vec!["red".into()],
                router_mac: Mac([2, 0, 0, 0, 15, 3]),
                dscp: Dscp::Set(46),
                limits: Limits { floods: Some(1), ..Limits::default() },
            }
        ]
    );
}

#[test]
fn what_is_left_out_has_its_default() {
    let config =
        accepted(&format!("{NODE}{UPLINK}{BLUE}[[segment.port]]\ninterface = \"eth1\"\n{GW2}"));
    assert_eq!((config.node.ageing, config.node.fdb_entries), (300, 1 << 20));
    assert_eq!(config.uplinks[0].mode, Mode::Auto);
    assert!(config.segments[0].learning && config.segments[0].suppression);
    assert_eq!(config.segments[0].ports[0].vlan, None);
    assert_eq!(config.segments[0].ports[0].mode, Mode::Auto);
    assert!(!config.segments[0].ports[0].sticky);
    assert_eq!(config.segments[0].acls, [None, None]);
    let limits = [config.segments[0].limits, config.segments[0].ports[0].limits];
    assert_eq!((limits, config.peers[0].limits), (Default::default(), Limits::default()));
    assert!(config.node.mss_clamp && !config.node.waits);
    assert_eq!((config.node.dscp, config.peers[0].dscp), (Dscp::Set(0), Dscp::Set(0)));
    assert_eq!(config.node.router_mac.to_string(), "02:00:5e:00:01:01");
    assert_eq!(config.peers[0].router_mac, config.node.router_mac);
    assert_eq!(config.peers[0].mtu, None);
    assert_eq!((config.peers[0].encap, config.peers[0].port), (Encap::Vxlan, None));
    assert_eq!(config.node.ports, UdpPorts { vxlan: 4789, geneve: 6081 });
    assert_eq!((config.node.vtep.v4, config.node.vtep.v6), (Some([192, 0, 2, 1].into()), None));
}

#[test]
fn a_node_may_have_neither_segments_nor_peers() {
    let config = accepted(&format!("{NODE}{UPLINK}"));
    assert!(config.segments.is_empty() && config.peers.is_empty());
}

#[test]
fn limits_are_inside() {
    for vni in ["1", "16777215", "0x64", "1_000"] {
        accepted(&format!("{NODE}{UPLINK}[[segment]]\nname = \"b\"\nvni = {vni}\n"));
    }
    for vlan in [1, 4094] {
        for kind in TagKind::ALL {
            let config = accepted(&format!(
                "{NODE}{UPLINK}{BLUE}[[segment.port]]\ninterface = \"eth1\"\nvlan = {vlan}\n\
                 protocol = \"{}\"\n",
                kind.name()
            ));
            assert_eq!(config.segments[0].ports[0].vlan, Vlan::new(vlan, kind));
        }
    }
    for (key, value) in [("ageing", 10), ("ageing", 1_000_000), ("fdb_entries", 16_777_216)] {
        accepted(&format!("{NODE}{key} = {value}\n{UPLINK}"));
    }
    for (vtep, mtu) in [("192.0.2.2", 118), ("192.0.2.2", 65_535), ("2001:db8::2", 1280)] {
        let node = "[node]\nname = \"gw1\"\nvtep = [\"192.0.2.1\", \"2001:db8::1\"]\n";
        let peer = format!("[[peer]]\nname = \"a\"\nvtep = \"{vtep}\"\nsegments = []\n");
        let config = accepted(&format!("{node}{UPLINK}{peer}mtu = {mtu}\n"));
        assert_eq!(config.peers[0].mtu, Some(mtu));
    }
    let long = "x".repeat(64);
    accepted(&format!("[node]\nname = \"{long}\"\nvtep = \"192.0.2.1\"\n{UPLINK}"));
    accepted(&format!("{NODE}[[uplink]]\ninterface = \"abcdefghijklmno\"\n"));
}

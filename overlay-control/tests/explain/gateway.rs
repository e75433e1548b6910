//! A gateway whose tables frames are explained by.

use core::time::Duration;
use std::net::IpAddr;

use overlay_common::abi::{Hook, PolicerKey, Punt, PuntReason, Target};
use overlay_common::id::PortId;
use overlay_common::verdict::{DropReason, Verdict};
use overlay_common::wire::{Ipv4, Mac, checksum};
use overlay_control::config::{Config, ConfigError};
use overlay_control::controller::{Controller, LinkInfo, NextHop, Role};
use overlay_control::explain::{Capture, Explanation, Live, explain};
use overlay_control::tables::TableSet;

pub const NODE: &str = r#"
[node]
name = "gw1"
vtep = "192.0.2.1"
[[uplink]]
interface = "eth0"
"#;

/// Blue with two ports, red with one; gw2 may use both, gw3 blue; blue and red are routed.
pub const USUAL: &str = r#"
[[vrf]]
name = "tenant"
[[vrf.route]]
prefix = "10.9.0.0/16"
kind = "unreachable"

[[segment]]
name = "blue"
vni = 100
vrf = "tenant"
router = ["10.1.0.1/24"]
[[segment.port]]
interface = "eth1"
[[segment.port]]
interface = "eth2"
vlan = 10
[[segment.fdb]]
mac = "02:00:00:00:00:22"
interface = "eth2"
vlan = 10
[[segment.fdb]]
mac = "02:00:00:00:00:77"
peer = "gw2"
[[segment.fdb]]
mac = "02:00:00:00:00:33"
peer = "gw3"

[[segment]]
name = "red"
vni = 200
vrf = "tenant"
router = ["10.2.0.1/24"]
[[segment.port]]
interface = "eth2"
vlan = 20

[[peer]]
name = "gw2"
vtep = "192.0.2.2"
segments = ["blue", "red"]

[[peer]]
name = "gw3"
vtep = "192.0.2.3"
segments = ["blue"]
"#;

pub const HOST: Mac = Mac([2, 0, 0, 0, 0, 1]);
pub const AT_ETH2: Mac = Mac([2, 0, 0, 0, 0, 0x22]);
pub const AT_GW2: Mac = Mac([2, 0, 0, 0, 0, 0x77]);
pub const ROUTER_MAC: Mac = Mac([2, 0, 0x5e, 0, 1, 1]);
pub const HOP: Mac = Mac([2, 0, 0, 0, 0, 0xfe]);

pub const ETH0: u32 = 2;
pub const ETH1: u32 = 3;

/// A controller and the tables that it made.
pub struct Gateway {
    pub controller: Controller,
    pub tables: TableSet,
    pub now: Duration,
}

impl Gateway {
    /// With eth0 (2), eth1 and eth2 up, and every VTEP in 192.0.2.0/24 on eth0's link.
    pub fn new(text: &str) -> Self {
        let config = Config::parse(&format!("{NODE}{text}"), "test.toml");
        let config = config.unwrap_or_else(|errors| {
            let shown: Vec<String> = errors.iter().map(ConfigError::to_string).collect();
            panic!("{}", shown.join("\n"))
        });
        let now = Duration::from_secs(1000);
        let vteps: Vec<IpAddr> = config.peers.iter().map(|peer| peer.vtep).collect();
        let controller = Controller::new(config, now);
        let mut gateway = Self { controller, tables: TableSet::new(Hook::Tc), now };
        for (ifindex, name) in (ETH0..).zip(["eth0", "eth1", "eth2"]) {
            gateway.link(name, ifindex, true);
            gateway.controller.handle_attached(name, 0, now);
        }
        for vtep in vteps {
            gateway.next_hop(vtep, Some(HOP));
        }
        gateway
    }

    pub fn link(&mut self, name: &str, ifindex: u32, up: bool) {
        let mac = Mac([2, 0, 0, 0, 0xaa, ifindex as u8]);
        let link = LinkInfo { name: name.to_owned(), ifindex, mac, mtu: 1500, up };
        self.controller.handle_link(link, self.now);
        self.settle();
    }

    pub fn next_hop(&mut self, vtep: IpAddr, mac: Option<Mac>) {
        let hop = NextHop { ifindex: ETH0, gateway: vtep, mac, mtu: None };
        self.controller.handle_next_hops(vtep, vec![hop], self.now);
        self.settle();
    }

    pub fn learn(&mut self, segment: u16, mac: Mac, port: u32) {
        let reason = PuntReason::Learn as u8;
        let punt =
            Punt { reason, segment, source: Target::port(port), mac: mac.0, ..Punt::default() };
        self.controller.handle_learn(&punt, self.now);
        self.settle();
    }

    pub fn port(&self, interface: &str) -> PortId {
        self.controller.ports_on(interface).next().expect("a port")
    }

    fn settle(&mut self) {
        while let Some(action) = self.controller.poll_action() {
            self.tables.apply(&action);
        }
    }

    pub fn explain(&self, capture: &Capture<'_>) -> Explanation {
        self.explain_at(capture, 1)
    }

    /// At a time of the monotonic clock. Whatever is explained, the tables stay as they are.
    pub fn explain_at(&self, capture: &Capture<'_>, now: u64) -> Explanation {
        let live = Live {
            tables: &self.tables,
            controller: Some(&self.controller),
            now,
            levels: &|_: &PolicerKey| None,
        };
        let before = format!("{:?}", self.tables);
        let told = explain(capture, &live);
        assert_eq!(format!("{:?}", self.tables), before, "explaining changed the tables");
        told
    }

    pub fn at_eth1(&self, frame: &[u8]) -> Explanation {
        self.explain(&Capture::new(frame, ETH1, Role::Access, Hook::Tc))
    }

    pub fn at_eth0(&self, frame: &[u8]) -> Explanation {
        self.explain(&Capture::new(frame, ETH0, Role::Uplink, Hook::Tc))
    }

    pub fn said(
        &self,
        frame: &[u8],
        ifindex: u32,
        said: Result<Verdict, DropReason>,
    ) -> Explanation {
        let role = if ifindex == ETH0 { Role::Uplink } else { Role::Access };
        let capture = Capture { said: Some(said), ..Capture::new(frame, ifindex, role, Hook::Tc) };
        self.explain(&capture)
    }
}

pub fn ethernet(to: Mac, from: Mac, kind: u16, payload: &[u8]) -> Vec<u8> {
    [&to.0[..], &from.0, &kind.to_be_bytes(), payload].concat()
}

/// UDP between ports 7 and `port`; `len` bytes of payload.
pub fn packet(from: [u8; 4], to: [u8; 4], port: u16, len: usize) -> Vec<u8> {
    let udp_len = (8 + len) as u16;
    let mut ip = Ipv4::new(from, to, 17, 64);
    ip.set_total_len(20 + udp_len);
    ip.set_fragment(0x4000);
    ip.seal();
    let udp = [7_u16.to_be_bytes(), port.to_be_bytes(), udp_len.to_be_bytes(), [0; 2]].concat();
    [overlay_common::wire::bytes_of(&ip), &udp, &vec![0; len]].concat()
}

/// A frame of the host with a UDP packet.
pub fn udp(to: Mac, port: u16) -> Vec<u8> {
    ethernet(to, HOST, 0x0800, &packet([10, 1, 0, 10], [10, 1, 0, 20], port, 20))
}

/// In a VXLAN tunnel to the gateway.
pub fn tunnel(from: [u8; 4], vni: u32, inner: &[u8]) -> Vec<u8> {
    let vxlan = [&[8, 0, 0, 0][..], &(vni << 8).to_be_bytes(), inner].concat();
    let mut ip = packet(from, [192, 0, 2, 1], 4789, vxlan.len());
    ip[28..].copy_from_slice(&vxlan);
    ethernet(Mac([2, 0, 0, 0, 0xaa, 2]), HOP, 0x0800, &ip)
}

/// Writes the checksum of the outer IPv4 header again.
pub fn seal(frame: &mut [u8]) {
    frame[24..26].fill(0);
    let sum = checksum::full(&frame[14..34]);
    frame[24..26].copy_from_slice(&sum.to_be_bytes());
}

/// Asserts that the explanation has this end and reason, and that its texts hold all of these.
#[track_caller]
pub fn tells(told: &Explanation, verdict: &str, reason: Option<DropReason>, words: &[&str]) {
    assert_eq!((told.outcome.name(), told.reason), (verdict, reason), "{told:#?}");
    let text = format!("{}\n{}", told.cause, told.fix.as_deref().unwrap_or_default());
    for word in words {
        assert!(text.contains(word), "no {word:?} in:\n{text}\n{told:#?}");
    }
}

/// The step of a stage that holds this.
#[track_caller]
pub fn step(told: &Explanation, stage: &str, words: &str) {
    let has = |step: &&overlay_control::explain::Step| {
        step.stage.name() == stage && format!("{} → {}", step.asked, step.found).contains(words)
    };
    assert!(told.steps.iter().any(|step| has(&step)), "no {stage} with {words:?}: {told:#?}");
}

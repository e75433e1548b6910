//! A gateway to drive: controller, tables and clock.

use core::time::Duration;
use std::net::IpAddr;

use overlay_common::abi::{FdbEntry, FdbKey, Hook, Punt, PuntReason, Target};
use overlay_common::id::{PeerId, PortId, SegmentId, Vlan};
use overlay_common::wire::Mac;
use overlay_control::action::Action;
use overlay_control::addresses::{LineError, List, Purpose, Reader};
use overlay_control::config::{Config, ConfigError, Place};
use overlay_control::controller::{Controller, FdbView, LinkInfo, NextHop, Origin, Refusal};

use crate::mirror::Mirror;

pub const UPLINK_INDEX: u32 = 2;
pub const UPLINK_MAC: Mac = Mac([2, 0, 0, 0, 0, 0x10]);
pub const ROUTER: Mac = Mac([2, 0, 0, 0, 0, 0xfe]);

/// Two segments, an access port and a VLAN port in blue, one VLAN port in red,
/// two peers of which only one may use red.
pub const TWO_SEGMENTS: &str = r#"
[node]
name = "gw1"
vtep = "192.0.2.1"

[[uplink]]
interface = "eth0"

[[segment]]
name = "blue"
vni = 100
[[segment.port]]
interface = "eth1"
[[segment.port]]
interface = "eth2"
vlan = 10

[[segment]]
name = "red"
vni = 200
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

pub struct Gateway {
    pub controller: Controller,
    pub tables: Mirror,
    pub now: Duration,
    /// The actions of the last input.
    pub last: Vec<Action>,
}

pub fn parse(text: &str) -> Config {
    Config::parse(text, "test.toml").unwrap_or_else(|errors| {
        let shown: Vec<String> = errors.iter().map(ConfigError::to_string).collect();
        panic!("{}", shown.join("\n"))
    })
}

pub fn mac(last: u32) -> Mac {
    let [a, b, c, d] = last.to_be_bytes();
    Mac([2, 1, a, b, c, d])
}

pub fn link(name: &str, ifindex: u32) -> LinkInfo {
    LinkInfo { name: name.into(), ifindex, mac: UPLINK_MAC, mtu: 1500, up: true }
}

pub fn port(interface: &str, vlan: u16) -> Place {
    Place::Port { interface: interface.into(), vlan: Vlan::from_word(vlan) }
}

pub fn peer(name: &str) -> Place {
    Place::Peer(name.into())
}

impl Gateway {
    /// A gateway whose host has nothing yet.
    pub fn bare(text: &str) -> Self {
        let now = Duration::from_secs(1000);
        let controller = Controller::new(parse(text), now);
        let mut gateway = Self { controller, tables: Mirror::default(), now, last: Vec::new() };
        gateway.drain();
        gateway
    }

    /// A gateway with eth0 (2, the uplink) to eth3 (5) up, and all peers of the
    /// network 192.0.2.0/24 resolved.
    pub fn ready(text: &str) -> Self {
        let mut gateway = Self::bare(text);
        for i in 0..4 {
            let info = link(&format!("eth{i}"), UPLINK_INDEX + i);
            gateway.controller.handle_link(info, gateway.now);
        }
        gateway.resolve_all();
        gateway
    }

    pub fn resolve_all(&mut self) {
        for vtep in self.controller.peers().iter().map(|peer| peer.vtep) {
            self.resolve(vtep);
        }
    }

    pub fn resolve(&mut self, vtep: impl Into<IpAddr>) {
        let vtep = vtep.into();
        let hop = NextHop { ifindex: UPLINK_INDEX, gateway: vtep, mac: Some(ROUTER), mtu: None };
        self.next_hop(vtep, Some(hop));
    }

    pub fn next_hop(&mut self, vtep: impl Into<IpAddr>, hop: Option<NextHop>) {
        self.controller.handle_next_hops(vtep.into(), hop.into_iter().collect(), self.now);
        self.drain();
    }

    pub fn link(&mut self, info: LinkInfo) {
        self.controller.handle_link(info, self.now);
        self.drain();
    }

    pub fn link_gone(&mut self, name: &str) {
        self.controller.handle_link_gone(name, self.now);
        self.drain();
    }

    pub fn reload(&mut self, text: &str) {
        self.controller.handle_config(parse(text), self.now);
        self.drain();
    }

    /// Carries all actions out, looking at the tables after each one.
    pub fn drain(&mut self) {
        self.last.clear();
        while let Some(action) = self.controller.poll_action() {
            self.tables.apply(&action);
            self.tables.check();
            self.last.push(action);
        }
    }

    /// Lets time pass as the daemon does: timeouts when they are due, scans when
    /// they are wanted. What packets refresh is what `talking` says.
    pub fn wait_with(&mut self, time: Duration, talking: impl Fn(&FdbKey) -> bool) {
        let end = self.now + time;
        while self.now < end {
            let due = self.controller.poll_timeout().expect("the clock ticks");
            assert!(due > self.now, "a timeout that is not in the future comes forever");
            self.now = due.min(end);
            self.controller.handle_timeout(self.now);
            self.drain();
            self.refresh(&talking);
            if self.controller.wants_scan(self.now) {
                self.scan();
            }
        }
    }

    pub fn wait(&mut self, seconds: u64) {
        self.wait_with(Duration::from_secs(seconds), |_| false);
    }

    pub fn scan(&mut self) {
        let entries: Vec<(FdbKey, FdbEntry)> =
            self.tables.fdb.iter().map(|(key, entry)| (*key, *entry)).collect();
        self.controller.handle_scan(entries, self.now, self.now);
        self.drain();
    }

    /// What the packet path does for a known source.
    pub fn refresh(&mut self, talking: impl Fn(&FdbKey) -> bool) {
        let epoch = self.tables.node.unwrap().epoch;
        for (_, entry) in self.tables.fdb.iter_mut().filter(|(key, _)| talking(key)) {
            entry.seen = epoch;
        }
    }

    /// A frame from `mac` comes from `place`, and the path reports it if it is
    /// news.
    pub fn frame(&mut self, segment: &str, mac: Mac, place: &Place) {
        let (key, target) = (self.key(segment, mac), self.target(place));
        match self.tables.fdb.get(&key) {
            Some(entry) if entry.target == target || entry.is_static() => self.last.clear(),
            _ => self.report(key, target),
        }
    }

    pub fn report(&mut self, key: FdbKey, source: Target) {
        let punt = Punt {
            reason: PuntReason::Learn as u8,
            hook: Hook::Tc as u8,
            segment: key.segment,
            source,
            mac: key.mac,
            ..Punt::default()
        };
        self.controller.handle_learn(&punt, self.now);
        self.drain();
    }

    /// Where the tables say that an address is.
    pub fn lookup(&self, segment: &str, mac: Mac) -> Option<Place> {
        let entry = self.tables.fdb.get(&self.key(segment, mac))?;
        Some(self.place(entry.target).expect("a target that is there"))
    }

    pub fn key(&self, segment: &str, mac: Mac) -> FdbKey {
        FdbKey { mac: mac.0, segment: self.segment(segment).0 }
    }

    pub fn segment(&self, name: &str) -> SegmentId {
        let segments = self.controller.segments();
        segments.iter().find(|s| s.name == name).and_then(|s| s.id).expect("a segment")
    }

    pub fn port(&self, interface: &str, vlan: u16) -> PortId {
        let vlan = Vlan::from_word(vlan);
        let ports = self.controller.ports();
        let port = ports.iter().find(|p| p.interface == interface && p.vlan == vlan);
        port.and_then(|port| port.id).expect("a port")
    }

    pub fn peer(&self, name: &str) -> PeerId {
        let peers = self.controller.peers();
        peers.iter().find(|p| p.name == name).and_then(|p| p.id).expect("a peer")
    }

    pub fn target(&self, place: &Place) -> Target {
        match place {
            Place::Peer(name) => Target::peer(self.peer(name).0),
            Place::Port { interface, vlan } => {
                Target::port(self.port(interface, Vlan::word(*vlan)).0)
            }
        }
    }

    /// Reads a list of addresses.
    pub fn list(&self, text: &str, purpose: Purpose) -> Result<List, Vec<LineError>> {
        let mut reader = Reader::new(self.controller.names(self.now), purpose);
        reader.push(text.as_bytes());
        reader.finish()
    }

    /// Loads a list that is right by itself.
    pub fn load(&mut self, text: &str) -> Result<(), Refusal> {
        let list = self.list(text, Purpose::Load).expect("a list without errors");
        self.load_list(&list)
    }

    pub fn load_list(&mut self, list: &List) -> Result<(), Refusal> {
        self.controller.prepare_load(list, self.now)?;
        for part in list.addresses.chunks(2) {
            self.controller.handle_load(part, self.now);
            self.drain();
        }
        Ok(())
    }

    /// Unloads a list that is right by itself.
    pub fn unload(&mut self, text: &str) -> Result<(), Refusal> {
        let list = self.list(text, Purpose::Unload).expect("a list without errors");
        self.controller.check_unload(&list)?;
        let keys: Vec<FdbKey> = list.addresses.iter().map(|address| address.key).collect();
        self.controller.handle_unload(&keys, self.now);
        self.controller.finish_unload();
        self.drain();
        Ok(())
    }

    /// Where a target is, in the configuration's words.
    pub fn place(&self, target: Target) -> Option<Place> {
        self.controller.names(self.now).place(target).map(owned)
    }

    pub fn segment_name(&self, id: SegmentId) -> Option<String> {
        self.controller.names(self.now).segment(id).map(str::to_owned)
    }

    /// The kernel's FDB, as it is shown.
    pub fn fdb(&self) -> Vec<Shown> {
        let names = self.controller.names(self.now);
        let mut entries: Vec<(FdbKey, FdbEntry)> =
            self.tables.fdb.iter().map(|(key, entry)| (*key, *entry)).collect();
        names.sort(&mut entries);
        entries.iter().filter_map(|(key, entry)| names.view(*key, entry)).map(Shown::new).collect()
    }
}

/// An address of the FDB, as it is shown.
#[derive(Debug)]
pub struct Shown {
    pub segment: String,
    pub vni: u32,
    pub mac: Mac,
    pub place: Place,
    pub origin: Origin,
    pub age: u32,
}

impl Shown {
    fn new(view: FdbView<'_>) -> Self {
        let FdbView { segment, vni, mac, place, origin, age } = view;
        Self { segment: segment.to_owned(), vni, mac, place: owned(place), origin, age }
    }
}

fn owned(place: Place<&str>) -> Place {
    match place {
        Place::Peer(name) => peer(name),
        Place::Port { interface, vlan } => port(interface, Vlan::word(vlan)),
    }
}

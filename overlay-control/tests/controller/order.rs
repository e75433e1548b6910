//! Whatever happens in whatever order: no action ever leaves the tables with an
//! entry that points to nothing (the mirror looks after every one), and the end
//! is that of a fresh start.

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};

use overlay_common::abi::{FdbEntry, FdbKey, NeighbourKey, PermitKey, PuntReason, Route, Target};
use overlay_common::id::{PeerId, PortId, SegmentId};
use overlay_control::addresses::Purpose;
use overlay_control::config::Place;
use overlay_control::controller::{LinkInfo, NextHop};
use proptest::collection::{btree_set, vec};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

use crate::gateway::{Gateway, ROUTER, link, mac};

const SEGMENTS: [(&str, u32); 3] = [("blue", 100), ("red", 200), ("green", 300)];
const PORTS: [(&str, u16); 5] = [("eth1", 0), ("eth1", 7), ("eth2", 0), ("eth3", 5), ("eth3", 6)];
const UPLINKS: [&str; 2] = ["eth0", "wan0"];
const PEERS: u8 = 4;
const AGEING: u32 = 20;

/// A configuration as a few choices.
#[derive(Clone, Debug)]
struct Plan {
    segments: BTreeSet<usize>,
    /// The segment of each port, if it is among the segments.
    ports: Vec<usize>,
    uplinks: usize,
    /// The segments of each peer; `None`: no such peer.
    peers: Vec<Option<BTreeSet<usize>>>,
    learning: bool,
    /// A static address behind the first peer in each segment that it may use, and a static
    /// neighbour.
    statics: bool,
}

#[derive(Clone, Debug)]
enum Event {
    Reload(Plan),
    Link {
        device: usize,
        up: bool,
        mtu: u32,
    },
    Gone(usize),
    Attached {
        device: usize,
        flags: u32,
    },
    NextHops {
        peer: u8,
        hops: Vec<(usize, bool)>,
    },
    Heard {
        segment: u16,
        mac: u32,
        target: Target,
    },
    Said {
        segment: u16,
        mac: u32,
        ip: u8,
        target: Target,
        is_doubt: bool,
    },
    Load {
        segment: usize,
        mac: u32,
        peer: u8,
    },
    Unload {
        segment: usize,
        mac: u32,
    },
    Wait(u64),
    Scan,
    /// Nothing is carried out until the next event that waits.
    Drain,
}

const DEVICES: [(&str, u32); 5] = [("eth0", 2), ("wan0", 3), ("eth1", 4), ("eth2", 5), ("eth3", 6)];

fn plan() -> impl Strategy<Value = Plan> {
    let segments = btree_set(0..SEGMENTS.len(), 0..=SEGMENTS.len());
    let ports = vec(0..SEGMENTS.len(), PORTS.len());
    let peer = proptest::option::of(btree_set(0..SEGMENTS.len(), 0..=SEGMENTS.len()));
    let peers = vec(peer, usize::from(PEERS));
    (segments, ports, 1..=UPLINKS.len(), peers, any::<bool>(), any::<bool>()).prop_map(
        |(segments, ports, uplinks, peers, learning, statics)| Plan {
            segments,
            ports,
            uplinks,
            peers,
            learning,
            statics,
        },
    )
}

fn event() -> impl Strategy<Value = Event> {
    let device = 0..DEVICES.len();
    let target = (any::<bool>(), 1..8u32).prop_map(|(peer, index)| match peer {
        true => Target::peer(index),
        false => Target::port(index),
    });
    prop_oneof![
        2 => plan().prop_map(Event::Reload),
        4 => (device.clone(), any::<bool>(), 1400..1600u32)
            .prop_map(|(device, up, mtu)| Event::Link { device, up, mtu }),
        1 => device.clone().prop_map(Event::Gone),
        1 => (device.clone(), 0..4u32).prop_map(|(device, flags)| Event::Attached { device, flags }),
        4 => (0..PEERS, vec((device, any::<bool>()), 0..4))
            .prop_map(|(peer, hops)| Event::NextHops { peer, hops }),
        8 => (0..5u16, 0..6u32, 0..4u8, target.clone(), any::<bool>()).prop_map(
            |(segment, mac, ip, target, is_doubt)| Event::Said { segment, mac, ip, target, is_doubt }
        ),
        8 => (0..5u16, 0..6u32, target)
            .prop_map(|(segment, mac, target)| Event::Heard { segment, mac, target }),
        4 => (0..SEGMENTS.len(), 0..6u32, 0..PEERS)
            .prop_map(|(segment, mac, peer)| Event::Load { segment, mac, peer }),
        2 => (0..SEGMENTS.len(), 0..6u32).prop_map(|(segment, mac)| Event::Unload { segment, mac }),
        2 => (0..2_000u64).prop_map(Event::Wait),
        1 => Just(Event::Scan),
        3 => Just(Event::Drain),
    ]
}

impl Plan {
    fn text(&self) -> String {
        let mut text = format!("[node]\nname = \"gw1\"\nvtep = \"192.0.2.1\"\nageing = {AGEING}\n");
        for uplink in &UPLINKS[..self.uplinks] {
            text += &format!("[[uplink]]\ninterface = \"{uplink}\"\n");
        }
        for segment in &self.segments {
            let (name, vni) = SEGMENTS[*segment];
            let learning = self.learning;
            text +=
                &format!("[[segment]]\nname = \"{name}\"\nvni = {vni}\nlearning = {learning}\n");
            // One that does not listen.
            if !self.statics && vni == 200 {
                text += "suppression = false\n";
            }
            if self.statics {
                text += &format!("vrf = \"red\"\nrouter = [\"10.{segment}.0.254/24\"]\n");
                text += "[segment.acl_default]\nout = \"permit\"\n[[segment.acl]]\ndirection = \"in\"\n";
                text += &format!("action = \"permit\"\nsource = \"10.{}.0.0/16\"\n", self.uplinks);
                text += "[[segment.neighbour]]\nip = \"10.0.0.1\"\nmac = \"02:01:00:00:00:01\"\n";
            }
            let own = PORTS.iter().zip(&self.ports).filter(|(_, s)| *s == segment);
            for ((interface, vlan), _) in own {
                text += &format!("[[segment.port]]\ninterface = \"{interface}\"\n");
                if *vlan != 0 {
                    text += &format!("vlan = {vlan}\n");
                }
                if self.statics {
                    text += "[[segment.port.host]]\nmac = \"02:01:00:00:00:01\"\n";
                }
            }
            let first = self.peers[0].as_ref().is_some_and(|set| set.contains(segment));
            if self.statics && first {
                text += "[[segment.fdb]]\nmac = \"02:01:00:00:00:01\"\npeer = \"peer0\"\n";
            }
        }
        for (i, set) in self.peers.iter().enumerate() {
            let Some(set) = set else { continue };
            let names = set.intersection(&self.segments).map(|s| format!("\"{}\"", SEGMENTS[*s].0));
            let names: Vec<String> = names.collect();
            text += &format!("[[peer]]\nname = \"peer{i}\"\nvtep = \"{}\"\n", vtep(i as u8));
            text += &format!("segments = [{}]\n", names.join(", "));
            if self.statics {
                text += "vrfs = [\"red\"]\n";
            }
        }
        if self.statics {
            text += "[[vrf]]\nname = \"red\"\nvni = 900\n";
            if self.peers[0].is_some() {
                text += "[[vrf.route]]\nprefix = \"10.99.0.0/16\"\npeer = \"peer0\"\n";
            }
        }
        text
    }
}

fn vtep(peer: u8) -> Ipv4Addr {
    Ipv4Addr::new(192, 0, 2, 10 + peer)
}

/// What the host is like, to tell it to a fresh controller.
#[derive(Default)]
struct Host {
    links: BTreeMap<usize, LinkInfo>,
    attached: BTreeMap<usize, u32>,
    hops: BTreeMap<u8, Vec<NextHop>>,
}

fn happen(gateway: &mut Gateway, host: &mut Host, plan: &mut Plan, event: &Event) {
    let now = gateway.now;
    match event {
        Event::Reload(new) => {
            gateway.controller.handle_config(crate::gateway::parse(&new.text()), now);
            let stays = |peer: &u8| {
                let has = |plan: &Plan| plan.peers[usize::from(*peer)].is_some();
                has(plan) && has(new)
            };
            host.hops.retain(|peer, _| stays(peer));
            *plan = new.clone();
        }
        Event::Link { device, up, mtu } => {
            let (name, ifindex) = DEVICES[*device];
            let info = LinkInfo { up: *up, mtu: *mtu, ..link(name, ifindex) };
            host.links.insert(*device, info.clone());
            gateway.controller.handle_link(info, now);
        }
        Event::Gone(device) => {
            host.links.remove(device);
            host.attached.remove(device);
            gateway.controller.handle_link_gone(DEVICES[*device].0, now);
        }
        Event::Attached { device, flags } => {
            if host.links.contains_key(device) {
                host.attached.insert(*device, *flags);
            }
            gateway.controller.handle_attached(DEVICES[*device].0, *flags, now);
        }
        Event::NextHops { peer, hops } => {
            // Those of one route have one router on each device, so that peers share groups.
            let hop = |(device, resolved): &(usize, bool)| NextHop {
                ifindex: DEVICES[*device].1,
                gateway: if hops.len() > 1 { vtep(200) } else { vtep(*peer) }.into(),
                mac: resolved.then_some(ROUTER),
                mtu: None,
            };
            let hops: Vec<NextHop> = hops.iter().map(hop).collect();
            if plan.peers[usize::from(*peer)].is_some() {
                host.hops.insert(*peer, hops.clone());
            }
            gateway.controller.handle_next_hops(IpAddr::V4(vtep(*peer)), hops, now);
        }
        Event::Heard { segment, mac: last, target } => {
            let punt = overlay_common::abi::Punt {
                segment: *segment,
                source: *target,
                mac: mac(*last).0,
                ..Default::default()
            };
            gateway.controller.handle_learn(&punt, now);
        }
        Event::Said { segment, mac: last, ip, target, is_doubt } => {
            let key = NeighbourKey::v4([10, 0, 0, *ip], *segment).expect("a host's address");
            let punt = overlay_common::abi::Punt {
                reason: PuntReason::Neighbour as u8,
                segment: *segment,
                source: *target,
                mac: if *is_doubt { [0; 6] } else { mac(*last).0 },
                address: key.bytes(),
                ..Default::default()
            };
            gateway.controller.handle_neighbour(&punt, now);
        }
        Event::Load { segment, mac: last, peer } => {
            let line = format!("{} {} peer peer{peer}", SEGMENTS[*segment].0, mac(*last));
            if let Ok(list) = gateway.list(&line, Purpose::Load) {
                // What is configured is refused.
                let _ = gateway.load_list(&list);
            }
        }
        Event::Unload { segment, mac: last } => {
            let line = format!("{} {}", SEGMENTS[*segment].0, mac(*last));
            if gateway.list(&line, Purpose::Unload).is_ok() {
                let _ = gateway.unload(&line);
            }
        }
        Event::Wait(ms) => {
            gateway.drain();
            gateway.wait_with(Duration::from_millis(*ms), |_| false);
        }
        Event::Scan => {
            gateway.drain();
            gateway.scan();
        }
        Event::Drain => gateway.drain(),
    }
}

/// The tables in words, without indices: what a packet would meet with.
fn meaning(gateway: &Gateway) -> Vec<String> {
    let tables = &gateway.tables;
    let name = |target: Target| match gateway.place(target) {
        Some(Place::Peer(name)) => name,
        Some(Place::Port { interface, vlan }) => format!("{interface}.{vlan:?}"),
        None if target.is_router() => "the router".to_owned(),
        None => panic!("{target:?} is nobody's"),
    };
    let segment = |id: u16| match id {
        0 => "-".to_owned(),
        // Where there is no segment of that index, it is the VRF's.
        id => gateway.segment_name(SegmentId(id)).unwrap_or_else(|| "red".to_owned()),
    };
    let mut lines = Vec::new();
    for (PortId(id), port) in &tables.ports {
        let (egress, max, vlan) = (port.egress, port.max_frame, port.vlan);
        let owner = segment(port.segment);
        lines.push(format!("port {} {egress:?} {max} {vlan} {owner}", name(Target::port(*id))));
    }
    for (PeerId(id), peer) in &tables.peers {
        lines.push(format!("peer {} {}", name(Target::peer(*id)), tables.ways_of(peer)));
    }
    for (id, value) in &tables.segments {
        let (ports, peers) = tables.flood_list(*id);
        let ports: BTreeSet<String> = ports.into_iter().map(|i| name(Target::port(i))).collect();
        let peers: BTreeSet<String> = peers.into_iter().map(|i| name(Target::peer(i))).collect();
        lines.push(format!("segment {} {} {ports:?} {peers:?}", segment(id.0), value.vni));
    }
    for (key, access) in &tables.access {
        let port = name(Target::port(access.port));
        lines.push(format!("access {key:?} {port} {}", segment(access.segment)));
    }
    for (key, vtep) in &tables.vteps {
        let permits = tables.permits.iter().filter(|(k, _)| k.profile == vtep.profile);
        let permits: Vec<String> = permits
            .map(|(k, permit)| format!("{} {} {}", k.vni, segment(permit.segment), permit.flags))
            .collect();
        lines.push(format!("vtep {key:?} {} {permits:?}", name(Target::peer(vtep.peer()))));
    }
    let any = tables.permits.iter().filter(|(key, _)| key.profile == PermitKey::ANY);
    lines.extend(any.map(|(key, permit)| format!("any {} {}", key.vni, segment(permit.segment))));
    let fixed = tables.fdb.iter().filter(|(_, entry)| entry.flags == FdbEntry::STATIC);
    lines.extend(fixed.map(|(key, entry)| {
        format!("static {:?} {} {}", key.mac, segment(key.segment), name(entry.target))
    }));
    let fixed = tables.neighbours.iter().filter(|(_, neighbour)| neighbour.is_static());
    lines.extend(fixed.map(|(key, neighbour)| {
        format!("neighbour {} {} {}", key.ip(), segment(key.segment), neighbour.mac())
    }));
    let routers = tables
        .routers
        .iter()
        .map(|(id, router)| format!("router {} {:?} {}", segment(id.0), router.v4, router.mac));
    lines.extend(routers);
    lines.extend(tables.routes.iter().map(|(key, route)| {
        let to = if route.kind == Route::PEER { name(route.target) } else { String::new() };
        format!("route {:?} {} {to} {}", key.network(), route.kind, segment(route.segment))
    }));
    let guards = tables.guards.iter();
    lines.extend(guards.map(|guard| {
        format!(
            "guard {} {:?} {:?}",
            name(Target::port(guard.port.into())),
            guard.mac,
            guard.address
        )
    }));
    lines.extend(
        tables.filters.keys().map(|key| format!("list {} {}", segment(key.segment), key.direction)),
    );
    lines.sort();
    lines
}

/// The FDB has nothing that the configuration and the host do not allow, and the
/// controller believes what the table says.
fn check_fdb(gateway: &Gateway) {
    let views = gateway.fdb();
    let stations = gateway.tables.fdb.values().filter(|entry| !entry.target.is_router());
    assert_eq!(views.len(), stations.count(), "every station can be shown");
    let believed: BTreeMap<_, _> =
        gateway.controller.fdb().map(|(key, entry)| (key, (entry.target, entry.flags))).collect();
    let there = gateway.tables.fdb.iter().map(|(key, e)| (*key, (e.target, e.flags)));
    assert_eq!(believed, there.collect::<BTreeMap<_, _>>());
    assert_eq!(gateway.controller.neighbours().len(), gateway.tables.neighbours.len());
    let config = gateway.controller.config();
    for view in &views {
        let key = gateway.key(&view.segment, view.mac);
        let entry: FdbEntry = gateway.tables.fdb[&key];
        assert_eq!(gateway.place(entry.target).as_ref(), Some(&view.place));
        assert_eq!(entry.is_static(), view.origin.is_static());
        assert!(view.origin.is_static() || view.age <= AGEING + 3, "{view:?} is too old");
        let segment = config.segments.iter().find(|s| s.name == view.segment).unwrap();
        match &view.place {
            Place::Peer(name) => {
                let peer = config.peers.iter().find(|p| p.name == *name).unwrap();
                assert!(peer.segments.contains(&view.segment), "{view:?}");
                assert!(view.origin.is_static() || segment.learning, "{view:?}");
            }
            Place::Port { interface, vlan } => {
                let own = |p: &overlay_control::config::AccessPort| {
                    p.interface == *interface && p.vlan == *vlan
                };
                assert!(segment.ports.iter().any(own), "{view:?}");
                let ports = gateway.controller.ports();
                let up = ports.iter().any(|p| p.interface == *interface && p.up);
                assert!(up || view.origin.is_static(), "{view:?} is behind a port that is down");
            }
        }
    }
}

fn fresh(plan: &Plan, host: &Host) -> Gateway {
    let mut gateway = Gateway::bare(&plan.text());
    for info in host.links.values() {
        gateway.controller.handle_link(info.clone(), gateway.now);
    }
    for (device, flags) in &host.attached {
        gateway.controller.handle_attached(DEVICES[*device].0, *flags, gateway.now);
    }
    for (peer, hop) in &host.hops {
        gateway.controller.handle_next_hops(IpAddr::V4(vtep(*peer)), hop.clone(), gateway.now);
    }
    gateway.drain();
    gateway
}

proptest! {
    // The seed is fixed: a test says the same thing every time.
    #![proptest_config(ProptestConfig {
        cases: 100,
        rng_seed: RngSeed::Fixed(7348),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn the_end_is_that_of_a_fresh_start(
        first in plan(),
        events in vec(event(), 1..60),
    ) {
        let mut plan = first;
        let mut host = Host::default();
        let mut gateway = Gateway::bare(&plan.text());
        for event in &events {
            happen(&mut gateway, &mut host, &mut plan, event);
        }
        gateway.drain();
        check_fdb(&gateway);
        gateway.wait(2);
        gateway.tables.check_settled();
        check_fdb(&gateway);
        prop_assert_eq!(meaning(&gateway), meaning(&fresh(&plan, &host)));
        gateway.controller.handle_config(crate::gateway::parse(&plan.text()), gateway.now);
        gateway.drain();
        prop_assert!(gateway.last.is_empty(), "settled: {:?}", gateway.last);
    }

    #[test]
    fn the_newest_report_wins(reports in vec((0..20u32, 0..4usize, 0..12_000u64), 1..60)) {
        let mut gateway = Gateway::ready(crate::gateway::TWO_SEGMENTS);
        let places = ["gw2", "gw3"].map(crate::gateway::peer).into_iter()
            .chain([("eth1", 0), ("eth2", 10)].map(|(name, vlan)| crate::gateway::port(name, vlan)));
        let places: Vec<Place> = places.collect();
        let mut model: BTreeMap<FdbKey, (usize, Duration)> = BTreeMap::new();
        for (last, place, pause) in reports {
            gateway.frame("blue", mac(last), &places[place]);
            let key = gateway.key("blue", mac(last));
            gateway.refresh(|k| *k == key);
            model.insert(key, (place, gateway.now));
            gateway.wait_with(Duration::from_millis(pause), |_| false);
        }
        // Ageing is exact to the length of a scan's interval and a tick.
        for (key, (place, heard)) in &model {
            let silent = (gateway.now - *heard).as_secs();
            let entry = gateway.tables.fdb.get(key);
            if let Some(entry) = entry {
                prop_assert_eq!(gateway.place(entry.target), Some(places[*place].clone()));
                prop_assert!(silent <= 332, "{} s", silent);
            } else {
                prop_assert!(silent >= 299, "{} s", silent);
            }
        }
    }
}

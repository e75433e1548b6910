//! The numbers that Prometheus reads.

use std::collections::{BTreeMap, HashMap};
use std::sync::PoisonError;
use std::time::{Instant, UNIX_EPOCH};

use overlay_common::abi::{ABI_VERSION, Counters, Hook, PuntReason};
use overlay_common::id::PeerId;
use overlay_common::verdict::DropReason;
use overlay_control::controller::Origin;

use super::Daemon;
use crate::dataplane::features::{ALL, release};
use crate::health::Code;
use crate::metrics::{Family, Snapshot, process};

const PORT: [Family; 4] =
    [Family::PortRxPackets, Family::PortRxBytes, Family::PortTxPackets, Family::PortTxBytes];
const SEGMENT: [Family; 4] = [
    Family::SegmentRxPackets,
    Family::SegmentRxBytes,
    Family::SegmentTxPackets,
    Family::SegmentTxBytes,
];
const PEER: [Family; 4] =
    [Family::PeerRxPackets, Family::PeerRxBytes, Family::PeerTxPackets, Family::PeerTxBytes];

impl Daemon {
    /// All numbers of this moment.
    pub(super) fn metrics(&mut self) -> Snapshot {
        let begun = Instant::now();
        let mut snapshot = Snapshot::default();
        self.see_to_health();
        self.put_node(&mut snapshot);
        self.put_ports_and_segments(&mut snapshot);
        self.put_peers(&mut snapshot);
        self.put_losses(&mut snapshot);
        self.put_tables(&mut snapshot);
        self.put_rules(&mut snapshot);
        process::put(&mut snapshot);
        let (scrapes, duration) = &mut self.sight.scrapes;
        (*scrapes, *duration) = (*scrapes + 1, begun.elapsed());
        snapshot.count(Family::Scrapes, &[], *scrapes);
        snapshot.put(Family::ScrapeDuration, &[], duration.as_secs_f64());
        snapshot
    }

    fn most(&self) -> usize {
        self.controller.config().metrics.series as usize
    }

    fn put_node(&self, to: &mut Snapshot) {
        let build =
            [&self.instance.name, env!("CARGO_PKG_VERSION"), &ABI_VERSION.to_string(), &release()];
        to.flag(Family::BuildInfo, &build, true);
        to.flag(Family::Healthy, &[], self.sight.health.is_healthy());
        let counts = self.sight.health.counts();
        for code in Code::ALL {
            let count = counts.get(code).copied().unwrap_or_default();
            to.count(Family::Problems, &[code.name(), code.severity().name()], count as u64);
        }
        let reloads = &self.sight.reloads;
        let results = [
            ("applied", reloads.applied),
            ("refused", reloads.refused),
            ("failed", reloads.failed),
        ];
        for (result, count) in results {
            to.count(Family::Reloads, &[result], count);
        }
        to.flag(Family::ReloadSuccess, &[], reloads.refusal.is_none());
        let time = reloads.last.duration_since(UNIX_EPOCH).unwrap_or_default();
        to.put(Family::ReloadTime, &[], time.as_secs_f64());
        for about in &ALL {
            let here = self.dataplane.features().has(about.feature);
            to.flag(Family::KernelFeature, &[about.name], here);
        }
        for (kind, count) in self.sight.log.totals() {
            to.count(Family::Events, &[kind], count);
        }
    }

    fn put_ports_and_segments(&self, to: &mut Snapshot) {
        let most = self.most();
        for (name, port) in self.ports.iter().take(most) {
            let (role, link) = (port.wanted.role.name(), self.link_named(name));
            to.flag(Family::PortUp, &[name, role], link.is_some_and(|link| link.up));
            let hook = port.live.as_ref().map_or("none", |live| live.attached.hook.name());
            to.flag(Family::PortAttached, &[name, role, hook], port.live.is_some());
            if let Some(link) = link {
                to.count(Family::PortMtu, &[name], u64::from(link.mtu));
            }
        }
        let mut of_segments: HashMap<String, Counters> = HashMap::new();
        let mut access = 0;
        let mirror = self.mirror.read().unwrap_or_else(PoisonError::into_inner);
        for view in self.controller.ports() {
            let (Some(segment), Some(id)) = (view.segment, view.id) else { continue };
            let kernel = self.dataplane.tables.port_counters(id.0);
            let counters =
                kernel + self.user_ports.port_counters(id.0) + mirror.port_counters(id.0);
            access += 1;
            if access <= most {
                let vlan = view.vlan.map(|vlan| vlan.id().to_string()).unwrap_or_default();
                to.counters(PORT, &[&view.interface, &vlan, &segment], counters);
            }
            let sum = of_segments.entry(segment).or_default();
            *sum = *sum + counters;
        }
        drop(mirror);
        let segments = self.controller.segments();
        for view in segments.iter().take(most) {
            let now = of_segments.get(&view.name).copied().unwrap_or_default();
            let gone = view.id.map(|id| self.gone.of(id)).unwrap_or_default();
            to.counters(SEGMENT, &[&view.name], now + gone);
            to.count(Family::SegmentAddresses, &[&view.name], view.fdb as u64);
            to.flag(Family::SegmentInfo, &[&view.name, &view.vni.to_string()], true);
        }
        to.count(Family::Unreported, &["port"], unreported(access.max(self.ports.len()), most));
        to.count(Family::Unreported, &["segment"], unreported(segments.len(), most));
    }

    fn put_peers(&mut self, to: &mut Snapshot) {
        let (mut states, mut hidden, mut others) = ([0; 2], 0, Counters::default());
        let mirror = self.mirror.read().unwrap_or_else(PoisonError::into_inner);
        for peer in self.controller.peer_briefs() {
            states[usize::from(peer.is_ready)] += 1;
            let Some(PeerId(index)) = peer.id else { continue };
            let kernel = self.dataplane.tables.peer_counters(index);
            let by_user = self.user_ports.peer_counters(index);
            let counters = kernel + by_user + mirror.peer_counters(index);
            if self.gone.peers.decide(index) {
                to.flag(Family::PeerReady, &[peer.name], peer.is_ready);
                to.counters(PEER, &[peer.name], counters);
            } else {
                hidden += 1;
                others = others + counters;
            }
        }
        // `other` is no name that a peer cannot have; then its series is the one of a peer.
        let is_taken = self.controller.config().peers.iter().any(|peer| peer.name == OTHER);
        if !is_taken {
            to.counters(PEER, &[OTHER], others + self.gone.other_peers);
        }
        to.count(Family::Unreported, &["peer"], hidden);
        to.count(Family::Peers, &["unresolved"], states[0]);
        to.count(Family::Peers, &["ready"], states[1]);
    }

    fn put_losses(&mut self, to: &mut Snapshot) {
        let room = self.most().saturating_sub(self.gone.devices.len());
        let new: Vec<String> = self
            .ports
            .keys()
            .filter(|name| !self.gone.devices.contains(*name))
            .take(room)
            .cloned()
            .collect();
        self.gone.devices.extend(new);
        let mut drops: BTreeMap<(u8, String, u8), u64> = BTreeMap::new();
        for (key, packets) in self.drops() {
            // Devices come and go, and each has another name: those that are no ports are one.
            let name = self.devices.place(key.ifindex);
            let known = self.gone.devices.contains(&name) || key.ifindex == 0;
            let name = if known { name } else { OTHER.to_owned() };
            *drops.entry((key.reason, name, key.hook)).or_default() += packets;
        }
        for ((reason, interface, hook), packets) in drops {
            let reason = DropReason::from_u8(reason).map_or("unknown", DropReason::name);
            let hook = Hook::from_u8(hook).map_or("unknown", Hook::name);
            to.count(Family::Drops, &[reason, &interface, hook], packets);
        }
        for reason in PuntReason::ALL {
            to.count(Family::Punts, &[reason.name()], self.queues.taken(reason));
        }
        to.count(Family::PuntsLost, &[], self.queues.lost());
        for (queue, entries, capacity) in self.queues.depths() {
            to.count(Family::QueueDepth, &[queue], entries as u64);
            to.count(Family::QueueCapacity, &[queue], capacity as u64);
        }
    }

    fn put_tables(&self, to: &mut Snapshot) {
        for fill in self.controller.fills() {
            to.count(Family::TableEntries, &[fill.table], fill.entries as u64);
            to.count(Family::TableCapacity, &[fill.table], fill.capacity as u64);
        }
        to.count(Family::TableRefusals, &[], self.refusals.count());
        let origins = [
            ("learned", Origin::Learned),
            ("configured", Origin::Configured),
            ("loaded", Origin::Loaded),
        ];
        for (name, origin) in origins {
            to.count(Family::FdbEntries, &[name], self.controller.fdb_len(origin) as u64);
        }
        let totals = self.controller.fdb_totals();
        let changes = [
            ("learned", totals.learned),
            ("moved", totals.moved),
            ("aged", totals.aged),
            ("flushed", totals.flushed),
            ("refused", totals.refused),
            ("limited", totals.limited),
            ("held", totals.held),
        ];
        for (change, count) in changes {
            to.count(Family::FdbChanges, &[change], count);
        }
        let totals = self.controller.neighbour_totals();
        let changes =
            [("learned", totals.learned), ("moved", totals.moved), ("refused", totals.refused)];
        for (change, count) in changes {
            to.count(Family::NeighbourChanges, &[change], count);
        }
    }

    /// The rules of access lists. Those that cannot be shown are not added up: a list that changes
    /// begins again.
    fn put_rules(&self, to: &mut Snapshot) {
        let (rules, most) = (self.acl_rows_of(self.most()), self.most());
        for row in &rules {
            let position = row.position.map_or_else(|| "default".to_owned(), |at| at.to_string());
            // Neighbour discovery stands behind the rules as the default does.
            let position = if position == "default" && !row.rule.starts_with("default") {
                row.rule.clone()
            } else {
                position
            };
            let labels = [&*row.segment, &*row.direction, &*position, &*row.action];
            to.count(Family::AclPackets, &labels, row.packets);
            to.count(Family::AclBytes, &labels, row.bytes);
        }
        let all = self.controller.acls().len();
        to.count(Family::Unreported, &["rule"], unreported(all, most));
    }
}

/// The label of all that have no series of their own.
const OTHER: &str = "other";

fn unreported(count: usize, most: usize) -> u64 {
    count.saturating_sub(most) as u64
}

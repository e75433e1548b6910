//! What is asked over the control socket.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, PoisonError};

use overlay_common::abi::{ABI_VERSION, Counters, DropKey, Hook, RuleCount};
use overlay_common::id::PortId;
use overlay_common::verdict::DropReason;
use overlay_control::controller::{
    AclView, NeighbourView, Origin, PeerView, PortView, Role, RouteView, SegmentView, WayView,
};

use super::Daemon;
use super::devices::Devices;
use crate::api::fdb::FdbDump;
use crate::api::server::Request;
use crate::api::{
    AclRow, Answer, DropRow, NeighbourRow, PeerRow, PortRow, Problem, Question, RouteRow,
    SegmentRow, Status,
};
use crate::dataplane::bpffs;
use crate::dataplane::pins::Pins;
use crate::state::own_netns;

impl Daemon {
    /// Answers whatever came over the control socket.
    pub(super) async fn serve(&mut self, request: Request) {
        // Whoever asked may be gone by now.
        match request {
            Request::Question { question, reply } => {
                let answer = self.answer(question).await;
                self.keep_counters();
                let _ = reply.send(answer);
            }
            Request::Fdb { reply } => {
                let _ = reply.send(self.fdb_dump());
            }
            Request::Events { reply } => {
                let _ = reply.send(Arc::clone(&self.sight.log));
            }
            Request::Metrics { reply } => {
                let metrics = self.metrics();
                self.keep_counters();
                let _ = reply.send(metrics);
            }
            Request::Names { reply } => {
                let _ = reply.send(self.controller.names(self.now()));
            }
            Request::Watch { order, reply } => {
                let _ = reply.send(self.watch(&order));
            }
            Request::Running { reply } => {
                let _ = reply.send(self.running.clone());
            }
            Request::Apply { plan, reply } => {
                let _ = reply.send(self.put_into_effect(*plan).await);
            }
            Request::Explain { observed, reply } => {
                let _ = reply.send(self.explain_observed(&observed));
            }
            Request::Simulate { frame, reply } => {
                let _ = reply.send(self.simulate(&frame));
            }
            Request::List { order, list, reply } => {
                let _ = reply.send(self.carry_out(order, list));
            }
        }
    }

    async fn answer(&mut self, question: Question) -> Result<Answer, Problem> {
        match question {
            Question::Status => Ok(Answer::Status(Box::new(self.status()))),
            Question::Ports => Ok(Answer::Ports(self.port_rows())),
            Question::Segments => Ok(Answer::Segments(self.segment_rows())),
            Question::Peers => Ok(Answer::Peers(self.peer_rows())),
            Question::Neighbours => {
                let rows = self.controller.neighbours().into_iter().map(neighbour_row).collect();
                Ok(Answer::Neighbours(rows))
            }
            Question::Routes => {
                let rows = self.controller.routes().into_iter().map(route_row).collect();
                Ok(Answer::Routes(rows))
            }
            Question::Acls => Ok(Answer::Acls(self.acl_rows())),
            Question::Drops => Ok(Answer::Drops(self.drop_rows())),
            Question::FdbFlush => Ok(self.flush_loaded()),
            Question::Reload => self.reload().await,
            Question::Down => Err(Problem::ending()),
        }
    }

    /// What the programs' table holds: they know best when an address was seen.
    fn fdb_dump(&self) -> FdbDump {
        let entries = self.dataplane.tables.fdb().collect();
        FdbDump { entries, names: self.controller.names(self.now()) }
    }

    fn status(&mut self) -> Status {
        self.see_to_health();
        let (problems, recovered) = self.sight.rows(self.now());
        let config = self.controller.config();
        let unresolved = self.controller.unresolved().count();
        let segments = self.controller.segments();
        let totals = self.controller.fdb_totals();
        Status {
            name: self.instance.name.clone(),
            vtep: config.node.vtep.to_string(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            abi_version: ABI_VERSION,
            pid: std::process::id(),
            uptime: self.started.elapsed().as_secs(),
            config: self.running.name(),
            netns: own_netns(),
            pins: bpffs::display(
                Pins::new(&self.bpffs, &self.instance.name).instance(),
                &self.bpffs,
            ),
            ports: self.ports.len(),
            ports_attached: self.ports.values().filter(|port| port.live.is_some()).count(),
            segments: segments.len(),
            peers: config.peers.len(),
            peers_ready: config.peers.len() - unresolved,
            fdb: segments.iter().map(|segment| segment.fdb).sum(),
            fdb_loaded: self.controller.fdb_len(Origin::Loaded),
            fdb_entries: config.node.fdb_entries,
            fdb_learned: totals.learned,
            fdb_moved: totals.moved,
            fdb_aged: totals.aged,
            fdb_flushed: totals.flushed,
            fdb_refused: totals.refused,
            fdb_limited: totals.limited,
            fdb_held: totals.held,
            neighbours: self.controller.neighbours_len(),
            neighbours_refused: self.controller.neighbour_totals().refused,
            drops: self.drops().values().sum(),
            healthy: self.sight.health.is_healthy(),
            problems,
            recovered,
        }
    }

    fn segment_rows(&self) -> Vec<SegmentRow> {
        let segments = self.controller.segments();
        let mut counted: HashMap<String, Counters> = HashMap::new();
        for view in self.controller.ports() {
            if let (Some(segment), Some(id)) = (view.segment, view.id) {
                let of_segment = counted.entry(segment).or_default();
                *of_segment = *of_segment + self.port_counters(id);
            }
        }
        let row = |view: SegmentView| {
            let now = counted.get(&view.name).copied().unwrap_or_default();
            let gone = view.id.map(|id| self.gone.of(id)).unwrap_or_default();
            segment_row(view, now + gone)
        };
        segments.into_iter().map(row).collect()
    }

    fn port_counters(&self, id: PortId) -> Counters {
        let mirror = self.mirror.read().unwrap_or_else(PoisonError::into_inner);
        let kernel = self.dataplane.tables.port_counters(id.0);
        [kernel, self.user_ports.port_counters(id.0), mirror.port_counters(id.0)].into_iter().sum()
    }

    fn port_rows(&self) -> Vec<PortRow> {
        let mut rows: Vec<PortRow> =
            self.controller.ports().into_iter().map(|view| self.port_row(view)).collect();
        // The programs count what passes an uplink where it is more telling: at
        // the peer.
        for peer in self.peer_rows() {
            let uplink = rows.iter_mut().find(|row| {
                let over = peer.interface.as_deref().and_then(|names| names.split(',').next());
                row.role == Role::Uplink.name() && Some(&*row.interface) == over
            });
            if let Some(row) = uplink {
                row.rx_packets += peer.rx_packets;
                row.rx_bytes += peer.rx_bytes;
                row.tx_packets += peer.tx_packets;
                row.tx_bytes += peer.tx_bytes;
            }
        }
        rows
    }

    fn port_row(&self, view: PortView) -> PortRow {
        let port = self.ports.get(&view.interface);
        let live = port.and_then(|port| port.live.as_ref());
        let link = self.link_named(&view.interface);
        let counters = view.id.map(|id| self.port_counters(id)).unwrap_or_default();
        PortRow {
            role: view.role.name().to_owned(),
            vlan: view.vlan.map(|vlan| vlan.id()),
            protocol: view.vlan.map(|vlan| vlan.kind().name().to_owned()),
            segment: view.segment,
            mode: view.mode.name().to_owned(),
            hook: live.map(|live| live.attached.hook.name().to_owned()),
            why: port.map(|port| port.why(link)).unwrap_or_default(),
            up: view.up,
            ifindex: view.ifindex,
            mtu: view.mtu,
            fdb: view.fdb,
            rx_packets: counters.rx_packets,
            rx_bytes: counters.rx_bytes,
            tx_packets: counters.tx_packets,
            tx_bytes: counters.tx_bytes,
            interface: view.interface,
        }
    }

    fn peer_rows(&self) -> Vec<PeerRow> {
        self.controller.peers().into_iter().map(|view| self.peer_row(view)).collect()
    }

    fn peer_row(&self, view: PeerView) -> PeerRow {
        let counters = view.id.map_or_else(Counters::default, |id| {
            let mirror = self.mirror.read().unwrap_or_else(PoisonError::into_inner);
            let kernel = self.dataplane.tables.peer_counters(id.0);
            let by_user = self.user_ports.peer_counters(id.0);
            [kernel, by_user, mirror.peer_counters(id.0)].into_iter().sum()
        });
        PeerRow {
            vtep: view.vtep.to_string(),
            encap: view.encap.name().to_owned(),
            segments: view.segments,
            vrfs: view.vrfs,
            state: view.state.name().to_owned(),
            why: view.why,
            interface: each(&view.ways, |way| way.interface.clone()),
            next_hop: each(&view.ways, |way| Some(way.next_hop.to_string())),
            mac: each(&view.ways, |way| way.mac.map(|mac| mac.to_string())),
            fdb: view.fdb,
            mtu: view.mtu,
            rx_packets: counters.rx_packets,
            rx_bytes: counters.rx_bytes,
            tx_packets: counters.tx_packets,
            tx_bytes: counters.tx_bytes,
            name: view.name,
        }
    }

    /// The kernel's drop counters, those of ports that user space carries, the forwarder's
    /// and the queues'.
    pub(super) fn drops(&self) -> BTreeMap<DropKey, u64> {
        let mut drops = self.own_drops();
        for (key, packets) in self.dataplane.tables.drops() {
            *drops.entry(key).or_default() += packets;
        }
        drops.retain(|_, packets| *packets > 0);
        drops
    }

    /// The same without the kernel's.
    pub(super) fn own_drops(&self) -> BTreeMap<DropKey, u64> {
        let mut drops: BTreeMap<DropKey, u64> = BTreeMap::new();
        let mirror = self.mirror.read().unwrap_or_else(PoisonError::into_inner);
        let by_user = self.user_ports.drops();
        let others = mirror.drops().into_iter().chain(self.queues.drops()).chain(by_user);
        let others = others.chain(self.gone.drops.clone());
        for (key, packets) in others {
            *drops.entry(key).or_default() += packets;
        }
        drops
    }

    fn acl_rows(&self) -> Vec<AclRow> {
        self.acl_rows_of(usize::MAX)
    }

    /// The first rules, at most so many.
    pub(super) fn acl_rows_of(&self, most: usize) -> Vec<AclRow> {
        let mirror = self.mirror.read().unwrap_or_else(PoisonError::into_inner);
        let count = |sum: &mut RuleCount, index| {
            sum.add(self.dataplane.tables.rule_count(index));
            sum.add(mirror.rule_count(index));
        };
        let row = |view: AclView<'_>| {
            let mut sum = RuleCount::default();
            view.indices.into_iter().for_each(|index| count(&mut sum, index));
            AclRow {
                segment: view.segment.to_owned(),
                direction: view.direction.to_owned(),
                position: view.line.position,
                action: if view.line.permits { "permit" } else { "deny" }.to_owned(),
                rule: view.line.text,
                packets: sum.packets,
                bytes: sum.bytes,
            }
        };
        self.controller.acls().into_iter().take(most).map(row).collect()
    }

    fn drop_rows(&self) -> Vec<DropRow> {
        let row = |(key, packets)| drop_row(key, packets, &self.devices);
        self.drops().into_iter().map(row).collect()
    }
}

/// Of each of the ways that are used, or of all where none is; commas between them.
fn each(ways: &[WayView], of: impl Fn(&WayView) -> Option<String>) -> Option<String> {
    let any = ways.iter().any(|way| way.ready);
    let shown = ways.iter().filter(|way| way.ready || !any).filter_map(of);
    let texts: Vec<String> = shown.collect();
    (!texts.is_empty()).then(|| texts.join(","))
}

fn drop_row(key: DropKey, packets: u64, devices: &Devices) -> DropRow {
    let reason = DropReason::from_u8(key.reason)
        .map_or_else(|| format!("reason-{}", key.reason), |reason| reason.name().to_owned());
    let place = devices.place(key.ifindex);
    let hook = Hook::from_u8(key.hook)
        .map_or_else(|| format!("hook-{}", key.hook), |hook| hook.name().to_owned());
    DropRow { reason, place, packets, hook }
}

fn segment_row(view: SegmentView, counters: Counters) -> SegmentRow {
    SegmentRow {
        name: view.name,
        vni: view.vni,
        learning: view.learning,
        suppression: view.suppression,
        vrf: view.vrf,
        router: view.router.iter().map(ToString::to_string).collect(),
        ports: view.ports,
        peers: view.peers,
        fdb: view.fdb,
        rx_packets: counters.rx_packets,
        rx_bytes: counters.rx_bytes,
        tx_packets: counters.tx_packets,
        tx_bytes: counters.tx_bytes,
    }
}

fn neighbour_row(view: NeighbourView<'_>) -> NeighbourRow {
    NeighbourRow {
        segment: view.segment.to_owned(),
        ip: view.ip.to_string(),
        mac: view.mac.to_string(),
        origin: if view.is_static { "static" } else { "learned" }.to_owned(),
        router: view.router,
    }
}

fn route_row(view: RouteView<'_>) -> RouteRow {
    RouteRow {
        vrf: view.vrf.to_owned(),
        prefix: view.prefix.to_string(),
        kind: view.kind.to_owned(),
        segment: view.segment.map(str::to_owned),
        via: view.via.map(|via| via.to_string()),
        peer: view.peer.map(str::to_owned),
        mac: view.mac.map(|mac| mac.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drop_names_its_device_even_after_that_is_gone() {
        let mut devices = Devices::default();
        devices.put(3, "eth0");
        devices.leave(3);
        let row = |ifindex| {
            let key = DropKey::new(ifindex, DropReason::UnknownVtep, Hook::Xdp);
            drop_row(key, 2, &devices)
        };
        let DropRow { reason, place, packets, hook } = row(3);
        assert_eq!((&*reason, &*place, packets, &*hook), ("unknown-vtep", "eth0", 2, "xdp"));
        assert_eq!(row(9).place, "ifindex-9");
        assert_eq!(row(0).place, "-");
    }
}

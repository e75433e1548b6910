//! What is asked over the control socket.

use std::collections::{BTreeMap, HashMap};
use std::sync::PoisonError;

use overlay_common::abi::{ABI_VERSION, BOUNDED_COPIES, Counters, DropKey, Hook, RuleCount};
use overlay_common::id::PortId;
use overlay_common::verdict::DropReason;
use overlay_common::wire::Family;
use overlay_control::controller::{
    AclView, NeighbourView, Origin, PeerState, PeerView, PortView, Role, RouteView, SegmentView,
    WayView,
};

use super::Daemon;
use crate::api::fdb::FdbDump;
use crate::api::server::Request;
use crate::api::{
    AclRow, Answer, DropRow, NeighbourRow, PeerRow, PortRow, Problem, Question, RouteRow,
    SegmentRow, Status,
};
use crate::dataplane::bpffs;
use crate::dataplane::features::Feature;
use crate::dataplane::pins::Pins;
use crate::netlink::Link;
use crate::state::own_netns;

/// What every link of IPv6 carries (RFC 8200, section 5).
const LEAST_IPV6: u32 = 1280;

impl Daemon {
    /// Answers whatever came over the control socket.
    pub(super) async fn serve(&mut self, request: Request) {
        // Whoever asked may be gone by now.
        match request {
            Request::Question { question, reply } => {
                let _ = reply.send(self.answer(question).await);
            }
            Request::Fdb { reply } => {
                let _ = reply.send(self.fdb_dump());
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

    fn status(&self) -> Status {
        let config = self.controller.config();
        let peers = self.controller.peers();
        let segments = self.controller.segments();
        let totals = self.controller.fdb_totals();
        let ready = |peer: &&PeerView| peer.state == PeerState::Ready;
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
            peers: peers.len(),
            peers_ready: peers.iter().filter(ready).count(),
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
            problems: self.problems(&peers),
        }
    }

    /// Segments that are wider than floods reach on this kernel.
    pub(super) fn flood_problems(&self) -> Vec<String> {
        if self.dataplane.features().has(Feature::Loop) {
            return Vec::new();
        }
        let segments = self.controller.segments();
        let too_wide = segments.iter().filter(|s| s.ports > BOUNDED_COPIES as usize);
        too_wide
            .map(|segment| {
                format!(
                    "segment {} has {} ports; without the kernel's `loop` (Linux 5.17) floods \
                     reach {BOUNDED_COPIES}",
                    segment.name, segment.ports
                )
            })
            .collect()
    }

    /// What is wrong now, in sentences.
    pub(super) fn problems(&self, peers: &[PeerView]) -> Vec<String> {
        let mut problems = self.mtu_problems(peers);
        problems.extend(self.flood_problems());
        problems.extend(self.controller.full());
        for (name, port) in &self.ports {
            match self.link_named(name) {
                _ if port.live.is_none() => {
                    problems.push(format!("port {name}: {}", port.why(None)));
                }
                Some(link) if !link.up => problems.push(format!("port {name} is down")),
                _ => {}
            }
        }
        for peer in peers.iter().filter(|peer| peer.state != PeerState::Ready) {
            let why = peer.why.as_deref().unwrap_or("not resolved");
            problems.push(format!("peer {}: {why}", peer.name));
        }
        let datagrams = self.datagrams.iter().flat_map(|datagrams| &datagrams.problems);
        problems.extend(datagrams.cloned());
        if self.refused > 0 {
            problems
                .push(format!("the kernel refused {} table entries; see the log", self.refused));
        }
        problems
    }

    /// Uplinks that cannot carry the longest frames of the access ports.
    fn mtu_problems(&self, peers: &[PeerView]) -> Vec<String> {
        let of_role = |is_right: fn(Role) -> bool| {
            let ports = self.ports.iter().filter(move |(_, port)| is_right(port.wanted.role));
            ports.filter_map(|(name, _)| self.link_named(name))
        };
        // Whose frames come tagged into a device that is the uplink as well, has an MTU of its
        // own.
        let Some(longest) = of_role(|role| role == Role::Access).max_by_key(|link| link.mtu) else {
            return Vec::new();
        };
        // Inner Ethernet header, IP, UDP and the tunnel's own header.
        let needed = |uplink: &Link| {
            let leads = |way: &WayView| way.interface.as_ref() == Some(&uplink.name);
            let over = |peer: &&PeerView| peer.ways.iter().any(leads);
            let is_v6 = peers.iter().filter(over).any(|peer| peer.vtep.is_ipv6());
            let family = if is_v6 { Family::V6 } else { Family::V4 };
            longest.mtu.saturating_add(family.tunnel_len() as u32)
        };
        let narrow = peers.iter().filter(|peer| peer.mtu.is_some_and(|mtu| mtu < LEAST_IPV6));
        let narrow = narrow.map(|peer| {
            let mtu = peer.mtu.unwrap_or(0);
            format!(
                "peer {} takes IP packets of {mtu} bytes, and IPv6 needs {LEAST_IPV6}: raise the \
                 MTU of the way to it",
                peer.name
            )
        });
        of_role(Role::has_uplink)
            .filter(|uplink| uplink.mtu < needed(uplink))
            .map(|uplink| {
                format!(
                    "uplink {} has MTU {}; full frames of port {} (MTU {}) need {}, so their \
                     senders are told to send less: raise the one or lower the other",
                    uplink.name,
                    uplink.mtu,
                    longest.name,
                    longest.mtu,
                    needed(uplink)
                )
            })
            .chain(narrow)
            .collect()
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
    fn drops(&self) -> BTreeMap<DropKey, u64> {
        let mut drops: BTreeMap<DropKey, u64> = BTreeMap::new();
        let kernel = self.dataplane.tables.drops();
        let mirror = self.mirror.read().unwrap_or_else(PoisonError::into_inner);
        let by_user = self.user_ports.drops();
        let others = mirror.drops().into_iter().chain(self.queues.drops()).chain(by_user);
        for (key, packets) in kernel.into_iter().chain(others) {
            *drops.entry(key).or_default() += packets;
        }
        drops.retain(|_, packets| *packets > 0);
        drops
    }

    fn acl_rows(&self) -> Vec<AclRow> {
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
        self.controller.acls().into_iter().map(row).collect()
    }

    fn drop_rows(&self) -> Vec<DropRow> {
        self.drops().into_iter().map(|(key, packets)| drop_row(key, packets, &self.names)).collect()
    }
}

/// Of each of the ways that are used, or of all where none is; commas between them.
fn each(ways: &[WayView], of: impl Fn(&WayView) -> Option<String>) -> Option<String> {
    let any = ways.iter().any(|way| way.ready);
    let shown = ways.iter().filter(|way| way.ready || !any).filter_map(of);
    let texts: Vec<String> = shown.collect();
    (!texts.is_empty()).then(|| texts.join(","))
}

fn drop_row(key: DropKey, packets: u64, names: &HashMap<u32, String>) -> DropRow {
    let reason = DropReason::from_u8(key.reason)
        .map_or_else(|| format!("reason-{}", key.reason), |reason| reason.name().to_owned());
    let place = match (key.ifindex, names.get(&key.ifindex)) {
        (_, Some(name)) => name.clone(),
        (0, None) => "-".to_owned(),
        (ifindex, None) => format!("ifindex-{ifindex}"),
    };
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
        let names = HashMap::from([(3, "eth0".to_owned())]);
        let row = |ifindex| {
            let key = DropKey::new(ifindex, DropReason::UnknownVtep, Hook::Xdp);
            drop_row(key, 2, &names)
        };
        let DropRow { reason, place, packets, hook } = row(3);
        assert_eq!((&*reason, &*place, packets, &*hook), ("unknown-vtep", "eth0", 2, "xdp"));
        assert_eq!(row(9).place, "ifindex-9");
        assert_eq!(row(0).place, "-");
    }
}

//! From configuration, links, next hops and learnt addresses to table actions.
//!
//! The order of calls: after any number of `handle_*`, call
//! [`Controller::poll_action`] until it returns `None` and carry the actions out
//! in that order; then wait until the next input or
//! [`Controller::poll_timeout`], whichever comes first. Inputs that belong
//! together (a dump of all links, say) are best handed in before polling: what
//! follows from them is then computed once.

mod fdb;
mod filters;
mod flood;
mod groups;
mod indices;
mod input;
mod links;
mod load;
mod lookup;
mod names;
mod neighbours;
mod news;
mod numbers;
mod profiles;
mod routing;
mod settle;
mod show;
mod show_acls;
mod show_routes;
mod topology;
mod view;
mod way;

use core::time::Duration;
use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::Arc;

use overlay_common::abi::{
    ABI_VERSION, FdbEntry, FdbKey, MAX_PEERS, Neighbour, NeighbourKey, Node, Punt, PuntLimit,
    PuntReason, Target, TunnelPorts, neighbours_beside,
};
use overlay_common::id::SegmentId;
use overlay_common::wire::{Encap, Mac, address_words};

use crate::action::Action;
use crate::config::Config;

pub use fdb::Origin;
pub(crate) use fdb::word;
pub use input::{LinkInfo, NextHop, Restored, RestoredNeighbour, RestoredPlace};
pub use load::Refusal;
pub use lookup::RuleAt;
pub use names::Names;
pub use news::{Change, News};
pub use numbers::{Fill, Limited, PeerBrief};
pub use routing::link_local;
pub use view::{
    AclView, FdbTotals, FdbView, NeighbourTotals, NeighbourView, PeerState, PeerView, PortView,
    Role, RouteView, SegmentView, WayView,
};

use fdb::Fdb;
use filters::Filters;
use flood::FloodLists;
use groups::Groups;
use links::Links;
use neighbours::Neighbours;
use settle::{Dirty, Installed, Retired};
use topology::{Ids, Topology};
use way::{Obstacle, Way, Ways};

/// How many news of stations a second, and at once, each CPU sends for each share of ports
/// and peers. A station that is not heard is learnt from its next frame.
const LEARN_LIMIT: PuntLimit = PuntLimit { per_second: 10_000, burst: 2_000 };
/// The same for frames to peers without a resolved next hop.
const UNRESOLVED_LIMIT: PuntLimit = PuntLimit { per_second: 1_000, burst: 256 };
/// The same for flooded frames, of which user space may send a thousand copies each.
const FLOOD_LIMIT: PuntLimit = PuntLimit { per_second: 1_000, burst: 256 };
/// The same for control packets, which nothing answers yet.
const CONTROL_LIMIT: PuntLimit = PuntLimit { per_second: 100, burst: 20 };
/// The same for what stations say of their addresses. One that is not heard is heard when it
/// is said again; until then it is asked for by flooding.
const NEIGHBOUR_LIMIT: PuntLimit = PuntLimit { per_second: 5_000, burst: 1_000 };

/// The same for packets to be cut up, each of which becomes at least two.
const FRAGMENT_LIMIT: PuntLimit = PuntLimit { per_second: 5_000, burst: 512 };
/// The same for packets that ask more of a router than to be routed. Each share of ports and peers
/// has so many errors and answers.
const ROUTER_LIMIT: PuntLimit = PuntLimit { per_second: 1_000, burst: 256 };
/// How many packets that are too big are answered, for each port and CPU.
const PTB_LIMIT: PuntLimit = PuntLimit { per_second: 1_000, burst: 100 };

const fn limit(reason: PuntReason) -> PuntLimit {
    match reason {
        PuntReason::Learn => LEARN_LIMIT,
        PuntReason::PeerUnresolved => UNRESOLVED_LIMIT,
        PuntReason::Flood => FLOOD_LIMIT,
        PuntReason::Control => CONTROL_LIMIT,
        PuntReason::Neighbour => NEIGHBOUR_LIMIT,
        PuntReason::Fragment => FRAGMENT_LIMIT,
        PuntReason::Router => ROUTER_LIMIT,
    }
}

/// The kernel's FDB is looked at this often, whether something ages or not.
const SCAN_AT_LEAST: Duration = Duration::from_secs(30);
/// Room for so many actions is kept while there are none.
const ACTIONS_KEPT: usize = 4096;
/// News of peers that wait to be taken out: a change of all of them, twice.
const MAX_PEER_NEWS: usize = 2 * MAX_PEERS as usize;

/// The node's state machine.
#[derive(Debug)]
pub struct Controller {
    config: Config,
    started: Duration,
    now: Duration,
    ids: Ids,
    topology: Arc<Topology>,
    links: Links,
    ways: Ways,
    groups: Groups,
    fdb: Fdb,
    neighbours: Neighbours,
    flood: FloodLists,
    filters: Filters,
    /// Access lists wait for the place of others.
    filters_wait: bool,
    installed: Installed,
    node: Option<Node>,
    dirty: Dirty,
    retired: VecDeque<(Duration, Retired)>,
    next_scan: Duration,
    actions: VecDeque<Action>,
    peer_news: news::Peers,
}

impl Controller {
    /// A controller for this configuration, which knows nothing of the host yet.
    pub fn new(config: Config, now: Duration) -> Self {
        let mut ids = Ids::new();
        let topology = Arc::new(Topology::build(&config, &mut ids));
        let mut controller = Self {
            fdb: Fdb::new(config.node.fdb_entries),
            neighbours: Neighbours::new(neighbours_beside(config.node.fdb_entries)),
            started: now,
            now,
            ids,
            topology,
            links: Links::default(),
            ways: Ways::default(),
            groups: Groups::default(),
            flood: FloodLists::default(),
            filters: Filters::default(),
            filters_wait: false,
            installed: Installed::default(),
            node: None,
            dirty: Dirty { config: true, ..Dirty::default() },
            retired: VecDeque::new(),
            next_scan: now,
            actions: VecDeque::new(),
            peer_news: news::Peers::default(),
            config,
        };
        controller.next_scan = now + controller.scan_interval();
        controller.put_node();
        let limit = |reason| Action::PutPuntLimit(reason, limit(reason));
        controller.actions.extend(PuntReason::ALL.map(limit));
        controller
    }

    /// Replaces the configuration. What stays keeps its index and its learnt
    /// addresses. A larger `fdb_entries` takes effect at the next start: the
    /// kernel's table keeps its size.
    pub fn handle_config(&mut self, config: Config, now: Duration) {
        self.advance(now);
        // What was asked for before is to be known to the tables, so that what is
        // gone is known too.
        self.settle();
        self.topology = Arc::new(Topology::build(&config, &mut self.ids));
        self.fdb.limit(config.node.fdb_entries);
        self.neighbours.limit(neighbours_beside(config.node.fdb_entries));
        self.ways.retain(|vtep| self.topology.vteps.contains_key(vtep));
        self.config = config;
        self.next_scan = self.next_scan.min(now + self.scan_interval());
        self.dirty.config = true;
    }

    /// A device appeared or changed.
    pub fn handle_link(&mut self, link: LinkInfo, now: Duration) {
        self.advance(now);
        for name in self.links.put(link) {
            self.link_changed(&name);
        }
    }

    /// A device is gone.
    pub fn handle_link_gone(&mut self, name: &str, now: Duration) {
        self.advance(now);
        if self.links.remove(name) {
            self.link_changed(name);
        }
    }

    /// A program was attached to a device that is known; `egress_flags` are
    /// [`Egress::XDP`](overlay_common::abi::Egress::XDP) and
    /// [`PEER`](overlay_common::abi::Egress::PEER). To be called again when they
    /// change.
    pub fn handle_attached(&mut self, interface: &str, egress_flags: u32, now: Duration) {
        self.advance(now);
        if self.links.attach(interface, egress_flags) {
            self.link_changed(interface);
        }
    }

    /// The next hops of the route to a peer's VTEP changed; none: there is no route.
    /// Addresses that are no peer's VTEP are ignored.
    pub fn handle_next_hops(&mut self, vtep: IpAddr, next_hops: Vec<NextHop>, now: Duration) {
        self.advance(now);
        let Some(peer) = self.topology.vteps.get(&vtep) else { return };
        if self.ways.put(vtep, next_hops) {
            self.dirty.peers.insert(*peer);
        }
    }

    /// A packet came from an address that the FDB has not, or has elsewhere.
    pub fn handle_learn(&mut self, punt: &Punt, now: Duration) {
        self.advance(now);
        let (segment, target) = (SegmentId(punt.segment), punt.source);
        if punt.reason != PuntReason::Learn as u8
            || !Mac(punt.mac).is_source()
            || !self.topology.admits(segment, target, false)
            || !self.is_alive(target)
        {
            return;
        }
        self.settle();
        let key = FdbKey { mac: punt.mac, segment: punt.segment };
        let (bounds, epoch) = (self.topology.bounds(segment, target), self.epoch());
        let is_sticky = |target| self.topology.is_sticky(target);
        self.fdb.learn((key, target), bounds, is_sticky, epoch, &mut self.actions);
        self.next_scan = self.next_scan.min(self.now + self.scan_interval());
    }

    /// ARP or neighbour discovery said of an address what the neighbour table has not, or has
    /// otherwise. The station's own address is learnt as from any frame of it.
    pub fn handle_neighbour(&mut self, punt: &Punt, now: Duration) {
        self.advance(now);
        let (segment, target) = (SegmentId(punt.segment), punt.source);
        let key = NeighbourKey::from_bytes(punt.address, punt.segment);
        let Some(key) = key.filter(|_| punt.reason == PuntReason::Neighbour as u8) else { return };
        if !self.topology.suppresses(segment)
            || !self.topology.admits(segment, target, true)
            || !self.is_alive(target)
        {
            return;
        }
        self.settle();
        if punt.mac == [0; 6] {
            self.neighbours.doubt(key, &mut self.actions);
            return;
        }
        let station = FdbKey { mac: punt.mac, segment: punt.segment };
        if self.fdb.origin(station).is_none() {
            self.handle_learn(&Punt { reason: PuntReason::Learn as u8, ..*punt }, now);
        }
        let heard = Neighbour::new(Mac(punt.mac)).with_router(punt.is_router());
        self.hear(station, key, heard);
    }

    fn hear(&mut self, station: FdbKey, key: NeighbourKey, heard: Neighbour) {
        if self.fdb.origin(station).is_some() {
            self.neighbours.hear(key, heard, &mut self.actions);
        }
    }

    /// Everything the kernel's FDB holds. `started` is the time at which the
    /// reading began; every action polled before then had been carried out.
    pub fn handle_scan(
        &mut self,
        entries: impl IntoIterator<Item = (FdbKey, FdbEntry)> + Clone,
        started: Duration,
        now: Duration,
    ) {
        self.advance(now);
        self.settle();
        let (ageing, epoch) = (self.config.node.ageing, self.epoch());
        self.fdb.scan(entries, self.epoch_at(started), ageing, epoch, &mut self.actions);
        self.next_scan = now + self.scan_interval();
    }

    /// Learnt and loaded addresses of an earlier run of the daemon. To be called
    /// once the links are known; what does not fit the configuration is left out.
    pub fn handle_restored(&mut self, entries: impl IntoIterator<Item = Restored>, now: Duration) {
        self.advance(now);
        self.settle();
        let by_vni = self.topology.by_vni();
        let epoch = self.epoch();
        for entry in entries {
            let Some(segment) = by_vni.get(&entry.vni) else { continue };
            let Some(target) = self.restored_target(*segment, entry.place) else { continue };
            let (origin, fits) = if entry.is_loaded {
                (Origin::Loaded, true)
            } else {
                let young = entry.age < self.config.node.ageing;
                (Origin::Learned, young && self.is_alive(target))
            };
            let admitted = self.topology.admits(*segment, target, entry.is_loaded);
            if fits && admitted && entry.mac.is_source() {
                let key = FdbKey { mac: entry.mac.0, segment: segment.0 };
                self.fdb.restore(key, target, origin, entry.age, epoch, &mut self.actions);
            }
        }
        self.next_scan = self.next_scan.min(self.now + self.scan_interval());
    }

    /// Addresses that an earlier run of the daemon had heard of. To be called once their
    /// stations are restored; those of others are left out.
    pub fn handle_restored_neighbours(
        &mut self,
        entries: impl IntoIterator<Item = RestoredNeighbour>,
        now: Duration,
    ) {
        self.advance(now);
        self.settle();
        let by_vni = self.topology.by_vni();
        for RestoredNeighbour { vni, address, neighbour } in entries {
            let Some(id) = by_vni.get(&vni).filter(|id| self.topology.suppresses(**id)) else {
                continue;
            };
            let Some(key) = NeighbourKey::of(address, id.0) else { continue };
            self.hear(FdbKey::new(neighbour.mac(), id.0), key, neighbour);
        }
    }

    /// The time of [`poll_timeout`](Self::poll_timeout) has come.
    pub fn handle_timeout(&mut self, now: Duration) {
        self.advance(now);
        self.put_node();
        self.remove_retired();
        if (self.topology.waiting || self.filters_wait) && self.retired.is_empty() {
            self.handle_config(self.config.clone(), now);
        }
    }

    /// When [`handle_timeout`](Self::handle_timeout) wants to be called: at the
    /// ageing clock's next second, or earlier.
    pub fn poll_timeout(&self) -> Option<Duration> {
        let elapsed = self.now.saturating_sub(self.started).as_secs();
        let tick = self.started + Duration::from_secs(elapsed + 1);
        let retired = self.retired.front().map(|(due, _)| *due);
        Some(retired.map_or(tick, |due| due.min(tick)))
    }

    /// The next table change.
    pub fn poll_action(&mut self) -> Option<Action> {
        if self.actions.is_empty() {
            self.settle_groups();
        }
        if self.actions.is_empty() {
            self.settle();
        }
        let action = self.actions.pop_front();
        match action {
            // Whatever the station went for, its addresses go with it.
            Some(Action::DelFdb(station)) => {
                self.neighbours.station_gone(station, &mut self.actions);
            }
            Some(_) => {}
            None => self.actions.shrink_to(ACTIONS_KEPT),
        }
        action
    }

    /// Whether it is time to read the kernel's FDB for
    /// [`handle_scan`](Self::handle_scan): every tenth of the ageing time while
    /// there is something that ages, and at least every 30 seconds.
    pub fn wants_scan(&self, now: Duration) -> bool {
        now >= self.next_scan
    }

    fn scan_interval(&self) -> Duration {
        let tenth = u64::from(self.config.node.ageing / 10).clamp(1, SCAN_AT_LEAST.as_secs());
        match self.fdb.of_origin(Origin::Learned) {
            0 => SCAN_AT_LEAST,
            _ => Duration::from_secs(tenth),
        }
    }

    /// Time does not run backwards here, whatever the caller's clock does.
    fn advance(&mut self, now: Duration) {
        self.now = self.now.max(now);
    }

    fn epoch(&self) -> u32 {
        self.epoch_at(self.now)
    }

    /// The ageing clock. It follows the time, so that a daemon that was held up for
    /// a while does not make addresses younger than they are.
    fn epoch_at(&self, now: Duration) -> u32 {
        (now.saturating_sub(self.started).as_secs() as u32).wrapping_add(1)
    }

    fn put_node(&mut self) {
        let vtep = self.config.node.vtep;
        let node = Node {
            abi_version: ABI_VERSION,
            vtep: vtep.v4.map_or(Node::NO_VTEP, |v4| v4.octets()),
            vtep6: vtep.v6.map_or(Node::NO_VTEP6, |v6| address_words(&v6.octets())),
            epoch: self.epoch(),
            ports: self.tunnel_ports(),
            ptb_limit: PTB_LIMIT,
            ..Node::default()
        };
        if self.node.replace(node) != Some(node) {
            self.actions.push_back(Action::PutNode(node));
        }
    }

    /// The UDP ports that tunnels arrive at.
    ///
    /// What arrives at the port of an encapsulation that no peer has is not the overlay's.
    /// Where there is no peer at all, VXLAN is, and is dropped.
    pub fn tunnel_ports(&self) -> TunnelPorts {
        let peers = &self.config.peers;
        let of = |encap| match peers.iter().any(|peer| peer.encap == encap) {
            true => self.config.node.ports.of(encap),
            false => 0,
        };
        let (vxlan, geneve) = (of(Encap::Vxlan), of(Encap::Geneve));
        let vxlan = if geneve == 0 { self.config.node.ports.vxlan } else { vxlan };
        TunnelPorts { vxlan, geneve }
    }

    /// Linux bridges forget a port's stations when it loses its carrier, and so
    /// does this node: they may come back elsewhere.
    fn link_changed(&mut self, name: &str) {
        let Some(ports) = self.topology.interfaces.get(name) else { return };
        self.dirty.ports = true;
        let mut access = false;
        for id in ports {
            match self.topology.ports[id].segment {
                Some(segment) => {
                    access = true;
                    self.dirty.segments.insert(segment);
                }
                None => {
                    self.dirty.groups = true;
                    self.dirty.peers.extend(self.topology.peers.keys());
                }
            }
        }
        if access && self.links.up(name).is_none() {
            let lost = |target: Target| ports.iter().any(|id| target == Target::port(id.0));
            let stays = |_, target, origin: Origin| origin.is_static() || !lost(target);
            self.fdb.retain(stays, &mut self.actions);
        }
    }

    /// Whether frames can have come from there just now.
    fn is_alive(&self, target: Target) -> bool {
        if target.is_peer() {
            return true;
        }
        let port = self.topology.ports.get(&overlay_common::id::PortId(target.index()));
        port.is_some_and(|port| self.links.up(&port.interface).is_some())
    }

    fn restored_target(&self, segment: SegmentId, place: RestoredPlace) -> Option<Target> {
        match place {
            RestoredPlace::Peer(vtep) => {
                self.topology.vteps.get(&vtep).map(|id| Target::peer(id.0))
            }
            RestoredPlace::Port { ifindex, vlan } => {
                let interface = &self.links.indexed(ifindex)?.name;
                let ports = self.topology.interfaces.get(interface)?;
                let fits =
                    |spec: &topology::Port| spec.vlan == vlan && spec.segment == Some(segment);
                let id = ports.iter().find(|id| fits(&self.topology.ports[id]))?;
                Some(Target::port(id.0))
            }
        }
    }

    fn ways_to(&self, vtep: IpAddr) -> Result<Vec<(usize, Way<'_>)>, Obstacle> {
        let is_uplink = |name: &str| self.config.uplinks.iter().any(|u| u.interface == name);
        self.ways.find(vtep, &self.links, is_uplink)
    }
}

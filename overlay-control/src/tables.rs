//! A mirror of the kernel's tables in memory.
//!
//! The user-space forwarder runs the packet path on it, and tests use it to say
//! what the kernel programs ought to do. Look-ups answer as the kernel's maps
//! do: an array has an entry of zeroes at every index that was never written.

mod lookups;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};

use overlay_common::abi::{
    Access, AccessKey, Charge, Counters, Direction, DropKey, FdbEntry, FdbKey, Filter, FilterKey,
    FilterNode, FloodKey, GuardKey, Hook, Neighbour, NeighbourKey, Node, Peer, Permit, PermitKey,
    Policer, PolicerKey, Port, Punt, PuntLimit, PuntReason, Router, RuleCount, Segment, Target,
    Vtep, Vtep6Key, VtepKey, Way,
};
use overlay_common::packet::Packet;
use overlay_common::tables::Tables;
use overlay_common::verdict::DropReason;
use overlay_common::wire::Octet;

use crate::action::Action;
use crate::quick::Quick;
use crate::routes::Routes;

/// How many refreshed entries wait until [`TableSet::take_refreshed`] collects them.
const REFRESHED: usize = 1 << 16;

/// How many punts wait until [`TableSet::take_punts`] collects them.
pub const PUNT_QUEUE: usize = 1024;

/// The node's tables, counters and waiting punts.
///
/// The tables change through [`apply`](Self::apply) alone; what the packet path
/// writes (counters, punts, the age of FDB entries) changes behind a shared
/// reference, so a `RwLock<TableSet>` lets packets run side by side.
#[derive(Debug)]
pub struct TableSet {
    hook: Hook,
    node: Node,
    access: HashMap<AccessKey, Access, Quick>,
    ports: HashMap<u32, Port, Quick>,
    /// The devices of the ports that are uplinks.
    uplinks: HashMap<u32, u32, Quick>,
    segments: HashMap<u16, Segment, Quick>,
    peers: HashMap<u32, Peer, Quick>,
    ways: HashMap<u32, Way, Quick>,
    vteps: HashMap<VtepKey, Vtep, Quick>,
    vteps6: HashMap<Vtep6Key, Vtep, Quick>,
    permits: HashMap<PermitKey, Permit, Quick>,
    fdb: HashMap<FdbKey, Place, Quick>,
    flood: HashMap<FloodKey, Target, Quick>,
    policers: HashMap<PolicerKey, Mutex<Policer>, Quick>,
    /// In ns of the monotonic clock.
    time: AtomicU64,
    neighbours: HashMap<NeighbourKey, Neighbour>,
    filters: HashMap<FilterKey, Filter>,
    filter_nodes: Vec<FilterNode>,
    rules: Mutex<HashMap<u32, RuleCount>>,
    guards: HashSet<GuardKey>,
    routers: HashMap<u16, Router, Quick>,
    routes: Routes,
    limits: [PuntLimit; PuntReason::COUNT],
    counted: Mutex<Counted>,
    punts: Mutex<Vec<Punted>>,
    refreshed: Mutex<Vec<(FdbKey, u32)>>,
}

/// A record, and the frame that came with it, as user space reads them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Punted {
    /// The record.
    pub punt: Punt,
    /// The frame's bytes; empty where the reason carries no frame.
    pub frame: Vec<u8>,
}

/// An FDB entry whose age a reader of the table may renew.
#[derive(Debug)]
struct Place {
    target: Target,
    flags: u32,
    seen: AtomicU32,
}

#[derive(Debug, Default)]
struct Counted {
    ports: BTreeMap<u32, Counters>,
    peers: BTreeMap<u32, Counters>,
    drops: BTreeMap<DropKey, u64>,
    /// Grows whenever something was counted at ports and peers.
    times: u64,
}

impl Default for TableSet {
    fn default() -> Self {
        Self::new(Hook::User)
    }
}

impl TableSet {
    /// Empty tables. `hook` is the place that drops are counted under.
    pub fn new(hook: Hook) -> Self {
        Self {
            hook,
            node: Node::default(),
            access: HashMap::default(),
            ports: HashMap::default(),
            uplinks: HashMap::default(),
            segments: HashMap::default(),
            peers: HashMap::default(),
            ways: HashMap::default(),
            vteps: HashMap::default(),
            vteps6: HashMap::default(),
            permits: HashMap::default(),
            fdb: HashMap::default(),
            flood: HashMap::default(),
            policers: HashMap::default(),
            time: AtomicU64::new(0),
            neighbours: HashMap::new(),
            filters: HashMap::new(),
            filter_nodes: Vec::new(),
            rules: Mutex::default(),
            guards: HashSet::new(),
            routers: HashMap::default(),
            routes: Routes::default(),
            limits: [PuntLimit::default(); PuntReason::COUNT],
            counted: Mutex::default(),
            punts: Mutex::default(),
            refreshed: Mutex::default(),
        }
    }

    /// Carries out one change.
    pub fn apply(&mut self, action: &Action) {
        match *action {
            Action::PutNode(node) => self.node = node,
            Action::PutAccess(key, access) => {
                self.access.insert(key, access);
            }
            Action::DelAccess(key) => {
                self.access.remove(&key);
            }
            Action::PutPort(id, port) => {
                self.ports.insert(id.0, port);
                if port.segment == 0 {
                    self.uplinks.insert(id.0, port.egress.ifindex);
                }
            }
            Action::DelPort(id) => {
                self.ports.remove(&id.0);
                self.uplinks.remove(&id.0);
                lock(&self.counted).ports.remove(&id.0);
            }
            Action::PutSegment(id, segment) => {
                self.segments.insert(id.0, segment);
            }
            Action::DelSegment(id) => {
                self.segments.remove(&id.0);
            }
            Action::PutPeer(id, peer) => {
                self.peers.insert(id.0, peer);
            }
            Action::PutWay(index, way) => {
                self.ways.insert(index, way);
            }
            Action::DelPeer(id) => {
                self.peers.remove(&id.0);
                lock(&self.counted).peers.remove(&id.0);
            }
            Action::PutVtep(key, vtep) => {
                self.vteps.insert(key, vtep);
            }
            Action::DelVtep(key) => {
                self.vteps.remove(&key);
            }
            Action::PutVtep6(key, vtep) => {
                self.vteps6.insert(key, vtep);
            }
            Action::DelVtep6(key) => {
                self.vteps6.remove(&key);
            }
            Action::PutPermit(key, permit) => {
                self.permits.insert(key, permit);
            }
            Action::DelPermit(key) => {
                self.permits.remove(&key);
            }
            Action::PutFlood(key, target) => {
                self.flood.insert(key, target);
            }
            Action::DelFlood(key) => {
                self.flood.remove(&key);
            }
            Action::PutFdb(key, FdbEntry { target, flags, seen, .. }) => {
                self.fdb.insert(key, Place { target, flags, seen: AtomicU32::new(seen) });
            }
            Action::DelFdb(key) => {
                self.fdb.remove(&key);
            }
            Action::PutPolicer(key, policer) => {
                self.policers.insert(key, Mutex::new(policer));
            }
            Action::DelPolicer(key) => {
                self.policers.remove(&key);
            }
            Action::PutNeighbour(key, neighbour) => {
                self.neighbours.insert(key, neighbour);
            }
            Action::DelNeighbour(key) => {
                self.neighbours.remove(&key);
            }
            Action::PutFilterNode(index, node) => {
                let index = index as usize;
                if self.filter_nodes.len() <= index {
                    self.filter_nodes.resize(index + 1, FilterNode::default());
                }
                self.filter_nodes[index] = node;
            }
            Action::PutFilter(key, filter) => {
                self.filters.insert(key, filter);
            }
            Action::DelFilter(key) => {
                self.filters.remove(&key);
            }
            Action::CarryRule { from, to } => {
                let mut rules = lock(&self.rules);
                let carried = rules.remove(&from).unwrap_or_default();
                rules.entry(to).or_default().add(carried);
            }
            Action::DelRule(index) => {
                lock(&self.rules).remove(&index);
            }
            Action::PutGuard(key) => {
                self.guards.insert(key);
            }
            Action::DelGuard(key) => {
                self.guards.remove(&key);
            }
            Action::PutRouter(id, router) => {
                self.routers.insert(id.0, router);
            }
            Action::DelRouter(id) => {
                self.routers.remove(&id.0);
            }
            Action::PutRoute(key, route) => self.routes.put(key, route),
            Action::DelRoute(key) => self.routes.remove(&key),
            Action::PutPuntLimit(reason, limit) => self.limits[reason as usize] = limit,
        }
    }

    /// Tells the limits what time it is, in ns of a monotonic clock: there is none here.
    pub fn set_time(&self, now: u64) {
        self.time.store(now, Relaxed);
    }

    /// Holds a frame against limits at a time of its own, in ns of the monotonic clock.
    ///
    /// # Errors
    ///
    /// The limit that it is over.
    pub fn police_at(&self, key: &PolicerKey, charge: Charge, now: u64) -> Result<(), DropReason> {
        match self.policers.get(key) {
            Some(policer) => lock(policer).take(charge, now),
            None => Ok(()),
        }
    }

    /// Every FDB entry, in no particular order.
    pub fn fdb_entries(&self) -> impl Iterator<Item = (FdbKey, FdbEntry)> + '_ {
        self.fdb.iter().map(|(key, place)| (*key, place.entry()))
    }

    /// Whether a device is an uplink, and up.
    pub fn is_uplink(&self, ifindex: u32) -> bool {
        ifindex != 0 && self.uplinks.values().any(|index| *index == ifindex)
    }

    /// Counts a frame that the path dropped: its result was this error.
    pub fn record_drop(&self, ifindex: u32, reason: DropReason) {
        self.count_drop(ifindex, reason, 1);
    }

    /// The drop counters that are not zero.
    pub fn drops(&self) -> BTreeMap<DropKey, u64> {
        lock(&self.counted).drops.clone()
    }

    /// Takes a drop counter away, and returns what it had come to.
    pub fn take_drop(&self, key: DropKey) -> u64 {
        lock(&self.counted).drops.remove(&key).unwrap_or_default()
    }

    /// The counters of a port.
    pub fn port_counters(&self, index: u32) -> Counters {
        lock(&self.counted).ports.get(&index).copied().unwrap_or_default()
    }

    /// The counters of a peer.
    pub fn peer_counters(&self, index: u32) -> Counters {
        lock(&self.counted).peers.get(&index).copied().unwrap_or_default()
    }

    /// A number that is another one whenever something was counted at ports, peers or rules since.
    pub fn counted_times(&self) -> (u64, RuleCount) {
        let mut rules = RuleCount::default();
        lock(&self.rules).values().for_each(|count| rules.add(*count));
        (lock(&self.counted).times, rules)
    }

    /// The ports, peers and rules at which something was counted here.
    pub fn counted(&self) -> [Vec<u32>; 3] {
        let rules = lock(&self.rules).keys().copied().collect();
        let counted = lock(&self.counted);
        [counted.ports.keys().copied().collect(), counted.peers.keys().copied().collect(), rules]
    }

    /// Has a port go on from what was counted before.
    pub fn carry_port(&self, index: u32, counted: Counters) {
        let ports = &mut lock(&self.counted).ports;
        let sum = ports.entry(index).or_default();
        *sum = *sum + counted;
    }

    /// The same for a peer.
    pub fn carry_peer(&self, index: u32, counted: Counters) {
        let peers = &mut lock(&self.counted).peers;
        let sum = peers.entry(index).or_default();
        *sum = *sum + counted;
    }

    /// The same for a rule.
    pub fn carry_rule(&self, index: u32, counted: RuleCount) {
        lock(&self.rules).entry(index).or_default().add(counted);
    }

    /// What a rule has held.
    pub fn rule_count(&self, index: u32) -> RuleCount {
        lock(&self.rules).get(&index).copied().unwrap_or_default()
    }

    /// Takes the punts that came since the last call, oldest first.
    pub fn take_punts(&self) -> Vec<Punted> {
        std::mem::take(&mut lock(&self.punts))
    }

    /// Takes the FDB entries that were seen since the last call, each with the epoch.
    pub fn take_refreshed(&self) -> Vec<(FdbKey, u32)> {
        std::mem::take(&mut lock(&self.refreshed))
    }

    /// How many punts may come for a reason.
    pub fn punt_limit(&self, reason: PuntReason) -> PuntLimit {
        self.limits[reason as usize]
    }
}

impl Place {
    fn entry(&self) -> FdbEntry {
        FdbEntry {
            target: self.target,
            flags: self.flags,
            seen: self.seen.load(Relaxed),
            reserved: 0,
        }
    }
}

fn count(
    all: &mut BTreeMap<u32, Counters>,
    index: u32,
    direction: Direction,
    packets: u32,
    bytes: u32,
) {
    let counters = all.entry(index).or_default();
    let (p, b) = match direction {
        Direction::Rx => (&mut counters.rx_packets, &mut counters.rx_bytes),
        Direction::Tx => (&mut counters.tx_packets, &mut counters.tx_bytes),
    };
    *p += u64::from(packets);
    *b += u64::from(bytes);
}

/// Counters hold no invariant that a panic in another thread could break.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The first `len` bytes of a packet of which nothing else is known, or all where there are
/// fewer.
pub fn bytes_of<P: Packet>(packet: &P, len: u32) -> Vec<u8> {
    (0..len as usize).map_while(|i| packet.at::<Octet>(i)).map(|byte| byte.0).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::Frame;
    use overlay_common::abi::{Egress, MAX_PEERS, MAX_PORTS};
    use overlay_common::id::{PeerId, PortId, SegmentId};
    use overlay_common::wire::Encap;

    const OPEN: PuntLimit = PuntLimit { per_second: 10, burst: 10 };

    fn punt(reason: PuntReason) -> Punt {
        Punt { reason: reason as u8, segment: 3, frame_len: 60, ..Punt::default() }
    }

    fn peer_over(egress: Egress) -> Peer {
        let mut peer = Peer::default();
        peer.egress = egress;
        peer
    }

    #[test]
    fn arrays_hold_zeroes_and_end() {
        let tables = TableSet::default();
        assert_eq!(tables.node(), Some(&Node::default()));
        assert_eq!(tables.port(MAX_PORTS - 1), Some(&Port::default()));
        assert_eq!(tables.port(MAX_PORTS), None);
        assert_eq!(tables.peer(MAX_PEERS - 1), Some(&Peer::default()));
        assert_eq!(tables.peer(MAX_PEERS), None);
        assert_eq!(tables.segment(u16::MAX), Some(&Segment::default()));
        assert_eq!(tables.access(&AccessKey::default()), None);
        assert_eq!(tables.fdb(&FdbKey::default()), None);
    }

    #[test]
    fn every_action_is_carried_out_and_undone() {
        let mut tables = TableSet::default();
        let egress = Egress { ifindex: 9, flags: 1 };
        let (port, peer) = (Port { egress, ..Port::default() }, peer_over(egress));
        let segment = Segment { vni: 7, ..Segment::default() };
        let access = (
            AccessKey { ifindex: 9, vlan: 1, reserved: 0 },
            Access { port: 1, ..Access::default() },
        );
        let vtep = (VtepKey([1; 4]), Vtep::new(1, Encap::Geneve, 2));
        let vtep6 = (Vtep6Key([1; 16]), Vtep::new(1, Encap::Vxlan, 2));
        let permit = (PermitKey { profile: 2, vni: 7 }, Permit { segment: 1, ..Permit::default() });
        let flood = (FloodKey { segment: 1, generation: 1, slot: 0 }, Target::peer(1));
        let entry = FdbEntry { target: Target::port(1), flags: 1, seen: 5, reserved: 0 };
        let fdb = (FdbKey { mac: [2; 6], segment: 1 }, entry);
        let neighbour = (
            NeighbourKey::v4([10, 0, 0, 5], 1).unwrap(),
            Neighbour::new(overlay_common::wire::Mac([2; 6])),
        );
        let node = Node { epoch: 3, ..Node::default() };
        for action in [
            Action::PutNode(node),
            Action::PutPort(PortId(1), port),
            Action::PutPeer(PeerId(1), peer),
            Action::PutSegment(SegmentId(1), segment),
            Action::PutAccess(access.0, access.1),
            Action::PutVtep(vtep.0, vtep.1),
            Action::PutVtep6(vtep6.0, vtep6.1),
            Action::PutPermit(permit.0, permit.1),
            Action::PutFlood(flood.0, flood.1),
            Action::PutFdb(fdb.0, fdb.1),
            Action::PutNeighbour(neighbour.0, neighbour.1),
        ] {
            tables.apply(&action);
        }
        assert_eq!(tables.node(), Some(&node));
        assert_eq!((tables.port(1), tables.peer(1)), (Some(&port), Some(&peer)));
        assert_eq!(tables.segment(1), Some(&segment));
        assert_eq!(tables.access(&access.0), Some(access.1));
        assert_eq!(tables.vtep(&vtep.0), Some(vtep.1));
        assert_eq!(tables.vtep6(&vtep6.0), Some(vtep6.1));
        assert_eq!(tables.permit(&permit.0), Some(permit.1));
        assert_eq!(tables.flood(&flood.0), Some(flood.1));
        assert_eq!(tables.fdb(&fdb.0), Some(fdb.1));
        assert_eq!(tables.neighbour(&neighbour.0), Some(neighbour.1));
        assert_eq!(tables.fdb_entries().collect::<Vec<_>>(), [fdb]);
        tables.count_port(1, Direction::Rx, 1, 1);
        tables.count_peer(1, Direction::Rx, 1, 1);
        for action in [
            Action::DelPort(PortId(1)),
            Action::DelPeer(PeerId(1)),
            Action::DelSegment(SegmentId(1)),
            Action::DelAccess(access.0),
            Action::DelVtep(vtep.0),
            Action::DelVtep6(vtep6.0),
            Action::DelPermit(permit.0),
            Action::DelFlood(flood.0),
            Action::DelFdb(fdb.0),
            Action::DelNeighbour(neighbour.0),
        ] {
            tables.apply(&action);
        }
        assert_eq!(
            (tables.port(1), tables.peer(1)),
            (Some(&Port::default()), Some(&Peer::default()))
        );
        assert_eq!(tables.segment(1), Some(&Segment::default()));
        assert_eq!((tables.access(&access.0), tables.vtep(&vtep.0)), (None, None));
        assert_eq!(tables.vtep6(&vtep6.0), None);
        assert_eq!((tables.permit(&permit.0), tables.flood(&flood.0)), (None, None));
        assert_eq!((tables.fdb(&fdb.0), tables.neighbour(&neighbour.0)), (None, None));
        let zero = Counters::default();
        assert_eq!((tables.port_counters(1), tables.peer_counters(1)), (zero, zero));
    }

    #[test]
    fn packets_and_drops_are_counted_where_they_were() {
        let tables = TableSet::new(Hook::Tc);
        tables.count_port(1, Direction::Rx, 2, 200);
        tables.count_port(1, Direction::Tx, 1, 50);
        tables.count_port(1, Direction::Tx, 1, 50);
        tables.count_port(MAX_PORTS, Direction::Tx, 1, 50);
        tables.count_peer(1, Direction::Tx, 3, 300);
        tables.count_peer(MAX_PEERS, Direction::Tx, 3, 300);
        let port = Counters { rx_packets: 2, rx_bytes: 200, tx_packets: 2, tx_bytes: 100 };
        assert_eq!(tables.port_counters(1), port);
        let peer = Counters { tx_packets: 3, tx_bytes: 300, ..Counters::default() };
        assert_eq!(tables.peer_counters(1), peer);
        assert_eq!(tables.port_counters(MAX_PORTS), Counters::default());
        tables.carry_port(1, port);
        tables.carry_peer(2, peer);
        assert_eq!(tables.port_counters(1), port + port);
        assert_eq!(tables.peer_counters(2), peer);
        assert_eq!(tables.peer_counters(MAX_PEERS), Counters::default());

        tables.count_drop(4, DropReason::TooBig, 2);
        tables.record_drop(4, DropReason::TooBig);
        let key = DropKey::new(4, DropReason::TooBig, Hook::Tc);
        assert_eq!(tables.drops(), BTreeMap::from([(key, 3)]));
    }

    #[test]
    fn an_entry_is_refreshed_behind_a_shared_reference() {
        let mut tables = TableSet::default();
        let key = FdbKey { mac: [2; 6], segment: 1 };
        tables.apply(&Action::PutFdb(key, FdbEntry::default()));
        tables.refresh(&key, 77);
        tables.refresh(&FdbKey::default(), 77);
        assert_eq!(tables.fdb(&key).unwrap().seen, 77);
        assert_eq!(tables.take_refreshed(), [(key, 77)]);
        assert_eq!(tables.take_refreshed(), []);
        assert_eq!(tables.fdb_entries().count(), 1);
    }

    #[test]
    fn punts_carry_as_much_of_the_frame_as_their_record_says() {
        let mut tables = TableSet::default();
        for reason in PuntReason::ALL {
            tables.apply(&Action::PutPuntLimit(reason, OPEN));
        }
        let mut frame = Frame::new(&[5; 60]);
        tables.punt(&mut frame, punt(PuntReason::Learn)).unwrap();
        for captured in [60, 40, 61] {
            let punt = Punt { captured, ..punt(PuntReason::PeerUnresolved) };
            tables.punt(&mut frame, punt).unwrap();
        }
        let punts = tables.take_punts();
        assert_eq!((punts[0].punt.captured, punts[0].frame.len()), (0, 0));
        for (punt, len) in punts[1..].iter().zip([60, 40, 60]) {
            assert_eq!((punt.punt.captured, punt.frame.len()), (len, len as usize));
        }
        assert!(tables.take_punts().is_empty());
    }

    #[test]
    fn punts_are_limited_and_never_pile_up() {
        let mut tables = TableSet::default();
        let mut frame = Frame::new(&[5; 60]);
        let mut send = |tables: &TableSet| tables.punt(&mut frame, punt(PuntReason::Learn));
        assert_eq!(send(&tables), Err(DropReason::PuntLimited), "nobody filled the table");
        for shut in [PuntLimit { per_second: 0, burst: 9 }, PuntLimit { per_second: 9, burst: 0 }] {
            tables.apply(&Action::PutPuntLimit(PuntReason::Learn, shut));
            assert_eq!(send(&tables), Err(DropReason::PuntLimited));
        }
        tables.apply(&Action::PutPuntLimit(PuntReason::Learn, OPEN));
        for _ in 0..PUNT_QUEUE {
            assert_eq!(send(&tables), Ok(()));
        }
        assert_eq!(send(&tables), Err(DropReason::PuntQueueFull));
        assert_eq!(tables.take_punts().len(), PUNT_QUEUE);
        assert_eq!(send(&tables), Ok(()));
    }

    #[test]
    fn tables_are_shared_between_threads() {
        fn shared<T: Send + Sync>() {}
        shared::<TableSet>();
    }
}

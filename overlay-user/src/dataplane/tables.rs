//! The kernel's tables: carrying out the controller's actions, and reading what
//! the programs wrote.

use std::collections::HashSet;
use std::path::Path;

use anyhow::{Context as _, Result, anyhow};
use aya::Ebpf;
use aya::maps::lpm_trie::{Key as Prefix, LpmTrie};
use aya::maps::{
    Array, DevMapHash, HashMap, Map, MapData, MapError, PerCpuArray, PerCpuHashMap, PerCpuValues,
};
use aya::util::nr_cpus;
use overlay_common::abi::{
    Access, AccessKey, Bound, Carried, CarriedKey, Counters, DropKey, FdbEntry, FdbKey, Filter,
    FilterKey, FirstGuard, FloodKey, GuardKey, MAX_PEERS, MAX_PORTS, Masks, Neighbour,
    NeighbourKey, Node, Peer, Permit, PermitKey, Policer, PolicerKey, Port, PuntLimit, Record,
    Route, RouteKey, Router, RuleCount, Segment, Target, Vtep, Vtep6Key, VtepKey, Way, maps,
};
use overlay_common::hash::{Full, Key, MIN_BUCKETS, Value};
use overlay_common::word::Word;
use overlay_control::action::Action;

use super::carried::Book;
use super::counts::Counts;
use super::shared::{self, Late, Shared, SharedTable};
use super::wire::Wire;

type Hash<K, V> = HashMap<MapData, Wire<K>, Wire<V>>;
type Slots<V> = Array<MapData, Wire<V>>;

/// The maps of one loaded object.
pub struct KernelTables {
    node: NodeSlot,
    access: SharedTable<AccessKey, Access>,
    ports: Slots<Port>,
    segments: Slots<Segment>,
    peers: Slots<Peer>,
    ways: Slots<Way>,
    vteps: SharedTable<VtepKey, Vtep>,
    vteps6: Hash<Vtep6Key, Vtep>,
    permits: SharedTable<PermitKey, Permit>,
    fdb: SharedTable<FdbKey, FdbEntry>,
    flood: Hash<FloodKey, Target>,
    policers: Hash<PolicerKey, Policer>,
    neighbours: Hash<NeighbourKey, Neighbour>,
    filters: Shared<Word>,
    filter_nodes: Late<[Word; 4]>,
    rules: PerCpuArray<MapData, Wire<RuleCount>>,
    /// What former rules have left to these.
    carried: std::collections::HashMap<u32, RuleCount>,
    guards: Hash<GuardKey, Bound>,
    first_guards: Shared<FirstGuard>,
    routers: Slots<Router>,
    routes: LpmTrie<MapData, Wire<Asked>, Wire<Route>>,
    punt_limits: Slots<PuntLimit>,
    devices: DevMapHash<MapData>,
    redirected: HashSet<u32>,
    drops: PerCpuHashMap<MapData, Wire<DropKey>, u64>,
    port_counters: Counts,
    peer_counters: Counts,
    book: Book,
}

/// The maps that a later process, or another program, may want to read, and that programs which
/// are watched have in common with those that are not.
pub const PINNED: &[&str] = &[
    maps::NODE,
    maps::ACCESS,
    maps::PORTS,
    maps::SEGMENTS,
    maps::PEERS,
    maps::WAYS,
    maps::VTEPS,
    maps::VTEPS6,
    maps::PERMITS,
    maps::FDB,
    maps::FLOOD,
    maps::POLICERS,
    maps::NEIGHBOURS,
    maps::FILTERS,
    maps::FILTER_NODES,
    maps::RULES,
    maps::GUARDS,
    maps::FIRST_GUARDS,
    maps::ROUTERS,
    maps::ROUTES,
    maps::TC_SIDES,
    maps::XDP_SIDES,
    maps::XDP_SIDES_ONE,
    maps::DEVICES,
    maps::DROPS,
    maps::PORT_COUNTERS,
    maps::PEER_COUNTERS,
    maps::CARRIED,
    maps::PUNTS,
    maps::PUNT_LIMITS,
    maps::PUNT_BUCKETS,
    maps::PTB_BUCKETS,
    maps::XSK_SLOTS,
    maps::XSKS,
];

impl KernelTables {
    /// Takes the maps out of a loaded object with this seed.
    pub fn take(ebpf: &mut Ebpf, seed: u64) -> Result<Self> {
        Ok(Self {
            node: NodeSlot::new(take(ebpf, maps::NODE)?)?,
            access: shared::take(ebpf, maps::ACCESS, seed)?,
            ports: take(ebpf, maps::PORTS)?,
            segments: take(ebpf, maps::SEGMENTS)?,
            peers: take(ebpf, maps::PEERS)?,
            ways: take(ebpf, maps::WAYS)?,
            vteps: shared::take(ebpf, maps::VTEPS, seed)?,
            vteps6: take(ebpf, maps::VTEPS6)?,
            permits: shared::take(ebpf, maps::PERMITS, seed)?,
            fdb: shared::take(ebpf, maps::FDB, seed)?,
            flood: take(ebpf, maps::FLOOD)?,
            policers: take(ebpf, maps::POLICERS)?,
            neighbours: take(ebpf, maps::NEIGHBOURS)?,
            filters: Shared::take(ebpf, maps::FILTERS)?,
            filter_nodes: Late::take(ebpf, maps::FILTER_NODES)?,
            rules: take(ebpf, maps::RULES)?,
            carried: std::collections::HashMap::new(),
            guards: take(ebpf, maps::GUARDS)?,
            first_guards: Shared::take(ebpf, maps::FIRST_GUARDS)?,
            routers: take(ebpf, maps::ROUTERS)?,
            routes: take(ebpf, maps::ROUTES)?,
            punt_limits: take(ebpf, maps::PUNT_LIMITS)?,
            devices: take(ebpf, maps::DEVICES)?,
            redirected: HashSet::new(),
            drops: take(ebpf, maps::DROPS)?,
            port_counters: Counts::take(ebpf, maps::PORT_COUNTERS, MAX_PORTS)?,
            peer_counters: Counts::take(ebpf, maps::PEER_COUNTERS, MAX_PEERS)?,
            book: Book::take(ebpf)?,
        })
    }

    /// Pins the maps of an object from which they were not taken yet.
    pub fn pin(ebpf: &Ebpf, directory: &Path) -> Result<()> {
        for name in PINNED {
            let map =
                ebpf.map(name).with_context(|| format!("the BPF object has no map {name}"))?;
            let path = directory.join(name);
            // A stand-in is pinned already.
            if path.exists() {
                continue;
            }
            map.pin(&path).with_context(|| format!("cannot pin {}", path.display()))?;
        }
        Ok(())
    }

    /// Carries out one change.
    ///
    /// # Errors
    ///
    /// The kernel refuses it; names the table and the entry.
    pub fn apply(&mut self, action: &Action) -> Result<()> {
        self.change(action).with_context(|| format!("{}: {action:?}", table_of(action)))
    }

    fn change(&mut self, action: &Action) -> Result<()> {
        match *action {
            Action::PutNode(node) => self.node.put(node)?,
            Action::PutAccess(key, access) => {
                put(&mut self.access, &mut self.node, |m| &mut m.access, (key, access))?
            }
            Action::DelAccess(key) => {
                self.access.remove(key);
            }
            Action::PutPort(id, port) => self.ports.set(id.0, Wire(port), 0)?,
            Action::DelPort(id) => {
                self.ports.set(id.0, Wire(Port::default()), 0)?;
                self.port_counters.begin_again(id.0);
            }
            Action::PutSegment(id, segment) => {
                self.segments.set(u32::from(id.0), Wire(segment), 0)?;
            }
            Action::DelSegment(id) => {
                self.segments.set(u32::from(id.0), Wire(Segment::default()), 0)?;
            }
            Action::PutPeer(id, peer) => self.peers.set(id.0, Wire(peer), 0)?,
            Action::PutWay(index, way) => self.ways.set(index, Wire(way), 0)?,
            Action::DelPeer(id) => {
                self.peers.set(id.0, Wire(Peer::default()), 0)?;
                self.peer_counters.begin_again(id.0);
            }
            Action::PutVtep(key, vtep) => {
                put(&mut self.vteps, &mut self.node, |m| &mut m.vteps, (key, vtep))?
            }
            Action::DelVtep(key) => {
                self.vteps.remove(key);
            }
            Action::PutVtep6(key, vtep) => self.vteps6.insert(Wire(key), Wire(vtep), 0)?,
            Action::DelVtep6(key) => remove(&mut self.vteps6, key)?,
            Action::PutPermit(key, permit) => {
                put(&mut self.permits, &mut self.node, |m| &mut m.permits, (key, permit))?
            }
            Action::DelPermit(key) => {
                self.permits.remove(key);
            }
            Action::PutFlood(key, target) => self.flood.insert(Wire(key), Wire(target), 0)?,
            Action::DelFlood(key) => remove(&mut self.flood, key)?,
            Action::PutFdb(key, entry) => {
                put(&mut self.fdb, &mut self.node, |m| &mut m.fdb, (key, entry))?
            }
            Action::DelFdb(key) => {
                self.fdb.remove(key);
            }
            Action::PutPolicer(key, policer) => {
                self.policers.insert(Wire(key), Wire(policer), 0)?;
            }
            Action::DelPolicer(key) => remove(&mut self.policers, key)?,
            Action::PutNeighbour(key, neighbour) => {
                self.neighbours.insert(Wire(key), Wire(neighbour), 0)?;
            }
            Action::DelNeighbour(key) => remove(&mut self.neighbours, key)?,
            Action::PutFilterNode(index, node) => {
                let place = self.filter_nodes.entries()?.get(index as usize);
                let place = place.with_context(|| format!("{index} is beyond the table"))?;
                place.iter().zip(node.to_words()).for_each(|(word, new)| word.set(new));
            }
            Action::PutFilter(key, filter) => self.filter(key).set(filter.to_word()),
            Action::DelFilter(key) => self.filter(key).set(Filter::NONE.to_word()),
            Action::CarryRule { from, to } => {
                let carried = self.rule_count(from);
                self.carried.entry(to).or_default().add(carried);
            }
            Action::DelRule(index) => {
                self.carried.remove(&index);
                let cpus = nr_cpus().map_err(|(what, error)| anyhow!("{what}: {error}"))?;
                let zeroes = vec![Wire(RuleCount::default()); cpus];
                self.rules.set(index, PerCpuValues::try_from(zeroes)?, 0)?;
            }
            Action::PutGuard(key) => {
                self.guards.insert(Wire(key), Wire(Bound(1)), 0)?;
                self.first_guard(key).put(&key);
            }
            Action::DelGuard(key) => {
                self.first_guard(key).remove(&key);
                remove(&mut self.guards, key)?;
            }
            Action::PutRouter(id, router) => {
                self.routers.set(u32::from(id.0), Wire(router), 0)?;
            }
            Action::DelRouter(id) => {
                self.routers.set(u32::from(id.0), Wire(Router::default()), 0)?;
            }
            Action::PutRoute(key, route) => self.routes.insert(&asked(key), Wire(route), 0)?,
            Action::DelRoute(key) => gone(self.routes.remove(&asked(key)))?,
            Action::PutPuntLimit(reason, limit) => {
                self.punt_limits.set(reason as u32, Wire(limit), 0)?;
            }
        }
        Ok(())
    }

    /// Where a list begins; of each segment there is one.
    fn filter(&self, key: FilterKey) -> &Word {
        &self.filters.as_ref()[key.index() as usize]
    }

    /// Of the port that a station is behind.
    fn first_guard(&self, key: GuardKey) -> &FirstGuard {
        &self.first_guards.as_ref()[usize::from(key.port)]
    }

    /// Makes room for `more` addresses at once, where there is any.
    pub fn reserve_fdb(&mut self, more: usize) -> Result<()> {
        let entries = self.fdb.len() + more;
        reserve(&mut self.fdb, &mut self.node, |masks| &mut masks.fdb, entries)
    }

    /// Takes note of when user space has seen addresses, as the programs do of theirs.
    pub fn refresh_fdb(&mut self, seen: impl IntoIterator<Item = (FdbKey, u32)>) {
        for (key, epoch) in seen {
            let Some(entry) = self.fdb.get(key) else { continue };
            // A program may have seen it since.
            if epoch.wrapping_sub(entry.seen).cast_signed() > 0 {
                // An entry that is there needs no room.
                let _ = self.fdb.insert(key, FdbEntry { seen: epoch, ..entry });
            }
        }
    }

    /// Every FDB entry as the programs see it now.
    pub fn fdb(&self) -> impl Iterator<Item = (FdbKey, FdbEntry)> + Clone + '_ {
        self.fdb.iter()
    }

    /// Lets XDP redirect to a device, or no longer.
    pub fn set_redirected(&mut self, ifindex: u32, on: bool) -> Result<()> {
        if on && !self.redirected.contains(&ifindex) {
            self.devices
                .insert(ifindex, ifindex, None, 0)
                .context("cannot add a device to the map DEVICES")?;
            self.redirected.insert(ifindex);
        } else if !on && self.redirected.remove(&ifindex) {
            // The kernel removes a device that is gone by itself.
            let _ = self.devices.remove(ifindex);
        }
        Ok(())
    }

    /// Limits, and how far the programs have used them up.
    pub fn policer(&self, key: PolicerKey) -> Option<Policer> {
        self.policers.get(&Wire(key), 0).ok().map(|Wire(policer)| policer)
    }

    /// What a rule has held, over all CPUs.
    pub fn rule_count(&self, index: u32) -> RuleCount {
        let mut sum = self.carried.get(&index).copied().unwrap_or_default();
        if let Ok(values) = self.rules.get(&index, 0) {
            values.iter().for_each(|Wire(count)| sum.add(*count));
        }
        sum
    }

    /// A port's counters, over all CPUs.
    pub fn port_counters(&self, index: u32) -> Counters {
        self.port_counters.get(index)
    }

    /// A peer's counters, over all CPUs.
    pub fn peer_counters(&self, index: u32) -> Counters {
        self.peer_counters.get(index)
    }

    /// What a port's index had come to before it was that port's, which its counters leave out.
    pub fn former_port(&self, index: u32) -> Counters {
        self.port_counters.former(index)
    }

    /// The same of a peer's index.
    pub fn former_peer(&self, index: u32) -> Counters {
        self.peer_counters.former(index)
    }

    /// What former rules have left to a rule, which its count includes.
    pub fn former_rules(&self, index: u32) -> RuleCount {
        self.carried.get(&index).copied().unwrap_or_default()
    }

    /// Says for a later process whether all of what was counted before is in what
    /// [`keep_counters`](Self::keep_counters) kept.
    pub fn put_head(&mut self, is_whole: bool) -> Result<()> {
        self.book.put_head(is_whole).context("cannot write into the map CARRIED")
    }

    /// Keeps what user space counts for a later process: these entries, and the others as they are,
    /// or none where these are all. Returns how many found no room.
    pub fn keep_counters(&mut self, entries: Vec<(CarriedKey, Carried)>, are_all: bool) -> usize {
        if are_all { self.book.keep(entries) } else { self.book.put(entries) }
    }

    /// The drop counters, over all CPUs.
    pub fn drops(&self) -> Vec<(DropKey, u64)> {
        let sum = |entry: Result<(Wire<DropKey>, PerCpuValues<u64>), MapError>| {
            let (key, values) = entry.ok()?;
            Some((key.0, values.iter().sum()))
        };
        self.drops.iter().filter_map(sum).collect()
    }

    /// Takes the drop counter of a device that is gone away, and returns what it had come to.
    pub fn take_drop(&mut self, key: DropKey) -> u64 {
        let Ok(values) = self.drops.get(&Wire(key), 0) else { return 0 };
        if self.drops.remove(&Wire(key)).is_err() {
            return 0;
        }
        values.iter().sum()
    }
}

pub(super) fn take<T>(ebpf: &mut Ebpf, name: &str) -> Result<T>
where
    T: TryFrom<Map, Error = MapError>,
{
    let map = ebpf.take_map(name).with_context(|| format!("the BPF object has no map {name}"))?;
    T::try_from(map).with_context(|| format!("the map {name} is of another type"))
}

/// The map of one entry that says how large the tables are, and what is in it.
struct NodeSlot {
    map: Slots<Node>,
    node: Node,
}

impl NodeSlot {
    /// For tables of the smallest size.
    fn new(map: Slots<Node>) -> Result<Self> {
        let mask = MIN_BUCKETS - 1;
        let masks = Masks { access: mask, vteps: mask, permits: mask, fdb: mask };
        let mut slot = Self { map, node: Node { masks, ..Node::default() } };
        slot.put(slot.node)?;
        Ok(slot)
    }

    /// Changes everything but the tables' sizes.
    fn put(&mut self, node: Node) -> Result<()> {
        self.write(Node { masks: self.node.masks, ..node })
    }

    /// Changes a table's size, and waits until no program uses the old one.
    fn resize(&mut self, mask_of: fn(&mut Masks) -> &mut u32, mask: u32) -> Result<()> {
        let mut node = self.node;
        *mask_of(&mut node.masks) = mask;
        self.write(node)?;
        shared::wait_for_programs();
        Ok(())
    }

    fn write(&mut self, node: Node) -> Result<()> {
        self.map.set(0, Wire(node), 0).context("cannot write the map NODE")?;
        self.node = node;
        Ok(())
    }
}

/// The name of the table that is changed.
const fn table_of(action: &Action) -> &'static str {
    use Action as A;
    match action {
        A::PutNode(_) => maps::NODE,
        A::PutAccess(..) | A::DelAccess(_) => maps::ACCESS,
        A::PutPort(..) | A::DelPort(_) => maps::PORTS,
        A::PutSegment(..) | A::DelSegment(_) => maps::SEGMENTS,
        A::PutPeer(..) | A::DelPeer(_) => maps::PEERS,
        A::PutWay(..) => maps::WAYS,
        A::PutVtep(..) | A::DelVtep(_) => maps::VTEPS,
        A::PutVtep6(..) | A::DelVtep6(_) => maps::VTEPS6,
        A::PutPermit(..) | A::DelPermit(_) => maps::PERMITS,
        A::PutFlood(..) | A::DelFlood(_) => maps::FLOOD,
        A::PutFdb(..) | A::DelFdb(_) => maps::FDB,
        A::PutPolicer(..) | A::DelPolicer(_) => maps::POLICERS,
        A::PutNeighbour(..) | A::DelNeighbour(_) => maps::NEIGHBOURS,
        A::PutFilterNode(..) => maps::FILTER_NODES,
        A::PutFilter(..) | A::DelFilter(_) => maps::FILTERS,
        A::CarryRule { .. } | A::DelRule(_) => maps::RULES,
        A::PutGuard(_) | A::DelGuard(_) => maps::GUARDS,
        A::PutRouter(..) | A::DelRouter(_) => maps::ROUTERS,
        A::PutRoute(..) | A::DelRoute(_) => maps::ROUTES,
        A::PutPuntLimit(..) => maps::PUNT_LIMITS,
    }
}

/// Puts an entry into a table, which grows where it is crowded.
fn put<K: Key, V: Value>(
    table: &mut SharedTable<K, V>,
    node: &mut NodeSlot,
    mask_of: fn(&mut Masks) -> &mut u32,
    (key, value): (K, V),
) -> Result<()> {
    reserve(table, node, mask_of, table.len() + 1)?;
    while let Err(Full) = table.insert(key, value) {
        let mask = table.larger().ok_or_else(|| anyhow!("the table is full"))?;
        table.grow(mask, |grown| node.resize(mask_of, grown.mask()))?;
    }
    Ok(())
}

/// Gives a table as many buckets as so many entries should have.
fn reserve<K: Key, V: Value>(
    table: &mut SharedTable<K, V>,
    node: &mut NodeSlot,
    mask_of: fn(&mut Masks) -> &mut u32,
    entries: usize,
) -> Result<()> {
    match table.wants(entries) {
        Some(mask) => table.grow(mask, |grown| node.resize(mask_of, grown.mask())),
        None => Ok(()),
    }
}

/// A [`RouteKey`] without its length, which aya puts in front.
#[derive(Clone, Copy)]
#[repr(C, packed(4))]
struct Asked {
    table: u32,
    address: [u64; 2],
}
// SAFETY: `repr(C)`, made of integers, 20 bytes without padding.
unsafe impl Record for Asked {}
const _: () = assert!(size_of::<Asked>() + size_of::<u32>() == size_of::<RouteKey>());

fn asked(RouteKey { bits, table, address }: RouteKey) -> Prefix<Wire<Asked>> {
    Prefix::new(bits, Wire(Asked { table, address }))
}

fn remove<K: Record, V: Record>(map: &mut Hash<K, V>, key: K) -> Result<()> {
    gone(map.remove(&Wire(key)))
}

/// What was not there needs no removal.
fn gone(removed: Result<(), MapError>) -> Result<()> {
    match removed {
        Err(MapError::SyscallError(error))
            if error.io_error.raw_os_error() == Some(libc::ENOENT) =>
        {
            Ok(())
        }
        Err(MapError::KeyNotFound) => Ok(()),
        result => Ok(result?),
    }
}

//! The kernel's tables: carrying out the controller's actions, and reading what
//! the programs wrote.

use std::collections::HashSet;
use std::path::Path;

use anyhow::{Context as _, Result, anyhow};
use aya::Ebpf;
use aya::maps::{
    Array, DevMapHash, HashMap, Map, MapData, MapError, PerCpuArray, PerCpuHashMap, PerCpuValues,
};
use overlay_common::abi::{
    ACCESS_BITS, Access, AccessKey, Counters, DropKey, FdbEntry, FdbKey, FloodKey, Node,
    PERMIT_BITS, Peer, Permit, PermitKey, Port, PuntLimit, Record, Segment, Target, VTEP_BITS,
    Vtep, VtepKey, maps,
};
use overlay_common::hash::{Full, Key, Value};
use overlay_control::action::Action;

use super::shared::{self, SharedTable};
use super::wire::Wire;

type Hash<K, V> = HashMap<MapData, Wire<K>, Wire<V>>;
type Slots<V> = Array<MapData, Wire<V>>;

/// The maps of one loaded object.
pub struct KernelTables {
    node: Slots<Node>,
    access: SharedTable<AccessKey, Access>,
    ports: Slots<Port>,
    segments: Slots<Segment>,
    peers: Slots<Peer>,
    vteps: SharedTable<VtepKey, Vtep>,
    permits: SharedTable<PermitKey, Permit>,
    fdb: SharedTable<FdbKey, FdbEntry>,
    flood: Hash<FloodKey, Target>,
    punt_limits: Slots<PuntLimit>,
    devices: DevMapHash<MapData>,
    redirected: HashSet<u32>,
    drops: PerCpuHashMap<MapData, Wire<DropKey>, u64>,
    port_counters: PerCpuArray<MapData, Wire<Counters>>,
    peer_counters: PerCpuArray<MapData, Wire<Counters>>,
}

/// The maps that a later process, or another program, may want to read.
const PINNED: &[&str] = &[
    maps::NODE,
    maps::ACCESS,
    maps::PORTS,
    maps::SEGMENTS,
    maps::PEERS,
    maps::VTEPS,
    maps::PERMITS,
    maps::FDB,
    maps::FLOOD,
    maps::DEVICES,
    maps::DROPS,
    maps::PORT_COUNTERS,
    maps::PEER_COUNTERS,
    maps::PUNT_LIMITS,
];

impl KernelTables {
    /// Takes the maps out of a loaded object, whose constants are `seed` and
    /// `fdb_bits`.
    pub fn take(ebpf: &mut Ebpf, seed: u64, fdb_bits: u32) -> Result<Self> {
        Ok(Self {
            node: take(ebpf, maps::NODE)?,
            access: shared::take(ebpf, maps::ACCESS, seed, ACCESS_BITS)?,
            ports: take(ebpf, maps::PORTS)?,
            segments: take(ebpf, maps::SEGMENTS)?,
            peers: take(ebpf, maps::PEERS)?,
            vteps: shared::take(ebpf, maps::VTEPS, seed, VTEP_BITS)?,
            permits: shared::take(ebpf, maps::PERMITS, seed, PERMIT_BITS)?,
            fdb: shared::take(ebpf, maps::FDB, seed, fdb_bits)?,
            flood: take(ebpf, maps::FLOOD)?,
            punt_limits: take(ebpf, maps::PUNT_LIMITS)?,
            devices: take(ebpf, maps::DEVICES)?,
            redirected: HashSet::new(),
            drops: take(ebpf, maps::DROPS)?,
            port_counters: take(ebpf, maps::PORT_COUNTERS)?,
            peer_counters: take(ebpf, maps::PEER_COUNTERS)?,
        })
    }

    /// Pins the maps of an object from which they were not taken yet.
    pub fn pin(ebpf: &Ebpf, directory: &Path) -> Result<()> {
        for name in PINNED {
            let map =
                ebpf.map(name).with_context(|| format!("the BPF object has no map {name}"))?;
            let path = directory.join(name);
            map.pin(&path).with_context(|| format!("cannot pin {}", path.display()))?;
        }
        Ok(())
    }

    /// Carries out one change.
    pub fn apply(&mut self, action: &Action) -> Result<()> {
        self.change(action).with_context(|| format!("the kernel refused {action:?}"))
    }

    fn change(&mut self, action: &Action) -> Result<()> {
        match *action {
            Action::PutNode(node) => self.node.set(0, Wire(node), 0)?,
            Action::PutAccess(key, access) => put(&mut self.access, key, access)?,
            Action::DelAccess(key) => {
                self.access.remove(key);
            }
            Action::PutPort(id, port) => self.ports.set(id.0, Wire(port), 0)?,
            Action::DelPort(id) => {
                self.ports.set(id.0, Wire(Port::default()), 0)?;
                zero(&mut self.port_counters, id.0)?;
            }
            Action::PutSegment(id, segment) => {
                self.segments.set(u32::from(id.0), Wire(segment), 0)?;
            }
            Action::DelSegment(id) => {
                self.segments.set(u32::from(id.0), Wire(Segment::default()), 0)?;
            }
            Action::PutPeer(id, peer) => self.peers.set(id.0, Wire(peer), 0)?,
            Action::DelPeer(id) => {
                self.peers.set(id.0, Wire(Peer::default()), 0)?;
                zero(&mut self.peer_counters, id.0)?;
            }
            Action::PutVtep(key, vtep) => put(&mut self.vteps, key, vtep)?,
            Action::DelVtep(key) => {
                self.vteps.remove(key);
            }
            Action::PutPermit(key, permit) => put(&mut self.permits, key, permit)?,
            Action::DelPermit(key) => {
                self.permits.remove(key);
            }
            Action::PutFlood(key, target) => self.flood.insert(Wire(key), Wire(target), 0)?,
            Action::DelFlood(key) => remove(&mut self.flood, key)?,
            Action::PutFdb(key, entry) => put(&mut self.fdb, key, entry)?,
            Action::DelFdb(key) => {
                self.fdb.remove(key);
            }
            Action::PutPuntLimit(reason, limit) => {
                self.punt_limits.set(reason as u32, Wire(limit), 0)?;
            }
        }
        Ok(())
    }

    /// Every FDB entry as the programs see it now.
    pub fn scan_fdb(&self) -> Result<Vec<(FdbKey, FdbEntry)>> {
        Ok(self.fdb.iter().collect())
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

    /// A port's counters, over all CPUs.
    pub fn port_counters(&self, index: u32) -> Counters {
        sum(self.port_counters.get(&index, 0))
    }

    /// A peer's counters, over all CPUs.
    pub fn peer_counters(&self, index: u32) -> Counters {
        sum(self.peer_counters.get(&index, 0))
    }

    /// The drop counters, over all CPUs.
    pub fn drops(&self) -> Vec<(DropKey, u64)> {
        let sum = |entry: Result<(Wire<DropKey>, PerCpuValues<u64>), MapError>| {
            let (key, values) = entry.ok()?;
            Some((key.0, values.iter().sum()))
        };
        self.drops.iter().filter_map(sum).collect()
    }
}

fn take<T>(ebpf: &mut Ebpf, name: &str) -> Result<T>
where
    T: TryFrom<Map, Error = MapError>,
{
    let map = ebpf.take_map(name).with_context(|| format!("the BPF object has no map {name}"))?;
    T::try_from(map).with_context(|| format!("the map {name} is of another type"))
}

fn put<K: Key, V: Value>(table: &mut SharedTable<K, V>, key: K, value: V) -> Result<()> {
    table
        .insert(key, value)
        .map_err(|Full| anyhow!("the table is full, with {} entries", table.len()))
}

fn remove<K: Record, V: Record>(map: &mut Hash<K, V>, key: K) -> Result<()> {
    match map.remove(&Wire(key)) {
        Err(MapError::SyscallError(error))
            if error.io_error.raw_os_error() == Some(libc::ENOENT) =>
        {
            Ok(())
        }
        Err(MapError::KeyNotFound) => Ok(()),
        result => Ok(result?),
    }
}

fn zero(counters: &mut PerCpuArray<MapData, Wire<Counters>>, index: u32) -> Result<()> {
    let cpus = aya::util::nr_cpus().map_err(|(_, error)| error)?;
    let zeroes = PerCpuValues::try_from(vec![Wire(Counters::default()); cpus])?;
    Ok(counters.set(index, zeroes, 0)?)
}

fn sum(values: Result<PerCpuValues<Wire<Counters>>, MapError>) -> Counters {
    let mut total = Counters::default();
    for Wire(cpu) in values.iter().flat_map(|values| values.iter()) {
        total.rx_packets += cpu.rx_packets;
        total.rx_bytes += cpu.rx_bytes;
        total.tx_packets += cpu.tx_packets;
        total.tx_bytes += cpu.tx_bytes;
    }
    total
}

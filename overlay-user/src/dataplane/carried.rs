//! What a former process's programs have counted, by what it is of, and what a successor needs to
//! go on from there: the map `CARRIED`.

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, Ipv6Addr};
use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use aya::Ebpf;
use aya::maps::{MapData, PerCpuArray, PerCpuHashMap};
use overlay_common::abi::{
    Carried, CarriedKey, Counters, DropKey, MAX_CARRIED, MAX_PEERS, MAX_PORTS, RuleCount, maps,
};

use super::counts::Counts;
use super::former;
use super::tables;
use super::wire::Wire;

type Entries = aya::maps::HashMap<MapData, Wire<CarriedKey>, Wire<Carried>>;

/// What a counter is of, whatever its index.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Counted {
    /// A port.
    Port {
        /// Its device.
        interface: String,
        /// The VNI of its segment; 0 on an uplink.
        vni: u32,
        /// Its VLAN, as a word.
        vlan: u16,
    },
    /// A peer, by its VTEP.
    Peer(IpAddr),
    /// A rule of an access list, by a digest of what it says, and where.
    Rule([u8; 16]),
    /// The ports of a segment that are gone.
    Segment(u32),
    /// Peers that are gone, and had no time series of their own.
    OtherPeers,
    /// Packets that were dropped.
    Drop(DropKey),
}

impl Counted {
    /// Its entry, without counters; `index` is that of a port, peer or rule.
    pub fn entry(&self, index: u32) -> (CarriedKey, Carried) {
        let nobody = Carried::default();
        match self {
            Self::Port { interface, vni, vlan } => {
                let entry = Carried { name: padded(interface), vni: *vni, vlan: *vlan, ..nobody };
                (CarriedKey::new(CarriedKey::PORT, index), entry)
            }
            Self::Peer(vtep) => {
                let v6 = match vtep {
                    IpAddr::V4(v4) => v4.to_ipv6_mapped(),
                    IpAddr::V6(v6) => *v6,
                };
                let entry = Carried { name: v6.octets(), ..nobody };
                (CarriedKey::new(CarriedKey::PEER, index), entry)
            }
            Self::Rule(name) => {
                (CarriedKey::new(CarriedKey::RULE, index), Carried { name: *name, ..nobody })
            }
            Self::Segment(vni) => (CarriedKey::new(CarriedKey::SEGMENT, *vni), nobody),
            Self::OtherPeers => (CarriedKey::new(CarriedKey::OTHER_PEERS, 0), nobody),
            Self::Drop(key) => (CarriedKey::of_drop(*key), nobody),
        }
    }

    /// What an entry is about; `None`: no counter.
    pub fn of(key: CarriedKey, entry: &Carried) -> Option<Self> {
        Some(match key.kind {
            CarriedKey::PORT => {
                let interface = text(&entry.name);
                Self::Port { interface, vni: entry.vni, vlan: entry.vlan }
            }
            CarriedKey::PEER => Self::Peer(Ipv6Addr::from(entry.name).to_canonical()),
            CarriedKey::RULE => Self::Rule(entry.name),
            CarriedKey::SEGMENT => Self::Segment(key.number),
            CarriedKey::OTHER_PEERS => Self::OtherPeers,
            CarriedKey::DROP => Self::Drop(key.as_drop()),
            _ => return None,
        })
    }
}

/// The entry that says a device's name.
pub fn device(ifindex: u32, name: &str) -> (CarriedKey, Carried) {
    let key = CarriedKey::new(CarriedKey::DEVICE, ifindex);
    (key, Carried { name: padded(name), ..Carried::default() })
}

/// No device has a longer name.
fn padded(name: &str) -> [u8; 16] {
    let mut padded = [0; 16];
    padded.iter_mut().zip(name.bytes()).for_each(|(to, from)| *to = from);
    padded
}

fn text(name: &[u8; 16]) -> String {
    let bytes: Vec<u8> = name.iter().copied().take_while(|byte| *byte != 0).collect();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// What was counted before this process.
#[derive(Debug, Default)]
pub struct Former {
    /// All counters that there were.
    pub counters: HashMap<Counted, Counters>,
    /// The names of devices.
    pub devices: HashMap<u32, String>,
    /// Peers that were counted among others.
    pub hidden: HashSet<IpAddr>,
}

/// The counters of one start's tables: what they go on with and what the programs have counted.
#[derive(Debug)]
struct Set {
    /// Whether what former tables held is in it.
    is_whole: bool,
    entries: Vec<(CarriedKey, Carried)>,
}

impl Former {
    /// Takes out what a counter has to go on from, which has this entry now.
    pub fn take(&mut self, key: CarriedKey, entry: &Carried) -> Option<Counters> {
        self.counters.remove(&Counted::of(key, entry)?)
    }

    /// Adds up what tables hold, each by what it is of, the newest first, up to those that have
    /// taken in what was before them.
    fn of(sets: impl Iterator<Item = Set>) -> Self {
        let mut all = Self::default();
        for set in sets {
            for (key, entry) in set.entries {
                if key.kind == CarriedKey::DEVICE {
                    all.devices.entry(key.number).or_insert_with(|| text(&entry.name));
                } else if let Some(counted) = Counted::of(key, &entry) {
                    if let Counted::Peer(vtep) = counted
                        && entry.hidden != 0
                    {
                        all.hidden.insert(vtep);
                    }
                    let sum = all.counters.entry(counted).or_default();
                    *sum = sum.wrapping_add(entry.counters());
                }
            }
            if set.is_whole {
                break;
            }
        }
        all
    }
}

/// What the maps in these directories hold, in none of which anything is counted any more. Where one
/// cannot be read, that is said, and it and those before it are left out.
pub fn former(directories: &[PathBuf]) -> Former {
    // Later maps have larger numbers.
    let mut by_age: Vec<_> = directories
        .iter()
        .filter_map(|directory| Some((former::number(directory).ok()?, directory)))
        .collect();
    by_age.sort_unstable_by(|a, b| b.cmp(a));
    let read = |(_, directory): (u32, &PathBuf)| match set(directory) {
        Ok(set) => Some(set),
        Err(error) => {
            tracing::info!(
                "what was counted before is left out: {}: {error:#}",
                directory.display()
            );
            None
        }
    };
    Former::of(by_age.into_iter().map_while(read))
}

fn set(directory: &Path) -> Result<Set> {
    let carried = Entries::try_from(former::open(directory, maps::CARRIED)?)?;
    let head = carried.get(&Wire(CarriedKey::new(CarriedKey::HEAD, 0)), 0);
    let is_whole = is_whole(&head.map(|Wire(head)| head).unwrap_or_default())?;
    let ports = Counts::open(&directory.join(maps::PORT_COUNTERS), MAX_PORTS)?;
    let peers = Counts::open(&directory.join(maps::PEER_COUNTERS), MAX_PEERS)?;
    let rules: PerCpuArray<_, Wire<RuleCount>> =
        PerCpuArray::try_from(former::open(directory, maps::RULES)?)?;
    let mut drops = drops(directory)?;
    let mut entries = Vec::new();
    for entry in carried.iter().take(MAX_CARRIED as usize) {
        let (Wire(key), Wire(carried)) = entry?;
        let counted = match key.kind {
            CarriedKey::PORT => ports.get(key.number),
            CarriedKey::PEER => peers.get(key.number),
            CarriedKey::RULE => of_rule(&rules, key.number),
            CarriedKey::DROP => packets(drops.remove(&key.as_drop()).unwrap_or_default()),
            _ => Counters::default(),
        };
        // Whoever was killed while it took in what was before it has taken in nothing.
        let before = if is_whole { carried.counters() } else { Counters::default() };
        entries.push((key, carried.with(before.wrapping_add(counted))));
    }
    for (key, dropped) in drops {
        entries.push((CarriedKey::of_drop(key), Carried::default().with(packets(dropped))));
    }
    Ok(Set { is_whole, entries })
}

/// What the head of the entries says.
fn is_whole(head: &Carried) -> Result<bool> {
    let [form, is_whole, ..] = head.counters;
    ensure!(form == CarriedKey::FORM, "they are of form {form}, not {}", CarriedKey::FORM);
    Ok(is_whole == 1)
}

fn drops(directory: &Path) -> Result<HashMap<DropKey, u64>> {
    let map: PerCpuHashMap<_, Wire<DropKey>, u64> =
        PerCpuHashMap::try_from(former::open(directory, maps::DROPS)?)?;
    let mut drops = HashMap::new();
    for entry in map.iter() {
        let (Wire(key), values) = entry?;
        drops.insert(key, values.iter().sum());
    }
    Ok(drops)
}

fn of_rule(rules: &PerCpuArray<MapData, Wire<RuleCount>>, index: u32) -> Counters {
    let mut sum = RuleCount::default();
    if let Ok(values) = rules.get(&index, 0) {
        values.iter().for_each(|Wire(count)| sum.add(*count));
    }
    Counters { rx_bytes: sum.bytes, ..packets(sum.packets) }
}

/// Counters of packets alone.
pub fn packets(rx_packets: u64) -> Counters {
    Counters { rx_packets, ..Counters::default() }
}

/// The map of this process, of which nobody else writes an entry.
pub struct Book {
    map: Entries,
    /// What is in it, and in which round it was last wanted.
    written: HashMap<CarriedKey, (Carried, u64)>,
    round: u64,
}

impl Book {
    /// Takes the map out of a loaded object.
    pub fn take(ebpf: &mut Ebpf) -> Result<Self> {
        Ok(Self { map: tables::take(ebpf, maps::CARRIED)?, written: HashMap::new(), round: 0 })
    }

    /// Says of what form the entries are, and, once it is so, that what former tables held is in
    /// them.
    ///
    /// # Errors
    ///
    /// The kernel's.
    pub fn put_head(&mut self, is_whole: bool) -> Result<()> {
        let counters = [CarriedKey::FORM, u64::from(is_whole), 0, 0];
        let head = Carried { counters, ..Carried::default() };
        Ok(self.map.insert(Wire(CarriedKey::new(CarriedKey::HEAD, 0)), Wire(head), 0)?)
    }

    /// Makes these the entries, each at once, and no others. Returns how many found no room.
    pub fn keep(&mut self, entries: impl IntoIterator<Item = (CarriedKey, Carried)>) -> usize {
        self.round += 1;
        let refused = self.put(entries);
        let (map, round) = (&mut self.map, self.round);
        self.written.retain(|key, (_, last)| {
            let stays = *last == round;
            if !stays {
                let _ = map.remove(&Wire(*key));
            }
            stays
        });
        refused
    }

    /// Makes these entries, each at once, and leaves the others as they are. Returns how many found
    /// no room.
    pub fn put(&mut self, entries: impl IntoIterator<Item = (CarriedKey, Carried)>) -> usize {
        let mut refused = 0;
        for (key, entry) in entries {
            let known = self.written.get_mut(&key);
            if let Some((_, round)) = known.filter(|(known, _)| *known == entry) {
                *round = self.round;
            } else if self.map.insert(Wire(key), Wire(entry), 0).is_ok() {
                self.written.insert(key, (entry, self.round));
            } else {
                refused += 1;
            }
        }
        refused
    }
}

#[cfg(test)]
mod tests {
    use overlay_common::abi::Hook;
    use overlay_common::verdict::DropReason;

    use super::*;

    fn port(interface: &str, vni: u32, vlan: u16) -> Counted {
        Counted::Port { interface: interface.to_owned(), vni, vlan }
    }

    fn some() -> Vec<Counted> {
        vec![
            port("eth1", 100, 0),
            port("a-long-name-123", 100, 0x1005),
            port("eth0", 0, 0),
            Counted::Peer("192.0.2.1".parse().unwrap()),
            Counted::Peer("2001:db8::1".parse().unwrap()),
            Counted::Rule([7; 16]),
            Counted::Segment(0xff_ffff),
            Counted::OtherPeers,
            Counted::Drop(DropKey::new(3, DropReason::TooBig, Hook::Tc)),
        ]
    }

    fn set(is_whole: bool, entries: &[(u32, Counted, u64)]) -> Set {
        let entry = |(index, counted, count): &(u32, Counted, u64)| {
            let (key, entry) = counted.entry(*index);
            (key, entry.with(packets(*count)))
        };
        Set { is_whole, entries: entries.iter().map(entry).collect() }
    }

    fn count(former: &Former, counted: &Counted) -> Option<u64> {
        former.counters.get(counted).map(|counters| counters.rx_packets)
    }

    #[test]
    fn an_entry_says_what_it_is_of_whatever_its_index() {
        for (at, counted) in some().iter().enumerate() {
            for index in [1, 4095] {
                let (key, entry) = counted.entry(index);
                assert_eq!(Counted::of(key, &entry).as_ref(), Some(counted), "{at}");
            }
        }
        let (key, entry) = device(9, "eth9");
        assert_eq!((Counted::of(key, &entry), key.number), (None, 9));
        assert_eq!(text(&entry.name), "eth9");
        let head = CarriedKey::new(CarriedKey::HEAD, 0);
        assert_eq!(Counted::of(head, &Carried::default()), None);
    }

    #[test]
    fn everything_but_the_index_tells_ports_apart() {
        let ports = [port("eth1", 100, 0), port("eth1", 100, 5), port("eth1", 200, 0)];
        let former = Former::of(
            [set(true, &[0, 1, 2].map(|at| (7, ports[at].clone(), at as u64)))].into_iter(),
        );
        assert_eq!([0, 1, 2].map(|at| count(&former, &ports[at])), [Some(0), Some(1), Some(2)]);
        assert_eq!(count(&former, &port("eth2", 100, 0)), None);
    }

    #[test]
    fn counters_are_added_up_to_the_tables_that_hold_what_was_before() {
        let (one, other) = (port("eth1", 100, 0), Counted::Peer("192.0.2.1".parse().unwrap()));
        let sets = || {
            [
                // Killed while it attached its programs, twice.
                set(false, &[(5, one.clone(), 1)]),
                set(false, &[(1, one.clone(), 10), (3, other.clone(), 20)]),
                set(true, &[(2, one.clone(), 100)]),
                // In those before.
                set(true, &[(2, one.clone(), 1000), (9, other.clone(), 2000)]),
            ]
        };
        let former = Former::of(sets().into_iter());
        assert_eq!((count(&former, &one), count(&former, &other)), (Some(111), Some(20)));
        let former = Former::of(sets().into_iter().skip(3));
        assert_eq!((count(&former, &one), count(&former, &other)), (Some(1000), Some(2000)));
        assert!(Former::of(std::iter::empty()).counters.is_empty());
    }

    #[test]
    fn each_goes_on_under_the_index_that_it_has_now() {
        let ports = ["eth1", "eth2", "eth3", "eth4"].map(|name| port(name, 100, 0));
        let [one, two, gone, new] = &ports;
        let before = [(1, one.clone(), 10), (2, two.clone(), 20), (3, gone.clone(), 30)];
        let mut former = Former::of([set(true, &before)].into_iter());
        let now = [(1, two), (2, new), (3, one), (4, two)].map(|(index, counted)| {
            let (key, entry) = counted.entry(index);
            former.take(key, &entry).map(|counters| counters.rx_packets)
        });
        assert_eq!(now, [Some(20), None, Some(10), None]);
        assert_eq!(former.counters, [(gone.clone(), packets(30))].into(), "of a port that is gone");
    }

    #[test]
    fn what_is_to_be_added_may_be_less_than_nothing() {
        let (key, entry) = port("eth1", 100, 0).entry(3);
        let former = packets(7);
        let less = Counters::default().wrapping_sub(former);
        let sum = entry.with(less.wrapping_add(packets(10)));
        assert_eq!((key.number, sum.counters()), (3, packets(3)));
    }

    #[test]
    fn names_of_devices_are_those_of_the_newest_tables() {
        let named = |name| Set { is_whole: false, entries: vec![device(9, name)] };
        let former = Former::of([named("new"), named("old")].into_iter());
        assert_eq!(former.devices, [(9, "new".to_owned())].into());
    }

    #[test]
    fn counters_of_another_form_are_refused() {
        let head = |form, whole| Carried { counters: [form, whole, 0, 0], ..Carried::default() };
        assert!(is_whole(&head(CarriedKey::FORM, 1)).unwrap());
        assert!(!is_whole(&head(CarriedKey::FORM, 0)).unwrap());
        let said = is_whole(&head(77, 1)).unwrap_err().to_string();
        assert_eq!(said, format!("they are of form 77, not {}", CarriedKey::FORM));
    }
}

//! The neighbour table: which station has which IP address.
//!
//! An address that was heard of lives as long as its station is in the FDB: that ages, and
//! knows what a port or a peer takes along. Here nothing ages. The newest says who has an
//! address; what the configuration says stays.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap, VecDeque};

use overlay_common::abi::{FdbKey, Neighbour, NeighbourKey};

use super::NeighbourTotals;
use crate::action::Action;

/// The most addresses of one station. A host has a few; more would be another's room.
pub const PER_STATION: usize = 32;

/// Every address by itself, and those that were heard of each station.
#[derive(Debug)]
pub struct Neighbours {
    by_address: HashMap<NeighbourKey, Neighbour>,
    by_station: HashMap<FdbKey, Vec<[u64; 2]>>,
    capacity: usize,
    pub totals: NeighbourTotals,
}

impl Neighbours {
    pub fn new(capacity: u32) -> Self {
        Self {
            by_address: HashMap::new(),
            by_station: HashMap::new(),
            capacity: capacity as usize,
            totals: NeighbourTotals::default(),
        }
    }

    /// The kernel's table keeps the size it was made with, so the capacity only shrinks.
    pub fn limit(&mut self, capacity: u32) {
        self.capacity = self.capacity.min(capacity as usize);
    }

    /// The most addresses there may be.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// How many addresses there are.
    pub fn len(&self) -> usize {
        self.by_address.len()
    }

    /// Whose an address is.
    pub fn get(&self, key: &NeighbourKey) -> Option<Neighbour> {
        self.by_address.get(key).copied()
    }

    /// Every address, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = (NeighbourKey, Neighbour)> {
        self.by_address.iter().map(|(key, neighbour)| (*key, *neighbour))
    }

    /// A station, which the FDB has, says that an address is its own. What is known already is
    /// written again: it is only said where the kernel's table has it otherwise.
    pub fn hear(&mut self, key: NeighbourKey, heard: Neighbour, out: &mut VecDeque<Action>) {
        match self.by_address.get(&key).copied() {
            Some(known) if known.is_static() => return,
            Some(known) if known.is_station_of(heard) => {}
            Some(known) => {
                self.leave(key, known);
                if !self.join(key, heard) {
                    self.totals.refused += 1;
                    self.by_address.remove(&key);
                    out.push_back(Action::DelNeighbour(key));
                    return;
                }
                self.totals.moved += 1;
            }
            None => {
                if self.len() >= self.capacity || !self.join(key, heard) {
                    self.totals.refused += 1;
                    return;
                }
                self.totals.learned += 1;
            }
        }
        self.by_address.insert(key, heard);
        out.push_back(Action::PutNeighbour(key, heard));
    }

    /// It is in doubt whose an address is.
    pub fn doubt(&mut self, key: NeighbourKey, out: &mut VecDeque<Action>) {
        if let Some(known) = self.by_address.get(&key).copied().filter(|n| !n.is_static()) {
            self.leave(key, known);
            self.by_address.remove(&key);
            out.push_back(Action::DelNeighbour(key));
        }
    }

    /// The FDB has forgotten a station.
    pub fn station_gone(&mut self, station: FdbKey, out: &mut VecDeque<Action>) {
        let addresses = self.by_station.remove(&station).unwrap_or_default();
        for address in addresses {
            let key = NeighbourKey { address, segment: station.segment, ..Default::default() };
            self.by_address.remove(&key);
            out.push_back(Action::DelNeighbour(key));
        }
        if self.by_address.capacity() / 4 > self.by_address.len() {
            self.by_address.shrink_to(2 * self.by_address.len());
            self.by_station.shrink_to(2 * self.by_station.len());
        }
    }

    /// Puts what the configuration says; what was heard makes room.
    pub fn put_configured(
        &mut self,
        wanted: &BTreeMap<NeighbourKey, Neighbour>,
        out: &mut VecDeque<Action>,
    ) {
        for (key, neighbour) in wanted {
            let known = self.by_address.get(key).copied();
            if known == Some(*neighbour) {
                continue;
            }
            match known {
                Some(known) => self.leave(*key, known),
                None if self.len() >= self.capacity => self.make_room(wanted, out),
                None => {}
            }
            self.by_address.insert(*key, *neighbour);
            out.push_back(Action::PutNeighbour(*key, *neighbour));
        }
    }

    /// Removes what the configuration does not say any more, and what was heard in segments
    /// that do not listen.
    pub fn drop_others(
        &mut self,
        wanted: &BTreeMap<NeighbourKey, Neighbour>,
        listens: impl Fn(u16) -> bool,
        out: &mut VecDeque<Action>,
    ) {
        self.by_station.retain(|station, _| listens(station.segment));
        self.by_address.retain(|key, neighbour| {
            let stays = match neighbour.is_static() {
                true => wanted.contains_key(key),
                false => listens(key.segment),
            };
            if !stays {
                out.push_back(Action::DelNeighbour(*key));
            }
            stays
        });
    }

    /// Forgets the addresses of some station; where there is none, a configured one that is not
    /// wanted any more.
    fn make_room(
        &mut self,
        wanted: &BTreeMap<NeighbourKey, Neighbour>,
        out: &mut VecDeque<Action>,
    ) {
        if let Some(station) = self.by_station.keys().next().copied() {
            self.station_gone(station, out);
        } else if let Some(key) = self.by_address.keys().find(|key| !wanted.contains_key(key)) {
            let key = *key;
            self.by_address.remove(&key);
            out.push_back(Action::DelNeighbour(key));
        }
    }

    /// Notes an address with its station, unless that has too many.
    fn join(&mut self, key: NeighbourKey, neighbour: Neighbour) -> bool {
        let addresses = self.by_station.entry(station(key, neighbour)).or_default();
        let has_room = addresses.len() < PER_STATION;
        if has_room {
            addresses.push(key.address);
        }
        has_room
    }

    fn leave(&mut self, key: NeighbourKey, neighbour: Neighbour) {
        if neighbour.is_static() {
            return;
        }
        if let Entry::Occupied(mut addresses) = self.by_station.entry(station(key, neighbour)) {
            addresses.get_mut().retain(|address| *address != key.address);
            if addresses.get().is_empty() {
                addresses.remove();
            }
        }
    }
}

fn station(key: NeighbourKey, neighbour: Neighbour) -> FdbKey {
    FdbKey::new(neighbour.mac(), key.segment)
}

#[cfg(test)]
mod tests {
    use super::*;
    use overlay_common::wire::Mac;

    fn key(last: u8) -> NeighbourKey {
        NeighbourKey::v4([10, 0, 0, last], 1).expect("a host's address")
    }

    fn at(last: u8) -> Neighbour {
        Neighbour::new(Mac([2, 0, 0, 0, 0, last]))
    }

    /// Both ways of looking at the table say the same.
    fn check(table: &Neighbours) {
        let heard = table.iter().filter(|(_, n)| !n.is_static()).count();
        assert_eq!(table.by_station.values().map(Vec::len).sum::<usize>(), heard);
        for (key, neighbour) in table.iter().filter(|(_, n)| !n.is_static()) {
            assert!(table.by_station[&station(key, neighbour)].contains(&key.address));
        }
        assert!(table.by_station.values().all(|list| !list.is_empty()));
        assert!(table.len() <= table.capacity);
    }

    #[test]
    fn a_station_has_so_many_addresses_and_no_more() {
        let (mut table, mut out) = (Neighbours::new(100), VecDeque::new());
        for last in 1..=40 {
            table.hear(key(last), at(1), &mut out);
        }
        assert_eq!((table.len(), table.totals.refused), (PER_STATION, 8));
        // An address that moves to it is its no more than another's.
        table.hear(key(50), at(2), &mut out);
        out.clear();
        table.hear(key(50), at(1), &mut out);
        assert_eq!(out, [Action::DelNeighbour(key(50))]);
        check(&table);
    }

    #[test]
    fn a_full_table_refuses_and_the_configuration_makes_room() {
        let (mut table, mut out) = (Neighbours::new(3), VecDeque::new());
        for last in 1..=4 {
            table.hear(key(last), at(last), &mut out);
        }
        assert_eq!((table.len(), table.totals.refused), (3, 1));
        let wanted: BTreeMap<_, _> = (10..13).map(|last| (key(last), at(9).fixed())).collect();
        table.put_configured(&wanted, &mut out);
        check(&table);
        assert_eq!(table.iter().filter(|(_, n)| n.is_static()).count(), 3);
        let other: BTreeMap<_, _> = (20..23).map(|last| (key(last), at(9).fixed())).collect();
        table.put_configured(&other, &mut out);
        table.drop_others(&other, |_| true, &mut out);
        check(&table);
        assert_eq!(table.iter().map(|(key, _)| key).filter(|k| other.contains_key(k)).count(), 3);
    }
}

//! The forwarding database: learning, moves, ageing, static addresses.
//!
//! Every change costs the change alone, whatever the size of the table; only
//! flushing a port and a scan walk all of it.
//!
//! - `entries`: the entries, in little space.
//! - `room`: whether one more may be learnt.
//! - `fingerprint`: a sum over them, to compare two tables by.
//! - `scan`: comparison with the kernel's table, and ageing.

mod entries;
mod fingerprint;
mod room;
mod scan;

use std::collections::{BTreeMap, VecDeque};

use overlay_common::abi::{FdbEntry, FdbKey, Target};

use super::FdbTotals;
use super::news::{Change, Stations};
use crate::action::Action;
use entries::{Entries, Entry};

pub use entries::{Origin, word};
pub use room::{Bounds, Refused};

/// Seconds after which an address that is reported from where it is known to be
/// is written again: the first writing must have failed. Before then the report
/// is one that was already under way.
const REWRITE_AFTER: u32 = 2;

#[derive(Debug)]
pub struct Fdb {
    entries: Entries,
    capacity: usize,
    pub totals: FdbTotals,
    pub news: Stations,
}

impl Fdb {
    pub fn new(capacity: u32) -> Self {
        Self {
            entries: Entries::default(),
            capacity: capacity as usize,
            totals: FdbTotals::default(),
            news: Stations::default(),
        }
    }

    /// The kernel's table keeps the size it was made with, so the capacity only
    /// shrinks.
    pub fn limit(&mut self, capacity: u32) {
        self.capacity = self.capacity.min(capacity as usize);
    }

    /// How many addresses there are in a segment.
    pub fn of_segment(&self, segment: u16) -> usize {
        self.entries.of_segment(segment)
    }

    /// How many addresses are there for this reason.
    pub fn of_origin(&self, origin: Origin) -> usize {
        self.entries.of_origin(origin)
    }

    /// How many addresses there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// The most addresses there may be.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Every entry as the kernel should have it, in no particular order.
    pub fn iter(&self, epoch: u32) -> impl Iterator<Item = (FdbKey, FdbEntry)> {
        self.entries.iter().map(move |(key, entry)| (key, entry.kernel(epoch)))
    }

    /// Why an address is in the table.
    pub fn origin(&self, key: FdbKey) -> Option<Origin> {
        self.entries.get(key).map(Entry::origin)
    }

    /// Every loaded address, in no particular order.
    pub fn loaded(&self) -> impl Iterator<Item = FdbKey> {
        let loaded = |(_, entry): &(FdbKey, Entry)| entry.origin() == Origin::Loaded;
        self.entries.iter().filter(loaded).map(|(key, _)| key)
    }

    /// How many addresses were learnt from a port or peer.
    pub fn learned_from(&self, target: Target) -> usize {
        self.entries.learned_from(target)
    }

    /// How many addresses were learnt in a segment.
    pub fn learned_in(&self, segment: u16) -> usize {
        self.entries.learned_in(segment)
    }

    /// A frame from `key` came from `target`: newest wins, static entries stay, and so do
    /// those behind a target that holds them (`is_sticky`).
    pub fn learn(
        &mut self,
        (key, target): (FdbKey, Target),
        bounds: Bounds,
        is_sticky: impl Fn(Target) -> bool,
        epoch: u32,
        out: &mut VecDeque<Action>,
    ) {
        let entry = Entry::new(target, Origin::Learned, epoch);
        match self.entries.get(key) {
            Some(known) if known.origin().is_static() => {}
            Some(known) if known.target == target => {
                if known.age(epoch) >= REWRITE_AFTER {
                    self.put(key, entry, epoch, out);
                }
            }
            Some(known) if is_sticky(known.target) => self.totals.held += 1,
            Some(known) => match self.may_move(target, bounds) {
                Ok(()) => {
                    self.put(key, entry, epoch, out);
                    self.totals.moved += 1;
                    self.news.note(Change::Moved, key, target, Some(known.target));
                }
                Err(refused) => self.refuse(refused),
            },
            None => match self.may_add(key, target, bounds) {
                Ok(()) => {
                    self.put(key, entry, epoch, out);
                    self.totals.learned += 1;
                    self.news.note(Change::Learned, key, target, None);
                }
                Err(refused) => self.refuse(refused),
            },
        }
    }

    fn refuse(&mut self, refused: Refused) {
        match refused {
            Refused::Full => self.totals.refused += 1,
            Refused::Limited => self.totals.limited += 1,
        }
    }

    /// Takes an address over from an earlier run, if it is not known better. A
    /// loaded one makes itself room.
    pub fn restore(
        &mut self,
        key: FdbKey,
        target: Target,
        origin: Origin,
        age: u32,
        epoch: u32,
        out: &mut VecDeque<Action>,
    ) {
        if self.entries.get(key).is_none() && self.entries.len() < self.capacity {
            let entry = Entry::new(target, origin, epoch.wrapping_sub(age));
            self.put(key, entry, epoch, out);
        }
    }

    /// Makes `wanted` the configured entries. Those that are not wanted any more stay
    /// until [`drop_configured`](Self::drop_configured), unless the table would be too
    /// full; where it still is, learnt ones make room, those first that were written
    /// longest ago, and then loaded ones.
    pub fn put_configured(
        &mut self,
        wanted: &BTreeMap<FdbKey, Target>,
        epoch: u32,
        out: &mut VecDeque<Action>,
    ) {
        let new = wanted.keys().filter(|key| self.entries.get(**key).is_none()).count();
        if self.entries.len() + new > self.capacity {
            self.drop_unwanted(wanted, out);
        }
        self.make_room(new, epoch, out);
        self.entries.reserve(new);
        for (key, target) in wanted {
            self.put_static(*key, *target, Origin::Configured, epoch, out);
        }
    }

    /// Removes the configured entries that are not `wanted`.
    pub fn drop_configured(
        &mut self,
        wanted: &BTreeMap<FdbKey, Target>,
        out: &mut VecDeque<Action>,
    ) {
        // All that is wanted is there, so an equal number is the same.
        if self.entries.of_origin(Origin::Configured) == wanted.len() {
            return;
        }
        self.drop_unwanted(wanted, out);
    }

    fn drop_unwanted(&mut self, wanted: &BTreeMap<FdbKey, Target>, out: &mut VecDeque<Action>) {
        self.entries.retain(
            |key, entry| entry.origin() != Origin::Configured || wanted.contains_key(&key),
            |key, _| out.push_back(Action::DelFdb(key)),
        );
    }

    /// Makes room for `new` loaded entries, at the cost of learnt ones.
    pub fn prepare_load(&mut self, new: usize, epoch: u32, out: &mut VecDeque<Action>) {
        self.make_room(new, epoch, out);
        self.entries.reserve(new);
    }

    /// Puts a loaded entry; the configuration stands above it.
    pub fn load(&mut self, key: FdbKey, target: Target, epoch: u32, out: &mut VecDeque<Action>) {
        self.put_static(key, target, Origin::Loaded, epoch, out);
    }

    /// Removes an entry, whatever it is.
    pub fn remove(&mut self, key: FdbKey, out: &mut VecDeque<Action>) {
        if self.entries.remove(key).is_some() {
            out.push_back(Action::DelFdb(key));
        }
    }

    /// Forgets the learnt and the loaded entries that are not `kept`.
    pub fn retain(
        &mut self,
        kept: impl Fn(FdbKey, Target, Origin) -> bool,
        out: &mut VecDeque<Action>,
    ) {
        let (totals, news) = (&mut self.totals, &mut self.news);
        self.entries.retain(
            |key, entry| {
                let origin = entry.origin();
                origin == Origin::Configured || kept(key, entry.target, origin)
            },
            |key, entry| {
                totals.flushed += 1;
                news.note(Change::Flushed, key, entry.target, None);
                out.push_back(Action::DelFdb(key));
            },
        );
    }

    /// Gives back the room of many entries that are gone.
    pub fn shrink(&mut self) {
        self.entries.shrink();
    }

    fn put_static(
        &mut self,
        key: FdbKey,
        target: Target,
        origin: Origin,
        epoch: u32,
        out: &mut VecDeque<Action>,
    ) {
        let entry = Entry::new(target, origin, epoch);
        let will_do = |known: Entry| known.origin() == origin && known.target == target;
        if self.entries.insert_unless(key, entry, will_do) {
            out.push_back(Action::PutFdb(key, entry.kernel(epoch)));
        }
    }

    fn put(&mut self, key: FdbKey, entry: Entry, epoch: u32, out: &mut VecDeque<Action>) {
        self.entries.insert(key, entry);
        out.push_back(Action::PutFdb(key, entry.kernel(epoch)));
    }

    fn make_room(&mut self, new: usize, epoch: u32, out: &mut VecDeque<Action>) {
        let excess = (self.entries.len() + new).saturating_sub(self.capacity);
        if excess == 0 {
            return;
        }
        let gives_way = |(_, entry): &(FdbKey, Entry)| entry.origin() != Origin::Configured;
        let mut by_age: Vec<(bool, u32, FdbKey)> = self
            .entries
            .iter()
            .filter(gives_way)
            .map(|(key, entry)| (!entry.origin().is_static(), entry.age(epoch), key))
            .collect();
        by_age.sort_unstable_by(|a, b| b.cmp(a));
        for (_, _, key) in by_age.into_iter().take(excess) {
            if let Some(entry) = self.entries.get(key) {
                self.news.note(Change::Flushed, key, entry.target, None);
            }
            self.remove(key, out);
            self.totals.flushed += 1;
        }
    }
}

/// Seconds between an epoch and now. The clock wraps; an epoch of the future,
/// which the kernel may have read from the clock a moment later, is no age.
pub fn age(seen: u32, epoch: u32) -> u32 {
    let age = epoch.wrapping_sub(seen);
    if age > u32::MAX / 2 { 0 } else { age }
}

//! The forwarding database: learning, moves, ageing.
//!
//! Every change costs the change alone, whatever the size of the table; only
//! flushing a port and a scan walk all of it.

use std::collections::{BTreeMap, VecDeque};

use overlay_common::abi::{FdbEntry, FdbKey, Target};

use super::FdbTotals;
use crate::action::Action;

/// Seconds after which an address that is reported from where it is known to be
/// is written again: the first writing must have failed. Before then the report
/// is one that was already under way.
const REWRITE_AFTER: u32 = 2;

#[derive(Debug)]
pub struct Fdb {
    entries: BTreeMap<FdbKey, Entry>,
    capacity: usize,
    scans: u32,
    pub totals: FdbTotals,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    target: Target,
    is_static: bool,
    /// The epoch of the last frame, as far as is known.
    seen: u32,
    /// When the entry was last written, in seconds.
    written: u32,
    /// The scan that last found it.
    scan: u32,
}

/// The time, as the FDB counts it.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    /// The node's ageing clock.
    pub epoch: u32,
    /// Seconds since the caller's start.
    pub seconds: u32,
}

/// An entry, to be shown.
pub struct Known {
    pub key: FdbKey,
    pub target: Target,
    pub is_static: bool,
    /// Seconds since the last frame.
    pub age: u32,
}

impl Fdb {
    pub fn new(capacity: u32) -> Self {
        Self {
            entries: BTreeMap::new(),
            capacity: capacity as usize,
            scans: 0,
            totals: FdbTotals::default(),
        }
    }

    /// The kernel's table keeps the size it was made with, so the capacity only
    /// shrinks.
    pub fn limit(&mut self, capacity: u32) {
        self.capacity = self.capacity.min(capacity as usize);
    }

    /// A frame from `key` came from `target`: newest wins, static entries stay.
    pub fn learn(&mut self, key: FdbKey, target: Target, at: Clock, out: &mut VecDeque<Action>) {
        let full = self.entries.len() >= self.capacity;
        match self.entries.get_mut(&key) {
            Some(entry) if entry.is_static => {}
            Some(entry) if entry.target == target => {
                entry.seen = at.epoch;
                if at.seconds.saturating_sub(entry.written) >= REWRITE_AFTER {
                    entry.written = at.seconds;
                    out.push_back(entry.put(key));
                }
            }
            Some(entry) => {
                *entry = Entry::learned(target, at.epoch, at.seconds);
                out.push_back(entry.put(key));
                self.totals.moved += 1;
            }
            None if full => self.totals.refused += 1,
            None => {
                self.insert(key, Entry::learned(target, at.epoch, at.seconds), out);
                self.totals.learned += 1;
            }
        }
    }

    /// Takes an address over from an earlier run, if it is not known better.
    pub fn restore(
        &mut self,
        key: FdbKey,
        target: Target,
        age: u32,
        at: Clock,
        out: &mut VecDeque<Action>,
    ) {
        if !self.entries.contains_key(&key) && self.entries.len() < self.capacity {
            let entry = Entry::learned(target, at.epoch.wrapping_sub(age), at.seconds);
            self.insert(key, entry, out);
        }
    }

    /// Makes `wanted` the static entries. Where the table is full, learnt ones
    /// make room, those first that were silent longest. The removals come from
    /// [`drop_statics`](Self::drop_statics).
    pub fn put_statics(
        &mut self,
        wanted: &BTreeMap<FdbKey, Target>,
        at: Clock,
        out: &mut VecDeque<Action>,
    ) {
        let new = wanted.keys().filter(|key| !self.entries.contains_key(key)).count();
        self.make_room(new, at, out);
        for (key, target) in wanted {
            let known = self.entries.get(key);
            if known.is_none_or(|e| !e.is_static || e.target != *target) {
                let entry = Entry { is_static: true, ..Entry::learned(*target, 0, at.seconds) };
                self.insert(*key, entry, out);
            }
        }
    }

    /// Removes the static entries that are not `wanted`.
    pub fn drop_statics(&mut self, wanted: &BTreeMap<FdbKey, Target>, out: &mut VecDeque<Action>) {
        self.entries.retain(|key, entry| {
            let stays = !entry.is_static || wanted.contains_key(key);
            if !stays {
                out.push_back(Action::DelFdb(*key));
            }
            stays
        });
    }

    /// Forgets the learnt entries that are not `kept`.
    pub fn retain(&mut self, kept: impl Fn(FdbKey, Target) -> bool, out: &mut VecDeque<Action>) {
        let totals = &mut self.totals;
        self.entries.retain(|key, entry| {
            let stays = entry.is_static || kept(*key, entry.target);
            if !stays {
                totals.flushed += 1;
                out.push_back(Action::DelFdb(*key));
            }
            stays
        });
    }

    /// Brings this table and the kernel's together, whose entries were read from
    /// `started` (seconds) on: takes the age of each entry over, forgets those
    /// that have been silent for `ageing` seconds, and corrects differences. What
    /// was written since the reading began is left alone.
    pub fn scan(
        &mut self,
        found: impl IntoIterator<Item = (FdbKey, FdbEntry)>,
        started: u32,
        ageing: u32,
        at: Clock,
        out: &mut VecDeque<Action>,
    ) {
        self.scans = self.scans.wrapping_add(1);
        for (key, theirs) in found {
            match self.entries.get_mut(&key) {
                None => out.push_back(Action::DelFdb(key)),
                Some(ours) if ours.written >= started => ours.scan = self.scans,
                Some(ours) => {
                    ours.scan = self.scans;
                    if ours.target != theirs.target || ours.is_static != theirs.is_static() {
                        ours.written = at.seconds;
                        out.push_back(ours.put(key));
                    } else if age(ours.seen, at) > age(theirs.seen, at) {
                        ours.seen = theirs.seen;
                    }
                }
            }
        }
        self.finish_scan(started, ageing, at, out);
    }

    /// Every entry, ordered by address.
    pub fn iter(&self, at: Clock) -> impl Iterator<Item = Known> {
        self.entries.iter().map(move |(key, entry)| Known {
            key: *key,
            target: entry.target,
            is_static: entry.is_static,
            age: if entry.is_static { 0 } else { age(entry.seen, at) },
        })
    }

    fn insert(&mut self, key: FdbKey, entry: Entry, out: &mut VecDeque<Action>) {
        self.entries.insert(key, entry);
        out.push_back(entry.put(key));
    }

    fn make_room(&mut self, new: usize, at: Clock, out: &mut VecDeque<Action>) {
        let excess = (self.entries.len() + new).saturating_sub(self.capacity);
        if excess == 0 {
            return;
        }
        let learned = self.entries.iter().filter(|(_, entry)| !entry.is_static);
        let mut by_age: Vec<(u32, FdbKey)> =
            learned.map(|(key, entry)| (age(entry.seen, at), *key)).collect();
        by_age.sort_unstable_by(|a, b| b.cmp(a));
        for (_, key) in by_age.into_iter().take(excess) {
            self.entries.remove(&key);
            self.totals.flushed += 1;
            out.push_back(Action::DelFdb(key));
        }
    }

    fn finish_scan(&mut self, started: u32, ageing: u32, at: Clock, out: &mut VecDeque<Action>) {
        let (scan, totals) = (self.scans, &mut self.totals);
        self.entries.retain(|key, entry| {
            if entry.written >= started {
                return true;
            }
            let missing = entry.scan != scan;
            if entry.is_static {
                if missing {
                    entry.written = at.seconds;
                    out.push_back(entry.put(*key));
                }
                return true;
            }
            let aged = age(entry.seen, at) >= ageing;
            if aged {
                totals.aged += 1;
            }
            if aged || missing {
                out.push_back(Action::DelFdb(*key));
            }
            !aged && !missing
        });
    }
}

impl Entry {
    fn learned(target: Target, seen: u32, written: u32) -> Self {
        Self { target, is_static: false, seen, written, scan: 0 }
    }

    fn put(&self, key: FdbKey) -> Action {
        let flags = if self.is_static { FdbEntry::STATIC } else { 0 };
        Action::PutFdb(key, FdbEntry { target: self.target, flags, seen: self.seen, reserved: 0 })
    }
}

/// Seconds between an epoch and now. The clock wraps; an epoch of the future,
/// which the kernel may have read from the clock a moment later, is no age.
fn age(seen: u32, at: Clock) -> u32 {
    let age = at.epoch.wrapping_sub(seen);
    if age > u32::MAX / 2 { 0 } else { age }
}

//! Bringing the table together with the kernel's, which alone knows when an
//! address was last seen.
//!
//! Reading a million entries one after the other takes milliseconds, looking each
//! of them up takes a hundred times as long. So a scan sums up what it reads, and
//! looks up only what has been silent too long; where the sum is another than it
//! should be, it compares one by one.

use std::collections::{HashSet, VecDeque};

use overlay_common::abi::{FdbEntry, FdbKey};

use super::entries::{Entry, Origin};
use super::fingerprint::Fingerprint;
use super::{Fdb, age};
use crate::action::Action;
use crate::controller::news::Change;

impl Fdb {
    /// Takes in what the kernel's table holds, which was read from the epoch
    /// `started` on: forgets those that have been silent for `ageing` seconds, and
    /// corrects differences. What was written since the reading began is left
    /// alone.
    pub fn scan(
        &mut self,
        found: impl IntoIterator<Item = (FdbKey, FdbEntry)> + Clone,
        started: u32,
        ageing: u32,
        epoch: u32,
        out: &mut VecDeque<Action>,
    ) {
        let mut sum = Fingerprint::default();
        let mut silent = Vec::new();
        for (key, theirs) in found.clone() {
            let origin = Origin::of(&theirs);
            sum.add(key, theirs.target, origin);
            if !origin.is_static() && age(theirs.seen, epoch) >= ageing {
                silent.push(key);
            }
        }
        if sum != self.entries.fingerprint() {
            self.compare(found, started, epoch, out);
        }
        for key in silent {
            let is_its = |entry: Entry| !entry.origin().is_static() && !entry.is_since(started);
            if let Some(entry) = self.entries.get(key).filter(|entry| is_its(*entry)) {
                self.news.note(Change::Aged, key, entry.target, None);
                self.remove(key, out);
                self.totals.aged += 1;
            }
        }
    }

    /// Forgets what the kernel has lost, has it forget what is nobody's, and
    /// writes again what is static or elsewhere.
    fn compare(
        &mut self,
        found: impl IntoIterator<Item = (FdbKey, FdbEntry)>,
        started: u32,
        epoch: u32,
        out: &mut VecDeque<Action>,
    ) {
        let mut there = HashSet::new();
        for (key, theirs) in found {
            there.insert(key);
            match self.entries.get(key) {
                None => out.push_back(Action::DelFdb(key)),
                Some(ours) if ours.is_since(started) => {}
                Some(ours) => {
                    if ours.target != theirs.target || ours.origin() != Origin::of(&theirs) {
                        out.push_back(Action::PutFdb(key, ours.kernel(epoch)));
                    }
                }
            }
        }
        let lost: Vec<(FdbKey, Entry)> = self
            .entries
            .iter()
            .filter(|(key, entry)| !entry.is_since(started) && !there.contains(key))
            .collect();
        for (key, entry) in lost {
            if entry.origin().is_static() {
                out.push_back(Action::PutFdb(key, entry.kernel(epoch)));
            } else {
                self.remove(key, out);
            }
        }
    }
}

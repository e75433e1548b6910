//! The entries themselves: 16 bytes each, one allocation for all.
//!
//! A node may hold millions of addresses, so that what is kept of each is where
//! it is, who said so, and when it was last written. When it was last seen stands
//! in the kernel's table, and is read there.

use std::collections::hash_map::Entry::{Occupied, Vacant};
use std::collections::{BTreeMap, HashMap};

use overlay_common::abi::{FdbEntry, FdbKey, Target};

use super::fingerprint::Fingerprint;

/// Why an address is in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A frame came from it.
    Learned,
    /// The configuration says so.
    Configured,
    /// It was loaded by command.
    Loaded,
}

/// What is kept of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    pub target: Target,
    /// The epoch of the last writing in the upper 30 bits, the origin below.
    word: u32,
}

const ORIGIN_BITS: u32 = 2;
const EPOCH_MASK: u32 = u32::MAX >> ORIGIN_BITS;

impl Origin {
    /// Whether such an address neither ages nor moves.
    pub const fn is_static(self) -> bool {
        !matches!(self, Self::Learned)
    }

    const fn flags(self) -> u32 {
        match self {
            Self::Learned => 0,
            Self::Configured => FdbEntry::STATIC,
            Self::Loaded => FdbEntry::STATIC | FdbEntry::LOADED,
        }
    }

    /// Of an entry in the kernel's table.
    pub const fn of(entry: &FdbEntry) -> Self {
        match (entry.is_static(), entry.flags & FdbEntry::LOADED != 0) {
            (false, _) => Self::Learned,
            (true, false) => Self::Configured,
            (true, true) => Self::Loaded,
        }
    }
}

impl Entry {
    /// An entry that is written with this epoch as the time of its last frame.
    pub const fn new(target: Target, origin: Origin, epoch: u32) -> Self {
        Self { target, word: epoch << ORIGIN_BITS | origin as u32 }
    }

    pub const fn origin(self) -> Origin {
        match self.word & !(u32::MAX << ORIGIN_BITS) {
            0 => Origin::Learned,
            1 => Origin::Configured,
            _ => Origin::Loaded,
        }
    }

    /// Seconds from the epoch it was written with to another, which may be in its
    /// past: then there are none.
    pub const fn age(self, epoch: u32) -> u32 {
        let age = epoch.wrapping_sub(self.word >> ORIGIN_BITS) & EPOCH_MASK;
        if age > EPOCH_MASK / 2 { 0 } else { age }
    }

    /// Whether it was written at this epoch or later.
    pub const fn is_since(self, epoch: u32) -> bool {
        (self.word >> ORIGIN_BITS).wrapping_sub(epoch) & EPOCH_MASK <= EPOCH_MASK / 2
    }

    /// The kernel's entry, as of this epoch.
    pub const fn kernel(self, epoch: u32) -> FdbEntry {
        let origin = self.origin();
        let seen = if origin.is_static() { 0 } else { epoch.wrapping_sub(self.age(epoch)) };
        FdbEntry { target: self.target, flags: origin.flags(), seen, reserved: 0 }
    }
}

/// What a segment has.
#[derive(Clone, Copy, Debug, Default)]
struct Held {
    all: usize,
    learned: usize,
}

/// Every entry by its address.
#[derive(Debug, Default)]
pub struct Entries {
    by_address: HashMap<u64, Entry>,
    segments: BTreeMap<u16, Held>,
    /// How many addresses were learnt from each source that has any.
    sources: HashMap<Target, usize>,
    origins: [usize; 3],
    sum: Fingerprint,
}

impl Entries {
    pub fn len(&self) -> usize {
        self.by_address.len()
    }

    /// How many entries a segment has.
    pub fn of_segment(&self, segment: u16) -> usize {
        self.segments.get(&segment).map_or(0, |held| held.all)
    }

    /// How many of a segment's entries were learnt.
    pub fn learned_in(&self, segment: u16) -> usize {
        self.segments.get(&segment).map_or(0, |held| held.learned)
    }

    /// How many entries were learnt from a port or peer.
    pub fn learned_from(&self, target: Target) -> usize {
        self.sources.get(&target).copied().unwrap_or(0)
    }

    /// From how many ports and peers some were learnt.
    pub fn sources(&self) -> usize {
        self.sources.len()
    }

    /// How many entries are there for this reason.
    pub fn of_origin(&self, origin: Origin) -> usize {
        self.origins[origin as usize]
    }

    /// A sum over all that the kernel's table should hold.
    pub fn fingerprint(&self) -> Fingerprint {
        self.sum
    }

    pub fn get(&self, key: FdbKey) -> Option<Entry> {
        self.by_address.get(&word(key)).copied()
    }

    pub fn insert(&mut self, key: FdbKey, entry: Entry) {
        self.insert_unless(key, entry, |_| false);
    }

    /// Inserts an entry unless one is there already that will do, and says whether
    /// it did.
    pub fn insert_unless(
        &mut self,
        key: FdbKey,
        entry: Entry,
        will_do: impl FnOnce(Entry) -> bool,
    ) -> bool {
        match self.by_address.entry(word(key)) {
            Occupied(known) if will_do(*known.get()) => return false,
            Occupied(mut known) => {
                let old = known.insert(entry);
                self.count_out(key, old);
            }
            Vacant(room) => {
                room.insert(entry);
                self.segments.entry(key.segment).or_default().all += 1;
            }
        }
        self.count_in(key, entry);
        true
    }

    pub fn remove(&mut self, key: FdbKey) -> Option<Entry> {
        let old = self.by_address.remove(&word(key))?;
        self.count_out(key, old);
        self.leave_segment(key.segment);
        Some(old)
    }

    /// Removes what is not `kept`, and shows it to `gone`.
    pub fn retain(
        &mut self,
        kept: impl Fn(FdbKey, Entry) -> bool,
        mut gone: impl FnMut(FdbKey, Entry),
    ) {
        let mut by_address = std::mem::take(&mut self.by_address);
        by_address.retain(|word, entry| {
            let key = key(*word);
            let stays = kept(key, *entry);
            if !stays {
                self.count_out(key, *entry);
                self.leave_segment(key.segment);
                gone(key, *entry);
            }
            stays
        });
        self.by_address = by_address;
    }

    /// Every entry, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = (FdbKey, Entry)> {
        self.by_address.iter().map(|(word, entry)| (key(*word), *entry))
    }

    /// Makes room for so many more at once.
    pub fn reserve(&mut self, more: usize) {
        self.by_address.reserve(more);
    }

    /// Gives back the room of many that are gone.
    pub fn shrink(&mut self) {
        if self.by_address.capacity() / 4 > self.by_address.len() {
            self.by_address.shrink_to(2 * self.by_address.len());
        }
    }

    fn count_in(&mut self, key: FdbKey, entry: Entry) {
        self.origins[entry.origin() as usize] += 1;
        self.sum.add(key, entry.target, entry.origin());
        if !entry.origin().is_static() {
            self.segments.entry(key.segment).or_default().learned += 1;
            *self.sources.entry(entry.target).or_default() += 1;
        }
    }

    fn count_out(&mut self, key: FdbKey, old: Entry) {
        self.origins[old.origin() as usize] -= 1;
        self.sum.subtract(key, old.target, old.origin());
        if old.origin().is_static() {
            return;
        }
        if let Some(held) = self.segments.get_mut(&key.segment) {
            held.learned -= 1;
        }
        if let Occupied(mut count) = self.sources.entry(old.target) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }

    fn leave_segment(&mut self, segment: u16) {
        if let Some(held) = self.segments.get_mut(&segment) {
            held.all -= 1;
        }
    }
}

/// The address as a number: the segment first.
pub fn word(key: FdbKey) -> u64 {
    let [a, b, c, d, e, f] = key.mac;
    let [high, low] = key.segment.to_be_bytes();
    u64::from_be_bytes([high, low, a, b, c, d, e, f])
}

fn key(word: u64) -> FdbKey {
    let [high, low, a, b, c, d, e, f] = word.to_be_bytes();
    FdbKey { mac: [a, b, c, d, e, f], segment: u16::from_be_bytes([high, low]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(last: u8, segment: u16) -> FdbKey {
        FdbKey { mac: [2, 0, 0, 0, 0xff, last], segment }
    }

    #[test]
    fn an_entry_is_small_and_whole() {
        assert_eq!(size_of::<(u64, Entry)>(), 16);
        for origin in [Origin::Learned, Origin::Configured, Origin::Loaded] {
            let entry = Entry::new(Target::peer(7), origin, 100);
            assert_eq!((entry.origin(), entry.age(130)), (origin, 30));
            assert_eq!(Origin::of(&entry.kernel(130)), origin, "as the kernel has it");
        }
        assert_eq!(key(word(at(9, 0x1234))), at(9, 0x1234));
    }

    #[test]
    fn epochs_before_the_first_count_backwards() {
        let learned = |epoch| Entry::new(Target::port(1), Origin::Learned, epoch);
        assert_eq!(learned(1_u32.wrapping_sub(250)).age(1), 250);
        assert_eq!(learned(1_u32.wrapping_sub(250)).kernel(1).seen, 1_u32.wrapping_sub(250));
        assert_eq!(learned(5).age(4), 0, "the future is no age");
        assert!(learned(5).is_since(5) && learned(6).is_since(5) && !learned(4).is_since(5));
    }

    #[test]
    fn counts_and_sum_follow_the_entries() {
        let mut entries = Entries::default();
        let entry = |origin| Entry::new(Target::port(3), origin, 1);
        entries.insert(at(1, 1), entry(Origin::Learned));
        let one = entries.fingerprint();
        entries.insert(at(2, 2), entry(Origin::Loaded));
        entries.insert(at(2, 2), entry(Origin::Configured));
        assert_eq!((entries.of_segment(1), entries.of_segment(2)), (1, 1));
        assert_eq!(entries.of_origin(Origin::Loaded), 0);
        assert_eq!(entries.of_origin(Origin::Configured), 1);
        assert_ne!(entries.fingerprint(), one);
        let mut gone = Vec::new();
        entries.retain(|key, _| key.segment == 1, |key, _| gone.push(key));
        assert_eq!((gone, entries.len()), (vec![at(2, 2)], 1));
        assert_eq!((entries.of_segment(2), entries.of_origin(Origin::Configured)), (0, 0));
        assert_eq!(entries.fingerprint(), one, "what comes and goes leaves no trace");
        entries.remove(at(1, 1));
        assert_eq!(entries.fingerprint(), Fingerprint::default());
    }
}

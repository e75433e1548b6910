//! The writer's side of a table.

use core::marker::PhantomData;

use super::{Bucket, Key, MIN_BUCKETS, SLOTS, Spread, Value};

/// Buckets that a search for room looks at. Even at nine tenths full, a few dozen
/// are enough.
const SEARCH: usize = 1024;

/// There is no room for another key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

/// A table, as its only writer sees it. Readers may look at the same buckets at
/// any time.
#[derive(Debug)]
pub struct Table<K, V, B> {
    buckets: B,
    seed: u64,
    spread: Spread,
    len: usize,
    entries: PhantomData<(K, V)>,
}

/// A bucket that a search has come to: by moving the key in `slot` of the bucket
/// at `from` here.
#[derive(Clone, Copy)]
struct Step {
    bucket: u32,
    from: u16,
    slot: u8,
}

impl<K: Key, V: Value, B: AsRef<[Bucket]>> Table<K, V, B> {
    /// A table of empty `buckets`, of which it uses the fewest at first.
    ///
    /// # Panics
    ///
    /// There are fewer than [`MIN_BUCKETS`], or not a power of two.
    pub fn empty(buckets: B, seed: u64) -> Self {
        let count = buckets.as_ref().len();
        assert!(count >= MIN_BUCKETS as usize && count.is_power_of_two(), "{count} buckets");
        let spread = Spread::new(seed, MIN_BUCKETS - 1);
        Self { buckets, seed, spread, len: 0, entries: PhantomData }
    }

    /// How keys are spread over the buckets.
    pub fn spread(&self) -> Spread {
        self.spread
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The value of a key.
    pub fn get(&self, key: K) -> Option<V> {
        let word = key.to_word();
        let found = match self.bucket(self.spread.first(word)).find(word) {
            0 => self.bucket(self.spread.second(word)).find(word),
            found => found,
        };
        (found != 0).then(|| V::from_word(found))
    }

    /// Adds an entry, or gives an existing one a new value.
    ///
    /// # Errors
    ///
    /// [`Full`]: nothing has changed.
    pub fn insert(&mut self, key: K, value: V) -> Result<(), Full> {
        let (word, value) = (key.to_word(), value.to_word());
        let homes = [self.spread.first(word), self.spread.second(word)];
        for home in homes {
            if let Some(slot) = self.bucket(home).slot(word) {
                slot.set(value);
                return Ok(());
            }
        }
        let free = homes.iter().find_map(|home| Some((*home, self.free_slot(*home)?)));
        let (bucket, slot) = free.map_or_else(|| self.make_room(homes), Ok)?;
        self.put(bucket, slot, word, value);
        self.len += 1;
        Ok(())
    }

    /// Removes an entry, and says whether it was there.
    pub fn remove(&mut self, key: K) -> bool {
        let word = key.to_word();
        let mut removed = false;
        for home in [self.spread.first(word), self.spread.second(word)] {
            for key in &self.bucket(home).keys {
                if key.get() == word {
                    key.set(0);
                    removed = true;
                }
            }
        }
        self.len -= usize::from(removed);
        removed
    }

    /// Every entry.
    pub fn iter(&self) -> impl Iterator<Item = (K, V)> + Clone + '_ {
        self.buckets.as_ref()[..=self.spread.mask() as usize].iter().flat_map(Bucket::entries)
    }

    /// The buckets that `entries` entries should have, less one, if that is more
    /// than are in use now: half as many entries as slots, as long as there are
    /// buckets.
    pub fn wants(&self, entries: usize) -> Option<u32> {
        let enough = (entries * 2).div_ceil(SLOTS).next_power_of_two();
        let mask = enough.min(self.buckets.as_ref().len()) as u32 - 1;
        (mask > self.spread.mask()).then_some(mask)
    }

    /// Twice as many buckets as are in use now, less one, if there are so many.
    pub fn larger(&self) -> Option<u32> {
        let mask = self.spread.mask() * 2 + 1;
        ((mask as usize) < self.buckets.as_ref().len()).then_some(mask)
    }

    /// Uses `mask` + 1 buckets from now on, which must be more than before.
    /// `publish` tells the readers, and returns when none uses the old spread any
    /// more.
    ///
    /// # Errors
    ///
    /// That of `publish`: nothing has changed.
    pub fn grow<E>(
        &mut self,
        mask: u32,
        publish: impl FnOnce(Spread) -> Result<(), E>,
    ) -> Result<(), E> {
        let grown = Spread::new(self.seed, mask);
        self.for_each_moving(grown, |bucket, slot, home| {
            let (key, value) = (bucket.keys[slot].get(), bucket.values[slot].get());
            self.put(home, slot, key, value);
        });
        if let Err(error) = publish(grown) {
            let copies = &self.buckets.as_ref()[self.spread.mask() as usize + 1..=mask as usize];
            copies.iter().flat_map(|bucket| &bucket.keys).for_each(|key| key.set(0));
            return Err(error);
        }
        self.for_each_moving(grown, |bucket, slot, _| bucket.keys[slot].set(0));
        self.spread = grown;
        Ok(())
    }

    /// Every slot whose key has another home in the larger table, and that home.
    /// Keys that come to the same bucket come from the same, so a key keeps its
    /// slot.
    fn for_each_moving(&self, grown: Spread, mut visit: impl FnMut(&Bucket, usize, u32)) {
        for index in 0..=self.spread.mask() {
            let bucket = self.bucket(index);
            for slot in 0..SLOTS {
                let key = bucket.keys[slot].get();
                let is_first = self.spread.first(key) == index;
                let home = if is_first { grown.first(key) } else { grown.second(key) };
                if key != 0 && home != index {
                    visit(bucket, slot, home);
                }
            }
        }
    }

    fn bucket(&self, index: u32) -> &Bucket {
        &self.buckets.as_ref()[index as usize]
    }

    fn free_slot(&self, bucket: u32) -> Option<usize> {
        self.bucket(bucket).keys.iter().position(|key| key.get() == 0)
    }

    fn put(&self, bucket: u32, slot: usize, key: u64, value: u64) {
        let bucket = self.bucket(bucket);
        bucket.values[slot].set(value);
        bucket.keys[slot].set(key);
    }

    /// Frees a slot in one of two full buckets: looks for the shortest chain of
    /// keys that can each move to their other bucket, and moves them, the last one
    /// first, so that every key can be found at any time. The shortest chain visits
    /// no bucket twice, so no move spoils another.
    fn make_room(&self, homes: [u32; 2]) -> Result<(u32, usize), Full> {
        let mut steps = [Step { bucket: 0, from: u16::MAX, slot: 0 }; SEARCH];
        steps[0].bucket = homes[0];
        steps[1].bucket = homes[1];
        let mut reached = 2;
        for at in 0..SEARCH {
            if at == reached {
                break;
            }
            if let Some(slot) = self.free_slot(steps[at].bucket) {
                return Ok(self.shift(&steps, at, slot));
            }
            for slot in 0..SLOTS {
                if reached == SEARCH {
                    break;
                }
                let bucket = self.other_home(steps[at].bucket, slot);
                steps[reached] = Step { bucket, from: at as u16, slot: slot as u8 };
                reached += 1;
            }
        }
        Err(Full)
    }

    /// The other bucket of the key in a slot.
    fn other_home(&self, bucket: u32, slot: usize) -> u32 {
        let key = self.bucket(bucket).keys[slot].get();
        let first = self.spread.first(key);
        if first == bucket { self.spread.second(key) } else { first }
    }

    /// Moves the keys of a chain that ends at a free slot; returns the slot that
    /// becomes free at its start.
    fn shift(&self, steps: &[Step; SEARCH], end: usize, free: usize) -> (u32, usize) {
        let (mut at, mut free) = (end, free);
        while let Some(from) = steps.get(usize::from(steps[at].from)) {
            let (source, slot) = (self.bucket(from.bucket), usize::from(steps[at].slot));
            let key = source.keys[slot].get();
            let value = source.values[slot].get();
            self.put(steps[at].bucket, free, key, value);
            source.keys[slot].set(0);
            (at, free) = (usize::from(steps[at].from), slot);
        }
        (steps[at].bucket, free)
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::boxed::Box;
    use std::collections::BTreeMap;
    use std::vec::Vec;

    use proptest::prelude::*;

    use super::*;
    use crate::abi::{FdbEntry, FdbKey, Target};

    type Fdb = Table<FdbKey, FdbEntry, Box<[Bucket]>>;

    const SEED: u64 = 0x5851_f42d_4c95_7f2d;

    fn fdb(bits: u32) -> Fdb {
        let buckets: Vec<_> = (0..1 << bits).map(|_| Bucket::default()).collect();
        let mut table = Table::empty(buckets.into_boxed_slice(), SEED);
        if let Some(mask) = table.wants(4 << bits) {
            table.grow(mask, |_| Ok::<_, ()>(())).unwrap();
        }
        table
    }

    fn key(n: u32) -> FdbKey {
        let [a, b, c, d] = n.to_be_bytes();
        FdbKey { mac: [2, 0, a, b, c, d], segment: 1 }
    }

    fn entry(n: u32) -> FdbEntry {
        FdbEntry { target: Target::peer(n), ..FdbEntry::default() }
    }

    #[test]
    fn nine_tenths_full_and_every_key_is_found() {
        let mut table = fdb(8);
        let count = 1024 * 9 / 10;
        for n in 0..count {
            table.insert(key(n), entry(n)).unwrap();
        }
        assert_eq!(table.len(), count as usize);
        for n in 0..count {
            assert_eq!(table.get(key(n)), Some(entry(n)), "{n}");
        }
        assert_eq!(table.iter().count(), count as usize);
        assert_eq!(table.get(key(count)), None);
    }

    #[test]
    fn a_full_table_refuses_a_key_and_keeps_the_others() {
        let mut table = fdb(4);
        let mut taken = Vec::new();
        for n in 0..1000 {
            match table.insert(key(n), entry(n)) {
                Ok(()) => taken.push(n),
                Err(Full) => assert_eq!(table.get(key(n)), None),
            }
        }
        assert!(taken.len() >= 60, "only {} of 64 slots were used", taken.len());
        assert_eq!(table.len(), taken.len());
        for n in taken {
            assert_eq!(table.get(key(n)), Some(entry(n)));
        }
    }

    #[test]
    fn most_keys_of_a_half_full_table_are_in_their_first_bucket() {
        let mut table = fdb(10);
        for n in 0..2048 {
            table.insert(key(n), entry(n)).unwrap();
        }
        let spread = table.spread();
        let first = |n: &u32| {
            let word = key(*n).to_word();
            table.bucket(spread.first(word)).find(word) != 0
        };
        let count = (0..2048).filter(first).count();
        assert!(count > 1900, "{count} of 2048");
    }

    #[test]
    fn keys_in_a_row_spread_whatever_the_seed() {
        use crate::abi::{AccessKey, PermitKey, VtepKey};
        let station = |n: u32| key(n).to_word();
        let segment = |n: u32| FdbKey { segment: n as u16 + 1, ..key(7) }.to_word();
        let vtep = |n: u32| VtepKey((0xc612_0001 + n).to_be_bytes()).to_word();
        let vni = |n: u32| PermitKey { profile: 0, vni: n }.to_word();
        let profile = |n: u32| PermitKey { profile: n, vni: 100 }.to_word();
        let vlan = |n: u32| AccessKey { ifindex: 7, vlan: n as u16, reserved: 0 }.to_word();
        let patterns: [&dyn Fn(u32) -> u64; 6] = [&station, &segment, &vtep, &vni, &profile, &vlan];
        for seed in (0..2000_u64).map(|n| n.wrapping_mul(0xbf58_476d_1ce4_e5b9)) {
            let spread = Spread::new(seed, 63);
            for (which, word_of) in patterns.iter().enumerate() {
                let (mut homes, mut alone) = ([0; 64], 0);
                for n in 0..128 {
                    homes[spread.first(word_of(n)) as usize] += 1;
                    alone += usize::from(spread.first(word_of(n)) != spread.second(word_of(n)));
                }
                // 2 a bucket on average; 13 and more come once in millions.
                let fullest = homes.iter().max().unwrap();
                assert!(*fullest < 13, "{fullest} in a bucket: pattern {which}, seed {seed:x}");
                assert!(alone > 100, "{alone} of 128 have two homes: pattern {which}");
            }
        }
    }

    #[test]
    fn room_for_the_asked_number_of_entries_at_three_quarters() {
        for entries in [1, 48, 49, 4096, 1 << 20, (1 << 20) + 1] {
            let slots = SLOTS * Spread::buckets_for(entries) as usize;
            assert!(entries as usize * 4 <= slots * 3, "{entries} in {slots}");
        }
    }

    #[test]
    fn a_value_is_never_taken_for_another_keys_while_keys_come_and_go() {
        use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
        let buckets: Vec<_> = (0..64).map(|_| Bucket::default()).collect();
        let spread = Spread::new(SEED, 63);
        let (stop, newest) = (AtomicBool::new(false), AtomicU32::new(0));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut table = Table::<FdbKey, FdbEntry, _>::empty(&buckets[..], SEED);
                table.grow(63, |_| Ok::<_, ()>(())).unwrap();
                for n in 0..200_000 {
                    newest.store(n, Ordering::Relaxed);
                    // The reader would wait for ever if this ended early.
                    let _ = table.insert(key(n), entry(n));
                    table.remove(key(n.wrapping_sub(40)));
                }
                stop.store(true, Ordering::Relaxed);
            });
            while !stop.load(Ordering::Relaxed) {
                let newest = newest.load(Ordering::Relaxed);
                for n in newest.saturating_sub(60)..newest + 10 {
                    let word = key(n).to_word();
                    for home in [spread.first(word), spread.second(word)] {
                        let found = buckets[home as usize].find(word);
                        assert!(found == 0 || FdbEntry::from_word(found) == entry(n));
                    }
                }
            }
        });
    }

    #[test]
    fn a_reader_finds_every_key_while_the_table_grows() {
        use std::sync::Mutex;
        use std::sync::atomic::{AtomicBool, Ordering};
        let buckets: Vec<_> = (0..1024).map(|_| Bucket::default()).collect();
        // The reader holds this while it uses a spread, as a packet holds RCU.
        let published = Mutex::new(Spread::new(SEED, MIN_BUCKETS - 1));
        let (known, stop) = (Mutex::new(0), AtomicBool::new(false));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut table = Table::<FdbKey, FdbEntry, _>::empty(&buckets[..], SEED);
                for n in 0..3000 {
                    if let Some(mask) = table.wants(table.len() + 1) {
                        let publish = |spread| {
                            *published.lock().unwrap() = spread;
                            Ok::<_, ()>(())
                        };
                        table.grow(mask, publish).unwrap();
                    }
                    table.insert(key(n), entry(n)).unwrap();
                    *known.lock().unwrap() = n + 1;
                }
                assert_eq!(table.iter().count(), 3000);
                stop.store(true, Ordering::Relaxed);
            });
            while !stop.load(Ordering::Relaxed) {
                let known = *known.lock().unwrap();
                for n in 0..known {
                    let spread = published.lock().unwrap();
                    let word = key(n).to_word();
                    let homes = [spread.first(word), spread.second(word), spread.first(word)];
                    let found = homes.map(|home| buckets[home as usize].find(word));
                    let found = found.into_iter().find(|found| *found != 0);
                    assert_eq!(found.map(FdbEntry::from_word), Some(entry(n)), "{n} of {known}");
                }
            }
        });
    }

    #[test]
    fn a_growth_that_is_refused_changes_nothing() {
        let mut table = fdb(6);
        let buckets: Vec<_> = (0..128).map(|_| Bucket::default()).collect();
        let mut small = Table::<FdbKey, FdbEntry, _>::empty(&buckets[..], SEED);
        for n in 0..40 {
            small.insert(key(n), entry(n)).unwrap();
            table.insert(key(n), entry(n)).unwrap();
        }
        assert_eq!(small.grow(127, |_| Err("no")), Err("no"));
        let everywhere = buckets.iter().flat_map(Bucket::entries::<FdbKey, FdbEntry>).count();
        assert_eq!((everywhere, small.iter().count()), (40, 40));
        for n in 0..40 {
            assert_eq!(small.get(key(n)), table.get(key(n)));
        }
    }

    proptest! {
        #[test]
        fn behaves_as_a_map(changes in prop::collection::vec((any::<bool>(), 0u32..80), 0..400)) {
            let buckets: Vec<_> = (0..64).map(|_| Bucket::default()).collect();
            let mut table = Table::empty(buckets.into_boxed_slice(), SEED);
            let mut map = BTreeMap::new();
            for (age, (put, n)) in changes.into_iter().enumerate() {
                let value = FdbEntry { seen: age as u32, ..entry(n) };
                if put {
                    if let Some(mask) = table.wants(table.len() + 1) {
                        table.grow(mask, |_| Ok::<_, ()>(())).unwrap();
                    }
                    prop_assert_eq!(table.insert(key(n), value), Ok(()));
                    map.insert(key(n), value);
                } else {
                    prop_assert_eq!(table.remove(key(n)), map.remove(&key(n)).is_some());
                }
                prop_assert_eq!(table.len(), map.len());
            }
            let found: BTreeMap<_, _> = table.iter().collect();
            prop_assert_eq!(&found, &map);
            for n in 0..80 {
                prop_assert_eq!(table.get(key(n)), map.get(&key(n)).copied());
            }
        }
    }
}

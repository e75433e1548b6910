//! The hash tables that the packet path reads and user space fills, in memory
//! that both see.
//!
//! A table is an array of [`Bucket`]s, each a cache line of four keys and four
//! values, all single words. A key lives in one of two buckets, in the first
//! where there is room; user space moves others out of the way (cuckoo hashing;
//! Pagh and Rodler 2004, with buckets as in Dietzfelbinger and Weidling 2007).
//! So a look-up nearly always reads one cache line and calls nothing, and a table
//! may be filled to nine tenths.
//!
//! A table uses only as many of its buckets as its entries need, so that those few
//! stay in the caches. When it grows, each key stays where it is or moves a power
//! of two of buckets up: it is copied there first, then readers are told, and only
//! then is the old copy erased.
//!
//! There is one writer ([`Table`]); readers take no lock. A word is read and
//! written whole. A value is written before its key, a key is erased before its
//! value is written anew, and a reader looks at the key again once it has the
//! value, so it does not take one key's value for another's. (That would take a key
//! that goes, and another that comes to its slot and goes, and the first that comes
//! back to it, between two loads.)

#[cfg(not(target_arch = "bpf"))]
mod table;

#[cfg(not(target_arch = "bpf"))]
pub use table::{Full, Table};

use crate::abi::Record;
use crate::word::Word;

/// Entries in a bucket.
pub const SLOTS: usize = 4;
/// Buckets of the smallest table.
pub const MIN_BUCKETS: u32 = 16;

/// A cache line of entries. Key 0 marks a free slot.
#[derive(Debug, Default)]
#[repr(C, align(64))]
pub struct Bucket {
    keys: [Word; SLOTS],
    values: [Word; SLOTS],
}

const _: () = assert!(size_of::<Bucket>() == 64);

/// A key that fits a word and is never 0.
pub trait Key: Record {
    /// The key as a word.
    fn to_word(self) -> u64;
    /// The key of a word that [`to_word`](Self::to_word) made.
    fn from_word(word: u64) -> Self;
}

/// A value that fits a word and is never 0.
pub trait Value: Record {
    /// The value as a word.
    fn to_word(self) -> u64;
    /// The value of a word that [`to_word`](Self::to_word) made.
    fn from_word(word: u64) -> Self;
}

/// Where a table's keys go: a seed that outsiders do not know, so that nobody can
/// choose addresses that all fall into one bucket, and the buckets in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spread {
    seed: u64,
    mask: u32,
}

/// Odd, with about half of its bits set.
const ODD: u64 = 0xd6e8_feb8_6659_fd93;

impl Spread {
    /// For `mask` + 1 buckets, a power of two. `seed` should be random.
    #[inline(always)]
    pub const fn new(seed: u64, mask: u32) -> Self {
        Self { seed, mask }
    }

    /// How many buckets `entries` entries need, at most three quarters full.
    pub const fn buckets_for(entries: u32) -> u32 {
        let slots = entries as u64 + entries as u64 / 3 + 1;
        let buckets = slots.div_ceil(SLOTS as u64).next_power_of_two();
        if buckets < MIN_BUCKETS as u64 { MIN_BUCKETS } else { buckets as u32 }
    }

    /// The number of buckets in use, less one.
    pub const fn mask(self) -> u32 {
        self.mask
    }

    /// The bucket that a key belongs to.
    #[inline(always)]
    pub const fn first(self, key: u64) -> u32 {
        (self.hash(key) >> 32) as u32 & self.mask
    }

    /// The bucket that it goes to where there is no room in the first.
    #[inline(always)]
    pub const fn second(self, key: u64) -> u32 {
        self.hash(key).swap_bytes() as u32 & self.mask
    }

    /// Two rounds of folding and multiplication. One would do for keys without a
    /// pattern, but addresses are numbered one after the other, and of those one
    /// multiplication in a few hundred puts dozens into the same bucket.
    #[inline(always)]
    const fn hash(self, key: u64) -> u64 {
        let key = key ^ self.seed;
        let half = (key ^ (key >> 32)).wrapping_mul(ODD);
        (half ^ (half >> 32)).wrapping_mul(self.seed | 1)
    }
}

/// Has its top bit set where the words differ, without a branch.
#[inline(always)]
const fn differ(one: u64, other: u64) -> u64 {
    let difference = one ^ other;
    difference | difference.wrapping_neg()
}

impl Bucket {
    /// The value of a key; 0 where it is not here.
    ///
    /// Which of the four slots it is in, no branch predictor can know, and a wrong
    /// guess is found out only when the line has come from memory, with all work
    /// begun meanwhile undone. So the slot is computed, and one compare, which
    /// nearly always holds, says whether the key is there and still is.
    #[inline(always)]
    pub fn find(&self, key: u64) -> u64 {
        const _: () = assert!(SLOTS == 4);
        let [zero, one, two] = [0, 1, 2].map(|slot: usize| differ(self.keys[slot].get(), key));
        // 3 unless another holds the key: 0 clears both bits, 1 the upper, 2 the lower.
        // They are added to the address one after the other: before Linux 6.10 the
        // verifier forgets the bounds of numbers that are put together with `|`.
        let (upper, lower) = (((one & zero) >> 63) as usize, ((two & zero) >> 63) as usize);
        let value = self.values.as_chunks::<2>().0[upper][lower].get();
        if self.keys.as_chunks::<2>().0[upper][lower].get() == key { value } else { 0 }
    }

    /// The place of a key's value.
    #[inline(always)]
    pub fn slot(&self, key: u64) -> Option<&Word> {
        for slot in 0..SLOTS {
            if self.keys[slot].get() == key {
                return Some(&self.values[slot]);
            }
        }
        None
    }

    /// Its entries.
    pub fn entries<K: Key, V: Value>(&self) -> impl Iterator<Item = (K, V)> + Clone + '_ {
        (0..SLOTS).filter_map(|slot| {
            let key = self.keys[slot].get();
            let value = self.values[slot].get();
            (key != 0).then(|| (K::from_word(key), V::from_word(value)))
        })
    }
}

//! A quick hash for tables that every packet looks into, with a seed that nobody outside
//! knows, so that nobody can choose addresses that all fall together.

use std::hash::{BuildHasher, Hasher, RandomState};

/// Odd, with about half of its bits set.
const ODD: u64 = 0x9e37_79b9_7f4a_7c15;

/// Makes hashers of one seed.
#[derive(Clone, Debug)]
pub struct Quick {
    seed: u64,
}

impl Default for Quick {
    fn default() -> Self {
        Self { seed: RandomState::new().hash_one(0_u64) }
    }
}

impl BuildHasher for Quick {
    type Hasher = Folding;

    fn build_hasher(&self) -> Folding {
        Folding(self.seed)
    }
}

/// Multiplies a word at a time and adds the upper half of the product to the lower.
#[derive(Debug)]
pub struct Folding(u64);

impl Folding {
    fn fold(&mut self, word: u64) {
        let product = u128::from(self.0 ^ word) * u128::from(ODD);
        self.0 = product as u64 ^ (product >> 64) as u64;
    }
}

impl Hasher for Folding {
    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        words.iter().for_each(|word| self.fold(u64::from_ne_bytes(*word)));
        if !rest.is_empty() {
            let mut word = [0; 8];
            word[..rest.len()].copy_from_slice(rest);
            self.fold(u64::from_ne_bytes(word));
        }
    }

    fn write_u16(&mut self, value: u16) {
        self.fold(u64::from(value));
    }

    fn write_u32(&mut self, value: u32) {
        self.fold(u64::from(value));
    }

    fn write_u64(&mut self, value: u64) {
        self.fold(value);
    }

    /// The length of an array: the same for every key of a table.
    fn write_usize(&mut self, _value: usize) {}

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    /// What `HashMap` uses of a hash: the lower bits for the place, the upper seven to tell
    /// apart what shares one.
    #[test]
    fn keys_in_a_row_spread() {
        let quick = Quick::default();
        for shift in [0, 8, 24] {
            let hashes: Vec<u64> =
                (0..4096_u32).map(|n| quick.hash_one((n << shift).to_be_bytes())).collect();
            let places: HashSet<u64> = hashes.iter().map(|hash| hash & 0xfff).collect();
            let least = if shift == 24 { 150 } else { 2300 };
            assert!(places.len() > least, "{} places for shift {shift}", places.len());
            let tags: HashSet<u64> = hashes.iter().map(|hash| hash >> 57).collect();
            assert!(tags.len() > 100, "{} tags", tags.len());
        }
    }

    #[test]
    fn every_table_has_a_seed_of_its_own() {
        assert_ne!(Quick::default().hash_one(7_u32), Quick::default().hash_one(7_u32));
    }
}

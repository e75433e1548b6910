//! Dense table indices that stay with their owners.

use std::collections::{BTreeMap, BTreeSet};

/// Gives each key an index from 1 to a limit.
///
/// An index that loses its key is held until it is freed, since packets on their
/// way may still come upon it. New indices go round, so that one that was freed
/// is taken again as late as possible.
#[derive(Debug)]
pub struct Indices<K> {
    by_key: BTreeMap<K, u32>,
    free: BTreeSet<u32>,
    last: u32,
}

impl<K: Ord + Clone> Indices<K> {
    /// Indices below `size`, a table's number of entries.
    pub fn below(size: u32) -> Self {
        Self { by_key: BTreeMap::new(), free: (1..size).collect(), last: 0 }
    }

    /// The key's index, a new one if it has none; `None` where all are held.
    pub fn take(&mut self, key: &K) -> Option<u32> {
        if let Some(index) = self.by_key.get(key) {
            return Some(*index);
        }
        let index = *self.free.range(self.last + 1..).next().or(self.free.first())?;
        self.free.remove(&index);
        self.by_key.insert(key.clone(), index);
        self.last = index;
        Some(index)
    }

    /// The key's index, if it has one.
    pub fn of(&self, key: &K) -> Option<u32> {
        self.by_key.get(key).copied()
    }

    /// Takes their indices from the keys that are not `kept`; they remain held.
    pub fn retain(&mut self, kept: impl Fn(&K) -> bool) {
        self.by_key.retain(|key, _| kept(key));
    }

    /// Lets an index be taken again.
    pub fn free(&mut self, index: u32) {
        self.free.insert(index);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_keep_their_indices() {
        let mut indices = Indices::below(10);
        let (a, b) = (indices.take(&"a"), indices.take(&"b"));
        assert_eq!((a, b), (Some(1), Some(2)), "0 is never used");
        indices.retain(|key| *key == "b");
        assert_eq!(indices.take(&"b"), b);
        assert_eq!(indices.of(&"a"), None);
    }

    #[test]
    fn a_lost_index_is_held_until_it_is_freed() {
        let mut indices = Indices::below(3);
        indices.take(&"a");
        indices.take(&"b");
        indices.retain(|key| *key == "b");
        assert_eq!(indices.take(&"c"), None, "1 is still held");
        indices.free(1);
        assert_eq!(indices.take(&"c"), Some(1));
    }

    #[test]
    fn freed_indices_are_taken_last() {
        let mut indices = Indices::below(4);
        indices.take(&"a");
        indices.retain(|_| false);
        indices.free(1);
        assert_eq!(indices.take(&"b"), Some(2));
        assert_eq!(indices.take(&"c"), Some(3));
        assert_eq!(indices.take(&"d"), Some(1));
        assert_eq!(indices.take(&"e"), None);
    }
}

//! Permission profiles: peers with equal sets of segments share one.

use std::collections::{BTreeMap, BTreeSet};

use overlay_common::id::SegmentId;

/// The profile of each set in use. Numbers start at 1 and are never used again:
/// a set that changes is another set, so no packet sees half of a change.
#[derive(Debug, Default)]
pub struct Profiles {
    by_set: BTreeMap<BTreeSet<SegmentId>, u32>,
    last: u32,
}

impl Profiles {
    /// The profile of a set.
    pub fn take(&mut self, set: &BTreeSet<SegmentId>) -> u32 {
        if let Some(profile) = self.by_set.get(set) {
            return *profile;
        }
        self.last += 1;
        self.by_set.insert(set.clone(), self.last);
        self.last
    }

    /// Forgets the profiles that are not `used`.
    pub fn retain(&mut self, used: &BTreeSet<u32>) {
        self.by_set.retain(|_, profile| used.contains(profile));
    }

    /// Every profile and its segments.
    pub fn iter(&self) -> impl Iterator<Item = (u32, &BTreeSet<SegmentId>)> {
        self.by_set.iter().map(|(set, profile)| (*profile, set))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_sets_share_a_profile_and_numbers_are_not_used_again() {
        let set = |ids: &[u16]| ids.iter().map(|id| SegmentId(*id)).collect::<BTreeSet<_>>();
        let mut profiles = Profiles::default();
        let ab = profiles.take(&set(&[1, 2]));
        let empty = profiles.take(&set(&[]));
        assert_eq!((ab, empty), (1, 2), "0 is the profile of every VNI");
        assert_eq!(profiles.take(&set(&[2, 1])), ab);
        profiles.retain(&BTreeSet::from([empty]));
        assert_eq!(profiles.take(&set(&[1, 2])), 3);
        assert_eq!(profiles.iter().count(), 2);
    }
}

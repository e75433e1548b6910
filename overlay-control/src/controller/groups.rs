//! Groups of ways: what the routes to peers have in common.
//!
//! A route with several next hops leads many peers the same ways. So the peers name a group,
//! and where a way is lost, it is the group's entries that change, and not thousands of peers.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;

use overlay_common::abi::{Egress, MAX_GROUPS, Way};

use super::indices::Indices;
use super::{NextHop, way};
use crate::action::Action;

const BUCKETS: usize = Way::BUCKETS as usize;

/// A group by its next hops: devices and routers.
pub type GroupKey = Vec<(u32, IpAddr)>;

/// The key of the group that a route's next hops make up.
pub fn key_of(hops: &[NextHop]) -> GroupKey {
    hops.iter().map(|hop| (hop.ifindex, hop.gateway)).collect()
}

#[derive(Debug)]
pub struct Groups {
    ids: Indices<GroupKey>,
    groups: BTreeMap<u32, Group>,
}

#[derive(Debug)]
struct Group {
    hops: Vec<NextHop>,
    /// Which next hop each entry has, and what was put there.
    entries: [(usize, Way); BUCKETS],
}

impl Default for Groups {
    fn default() -> Self {
        Self { ids: Indices::below(MAX_GROUPS), groups: BTreeMap::new() }
    }
}

impl Groups {
    /// Shares the entries of a group out among the ways there are, by the place of their next
    /// hop in the key, and returns the index of the first entry; `None` where there is no
    /// group left to be had.
    pub fn put(
        &mut self,
        hops: &[NextHop],
        ways: &[(usize, way::Way<'_>)],
        out: &mut VecDeque<Action>,
    ) -> Option<u32> {
        let id = self.ids.take(&key_of(hops))?;
        let before = self.groups.get(&id).map(|group| group.entries);
        let entries = shared_out(id, before, ways, out);
        self.groups.insert(id, Group { hops: hops.to_vec(), entries });
        Some(id * Way::BUCKETS)
    }

    /// Shares every group out anew among the ways that `find` finds now. A group without any
    /// stays as it is: its peers are told that there is none.
    pub fn refresh<'w>(
        &mut self,
        find: impl Fn(&[NextHop]) -> Vec<(usize, way::Way<'w>)>,
        out: &mut VecDeque<Action>,
    ) {
        for (id, group) in &mut self.groups {
            let ways = find(&group.hops);
            if !ways.is_empty() {
                group.entries = shared_out(*id, Some(group.entries), &ways, out);
            }
        }
    }

    /// How many groups there are.
    pub fn len(&self) -> usize {
        self.groups.len()
    }

    /// Whether there are any.
    pub fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    /// Gives up the groups that are not `used`, and returns their numbers, which are held
    /// until they are [freed](Self::free).
    pub fn retain(&mut self, used: &BTreeSet<GroupKey>) -> Vec<u32> {
        let ids: BTreeSet<u32> = used.iter().filter_map(|key| self.ids.of(key)).collect();
        self.ids.retain(|key| used.contains(key));
        let gone: Vec<u32> = self.groups.keys().copied().filter(|id| !ids.contains(id)).collect();
        for id in &gone {
            self.groups.remove(id);
        }
        gone
    }

    /// Lets a number be taken again.
    pub fn free(&mut self, id: u32) {
        self.ids.free(id);
    }
}

/// Shares a group's entries out, and puts those that change.
fn shared_out(
    id: u32,
    before: Option<[(usize, Way); BUCKETS]>,
    ways: &[(usize, way::Way<'_>)],
    out: &mut VecDeque<Action>,
) -> [(usize, Way); BUCKETS] {
    let hops: Vec<usize> = ways.iter().map(|(hop, _)| *hop).collect();
    let shares = share(before.map(|entries| entries.map(|(hop, _)| hop)), &hops);
    let entries = shares.map(|hop| {
        let way = ways.iter().find(|(at, _)| *at == hop).map(|(_, way)| entry(way));
        (hop, way.unwrap_or_default())
    });
    for (at, (_, way)) in entries.iter().enumerate() {
        if before.map(|entries| entries[at].1) != Some(*way) {
            out.push_back(Action::PutWay(id * Way::BUCKETS + at as u32, *way));
        }
    }
    entries
}

fn entry(way: &way::Way<'_>) -> Way {
    Way {
        egress: Egress { ifindex: way.uplink.ifindex, flags: way.flags },
        next_hop: way.mac,
        uplink: way.uplink.mac,
        reserved: 0,
    }
}

/// An equal share of the entries for each of the hops. What an entry had it keeps, as far as
/// that is within the share.
fn share(before: Option<[usize; BUCKETS]>, hops: &[usize]) -> [usize; BUCKETS] {
    let mut left: BTreeMap<usize, usize> = BTreeMap::new();
    for (nth, hop) in hops.iter().enumerate() {
        let more = usize::from(nth < BUCKETS % hops.len());
        left.insert(*hop, BUCKETS / hops.len() + more);
    }
    let mut take = |hop: usize| {
        let left = left.get_mut(&hop).filter(|left| **left > 0)?;
        *left -= 1;
        Some(hop)
    };
    let kept = (0..BUCKETS).map(|at| before.and_then(|before| take(before[at])));
    let kept: Vec<Option<usize>> = kept.collect();
    let mut rest = left.into_iter().flat_map(|(hop, count)| std::iter::repeat_n(hop, count));
    let mut shares = [0; BUCKETS];
    for (at, kept) in kept.into_iter().enumerate() {
        shares[at] = kept.or_else(|| rest.next()).unwrap_or_default();
    }
    shares
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(shares: [usize; BUCKETS]) -> BTreeMap<usize, usize> {
        let mut counts = BTreeMap::new();
        shares.iter().for_each(|hop| *counts.entry(*hop).or_default() += 1);
        counts
    }

    #[test]
    fn each_hop_has_an_equal_share() {
        assert_eq!(counts(share(None, &[0, 1])), BTreeMap::from([(0, 8), (1, 8)]));
        assert_eq!(counts(share(None, &[0, 1, 2])), BTreeMap::from([(0, 6), (1, 5), (2, 5)]));
        assert_eq!(counts(share(None, &[3])), BTreeMap::from([(3, 16)]));
        let many: Vec<usize> = (0..40).collect();
        assert_eq!(counts(share(None, &many)).len(), BUCKETS);
    }

    #[test]
    fn who_stays_keeps_what_it_had() {
        let all = share(None, &[0, 1, 2, 3]);
        let fewer = share(Some(all), &[0, 1, 3]);
        assert!((0..BUCKETS).all(|at| all[at] == 2 || fewer[at] == all[at]), "{all:?} {fewer:?}");
        assert_eq!(counts(fewer).values().max(), Some(&6));
        let again = share(Some(fewer), &[0, 1, 2, 3]);
        assert_eq!(counts(again), BTreeMap::from([(0, 4), (1, 4), (2, 4), (3, 4)]));
        let moved = (0..BUCKETS).filter(|at| again[*at] != fewer[*at]).count();
        assert_eq!(moved, 4, "only the fourth's share moves back");
    }
}

//! Access lists in the tables: a list that changes is put beside the old one, which goes when no
//! program can be in it any more. One that stays the same keeps its place, and its counters.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use overlay_common::abi::{FilterKey, MAX_FILTER_NODES, MAX_RULES};

use crate::acl::List;
use crate::action::Action;

/// Indices that are handed out and come back, in no order.
#[derive(Debug)]
struct Pool {
    freed: Vec<u32>,
    next: u32,
    end: u32,
}

impl Pool {
    const fn below(end: u32) -> Self {
        Self { freed: Vec::new(), next: 0, end }
    }

    fn room(&self) -> usize {
        self.freed.len() + (self.end - self.next) as usize
    }

    /// So many, which rise.
    fn take(&mut self, count: usize) -> Vec<u32> {
        let from_freed = count.min(self.freed.len());
        let mut taken = self.freed.split_off(self.freed.len() - from_freed);
        let more = (count - from_freed) as u32;
        taken.extend(self.next..self.next + more);
        self.next += more;
        taken.sort_unstable();
        taken
    }
}

/// Where a list is.
#[derive(Debug)]
pub struct Placed {
    list: Arc<List>,
    nodes: Vec<u32>,
    /// By the places of the rules.
    rules: Vec<u32>,
}

/// A list that is out of use.
#[derive(Debug)]
struct Former {
    key: FilterKey,
    placed: Placed,
    /// The rules of the list in its place that are the same as one of its own, by their indices.
    heirs: HashMap<u32, u32>,
}

/// The lists in the tables, and what is free there.
#[derive(Debug)]
pub struct Filters {
    placed: BTreeMap<FilterKey, Placed>,
    retired: BTreeMap<u64, Former>,
    last: u64,
    nodes: Pool,
    rules: Pool,
}

impl Default for Filters {
    fn default() -> Self {
        Self {
            placed: BTreeMap::new(),
            retired: BTreeMap::new(),
            last: 0,
            nodes: Pool::below(MAX_FILTER_NODES),
            rules: Pool::below(MAX_RULES),
        }
    }
}

impl Filters {
    /// The indices of a list's rules, in their order; none while it waits for room.
    pub fn rules(&self, key: &FilterKey, list: &List) -> &[u32] {
        let placed = self.placed.get(key).filter(|placed| *placed.list == *list);
        placed.map_or(&[], |placed| &placed.rules)
    }

    /// Whose rule has an index: the list, and the rule's place in it.
    pub fn place_of(&self, index: u32) -> Option<(FilterKey, usize, &List)> {
        let at = |(key, placed): (&FilterKey, &Placed)| {
            // They rise.
            let place = placed.rules.binary_search(&index).ok()?;
            Some((*key, place))
        };
        let (key, place) = self.placed.iter().find_map(at)?;
        Some((key, place, &self.placed.get(&key)?.list))
    }

    /// The indices that count for a rule: its own, and those of the same rule in lists before, of
    /// which some programs may be in one still.
    pub fn counting(&self, index: u32) -> Vec<u32> {
        let mut indices = vec![index];
        for former in self.retired.values().rev() {
            let heir = indices.last().and_then(|index| former.heirs.get(index));
            indices.extend(heir.copied());
        }
        indices
    }

    /// Puts the lists that are wanted and not there; returns what is out of use, to be freed a
    /// moment later, and whether all found room.
    pub fn put(
        &mut self,
        wanted: &BTreeMap<FilterKey, Arc<List>>,
        out: &mut VecDeque<Action>,
    ) -> (Vec<u64>, bool) {
        let (mut retired, mut has_room) = (Vec::new(), true);
        for (key, list) in wanted {
            if self.placed.get(key).is_some_and(|placed| placed.list == *list) {
                continue;
            }
            if self.nodes.room() < list.nodes() || self.rules.room() < list.rules() {
                has_room = false;
                continue;
            }
            let placed = Placed {
                nodes: self.nodes.take(list.nodes()),
                rules: self.rules.take(list.rules()),
                list: Arc::clone(list),
            };
            let (filter, nodes) = list.placed(&placed.nodes, &placed.rules);
            out.extend(nodes.map(|(index, node)| Action::PutFilterNode(index, node)));
            out.push_back(Action::PutFilter(*key, filter));
            let heirs = self.placed.get(key).map(|old| heirs(old, &placed)).unwrap_or_default();
            if let Some(old) = self.placed.insert(*key, placed) {
                retired.push(self.retire(*key, old, heirs));
            }
        }
        (retired, has_room)
    }

    /// Gives the lists up that are not wanted; returns what is out of use. Until that is freed, they
    /// are there for packets that were to be held against them: without one these are denied.
    pub fn remove_gone(&mut self, wanted: &BTreeMap<FilterKey, Arc<List>>) -> Vec<u64> {
        let gone: Vec<FilterKey> =
            self.placed.keys().filter(|key| !wanted.contains_key(key)).copied().collect();
        let mut retired = Vec::new();
        for key in gone {
            if let Some(old) = self.placed.remove(&key) {
                retired.push(self.retire(key, old, HashMap::new()));
            }
        }
        retired
    }

    fn retire(&mut self, key: FilterKey, placed: Placed, heirs: HashMap<u32, u32>) -> u64 {
        self.last += 1;
        self.retired.insert(self.last, Former { key, placed, heirs });
        self.last
    }

    /// Lets the place of a list be used again.
    pub fn free(&mut self, retired: u64, out: &mut VecDeque<Action>) {
        let Some(former) = self.retired.remove(&retired) else { return };
        let Former { key, placed: old, heirs } = former;
        if !self.placed.contains_key(&key) {
            out.push_back(Action::DelFilter(key));
        }
        out.extend(heirs.into_iter().map(|(to, from)| Action::CarryRule { from, to }));
        out.extend(old.rules.iter().copied().map(Action::DelRule));
        self.nodes.freed.extend(old.nodes);
        self.rules.freed.extend(old.rules);
    }
}

/// The rules of a new list that are the same as one of the old, by their indices: of several that
/// are the same, the first as the first.
fn heirs(old: &Placed, new: &Placed) -> HashMap<u32, u32> {
    let mut known: HashMap<String, VecDeque<u32>> = HashMap::new();
    for (rule, index) in old.list.lines().zip(&old.rules) {
        known.entry(rule.key()).or_default().push_back(*index);
    }
    let same = new.list.lines().zip(&new.rules);
    same.filter_map(|(rule, index)| Some((*index, known.get_mut(&rule.key())?.pop_front()?)))
        .collect()
}

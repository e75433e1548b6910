//! One tree: the space is cut in two by a range of one field after the other, until each part has
//! one first rule.
//!
//! A range that nearly all rules have in common is cut out first. Else the cut is at a bound, where it
//! leaves the fewest rules on the fuller side (after HyperSplit: Qi et al., INFOCOM 2009), once
//! what no rule names is off, if that is most of the field. Equal parts are one.

use std::collections::HashMap;

use overlay_common::abi::{Branch, Filter, FilterNode, FlowKey, MAX_FILTER_NODES};

use super::{Ranges, Rule};

/// Nodes, each once.
#[derive(Debug, Default)]
pub struct Nodes {
    pub all: Vec<FilterNode>,
    known: HashMap<FilterNode, u32>,
}

impl Nodes {
    fn put(&mut self, node: FilterNode) -> Branch {
        let next = self.all.len() as u32;
        let index = *self.known.entry(node).or_insert(next);
        if index == next {
            self.all.push(node);
        }
        Branch::node(index)
    }
}

/// A tree takes more work, more comparisons, or more of them on the way to a part, than it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLarge;

/// Makes the tree of some rules, which come in their order. `looks` is how often
/// rules may be looked at.
pub fn build(
    rules: &[&Rule],
    space: Ranges,
    looks: &mut usize,
    nodes: &mut Nodes,
) -> Result<Branch, TooLarge> {
    let mut builder = Builder { nodes, looks };
    builder.part(rules.to_vec(), space, 0)
}

struct Builder<'a> {
    nodes: &'a mut Nodes,
    looks: &'a mut usize,
}

/// What is cut out of a part: the values of a field from one to another.
#[derive(Clone, Copy)]
struct Cut {
    field: usize,
    from: u64,
    to: u64,
}

impl Builder<'_> {
    fn part(&mut self, rules: Vec<&Rule>, space: Ranges, depth: u32) -> Result<Branch, TooLarge> {
        let rules = first_ones(rules, &space);
        let Some(first) = rules.first() else { return Ok(Branch::NOWHERE) };
        if covers(&first.ranges, &space) {
            return Ok(Branch::leaf(first.index, first.denies));
        }
        let is_full = self.nodes.all.len() >= MAX_FILTER_NODES as usize / 2;
        if depth >= Filter::DEPTH || is_full {
            return Err(TooLarge);
        }
        *self.looks = self.looks.checked_sub(rules.len()).ok_or(TooLarge)?;
        let bound = || cut(&rules, &space);
        let (cut, rest, outside) = match common(&rules, &space).ok_or_else(bound) {
            // The rest need not be a box: whatever it has has all of the field.
            Ok(cut) => (cut, wide(&rules, cut.field, &space), space),
            Err(cut) => match hull(&rules, cut.field, &space) {
                Some(hull) => (hull, wide(&rules, cut.field, &space), space),
                None => {
                    let mut below = space;
                    below[cut.field].1 = cut.from - 1;
                    (cut, rules.clone(), below)
                }
            },
        };
        let mut inside = space;
        inside[cut.field] = (cut.from, cut.to);
        let inside = self.part(rules, inside, depth + 1)?;
        let outside = self.part(rest, outside, depth + 1)?;
        if inside == outside {
            return Ok(inside);
        }
        let node = FilterNode::new(cut.field, (cut.from, cut.to), [inside, outside]);
        Ok(self.nodes.put(node))
    }
}

/// What a rule has of a field in a part; `None` where that is all of it.
fn narrow(rule: &Rule, field: usize, space: &Ranges) -> Option<(u64, u64)> {
    let ((from, to), (start, end)) = (rule.ranges[field], space[field]);
    (from > start || to < end).then_some((from.max(start), to.min(end)))
}

/// The rules that have all of a field.
fn wide<'r>(rules: &[&'r Rule], field: usize, space: &Ranges) -> Vec<&'r Rule> {
    rules.iter().filter(|rule| narrow(rule, field, space).is_none()).copied().collect()
}

/// Those that have something of a part, up to one that has all of it.
fn first_ones<'r>(rules: Vec<&'r Rule>, space: &Ranges) -> Vec<&'r Rule> {
    let mut kept = Vec::new();
    for rule in rules {
        if !meets(&rule.ranges, space) {
            continue;
        }
        kept.push(rule);
        if covers(&rule.ranges, space) {
            break;
        }
    }
    kept
}

fn meets(a: &Ranges, b: &Ranges) -> bool {
    a.iter().zip(b).all(|((a, b), (c, d))| a <= d && c <= b)
}

fn covers(a: &Ranges, b: &Ranges) -> bool {
    a.iter().zip(b).all(|((a, b), (c, d))| a <= c && b >= d)
}

/// What nearly all rules have in common: what is not asked once is asked at each end. The others
/// have all of that field. So it is with one rule in front of another, too.
fn common(rules: &[&Rule], space: &Ranges) -> Option<Cut> {
    (0..space.len()).find_map(|field| {
        let mut narrow = rules.iter().filter_map(|rule| narrow(rule, field, space));
        let (from, to) = narrow.next()?;
        let count =
            narrow.try_fold(1, |count, range| (range == (from, to)).then_some(count + 1))?;
        let is_common = (rules.len() - count) * WIDE <= count || rules.len() == 2;
        is_common.then_some(Cut { field, from, to })
    })
}

/// From the first value of a field that rules name to the last, if that is little of what the part
/// has: most flows are beside it, such as the ports of clients beside those of services.
fn hull(rules: &[&Rule], field: usize, space: &Ranges) -> Option<Cut> {
    if !matches!(field, FlowKey::SOURCE_PORT | FlowKey::DESTINATION_PORT) {
        return None;
    }
    let (start, end) = space[field];
    let narrow = rules.iter().filter_map(|rule| narrow(rule, field, space));
    let (from, to) = narrow.reduce(|(a, b), (from, to)| (a.min(from), b.max(to)))?;
    let size = end.min(FlowKey::NO_PORT).saturating_sub(start);
    (to - from < size / LITTLE).then_some(Cut { field, from, to })
}

/// So much more than what rules name is what is little of it.
const LITTLE: u64 = 8;

/// So many rules have to share a range for each that has none there.
const WIDE: usize = 4;

/// What is above the best of each field's middle bounds.
fn cut(rules: &[&Rule], space: &Ranges) -> Cut {
    let cuts = (0..space.len()).filter_map(|field| middle(rules, space, field));
    let cost = |cut: &Cut| {
        let ranges = rules.iter().map(|rule| rule.ranges[cut.field]);
        let (mut below, mut above) = (0_usize, 0_usize);
        for (from, to) in ranges {
            below += usize::from(from < cut.from);
            above += usize::from(to >= cut.from);
        }
        (below.max(above), below + above)
    };
    // A part that no rule has wholly has a bound in it.
    cuts.min_by_key(cost).expect("a bound")
}

/// The bound in the middle of those that a field has in a part.
fn middle(rules: &[&Rule], space: &Ranges, field: usize) -> Option<Cut> {
    let (start, end) = space[field];
    let bounds = rules.iter().flat_map(|rule| {
        let (from, to) = rule.ranges[field];
        [Some(from), to.checked_add(1)]
    });
    let is_inside = |bound: &u64| *bound > start && *bound <= end;
    let mut bounds: Vec<u64> = bounds.flatten().filter(is_inside).collect();
    bounds.sort_unstable();
    bounds.dedup();
    let from = *bounds.get(bounds.len() / 2)?;
    Some(Cut { field, from, to: end })
}

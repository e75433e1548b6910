//! One tree: the space is cut in two by a range of one field after the other, until each part has
//! one first rule.
//!
//! A range that nearly all rules have in common is cut out first. Else the cut is at a bound, where it
//! leaves the fewest rules on the fuller side (after HyperSplit: Qi et al., INFOCOM 2009). Equal
//! parts are one.

use std::collections::HashMap;

use overlay_common::abi::{Branch, Filter, FilterNode, MAX_FILTER_NODES};

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
        let (cut, rest, outside) = match common(&rules, &space) {
            // The rest need not be a box: whatever it has has all of the field.
            Some(cut) => {
                let is_wide = |rule: &&&Rule| !meets_at(cut, &rule.ranges, &space);
                (cut, rules.iter().filter(is_wide).copied().collect(), space)
            }
            None => {
                let cut = cut(&rules, &space);
                let mut below = space;
                below[cut.field].1 = cut.from - 1;
                (cut, rules.clone(), below)
            }
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

/// Whether, of a part, a box has no more than what is cut out of it.
fn meets_at(cut: Cut, ranges: &Ranges, space: &Ranges) -> bool {
    let ((from, to), (start, end)) = (ranges[cut.field], space[cut.field]);
    (from.max(start), to.min(end)) == (cut.from, cut.to)
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
        let (start, end) = space[field];
        let inside = |rule: &&Rule| {
            let (from, to) = rule.ranges[field];
            (from.max(start), to.min(end))
        };
        let mut narrow = rules.iter().map(inside).filter(|range| *range != (start, end));
        let (from, to) = narrow.next()?;
        let count =
            narrow.try_fold(1, |count, range| (range == (from, to)).then_some(count + 1))?;
        let is_common = (rules.len() - count) * WIDE <= count || rules.len() == 2;
        is_common.then_some(Cut { field, from, to })
    })
}

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

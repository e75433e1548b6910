//! The trees of a list for one family: one, or where its rules cut each other up too much, several.

use overlay_common::abi::{Branch, Filter, FilterNode, FlowKey};

use super::tree::{Nodes, TooLarge, build};
use super::{Ranges, Rule};

/// Trees, and what they are made of.
#[derive(Debug)]
pub struct Compiled {
    /// The trees.
    pub trees: [Branch; Filter::TREES],
    /// The comparisons; a [`Branch`] is an index among them.
    pub nodes: Vec<FilterNode>,
}

/// A list cannot be made into trees of a reasonable size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooComplex;

/// So often each rule may be looked at, on average, for one tree, before several are tried: in each
/// part that it has something of. A tree of rules that do not overlap is some twenty parts deep.
const LOOKS_A_RULE: usize = 128;
/// And for each of several.
const LOOKS_A_RULE_OF_SEVERAL: usize = 256;
/// Small lists may cut each other up as they like.
const LOOKS: usize = 1 << 20;

/// Makes trees of the rules of one family, which come in their order; the last has everything.
///
/// # Errors
///
/// Too many of them overlap in too many ways.
pub fn compile(rules: &[Rule]) -> Result<Compiled, TooComplex> {
    let all: Vec<&Rule> = rules.iter().collect();
    let mut nodes = Nodes::default();
    let looks = LOOKS + rules.len() * LOOKS_A_RULE;
    if let Ok(tree) = build(&all, SPACE, looks, &mut nodes) {
        let mut trees = [Branch::NOWHERE; Filter::TREES];
        trees[0] = tree;
        return Ok(Compiled { trees, nodes: nodes.all });
    }
    several(rules).map_err(|TooLarge| TooComplex)
}

/// Rules that are wide in source or destination would be cut up by all that are narrow there.
fn several(rules: &[Rule]) -> Result<Compiled, TooLarge> {
    let mut nodes = Nodes::default();
    let looks = LOOKS + rules.len() * LOOKS_A_RULE_OF_SEVERAL;
    let mut trees = [Branch::NOWHERE; Filter::TREES];
    let mut places = trees.iter_mut();
    for kind in 0..Filter::TREES {
        let own: Vec<&Rule> = rules.iter().filter(|rule| kind_of(rule) == kind).collect();
        let tree = build(&own, SPACE, looks, &mut nodes)?;
        // A walk ends where no tree follows.
        if tree != Branch::NOWHERE
            && let Some(place) = places.next()
        {
            *place = tree;
        }
    }
    Ok(Compiled { trees, nodes: nodes.all })
}

/// Whether source and destination are narrow.
fn kind_of(rule: &Rule) -> usize {
    let is_narrow = |high: usize, low: usize| {
        let is_part = |(from, to): (u64, u64)| to - from < u64::from(u32::MAX) >> WIDE_BITS;
        let high_is_whole = rule.ranges[high] == SPACE[high];
        !high_is_whole && rule.ranges[high].0 != rule.ranges[high].1 || is_part(rule.ranges[low])
    };
    let source = is_narrow(FlowKey::SOURCE_HIGH, FlowKey::SOURCE_LOW);
    let destination = is_narrow(FlowKey::DESTINATION_HIGH, FlowKey::DESTINATION_LOW);
    usize::from(source) | usize::from(destination) << 1
}

/// Prefixes of fewer bits than these are wide.
const WIDE_BITS: u32 = 8;

/// Every flow.
pub const SPACE: Ranges = [(0, u64::MAX); FlowKey::FIELDS];

#[cfg(test)]
mod tests {
    use super::*;
    use overlay_common::abi::Walk;
    use proptest::prelude::*;

    /// As the path walks.
    fn walk(compiled: &Compiled, flow: &FlowKey) -> Branch {
        let mut walk = Walk::default();
        walk.flow = *flow;
        walk.begin(&compiled.trees);
        let node = |index: u32| compiled.nodes.get(index as usize);
        assert!((0..Filter::TURNS).any(|_| walk.turn(node)), "a walk without an end");
        walk.rule().expect("a rule")
    }

    fn linear(rules: &[Rule], flow: &FlowKey) -> Branch {
        let rule = rules.iter().find(|rule| rule.holds(flow)).expect("the last has everything");
        Branch::leaf(rule.index, rule.denies)
    }

    fn last(index: u32) -> Rule {
        Rule { ranges: SPACE, index, denies: true }
    }

    fn range(bits: u32) -> impl Strategy<Value = (u64, u64)> {
        let most = (1_u64 << bits) - 1;
        prop_oneof![
            2 => Just((0, u64::MAX)),
            2 => (0..=most).prop_map(|at| (at, at)),
            2 => (0..=most, 0..=most).prop_map(|(a, b)| (a.min(b), a.max(b))),
            1 => (0..=most).prop_map(|at| (at, u64::MAX)),
        ]
    }

    fn ranges() -> impl Strategy<Value = Ranges> {
        [range(2), range(4), range(2), range(4), range(3), range(4), range(4), range(1)]
    }

    fn flow() -> impl Strategy<Value = FlowKey> {
        let up_to = |bits: u32| 0..1_u64 << bits;
        [up_to(2), up_to(4), up_to(2), up_to(4), up_to(3), up_to(4), up_to(4), up_to(1)]
            .prop_map(|fields| FlowKey { fields })
    }

    proptest! {
        #[test]
        fn a_tree_finds_the_first_rule(
            boxes in proptest::collection::vec((ranges(), any::<bool>()), 0..12),
            flows in proptest::collection::vec(flow(), 64),
        ) {
            let mut rules: Vec<Rule> = (7..)
                .zip(boxes)
                .map(|(index, (ranges, denies))| Rule { ranges, index, denies })
                .collect();
            rules.push(last(7 + rules.len() as u32));
            let one = compile(&rules);
            let several = several(&rules);
            for flow in &flows {
                let wanted = linear(&rules, flow);
                if let Ok(one) = &one {
                    prop_assert_eq!(walk(one, flow), wanted);
                }
                if let Ok(several) = &several {
                    prop_assert_eq!(walk(several, flow), wanted);
                }
            }
        }
    }

    /// A generator of numbers that is always the same.
    struct Numbers(u64);

    impl Numbers {
        fn below(&mut self, most: u64) -> u64 {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (self.0 >> 33) % most
        }
    }

    /// As operators write them: hosts and networks to services, services for everybody, ports.
    fn a_list(count: u32, numbers: &mut Numbers) -> Vec<Rule> {
        let mut rules: Vec<Rule> = (0..count)
            .map(|index| {
                let mut ranges = SPACE;
                let kind = numbers.below(10);
                let network = |len: u64, numbers: &mut Numbers| {
                    let size = 1_u64 << (32 - len);
                    let at = (10 << 24 | numbers.below(1 << 24)) / size * size;
                    (at, at + size - 1)
                };
                if kind != 0 {
                    let len = [32, 32, 24, 24, 16][numbers.below(5) as usize];
                    ranges[FlowKey::SOURCE_LOW] = network(len, numbers);
                }
                if kind != 1 {
                    let len = [32, 32, 28, 24][numbers.below(4) as usize];
                    ranges[FlowKey::DESTINATION_LOW] = network(len, numbers);
                }
                let protocol = [6, 6, 17, 1][numbers.below(4) as usize];
                ranges[FlowKey::PROTOCOL] = (protocol, protocol);
                if protocol != 1 && numbers.below(4) != 0 {
                    let port = [22, 53, 80, 443, 8080, 5432][numbers.below(6) as usize];
                    let to = if numbers.below(5) == 0 { port + 100 } else { port };
                    ranges[FlowKey::DESTINATION_PORT] = (port, to);
                    ranges[FlowKey::TRANSPORT] = (0, 0);
                }
                Rule { ranges, index, denies: numbers.below(3) == 0 }
            })
            .collect();
        rules.push(last(count));
        rules
    }

    /// Hosts that are denied, and ports that are permitted to all: one tree would have a part for
    /// each of both, and of the four there are two.
    #[test]
    fn of_several_trees_each_is_walked() {
        let boxes = |field: usize, value: u64| {
            let mut ranges = SPACE;
            ranges[field] = (value, value);
            ranges
        };
        let hosts = (0..2_000).map(|host| (boxes(FlowKey::DESTINATION_LOW, host * 2), true));
        let ports = (0..2_000).map(|port| (boxes(FlowKey::DESTINATION_PORT, port * 2), false));
        let mut rules: Vec<Rule> = (0..)
            .zip(hosts.chain(ports))
            .map(|(index, (ranges, denies))| Rule { ranges, index, denies })
            .collect();
        rules.push(last(4_000));
        let compiled = compile(&rules).expect("compiled");
        let count = compiled.trees.iter().filter(|tree| **tree != Branch::NOWHERE).count();
        assert_eq!(count, 2, "{:?}", compiled.trees);
        for (host, port) in [(0, 0), (1, 0), (0, 1), (1, 1), (3_998, 3_998), (3_999, 3_998)] {
            let mut flow = FlowKey::default();
            flow.fields[FlowKey::DESTINATION_LOW] = host;
            flow.fields[FlowKey::DESTINATION_PORT] = port;
            assert_eq!(walk(&compiled, &flow), linear(&rules, &flow), "{host} {port}");
        }
    }

    #[test]
    fn ten_thousand_rules_are_walked_in_a_few_dozen_comparisons() {
        let mut numbers = Numbers(7);
        let rules = a_list(10_000, &mut numbers);
        let compiled = compile(&rules).expect("compiled");
        println!("{} comparisons for {} rules", compiled.nodes.len(), rules.len());
        assert!(compiled.nodes.len() < 1 << 18, "{}", compiled.nodes.len());
        for number in 0..5_000 {
            let rule = &rules[numbers.below(rules.len() as u64) as usize];
            let mut flow = FlowKey::default();
            for (value, (from, to)) in flow.fields.iter_mut().zip(rule.ranges) {
                let size = (to - from).saturating_add(1).min(1 << 32);
                *value = from + numbers.below(size);
            }
            // Now and then just outside.
            if number % 3 == 0 {
                let field = numbers.below(FlowKey::FIELDS as u64) as usize;
                flow.fields[field] = flow.fields[field].wrapping_add(1);
            }
            assert_eq!(walk(&compiled, &flow), linear(&rules, &flow));
        }
    }
}

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

impl Compiled {
    /// Whether there is more than one tree.
    pub fn is_forest(&self) -> bool {
        self.trees[1] != Branch::NOWHERE
    }
}

/// A list cannot be made into trees of a reasonable size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooComplex;

/// How often rules may be looked at, in each part that they have something of, until all lists are
/// compiled: what bounds the time that takes, whatever the lists are.
#[derive(Debug)]
pub struct Looks(usize);

impl Looks {
    /// For so many rules. Some twenty parts deep is a tree of rules that hardly overlap.
    pub const fn at(rules: usize) -> Self {
        Self((1 << 22) + rules * 512)
    }

    /// What one tree may take of them before several are tried.
    fn of_one(&self, rules: usize) -> usize {
        (self.0 / 2).min((1 << 20) + rules * 128)
    }
}

/// Makes trees of the rules of one family, which come in their order; the last has everything.
///
/// # Errors
///
/// Too many of them overlap in too many ways.
pub fn compile(rules: &[Rule], looks: &mut Looks) -> Result<Compiled, TooComplex> {
    let all: Vec<&Rule> = rules.iter().collect();
    let mut nodes = Nodes::default();
    let most = looks.of_one(rules.len());
    let mut left = most;
    let tree = build(&all, SPACE, &mut left, &mut nodes);
    looks.0 -= most - left;
    if let Ok(tree) = tree {
        let mut trees = [Branch::NOWHERE; Filter::TREES];
        trees[0] = tree;
        return Ok(Compiled { trees, nodes: nodes.all });
    }
    several(rules, looks).map_err(|TooLarge| TooComplex)
}

/// Rules that are wide in source or destination would be cut up by all that are narrow there.
fn several(rules: &[Rule], looks: &mut Looks) -> Result<Compiled, TooLarge> {
    let mut nodes = Nodes::default();
    let mut trees = [Branch::NOWHERE; Filter::TREES];
    let mut places = trees.iter_mut();
    for kind in 0..Filter::TREES {
        let own: Vec<&Rule> = rules.iter().filter(|rule| kind_of(rule) == kind).collect();
        let tree = build(&own, SPACE, &mut looks.0, &mut nodes)?;
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
        let size = |field: usize| {
            let (from, to) = rule.ranges[field];
            to - from
        };
        // Of IPv4 all is in the lower half, as of what is shorter than 64 bits of IPv6 in the upper.
        size(high) < u64::MAX >> WIDE_BITS || size(low) < u64::from(u32::MAX) >> WIDE_BITS
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
    use overlay_common::abi::{Comparisons, walk};
    use proptest::prelude::*;

    /// What says where the trees are has the index behind all comparisons.
    struct Beside<'a>(&'a Compiled, FilterNode);

    impl Comparisons for Beside<'_> {
        fn at(&self, place: u32) -> Option<&FilterNode> {
            let index = place as usize / size_of::<FilterNode>();
            Some(self.0.nodes.get(index).unwrap_or(&self.1))
        }
    }

    /// As the path walks.
    fn walked(compiled: &Compiled, flow: &FlowKey) -> Branch {
        let forest = Branch::forest(compiled.nodes.len() as u32);
        let root = if compiled.is_forest() { forest } else { compiled.trees[0] };
        let all = Beside(compiled, FilterNode::forest(compiled.trees));
        walk(root, flow, &all).expect("a rule")
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
            let one = compile(&rules, &mut Looks::at(rules.len()));
            let several = several(&rules, &mut Looks::at(rules.len()));
            for flow in &flows {
                let wanted = linear(&rules, flow);
                if let Ok(one) = &one {
                    prop_assert_eq!(walked(one, flow), wanted);
                }
                if let Ok(several) = &several {
                    prop_assert_eq!(walked(several, flow), wanted);
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
                }
                Rule { ranges, index, denies: numbers.below(3) == 0 }
            })
            .collect();
        rules.push(last(count));
        rules
    }

    /// Networks of IPv6 that are denied, and others that are permitted: /64s are narrow.
    #[test]
    fn networks_of_64_bits_are_narrow() {
        let box_of = |field: usize, value: u64| {
            let mut ranges = SPACE;
            ranges[field] = (value, value);
            ranges
        };
        let from = (0..2_000).map(|at| (box_of(FlowKey::SOURCE_HIGH, (1 << 40) + at * 2), true));
        let to =
            (0..2_000).map(|at| (box_of(FlowKey::DESTINATION_HIGH, (1 << 41) + at * 2), false));
        let mut rules: Vec<Rule> = (0..)
            .zip(from.chain(to))
            .map(|(index, (ranges, denies))| Rule { ranges, index, denies })
            .collect();
        rules.push(last(4_000));
        let compiled = compile(&rules, &mut Looks(1 << 19)).expect("compiled");
        let count = compiled.trees.iter().filter(|tree| **tree != Branch::NOWHERE).count();
        assert_eq!(count, 3, "{:?}", compiled.trees);
        for (from, to) in [(0, 0), (1, 0), (0, 1), (1, 1), (3_998, 3_998)] {
            let mut flow = FlowKey::default();
            flow.fields[FlowKey::SOURCE_HIGH] = 1 << 40 | from;
            flow.fields[FlowKey::DESTINATION_HIGH] = 1 << 41 | to;
            assert_eq!(walked(&compiled, &flow), linear(&rules, &flow), "{from} {to}");
        }
    }

    /// The work is bounded, not the time.
    #[test]
    fn what_overlaps_in_too_many_ways_is_refused_soon() {
        let mut numbers = Numbers(3);
        let mut rules: Vec<Rule> = (0..3_000)
            .map(|index| {
                let mut ranges = SPACE;
                let field = FlowKey::FIELDS - 5 + numbers.below(4) as usize;
                let at = numbers.below(60_000);
                ranges[field] = (at, at + numbers.below(3_000));
                Rule { ranges, index, denies: index % 2 == 0 }
            })
            .collect();
        rules.push(last(3_000));
        let mut looks = Looks(1 << 17);
        assert_eq!(compile(&rules, &mut looks).err(), Some(TooComplex));
        assert!(looks.0 < rules.len(), "{looks:?} are left");
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
        let compiled = compile(&rules, &mut Looks(1 << 19)).expect("compiled");
        let count = compiled.trees.iter().filter(|tree| **tree != Branch::NOWHERE).count();
        assert_eq!(count, 2, "{:?}", compiled.trees);
        for (host, port) in [(0, 0), (1, 0), (0, 1), (1, 1), (3_998, 3_998), (3_999, 3_998)] {
            let mut flow = FlowKey::default();
            flow.fields[FlowKey::DESTINATION_LOW] = host;
            flow.fields[FlowKey::DESTINATION_PORT] = port;
            assert_eq!(walked(&compiled, &flow), linear(&rules, &flow), "{host} {port}");
        }
    }

    /// Counts what is compared.
    struct Counted<'a>(Beside<'a>, std::cell::Cell<u32>);

    impl Comparisons for Counted<'_> {
        fn at(&self, place: u32) -> Option<&FilterNode> {
            self.1.update(|count| count + 1);
            self.0.at(place)
        }
    }

    /// Most ports are no services'.
    #[test]
    fn ports_beyond_those_that_rules_name_take_one_comparison() {
        let service = |port| {
            let mut ranges = SPACE;
            ranges[FlowKey::PROTOCOL] = (17, 17);
            ranges[FlowKey::DESTINATION_PORT] = (port, port);
            ranges
        };
        let mut rules: Vec<Rule> = (0..)
            .zip(1..=10)
            .map(|(index, port)| Rule { ranges: service(port * 100), index, denies: true })
            .collect();
        rules.push(last(10));
        let compiled = compile(&rules, &mut Looks::at(rules.len())).expect("compiled");
        let comparisons = |port| {
            let mut flow = FlowKey::default();
            flow.fields[FlowKey::PROTOCOL] = 17;
            flow.fields[FlowKey::DESTINATION_PORT] = port;
            let beside = Beside(&compiled, FilterNode::forest(compiled.trees));
            let counted = Counted(beside, 0.into());
            assert_eq!(walk(compiled.trees[0], &flow, &counted), Some(linear(&rules, &flow)));
            counted.1.get()
        };
        // One more for the protocol.
        assert_eq!([99, 1_001, 6_000, FlowKey::NO_PORT].map(comparisons), [2; 4]);
        assert!((100..=1_000).all(|port| (3..=7).contains(&comparisons(port))));
    }

    #[test]
    fn ten_thousand_rules_are_walked_in_a_few_dozen_comparisons() {
        let mut numbers = Numbers(7);
        let rules = a_list(10_000, &mut numbers);
        let mut looks = Looks::at(rules.len());
        let compiled = compile(&rules, &mut looks).expect("compiled");
        let (comparisons, most) = (compiled.nodes.len(), Looks::at(rules.len()).0);
        println!("{comparisons} comparisons, {} of {most} looks", most - looks.0);
        assert!(most - looks.0 < most / 3, "no room for lists that are worse");
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
            assert_eq!(walked(&compiled, &flow), linear(&rules, &flow));
        }
    }
}

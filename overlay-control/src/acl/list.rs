//! An access list as the configuration has it, and compiled.

use std::fmt;
use std::net::IpAddr;

use overlay_common::abi::{Branch, Filter, FilterNode, FlowKey};
use overlay_common::wire::{Family, protocol};

use super::build::SPACE;
use super::{Compiled, Looks, Ranges, Rule, TooComplex, compile};
use crate::config::Prefix;

/// One rule.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    /// Whether what it is for passes.
    pub permits: bool,
    /// The protocol or next header; `None`: any.
    pub protocol: Option<u8>,
    /// Where packets come from.
    pub source: Option<Prefix>,
    /// Where they go.
    pub destination: Option<Prefix>,
    /// Source ports, from and to.
    pub source_port: Option<(u16, u16)>,
    /// Destination ports.
    pub destination_port: Option<(u16, u16)>,
    /// ICMP's type.
    pub icmp_type: Option<u8>,
}

/// A list of one direction, and its trees. Rules have the indices of their places; behind them come
/// neighbour discovery, without which nothing of IPv6 goes anywhere, and the default.
#[derive(Debug)]
pub struct List {
    /// The rules, in their order.
    pub entries: Vec<Entry>,
    /// Whether what no rule is for passes.
    pub permits: bool,
    trees: [Compiled; 2],
}

/// Two lists are the same if their rules are.
impl PartialEq for List {
    fn eq(&self, other: &Self) -> bool {
        self.entries == other.entries && self.permits == other.permits
    }
}

impl Eq for List {}

/// Neighbour solicitation and advertisement (RFC 4861): what ARP is to IPv4.
const DISCOVERY: (u64, u64) = (135, 136);

/// A rule as people are told of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Its place, from 1; `None` of what every list has behind its own rules.
    pub position: Option<usize>,
    /// Whether what it is for passes.
    pub permits: bool,
    /// What it is for, in the configuration's words.
    pub text: String,
}

impl Line {
    /// What tells it from others, wherever it stands.
    pub fn key(&self) -> String {
        format!("{} {}", self.permits, self.text)
    }
}

impl List {
    /// Rules that every list has beside its own.
    pub const BESIDE: usize = 2;

    /// Every rule, in the order of the indices.
    pub fn lines(&self) -> impl Iterator<Item = Line> {
        let own = (1..).zip(&self.entries).map(|(position, entry)| Line {
            position: Some(position),
            permits: entry.permits,
            text: entry.to_string(),
        });
        let beside = |permits, text: &str| Line { position: None, permits, text: text.to_owned() };
        own.chain([beside(true, "neighbour discovery"), beside(self.permits, "default")])
    }

    /// Compiles a list.
    ///
    /// # Errors
    ///
    /// As for [`within`](Self::within).
    pub fn new(entries: Vec<Entry>, permits: bool) -> Result<Self, TooComplex> {
        let mut looks = Looks::at(entries.len());
        Self::within(entries, permits, &mut looks)
    }

    /// Compiles one of several lists, which may take so much work together.
    ///
    /// # Errors
    ///
    /// Too many of the rules overlap in too many ways.
    pub fn within(
        entries: Vec<Entry>,
        permits: bool,
        looks: &mut Looks,
    ) -> Result<Self, TooComplex> {
        let mut of = |family| compile(&rules(&entries, permits, family), looks);
        let trees = [of(Family::V4)?, of(Family::V6)?];
        Ok(Self { entries, permits, trees })
    }

    /// How many rules it has, with those that every list has.
    pub fn rules(&self) -> usize {
        self.entries.len() + Self::BESIDE
    }

    /// How many comparisons, with what says where the trees are.
    pub fn nodes(&self) -> usize {
        let of = |trees: &Compiled| trees.nodes.len() + usize::from(trees.is_forest());
        self.trees.iter().map(of).sum()
    }

    /// The list in terms of table indices: its comparisons are at `nodes`, its rules at `rules`,
    /// which rise.
    pub fn placed(
        &self,
        nodes: &[u32],
        rules: &[u32],
    ) -> (Filter, impl Iterator<Item = (u32, FilterNode)>) {
        let mut placed = Vec::with_capacity(nodes.len());
        let mut rest = nodes;
        let roots = self.trees.each_ref().map(|compiled| {
            let (own, behind) = rest.split_at(compiled.nodes.len());
            rest = behind;
            let place = |branch: Branch| match branch {
                Branch::NOWHERE => branch,
                leaf if leaf.is_leaf() => Branch::leaf(rules[leaf.rule() as usize], leaf.denies()),
                node => Branch::node(own[node.index() as usize]),
            };
            let own_places = compiled.nodes.iter().zip(own);
            placed.extend(own_places.map(|(node, index)| (*index, node.placed(place))));
            let trees = compiled.trees.map(place);
            match rest.split_first().filter(|_| compiled.is_forest()) {
                None => trees[0],
                Some((index, behind)) => {
                    rest = behind;
                    placed.push((*index, FilterNode::forest(trees)));
                    Branch::forest(*index)
                }
            }
        });
        (Filter { roots }, placed.into_iter())
    }
}

/// The rules of one family.
fn rules(entries: &[Entry], permits: bool, family: Family) -> Vec<Rule> {
    let own = (0..).zip(entries).flat_map(|(index, entry)| {
        let denies = !entry.permits;
        let ranges = entry.ranges(family).into_iter().chain(entry.hidden(family));
        ranges.map(move |ranges| Rule { ranges, index, denies })
    });
    let behind = entries.len() as u32;
    let mut discovery = SPACE;
    discovery[FlowKey::PROTOCOL] = only(protocol::ICMPV6);
    discovery[FlowKey::DESTINATION_PORT] = (DISCOVERY.0 << 8, DISCOVERY.1 << 8 | 0xff);
    let discovery = Rule { ranges: discovery, index: behind, denies: false };
    let discovery = (family == Family::V6).then_some(discovery);
    let last = Rule { ranges: SPACE, index: behind + 1, denies: !permits };
    own.chain(discovery).chain([last]).collect()
}

const fn only(value: u8) -> (u64, u64) {
    (value as u64, value as u64)
}

impl Entry {
    /// The values that it is for, where it is for any packet of a family.
    fn ranges(&self, family: Family) -> Option<Ranges> {
        let other = match family {
            Family::V4 => protocol::ICMPV6,
            Family::V6 => protocol::ICMP,
        };
        if self.protocol == Some(other) {
            return None;
        }
        let mut ranges = SPACE;
        let ends = [
            (self.source, FlowKey::SOURCE_HIGH, FlowKey::SOURCE_LOW),
            (self.destination, FlowKey::DESTINATION_HIGH, FlowKey::DESTINATION_LOW),
        ];
        for (prefix, high, low) in ends {
            let Some(prefix) = prefix else { continue };
            (ranges[high], ranges[low]) = halves(prefix, family)?;
        }
        if let Some(protocol) = self.protocol {
            ranges[FlowKey::PROTOCOL] = only(protocol);
        }
        let ports = [
            (self.source_port, FlowKey::SOURCE_PORT),
            (self.destination_port, FlowKey::DESTINATION_PORT),
        ];
        for (range, field) in ports {
            let Some((from, to)) = range else { continue };
            ranges[field] = (from.into(), to.into());
        }
        if let Some(kind) = self.icmp_type {
            let kind = u64::from(kind) << 8;
            ranges[FlowKey::DESTINATION_PORT] = (kind, kind | 0xff);
        }
        Some(ranges)
    }

    /// The values that it is for as well, where it denies a protocol that may hide behind IPv6's
    /// extension headers: what stands there cannot be told from it.
    fn hidden(&self, family: Family) -> Option<Ranges> {
        if family == Family::V4 || self.permits {
            return None;
        }
        self.protocol?;
        let mut ranges = self.ranges(family)?;
        for field in [FlowKey::PROTOCOL, FlowKey::SOURCE_PORT, FlowKey::DESTINATION_PORT] {
            ranges[field] = SPACE[field];
        }
        ranges[FlowKey::TRANSPORT] = (FlowKey::HIDDEN, FlowKey::HIDDEN);
        Some(ranges)
    }
}

/// The values of an address's two halves; `None` where it is of the other family.
fn halves(prefix: Prefix, family: Family) -> Option<((u64, u64), (u64, u64))> {
    match (prefix.network().address, prefix.last(), family) {
        (IpAddr::V4(from), IpAddr::V4(to), Family::V4) => {
            Some(((0, u64::MAX), (from.to_bits().into(), to.to_bits().into())))
        }
        (IpAddr::V6(from), IpAddr::V6(to), Family::V6) => {
            let [from, to] = [from, to].map(|address| address.to_bits());
            let half = |bits: u128, shift: u32| (bits >> shift) as u64;
            let both = |shift| (half(from, shift), half(to, shift));
            // A prefix of less than 64 bits has every lower half.
            Some((both(64), both(0)))
        }
        _ => None,
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.protocol {
            None => f.write_str("any")?,
            Some(number) => write!(f, "{}", Protocol(number))?,
        }
        let end = |f: &mut fmt::Formatter<'_>, what, prefix: Option<Prefix>, ports| {
            if let Some(prefix) = prefix {
                write!(f, " {what} {prefix}")?;
            }
            match ports {
                Some((from, to)) if from == to => write!(f, " {what}_port {from}"),
                Some((from, to)) => write!(f, " {what}_port {from}-{to}"),
                None => Ok(()),
            }
        };
        end(f, "source", self.source, self.source_port)?;
        end(f, "destination", self.destination, self.destination_port)?;
        match self.icmp_type {
            Some(kind) => write!(f, " icmp_type {kind}"),
            None => Ok(()),
        }
    }
}

/// A protocol by its name, where it has one here.
pub struct Protocol(pub u8);

impl Protocol {
    /// Those that have a name.
    pub const NAMED: [(&'static str, u8); 5] = [
        ("tcp", protocol::TCP),
        ("udp", protocol::UDP),
        ("sctp", protocol::SCTP),
        ("icmp", protocol::ICMP),
        ("icmpv6", protocol::ICMPV6),
    ];
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match Self::NAMED.iter().find(|(_, number)| *number == self.0) {
            Some((name, _)) => f.write_str(name),
            None => write!(f, "{}", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefix(text: &str) -> Option<Prefix> {
        Some(Prefix::parse(text).unwrap())
    }

    #[test]
    fn an_entry_is_for_packets_of_its_family() {
        let v4 = Entry { source: prefix("10.1.0.0/16"), ..Entry::default() };
        assert_eq!(v4.ranges(Family::V6), None);
        let ranges = v4.ranges(Family::V4).unwrap();
        assert_eq!(ranges[FlowKey::SOURCE_LOW], (0x0a01_0000, 0x0a01_ffff));
        let v6 = Entry { destination: prefix("fd00:1::/32"), ..Entry::default() };
        assert_eq!(v6.ranges(Family::V4), None);
        let ranges = v6.ranges(Family::V6).unwrap();
        let wanted = (0xfd00_0001_0000_0000, 0xfd00_0001_ffff_ffff);
        assert_eq!(ranges[FlowKey::DESTINATION_HIGH], wanted);
        assert_eq!(ranges[FlowKey::DESTINATION_LOW], (0, u64::MAX));
        let host = Entry { source: prefix("fd00::5/128"), ..Entry::default() };
        let ranges = host.ranges(Family::V6).unwrap();
        assert_eq!(ranges[FlowKey::SOURCE_LOW], (5, 5));
        let ping = Entry { protocol: Some(1), icmp_type: Some(8), ..Entry::default() };
        assert_eq!(ping.ranges(Family::V6), None);
        assert_eq!(ping.ranges(Family::V4).unwrap()[FlowKey::DESTINATION_PORT], (0x800, 0x8ff));
    }

    #[test]
    fn entries_are_shown_in_the_configurations_words() {
        let entry = Entry {
            permits: true,
            protocol: Some(6),
            source: prefix("10.0.0.0/8"),
            destination_port: Some((80, 443)),
            ..Entry::default()
        };
        let text = "tcp source 10.0.0.0/8 destination_port 80-443";
        assert_eq!(entry.to_string(), text);
        let entry = Entry { protocol: Some(89), source_port: Some((5, 5)), ..Entry::default() };
        assert_eq!(entry.to_string(), "89 source_port 5");
        assert_eq!(Entry::default().to_string(), "any");
    }

    #[test]
    fn a_list_may_be_placed_anywhere() {
        let entries = (0..20)
            .map(|i| Entry {
                permits: i % 2 == 0,
                destination: prefix(&format!("10.0.{i}.0/24")),
                ..Entry::default()
            })
            .collect();
        let list = List::new(entries, false).unwrap();
        let nodes: Vec<u32> = (0..list.nodes() as u32).map(|i| 1000 - i * 3).collect();
        let rules: Vec<u32> = (0..list.rules() as u32).map(|i| 7 + i * 2).collect();
        let (filter, placed) = list.placed(&nodes, &rules);
        let placed: std::collections::HashMap<u32, FilterNode> = placed.collect();
        assert_eq!(placed.len(), list.nodes());
        for (third, rule) in [(0, 7), (1, 9), (19, 7 + 38), (20, 7 + 42)] {
            let mut flow = FlowKey::default();
            flow.fields[FlowKey::DESTINATION_LOW] = 10 << 24 | third << 8 | 5;
            let mut at = filter.roots[0];
            while !at.is_leaf() {
                let node = placed[&at.index()];
                at = node.branch(flow.fields[node.field()]);
            }
            assert_eq!((at.rule(), at.denies()), (rule, third % 2 == 1 || third == 20));
        }
    }
}

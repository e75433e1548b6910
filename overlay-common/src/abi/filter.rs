//! Access lists, as trees of comparisons.
//!
//! A rule is a box in the space of a flow's fields. User space cuts that space up until each part
//! has one first rule: a packet is compared with one range after the other, and ends at a rule.
//! So what a list costs grows with the logarithm of its length. Lists whose boxes cut each other up
//! too much are several trees, of which the earliest rule counts.

use super::{Policed, record};
use crate::path::unknown;
use crate::wire::Family;

/// A packet's fields, as numbers in host order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(C)]
pub struct FlowKey {
    /// By the indices below.
    pub fields: [u64; FlowKey::FIELDS],
}
record!(FlowKey, 64);

impl FlowKey {
    /// How many fields there are.
    pub const FIELDS: usize = 8;
    /// The upper half of an IPv6 source address; 0 of IPv4.
    pub const SOURCE_HIGH: usize = 0;
    /// The lower half, or the IPv4 source address.
    pub const SOURCE_LOW: usize = 1;
    /// The same of the destination.
    pub const DESTINATION_HIGH: usize = 2;
    /// The same of the destination.
    pub const DESTINATION_LOW: usize = 3;
    /// The protocol or next header.
    pub const PROTOCOL: usize = 4;
    /// The source port of TCP, UDP and SCTP, [`NO_PORT`](Self::NO_PORT) where the transport header
    /// is not here; else 0.
    pub const SOURCE_PORT: usize = 5;
    /// The destination port, likewise; of ICMP, the type, and below it the code in 8 bits; else 0.
    pub const DESTINATION_PORT: usize = 6;
    /// More than any port.
    pub const NO_PORT: u64 = 1 << 16;
    /// Where the transport header is: one of the next three.
    pub const TRANSPORT: usize = 7;
    /// Here, if the protocol has one.
    pub const HERE: u64 = 0;
    /// In another fragment.
    pub const ELSEWHERE: u64 = 1;
    /// Behind extension headers that nobody looked behind; the protocol is the first of these.
    pub const HIDDEN: u64 = 2;
}

/// Where a comparison leads: to another one, or to a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct Branch(pub u32);
record!(Branch, 4);

impl Branch {
    const LEAF: u32 = 1 << 31;
    const FOREST: u32 = 1 << 30;
    const DENY: u32 = 1;
    /// The place of a comparison in bytes, so that a walk need not multiply.
    const PLACE: u32 = (1 << 28) - 1;
    const SHIFT: u32 = size_of::<FilterNode>().ilog2();

    /// To a rule, by its index in `RULES`: of two rules, the one with the lower index counts.
    pub const fn leaf(rule: u32, denies: bool) -> Self {
        Self(Self::LEAF | rule << 1 | denies as u32)
    }

    /// To no rule: one behind all others. The bits for a field are free here too.
    pub const NOWHERE: Self = Self(!FilterNode::FIELD_MASK);

    /// To a comparison, by its index in `FILTER_NODES`.
    pub const fn node(index: u32) -> Self {
        Self(index << Self::SHIFT & Self::PLACE)
    }

    /// To several trees, by the index of [`FilterNode::forest`]; only where a walk begins.
    pub const fn forest(index: u32) -> Self {
        Self(Self::node(index).0 | Self::FOREST)
    }

    /// Whether this is a rule, or nowhere.
    #[inline(always)]
    pub const fn is_leaf(self) -> bool {
        self.0 & Self::LEAF != 0
    }

    /// Whether this is several trees.
    #[inline(always)]
    pub const fn is_forest(self) -> bool {
        self.0 & (Self::LEAF | Self::FOREST) == Self::FOREST
    }

    /// Where a comparison is, in bytes from the first.
    #[inline(always)]
    pub const fn place(self) -> u32 {
        self.0 & Self::PLACE
    }

    /// The index of a comparison.
    pub const fn index(self) -> u32 {
        self.place() >> Self::SHIFT
    }

    /// The index of a rule.
    #[inline(always)]
    pub const fn rule(self) -> u32 {
        (self.0 & !Self::LEAF) >> 1
    }

    /// Whether a rule denies.
    #[inline(always)]
    pub const fn denies(self) -> bool {
        self.0 & Self::DENY != 0
    }
}

/// A comparison of a field with a range; or the trees of a list, where they are several.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(C)]
pub struct FilterNode {
    /// Where the range begins.
    from: u64,
    /// How much more its last value is.
    width: u64,
    /// The [`Branch`] of what is inside, and the field in three bits of it.
    inside: u32,
    /// That of the rest.
    outside: u32,
    reserved: u64,
}
record!(FilterNode, 32);

impl FilterNode {
    const FIELD_SHIFT: u32 = 28;
    const FIELD_MASK: u32 = 0b111 << Self::FIELD_SHIFT;

    /// A comparison of a field. (A rule's number is below 2²⁷.)
    pub const fn new(field: usize, (from, to): (u64, u64), [inside, outside]: [Branch; 2]) -> Self {
        let bits = (field as u32) << Self::FIELD_SHIFT;
        let inside = inside.0 & !Self::FIELD_MASK | bits;
        Self { from, width: to - from, inside, outside: outside.0, reserved: 0 }
    }

    /// Several trees, the rest of them nowhere.
    pub const fn forest(trees: [Branch; Filter::TREES]) -> Self {
        let [first, second, Branch(inside), Branch(outside)] = trees;
        Self { from: first.0 as u64, width: second.0 as u64, inside, outside, reserved: 0 }
    }

    /// What [`forest`](Self::forest) was made of, by its place there.
    #[inline(always)]
    pub const fn tree(&self, place: u64) -> Branch {
        Branch(match place {
            0 => self.from as u32,
            1 => self.width as u32,
            2 => self.inside,
            _ => self.outside,
        })
    }

    /// The same comparison with its branches at other places.
    pub fn placed(&self, place: impl Fn(Branch) -> Branch) -> Self {
        let range = (self.from, self.from + self.width);
        Self::new(self.field(), range, self.branches().map(place))
    }

    /// Where it leads, from inside and from outside.
    pub const fn branches(&self) -> [Branch; 2] {
        [Branch(self.inside & !Self::FIELD_MASK), Branch(self.outside)]
    }

    /// As words.
    pub const fn to_words(self) -> [u64; 4] {
        let branches = (self.outside as u64) << 32 | self.inside as u64;
        [self.from, self.width, branches, self.reserved]
    }

    /// Which field.
    #[inline(always)]
    pub const fn field(&self) -> usize {
        (self.inside >> Self::FIELD_SHIFT & 0b111) as usize
    }

    /// Where a value of the field leads. (The mask is for both, so that a verifier takes one way
    /// for the other.)
    #[inline(always)]
    pub const fn branch(&self, value: u64) -> Branch {
        let is_inside = value.wrapping_sub(self.from) <= self.width;
        Branch(if is_inside { self.inside } else { self.outside } & !Self::FIELD_MASK)
    }
}

/// Which list: that of a segment and direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(C)]
pub struct FilterKey {
    /// Index in `SEGMENTS`.
    pub segment: u16,
    /// [`FilterKey::IN`] or [`FilterKey::OUT`].
    pub direction: u16,
}
record!(FilterKey, 4);

impl FilterKey {
    /// What hosts behind this node's ports send.
    pub const IN: u16 = 0;
    /// What is sent to them.
    pub const OUT: u16 = 1;
    /// Both, in the order that a packet meets them, each behind its bit of [`Policed`].
    pub const DIRECTIONS: [(u16, u16); 2] =
        [(Policed::FILTER_IN, Self::IN), (Policed::FILTER_OUT, Self::OUT)];

    /// The place of a list in `FILTERS`.
    #[inline(always)]
    pub const fn index(self) -> u32 {
        (self.segment as u32) << 1 | (self.direction & 1) as u32
    }
}

/// A list: where the walk begins for each family. It is a word, which is written whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Filter {
    /// Of IPv4 and of IPv6.
    pub roots: [Branch; 2],
}
record!(Filter, 8);

impl Filter {
    /// The most trees of one family.
    pub const TREES: usize = 4;
    /// The most comparisons on the way to a rule, in one tree.
    pub const DEPTH: u32 = 44;
    /// Where there is no list.
    pub const NONE: Self = Self { roots: [Branch(0); 2] };

    /// The list as a word.
    #[inline(always)]
    pub const fn to_word(self) -> u64 {
        let [v4, v6] = self.roots;
        (v6.0 as u64) << 32 | v4.0 as u64
    }

    /// Where the list of a word begins for a family, if there is one.
    #[inline(always)]
    pub const fn root(word: u64, family: Family) -> Option<Branch> {
        if word == Self::NONE.to_word() {
            return None;
        }
        Some(Branch(match family {
            Family::V4 => word as u32,
            Family::V6 => (word >> 32) as u32,
        }))
    }
}

/// Where comparisons are.
pub trait Comparisons {
    /// The one at a place, in bytes from the first.
    fn at(&self, place: u32) -> Option<&FilterNode>;

    /// The number of the next turn.
    #[inline(always)]
    fn next(turn: u64) -> u64 {
        turn + 1
    }
}

/// A walk through the trees of a list, one after the other: the first rule of those that each tree
/// has for a packet, if there is any.
#[inline(always)]
pub fn walk<C: Comparisons>(root: Branch, flow: &FlowKey, comparisons: &C) -> Option<Branch> {
    let forest = if root.is_forest() { comparisons.at(root.place()) } else { None };
    let (mut best, mut tree) = (Branch(unknown(Branch::NOWHERE.0)), 0);
    while tree < Filter::TREES as u64 {
        let start = forest.map_or(root, |forest| forest.tree(tree));
        let leaf = Branch(unknown(descend(start, flow, comparisons).0));
        if leaf.0 < best.0 {
            best = leaf;
        }
        if forest.is_none() {
            break;
        }
        tree = C::next(tree);
    }
    if best.0 == Branch::NOWHERE.0 { None } else { Some(best) }
}

/// The rule that a tree has for a packet, or nowhere. What is between two turns is in registers:
/// each waits for the one before it.
#[inline(always)]
fn descend<C: Comparisons>(mut at: Branch, flow: &FlowKey, comparisons: &C) -> Branch {
    let mut turn = 0;
    while !at.is_leaf() {
        if turn == Filter::DEPTH as u64 {
            return Branch::NOWHERE;
        }
        let Some(node) = comparisons.at(at.0) else { return Branch::NOWHERE };
        at = node.branch(flow.fields[node.field() & (FlowKey::FIELDS - 1)]);
        turn = C::next(turn);
    }
    at
}

/// Packets and bytes that a rule has held, on one CPU.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct RuleCount {
    /// Packets.
    pub packets: u64,
    /// Their bytes.
    pub bytes: u64,
}
record!(RuleCount, 16);

impl RuleCount {
    /// What both have counted.
    #[inline(always)]
    pub const fn add(&mut self, more: Self) {
        self.packets += more.packets;
        self.bytes += more.bytes;
    }
}

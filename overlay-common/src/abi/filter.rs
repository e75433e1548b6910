//! Access lists, as trees of comparisons.
//!
//! A rule is a box in the space of a flow's fields. User space cuts that space up until each part
//! has one first rule: a packet is compared with one bound after the other, and ends at a rule.
//! So what a list costs grows with the logarithm of its length. Lists whose boxes cut each other up
//! too much are several trees, of which the earliest rule counts.

use super::{Policed, record};
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
    /// The source port of TCP, UDP and SCTP; else 0.
    pub const SOURCE_PORT: usize = 5;
    /// The destination port; of ICMP, the type, and below it the code in 8 bits; else 0.
    pub const DESTINATION_PORT: usize = 6;
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
    const DENY: u32 = 1;
    const INDEX: u32 = (1 << 28) - 1;

    /// To a rule, by its index in `RULES`: of two rules, the one with the lower index counts.
    pub const fn leaf(rule: u32, denies: bool) -> Self {
        Self(Self::LEAF | rule << 1 | denies as u32)
    }

    /// To no rule: one behind all others. The bits for a field are free here too.
    pub const NOWHERE: Self = Self(!FilterNode::FIELD_MASK);

    /// To a comparison, by its index in `FILTER_NODES`.
    pub const fn node(index: u32) -> Self {
        Self(index & Self::INDEX)
    }

    /// Whether this is a rule, or nowhere.
    #[inline(always)]
    pub const fn is_leaf(self) -> bool {
        self.0 & Self::LEAF != 0
    }

    /// The index of a comparison.
    #[inline(always)]
    pub const fn index(self) -> u32 {
        self.0 & Self::INDEX
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

/// A comparison.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(C)]
pub struct FilterNode {
    /// What the field is compared with.
    pub bound: u64,
    /// The [`Branch`] of what is below the bound, and the field in three bits of it.
    below: u32,
    /// That of the rest.
    above: u32,
}
record!(FilterNode, 16);

impl FilterNode {
    const FIELD_SHIFT: u32 = 28;
    const FIELD_MASK: u32 = 0b111 << Self::FIELD_SHIFT;

    /// A comparison of a field. (A rule's number is below 2²⁷.)
    pub const fn new(field: usize, bound: u64, below: Branch, above: Branch) -> Self {
        let bits = (field as u32) << Self::FIELD_SHIFT;
        Self { bound, below: below.0 & !Self::FIELD_MASK | bits, above: above.0 }
    }

    /// Where it leads, from below and from above.
    pub const fn branches(&self) -> [Branch; 2] {
        [self.branch(0), Branch(self.above)]
    }

    /// Which field.
    #[inline(always)]
    pub const fn field(&self) -> usize {
        (self.below >> Self::FIELD_SHIFT & 0b111) as usize
    }

    /// Where a value of the field leads.
    #[inline(always)]
    pub const fn branch(&self, value: u64) -> Branch {
        Branch(if value >= self.bound { self.above } else { self.below & !Self::FIELD_MASK })
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
}

/// A list: the trees for each family, the rest of them nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Filter {
    /// Of IPv4 and of IPv6.
    pub trees: [[Branch; Filter::TREES]; 2],
}
record!(Filter, 32);

impl Filter {
    /// The most trees of one family.
    pub const TREES: usize = 4;
    /// The most comparisons on the way to a rule, in one tree.
    pub const DEPTH: u32 = 44;
    /// The most turns that a walk takes: with a turn for each tree's rule.
    pub const TURNS: u32 = Self::TREES as u32 * (Self::DEPTH + 1);

    /// The trees of a family.
    #[inline(always)]
    pub const fn of(&self, family: Family) -> &[Branch; Self::TREES] {
        match family {
            Family::V4 => &self.trees[0],
            Family::V6 => &self.trees[1],
        }
    }
}

/// A walk of a packet through a list's trees, one after the other. It is a record so that a kernel
/// program may have it in a map: what is in a map a verifier does not follow, so that one turn is to
/// it like the next.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Walk {
    /// The packet.
    pub flow: FlowKey,
    at: Branch,
    /// The trees that follow.
    next: [Branch; Filter::TREES - 1],
    best: Branch,
    reserved: u32,
}
record!(Walk, 88);

impl Default for Walk {
    fn default() -> Self {
        let nowhere = Branch::NOWHERE;
        Self {
            flow: FlowKey::default(),
            at: nowhere,
            next: [nowhere; Filter::TREES - 1],
            best: nowhere,
            reserved: 0,
        }
    }
}

impl Walk {
    /// Begins with the first tree.
    #[inline(always)]
    pub const fn begin(&mut self, trees: &[Branch; Filter::TREES]) {
        [self.at, self.next[0], self.next[1], self.next[2]] = *trees;
        self.best = Branch::NOWHERE;
    }

    /// One turn, and whether it was the last. `node` has the comparisons by their indices.
    #[inline(always)]
    pub fn turn<'n>(&mut self, node: impl Fn(u32) -> Option<&'n FilterNode>) -> bool {
        if !self.at.is_leaf() {
            let Some(node) = node(self.at.index()) else { return true };
            self.at = node.branch(self.flow.fields[node.field() & (FlowKey::FIELDS - 1)]);
            return false;
        }
        if self.at.0 < self.best.0 {
            self.best = self.at;
        }
        let [at, first, second] = self.next;
        self.at = at;
        self.next = [first, second, Branch::NOWHERE];
        at.0 == Branch::NOWHERE.0
    }

    /// The rule, where the walk came to one.
    #[inline(always)]
    pub const fn rule(&self) -> Option<Branch> {
        if self.best.0 == Branch::NOWHERE.0 { None } else { Some(self.best) }
    }
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

//! Access lists: from rules in their order to trees of comparisons
//! ([`abi::FilterNode`](overlay_common::abi::FilterNode)).

mod build;
mod list;
mod tree;

pub use build::{Compiled, TooComplex, compile};
pub use list::{Entry, Line, List, Protocol};

use overlay_common::abi::FlowKey;

/// The values of each field that a rule is for: from, to.
pub type Ranges = [(u64, u64); FlowKey::FIELDS];

/// A rule for one family: a box of values, and its index among all rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Its box.
    pub ranges: Ranges,
    /// Its index in `RULES`; the first of a list has the lowest.
    pub index: u32,
    /// Whether it denies.
    pub denies: bool,
}

impl Rule {
    /// Whether it is for a flow.
    pub fn holds(&self, flow: &FlowKey) -> bool {
        self.ranges
            .iter()
            .zip(flow.fields)
            .all(|((from, to), value)| (*from..=*to).contains(&value))
    }
}

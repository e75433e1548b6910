//! Lists of static addresses, one a line, as commands load and unload them.
//!
//! ```text
//! # segment, address, and where it is
//! blue 02:00:00:00:02:02 peer gw2
//! blue 02:00:00:00:01:01 interface eth1
//! blue 02:00:00:00:01:02 interface eth1 vlan 10
//! blue 02:00:00:00:01:03 interface eth1 vlan 10 protocol 802.1ad
//! ```
//!
//! Blank lines, and what follows a `#`, are skipped. A list is read as it comes,
//! piece by piece, and is either right as a whole or refused with the place of
//! each error.
//!
//! - `line`: one line.
//! - `reader`: from pieces of text to a list.

mod line;
mod reader;

use std::fmt;

use overlay_common::abi::{FdbKey, Target};

pub use reader::Reader;

use crate::controller::Names;

/// What a list is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Its addresses are to be put into the FDB.
    Load,
    /// They are to be removed: where they are need not be said, and is not read.
    Unload,
}

/// An address of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address {
    /// The address and its segment.
    pub key: FdbKey,
    /// Where it is; port 0 in a list to be unloaded.
    pub target: Target,
    /// The line that it is on, from 1.
    pub line: u32,
}

/// A list without errors.
#[derive(Clone, Debug)]
pub struct List {
    /// Each address once, in the order of their keys.
    pub addresses: Vec<Address>,
    /// The names that it was read with.
    pub names: Names,
}

/// One thing that is wrong with a list.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LineError {
    /// The line, from 1.
    pub line: u32,
    /// The column in characters, from 1.
    pub column: usize,
    /// What is wrong.
    pub message: String,
    /// What would be right.
    pub help: String,
}

impl fmt::Display for LineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { line, column, message, help } = self;
        write!(f, "{line}:{column}: {message}\n  help: {help}")
    }
}

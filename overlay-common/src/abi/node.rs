//! What every program needs to know about its node.

use super::record;

/// The node itself; one entry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Node {
    /// [`ABI_VERSION`](super::ABI_VERSION) of the tables.
    pub abi_version: u32,
    /// The local VTEP's IPv4 address.
    pub vtep: [u8; 4],
    /// The ageing clock: user space increments it once a second. The packet
    /// path stamps FDB entries with it, so no packet reads a clock.
    pub epoch: u32,
    /// Zero.
    pub reserved: u32,
    /// The sizes of the hash tables, which the tables' keeper fills in.
    pub masks: Masks,
}
record!(Node, 32);

/// How many buckets of each hash table are in use, less one
/// ([`Spread`](crate::hash::Spread)).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Masks {
    /// Of [`maps::ACCESS`](super::maps::ACCESS).
    pub access: u32,
    /// Of [`maps::VTEPS`](super::maps::VTEPS).
    pub vteps: u32,
    /// Of [`maps::PERMITS`](super::maps::PERMITS).
    pub permits: u32,
    /// Of [`maps::FDB`](super::maps::FDB).
    pub fdb: u32,
}
record!(Masks, 16);

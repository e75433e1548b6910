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
    /// Reserved, zero.
    pub reserved: u32,
}
record!(Node, 16);

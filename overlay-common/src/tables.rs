//! What the path asks of the node's tables.
//!
//! The kernel programs implement this on maps, the host on a mirror of them.

use crate::abi::{
    Access, AccessKey, Direction, FdbEntry, FdbKey, FloodKey, Node, Peer, Permit, PermitKey, Port,
    Punt, Segment, Target, Vtep, VtepKey,
};
use crate::packet::Packet;
use crate::verdict::DropReason;

/// The node's tables. Look-ups return `None` where there is no entry.
pub trait Tables {
    /// The node.
    fn node(&self) -> Option<&Node>;
    /// The segment and port of an access frame.
    fn access(&self, key: &AccessKey) -> Option<Access>;
    /// A port by its index.
    fn port(&self, index: u32) -> Option<&Port>;
    /// A segment by its index.
    fn segment(&self, index: u16) -> Option<&Segment>;
    /// A peer by its index.
    fn peer(&self, index: u32) -> Option<&Peer>;
    /// The peer behind a VTEP address.
    fn vtep(&self, key: &VtepKey) -> Option<Vtep>;
    /// The segment of a VNI, for a permission profile.
    fn permit(&self, key: &PermitKey) -> Option<Permit>;
    /// Where a MAC address is.
    fn fdb(&self, key: &FdbKey) -> Option<FdbEntry>;
    /// Marks an FDB entry as seen in `epoch`; at most once an epoch and entry.
    fn refresh(&self, key: &FdbKey, epoch: u32);
    /// A slot of a flood list.
    fn flood(&self, key: &FloodKey) -> Option<Target>;
    /// Calls `visit` with 0, 1, … `count` − 1. This is a table operation because
    /// the kernel bounds loops in a way of its own.
    fn repeat<F: FnMut(u32)>(&self, count: u32, visit: F);

    /// Counts `packets` and `bytes` at a port.
    fn count_port(&self, index: u32, direction: Direction, packets: u32, bytes: u32);
    /// Counts `packets` and `bytes` at a peer.
    fn count_peer(&self, index: u32, direction: Direction, packets: u32, bytes: u32);
    /// Counts `packets` dropped copies of a frame whose other copies were sent.
    /// (A dropped frame itself is an error of the path, counted by its caller.)
    fn count_drop(&self, ifindex: u32, reason: DropReason, packets: u32);

    /// Hands a record, and the frame where its reason says so, to user space.
    /// `Err` tells that it was over its rate, or that nobody took it.
    fn punt<P: Packet>(&self, packet: &mut P, punt: Punt) -> Result<(), DropReason>;
}

/// `count` + 1, of which the verifier knows nothing: were it to know what is counted in
/// the turns of a loop, it would go through the rest of the loop for each number. (Before
/// Linux 6.3 it compares every known number in programs with functions, needed or not.)
#[inline(always)]
pub fn one_more(count: u32) -> u32 {
    // The two's complement is the complement and one.
    negated(!count)
}

#[cfg(target_arch = "bpf")]
#[inline(always)]
fn negated(number: u32) -> u32 {
    let mut word = number as u64;
    // SAFETY: arithmetic on a register.
    unsafe {
        core::arch::asm!("{word} = -{word}", word = inout(reg) word, options(pure, nomem, nostack));
    }
    word as u32
}

#[cfg(not(target_arch = "bpf"))]
#[inline(always)]
fn negated(number: u32) -> u32 {
    number.wrapping_neg()
}

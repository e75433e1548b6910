//! The packet's way: one directory a direction, one file a stage, in the
//! packet's order.
//!
//! A stage returns what the next one needs, or the reason for which the packet
//! is dropped. Nothing is modified before this hook is known to be able to
//! finish the packet, so that what it cannot finish is left untouched
//! ([`Verdict::Defer`](crate::verdict::Verdict::Defer)).

pub mod ecn;
mod encap;
mod filter;
pub mod flow;
pub mod from_access;
pub mod from_underlay;
mod learn;
mod local;
mod mss;
mod neighbours;
pub mod one_armed;
mod police;
pub mod ptb;
pub mod router;
mod way;

use crate::abi::Hook;

/// Where a packet came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ingress {
    /// The device.
    pub ifindex: u32,
    /// Where the path runs.
    pub hook: Hook,
}

/// Has the compiler look at the packet anew from here on. Where ways that know more and less of
/// it come together, a verifier then finds them alike, and walks through the rest but once.
#[inline(always)]
fn forget() {
    // SAFETY: no instruction.
    #[cfg(target_arch = "bpf")]
    unsafe {
        core::arch::asm!("", options(nostack, preserves_flags));
    }
}

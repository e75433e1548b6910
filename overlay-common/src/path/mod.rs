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

/// The same number, of which a verifier knows nothing any more. Kernels before 6.2 go through a
/// loop again for each number that is known on one way there and another or none on the next.
#[inline(always)]
pub(crate) fn unknown(number: u32) -> u32 {
    #[cfg(not(target_arch = "bpf"))]
    return number;
    #[cfg(target_arch = "bpf")]
    {
        // Verifiers remember what is written to a slot of their stack, but not to its second half.
        #[repr(align(8))]
        struct Slot([u32; 2]);
        let mut slot = Slot([0; 2]);
        let half = &raw mut slot.0[1];
        // SAFETY: it points to what lives here.
        unsafe {
            half.write_volatile(number);
            half.read_volatile()
        }
    }
}

//! The packet's way: one directory a direction, one file a stage, in the
//! packet's order.
//!
//! A stage returns what the next one needs, or the reason for which the packet
//! is dropped. Nothing is modified before this hook is known to be able to
//! finish the packet, so that what it cannot finish is left untouched
//! ([`Verdict::Defer`](crate::verdict::Verdict::Defer)).

pub mod ecn;
pub mod flow;
pub mod from_access;
pub mod from_underlay;
mod learn;
mod local;
mod mss;
mod ptb;

use core::hint::black_box;

use crate::abi::{Egress, Hook};
use crate::verdict::{DropReason, Verdict};

/// Where a packet came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ingress {
    /// The device.
    pub ifindex: u32,
    /// Where the path runs.
    pub hook: Hook,
}

/// Why a way out does not take a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stop {
    /// It is dropped.
    Drop(DropReason),
    /// It is longer than what the way out takes, in bytes; its sender may be told.
    TooBig(u32),
}

impl From<DropReason> for Stop {
    #[inline(always)]
    fn from(reason: DropReason) -> Self {
        Self::Drop(reason)
    }
}

/// The same answer, with a way out and a reason in every case: what only some have, the compiler
/// may look at before it knows which case it is, and verifiers before Linux 6.3 forbid that.
#[inline(always)]
fn in_full(result: Result<Verdict, DropReason>) -> Result<Verdict, DropReason> {
    let Egress { ifindex, flags } = match result {
        Ok(Verdict::Transmit(egress) | Verdict::Deliver(egress)) => egress,
        _ => Egress::default(),
    };
    let egress = Egress { ifindex: black_box(ifindex), flags: black_box(flags) };
    let reason = black_box(match result {
        Err(reason) => reason,
        Ok(_) => DropReason::TooBig,
    });
    match result {
        Ok(Verdict::Transmit(_)) => Ok(Verdict::Transmit(egress)),
        Ok(Verdict::Deliver(_)) => Ok(Verdict::Deliver(egress)),
        Err(_) => Err(reason),
        Ok(Verdict::Pass) => Ok(Verdict::Pass),
        Ok(Verdict::Defer) => Ok(Verdict::Defer),
        Ok(Verdict::Consumed) => Ok(Verdict::Consumed),
    }
}

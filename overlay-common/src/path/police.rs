//! Limits: of the port or peer that a frame comes from, and of its segment.
//!
//! Assumes a plain inner frame: outer headers and VLAN tag are gone. So this hook can finish
//! the packet, and no other one takes of the same limits for it.

use crate::abi::{Charge, Policed, PolicerKey, Target};
use crate::tables::Tables;
use crate::verdict::DropReason;

/// Where a frame comes from, and which limits there are.
#[derive(Clone, Copy)]
pub struct Sender {
    /// The port or peer.
    pub source: Target,
    /// Index of its segment.
    pub segment: u16,
    /// [`Policed`] bits.
    pub limits: u16,
}

/// Takes a frame of its limits.
#[inline(always)]
pub fn run<T: Tables>(tables: &T, sender: Sender, charge: Charge) -> Result<(), DropReason> {
    // Most have none.
    if sender.limits & Policed::PORT != 0 {
        tables.police(&PolicerKey::source(sender.source), charge)?;
    }
    if sender.limits & Policed::SEGMENT != 0 {
        tables.police(&PolicerKey::segment(sender.segment), charge)?;
    }
    Ok(())
}

//! From a device that faces the underlay and segments at once: untagged frames are the
//! underlay's, tagged ones the access ports'.
//!
//! Unlike an access port's device it is the host's as well: a VLAN of no segment passes.

use crate::packet::Packet;
use crate::path::{Ingress, from_access, from_underlay};
use crate::tables::Tables;
use crate::verdict::{DropReason, Verdict};

/// Carries one frame.
///
/// # Errors
///
/// The reason for which the frame is to be dropped. What is not the overlay's is
/// [`Verdict::Pass`].
#[inline(always)]
pub fn run<P: Packet, T: Tables>(
    packet: &mut P,
    tables: &T,
    ingress: Ingress,
) -> Result<Verdict, DropReason> {
    match is_from_access(packet) {
        true => run_from_access(packet, tables, ingress),
        false => from_underlay::run(packet, tables, ingress),
    }
}

/// Whether a frame is an access port's. A tag without VID is for the host to take off, as on
/// any uplink.
#[inline(always)]
pub fn is_from_access<P: Packet>(packet: &P) -> bool {
    packet.vlan().is_some_and(|tag| tag.vlan() != 0)
}

/// Carries one that is.
///
/// # Errors
///
/// As for [`run`].
#[inline(always)]
pub fn run_from_access<P: Packet, T: Tables>(
    packet: &mut P,
    tables: &T,
    ingress: Ingress,
) -> Result<Verdict, DropReason> {
    match from_access::run(packet, tables, ingress) {
        // Nothing was done with it.
        Err(DropReason::UnknownVlan) => Ok(Verdict::Pass),
        result => result,
    }
}

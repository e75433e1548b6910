//! From a device that faces the underlay and segments at once: untagged frames are the
//! underlay's, tagged ones the access ports'.
//!
//! Unlike an access port's device it is the host's as well: a VLAN of no segment passes.

use crate::abi::AccessKey;
use crate::packet::Packet;
use crate::path::{Ingress, from_access, from_underlay};
use crate::tables::Tables;
use crate::verdict::{DropReason, Verdict};

/// Whose a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The underlay's, or the host's: without a tag, or with one without VID, which is for the
    /// host to take off, as on any uplink.
    Underlay,
    /// An access port's.
    Access,
    /// The host's: of a VLAN that is no port's.
    Host,
}

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
    match side(packet, tables, ingress) {
        Side::Underlay => from_underlay::run(packet, tables, ingress),
        Side::Access => from_access::run(packet, tables, ingress),
        Side::Host => Ok(Verdict::Pass),
    }
}

/// Says whose a frame is, so that its path may be a program's part of its own.
#[inline(always)]
pub fn side<P: Packet, T: Tables>(packet: &P, tables: &T, ingress: Ingress) -> Side {
    let Some(tag) = packet.vlan().filter(|tag| tag.vlan() != 0) else { return Side::Underlay };
    let key = AccessKey { ifindex: ingress.ifindex, vlan: tag.vlan(), reserved: 0 };
    if tables.access(&key).is_some() { Side::Access } else { Side::Host }
}

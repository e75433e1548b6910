//! What may enter from an access port, and learning.

use super::classify::Frame;
use crate::abi::Target;
use crate::packet::Packet;
use crate::path::learn::{self, Sighting};
use crate::tables::Tables;
use crate::verdict::DropReason;

/// Refuses impossible sources and frames that bridges keep to themselves; takes
/// note of the source.
#[inline(always)]
pub fn run<P: Packet, T: Tables>(
    packet: &mut P,
    tables: &T,
    frame: &Frame,
) -> Result<(), DropReason> {
    if !frame.source.station().is_source() {
        return Err(DropReason::InvalidSource);
    }
    if frame.destination.station().is_link_local_group() {
        return Err(DropReason::LinkLocalGroup);
    }
    let node = tables.node().ok_or(DropReason::TableInconsistent)?;
    let sighting = Sighting {
        key: frame.source,
        source: Target::port(frame.port),
        learning: true,
        ingress: frame.ingress,
    };
    learn::observe(packet, tables, node, sighting);
    Ok(())
}

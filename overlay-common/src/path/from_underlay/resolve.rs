//! FDB look-up: which local port an inner frame is for.

use super::admit::Frame;
use crate::tables::Tables;
use crate::verdict::DropReason;

/// Where an inner frame goes.
pub enum Destination {
    /// A local port, by its index.
    Port(u32),
    /// The router of its segment.
    Router,
    /// Every local port of the segment.
    Flood,
}

/// Looks the inner destination address up. Frames never go from one peer to
/// another: every gateway of the segment got its own copy from the sender.
#[inline(always)]
pub fn run<T: Tables>(tables: &T, frame: &Frame) -> Result<Destination, DropReason> {
    if frame.destination.station().is_group() {
        return Ok(Destination::Flood);
    }
    match tables.fdb(&frame.destination) {
        None => Ok(Destination::Flood),
        Some(entry) if entry.target.is_peer() => Err(DropReason::SplitHorizon),
        Some(entry) if entry.target.is_router() => Ok(Destination::Router),
        Some(entry) => Ok(Destination::Port(entry.target.index())),
    }
}

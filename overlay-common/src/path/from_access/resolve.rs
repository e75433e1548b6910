//! FDB look-up: which way a frame leaves.

use super::classify::Frame;
use crate::tables::Tables;
use crate::verdict::DropReason;

/// Where a frame goes.
pub enum Destination {
    /// A local port, by its index.
    Port(u32),
    /// A peer, by its index.
    Peer(u32),
    /// The router of its segment.
    Router,
    /// Everywhere: broadcast, multicast, or an unknown address.
    Flood,
}

/// Looks the destination address up.
#[inline(always)]
pub fn run<T: Tables>(tables: &T, frame: &Frame) -> Result<Destination, DropReason> {
    if frame.destination.station().is_group() {
        return Ok(Destination::Flood);
    }
    let Some(entry) = tables.fdb(&frame.destination) else {
        return Ok(Destination::Flood);
    };
    let index = entry.target.index();
    if entry.target.is_peer() {
        Ok(Destination::Peer(index))
    } else if index == frame.port {
        Err(DropReason::SamePort)
    } else if entry.target.is_router() {
        Ok(Destination::Router)
    } else {
        Ok(Destination::Port(index))
    }
}

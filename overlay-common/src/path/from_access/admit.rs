//! What may enter from an access port.

use super::classify::Frame;
use crate::verdict::DropReason;

/// Refuses impossible sources and frames that bridges keep to themselves.
#[inline(always)]
pub fn run(frame: &Frame) -> Result<(), DropReason> {
    if !frame.source.station().is_source() {
        return Err(DropReason::InvalidSource);
    }
    if frame.destination.station().is_link_local_group() {
        return Err(DropReason::LinkLocalGroup);
    }
    Ok(())
}

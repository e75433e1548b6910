//! Removes the VLAN tag that named the port: the overlay carries plain frames
//! (RFC 7348, 6.1).

use super::classify::Frame;
use crate::packet::Packet;
use crate::verdict::DropReason;

/// Removes the tag; a second one inside is refused.
#[inline(always)]
pub fn run<P: Packet>(packet: &mut P, frame: &Frame) -> Result<(), DropReason> {
    plain(packet, frame.tagged)
}

/// The same of a frame that has a tag or not.
#[inline(always)]
pub fn plain<P: Packet>(packet: &mut P, is_tagged: bool) -> Result<(), DropReason> {
    if is_tagged {
        packet.pop_vlan().map_err(|_| DropReason::ResizeFailed)?;
        if packet.vlan().is_some() {
            return Err(DropReason::InnerVlan);
        }
    }
    Ok(())
}

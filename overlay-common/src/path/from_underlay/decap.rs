//! Carries congestion marks inwards (RFC 6040) and removes the outer headers.

use super::admit::Frame;
use crate::packet::{Inner, Packet};
use crate::path::ecn;
use crate::verdict::DropReason;
use crate::wire::{Ethernet, Ipv4, Ipv6};

/// Leaves the plain inner frame.
#[inline(always)]
pub fn run<P: Packet>(packet: &mut P, frame: &Frame) -> Result<(), DropReason> {
    if frame.len < packet.len() {
        packet.trim_tail(frame.len).map_err(|_| DropReason::ResizeFailed)?;
    }
    // An unmarked tunnel changes nothing, which is nearly always.
    if frame.ecn != ecn::NOT_ECT {
        mark(packet, frame)?;
    }
    packet
        .trim_head(frame.inner, frame.family, frame.outer_len)
        .map_err(|_| DropReason::ResizeFailed)
}

/// Combines outer and inner ECN fields. What is not IP, or not wholly there, has
/// none.
#[inline(always)]
fn mark<P: Packet>(packet: &mut P, frame: &Frame) -> Result<(), DropReason> {
    let offset = frame.outer_len as usize + Ethernet::LEN;
    match frame.inner {
        Inner::Ipv4 => {
            if let Some(ip) = packet.at_mut::<Ipv4>(offset) {
                let old = ip.ecn();
                let new = ecn::decapsulate(frame.ecn, old)?;
                if new != old {
                    ip.set_ecn(new);
                }
            }
        }
        Inner::Ipv6 => {
            if let Some(ip) = packet.at_mut::<Ipv6>(offset) {
                let old = ip.ecn();
                let new = ecn::decapsulate(frame.ecn, old)?;
                if new != old {
                    ip.set_ecn(new);
                }
            }
        }
        Inner::Other => {}
    }
    Ok(())
}

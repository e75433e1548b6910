//! Carries congestion marks inwards (RFC 6040) and removes the outer headers.

use super::admit::Frame;
use crate::packet::{Inner, Packet};
use crate::path::ecn;
use crate::verdict::DropReason;
use crate::wire::{Ethernet, Family, Ipv4, Ipv6};

/// A frame in its tunnel.
#[derive(Clone, Copy)]
pub struct Wrapped {
    /// What the inner frame carries.
    pub inner: Inner,
    /// The family that it came over.
    pub family: Family,
    /// The outer ECN field.
    pub ecn: u8,
    /// The bytes of all outer headers, options included.
    pub outer_len: u32,
    /// The frame's length, outer headers included, padding not.
    pub len: u32,
}

/// Leaves the plain inner frame.
#[inline(always)]
pub fn run<P: Packet>(packet: &mut P, frame: &Frame) -> Result<(), DropReason> {
    let Frame { inner, family, ecn, outer_len, len, .. } = *frame;
    unwrap(packet, &Wrapped { inner, family, ecn, outer_len, len })
}

/// The same, without what the path knows of the inner frame.
#[inline(always)]
pub fn unwrap<P: Packet>(packet: &mut P, frame: &Wrapped) -> Result<(), DropReason> {
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
fn mark<P: Packet>(packet: &mut P, frame: &Wrapped) -> Result<(), DropReason> {
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

//! Is this the overlay's, and are its outer headers sound?
//!
//! The overlay's are UDP datagrams to one of the node's VTEPs and tunnel ports. Everything
//! else passes untouched. So do fragments, IPv4 headers with options and IPv6 headers with
//! extensions: the kernel's own stack puts them together and hands them to the daemon's UDP
//! socket, from where they come here again.

mod ipv4;
mod ipv6;

use crate::abi::Vtep;
use crate::packet::Packet;
use crate::tables::Tables;
use crate::verdict::DropReason;
use crate::wire::{Encap, Ethernet, Family, Udp, ethertype};

/// A datagram to one of the node's tunnel ports, from a peer.
pub struct Datagram {
    /// The sending peer.
    pub vtep: Vtep,
    /// The family that it came over.
    pub family: Family,
    /// The outer ECN field.
    pub ecn: u8,
    /// Where the tunnel's own header is.
    pub shim: usize,
    /// The frame's length up to the end of the outer IP packet.
    pub len: u32,
}

/// `None` where the packet is not the overlay's.
#[inline(always)]
pub fn run<P: Packet, T: Tables>(
    packet: &mut P,
    tables: &T,
) -> Result<Option<Datagram>, DropReason> {
    let Some(ethernet) = packet.at::<Ethernet>(0) else {
        return Ok(None);
    };
    let kind = ethernet.ethertype();
    if packet.vlan().is_some() {
        return Ok(None);
    }
    match kind {
        ethertype::IPV4 => ipv4::run(packet, tables),
        ethertype::IPV6 => ipv6::run(packet, tables),
        _ => Ok(None),
    }
}

/// The UDP header.
#[inline(always)]
fn udp<P: Packet>(packet: &P, offset: usize) -> Result<&Udp, DropReason> {
    packet.at::<Udp>(offset).ok_or(DropReason::Truncated)
}

/// The length of the frame without link-layer padding. The length fields of a
/// super-frame, which never was on a wire, mean nothing. `payload` is that of the IP packet,
/// which begins at `offset` with the UDP header.
#[inline(always)]
fn frame_len<P: Packet>(
    packet: &P,
    offset: usize,
    payload: u32,
    udp: &Udp,
) -> Result<u32, DropReason> {
    let have = packet.len();
    if packet.gso_size() != 0 {
        return Ok(have);
    }
    let len = payload.wrapping_add(offset as u32);
    if len > have {
        return Err(DropReason::Truncated);
    }
    if udp.len() as u32 != payload || payload < SHORTEST {
        return Err(DropReason::BadLength);
    }
    Ok(len)
}

/// A UDP header and a tunnel's.
const SHORTEST: u32 = (Udp::LEN + crate::wire::Shim::LEN) as u32;

/// The peer, if it wraps its frames so.
#[inline(always)]
fn peer(vtep: Option<Vtep>, encap: Encap) -> Result<Vtep, DropReason> {
    let vtep = vtep.ok_or(DropReason::UnknownVtep)?;
    if vtep.encap() as u8 != encap as u8 {
        return Err(DropReason::EncapMismatch);
    }
    Ok(vtep)
}

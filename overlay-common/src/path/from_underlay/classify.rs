//! Is this the overlay's, and are its outer headers sound?
//!
//! The overlay's are UDP datagrams to the local VTEP's VXLAN port. Everything
//! else passes untouched, later fragments included: they carry no port, and
//! without their first fragment, which is dropped here, they come to nothing.

use crate::packet::Packet;
use crate::tables::Tables;
use crate::verdict::DropReason;
use crate::wire::{Ethernet, Ipv4, TUNNEL_LEN, Udp, Vxlan, ethertype, protocol};

/// What the outer headers say.
pub struct Tunnel {
    /// The sending VTEP.
    pub source: [u8; 4],
    /// The VNI, 24 bits.
    pub vni: u32,
    /// The outer ECN field.
    pub ecn: u8,
    /// The frame's length up to the end of the outer IP packet.
    pub len: u32,
}

/// `None` where the packet is not the overlay's.
#[inline(always)]
pub fn run<P: Packet, T: Tables>(packet: &P, tables: &T) -> Result<Option<Tunnel>, DropReason> {
    let Some(ethernet) = packet.at::<Ethernet>(0) else {
        return Ok(None);
    };
    if ethernet.ethertype() != ethertype::IPV4 || packet.vlan().is_some() {
        return Ok(None);
    }
    let Some(ip) = packet.at::<Ipv4>(Ethernet::LEN) else {
        return Ok(None);
    };
    let node = tables.node().ok_or(DropReason::TableInconsistent)?;
    if ip.destination != node.vtep || ip.protocol != protocol::UDP {
        return Ok(None);
    }
    if !ip.is_plain() || ip.is_fragment() {
        return unusual(packet, ip);
    }
    let udp = packet.at::<Udp>(Ethernet::LEN + Ipv4::LEN).ok_or(DropReason::Truncated)?;
    if udp.destination() != Vxlan::PORT {
        return Ok(None);
    }
    tunnel(packet, ip, udp).map(Some)
}

/// Options and first fragments are refused if they are the overlay's at all. A
/// header length that lies puts the port where it would be without options.
#[inline(always)]
fn unusual<P: Packet>(packet: &P, ip: &Ipv4) -> Result<Option<Tunnel>, DropReason> {
    let header_len = ip.header_len();
    if ip.version() != 4 || !ip.is_first_fragment() {
        return Ok(None);
    }
    let udp = packet.at::<Udp>(Ethernet::LEN + Ipv4::LEN).ok_or(DropReason::Truncated)?;
    let is_plainly_ours = udp.destination() == Vxlan::PORT;
    if header_len < Ipv4::LEN {
        return if is_plainly_ours { Err(DropReason::BadLength) } else { Ok(None) };
    }
    let udp = packet.at::<Udp>(Ethernet::LEN + header_len).ok_or(DropReason::Truncated)?;
    if udp.destination() != Vxlan::PORT && !is_plainly_ours {
        return Ok(None);
    }
    Err(if ip.is_fragment() { DropReason::OuterFragment } else { DropReason::OuterOptions })
}

/// Checks checksum and lengths, and reads the VXLAN header.
#[inline(always)]
fn tunnel<P: Packet>(packet: &P, ip: &Ipv4, udp: &Udp) -> Result<Tunnel, DropReason> {
    if !ip.checksum_holds() {
        return Err(DropReason::BadChecksum);
    }
    let len = frame_len(packet, ip, udp)?;
    let vxlan = packet.at::<Vxlan>(TUNNEL_LEN - Vxlan::LEN).ok_or(DropReason::Truncated)?;
    if vxlan.flags & Vxlan::VNI_FLAG == 0 {
        return Err(DropReason::NoVniFlag);
    }
    Ok(Tunnel { source: ip.source, vni: vxlan.vni(), ecn: ip.ecn(), len })
}

/// The length of the frame without link-layer padding. The length fields of a
/// super-frame, which never was on a wire, mean nothing.
#[inline(always)]
fn frame_len<P: Packet>(packet: &P, ip: &Ipv4, udp: &Udp) -> Result<u32, DropReason> {
    if packet.gso_size() != 0 {
        return Ok(packet.len());
    }
    let total = ip.total_len() as u32;
    let len = total + Ethernet::LEN as u32;
    if len > packet.len() {
        return Err(DropReason::Truncated);
    }
    if udp.len() as u32 + Ipv4::LEN as u32 != total || len < TUNNEL_LEN as u32 {
        return Err(DropReason::BadLength);
    }
    Ok(len)
}

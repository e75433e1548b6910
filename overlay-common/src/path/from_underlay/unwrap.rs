//! The tunnel's own header: VXLAN or Geneve.

use super::classify::Datagram;
use crate::packet::Packet;
use crate::verdict::DropReason;
use crate::wire::{Encap, Geneve, Shim, Vxlan};

/// What the tunnel's header says.
pub struct Tunnel {
    /// The VNI, 24 bits.
    pub vni: u32,
    /// Where the inner frame begins.
    pub inner: u32,
    /// The datagram is for the tunnel's end point alone.
    pub is_control: bool,
}

/// Reads the header.
#[inline(always)]
pub fn run<P: Packet>(packet: &P, datagram: &Datagram) -> Result<Tunnel, DropReason> {
    match datagram.vtep.encap() {
        Encap::Vxlan => vxlan(packet, datagram),
        Encap::Geneve => geneve(packet, datagram),
    }
}

/// RFC 7348, section 5.
#[inline(always)]
fn vxlan<P: Packet>(packet: &P, datagram: &Datagram) -> Result<Tunnel, DropReason> {
    let vxlan = packet.at::<Vxlan>(datagram.shim).ok_or(DropReason::Truncated)?;
    if vxlan.flags & Vxlan::VNI_FLAG == 0 {
        return Err(DropReason::NoVniFlag);
    }
    let inner = (datagram.shim + Vxlan::LEN) as u32;
    Ok(Tunnel { vni: vxlan.vni(), inner, is_control: false })
}

/// RFC 8926, 3.4. No option is known here, so they are skipped unless the C bit says that
/// one of them must not be.
#[inline(always)]
fn geneve<P: Packet>(packet: &P, datagram: &Datagram) -> Result<Tunnel, DropReason> {
    let geneve = packet.at::<Geneve>(datagram.shim).ok_or(DropReason::Truncated)?;
    if geneve.version() != 0 {
        return Err(DropReason::GeneveVersion);
    }
    let inner = (datagram.shim + Shim::LEN) as u32 + geneve.options_len();
    if inner > datagram.len {
        return Err(DropReason::BadLength);
    }
    if geneve.is_critical() {
        return Err(DropReason::GeneveCritical);
    }
    let is_control = geneve.is_control();
    if !is_control && geneve.protocol() != Geneve::ETHERNET {
        return Err(DropReason::GeneveProtocol);
    }
    Ok(Tunnel { vni: geneve.vni(), inner, is_control })
}

//! Over IPv4.

use super::{Datagram, frame_len, peer, udp};
use crate::abi::VtepKey;
use crate::packet::Packet;
use crate::tables::Tables;
use crate::verdict::DropReason;
use crate::wire::{Ethernet, Family, Ipv4, Udp, protocol};

const UDP: usize = Ethernet::LEN + Ipv4::LEN;

/// `None` where the packet is not the overlay's, or not plain.
#[inline(always)]
pub fn run<P: Packet, T: Tables>(packet: &P, tables: &T) -> Result<Option<Datagram>, DropReason> {
    let Some(ip) = packet.at::<Ipv4>(Ethernet::LEN) else {
        return Ok(None);
    };
    let node = tables.node().ok_or(DropReason::TableInconsistent)?;
    if ip.destination() != node.vtep() || ip.protocol != protocol::UDP {
        return Ok(None);
    }
    if !ip.is_plain() || ip.is_fragment() {
        return Ok(None);
    }
    let udp = udp(packet, UDP)?;
    let Some(encap) = node.ports.encap(udp.destination()) else {
        return Ok(None);
    };
    if !ip.checksum_holds() {
        return Err(DropReason::BadChecksum);
    }
    // A total length below the header's own is, less that, above every other length.
    let payload = (ip.total_len() as u32).wrapping_sub(Ipv4::LEN as u32);
    if payload > u16::MAX as u32 && packet.gso_size() == 0 {
        return Err(DropReason::BadLength);
    }
    let len = frame_len(packet, UDP, payload, udp)?;
    let (source, ecn) = (ip.source(), ip.ecn());
    let vtep = peer(tables.vtep(&VtepKey(source)), encap)?;
    Ok(Some(Datagram { vtep, family: Family::V4, ecn, shim: UDP + Udp::LEN, len }))
}

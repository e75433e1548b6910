//! Over IPv6. The UDP checksum is zero (RFC 6935); one that is not is accepted unseen, as VXLAN
//! allows (RFC 7348, section 5). Geneve does not (RFC 8926, section 3.3): see ADR 11.

use super::{Datagram, frame_len, peer, udp};
use crate::abi::Vtep6Key;
use crate::packet::Packet;
use crate::tables::Tables;
use crate::verdict::DropReason;
use crate::wire::{Ethernet, Family, Ipv6, Udp, protocol};

const UDP: usize = Ethernet::LEN + Ipv6::LEN;
/// What the path reads of a frame without options.
const HEADERS: u32 = (Family::V6.tunnel_len() + Ethernet::LEN + Ipv6::LEN) as u32;

/// `None` where the packet is not the overlay's, or not plain.
#[inline(always)]
pub fn run<P: Packet, T: Tables>(
    packet: &mut P,
    tables: &T,
) -> Result<Option<Datagram>, DropReason> {
    packet.require(HEADERS);
    let Some(ip) = packet.at::<Ipv6>(Ethernet::LEN) else {
        return Ok(None);
    };
    let node = tables.node().ok_or(DropReason::TableInconsistent)?;
    if ip.version() != 6 || ip.next_header != protocol::UDP {
        return Ok(None);
    }
    if ip.destination_words() != node.vtep6 {
        return Ok(None);
    }
    let udp = udp(packet, UDP)?;
    let Some(encap) = node.ports.encap(udp.destination()) else {
        return Ok(None);
    };
    let len = frame_len(packet, UDP, ip.payload_len() as u32, udp)?;
    let (key, ecn) = (Vtep6Key(ip.source), ip.ecn());
    let vtep = peer(tables.vtep6(&key), encap)?;
    Ok(Some(Datagram { vtep, family: Family::V6, ecn, shim: UDP + Udp::LEN, len }))
}

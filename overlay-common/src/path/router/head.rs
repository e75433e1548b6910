//! What routing asks of a packet.

use crate::abi::NeighbourKey;
use crate::packet::Packet;
use crate::verdict::DropReason;
use crate::wire::{Ethernet, Family, Ipv4, Ipv6, ethertype};

/// A packet's addresses and life.
pub struct Head {
    /// IPv4 or IPv6.
    pub family: Family,
    /// Where it goes, as in a [`NeighbourKey`].
    pub destination: [u64; 2],
    /// Its TTL or hop limit.
    pub life: u8,
    /// Whether its source means something beyond the segment (RFC 4291, 2.5.6).
    pub is_global: bool,
}

impl Head {
    /// The EtherType of its family.
    #[inline(always)]
    pub const fn ethertype(&self) -> u16 {
        match self.family {
            Family::V4 => ethertype::IPV4,
            Family::V6 => ethertype::IPV6,
        }
    }
}

/// The packet of a plain frame; `None` where that is ARP.
#[inline(always)]
pub fn of<P: Packet>(packet: &P) -> Result<Option<Head>, DropReason> {
    match packet.at::<Ethernet>(0).ok_or(DropReason::Truncated)?.ethertype() {
        ethertype::IPV4 => ipv4(packet).map(Some),
        ethertype::IPV6 => ipv6(packet).map(Some),
        ethertype::ARP => Ok(None),
        _ => Err(DropReason::NotRoutable),
    }
}

/// RFC 1812, 5.2.2 and 5.3.7. The checksum of a header with options stays wrong where it is, for
/// its receiver to see.
#[inline(always)]
fn ipv4<P: Packet>(packet: &P) -> Result<Head, DropReason> {
    let ip = packet.at::<Ipv4>(Ethernet::LEN).ok_or(DropReason::NotRoutable)?;
    let is_sound = if ip.is_plain() {
        ip.checksum_holds()
    } else {
        ip.version() == 4 && ip.header_len() > Ipv4::LEN
    };
    let len = Ethernet::LEN as u32 + ip.total_len() as u32;
    let is_whole = len <= packet.len() || packet.gso_size() != 0;
    if !is_sound || !is_whole || NeighbourKey::v4(ip.source, 0).is_none() {
        return Err(DropReason::NotRoutable);
    }
    let to = NeighbourKey::v4(ip.destination, 0).ok_or(DropReason::NotRoutable)?;
    Ok(Head { family: Family::V4, destination: to.address, life: ip.ttl, is_global: true })
}

#[inline(always)]
fn ipv6<P: Packet>(packet: &P) -> Result<Head, DropReason> {
    let ip = packet.at::<Ipv6>(Ethernet::LEN).ok_or(DropReason::NotRoutable)?;
    let len = (Ethernet::LEN + Ipv6::LEN) as u32 + ip.payload_len() as u32;
    let is_whole = len <= packet.len() || packet.gso_size() != 0;
    let source = ip.source_words();
    if ip.version() != 6 || !is_whole || NeighbourKey::v6(source, 0).is_none() {
        return Err(DropReason::NotRoutable);
    }
    let to = NeighbourKey::v6(ip.destination_words(), 0).ok_or(DropReason::NotRoutable)?;
    let [high, _] = source;
    let is_global = high.to_be() >> 54 != LINK_LOCAL;
    Ok(Head { family: Family::V6, destination: to.address, life: ip.hop_limit, is_global })
}

/// The ten bits of fe80::/10.
const LINK_LOCAL: u64 = 0xfe80 >> 6;

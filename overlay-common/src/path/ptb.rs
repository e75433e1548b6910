//! What is done about a packet that is too big: its sender is told (PTB; RFC 1191, RFC 8201),
//! or it is cut up.
//!
//! Assumes a plain frame. Within a segment there is no router, so it is the packet's destination
//! that answers, as where the kernel's own vxlan device is a bridge's port.

use crate::abi::Router;
use crate::packet::{Packet, Refused};
use crate::wire::checksum::Sum;
use crate::wire::{Ethernet, Family, Icmp, Ipv4, Ipv6, Ptb4, Ptb6, ethertype, protocol};

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remedy {
    /// Nothing: nobody is to be told, or would understand.
    Nothing,
    /// The sender is told.
    Tell(Family),
    /// The packet is cut up.
    Fragment,
}

/// The least that a path of IPv4 takes (RFC 791, section 3.2), and what RFC 792 wants quoted at
/// most: the longest header and 8 bytes. A packet that is too big is longer.
const LEAST: usize = 68;

/// Finds out what is to be done about a plain frame to one station, whose way out takes
/// `max_frame` bytes.
#[inline(always)]
pub fn remedy<P: Packet>(packet: &P, max_frame: u32) -> Remedy {
    let found = match packet.at::<Ethernet>(0).map(Ethernet::ethertype) {
        Some(ethertype::IPV4) if max_frame >= (Ethernet::LEN + LEAST) as u32 => ipv4(packet),
        Some(ethertype::IPV6) => ipv6(packet),
        _ => None,
    };
    found.unwrap_or(Remedy::Nothing)
}

/// RFC 1122, 3.2.2: not about errors, nor about any fragment but the first, nor to or about
/// what is no single host.
#[inline(always)]
fn ipv4<P: Packet>(packet: &P) -> Option<Remedy> {
    let ip = packet.at::<Ipv4>(Ethernet::LEN)?;
    if ip.version() != 4 || ip.header_len() < Ipv4::LEN {
        return None;
    }
    if !is_host(ip.source) || !is_host(ip.destination) {
        return None;
    }
    if !ip.dont_fragment() {
        return Some(Remedy::Fragment);
    }
    errs4(packet, ip).then_some(Remedy::Tell(Family::V4))
}

/// Whether the sender of a packet between two hosts may be told of an error.
#[inline(always)]
fn errs4<P: Packet>(packet: &P, ip: &Ipv4) -> bool {
    if !ip.is_first_fragment() {
        return false;
    }
    if ip.protocol != protocol::ICMP {
        return true;
    }
    packet.at::<Icmp>(Ethernet::LEN + ip.header_len()).is_some_and(|icmp| !icmp.is_error())
}

/// Whether the sender of a plain frame's packet may be told of an error, and by which family.
pub fn may_err<P: Packet>(packet: &P) -> Option<Family> {
    match packet.at::<Ethernet>(0)?.ethertype() {
        ethertype::IPV4 => {
            let ip = packet.at::<Ipv4>(Ethernet::LEN)?;
            let is_sound = ip.version() == 4 && ip.header_len() >= Ipv4::LEN;
            let may = is_sound && is_host(ip.source) && is_host(ip.destination);
            (may && errs4(packet, ip)).then_some(Family::V4)
        }
        ethertype::IPV6 => errs6(packet).then_some(Family::V6),
        _ => None,
    }
}

/// This network, loopback, multicast, and what is reserved or broadcast are no hosts.
#[inline(always)]
const fn is_host([first, ..]: [u8; 4]) -> bool {
    first != 0 && first != 127 && first < 224
}

/// RFC 4443, 2.4 e. A packet of up to 1280 bytes cannot be made smaller (RFC 8201, section 4).
#[inline(always)]
fn ipv6<P: Packet>(packet: &P) -> Option<Remedy> {
    let is_long = packet.len() > Ethernet::LEN as u32 + Ptb6::MTU as u32;
    (errs6(packet) && is_long).then_some(Remedy::Tell(Family::V6))
}

/// As [`errs4`].
#[inline(always)]
fn errs6<P: Packet>(packet: &P) -> bool {
    let Some(ip) = packet.at::<Ipv6>(Ethernet::LEN) else { return false };
    let ([from, ..], [to, ..]) = (ip.source, ip.destination);
    if ip.version() != 6 || from == 0xff || to == 0xff || ip.source == [0; 16] {
        return false;
    }
    if ip.next_header != protocol::ICMPV6 {
        return true;
    }
    packet.at::<Icmp>(Ethernet::LEN + Ipv6::LEN).is_some_and(|icmp| !icmp.is_v6_error())
}

/// Makes the frame an answer to its sender: `max_frame` bytes would fit. It comes from a router
/// with an address of the family, or else from the packet's destination.
#[inline(always)]
pub fn turn<P: Packet>(
    packet: &mut P,
    family: Family,
    max_frame: u32,
    from: Option<&Router>,
) -> Result<(), Refused> {
    let mtu = max_frame.wrapping_sub(Ethernet::LEN as u32);
    let mtu = if mtu > u16::MAX as u32 { u16::MAX } else { mtu as u16 };
    match family {
        Family::V4 => turn4(packet, mtu, from)?,
        Family::V6 => turn6(packet, mtu, from)?,
    }
    let ethernet = packet.at_mut::<Ethernet>(0).ok_or(Refused)?;
    *ethernet = Ethernet::new(ethernet.source, ethernet.destination, ethernet.ethertype());
    Ok(())
}

/// Quotes 548 bytes, or where the packet is shorter than that, which only paths of less than the
/// usual minimum find too big, 68.
#[inline(always)]
fn turn4<P: Packet>(packet: &mut P, mtu: u16, from: Option<&Router>) -> Result<(), Refused> {
    const LONG: usize = Ethernet::LEN + Ptb4::QUOTE;
    let (quoted, sum) = if packet.len() >= LONG as u32 {
        cut(packet, LONG)?;
        (
            Ptb4::QUOTE,
            sum::<SUMMED, P>(packet, 0)? + sum::<{ Ptb4::QUOTE - SUMMED }, P>(packet, SUMMED)?,
        )
    } else {
        cut(packet, Ethernet::LEN + LEAST)?;
        (LEAST, sum::<LEAST, P>(packet, 0)?)
    };
    let mut about = *packet.at::<Ipv4>(Ethernet::LEN).ok_or(Refused)?;
    if let Some(router) = from {
        about.destination = router.v4;
    }
    packet.open(Ptb4::LEN as u32)?;
    let ptb = packet.at_mut::<Ptb4>(Ethernet::LEN).ok_or(Refused)?;
    *ptb = Ptb4::new(&about, mtu, quoted, sum);
    Ok(())
}

/// Quotes 1232 bytes: all packets that get here are longer.
#[inline(always)]
fn turn6<P: Packet>(packet: &mut P, mtu: u16, from: Option<&Router>) -> Result<(), Refused> {
    cut(packet, Ethernet::LEN + Ptb6::QUOTE)?;
    let sum = sum::<SUMMED, P>(packet, 0)?
        + sum::<SUMMED, P>(packet, SUMMED)?
        + sum::<{ Ptb6::QUOTE - 2 * SUMMED }, P>(packet, 2 * SUMMED)?;
    let mut about = *packet.at::<Ipv6>(Ethernet::LEN).ok_or(Refused)?;
    let addresses = match from {
        None => self::sum::<32, P>(packet, Ipv6::LEN - 32)?,
        Some(router) => {
            let [source, own] = [about.source_words(), router.v6];
            about.set_ends(source, own);
            Sum::default().address(source).address(own).folded()
        }
    };
    packet.open(Ptb6::LEN as u32)?;
    let ptb = packet.at_mut::<Ptb6>(Ethernet::LEN).ok_or(Refused)?;
    let mtu = if mtu < Ptb6::MTU { Ptb6::MTU } else { mtu };
    *ptb = Ptb6::new(&about, mtu, sum + addresses);
    Ok(())
}

/// The most bytes whose sum is taken at once.
const SUMMED: usize = 512;

/// The sum of `N` bytes of the packet, from `offset` on.
#[inline(always)]
fn sum<const N: usize, P: Packet>(packet: &P, offset: usize) -> Result<u32, Refused> {
    packet.sum::<N>(Ethernet::LEN + offset).map(u32::from).ok_or(Refused)
}

/// Leaves the first `len` bytes, all of which can be read then.
#[inline(always)]
fn cut<P: Packet>(packet: &mut P, len: usize) -> Result<(), Refused> {
    packet.trim_tail(len as u32)?;
    packet.require(len as u32);
    Ok(())
}

//! ICMP (RFC 792) and ICMPv6 (RFC 4443) of a router: answers to who asks for it, and errors.

use overlay_common::abi::Router;
use overlay_common::path::ptb;
use overlay_common::verdict::DropReason;
use overlay_common::wire::{
    self, Ethernet, Family, Icmp, Ipv4, Ipv6, Ptb4, Ptb6, address_bytes, bytes_of, checksum,
    ethertype, protocol,
};

use super::asked;
use crate::frame::Frame;

/// What a sender is told; kind and code of both families, and what stands behind them.
#[derive(Clone, Copy)]
struct Error {
    v4: (u8, u8),
    v6: (u8, u8),
    mtu: u16,
}

impl Error {
    fn of(reason: Option<DropReason>, room: u32) -> Option<Self> {
        let (v4, v6) = match reason {
            // Nobody listens at the router's own address.
            None => ((3, 3), (1, 4)),
            Some(DropReason::NoRoute) => ((3, 0), (1, 0)),
            Some(DropReason::TtlExceeded) => ((11, 0), (3, 0)),
            Some(DropReason::NeighbourUnresolved) => ((3, 1), (1, 3)),
            Some(DropReason::TooBig) => ((3, 4), (2, 0)),
            Some(_) => return None,
        };
        let mtu = match reason {
            Some(DropReason::TooBig) => {
                let mtu = room.checked_sub(Ethernet::LEN as u32)?;
                u16::try_from(mtu).unwrap_or(u16::MAX)
            }
            _ => 0,
        };
        Some(Self { v4, v6, mtu })
    }
}

/// What the sender of a frame is told: why its packet was dropped, or that nobody listens where it
/// was sent to. `room` is the longest frame that would have fitted. `None` where nobody is to be
/// told, or the router has no address of the packet's family.
pub fn error(
    frame: &[u8],
    router: &Router,
    reason: Option<DropReason>,
    room: u32,
) -> Option<Vec<u8>> {
    let error = Error::of(reason, room)?;
    if reason.is_none() && is_icmp(frame)? {
        return None;
    }
    match ptb::may_err(&Frame::new(frame))? {
        Family::V4 => error4(frame, router, error, reason.is_none()),
        Family::V6 => error6(frame, router, error, reason.is_none()),
    }
}

/// What a router does not know of ICMP it lets be (RFC 1122, 3.2.2; RFC 4443, 2.4 b).
fn is_icmp(frame: &[u8]) -> Option<bool> {
    match wire::view::<Ethernet>(frame, 0)?.ethertype() {
        ethertype::IPV4 => {
            Some(wire::view::<Ipv4>(frame, Ethernet::LEN)?.protocol == protocol::ICMP)
        }
        _ => Some(asked::upper(frame.get(Ethernet::LEN..)?)?.0 == protocol::ICMPV6),
    }
}

/// Quotes as much as keeps the message within 576 bytes (RFC 1812, 4.3.2.3). Its sender is the
/// router, or where the packet was for the router, the address that it was sent to.
fn error4(frame: &[u8], router: &Router, error: Error, is_own: bool) -> Option<Vec<u8>> {
    let (ip, packet) = asked::ipv4(frame)?;
    let len = packet.len().min(Ptb4::QUOTE);
    let from = if is_own { ip.destination } else { router.v4 };
    if from == [0; 4] {
        return None;
    }
    let message = message(error.v4, error.mtu.into(), &packet[..len]);
    let mut header = Ipv4::new(from, ip.source, protocol::ICMP, 64);
    header.set_total_len((Ipv4::LEN + message.len()) as u16);
    header.set_tos(INTERNETWORK_CONTROL);
    header.seal();
    Some(turned(frame, router, ethertype::IPV4, bytes_of(&header), &sealed(message, &[])))
}

/// Internetwork control (RFC 1812, 4.3.2.5).
const INTERNETWORK_CONTROL: u8 = 0xc0;

/// The same within 1280 bytes (RFC 4443, 2.4 c). An error behind extension headers is one, too.
fn error6(frame: &[u8], router: &Router, error: Error, is_own: bool) -> Option<Vec<u8>> {
    let ip = wire::view::<Ipv6>(frame, Ethernet::LEN)?;
    let packet = frame.get(Ethernet::LEN..)?;
    let (next, at) = asked::upper(packet)?;
    if next == protocol::ICMPV6 && wire::view::<Icmp>(packet, at).is_none_or(Icmp::is_v6_error) {
        return None;
    }
    let whole = Ipv6::LEN + usize::from(ip.payload_len());
    let len = packet.len().min(whole).min(Ptb6::QUOTE);
    let from = if is_own { ip.destination } else { address_bytes(router.v6) };
    if from == [0; 16] {
        return None;
    }
    let mtu = if error.mtu == 0 { 0 } else { u32::from(error.mtu.max(Ptb6::MTU)) };
    let message = message(error.v6, mtu, &packet[..len]);
    Some(over_ipv6(frame, router, from, ip.source, message))
}

fn over_ipv6(
    frame: &[u8],
    router: &Router,
    from: [u8; 16],
    to: [u8; 16],
    message: Vec<u8>,
) -> Vec<u8> {
    let header = Ipv6::new(from, to, protocol::ICMPV6, message.len() as u16);
    let len = (message.len() as u32).to_be_bytes();
    let pseudo = [&from[..], &to, &len, &[0, 0, 0, protocol::ICMPV6]].concat();
    turned(frame, router, ethertype::IPV6, bytes_of(&header), &sealed(message, &pseudo))
}

/// A message without its checksum.
fn message((kind, code): (u8, u8), rest: u32, quoted: &[u8]) -> Vec<u8> {
    [&[kind, code, 0, 0][..], &rest.to_be_bytes(), quoted].concat()
}

/// The same with it.
fn sealed(mut message: Vec<u8>, pseudo: &[u8]) -> Vec<u8> {
    let sum = checksum::full(&[pseudo, &message].concat());
    message[2..4].copy_from_slice(&sum.to_be_bytes());
    message
}

/// A packet on its way back to who sent a frame, from the router.
fn turned(frame: &[u8], router: &Router, kind: u16, header: &[u8], message: &[u8]) -> Vec<u8> {
    let sender = wire::view::<Ethernet>(frame, 0).map(|ethernet| ethernet.source);
    let ethernet = Ethernet::new(sender.unwrap_or_default(), router.mac, kind);
    [bytes_of(&ethernet), header, message].concat()
}

/// The answer to an echo request (RFC 792; RFC 4443, 4.2), whole and sound, between two hosts;
/// `None` to anything else.
pub fn echo(frame: &[u8], router: &Router) -> Option<Vec<u8>> {
    match ptb::may_err(&Frame::new(frame))? {
        Family::V4 => echo4(frame, router),
        Family::V6 => echo6(frame, router),
    }
}

fn echo4(frame: &[u8], router: &Router) -> Option<Vec<u8>> {
    let (ip, packet) = asked::ipv4(frame)?;
    let is_whole = packet.len() == usize::from(ip.total_len()) && !ip.is_fragment();
    if !is_whole || ip.protocol != protocol::ICMP {
        return None;
    }
    let request = packet.get(ip.header_len()..)?;
    if request.len() < Icmp::LEN || request[..2] != [8, 0] || checksum::full(request) != 0 {
        return None;
    }
    let reply = [&[0; 4], &request[4..]].concat();
    let mut header = Ipv4::new(ip.destination, ip.source, protocol::ICMP, 64);
    header.set_total_len((Ipv4::LEN + reply.len()) as u16);
    // Asked with a class of service, it answers with that (RFC 1812, 4.3.3.6).
    header.set_tos(ip.tos() & !3);
    header.seal();
    Some(turned(frame, router, ethertype::IPV4, bytes_of(&header), &sealed(reply, &[])))
}

fn echo6(frame: &[u8], router: &Router) -> Option<Vec<u8>> {
    let ip = wire::view::<Ipv6>(frame, Ethernet::LEN)?;
    if ip.next_header != protocol::ICMPV6 {
        return None;
    }
    let start = Ethernet::LEN + Ipv6::LEN;
    let request = frame.get(start..start + usize::from(ip.payload_len()))?;
    let len = (request.len() as u32).to_be_bytes();
    let pseudo = [&ip.source[..], &ip.destination, &len, &[0, 0, 0, protocol::ICMPV6]].concat();
    let is_sound = checksum::full(&[&pseudo, request].concat()) == 0;
    if request.len() < Icmp::LEN || request[..2] != [128, 0] || !is_sound {
        return None;
    }
    let reply = [&[129, 0, 0, 0], &request[4..]].concat();
    Some(over_ipv6(frame, router, ip.destination, ip.source, reply))
}

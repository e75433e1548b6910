//! What ARP (RFC 826) and neighbour discovery (RFC 4861) say of their senders.
//!
//! As with learning, the path writes nothing: it compares what it hears with the neighbour
//! table, and reports what is news to user space, at a limited rate. The frame goes its way.
//!
//! A binding is heard from the station itself alone: its MAC is the frame's source. Whoever
//! tells another MAC contradicts the table and teaches it nothing. Checksums are not verified:
//! Ethernet's own covers the frame.

use crate::abi::{Neighbour, NeighbourKey, Punt, PuntReason, Target};
use crate::packet::Packet;
use crate::path::Ingress;
use crate::tables::Tables;
use crate::wire::{
    Arp, Discovered, Discovery, Ethernet, Icmpv6, LinkLayer, Mac, ethertype, protocol,
};

/// Where a frame came from.
#[derive(Clone, Copy)]
pub struct Origin {
    /// The frame's source address.
    pub station: Mac,
    /// Index in `SEGMENTS`.
    pub segment: u16,
    /// The port or peer.
    pub source: Target,
    /// Where the frame came in.
    pub ingress: Ingress,
}

/// What a frame says of an address.
#[derive(Clone, Copy)]
pub struct Claim {
    key: NeighbourKey,
    neighbour: Neighbour,
    /// Whether the table may hold it. What is not taught but contradicts the table has it
    /// forget.
    teaches: bool,
    /// Whether it displaces another (RFC 4861, 4.4: the O flag).
    overrides: bool,
    /// Whether it says if the station is a router.
    has_role: bool,
}

/// The two messages of neighbour discovery.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Message {
    /// A neighbour solicitation.
    Solicitation,
    /// A neighbour advertisement.
    Advertisement,
}

/// What a frame is that says something of neighbours.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Said {
    /// ARP.
    Arp,
    /// Neighbour discovery.
    Discovery(Message),
}

/// What a packet of this EtherType at `at` says.
#[inline(always)]
pub fn said<P: Packet>(packet: &P, kind: u16, at: usize) -> Option<Said> {
    match kind {
        ethertype::ARP => Some(Said::Arp),
        ethertype::IPV6 => message(packet, at).map(Said::Discovery),
        _ => None,
    }
}

/// What a frame without VLAN tag says that begins at `at`.
#[inline(always)]
pub fn said_at<P: Packet>(packet: &P, at: usize) -> Option<Said> {
    said(packet, packet.at::<Ethernet>(at)?.ethertype(), at + Ethernet::LEN)
}

/// Hears a frame without VLAN tag that begins at `at`.
#[inline(always)]
pub fn hear<P: Packet, T: Tables>(packet: &mut P, tables: &T, at: usize, origin: &Origin) {
    let upper = at + Ethernet::LEN;
    let claim = match said_at(packet, at) {
        Some(Said::Arp) => arp(packet, upper, origin),
        Some(Said::Discovery(message)) => discovery(packet, upper, message, origin),
        None => None,
    };
    if let Some(claim) = claim {
        report(packet, tables, &claim, origin);
    }
}

/// What ARP says. A probe (RFC 5227) says nothing: its sender has no address yet.
#[inline(always)]
pub fn arp<P: Packet>(packet: &P, at: usize, origin: &Origin) -> Option<Claim> {
    let arp = packet.at::<Arp>(at)?;
    if !arp.is_ipv4_over_ethernet() || !matches!(arp.operation(), Arp::REQUEST | Arp::REPLY) {
        return None;
    }
    Some(Claim {
        key: NeighbourKey::v4(arp.sender_ip, origin.segment)?,
        neighbour: Neighbour::new(arp.sender_mac),
        teaches: arp.sender_mac == origin.station,
        overrides: true,
        has_role: false,
    })
}

/// Which message an IPv6 packet is; only as it comes from the link itself, and with an option.
#[inline(always)]
fn message<P: Packet>(packet: &P, at: usize) -> Option<Message> {
    let icmp = packet.at::<Icmpv6>(at)?;
    if icmp.ip.next_header != protocol::ICMPV6
        || icmp.ip.version() != 6
        || icmp.ip.hop_limit != Discovery::HOP_LIMIT
        || (icmp.ip.payload_len() as usize) < Discovery::WITH_OPTION
    {
        return None;
    }
    match (icmp.kind, icmp.code) {
        (Discovery::SOLICITATION, 0) => Some(Message::Solicitation),
        (Discovery::ADVERTISEMENT, 0) => Some(Message::Advertisement),
        _ => None,
    }
}

/// What neighbour discovery says. Only an advertisement says whether its sender is a router,
/// without which nobody can be answered in its place: hosts drop a router that is told to be
/// none (RFC 4861, 7.2.5). So a solicitation teaches nothing, but may contradict. That of a
/// station that has no address yet has no such option.
#[inline(always)]
pub fn discovery<P: Packet>(
    packet: &mut P,
    at: usize,
    message: Message,
    origin: &Origin,
) -> Option<Claim> {
    packet.require((at + Discovered::LEN) as u32);
    let told = packet.at::<Discovered>(at)?;
    match message {
        Message::Solicitation => Some(Claim {
            key: NeighbourKey::v6(told.ip.source_words(), origin.segment)?,
            neighbour: Neighbour::new(told.option.of_kind(LinkLayer::SOURCE)?),
            teaches: false,
            overrides: true,
            has_role: false,
        }),
        Message::Advertisement => {
            let mac = told.option.of_kind(LinkLayer::TARGET)?;
            Some(Claim {
                key: NeighbourKey::v6(told.head.target_words(), origin.segment)?,
                neighbour: Neighbour::new(mac).with_router(told.head.is_router()),
                teaches: mac == origin.station,
                overrides: told.head.overrides(),
                has_role: true,
            })
        }
    }
}

impl Claim {
    /// Whether it is another than what the table has.
    #[inline(always)]
    fn is_news(&self, known: Option<Neighbour>) -> bool {
        match known {
            None => self.teaches,
            Some(known) if known.is_static() || !self.overrides => false,
            Some(known) if self.has_role => !known.is_same_as(self.neighbour),
            Some(known) => !known.is_station_of(self.neighbour),
        }
    }
}

/// Reports a claim that is news, and returns whether it is. One over its rate is no loss: the
/// station says so again.
#[inline(always)]
pub fn report<P: Packet, T: Tables>(
    packet: &mut P,
    tables: &T,
    claim: &Claim,
    origin: &Origin,
) -> bool {
    if !claim.is_news(tables.neighbour(&claim.key)) {
        return false;
    }
    let punt = Punt {
        reason: PuntReason::Neighbour as u8,
        hook: origin.ingress.hook as u8,
        segment: origin.segment,
        ifindex: origin.ingress.ifindex,
        source: origin.source,
        mac: if claim.teaches { origin.station.0 } else { [0; 6] },
        address: claim.key.bytes(),
        generation: claim.neighbour.is_router() as u16,
        ..Punt::default()
    };
    let _ = tables.punt(packet, punt);
    true
}

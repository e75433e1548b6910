//! ARP and neighbour discovery: heard, and answered where the answer is known.
//!
//! Only what is asked of everybody is answered: a question to one station is whether that
//! station is there (RFC 4861, 7.3), which it alone knows; of the router, this node does. An
//! announcement, a probe (RFC 5227) and duplicate address detection (RFC 4862, 5.4) go to
//! everybody, as does a question whose answer is not known, or whose asker is not known by this
//! address: the others are to hear of it.
//!
//! The answer is written over the question and goes back through the port that it came from.
//! XDP leaves all of this to tc.

use super::classify::Frame;
use super::strip;
use crate::abi::{Charge, Direction, FdbKey, Neighbour, NeighbourKey, Target};
use crate::packet::Packet;
use crate::path::neighbours::{self, Message, Origin, Said};
use crate::path::{local, police};
use crate::tables::Tables;
use crate::verdict::{DropReason, Verdict};
use crate::wire::{Arp, Discovered, Discovery, Ethernet, Header};

/// `None`: the frame goes its way, untouched.
#[inline(always)]
pub fn run<P: Packet, T: Tables>(
    packet: &mut P,
    tables: &T,
    frame: &Frame,
    (said, at): (Said, usize),
) -> Option<Result<Verdict, DropReason>> {
    match said {
        Said::Arp => arp(packet, tables, frame, at),
        Said::Discovery(message) => discovery(packet, tables, frame, at, message),
    }
}

#[inline(always)]
fn arp<P: Packet, T: Tables>(
    packet: &mut P,
    tables: &T,
    frame: &Frame,
    at: usize,
) -> Option<Result<Verdict, DropReason>> {
    let origin = origin(frame);
    let claim = neighbours::arp(packet, at, &origin)?;
    if neighbours::report(packet, tables, &claim, &origin) {
        return None;
    }
    let asked = packet.at::<Arp>(at)?;
    if asked.operation() != Arp::REQUEST
        || asked.sender_ip == asked.target_ip
        || asked.sender_mac != origin.station
    {
        return None;
    }
    let key = NeighbourKey::v4(asked.target_ip, frame.segment)?;
    let neighbour = known(tables, frame, &key)?;
    Some(answer(packet, tables, frame, neighbour, |arp: &mut Arp| arp.answer(neighbour.mac())))
}

#[inline(always)]
fn discovery<P: Packet, T: Tables>(
    packet: &mut P,
    tables: &T,
    frame: &Frame,
    at: usize,
    message: Message,
) -> Option<Result<Verdict, DropReason>> {
    let origin = origin(frame);
    let claim = neighbours::discovery(packet, at, message, &origin)?;
    let is_news = neighbours::report(packet, tables, &claim, &origin);
    if is_news || message != Message::Solicitation {
        return None;
    }
    // The answer has the question's length: one option, and nothing else.
    let asked = packet.at::<Discovered>(at)?;
    if asked.ip.payload_len() as usize != Discovery::WITH_OPTION
        || asked.option.mac != origin.station
    {
        return None;
    }
    let key = NeighbourKey::v6(asked.head.target_words(), frame.segment)?;
    let neighbour = known(tables, frame, &key)?;
    let (mac, is_router) = (neighbour.mac(), neighbour.is_router());
    let written = |asked: &mut Discovered| asked.answer(mac, is_router);
    Some(answer(packet, tables, frame, neighbour, written))
}

/// Whose an address is, if everybody was asked or it is the router's, and the station is where the
/// FDB says, which is not where the question came from.
#[inline(always)]
fn known<T: Tables>(tables: &T, frame: &Frame, key: &NeighbourKey) -> Option<Neighbour> {
    let neighbour = tables.neighbour(key)?;
    let target = tables.fdb(&FdbKey::new(neighbour.mac(), frame.segment))?.target;
    let is_asked = frame.destination.station().is_group() || target.is_router();
    if is_asked && target != Target::port(frame.port) { Some(neighbour) } else { None }
}

/// Writes the answer over the question and sends it back.
#[inline(always)]
fn answer<P: Packet, T: Tables, Q: Header>(
    packet: &mut P,
    tables: &T,
    frame: &Frame,
    neighbour: Neighbour,
    write: impl FnOnce(&mut Q),
) -> Result<Verdict, DropReason> {
    strip::run(packet, frame)?;
    packet.at_mut::<Ethernet>(0).ok_or(DropReason::Truncated)?.turn_back(neighbour.mac());
    write(packet.at_mut(Ethernet::LEN).ok_or(DropReason::Truncated)?);
    let port = local::port(tables, frame.port)?;
    let (packets, bytes) = (1, packet.len());
    // It was sent to everybody, and is counted as such where that is limited.
    police::run(tables, frame.sender(), Charge { packets, bytes, is_flood: true })?;
    tables.count_port(frame.port, Direction::Rx, packets, bytes);
    local::deliver(packet, tables, frame.port, port, (packets, bytes))
}

#[inline(always)]
fn origin(frame: &Frame) -> Origin {
    Origin {
        station: frame.source.station(),
        segment: frame.segment,
        source: Target::port(frame.port),
        ingress: frame.ingress,
    }
}

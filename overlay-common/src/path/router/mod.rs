//! From segment to segment: a frame that was sent to the router of its segment.
//!
//! strip or decap → head → filter → route → next hop, then one of two ways out: to a peer (MSS →
//! police → rewrite → encap), or to a local port (filter → police → rewrite → deliver). What asks
//! for more than that is handed to user space: what is the router's own, what has no next hop yet,
//! and what an error is to be told of, but for a packet that is too big ([`too_big`]).
//!
//! XDP leaves all of this to tc.

mod head;
mod next_hop;
mod too_big;

use crate::abi::{Arrival, Direction, Policed, Punt, PuntReason, Route, RouteKey, Router, Target};
use crate::packet::{Inner, Packet};
use crate::path::flow::{Flow, wire_len};
use crate::path::from_access::strip;
use crate::path::from_underlay::decap::{self, Wrapped};
use crate::path::police::{self, Sender};
use crate::path::{Ingress, encap, forget, local, mss, way};
use crate::tables::Tables;
use crate::verdict::{DropReason, Verdict};
use crate::wire::{Ethernet, Family, Ipv4, Ipv6, Tcp};

use head::Head;
use next_hop::NextHop;

/// Leaves a frame to the program that routes, or routes it here.
#[inline(always)]
pub(super) fn enter<P: Packet, T: Tables>(
    packet: &mut P,
    tables: &T,
    ingress: Ingress,
    arrival: Arrival,
) -> Result<Verdict, DropReason> {
    if T::APART {
        tables.hand_on(arrival);
        return Ok(Verdict::Route);
    }
    run(packet, tables, ingress, arrival)
}

/// Routes a frame that was sent to a router, and is as it came in.
///
/// # Errors
///
/// The reason for which the frame is to be dropped.
#[inline(always)]
pub fn run<P: Packet, T: Tables>(
    packet: &mut P,
    tables: &T,
    ingress: Ingress,
    arrival: Arrival,
) -> Result<Verdict, DropReason> {
    arrive(packet, &arrival)?;
    forget();
    let routed = Routed { ingress, arrival };
    let Some(head) = head::of(packet)? else {
        // ARP was heard, and answered, before.
        return Ok(Verdict::Consumed);
    };
    routed.hold(packet, tables)?;
    forget();
    let router = tables.router(arrival.segment).ok_or(DropReason::TableInconsistent)?;
    let key = RouteKey::to(router.vrf, head.family, head.destination);
    let Some(route) = tables.route(&key) else {
        return routed.tell(packet, tables, DropReason::NoRoute);
    };
    if route.kind == Route::LOCAL {
        return routed.punt(packet, tables, 0, [0; 16]);
    }
    if !head.is_global {
        return Err(DropReason::NotRoutable);
    }
    match route.kind {
        Route::BLACKHOLE => return Err(DropReason::NoRoute),
        Route::UNREACHABLE => return routed.tell(packet, tables, DropReason::NoRoute),
        _ if head.life <= 1 => return routed.tell(packet, tables, DropReason::TtlExceeded),
        _ => {}
    }
    let Some(next_hop) = next_hop::of(tables, &route, &head) else {
        return routed.punt(packet, tables, 0, [0; 16]);
    };
    if next_hop.target.is_peer() {
        routed.to_peer(packet, tables, router, &head, &next_hop)
    } else {
        routed.to_port(packet, tables, router, &head, &next_hop)
    }
}

/// Leaves the plain frame.
#[inline(always)]
fn arrive<P: Packet>(packet: &mut P, arrival: &Arrival) -> Result<(), DropReason> {
    let has = |flag: u8| arrival.flags & flag != 0;
    if arrival.outer_len == 0 {
        return strip::plain(packet, has(Arrival::TAGGED));
    }
    let inner = match (has(Arrival::IPV4), has(Arrival::IPV6)) {
        (true, _) => Inner::Ipv4,
        (_, true) => Inner::Ipv6,
        _ => Inner::Other,
    };
    let family = if has(Arrival::V6) { Family::V6 } else { Family::V4 };
    let (ecn, len, outer_len) =
        (arrival.ecn, arrival.len, u32::from(arrival.outer_len & LONGEST_OUTER));
    packet.require(outer_len + PLAIN_HEADERS);
    decap::unwrap(packet, &Wrapped { inner, family, ecn, outer_len, len })
}

/// More than all outer headers have: 70 bytes over IPv6, and 252 of Geneve's options. A verifier
/// is to know that there are no more.
const LONGEST_OUTER: u16 = 0x1ff;

/// What is read of a plain frame.
const PLAIN_HEADERS: u32 = (Ethernet::LEN + Ipv6::LEN + Tcp::LEN) as u32;

/// Sends a plain frame of this node's own back to where another came from.
///
/// # Errors
///
/// The reason for which it cannot be sent.
pub fn send_back<P: Packet, T: Tables>(
    packet: &mut P,
    tables: &T,
    arrival: Arrival,
) -> Result<Verdict, DropReason> {
    let (index, sizes) = (arrival.source.index(), (1, packet.len()));
    if !arrival.source.is_peer() {
        let port = local::port(tables, index)?;
        if packet.len() > port.max_frame {
            return Err(DropReason::TooBig);
        }
        return local::deliver(packet, tables, index, port, sizes);
    }
    let peer = tables.peer(index).filter(|peer| peer.is_ready());
    let peer = peer.ok_or(DropReason::PeerUnresolved)?;
    if packet.len() > u32::from(peer.max_frame) {
        return Err(DropReason::TooBig);
    }
    let segment = tables.segment(arrival.segment).ok_or(DropReason::TableInconsistent)?;
    encapsulate(packet, tables, peer, index, segment.vni, sizes)
}

/// Sends a plain frame of this node's own, an ARP request or the like, to everybody of a segment.
pub fn send_to_all<P: Packet, T: Tables>(packet: &mut P, tables: &T, segment: u16) {
    let _ = super::from_access::flood::own(packet, tables, segment);
}

pub use next_hop::{is_local, wanted};
pub use too_big::room;

/// A frame on its way from one segment to another.
struct Routed {
    ingress: Ingress,
    arrival: Arrival,
}

impl Routed {
    #[inline(always)]
    fn to_peer<P: Packet, T: Tables>(
        &self,
        packet: &mut P,
        tables: &T,
        router: &Router,
        head: &Head,
        next_hop: &NextHop,
    ) -> Result<Verdict, DropReason> {
        let index = next_hop.target.index();
        let peer = tables.peer(index).ok_or(DropReason::TableInconsistent)?;
        if !peer.is_ready() {
            return self.punt(packet, tables, 0, [0; 16]);
        }
        let (wire_len, max_frame) = (wire_len(packet), peer.max_frame as u32);
        if wire_len > max_frame {
            return too_big::run(packet, tables, self, router, (max_frame, None));
        }
        let segment = tables.segment(next_hop.segment).ok_or(DropReason::TableInconsistent)?;
        if peer.clamps()
            && let Some(tcp) = mss::syn(packet, head.ethertype(), Ethernet::LEN)
        {
            mss::clamp(packet, tcp, max_frame);
        }
        forget();
        let sizes = self.police(packet, tables, wire_len)?;
        rewrite(packet, head, router, next_hop)?;
        let verdict = encapsulate(packet, tables, peer, index, segment.vni, sizes)?;
        self.count(tables, sizes);
        Ok(verdict)
    }

    #[inline(always)]
    fn to_port<P: Packet, T: Tables>(
        &self,
        packet: &mut P,
        tables: &T,
        router: &Router,
        head: &Head,
        next_hop: &NextHop,
    ) -> Result<Verdict, DropReason> {
        let index = next_hop.target.index();
        let port = local::port(tables, index)?;
        let (wire_len, max_frame) = (wire_len(packet), port.max_frame);
        self.hold_out(packet, tables, next_hop.segment)?;
        if wire_len > max_frame {
            return too_big::run(packet, tables, self, router, (max_frame, Some(next_hop.segment)));
        }
        let sizes = self.police(packet, tables, wire_len)?;
        rewrite(packet, head, router, next_hop)?;
        let verdict = local::deliver(packet, tables, index, port, sizes)?;
        self.count(tables, sizes);
        Ok(verdict)
    }

    /// As the limits see it.
    #[inline(always)]
    const fn sender(&self) -> Sender {
        let Arrival { source, segment, limits, .. } = self.arrival;
        Sender { source, segment, limits }
    }

    /// Holds the frame against the list of where it came from: before anything is done with it, and
    /// not again in user space.
    #[inline(always)]
    fn hold<P: Packet, T: Tables>(&self, packet: &mut P, tables: &T) -> Result<(), DropReason> {
        if self.arrival.limits & Policed::FILTER_IN == 0 {
            return Ok(());
        }
        let charge = police::charge(packet, wire_len(packet));
        police::filter(packet, tables, self.sender(), charge, false)
    }

    /// Holds the frame against the list of where it goes, unless it is a part of one that was held
    /// against the same.
    #[inline(always)]
    fn hold_out<P: Packet, T: Tables>(
        &self,
        packet: &mut P,
        tables: &T,
        to: u16,
    ) -> Result<(), DropReason> {
        if self.arrival.is_held_by(to) {
            return Ok(());
        }
        let segment = tables.segment(to).filter(|segment| segment.vni != 0);
        let segment = segment.ok_or(DropReason::TableInconsistent)?;
        if segment.flags & Policed::FILTER_OUT as u32 == 0 {
            return Ok(());
        }
        let charge = police::charge(packet, wire_len(packet));
        police::out(packet, tables, to, charge)
    }

    /// Holds the frame against the limits of where it came from.
    #[inline(always)]
    fn police<P: Packet, T: Tables>(
        &self,
        packet: &P,
        tables: &T,
        wire_len: u32,
    ) -> Result<(u32, u32), DropReason> {
        let charge = police::charge(packet, wire_len);
        police::run(tables, self.sender(), charge)?;
        Ok((charge.packets, charge.bytes))
    }

    #[inline(always)]
    fn count<T: Tables>(&self, tables: &T, (packets, bytes): (u32, u32)) {
        let source = self.arrival.source;
        if source.is_peer() {
            tables.count_peer(source.index(), Direction::Rx, packets, bytes);
        } else {
            tables.count_port(source.index(), Direction::Rx, packets, bytes);
        }
    }

    /// Has user space tell the sender why its packet is dropped. Where that is asked too often, the
    /// packet is dropped all the same.
    #[inline(always)]
    fn tell<P: Packet, T: Tables>(
        &self,
        packet: &mut P,
        tables: &T,
        reason: DropReason,
    ) -> Result<Verdict, DropReason> {
        let _ = self.punt(packet, tables, reason as u16, [0; 16]);
        Err(reason)
    }

    /// Hands the plain frame to user space, before it is rewritten.
    #[inline(always)]
    fn punt<P: Packet, T: Tables>(
        &self,
        packet: &mut P,
        tables: &T,
        about: u16,
        address: [u8; 16],
    ) -> Result<Verdict, DropReason> {
        let len = packet.len();
        if len > Punt::LONGEST {
            return Err(DropReason::TooBig);
        }
        let punt = Punt {
            reason: PuntReason::Router as u8,
            hook: self.ingress.hook as u8,
            segment: self.arrival.segment,
            ifindex: self.ingress.ifindex,
            source: self.arrival.source,
            frame_len: len,
            captured: len,
            gso_size: packet.gso_size() as u16,
            generation: about,
            address,
            ..Punt::default()
        };
        tables.punt(packet, punt)?;
        Ok(Verdict::Consumed)
    }
}

/// Addresses the frame to the next hop, and takes one from its life.
#[inline(always)]
fn rewrite<P: Packet>(
    packet: &mut P,
    head: &Head,
    router: &Router,
    next_hop: &NextHop,
) -> Result<(), DropReason> {
    let ethernet = packet.at_mut::<Ethernet>(0).ok_or(DropReason::Truncated)?;
    *ethernet = Ethernet::new(next_hop.station.mac(), router.mac, head.ethertype());
    match head.family {
        Family::V4 => packet.at_mut::<Ipv4>(Ethernet::LEN).ok_or(DropReason::Truncated)?.age(),
        Family::V6 => {
            let ip = packet.at_mut::<Ipv6>(Ethernet::LEN).ok_or(DropReason::Truncated)?;
            ip.hop_limit = ip.hop_limit.wrapping_sub(1);
        }
    }
    Ok(())
}

/// Wraps a plain frame that fits for a peer that is ready.
#[inline(always)]
fn encapsulate<P: Packet, T: Tables>(
    packet: &mut P,
    tables: &T,
    peer: &crate::abi::Peer,
    index: u32,
    vni: u32,
    (packets, bytes): (u32, u32),
) -> Result<Verdict, DropReason> {
    let flow = Flow::of(packet).ok_or(DropReason::Truncated)?;
    let way = way::run(tables, peer, &flow)?;
    encap::wrap(packet, peer, &way, &flow, vni)?;
    tables.count_peer(index, Direction::Tx, packets, bytes);
    Ok(Verdict::Transmit(way.egress))
}

/// What a punt of [`PuntReason::Router`] says of its frame; `None` where its port or peer may not
/// use the segment any more, or the segment has no router.
pub fn arrival_of<T: Tables>(tables: &T, punt: &Punt) -> Option<Arrival> {
    tables.router(punt.segment).filter(|router| router.vrf != 0)?;
    let is_there = |source: Target| {
        let port = tables.port(source.index());
        source.is_peer() || port.is_some_and(|port| port.segment == punt.segment)
    };
    // It was held against the list of where it came from. Its limits were asked already, or will be
    // when the sender sends the next one.
    let plain = Arrival::plain(punt.source, punt.segment);
    let arrival = punt.holder().map_or(plain, |segment| plain.held_by(segment));
    is_there(punt.source).then_some(arrival)
}

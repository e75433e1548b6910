//! Closed by default: only known peers, only in their segments, only frames that
//! a bridge would take.

use super::PLAIN_V4;
use super::classify::Datagram;
use super::unwrap::Tunnel;
use crate::abi::{Arrival, FdbKey, Permit, PermitKey, Policed, Target, Vtep};
use crate::packet::{Inner, Packet};
use crate::path::Ingress;
use crate::path::police::Sender;
use crate::tables::Tables;
use crate::verdict::DropReason;
use crate::wire::{Ethernet, Family, Ipv6, Mac, Tag, Tcp, ethertype};

/// An inner frame whose peer and segment are known.
pub struct Frame {
    /// Where it came in.
    pub ingress: Ingress,
    /// Index of its peer.
    pub peer: u32,
    /// Index of its segment.
    pub segment: u16,
    /// Whose limits it is held against.
    pub limits: u16,
    /// Whether the segment learns what is behind its peers.
    pub learning: bool,
    /// Whether ARP and neighbour discovery are heard.
    pub neighbours: bool,
    /// The inner destination address, in its segment.
    pub destination: FdbKey,
    /// The inner source address, in its segment.
    pub source: FdbKey,
    /// What the inner frame carries.
    pub inner: Inner,
    /// The family that it came over.
    pub family: Family,
    /// The outer ECN field.
    pub ecn: u8,
    /// The bytes of all outer headers, options included.
    pub outer_len: u32,
    /// The frame's length, outer headers included, padding not.
    pub len: u32,
}

impl Frame {
    /// As the limits see it.
    #[inline(always)]
    pub const fn sender(&self) -> Sender {
        let source = Target::peer(self.peer);
        Sender { source, segment: self.segment, limits: self.limits }
    }

    /// As its router sees it.
    #[inline(always)]
    pub const fn arrival(&self) -> Arrival {
        let inner = match self.inner {
            Inner::Ipv4 => Arrival::IPV4,
            Inner::Ipv6 => Arrival::IPV6,
            Inner::Other => 0,
        };
        let outer = match self.family {
            Family::V4 => 0,
            Family::V6 => Arrival::V6,
        };
        Arrival {
            limits: self.limits,
            len: self.len,
            outer_len: self.outer_len as u16,
            ecn: self.ecn,
            flags: inner | outer,
            ..Arrival::plain(Target::peer(self.peer), self.segment)
        }
    }
}

/// What the path reads of an inner frame; of a super-frame, the TCP header too.
const INNER_HEADERS: u32 = (Ethernet::LEN + Ipv6::LEN + Tcp::LEN) as u32;

/// Checks VNI and inner Ethernet header.
#[inline(always)]
pub fn run<P: Packet, T: Tables>(
    packet: &mut P,
    tables: &T,
    ingress: Ingress,
    datagram: &Datagram,
    tunnel: &Tunnel,
) -> Result<Frame, DropReason> {
    let vtep = datagram.vtep;
    let permit = permit(tables, vtep.profile, tunnel.vni)?;
    if datagram.len < tunnel.inner + Ethernet::LEN as u32 {
        return Err(DropReason::InnerTruncated);
    }
    // The caller saw to a plain frame in the usual tunnel. Which that is, the compiler knows
    // here: Linux 6.12's verifier would lose track of a number that is compared with itself,
    // so where it does not know, nothing is compared.
    if T::SHORT || tunnel.inner != PLAIN_V4 || packet.gso_size() != 0 {
        packet.require(tunnel.inner + INNER_HEADERS);
    }
    let at = tunnel.inner as usize;
    let ethernet = packet.at::<Ethernet>(at).ok_or(DropReason::InnerTruncated)?;
    let stations = ethernet.stations();
    let inner = inner_kind(packet, stations, ethernet.ethertype(), at)?;
    let [destination, source] = stations;
    Ok(Frame {
        ingress,
        peer: vtep.peer(),
        segment: permit.segment,
        limits: limits(vtep, permit),
        learning: permit.flags & Permit::LEARN != 0,
        neighbours: permit.flags & Permit::NEIGHBOURS != 0,
        destination: FdbKey::new(destination, permit.segment),
        source: FdbKey::new(source, permit.segment),
        inner,
        family: datagram.family,
        ecn: datagram.ecn,
        outer_len: tunnel.inner,
        len: datagram.len,
    })
}

/// The peer's limits and the segment's.
#[inline(always)]
const fn limits(vtep: Vtep, permit: Permit) -> u16 {
    let segment = permit.flags & (Policed::SEGMENT | Policed::FILTER_OUT);
    if vtep.is_policed() { segment | Policed::PORT } else { segment }
}

/// The segment of a VNI, if the profile may use it. The segment is that of the
/// profile of every VNI: so it is known, and the look-ups in the FDB can begin,
/// before the peer's own profile is. The two must agree, so that a VNI that is
/// passed from one segment to another takes no peer along.
#[inline(always)]
fn permit<T: Tables>(tables: &T, profile: u32, vni: u32) -> Result<Permit, DropReason> {
    let any = PermitKey { profile: PermitKey::ANY, vni };
    let permit = tables.permit(&any).ok_or(DropReason::UnknownVni)?;
    match tables.permit(&PermitKey { profile, vni }) {
        Some(own) if own.segment == permit.segment => Ok(permit),
        _ => Err(DropReason::VniNotPermitted),
    }
}

/// Refuses what a bridge would not take.
#[inline(always)]
fn inner_kind<P: Packet>(
    packet: &P,
    [destination, source]: [Mac; 2],
    kind: u16,
    at: usize,
) -> Result<Inner, DropReason> {
    if !source.is_source() {
        return Err(DropReason::InvalidSource);
    }
    if destination.is_link_local_group() {
        return Err(DropReason::LinkLocalGroup);
    }
    match kind {
        ethertype::IPV4 => Ok(Inner::Ipv4),
        ethertype::IPV6 => Ok(Inner::Ipv6),
        ethertype::VLAN | ethertype::SERVICE_VLAN => {
            // A tag that is cut off is no tag, but nor is the frame a frame.
            packet.at::<Tag>(at + Tag::OFFSET).ok_or(DropReason::InnerTruncated)?;
            Err(DropReason::InnerVlan)
        }
        _ => Ok(Inner::Other),
    }
}

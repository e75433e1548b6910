//! Closed by default: only known peers, only in their segments, only frames that
//! a bridge would take.

use super::classify::Tunnel;
use crate::abi::{FdbKey, Permit, PermitKey, VtepKey};
use crate::packet::{Inner, Packet};
use crate::path::Ingress;
use crate::tables::Tables;
use crate::verdict::DropReason;
use crate::wire::{Ethernet, TUNNEL_LEN, Tag, ethertype};

/// An inner frame whose peer and segment are known.
pub struct Frame {
    /// Where it came in.
    pub ingress: Ingress,
    /// Index of its peer.
    pub peer: u32,
    /// Index of its segment.
    pub segment: u16,
    /// Whether the segment learns what is behind its peers.
    pub learning: bool,
    /// The inner destination address, in its segment.
    pub destination: FdbKey,
    /// The inner source address, in its segment.
    pub source: FdbKey,
    /// What the inner frame carries.
    pub inner: Inner,
    /// The outer ECN field.
    pub ecn: u8,
    /// The frame's length, outer headers included, padding not.
    pub len: u32,
}

/// Checks peer, VNI and inner Ethernet header.
#[inline(always)]
pub fn run<P: Packet, T: Tables>(
    packet: &P,
    tables: &T,
    ingress: Ingress,
    tunnel: &Tunnel,
) -> Result<Frame, DropReason> {
    let vtep = tables.vtep(&VtepKey(tunnel.source)).ok_or(DropReason::UnknownVtep)?;
    let permit = permit(tables, vtep.profile, tunnel.vni)?;
    if tunnel.len < (TUNNEL_LEN + Ethernet::LEN) as u32 {
        return Err(DropReason::InnerTruncated);
    }
    let ethernet = *packet.at::<Ethernet>(TUNNEL_LEN).ok_or(DropReason::InnerTruncated)?;
    let inner = inner_kind(packet, &ethernet)?;
    Ok(Frame {
        ingress,
        peer: vtep.peer,
        segment: permit.segment,
        learning: permit.flags & Permit::LEARN != 0,
        destination: FdbKey::new(ethernet.destination, permit.segment),
        source: FdbKey::new(ethernet.source, permit.segment),
        inner,
        ecn: tunnel.ecn,
        len: tunnel.len,
    })
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
fn inner_kind<P: Packet>(packet: &P, ethernet: &Ethernet) -> Result<Inner, DropReason> {
    if !ethernet.source.is_source() {
        return Err(DropReason::InvalidSource);
    }
    if ethernet.destination.is_link_local_group() {
        return Err(DropReason::LinkLocalGroup);
    }
    match ethernet.ethertype() {
        ethertype::IPV4 => Ok(Inner::Ipv4),
        ethertype::IPV6 => Ok(Inner::Ipv6),
        ethertype::VLAN | ethertype::SERVICE_VLAN => {
            // A tag that is cut off is no tag, but nor is the frame a frame.
            packet.at::<Tag>(TUNNEL_LEN + Tag::OFFSET).ok_or(DropReason::InnerTruncated)?;
            Err(DropReason::InnerVlan)
        }
        _ => Ok(Inner::Other),
    }
}

//! The way to a peer: its outer header, or what stands in the way.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

use overlay_common::abi::{Egress, Peer};
use overlay_common::wire::{Ends, Ethernet, Family, Mac, Template};

use super::links::Links;
use super::{LinkInfo, NextHop, topology};
use crate::config::{Dscp, Encap, Vteps};

/// What a tunnel takes of an uplink's MTU: IP, UDP and tunnel headers. The inner
/// Ethernet header counts as part of the frame.
const fn overhead(family: Family) -> u32 {
    (family.tunnel_len() - Ethernet::LEN) as u32
}

/// What is known of the ways to all VTEPs.
#[derive(Debug, Default)]
pub struct Ways {
    next_hops: BTreeMap<IpAddr, Vec<NextHop>>,
}

/// A complete way.
pub struct Way<'a> {
    pub uplink: &'a LinkInfo,
    pub flags: u32,
    pub mac: Mac,
    /// The longest IP packet that uplink and route take.
    pub mtu: u32,
}

/// Why there is no way to a peer, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Obstacle {
    NoRoute(IpAddr),
    NoUplink { vtep: IpAddr, device: String },
    UplinkDown(String),
    NoNeighbour { gateway: IpAddr, device: String },
}

impl Ways {
    /// Takes note of a route's next hops, and says whether that is a change.
    pub fn put(&mut self, vtep: IpAddr, next_hops: Vec<NextHop>) -> bool {
        if next_hops.is_empty() {
            return self.next_hops.remove(&vtep).is_some();
        }
        if self.next_hops.get(&vtep) == Some(&next_hops) {
            return false;
        }
        self.next_hops.insert(vtep, next_hops);
        true
    }

    /// Forgets the VTEPs that are not `kept`.
    pub fn retain(&mut self, kept: impl Fn(&IpAddr) -> bool) {
        self.next_hops.retain(|vtep, _| kept(vtep));
    }

    /// None where there is no route.
    pub fn next_hops(&self, vtep: IpAddr) -> &[NextHop] {
        self.next_hops.get(&vtep).map_or(&[], Vec::as_slice)
    }

    /// The ways to a VTEP over the uplinks, at least one, each with the place of its next hop;
    /// or what is in the way of the first.
    pub fn find<'a>(
        &self,
        vtep: IpAddr,
        links: &'a Links,
        is_uplink: impl Fn(&str) -> bool,
    ) -> Result<Vec<(usize, Way<'a>)>, Obstacle> {
        let hops = self.next_hops(vtep);
        let ways = usable(vtep, hops, links, &is_uplink);
        if !ways.is_empty() {
            return Ok(ways);
        }
        let first = hops.first().ok_or(Obstacle::NoRoute(vtep))?;
        over(vtep, first, links, &is_uplink).map(|way| vec![(0, way)])
    }
}

/// The ways over those of the next hops that can be used now.
pub fn usable<'a>(
    vtep: IpAddr,
    hops: &[NextHop],
    links: &'a Links,
    is_uplink: impl Fn(&str) -> bool,
) -> Vec<(usize, Way<'a>)> {
    let way = |(at, hop)| Some((at, over(vtep, hop, links, &is_uplink).ok()?));
    hops.iter().enumerate().filter_map(way).collect()
}

/// The way over one next hop.
fn over<'a>(
    vtep: IpAddr,
    next_hop: &NextHop,
    links: &'a Links,
    is_uplink: impl Fn(&str) -> bool,
) -> Result<Way<'a>, Obstacle> {
    let link = links.indexed(next_hop.ifindex);
    let Some(uplink) = link.filter(|link| is_uplink(&link.name)) else {
        let device = match link {
            Some(link) => link.name.clone(),
            None => format!("device {}", next_hop.ifindex),
        };
        return Err(Obstacle::NoUplink { vtep, device });
    };
    let device = || uplink.name.clone();
    if !uplink.up {
        return Err(Obstacle::UplinkDown(device()));
    }
    let Some(mac) = next_hop.mac else {
        return Err(Obstacle::NoNeighbour { gateway: next_hop.gateway, device: device() });
    };
    let flags = links.attached(&uplink.name).unwrap_or(0);
    let mtu = next_hop.mtu.map_or(uplink.mtu, |mtu| mtu.min(uplink.mtu));
    Ok(Way { uplink, flags, mac, mtu })
}

/// What is known of a tunnel without a way.
#[derive(Clone, Copy, Debug)]
pub struct Tunnel {
    pub ends: Ends,
    pub encap: Encap,
    pub port: u16,
    mtu: Option<u16>,
    clamps: bool,
    dscp: Dscp,
}

impl Tunnel {
    /// From this node to a peer; `None` where the node has no VTEP of the peer's family.
    pub fn new(local: Vteps, peer: &topology::Peer) -> Option<Self> {
        let ends = match (local.like(peer.vtep)?, peer.vtep) {
            (IpAddr::V4(from), IpAddr::V4(to)) => Ends::V4(from.octets(), to.octets()),
            (IpAddr::V6(from), IpAddr::V6(to)) => Ends::V6(from.octets(), to.octets()),
            _ => return None,
        };
        let topology::Peer { encap, port, mtu, clamps, dscp, .. } = *peer;
        Some(Self { ends, encap, port, mtu, clamps, dscp })
    }

    /// The longest inner frame that fits.
    pub fn room(&self, way: &Way<'_>) -> u16 {
        let mtu = self.mtu.map_or(way.mtu, |mtu| way.mtu.min(mtu.into()));
        let room = mtu.saturating_sub(overhead(self.ends.family()));
        room.try_into().unwrap_or(u16::MAX)
    }

    /// The peer's table entry.
    pub fn over(&self, way: &Way<'_>) -> Peer {
        let mut peer = self.peer(way.mac, way.uplink.mac);
        peer.egress = Egress { ifindex: way.uplink.ifindex, flags: way.flags };
        peer.max_frame = self.room(way);
        peer.flags |= Peer::READY | if self.clamps { Peer::CLAMP } else { 0 };
        peer
    }

    /// The table entry of a peer with several ways, which begin at this index.
    pub fn over_all(&self, ways: &[(usize, Way<'_>)], first: u32) -> Peer {
        let mut peer = self.peer(Mac([0; 6]), Mac([0; 6]));
        let each = ways.iter().map(|(_, way)| self.over(way));
        let (mut flags, mut max_frame) = (u32::MAX, u16::MAX);
        for way in each {
            flags &= way.egress.flags;
            max_frame = max_frame.min(way.max_frame);
        }
        peer.egress = Egress { ifindex: first, flags };
        peer.max_frame = max_frame;
        peer.flags |= Peer::READY | Peer::MULTIPATH | if self.clamps { Peer::CLAMP } else { 0 };
        peer
    }

    /// The table entry of a peer to which there is no way: its addresses are there,
    /// so that whoever reads the table knows the peer.
    pub fn unresolved(&self) -> Peer {
        self.peer(Mac([0; 6]), Mac([0; 6]))
    }

    fn peer(&self, next_hop: Mac, uplink: Mac) -> Peer {
        let Self { ends, encap, port, .. } = *self;
        let mut peer = Peer::new(&Template { next_hop, uplink, ends, encap, port });
        match self.dscp {
            Dscp::Set(dscp) => peer.with_dscp(dscp),
            Dscp::Copy => {
                peer.flags |= Peer::COPY_DSCP;
                peer
            }
        }
    }
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoRoute(vtep) => write!(f, "no route to {vtep}"),
            Self::NoUplink { vtep, device } => {
                write!(f, "the route to {vtep} leaves by {device}, which is no [[uplink]]")
            }
            Self::UplinkDown(device) => write!(f, "uplink {device} is down"),
            Self::NoNeighbour { gateway, device } => {
                write!(f, "next hop {gateway} does not answer on {device}")
            }
        }
    }
}

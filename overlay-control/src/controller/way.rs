//! The way to a peer: its outer header, or what stands in the way.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};

use overlay_common::abi::{Egress, Peer};
use overlay_common::wire::{Mac, Outer, TUNNEL_LEN};

use super::links::Links;
use super::{LinkInfo, NextHop};

/// What a tunnel takes of an uplink's MTU: IPv4, UDP and VXLAN headers. The inner
/// Ethernet header counts as part of the frame.
const TUNNEL_IP_LEN: u32 = 36;

/// What is known of the ways to all VTEPs.
#[derive(Debug, Default)]
pub struct Ways {
    next_hops: BTreeMap<Ipv4Addr, NextHop>,
}

/// A complete way.
pub struct Way<'a> {
    pub uplink: &'a LinkInfo,
    pub flags: u32,
    pub mac: Mac,
}

/// Why there is no way to a peer, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Obstacle {
    NoRoute(Ipv4Addr),
    NoUplink { vtep: Ipv4Addr, device: String },
    UplinkDown(String),
    NoNeighbour { gateway: IpAddr, device: String },
}

impl Ways {
    /// Takes note of a next hop, and says whether that is a change.
    pub fn put(&mut self, vtep: Ipv4Addr, next_hop: Option<NextHop>) -> bool {
        match next_hop {
            Some(next_hop) => self.next_hops.insert(vtep, next_hop) != Some(next_hop),
            None => self.next_hops.remove(&vtep).is_some(),
        }
    }

    /// Forgets the VTEPs that are not `kept`.
    pub fn retain(&mut self, kept: impl Fn(&Ipv4Addr) -> bool) {
        self.next_hops.retain(|vtep, _| kept(vtep));
    }

    pub fn next_hop(&self, vtep: Ipv4Addr) -> Option<&NextHop> {
        self.next_hops.get(&vtep)
    }

    /// The way to a VTEP over one of the uplinks.
    pub fn find<'a>(
        &self,
        vtep: Ipv4Addr,
        links: &'a Links,
        is_uplink: impl Fn(&str) -> bool,
    ) -> Result<Way<'a>, Obstacle> {
        let next_hop = self.next_hops.get(&vtep).ok_or(Obstacle::NoRoute(vtep))?;
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
        Ok(Way { uplink, flags, mac })
    }
}

impl Way<'_> {
    /// The peer's table entry.
    pub fn entry(&self, local: Ipv4Addr, vtep: Ipv4Addr) -> Peer {
        Peer {
            template: template(self.mac, self.uplink.mac, local, vtep),
            egress: Egress { ifindex: self.uplink.ifindex, flags: self.flags },
            max_frame: self.uplink.mtu.saturating_sub(TUNNEL_IP_LEN).try_into().unwrap_or(u16::MAX),
            flags: Peer::READY,
        }
    }
}

/// The table entry of a peer to which there is no way: its addresses are there,
/// so that whoever reads the table knows the peer.
pub fn unresolved(local: Ipv4Addr, vtep: Ipv4Addr) -> Peer {
    let none = Mac([0; 6]);
    Peer { template: template(none, none, local, vtep), ..Peer::default() }
}

fn template(next_hop: Mac, uplink: Mac, local: Ipv4Addr, vtep: Ipv4Addr) -> [u8; TUNNEL_LEN] {
    Outer::template(next_hop, uplink, local.octets(), vtep.octets()).to_bytes()
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

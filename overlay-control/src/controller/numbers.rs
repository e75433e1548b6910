//! Numbers about the controller's beliefs, cheap enough to be asked for every second.

use std::net::IpAddr;

use overlay_common::abi::{
    MAX_FILTERS, MAX_GROUPS, MAX_GUARDS, MAX_PEERS, MAX_PERMITS, MAX_POLICERS, MAX_PORTS,
    MAX_ROUTES, MAX_SEGMENTS, Target,
};
use overlay_common::id::{PeerId, Vlan};

use super::Controller;
use super::news::{Change, News};

/// How full a table is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fill {
    /// The table's name.
    pub table: &'static str,
    /// Entries in it.
    pub entries: usize,
    /// Entries that it takes.
    pub capacity: usize,
}

/// A port, peer or segment that has as many learnt addresses as it may have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limited {
    /// Such as `peer gw2`.
    pub subject: String,
    /// Learnt addresses.
    pub learned: usize,
    /// `limit.macs`.
    pub most: u32,
}

/// Whether a peer can be sent to, in little.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerBrief<'a> {
    /// Its index in the tables.
    pub id: Option<PeerId>,
    /// Its name.
    pub name: &'a str,
    /// Where it is.
    pub vtep: IpAddr,
    /// Whether frames can be sent to it.
    pub is_ready: bool,
}

impl Controller {
    /// How full the tables are.
    pub fn fills(&self) -> Vec<Fill> {
        let installed = &self.installed;
        let fill = |table, entries, capacity| Fill { table, entries, capacity };
        let of = |table, entries, capacity: u32| fill(table, entries, capacity as usize);
        vec![
            fill("fdb", self.fdb.len(), self.fdb.capacity()),
            fill("neighbours", self.neighbours.len(), self.neighbours.capacity()),
            of("ports", installed.ports.len(), MAX_PORTS - 1),
            of("segments", installed.segments.len(), MAX_SEGMENTS - 1),
            of("peers", installed.peers.len(), MAX_PEERS - 1),
            of("permits", installed.permits.len(), MAX_PERMITS),
            of("policers", installed.policers.len(), MAX_POLICERS),
            of("guards", installed.guards.len(), MAX_GUARDS),
            of("routes", installed.routes.len(), MAX_ROUTES),
            of("groups", self.groups.len(), MAX_GROUPS - 1),
            of("filters", self.topology.filters.len(), MAX_FILTERS),
        ]
    }

    /// Every peer, in the configuration's order.
    pub fn peer_briefs(&self) -> impl Iterator<Item = PeerBrief<'_>> {
        self.config.peers.iter().map(|peer| PeerBrief {
            id: self.ids.peer(&peer.name),
            name: &peer.name,
            vtep: peer.vtep,
            is_ready: self.ways_to(peer.vtep).is_ok(),
        })
    }

    /// The peers that cannot be sent to, with what stands in the way.
    pub fn unresolved(&self) -> impl Iterator<Item = (&str, String)> {
        self.config.peers.iter().filter_map(|peer| {
            let obstacle = self.ways_to(peer.vtep).err()?;
            Some((peer.name.as_str(), obstacle.to_string()))
        })
    }

    /// Ports, peers and segments from or in which no more addresses are learnt.
    pub fn limited(&self) -> Vec<Limited> {
        let topology = &self.topology;
        let learned = |target| self.fdb.learned_from(target);
        let ports = topology.ports.iter().map(|(id, port)| {
            let name = match Vlan::from_word(port.vlan) {
                None => format!("port {}", port.interface),
                Some(vlan) => format!("port {} vlan {vlan}", port.interface),
            };
            (name, port.limits.macs, learned(Target::port(id.0)))
        });
        let peers = topology.peers.iter().map(|(id, peer)| {
            (format!("peer {}", peer.name), peer.limits.macs, learned(Target::peer(id.0)))
        });
        let segments = topology.segments.iter().map(|(id, segment)| {
            (format!("segment {}", segment.name), segment.limits.macs, self.fdb.learned_in(id.0))
        });
        let reached = |(subject, macs, learned): (String, Option<u32>, usize)| {
            let most = macs.filter(|most| learned >= *most as usize)?;
            Some(Limited { subject, learned, most })
        };
        ports.chain(peers).chain(segments).filter_map(reached).collect()
    }

    /// The next piece of news, in no order between stations and peers.
    pub fn poll_news(&mut self) -> Option<News> {
        self.peer_news.take().or_else(|| self.fdb.news.take())
    }

    /// How many changes of addresses were too many to be told of since this was last asked, in
    /// the order of [`Change::ALL`].
    pub fn more_news(&mut self) -> [u64; Change::COUNT] {
        self.fdb.news.take_more()
    }
}

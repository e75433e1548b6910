//! Whether a filter takes a frame.

use std::net::IpAddr;

use overlay_common::abi::Hook;
use overlay_common::verdict::DropReason;
use overlay_common::wire::Mac;

use super::seen::{Layer, Seen};
use crate::config::Prefix;

/// A filter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Filter {
    /// Takes everything.
    All,
    /// What this says.
    Is(Term),
    /// What this does not take.
    Not(Box<Filter>),
    /// What all of these take.
    And(Vec<Filter>),
    /// What one of these takes.
    Or(Vec<Filter>),
}

/// Which end of a frame or packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Where it comes from.
    Source,
    /// Where it goes.
    Destination,
    /// Either.
    Any,
}

/// Something that holds of a frame or does not: of its own headers or of those inside, as it came
/// in or as it went out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Term {
    /// An address in a network.
    Net(End, Prefix),
    /// A port of TCP or UDP.
    Port(End, u16),
    /// A MAC address.
    Mac(End, Mac),
    /// What the frame carries.
    Ethertype(u16),
    /// What the IP packet carries.
    Protocol(u8),
    /// The VLAN.
    Vlan(u16),
    /// The tunnel's VNI.
    Vni(u32),
    /// The segment: the VNI of a tunnel, or a port that it came in by or goes out by.
    Segment {
        /// Its VNI.
        vni: u32,
        /// Its ports: device and VLAN, 0 for none.
        ports: Vec<(u32, u16)>,
    },
    /// The peer: its VTEP is an end of the tunnel.
    Peer(IpAddr),
    /// The device that it came in by or goes out by.
    Interface(u32),
    /// It was dropped.
    Dropped,
    /// It was dropped for this reason.
    Reason(DropReason),
    /// Where that was decided.
    Hook(Hook),
    /// At most so many bytes.
    Less(u32),
    /// At least so many bytes.
    Greater(u32),
}

/// What became of a frame, beside its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fate {
    /// The device that it came in by.
    pub ifindex: u32,
    /// The device that it left by, 0 for none.
    pub egress: u32,
    /// Where that was decided.
    pub hook: Option<Hook>,
    /// Whether it was dropped, and why, where that is known.
    pub dropped: Option<Option<DropReason>>,
}

impl Filter {
    /// Whether it takes a frame: as it was seen (once or twice), and what became of it.
    pub fn takes(&self, seen: &[Seen], fate: &Fate) -> bool {
        match self {
            Self::All => true,
            Self::Is(term) => term.holds(seen, fate),
            Self::Not(filter) => !filter.takes(seen, fate),
            Self::And(filters) => filters.iter().all(|filter| filter.takes(seen, fate)),
            Self::Or(filters) => filters.iter().any(|filter| filter.takes(seen, fate)),
        }
    }
}

impl Term {
    fn holds(&self, seen: &[Seen], fate: &Fate) -> bool {
        let any_layer = |is: &dyn Fn(&Layer) -> bool| seen.iter().flat_map(Seen::layers).any(is);
        match self {
            Self::Net(end, net) => any_layer(&|layer| {
                let is = |address: &IpAddr| net.holds(*address);
                layer.addresses.as_ref().is_some_and(|ends| end.any(ends, is))
            }),
            Self::Port(end, port) => any_layer(&|layer| {
                layer.ports.as_ref().is_some_and(|ends| end.any(ends, |is| is == port))
            }),
            Self::Mac(end, mac) => any_layer(&|layer| {
                let [destination, source] = layer.stations;
                end.any(&[source, destination], |is| is == mac)
            }),
            Self::Ethertype(kind) => any_layer(&|layer| layer.ethertype == *kind),
            Self::Protocol(protocol) => any_layer(&|layer| layer.protocol == Some(*protocol)),
            Self::Vlan(vlan) => any_layer(&|layer| layer.vlan == Some(*vlan)),
            Self::Vni(vni) => in_tunnel(seen, *vni),
            Self::Segment { vni, ports } => in_tunnel(seen, *vni) || by_port(seen, fate, ports),
            Self::Peer(vtep) => seen.iter().any(|seen| {
                let ends = seen.outer.as_ref().and_then(|outer| outer.addresses);
                seen.tunnel.is_some() && ends.is_some_and(|ends| ends.contains(vtep))
            }),
            Self::Interface(ifindex) => [fate.ifindex, fate.egress].contains(ifindex),
            Self::Dropped => fate.dropped.is_some(),
            Self::Reason(reason) => fate.dropped == Some(Some(*reason)),
            Self::Hook(hook) => fate.hook == Some(*hook),
            Self::Less(len) => seen.iter().any(|seen| seen.len <= *len),
            Self::Greater(len) => seen.iter().any(|seen| seen.len >= *len),
        }
    }
}

fn in_tunnel(seen: &[Seen], vni: u32) -> bool {
    seen.iter().any(|seen| seen.tunnel.as_ref().is_some_and(|(of, _)| *of == vni))
}

/// Whether a frame came in, or goes out, by one of these ports. The first time it was seen it had
/// the tag that it came in with, the last time that which it goes out with.
fn by_port(seen: &[Seen], fate: &Fate, ports: &[(u32, u16)]) -> bool {
    let vlan = |seen: Option<&Seen>| seen.and_then(|s| s.outer.as_ref()?.vlan).unwrap_or(0);
    let came = (fate.ifindex, vlan(seen.first()));
    let went = (fate.egress, vlan(seen.last()));
    ports.contains(&came) || ports.contains(&went)
}

impl End {
    /// Whether it holds of this end, where the source comes first.
    fn any<T>(self, [source, destination]: &[T; 2], is: impl Fn(&T) -> bool) -> bool {
        match self {
            Self::Source => is(source),
            Self::Destination => is(destination),
            Self::Any => is(source) || is(destination),
        }
    }
}

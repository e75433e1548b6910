//! Whether packets fit: the MTUs of uplinks, peers and access ports together.

use std::collections::BTreeSet;
use std::net::IpAddr;

use overlay_common::wire::Family;

use super::host::{HostFacts, error};
use super::source::Position;
use super::{Config, ConfigError, Peer};

/// What every link of IPv6 carries (RFC 8200, section 5).
const LEAST_IPV6: u32 = 1280;
/// What every link of IPv4 carries (RFC 791, section 3.2).
const LEAST_IPV4: u32 = 68;
/// The least that an underlay of IPv4 has to carry.
pub const LEAST_OVER_IPV4: u32 = LEAST_IPV4 + Family::V4.tunnel_len() as u32;

/// The least that the underlay of a VTEP has to carry.
pub const fn least_over(vtep: IpAddr) -> u32 {
    match vtep {
        IpAddr::V4(_) => LEAST_OVER_IPV4,
        IpAddr::V6(_) => LEAST_IPV6,
    }
}

/// What a tunnel takes of the underlay's MTU, the inner Ethernet header included.
fn tunnel(peer: &Peer) -> u32 {
    let family = if peer.vtep.is_ipv4() { Family::V4 } else { Family::V6 };
    family.tunnel_len() as u32
}

/// An uplink and its MTU: the largest, since routes may change.
fn widest<'a>(config: &'a Config, host: &HostFacts) -> Option<(&'a str, u32)> {
    let uplinks = config.uplinks.iter().map(|uplink| uplink.interface.as_str());
    let known = uplinks.filter_map(|name| Some((name, *host.mtus.get(name)?)));
    known.max_by_key(|(_, mtu)| *mtu)
}

/// Uplinks of which none can carry the tunnel to a peer.
pub fn errors(config: &Config, host: &HostFacts) -> Vec<ConfigError> {
    let Some((uplink, mtu)) = widest(config, host) else { return Vec::new() };
    let least = config.peers.iter().map(|peer| least_over(peer.vtep)).max().unwrap_or(0);
    if mtu >= least {
        return Vec::new();
    }
    let message = format!("uplink {uplink} has MTU {mtu}, too little for any tunnel");
    let help = format!("at least {least}: ip link set {uplink} mtu {least}");
    vec![error(&config.places, place_of(config, uplink), message, help)]
}

/// Peers that take less than their configuration or IPv6 wants, and access ports whose full
/// frames do not fit.
pub fn warnings(config: &Config, host: &HostFacts) -> Vec<ConfigError> {
    let Some((uplink, mtu)) = widest(config, host) else { return Vec::new() };
    let mut warnings = Vec::new();
    // Many peers lack the same.
    let mut lacking = BTreeSet::new();
    for (number, peer) in config.peers.iter().enumerate() {
        let path = path(peer, mtu);
        let place = config.places.peers.get(number).copied().unwrap_or_default();
        if let Some(own) = peer.mtu.filter(|own| u32::from(*own) > mtu) {
            let message = format!("peer {} has mtu {own}, more than any uplink", peer.name);
            let help = format!("{uplink} has {mtu}, which is what counts");
            warnings.push(error(&config.places, place, message, help));
        }
        let need = LEAST_IPV6 + tunnel(peer);
        if path < need && lacking.insert((path, tunnel(peer))) {
            let message = format!(
                "peer {} takes IP packets of {} bytes, and IPv6 needs {LEAST_IPV6} (RFC 8200): of \
                 it only TCP gets through, while mss_clamp is on",
                peer.name,
                path.saturating_sub(tunnel(peer))
            );
            warnings.push(error(&config.places, place, message, wider(peer, uplink, mtu, need)));
        }
    }
    warnings.extend(ports(config, host, uplink, mtu));
    warnings.sort_by_key(|e| (e.line, e.column));
    warnings
}

/// Access ports whose full frames do not fit a tunnel of their segment, each once.
fn ports<'a>(
    config: &'a Config,
    host: &'a HostFacts,
    uplink: &'a str,
    mtu: u32,
) -> impl Iterator<Item = ConfigError> + 'a {
    let mut told = BTreeSet::new();
    let all = config.segments.iter().flat_map(|s| s.ports.iter().map(move |port| (s, port)));
    all.filter_map(move |(segment, port)| {
        let own = *host.mtus.get(&port.interface)?;
        let peers = config.peers.iter().filter(|peer| peer.segments.contains(&segment.name));
        let room = |peer: &&Peer| path(peer, mtu).saturating_sub(tunnel(peer));
        let peer = peers.min_by_key(room)?;
        let room = room(&peer);
        if own <= room || !told.insert(&port.interface) {
            return None;
        }
        let name = &port.interface;
        let message = format!(
            "port {name} of segment {} has MTU {own}, and peer {} takes IP packets of {room} bytes",
            segment.name, peer.name
        );
        let more = wider(peer, uplink, mtu, own + tunnel(peer));
        let help = format!("{more}; or lower that of {name} and of its hosts to {room}");
        Some(error(&config.places, place_of(config, name), message, help))
    })
}

/// The path MTU of a peer over an uplink of this MTU.
fn path(peer: &Peer, uplink: u32) -> u32 {
    peer.mtu.map_or(uplink, |own| uplink.min(own.into()))
}

/// How a path gets this MTU.
fn wider(peer: &Peer, uplink: &str, mtu: u32, need: u32) -> String {
    match peer.mtu.filter(|own| u32::from(*own) < mtu) {
        Some(own) => format!("raise mtu of peer {} from {own} to {need}", peer.name),
        None => format!("raise the MTU of uplink {uplink} from {mtu} to {need}"),
    }
}

/// Where the file names a device first.
fn place_of(config: &Config, interface: &str) -> Position {
    let places = &config.places.interfaces;
    places.iter().find(|(name, _)| name == interface).map(|(_, at)| *at).unwrap_or_default()
}

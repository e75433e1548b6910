//! What only the host can tell: whether its devices and addresses exist.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::nearest::nearest;
use super::source::Position;
use super::{Config, ConfigError, mtu};

/// What a configuration needs to be right about the host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostFacts {
    /// The names of the network devices in this namespace.
    pub interfaces: BTreeSet<String>,
    /// Those of them that carry no Ethernet frames: loopback, tun, tunnels.
    pub not_ethernet: BTreeSet<String>,
    /// The addresses of this host in this namespace.
    pub addresses: BTreeSet<IpAddr>,
    /// The MTUs of the devices, as far as they are known.
    pub mtus: BTreeMap<String, u32>,
    /// Devices that a running gateway uses already: where one of them has gone, it is waited for.
    pub known: BTreeSet<String>,
    /// What is wrong with the files of `[api]`, each with the key that names it, and what would
    /// be right.
    pub api_files: Vec<(&'static str, String, String)>,
}

/// Where the file names what only the host can confirm.
#[derive(Clone, Debug, Default)]
pub struct Places {
    pub file: String,
    pub vtep: Position,
    /// Interfaces of uplinks, then of access ports; one entry for each mention.
    pub interfaces: Vec<(String, Position)>,
    /// What a peer takes, or else its VTEP; one entry for each peer.
    pub peers: Vec<Position>,
    /// Files of `[api]`, each with its key.
    pub api: Vec<(&'static str, Position)>,
}

/// How many names an error lists.
const SHOWN: usize = 16;

pub fn check(config: &Config, host: &HostFacts) -> Vec<ConfigError> {
    let places = &config.places;
    let mut errors = Vec::new();
    for vtep in missing_vteps(config, host) {
        let message = format!("vtep {vtep} is no address of this host");
        errors.push(error(places, places.vtep, message, right_vteps(config, vtep, host)));
    }
    let mut reported = BTreeSet::new();
    for (name, position) in &places.interfaces {
        let wrong = if host.lacks(name) {
            if is_awaited(config, host, name) {
                continue;
            }
            "does not exist"
        } else if host.not_ethernet.contains(name) {
            "carries no Ethernet frames"
        } else {
            continue;
        };
        if reported.insert(name) {
            let message = format!("interface {name} {wrong}");
            errors.push(error(places, *position, message, right_interfaces(name, host)));
        }
    }
    for (key, message, help) in &host.api_files {
        let place = places.api.iter().find(|(name, _)| name == key);
        let at = place.map(|(_, at)| *at).unwrap_or_default();
        errors.push(error(places, at, message.clone(), help.clone()));
    }
    errors.extend(mtu::errors(config, host));
    errors.sort_by_key(|e| (e.line, e.column));
    errors
}

/// What is not there yet, and waited for.
pub fn awaited(config: &Config, host: &HostFacts) -> Vec<ConfigError> {
    let places = &config.places;
    let mut told = BTreeSet::new();
    let mut warnings = Vec::new();
    for (name, position) in &places.interfaces {
        if host.lacks(name) && is_awaited(config, host, name) && told.insert(name) {
            let message = format!("interface {name} does not exist; it is waited for");
            warnings.push(error(places, *position, message, right_interfaces(name, host)));
        }
    }
    if awaits_uplink(config, host) {
        for vtep in config.node.vtep.iter().filter(|vtep| !host.addresses.contains(vtep)) {
            let message = format!("vtep {vtep} is no address of this host yet");
            let help = "it is to come with the uplink".to_owned();
            warnings.push(error(places, places.vtep, message, help));
        }
    }
    warnings
}

impl HostFacts {
    fn lacks(&self, interface: &str) -> bool {
        !self.interfaces.contains(interface)
    }
}

fn is_awaited(config: &Config, host: &HostFacts, name: &str) -> bool {
    config.node.waits || host.known.contains(name)
}

/// An uplink that is to come may bring the VTEP's address with it.
fn awaits_uplink(config: &Config, host: &HostFacts) -> bool {
    let names = config.uplinks.iter().map(|uplink| uplink.interface.as_str());
    names.into_iter().any(|name| host.lacks(name) && is_awaited(config, host, name))
}

fn missing_vteps(config: &Config, host: &HostFacts) -> Vec<IpAddr> {
    if awaits_uplink(config, host) {
        return Vec::new();
    }
    config.node.vtep.iter().filter(|vtep| !host.addresses.contains(vtep)).collect()
}

pub fn error(places: &Places, at: Position, message: String, help: String) -> ConfigError {
    let Position { line, column } = at;
    ConfigError { file: places.file.clone(), line, column, message, help }
}

fn right_vteps(config: &Config, vtep: IpAddr, host: &HostFacts) -> String {
    let usable = |address: &&IpAddr| {
        address.is_ipv4() == vtep.is_ipv4()
            && !address.is_loopback()
            && !address.is_unspecified()
            && !matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local())
    };
    let addresses: Vec<String> =
        host.addresses.iter().filter(usable).map(IpAddr::to_string).collect();
    if !addresses.is_empty() {
        return format!("use one that it has: {}", list(&addresses));
    }
    let uplink = config.uplinks.first().map_or("DEVICE", |u| u.interface.as_str());
    let (family, prefix) = if vtep.is_ipv4() { ("IPv4", 24) } else { ("IPv6", 64) };
    format!(
        "this host has no {family} address that would do; to give it this one: \
         ip address add {vtep}/{prefix} dev {uplink}"
    )
}

fn right_interfaces(name: &str, host: &HostFacts) -> String {
    let names: Vec<&str> =
        host.interfaces.difference(&host.not_ethernet).map(String::as_str).collect();
    if names.is_empty() {
        return "this network namespace has no Ethernet device (see: ip link)".to_owned();
    }
    let known = format!("this host has {}", list(&names));
    match nearest(name, names.iter().copied()) {
        Some(meant) => format!("did you mean {meant}? {known}"),
        None => known,
    }
}

fn list<T: AsRef<str>>(words: &[T]) -> String {
    let shown: Vec<&str> = words.iter().take(SHOWN).map(AsRef::as_ref).collect();
    match words.len() - shown.len() {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

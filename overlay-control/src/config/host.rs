//! What only the host can tell: whether its devices and addresses exist.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::nearest::nearest;
use super::source::Position;
use super::{Config, ConfigError};

/// What a configuration needs to be right about the host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostFacts {
    /// The names of the network devices in this namespace.
    pub interfaces: BTreeSet<String>,
    /// Those of them that carry no Ethernet frames: loopback, tun, tunnels.
    pub not_ethernet: BTreeSet<String>,
    /// The addresses of this host in this namespace.
    pub addresses: BTreeSet<IpAddr>,
}

/// Where the file names what only the host can confirm.
#[derive(Clone, Debug, Default)]
pub struct Places {
    pub file: String,
    pub vtep: Position,
    /// Interfaces of uplinks, then of access ports; one entry for each mention.
    pub interfaces: Vec<(String, Position)>,
}

/// How many names an error lists.
const SHOWN: usize = 16;

pub fn check(config: &Config, host: &HostFacts) -> Vec<ConfigError> {
    let places = &config.places;
    let mut errors = Vec::new();
    if !host.addresses.contains(&IpAddr::V4(config.node.vtep)) {
        let message = format!("vtep {} is no address of this host", config.node.vtep);
        errors.push(error(places, places.vtep, message, right_vteps(config, host)));
    }
    let mut reported = BTreeSet::new();
    for (name, position) in &places.interfaces {
        let wrong = if !host.interfaces.contains(name) {
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
    errors.sort_by_key(|e| (e.line, e.column));
    errors
}

fn error(places: &Places, at: Position, message: String, help: String) -> ConfigError {
    let Position { line, column } = at;
    ConfigError { file: places.file.clone(), line, column, message, help }
}

fn right_vteps(config: &Config, host: &HostFacts) -> String {
    let usable = |address: &&IpAddr| match address {
        IpAddr::V4(v4) => !v4.is_loopback() && !v4.is_unspecified(),
        IpAddr::V6(_) => false,
    };
    let addresses: Vec<String> =
        host.addresses.iter().filter(usable).map(IpAddr::to_string).collect();
    if !addresses.is_empty() {
        return format!("use one that it has: {}", list(&addresses));
    }
    let uplink = config.uplinks.first().map_or("DEVICE", |u| u.interface.as_str());
    format!(
        "this host has no IPv4 address that would do; to give it this one: \
         ip address add {}/24 dev {uplink}",
        config.node.vtep
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

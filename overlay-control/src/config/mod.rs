//! The configuration file.
//!
//! [`Config::parse`] reads TOML and either returns a configuration in which every
//! value is legal and every name leads somewhere, or all that is wrong with it at
//! once, each with its place. What only the host can tell (interfaces and
//! addresses that exist) is checked by [`Config::check_host`].

mod acl;
mod api;
mod cross;
mod cross_vrf;
pub(crate) mod document;
pub mod edit;
mod error;
mod finish;
mod host;
mod metrics;
mod mtu;
pub(crate) mod nearest;
mod read;
mod routing;
mod source;
pub(crate) mod values;
mod web;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use overlay_common::id::{Vlan, Vni};
pub use overlay_common::wire::Encap;
use overlay_common::wire::Mac;
pub use overlay_common::wire::TagKind;

pub use api::{Access, Api};
pub use error::ConfigError;

use crate::acl::List;
pub use host::HostFacts;
pub use metrics::{Metrics, SERIES};
pub use routing::{Prefix, RouteTo, StaticRoute, Vrf};
pub(crate) use values::parse_mac;
pub use web::Web;

use host::Places;
use source::Problems;

/// `node.ageing` where the file does not say, in seconds.
pub const AGEING: u32 = 300;
/// `node.fdb_entries` where the file does not say.
pub const FDB_ENTRIES: u32 = 1 << 20;

/// A checked configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// `[node]`.
    pub node: Node,
    /// `[[uplink]]`, at least one.
    pub uplinks: Vec<Uplink>,
    /// `[[segment]]`.
    pub segments: Vec<Segment>,
    /// `[[vrf]]`.
    pub vrfs: Vec<Vrf>,
    /// `[[peer]]`.
    pub peers: Vec<Peer>,
    /// `[api]`; `None`: the control API is on its socket alone.
    pub api: Option<Api>,
    /// `[metrics]`.
    pub metrics: Metrics,
    /// `[web]`; `None`: there is no web page.
    pub web: Option<Web>,
    places: Places,
}

impl Config {
    /// Reads and checks a configuration. `file` is its name in errors, which come
    /// in the order of their places.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with the text.
    pub fn parse(text: &str, file: &str) -> Result<Self, Vec<ConfigError>> {
        let mut problems = Problems::new(text, file);
        let config = read::read(text, &mut problems).and_then(|draft| {
            cross::check(&draft, &mut problems);
            let acls = acl::lists(&draft, &mut problems);
            finish::finish(draft, acls, &problems, file)
        });
        match config {
            Some(config) if problems.len() == 0 => Ok(config),
            _ => Err(problems.into_errors()),
        }
    }

    /// Whether two configurations mean the same, wherever their values stand.
    pub fn means(&self, other: &Self) -> bool {
        let Self { node, uplinks, segments, vrfs, peers, api, metrics, web, places: _ } = self;
        *node == other.node
            && *uplinks == other.uplinks
            && *segments == other.segments
            && *vrfs == other.vrfs
            && *peers == other.peers
            && *api == other.api
            && *metrics == other.metrics
            && *web == other.web
    }

    /// What is wrong with this configuration on this host.
    pub fn check_host(&self, host: &HostFacts) -> Vec<ConfigError> {
        host::check(self, host)
    }

    /// What works on this host, and not as well as it could.
    pub fn host_warnings(&self, host: &HostFacts) -> Vec<ConfigError> {
        let mut warnings = host::awaited(self, host);
        warnings.extend(mtu::warnings(self, host));
        warnings.sort_by_key(|e| (e.line, e.column));
        warnings
    }
}

/// `[node]`: this gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Its name; also that of its control socket and its pins.
    pub name: String,
    /// The local VTEP.
    pub vtep: Vteps,
    /// The UDP ports that tunnels arrive at, and leave for where a peer has no other.
    pub ports: UdpPorts,
    /// Seconds after which a learnt address that sends nothing is forgotten.
    pub ageing: u32,
    /// The most addresses that the FDB holds, learnt and static.
    pub fdb_entries: u32,
    /// Whether TCP is told what fits when it connects.
    pub mss_clamp: bool,
    /// The DSCP of tunnels, where a peer has no other.
    pub dscp: Dscp,
    /// The MAC address of the router in every segment that has one.
    pub router_mac: Mac,
    /// Whether a device that does not exist yet is waited for, and not an error.
    pub waits: bool,
}

/// The local VTEP's addresses: one, or one of each family.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Vteps {
    /// Over IPv4.
    pub v4: Option<Ipv4Addr>,
    /// Over IPv6.
    pub v6: Option<Ipv6Addr>,
}

impl Vteps {
    /// The addresses.
    pub fn iter(self) -> impl Iterator<Item = IpAddr> {
        self.v4.map(IpAddr::V4).into_iter().chain(self.v6.map(IpAddr::V6))
    }

    /// The one of this address's family.
    pub fn like(self, address: IpAddr) -> Option<IpAddr> {
        self.iter().find(|own| own.is_ipv4() == address.is_ipv4())
    }

    /// With one more; the error is the one of the same family that was there.
    pub fn with(mut self, address: IpAddr) -> Result<Self, IpAddr> {
        if let Some(own) = self.like(address) {
            return Err(own);
        }
        match address {
            IpAddr::V4(v4) => self.v4 = Some(v4),
            IpAddr::V6(v6) => self.v6 = Some(v6),
        }
        Ok(self)
    }
}

impl std::fmt::Display for Vteps {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let addresses: Vec<String> = self.iter().map(|address| address.to_string()).collect();
        f.write_str(&addresses.join(", "))
    }
}

/// The UDP ports of tunnels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UdpPorts {
    /// Of VXLAN.
    pub vxlan: u16,
    /// Of Geneve.
    pub geneve: u16,
}

impl Default for UdpPorts {
    fn default() -> Self {
        Self { vxlan: Encap::Vxlan.port(), geneve: Encap::Geneve.port() }
    }
}

impl UdpPorts {
    /// The port of an encapsulation.
    pub const fn of(self, encap: Encap) -> u16 {
        match encap {
            Encap::Vxlan => self.vxlan,
            Encap::Geneve => self.geneve,
        }
    }
}

/// `[[uplink]]`: a device that faces the underlay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Uplink {
    /// The device.
    pub interface: String,
    /// The hook asked for.
    pub mode: Mode,
}

/// `[[segment]]`: one L2 broadcast domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Its name.
    pub name: String,
    /// Its VNI, the same on every gateway.
    pub vni: Vni,
    /// Whether MACs behind peers are learnt from the data plane.
    pub learning: bool,
    /// `[segment.limit]`: of what enters it.
    pub limits: Limits,
    /// Whether ARP and neighbour discovery are answered from the neighbour table.
    pub suppression: bool,
    /// `[[segment.port]]`.
    pub ports: Vec<AccessPort>,
    /// `[[segment.fdb]]`.
    pub fdb: Vec<StaticMac>,
    /// `[[segment.neighbour]]`.
    pub neighbours: Vec<StaticNeighbour>,
    /// The VRF that routes what is sent to its router.
    pub vrf: Option<String>,
    /// The router's addresses, each with the length of its prefix.
    pub router: Vec<Prefix>,
    /// `[[segment.acl]]`: for what hosts behind this node's ports send, and for what is sent to
    /// them.
    pub acls: [Option<Arc<List>>; 2],
}

/// `[[segment.port]]`: a device, and a VLAN on it, that faces the segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessPort {
    /// The device.
    pub interface: String,
    /// The VLAN of its frames; `None`: untagged.
    pub vlan: Option<Vlan>,
    /// The hook asked for.
    pub mode: Mode,
    /// Whether an address that was learnt here stays here for as long as it is known.
    pub sticky: bool,
    /// `[segment.port.limit]`: of what comes from it.
    pub limits: Limits,
    /// `[[segment.port.host]]`: where there is one, no other may send from it.
    pub hosts: Vec<Host>,
}

/// `[[segment.port.host]]`: a station behind a port, and the addresses that it may use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// Its MAC address.
    pub mac: Mac,
    /// Its IP addresses.
    pub ips: Vec<IpAddr>,
}

/// What may come from a port or a peer, or enter a segment; `None`: without limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Bits a second.
    pub bits: Option<u64>,
    /// Packets a second.
    pub packets: Option<u64>,
    /// Flooded packets a second (broadcast, multicast, unknown unicast).
    pub floods: Option<u64>,
    /// Addresses in the FDB that were learnt.
    pub macs: Option<u32>,
}

/// `[[segment.fdb]]`: an address that neither ages nor moves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StaticMac {
    /// The address; never a group address.
    pub mac: Mac,
    /// Where it is.
    pub place: Place,
}

/// `[[segment.neighbour]]`: an IP address whose station no frame changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StaticNeighbour {
    /// The address; one that a host can have.
    pub ip: IpAddr,
    /// Whose it is; never a group address.
    pub mac: Mac,
    /// Whether the station is an IPv6 router.
    pub router: bool,
}

/// Where an address is, in the configuration's words.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Place<S = String> {
    /// Behind the peer of this name.
    Peer(S),
    /// Behind a local access port.
    Port {
        /// Its device.
        interface: S,
        /// Its VLAN; `None`: untagged.
        vlan: Option<Vlan>,
    },
}

/// `[[peer]]`: another gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its name.
    pub name: String,
    /// Its VTEP.
    pub vtep: IpAddr,
    /// How frames to and from it are wrapped.
    pub encap: Encap,
    /// The UDP port that it takes tunnels at; `None`: the same as this node.
    pub port: Option<u16>,
    /// The longest packet of the underlay that arrives there, in bytes; `None`: what device and
    /// route say.
    pub mtu: Option<u16>,
    /// The names of the segments that it may use.
    pub segments: Vec<String>,
    /// The names of the VRFs whose VNIs it may use.
    pub vrfs: Vec<String>,
    /// The MAC address of its router.
    pub router_mac: Mac,
    /// The DSCP of the tunnel to it.
    pub dscp: Dscp,
    /// `[peer.limit]`: of what comes from it.
    pub limits: Limits,
}

/// The DSCP of a tunnel's packets (RFC 2983).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dscp {
    /// That of the packet in it.
    Copy,
    /// Always this, 0 to 63.
    Set(u8),
}

impl Default for Dscp {
    fn default() -> Self {
        Self::Set(0)
    }
}

/// The hook that a port asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mode {
    /// Whatever suits the device best.
    #[default]
    Auto,
    /// XDP in the driver.
    Xdp,
    /// XDP in the network stack, for any device, slow.
    XdpGeneric,
    /// tc ingress.
    Tc,
    /// No program: user space carries every frame, by whatever sockets suit the device best.
    User,
    /// The same over AF_XDP.
    UserXdp,
    /// The same over AF_PACKET.
    UserPacket,
}

impl Mode {
    /// Every mode.
    pub const ALL: [Self; 7] = [
        Self::Auto,
        Self::Xdp,
        Self::XdpGeneric,
        Self::Tc,
        Self::User,
        Self::UserXdp,
        Self::UserPacket,
    ];

    /// The name in configuration and commands.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Xdp => "xdp",
            Self::XdpGeneric => "xdp-generic",
            Self::Tc => "tc",
            Self::User => "user",
            Self::UserXdp => "user-xdp",
            Self::UserPacket => "user-packet",
        }
    }
}

//! What the controller is told about the host and the wire.

use std::net::IpAddr;

use overlay_common::abi::Neighbour;
use overlay_common::wire::Mac;

/// A network device, as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkInfo {
    /// Its name.
    pub name: String,
    /// Its index in this network namespace.
    pub ifindex: u32,
    /// Its address.
    pub mac: Mac,
    /// The longest IP packet it takes, in bytes.
    pub mtu: u32,
    /// Whether it is up and has a carrier.
    pub up: bool,
}

/// The way to a peer's VTEP, as the host's own tables have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NextHop {
    /// The device of the route.
    pub ifindex: u32,
    /// The router's address, or the VTEP itself where it is on the link.
    pub gateway: IpAddr,
    /// The gateway's MAC, once the neighbour table has it.
    pub mac: Option<Mac>,
    /// The longest IP packet that the route takes, in bytes, where it says so.
    pub mtu: Option<u32>,
}

/// A learnt or loaded address found in the tables of an earlier run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Restored {
    /// Its segment's VNI.
    pub vni: u32,
    /// The address.
    pub mac: Mac,
    /// Where it was.
    pub place: RestoredPlace,
    /// Seconds since a frame from it was last seen.
    pub age: u32,
    /// Whether it was loaded, and not learnt.
    pub is_loaded: bool,
}

/// An IP address found in the tables of an earlier run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RestoredNeighbour {
    /// Its segment's VNI.
    pub vni: u32,
    /// The address.
    pub address: IpAddr,
    /// Whose it was; not by the configuration.
    pub neighbour: Neighbour,
}

/// Where a restored address was, in terms that outlive the tables' indices.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RestoredPlace {
    /// Behind the peer with this VTEP.
    Peer(IpAddr),
    /// Behind an access port.
    Port {
        /// The device.
        ifindex: u32,
        /// [`Vlan::word`](overlay_common::id::Vlan::word), 0 for untagged.
        vlan: u16,
    },
}

//! What is known of the machine. `None` stands for what could not be found out, of which nothing
//! follows.

use std::collections::BTreeMap;

use overlay_control::config::Mode;

use super::firewall::Blocked;

/// The machine, and what a gateway is to do on it.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// CPUs that are online.
    pub cpus: usize,
    /// `net.core.bpf_jit_enable`.
    pub jit: Option<u32>,
    /// Whether a bpffs is mounted.
    pub bpffs: bool,
    /// Whether BPF memory counts against control groups, and not against the process.
    pub memcg_accounting: bool,
    /// The hard limit of locked memory, in bytes; `None`: there is none.
    pub locked_memory: Option<u64>,
    /// The hard limit of file descriptors.
    pub open_files: u64,
    /// The kernel's clock source.
    pub clocksource: Option<String>,
    /// Whether the clock follows another one.
    pub synchronised: Option<bool>,
    /// `gc_thresh3` of the kernel's neighbour tables: IPv4, IPv6.
    pub neighbours: [Option<u32>; 2],
    /// Peers over IPv4 and IPv6.
    pub peers: [usize; 2],
    /// The UDP ports of tunnels that a gateway uses.
    pub tunnel_ports: Vec<u16>,
    /// The kernel's own tunnel devices that are up: name and UDP port.
    pub tunnels: Vec<(String, u16)>,
    /// `net.ipv4.conf.all.rp_filter`.
    pub rp_filter: Option<u32>,
    /// `net.ipv4.ip_forward`.
    pub ip_forward: Option<bool>,
    /// Rules and policies that hold tunnels back.
    pub blocked: Option<Vec<Blocked>>,
    /// Whether connections are tracked in this network namespace.
    pub conntrack: bool,
    /// The devices.
    pub devices: Vec<Device>,
}

/// A device.
#[derive(Clone, Debug, Default)]
pub struct Device {
    /// Its name.
    pub name: String,
    /// Whether it is there.
    pub exists: bool,
    /// Whether it is up and has a carrier.
    pub up: bool,
    /// Its MTU.
    pub mtu: u32,
    /// Whether the underlay is behind it.
    pub uplink: bool,
    /// Whether a segment is.
    pub access: bool,
    /// Whether some of its frames are tagged.
    pub tagged: bool,
    /// The mode that the configuration asks for.
    pub mode: Mode,
    /// Whether a local workload is behind it (veth, tun).
    pub local: bool,
    /// Its driver.
    pub driver: Option<String>,
    /// What the driver says of XDP.
    pub xdp: Option<Xdp>,
    /// Its features, as ethtool names them, and whether they are on.
    pub features: BTreeMap<String, bool>,
    /// Its queues.
    pub channels: Option<Channels>,
    /// Whether UDP packets, over IPv4 and IPv6, are spread over its queues by their ports as well.
    pub spreads_ports: [Option<bool>; 2],
    /// The CPUs of each of its interrupts.
    pub interrupts: Vec<Vec<usize>>,
    /// `rp_filter` of it.
    pub rp_filter: Option<u32>,
    /// Somebody else's XDP programs on it.
    pub others: Vec<String>,
    /// Somebody else's programs on its tc ingress, by their numbers; those attached by filters are
    /// not among them.
    pub other_tcx: Vec<u32>,
}

impl Device {
    /// Whether XDP is to carry it.
    pub fn on_xdp(&self) -> bool {
        match self.mode {
            Mode::Xdp | Mode::XdpGeneric => true,
            Mode::Auto => !self.local,
            _ => false,
        }
    }

    /// Whether it is to be a port.
    pub fn is_port(&self) -> bool {
        self.uplink || self.access
    }

    /// Whether a feature is on.
    pub fn has(&self, feature: &str) -> bool {
        self.features.get(feature) == Some(&true)
    }
}

/// What a driver says of XDP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Xdp {
    /// Programs run in it.
    pub basic: bool,
    /// They may redirect frames.
    pub redirect: bool,
    /// It takes redirected frames.
    pub transmit: bool,
}

/// A device's queues.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Channels {
    /// Queues that receive.
    pub receive: u32,
    /// Queues that do both.
    pub combined: u32,
    /// The most of those that receive.
    pub max_receive: u32,
    /// The most of those that do both.
    pub max_combined: u32,
}

//! Two gateways and two hosts:
//!
//! ```text
//!  host1            gw1                     gw2            host2
//!  eth0 ────── eth1     eth0 ══════ eth0     eth1 ────── eth0
//!  10.0.0.1         192.0.2.1    192.0.2.2           10.0.0.2
//! ```

use std::fmt::Write as _;

use anyhow::Result;

use crate::link::{set_mtu, veth};
use crate::netns::Netns;

/// A gateway's namespace and what its configuration says about it.
#[derive(Debug)]
pub struct Gateway {
    /// The namespace; `eth0` is the uplink, `eth1` the access port.
    pub netns: Netns,
    /// The VTEP address on `eth0`.
    pub vtep: &'static str,
    /// `node.name`, unique on the machine: sockets and pins are named after it.
    pub name: String,
}

/// The testbed of `cargo xtask run` and of the tests against real applications.
///
/// Hosts have MTU 1500 and every offload at its default; the underlay's MTU is
/// 1550, so the largest host frame fits exactly.
#[derive(Debug)]
pub struct TwoGateways {
    /// The first host, 10.0.0.1/24 on `eth0`.
    pub host1: Netns,
    /// The first host's gateway.
    pub gw1: Gateway,
    /// The second host's gateway.
    pub gw2: Gateway,
    /// The second host, 10.0.0.2/24 on `eth0`.
    pub host2: Netns,
}

impl TwoGateways {
    /// The first host's address.
    pub const HOST1: &'static str = "10.0.0.1";
    /// The second host's address.
    pub const HOST2: &'static str = "10.0.0.2";
    /// The first gateway's VTEP.
    pub const VTEP1: &'static str = "192.0.2.1";
    /// The second gateway's VTEP.
    pub const VTEP2: &'static str = "192.0.2.2";
    /// The segment's VNI.
    pub const VNI: u32 = 100;
    /// The underlay's MTU: 1500 and 50 bytes of tunnel.
    pub const UNDERLAY_MTU: u32 = 1550;

    /// The first gateway's VTEP over IPv6.
    pub const VTEP1_V6: &'static str = "2001:db8::1";
    /// The second gateway's VTEP over IPv6.
    pub const VTEP2_V6: &'static str = "2001:db8::2";
    /// The MTU of an underlay of IPv6: 1500 and 70 bytes of tunnel.
    pub const UNDERLAY_MTU_V6: u32 = 1570;

    /// Makes namespaces, links and addresses. No gateway software runs yet.
    pub fn new() -> Result<Self> {
        Self::with([Self::VTEP1, Self::VTEP2], Self::UNDERLAY_MTU)
    }

    /// The same over an underlay of IPv6.
    pub fn over_ipv6() -> Result<Self> {
        Self::with([Self::VTEP1_V6, Self::VTEP2_V6], Self::UNDERLAY_MTU_V6)
    }

    /// The same with these VTEPs, over an underlay of this MTU.
    fn with([first, second]: [&'static str; 2], mtu: u32) -> Result<Self> {
        let gw1 = Gateway::new("gw1", first)?;
        let gw2 = Gateway::new("gw2", second)?;
        let host1 = Netns::new("host1")?;
        let host2 = Netns::new("host2")?;
        veth(&gw1.netns, "eth0", &gw2.netns, "eth0")?;
        for gateway in [&gw1, &gw2] {
            set_mtu(&gateway.netns, "eth0", mtu)?;
            gateway.add_address("eth0")?;
        }
        for (host, gateway, address) in [(&host1, &gw1, Self::HOST1), (&host2, &gw2, Self::HOST2)] {
            veth(&gateway.netns, "eth1", host, "eth0")?;
            host.exec(&format!("ip addr add {address}/24 dev eth0"))?;
        }
        Ok(Self { host1, gw1, gw2, host2 })
    }
}

impl Gateway {
    /// An empty namespace for a gateway.
    pub fn new(label: &str, vtep: &'static str) -> Result<Self> {
        let netns = Netns::new(label)?;
        let name = netns.name().to_owned();
        Ok(Self { netns, vtep, name })
    }

    /// Gives a device the VTEP's address.
    pub fn add_address(&self, device: &str) -> Result<()> {
        if !self.vtep.contains(':') {
            return self
                .netns
                .exec(&format!("ip addr add {}/24 dev {device}", self.vtep))
                .map(drop);
        }
        self.netns.sysctl(&format!("net.ipv6.conf.{device}.disable_ipv6"), "0")?;
        self.netns.exec(&format!("ip addr add {}/64 dev {device} nodad", self.vtep)).map(drop)
    }

    /// The configuration of this gateway with `eth0` as uplink, `eth1` as the
    /// access port of segment `blue`, and the peers with their VTEPs.
    pub fn config(&self, uplink: &str, access: &str, peers: &[(&str, &str)]) -> String {
        let mut text = format!(
            "[node]\n\
             name = \"{}\"\n\
             vtep = \"{}\"\n\n\
             [[uplink]]\n\
             interface = \"eth0\"\n\
             mode = \"{uplink}\"\n\n\
             [[segment]]\n\
             name = \"blue\"\n\
             vni = {}\n\
             learning = true\n\n\
             [[segment.port]]\n\
             interface = \"eth1\"\n\
             mode = \"{access}\"\n",
            self.name,
            self.vtep,
            TwoGateways::VNI,
        );
        for (name, vtep) in peers {
            let _ = write!(
                text,
                "\n[[peer]]\nname = \"{name}\"\nvtep = \"{vtep}\"\nencap = \"vxlan\"\nsegments = [\"blue\"]\n"
            );
        }
        text
    }
}

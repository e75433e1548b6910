//! A gateway with two access ports and an uplink, whose far ends are sockets.

use std::time::Duration;

use anyhow::Result;
use overlay_testbed::frame::BROADCAST;
use overlay_testbed::{Netns, RawSocket, veth};

use super::{Overlay, has_mark, marked};

/// Within this a frame arrives.
pub const SOON: Duration = Duration::from_secs(2);

/// A gateway with two access ports and an uplink, and what `[node]` says more.
pub struct TwoPorts {
    pub gateway: Netns,
    pub outside: Netns,
    _hosts: Netns,
    /// The far ends of eth1 and eth2.
    pub ends: [RawSocket; 2],
}

impl TwoPorts {
    /// A station behind eth1.
    pub const FIRST: [u8; 6] = [2, 0, 0, 0, 0, 1];

    pub fn new() -> Result<Self> {
        let gateway = Netns::new("gw")?;
        let outside = Netns::new("outside")?;
        let hosts = Netns::new("hosts")?;
        veth(&gateway, "eth0", &outside, "eth0")?;
        gateway.exec("ip addr add 192.0.2.1/24 dev eth0")?;
        outside.exec("ip addr add 192.0.2.2/24 dev eth0")?;
        for device in ["eth1", "eth2"] {
            veth(&gateway, device, &hosts, device)?;
        }
        let ends = [RawSocket::open(&hosts, "eth1")?, RawSocket::open(&hosts, "eth2")?];
        Ok(Self { gateway, outside, _hosts: hosts, ends })
    }

    pub fn start(&self, node: &str) -> Result<Overlay<'_>> {
        self.start_with(node, "")
    }

    /// With more peers than the one at the far end.
    pub fn start_with(&self, node: &str, peers: &str) -> Result<Overlay<'_>> {
        self.start_as("", node, "", peers)
    }

    /// With a configuration of one's own.
    pub fn run(&self, config: &str) -> Result<Overlay<'_>> {
        let ours = Overlay::start(&self.gateway, self.gateway.name(), config)?;
        ours.wait_for_peers()?;
        Ok(ours)
    }

    /// With more ports, too, and without some features of the kernel.
    pub fn start_as(
        &self,
        without: &'static str,
        node: &str,
        ports: &str,
        peers: &str,
    ) -> Result<Overlay<'_>> {
        let config = self.config(node, "", ports, peers);
        let ours = Overlay::start_without(without, &self.gateway, self.gateway.name(), &config)?;
        ours.wait_for_peers()?;
        Ok(ours)
    }

    /// The configuration, with more keys of `[node]` and of the port eth1, more ports and more
    /// peers; the segment is blue, the peer is called peer.
    pub fn config(&self, node: &str, first: &str, ports: &str, peers: &str) -> String {
        let name = self.gateway.name();
        format!(
            "[node]\nname = \"{name}\"\nvtep = \"192.0.2.1\"\n{node}\n\
             [[uplink]]\ninterface = \"eth0\"\n\
             [[segment]]\nname = \"blue\"\nvni = 100\n\
             [[segment.port]]\ninterface = \"eth1\"\n{first}\n\
             [[segment.port]]\ninterface = \"eth2\"\n{ports}\
             [[peer]]\nname = \"peer\"\nvtep = \"192.0.2.2\"\nsegments = [\"blue\"]\n{peers}"
        )
    }

    /// Whether a frame between the two ports arrives.
    pub fn passes(&self, mark: &str) -> Result<bool> {
        self.ends[0].send(&marked(BROADCAST, Self::FIRST, mark))?;
        Ok(self.ends[1].find(SOON, |frame| has_mark(frame, mark))?.is_some())
    }
}

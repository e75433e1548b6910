//! Two of our gateways on a switch, so that something can happen to what is between them.

use anyhow::Result;
use overlay_testbed::{Gateway, Netns, TwoGateways, veth};

use crate::harness::Overlay;

/// ```text
///  host1 ── eth1 gw1 eth0 ══ (port of) switch (port of) ══ eth0 gw2 eth1 ── host2
/// ```
pub struct Switched {
    /// A bridge, `br0`; its port towards the second gateway is `gw2`.
    pub switch: Netns,
    pub gateways: [Gateway; 2],
    pub hosts: [Netns; 2],
}

impl Switched {
    pub const HOSTS: [&'static str; 2] = [TwoGateways::HOST1, TwoGateways::HOST2];

    /// `connect` gives the first gateway its uplink `eth0`, with the switch at its end.
    pub fn new(connect: impl FnOnce(&Netns, &Netns) -> Result<()>) -> Result<Self> {
        let switch = Netns::new("switch")?;
        let gateways =
            [Gateway::new("gw1", TwoGateways::VTEP1)?, Gateway::new("gw2", TwoGateways::VTEP2)?];
        let hosts = [Netns::new("host1")?, Netns::new("host2")?];
        switch.exec("ip link add br0 type bridge")?;
        switch.exec("ip link set br0 up")?;
        connect(&gateways[0].netns, &switch)?;
        plug(&gateways[1].netns, &switch, "gw2")?;
        for ((gateway, host), address) in gateways.iter().zip(&hosts).zip(Self::HOSTS) {
            let netns = &gateway.netns;
            netns.exec(&format!("ip link set eth0 mtu {}", TwoGateways::UNDERLAY_MTU))?;
            netns.exec(&format!("ip addr add {}/24 dev eth0", gateway.vtep))?;
            veth(netns, "eth1", host, "eth0")?;
            host.exec(&format!("ip addr add {address}/24 dev eth0"))?;
        }
        Ok(Self { switch, gateways, hosts })
    }

    /// Ours on both.
    pub fn start(&self) -> Result<[Overlay<'_>; 2]> {
        let start = |own: &'_ Gateway, other: &Gateway| -> Result<String> {
            Ok(own.config("auto", "auto", &[("other", other.vtep)]))
        };
        let [one, two] = &self.gateways;
        let first = Overlay::start(&one.netns, &one.name, &start(one, two)?)?;
        let second = Overlay::start(&two.netns, &two.name, &start(two, one)?)?;
        first.wait_for_peers()?;
        second.wait_for_peers()?;
        Ok([first, second])
    }
}

/// A cable from a gateway's `eth0` to a port of the switch.
pub fn plug(gateway: &Netns, switch: &Netns, port: &str) -> Result<()> {
    veth(gateway, "eth0", switch, port)?;
    let mtu = TwoGateways::UNDERLAY_MTU;
    switch.exec(&format!("ip link set {port} mtu {mtu} master br0")).map(drop)
}

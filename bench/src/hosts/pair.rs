//! Two hosts with a data plane between them.

use std::path::Path;

use anyhow::{Context as _, Result};
use overlay_testbed::{Offloads, TwoGateways, set_offloads, veth};

use super::plane::{Plane, Running, Side};

/// Two hosts, and two gateways that carry their frames; dropping it takes
/// everything down.
pub struct Pair {
    plane: Plane,
    // Ends before the namespaces that it lives in.
    _running: [Running; 2],
    testbed: TwoGateways,
}

impl Pair {
    /// Builds a testbed with `plane` in both gateways, and sees that the hosts
    /// reach one another.
    pub fn new(plane: Plane, overlay: &Path, features: bool) -> Result<Self> {
        let testbed = TwoGateways::new()?;
        let start = || -> Result<[Running; 2]> {
            if plane == Plane::Direct {
                connect(&testbed)?;
            }
            if plane.needs_whole_checksums() {
                let whole = Offloads { tx: Some(false), ..Offloads::default() };
                set_offloads(&testbed.host1, "eth0", whole)?;
                set_offloads(&testbed.host2, "eth0", whole)?;
            }
            let TwoGateways { host1, gw1, gw2, host2 } = &testbed;
            let side = |gateway, other, host, ip| Side { gateway, other, host, ip, features };
            let first = side(gw1, TwoGateways::VTEP2, host1, TwoGateways::HOST1);
            let second = side(gw2, TwoGateways::VTEP1, host2, TwoGateways::HOST2);
            let [first, second] = [first, second].map(|side| plane.start(&side, overlay));
            let (first, second) = (first?, second?);
            testbed.host1.exec(&format!("ping -n -q -c 1 -w 5 {}", TwoGateways::HOST2))?;
            Ok([first, second])
        };
        let running = start().with_context(|| format!("setting up {}", plane.name()))?;
        Ok(Self { plane, _running: running, testbed })
    }

    /// What carries the frames.
    pub fn plane(&self) -> Plane {
        self.plane
    }

    /// The namespaces.
    pub fn testbed(&self) -> &TwoGateways {
        &self.testbed
    }
}

/// Puts the hosts on one veth pair, in place of those to the gateways.
fn connect(testbed: &TwoGateways) -> Result<()> {
    let TwoGateways { host1, host2, .. } = testbed;
    for host in [host1, host2] {
        host.exec("ip link del eth0")?;
    }
    veth(host1, "eth0", host2, "eth0")?;
    for (host, address) in [(host1, TwoGateways::HOST1), (host2, TwoGateways::HOST2)] {
        host.exec(&format!("ip addr add {address}/24 dev eth0"))?;
    }
    Ok(())
}

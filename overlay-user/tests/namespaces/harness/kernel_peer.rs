//! The kernel's own gateway, which this project did not write: a bridge with a
//! vxlan device.

use anyhow::Result;
use overlay_testbed::{Gateway, TwoGateways};

/// Turns a gateway's namespace into a bridge of `eth1` and a vxlan device that
/// floods to `remote` and learns.
pub fn kernel_gateway(gateway: &Gateway, remote: &str) -> Result<()> {
    let netns = &gateway.netns;
    netns.exec("ip link add br0 type bridge")?;
    netns.exec(&format!(
        "ip link add vx0 type vxlan id {} local {} dev eth0 dstport 4789",
        TwoGateways::VNI,
        gateway.vtep
    ))?;
    netns.exec(&format!("bridge fdb append 00:00:00:00:00:00 dev vx0 dst {remote}"))?;
    for device in ["eth1", "vx0"] {
        netns.exec(&format!("ip link set {device} master br0"))?;
    }
    for device in ["vx0", "br0"] {
        netns.exec(&format!("ip link set {device} up"))?;
    }
    Ok(())
}

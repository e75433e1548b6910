//! The kernel's own gateway, which this project did not write.

use anyhow::Result;

use crate::topology::Gateway;

impl Gateway {
    /// The kernel's vxlan device in [`bridge_vxlan`](Self::bridge_vxlan)'s bridge.
    pub const VXLAN: &'static str = "vx0";

    /// Makes a gateway of the kernel's own devices: a bridge with `eth1` and a vxlan
    /// device over `eth0`, which learns, and floods to the VTEPs in `flood`.
    ///
    /// The bridge forwards and does nothing else, as this project's gateway: where a
    /// kernel has netfilter's hooks in bridges built in and on, they are off here.
    ///
    /// # Errors
    ///
    /// Where the kernel has no bridge or no vxlan device, with what `ip` said.
    pub fn bridge_vxlan(&self, vni: u32, flood: &[&str]) -> Result<()> {
        let (netns, vtep, vxlan) = (&self.netns, self.vtep, Self::VXLAN);
        netns.exec("ip link add br0 type bridge")?;
        if std::fs::exists("/proc/sys/net/bridge/bridge-nf-call-iptables")? {
            netns.sysctl("net.bridge.bridge-nf-call-iptables", "0")?;
        }
        // Over IPv6 it is told to take what has no UDP checksum (RFC 6935), and sends one.
        let checksum = if vtep.contains(':') { "udp6zerocsumrx" } else { "" };
        netns.exec(&format!(
            "ip link add {vxlan} type vxlan id {vni} local {vtep} dev eth0 dstport 4789 {checksum}"
        ))?;
        for remote in flood {
            netns.exec(&format!("bridge fdb append 00:00:00:00:00:00 dev {vxlan} dst {remote}"))?;
        }
        for device in ["eth1", vxlan] {
            netns.exec(&format!("ip link set {device} master br0"))?;
        }
        for device in [vxlan, "br0"] {
            netns.exec(&format!("ip link set {device} up"))?;
        }
        Ok(())
    }
}

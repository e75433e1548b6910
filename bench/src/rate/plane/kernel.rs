//! The kernel's bridge and vxlan device.
//!
//! Both are at their defaults, learning included, as ours is. As with ours, every
//! address has a static entry: in the bridge, and those of remote hosts in the
//! vxlan device too. It carries one segment: several of them take a bridge that
//! filters VLANs, or a pair of devices for each, and where a kernel has neither the
//! filter nor VLAN devices there is nothing fair to compare with.

use std::fmt::Write as _;

use anyhow::{Context, Result, ensure};
use overlay_testbed::{Netns, Scratch, run};

use super::{ACCESS, Running, Site, UPLINK};
use crate::rate::bpf::Object;
use crate::rate::population::{self, Population, text};

/// Devices, which go with their namespace, and the programs that let them have
/// the generator's frames.
pub struct Kernel {
    _pass: Vec<Object>,
}

impl Running for Kernel {}

/// Makes the devices and fills their tables.
pub fn start(site: &Site<'_>) -> Result<Kernel> {
    ensure!(site.population.segments == 1, "the kernel's plane has one segment");
    let netns = &site.gateway.netns;
    let pass = super::pass(netns)?;
    netns.exec("ip link add br0 type bridge")?;
    // A bridge that forwards and nothing else, as ours: some kernels have its
    // netfilter hooks built in and on.
    if std::fs::exists("/proc/sys/net/bridge/bridge-nf-call-iptables")? {
        netns.sysctl("net.bridge.bridge-nf-call-iptables", "0")?;
    }
    let (vni, vtep) = (population::vni(0), site.gateway.vtep);
    netns.exec(&format!(
        "ip link add vx0 type vxlan id {vni} local {vtep} dev {UPLINK} dstport 4789"
    ))?;
    for device in [ACCESS, "vx0"] {
        netns.exec(&format!("ip link set {device} master br0"))?;
    }
    for device in ["vx0", "br0"] {
        netns.exec(&format!("ip link set {device} up"))?;
    }
    fill(netns, site.population)?;
    Ok(Kernel { _pass: pass })
}

fn fill(netns: &Netns, population: &Population) -> Result<()> {
    let scratch = Scratch::new()?;
    let file = scratch.write("fdb", entries(population))?;
    run(netns.command("bridge").arg("-batch").arg(file)).context("filling the kernel's FDBs")?;
    Ok(())
}

fn entries(population: &Population) -> String {
    let mut lines = String::new();
    for host in population.hosts_of(0) {
        let mac = text(population::local(host));
        let _ = writeln!(lines, "fdb replace {mac} dev {ACCESS} master static");
    }
    for entry in 0..population.entries {
        let mac = text(population::remote(entry));
        let vtep = population::vtep(population.peer_of(entry));
        let _ = writeln!(lines, "fdb replace {mac} dev vx0 master static");
        let _ = writeln!(lines, "fdb replace {mac} dev vx0 self static dst {vtep}");
    }
    lines
}

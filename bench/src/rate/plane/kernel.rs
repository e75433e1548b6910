//! The kernel's bridge and vxlan device.
//!
//! Both are at their defaults, learning included, as ours is. As with ours, every
//! address has a static entry: in the bridge, and those of remote hosts in the
//! vxlan device too. It carries one segment: several of them take a bridge that
//! filters VLANs, or a pair of devices for each, and where a kernel has neither the
//! filter nor VLAN devices there is nothing fair to compare with.

use std::fmt::Write as _;

use anyhow::{Context, Result, ensure};
use overlay_testbed::{Gateway, Netns, Scratch, run};

use super::{ACCESS, Running, Site};
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
    site.gateway.bridge_vxlan(population::vni(0), &[])?;
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
    let (vxlan, mut lines) = (Gateway::VXLAN, String::new());
    for host in population.hosts_of(0) {
        let mac = text(population::local(host));
        let _ = writeln!(lines, "fdb replace {mac} dev {ACCESS} master static");
    }
    for entry in 0..population.entries {
        let mac = text(population::remote(entry));
        let vtep = population::vtep(population.peer_of(entry));
        let _ = writeln!(lines, "fdb replace {mac} dev {vxlan} master static");
        let _ = writeln!(lines, "fdb replace {mac} dev {vxlan} self static dst {vtep}");
    }
    lines
}

//! The units at work: a Debian that is booted with systemd as its process 1 by systemd-nspawn,
//! in which the package is installed, configured, started, broken, mended, brought to another
//! version and removed. Two hosts talk through the gateway all the while, and lose nothing.
//!
//! - `machine`: what is booted.
//! - `cgroups`: the control groups that it has on machines without systemd.
//! - `network`: what is around it.
//! - `unit`: what systemd and the journal know of a gateway.
//! - `privileges`: what the daemon may, as the kernel has it.
//! - `stages`: what is done, one after the other.

mod cgroups;
mod machine;
mod network;
mod privileges;
mod stages;
mod unit;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::step::step;
use machine::Machine;
use network::Network;
use stages::Stages;

/// Boots the Debian at `path`, and has an older and a newer package live there.
pub fn check(path: PathBuf, packages: [&Path; 2]) -> Result<()> {
    let (network, machine) = step("boot it (systemd-nspawn)", || {
        let network = Network::new()?;
        let [old, new] = packages;
        fs::copy(old, path.join("old.deb"))?;
        fs::copy(new, path.join("new.deb"))?;
        let machine = Machine::boot(path, &network.machine)?;
        Ok((network, machine))
    })?;
    let stages = Stages::new(&machine, &network);
    for (name, stage) in stages.all() {
        step(name, || stage(&stages)).with_context(|| format!("in the booted Debian: {name}"))?;
    }
    stages.end()
}

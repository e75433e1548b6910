//! The data planes between hosts, and how each is set up in a gateway.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use overlay_testbed::{Gateway, Process, Scratch, TwoGateways, run, wait_until};
use serde_json::Value;

const START: Duration = Duration::from_secs(15);

/// What carries frames between the hosts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plane {
    /// This project, with every setting at its default.
    Overlay,
    /// The kernel's bridge and vxlan device.
    Kernel,
}

/// A data plane that runs in one gateway; dropping it ends it.
pub enum Running {
    /// A daemon.
    Overlay {
        /// Ends before its configuration goes.
        _daemon: Process,
        /// The configuration.
        _scratch: Scratch,
    },
    /// Devices, which go with their namespace.
    Kernel,
}

impl Plane {
    /// Every plane, in the order of the report.
    pub const ALL: [Self; 2] = [Self::Overlay, Self::Kernel];

    /// The name in the report.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Overlay => "overlay",
            Self::Kernel => "kernel",
        }
    }

    /// Sets the plane up in a gateway with the other gateway's VTEP; `overlay` is
    /// this project's binary.
    pub fn start(self, gateway: &Gateway, other: &str, overlay: &Path) -> Result<Running> {
        match self {
            Self::Overlay => start_overlay(gateway, other, overlay),
            Self::Kernel => start_kernel(gateway, other).map(|()| Running::Kernel),
        }
    }
}

fn start_overlay(gateway: &Gateway, other: &str, binary: &Path) -> Result<Running> {
    let scratch = Scratch::new()?;
    let file = scratch.write("overlay.toml", gateway.config("auto", "auto", &[("peer", other)]))?;
    let binary = binary.to_str().context("the binary's path is not UTF-8")?;
    let mut command = gateway.netns.command(binary);
    let daemon = Process::spawn(command.arg("run").arg("--config").arg(file))?;
    wait_for_peer(gateway, binary, &daemon)?;
    Ok(Running::Overlay { _daemon: daemon, _scratch: scratch })
}

/// Waits until the other gateway can be sent to.
fn wait_for_peer(gateway: &Gateway, binary: &str, daemon: &Process) -> Result<()> {
    let peers = || -> Option<Vec<Value>> {
        let mut command = gateway.netns.command(binary);
        command.args(["show", "peers", "--json", "--name", &gateway.name]);
        serde_json::from_str(&run(&mut command).ok()?).ok()
    };
    let ready = wait_until("gateway ready to forward", START, || {
        if !daemon.is_running() {
            return Some(false);
        }
        peers()?.iter().all(|peer| peer["state"] == "ready").then_some(true)
    });
    match ready {
        Ok(true) => Ok(()),
        Ok(false) => bail!("overlay run ended:\n{}", daemon.output()),
        Err(error) => Err(error.context(daemon.output())),
    }
}

fn start_kernel(gateway: &Gateway, other: &str) -> Result<()> {
    let netns = &gateway.netns;
    netns.exec("ip link add br0 type bridge")?;
    // A bridge that forwards and nothing else, as ours: some kernels have its
    // netfilter hooks built in and on.
    if std::fs::exists("/proc/sys/net/bridge/bridge-nf-call-iptables")? {
        netns.sysctl("net.bridge.bridge-nf-call-iptables", "0")?;
    }
    netns.exec(&format!(
        "ip link add vx0 type vxlan id {} local {} remote {other} dev eth0 dstport 4789",
        TwoGateways::VNI,
        gateway.vtep
    ))?;
    for device in ["eth1", "vx0"] {
        netns.exec(&format!("ip link set {device} master br0"))?;
    }
    for device in ["vx0", "br0"] {
        netns.exec(&format!("ip link set {device} up"))?;
    }
    Ok(())
}

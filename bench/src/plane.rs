//! The data planes under test, and how each is set up in a gateway's namespace.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use overlay_testbed::{Gateway, Netns, Process, Scratch, wait_until};

use crate::ends::Attached;
use crate::frames::{HOST_INSIDE, HOST_OUTSIDE, PEER, VNI, VTEP};

/// The gateway's uplink.
pub const UPLINK: &str = "eth0";
/// The gateway's access port.
pub const ACCESS: &str = "eth1";
const START: Duration = Duration::from_secs(15);

/// What a gateway does with frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the access port into a tunnel.
    Encap,
    /// Out of a tunnel to the access port.
    Decap,
}

/// A way to carry frames through a gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plane {
    /// `redirect_map` in XDP, frames untouched: the limit.
    Redirect,
    /// This project with every port on XDP.
    OverlayXdp(Direction),
    /// This project with every port on tc.
    OverlayTc(Direction),
    /// The kernel's bridge and vxlan device.
    Kernel(Direction),
}

/// A data plane that runs; dropping it ends it.
pub enum Running {
    /// A BPF program.
    Redirect { _program: Attached },
    /// A daemon, and the program that lets it have the generator's frames where
    /// its own are on tc.
    Overlay { _daemon: Process, _scratch: Scratch, _pass: Option<Attached> },
    /// Devices, which go with their namespace, and the same program.
    Kernel { _pass: Attached },
}

impl Plane {
    /// Every plane, in the order of the report.
    pub const ALL: [Self; 7] = [
        Self::Redirect,
        Self::OverlayXdp(Direction::Encap),
        Self::OverlayXdp(Direction::Decap),
        Self::OverlayTc(Direction::Encap),
        Self::OverlayTc(Direction::Decap),
        Self::Kernel(Direction::Encap),
        Self::Kernel(Direction::Decap),
    ];

    /// The name in the report.
    pub fn name(self) -> &'static str {
        match self {
            Self::Redirect => "XDP redirect, untouched",
            Self::OverlayXdp(Direction::Encap) => "overlay, XDP: encapsulation",
            Self::OverlayXdp(Direction::Decap) => "overlay, XDP: decapsulation",
            Self::OverlayTc(Direction::Encap) => "overlay, tc: encapsulation",
            Self::OverlayTc(Direction::Decap) => "overlay, tc: decapsulation",
            Self::Kernel(Direction::Encap) => "kernel bridge + vxlan: encapsulation",
            Self::Kernel(Direction::Decap) => "kernel bridge + vxlan: decapsulation",
        }
    }

    /// The direction of its frames; `None` where they stay as they are.
    pub fn direction(self) -> Option<Direction> {
        match self {
            Self::Redirect => None,
            Self::OverlayXdp(direction) | Self::OverlayTc(direction) | Self::Kernel(direction) => {
                Some(direction)
            }
        }
    }

    /// Whether frames leave the gateway by an XDP redirect, and not as socket
    /// buffers.
    pub fn is_xdp(self) -> bool {
        matches!(self, Self::Redirect | Self::OverlayXdp(_))
    }

    /// The gateway's port that frames come in on.
    fn entry(self) -> &'static str {
        if self.direction() == Some(Direction::Decap) { UPLINK } else { ACCESS }
    }

    /// Sets the plane up in a gateway's namespace.
    pub fn start(self, gateway: &Gateway, overlay: &Path) -> Result<Running> {
        let netns = &gateway.netns;
        let pass = if self.is_xdp() { None } else { Some(Attached::pass(netns, self.entry())?) };
        match (self, pass) {
            (Self::Kernel(_), Some(pass)) => {
                start_kernel(netns)?;
                Ok(Running::Kernel { _pass: pass })
            }
            (Self::Redirect, _) => {
                let program = Attached::redirect(netns, ACCESS, UPLINK)?;
                Ok(Running::Redirect { _program: program })
            }
            (_, pass) => {
                let mode = if self.is_xdp() { "xdp" } else { "tc" };
                let (daemon, scratch) = start_overlay(gateway, overlay, mode)?;
                Ok(Running::Overlay { _daemon: daemon, _scratch: scratch, _pass: pass })
            }
        }
    }
}

fn start_overlay(gateway: &Gateway, binary: &Path, mode: &str) -> Result<(Process, Scratch)> {
    let config = gateway.config(mode, mode, &[("peer", PEER)]);
    let config = config.replacen("\n[[peer]]", &format!("{}\n[[peer]]", static_entries()), 1);
    let scratch = Scratch::new()?;
    let file = scratch.write("overlay.toml", config)?;
    let binary = binary.to_str().context("the binary's path is not UTF-8")?;
    let mut command = gateway.netns.command(binary);
    let daemon = Process::spawn(command.arg("run").arg("--config").arg(file))?;
    wait_for_hooks(gateway, binary, &daemon, mode)?;
    Ok((daemon, scratch))
}

fn static_entries() -> String {
    format!(
        "\n[[segment.fdb]]\nmac = \"{}\"\npeer = \"peer\"\n\
         \n[[segment.fdb]]\nmac = \"{}\"\ninterface = \"{ACCESS}\"\n",
        text(HOST_OUTSIDE),
        text(HOST_INSIDE)
    )
}

/// Waits until both ports are on the wanted hook and the peer can be sent to.
fn wait_for_hooks(gateway: &Gateway, binary: &str, daemon: &Process, mode: &str) -> Result<()> {
    let show = |what: &str| -> Option<Vec<serde_json::Value>> {
        let mut command = gateway.netns.command(binary);
        command.args(["show", what, "--json", "--name", &gateway.name]);
        serde_json::from_str(&overlay_testbed::run(&mut command).ok()?).ok()
    };
    let ready = wait_until("gateway ready to forward", START, || {
        if !daemon.is_running() {
            return Some(false);
        }
        let ports = show("ports")?;
        let hooked = ports.len() == 2 && ports.iter().all(|port| port["hook"] == mode);
        let peers = show("peers")?;
        (hooked && peers.iter().all(|peer| peer["state"] == "ready")).then_some(true)
    });
    match ready {
        Ok(true) => Ok(()),
        Ok(false) => bail!("overlay run ended:\n{}", daemon.output()),
        Err(error) => Err(error.context(daemon.output())),
    }
}

fn start_kernel(netns: &Netns) -> Result<()> {
    netns.exec("ip link add br0 type bridge")?;
    // A bridge that forwards and nothing else, as ours: some kernels have its
    // netfilter hooks built in and on.
    if std::fs::exists("/proc/sys/net/bridge/bridge-nf-call-iptables")? {
        netns.sysctl("net.bridge.bridge-nf-call-iptables", "0")?;
    }
    netns.exec(&format!(
        "ip link add vx0 type vxlan id {VNI} local {VTEP} remote {PEER} dev {UPLINK} dstport 4789"
    ))?;
    for device in [ACCESS, "vx0"] {
        netns.exec(&format!("ip link set {device} master br0"))?;
    }
    for device in ["vx0", "br0"] {
        netns.exec(&format!("ip link set {device} up"))?;
    }
    let (inside, outside) = (text(HOST_INSIDE), text(HOST_OUTSIDE));
    netns.exec(&format!("bridge fdb replace {inside} dev {ACCESS} master static"))?;
    netns.exec(&format!("bridge fdb replace {outside} dev vx0 master static"))?;
    netns.exec(&format!("bridge fdb replace {outside} dev vx0 self dst {PEER}"))?;
    Ok(())
}

fn text(mac: [u8; 6]) -> String {
    mac.map(|byte| format!("{byte:02x}")).join(":")
}

//! The data planes between hosts, and how each is set up in a gateway.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use overlay_testbed::{Gateway, Netns, Process, Scratch, TwoGateways, mac_of, run, wait_until};
use serde_json::Value;

use overlay_testbed::ovs::{self, Switch};

use crate::features;
use crate::rate::population;

const START: Duration = Duration::from_secs(15);

/// What carries frames between the hosts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plane {
    /// This project, with every setting at its default.
    Overlay,
    /// The kernel's bridge and vxlan device.
    Kernel,
    /// Open vSwitch's userspace datapath.
    Ovs,
    /// No gateway: one veth pair from host to host. What the hosts themselves take,
    /// and so the limit.
    Direct,
}

/// A gateway and its surroundings.
pub struct Side<'a> {
    /// The gateway.
    pub gateway: &'a Gateway,
    /// The other gateway's VTEP.
    pub other: &'a str,
    /// The host behind it.
    pub host: &'a Netns,
    /// That host's address.
    pub ip: &'a str,
    /// Whether this project's gateway does more than by default.
    pub features: bool,
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
    /// A switch.
    Ovs {
        /// With its database.
        _switch: Switch,
    },
    /// Nothing.
    Direct,
}

impl Plane {
    /// Every plane that this machine can run, in the order of the report.
    pub fn available() -> Vec<Self> {
        let mut planes = vec![Self::Overlay, Self::Kernel, Self::Direct];
        if ovs::is_installed() {
            planes.push(Self::Ovs);
        }
        planes
    }

    /// The name in the report.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Overlay => "overlay",
            Self::Kernel => "kernel",
            Self::Ovs => "ovs",
            Self::Direct => "direct",
        }
    }

    /// Sets the plane up in a gateway; `overlay` is this project's binary.
    pub fn start(self, side: &Side<'_>, overlay: &Path) -> Result<Running> {
        let Side { gateway, other, .. } = *side;
        match self {
            Self::Overlay => start_overlay(side, overlay),
            Self::Kernel => {
                gateway.bridge_vxlan(TwoGateways::VNI, &[other])?;
                Ok(Running::Kernel)
            }
            Self::Ovs => Ok(Running::Ovs { _switch: start_ovs(gateway, other)? }),
            Self::Direct => Ok(Running::Direct),
        }
    }

    /// Whether frames are carried by the thread that sends them, and not by
    /// threads of the plane's own.
    pub fn follows_threads(self) -> bool {
        self != Self::Ovs
    }

    /// Whether hosts must finish their checksums themselves: packet sockets, which
    /// the switch takes frames from, do not say that one is only half done.
    pub fn needs_whole_checksums(self) -> bool {
        self == Self::Ovs
    }
}

fn start_overlay(side: &Side<'_>, binary: &Path) -> Result<Running> {
    let gateway = side.gateway;
    let scratch = Scratch::new()?;
    let file = scratch.write("overlay.toml", config(side)?)?;
    let binary = binary.to_str().context("the binary's path is not UTF-8")?;
    let mut command = gateway.netns.command(binary);
    let daemon = Process::spawn_gateway(command.arg("run").arg("--config").arg(file))?;
    wait_for_peer(gateway, binary, &daemon)?;
    Ok(Running::Overlay { _daemon: daemon, _scratch: scratch })
}

fn config(side: &Side<'_>) -> Result<String> {
    const SEGMENT: &str = "[[segment]]\n";
    let plain = side.gateway.config("auto", "auto", &[("peer", side.other)]);
    if !side.features {
        return Ok(plain);
    }
    let (before, segment) = plain.split_once(SEGMENT).context("a configuration without segment")?;
    let mac = population::text(mac_of(side.host, "eth0")?);
    let parts = [
        before,
        &features::before(),
        "\n",
        SEGMENT,
        features::segment(),
        segment,
        &features::port(&mac, side.ip),
        &features::lists(),
    ];
    Ok(parts.concat())
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

/// One bridge that has the VTEP, as tunnels ask for, and one with the access port
/// and the tunnel.
fn start_ovs(gateway: &Gateway, other: &str) -> Result<Switch> {
    let (netns, vtep) = (&gateway.netns, gateway.vtep);
    let switch = Switch::start(netns, None)?;
    let datapath = "datapath_type=netdev";
    switch.configure(&format!(
        "add-br underlay -- set bridge underlay {datapath} -- add-port underlay eth0"
    ))?;
    switch.configure(&format!(
        "add-br segment -- set bridge segment {datapath} -- add-port segment eth1 \
         -- add-port segment vx0 -- set interface vx0 type=vxlan options:key={} \
         options:local_ip={vtep} options:remote_ip={other}",
        TwoGateways::VNI
    ))?;
    netns.exec(&format!("ip addr del {vtep}/24 dev eth0"))?;
    netns.exec(&format!("ip addr add {vtep}/24 dev underlay"))?;
    netns.exec(&format!("ip link set underlay mtu {} up", TwoGateways::UNDERLAY_MTU))?;
    Ok(switch)
}

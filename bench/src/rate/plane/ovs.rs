//! Open vSwitch with its userspace datapath, which takes frames from the devices
//! by packet sockets: Debian builds it without AF_XDP.
//!
//! The switch is a process, where the other planes run in the generator's own
//! interrupts. On the one core that all share it goes in front of the generator,
//! or that would keep it from running while its sockets overflow; and the generator
//! makes no more frames at once than a socket holds ([`BATCH`]). So the switch
//! works off each batch before the next is made.

use anyhow::Result;

use super::{ACCESS, Running, Site, UPLINK};
use crate::rate::bpf::Object;
use crate::rate::chain::{NEXT_HOP, PEERS};
use crate::rate::population::{self, text};
use overlay_testbed::ovs::Switch;

/// A packet socket holds about 48 frames at the kernel's default, each counted
/// with the page that it is in.
pub const BATCH: u32 = 32;

/// The processes, and the programs that let them have the generator's frames.
pub struct Ovs {
    _switch: Switch,
    _pass: Vec<Object>,
}

impl Running for Ovs {}

/// Starts a switch with a bridge that has the VTEP, as its tunnels ask for, and one
/// with the access port and the tunnel. All addresses are static.
pub fn start(site: &Site<'_>) -> Result<Ovs> {
    let netns = &site.gateway.netns;
    let pass = super::pass(netns)?;
    let switch = Switch::start(netns, Some(site.cpu))?;
    let (uplink, next_hop) = (text(site.macs.0), text(site.macs.1));
    let (vtep, vni) = (site.gateway.vtep, population::vni(0));
    let bridge = "datapath_type=netdev";
    switch.configure(&format!(
        "add-br underlay -- set bridge underlay {bridge} other-config:hwaddr={uplink} \
         -- add-port underlay {UPLINK}"
    ))?;
    switch.configure(&format!(
        "add-br segment -- set bridge segment {bridge} -- add-port segment {ACCESS} \
         -- add-port segment vx0 -- set interface vx0 type=vxlan options:key={vni} \
         options:local_ip={vtep} options:remote_ip={}",
        population::vtep(0)
    ))?;
    netns.exec("ip link set underlay up")?;
    netns.exec(&format!("ip addr del {vtep}/24 dev {UPLINK}"))?;
    netns.exec(&format!("ip addr add {vtep}/24 dev underlay"))?;
    netns.exec(&format!("ip route add {PEERS} via {NEXT_HOP}"))?;
    switch.ask(&format!("tnl/neigh/set underlay {NEXT_HOP} {next_hop}"))?;
    switch.ask(&format!("fdb/add underlay {UPLINK} 0 {next_hop}"))?;
    switch.ask(&format!("fdb/add segment {ACCESS} 0 {}", text(population::local(0))))?;
    switch.ask(&format!("fdb/add segment vx0 0 {}", text(population::remote(0))))?;
    Ok(Ovs { _switch: switch, _pass: pass })
}

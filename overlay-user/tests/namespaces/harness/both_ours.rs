//! Our gateways on both sides of a testbed.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use overlay_testbed::{Gateway, Offloads, TwoGateways, set_offloads, wait_until};
use serde_json::Value;

use super::{Overlay, hook_of};

/// The modes of an uplink and of an access port.
pub type Modes = (&'static str, &'static str);

/// Every hook at the uplink and at the access port, in as few pairs as have them all.
pub const EVERY_HOOK: [Modes; 5] =
    [("tc", "tc"), ("xdp", "tc"), ("xdp", "xdp"), ("xdp-generic", "xdp-generic"), ("user", "user")];

/// What is said of a port on XDP that nothing can be redirected to yet.
const LEFT: &str = "its far end takes no redirected frames";

/// Starts a gateway of ours on each side, and waits until they reach each other.
pub fn both_ours(testbed: &TwoGateways, first: Modes, second: Modes) -> Result<[Overlay<'_>; 2]> {
    prepare_for_xdp(testbed, &[first, second])?;
    prepare_uplinks(testbed, &[first.0, second.0])?;
    let (gw1, gw2) = (&testbed.gw1, &testbed.gw2);
    let ours = [start(gw1, first, ("second", gw2))?, start(gw2, second, ("first", gw1))?];
    for ours in &ours {
        ours.wait_for_peers()?;
        wait_for_redirects(ours)?;
    }
    Ok(ours)
}

/// Until a gateway has seen that redirected frames arrive, tc sends what XDP would.
pub fn wait_for_redirects(ours: &Overlay<'_>) -> Result<()> {
    wait_until("redirects of XDP", Duration::from_secs(10), || {
        let ports = ours.show("ports").ok()?;
        let is_left_to_tc = |port: &Value| port["why"].as_str().is_some_and(|w| w.contains(LEFT));
        (!ports.iter().any(is_left_to_tc)).then_some(())
    })
    .with_context(|| format!("{:?}", ours.show("ports")))
}

fn start<'n>(
    gateway: &'n Gateway,
    modes: Modes,
    (name, peer): (&str, &Gateway),
) -> Result<Overlay<'n>> {
    let config = gateway.config(modes.0, modes.1, &[(name, peer.vtep)]);
    let ours = Overlay::start(&gateway.netns, &gateway.name, &config)?;
    check_hooks(&ours, modes)?;
    Ok(ours)
}

/// Where an access port is on XDP, hosts must finish their checksums: the note
/// that one is only half done does not survive an XDP redirect. Nor does it survive AF_XDP on
/// an uplink without a wire in front.
pub fn prepare_for_xdp(testbed: &TwoGateways, modes: &[(&str, &str)]) -> Result<()> {
    let loses = |(uplink, access): &(&str, &str)| {
        access.starts_with("xdp") || [*uplink, *access].contains(&"user-xdp")
    };
    if !modes.iter().any(loses) {
        return Ok(());
    }
    let plain = Offloads { tx: Some(false), gro: Some(true), ..Offloads::default() };
    set_offloads(&testbed.host1, "eth0", plain)?;
    set_offloads(&testbed.host2, "eth0", plain)
}

/// Redirected frames arrive in a veth only where its far end polls.
pub fn prepare_uplinks(testbed: &TwoGateways, uplinks: &[&str]) -> Result<()> {
    if uplinks.iter().all(|mode| !mode.starts_with("xdp")) {
        return Ok(());
    }
    let polling = Offloads { gro: Some(true), ..Offloads::default() };
    set_offloads(&testbed.gw1.netns, "eth0", polling)?;
    set_offloads(&testbed.gw2.netns, "eth0", polling)
}

/// A mode asked for by name is the hook that carries the port; user space is one, whatever its
/// sockets.
pub fn check_hooks(ours: &Overlay<'_>, (uplink, access): (&str, &str)) -> Result<()> {
    for (interface, wanted) in [("eth0", uplink), ("eth1", access)] {
        let (hook, wanted) = (ours.hook(interface)?, hook_of(wanted));
        ensure!(hook == wanted, "{interface} is on {hook}, not on {wanted}:\n{}", ours.log());
    }
    Ok(())
}

//! Against the kernel's own bridge and vxlan device.

use anyhow::Result;
use overlay_testbed::{TwoGateways, require_root, require_tools};

use crate::harness::{
    Capture, Overlay, arp, between_hosts, http_download, over_ipv6, ping, udp_sizes,
};

const TOOLS: &[&str] = &["iperf3", "curl", "python3", "bridge", "ping"];

/// Proves the testbed: what fails here is not the overlay's fault.
#[test]
fn kernel_against_kernel() -> Result<()> {
    if !require_root("kernel_against_kernel") || !require_tools("kernel_against_kernel", TOOLS) {
        return Ok(());
    }
    let testbed = TwoGateways::new()?;
    testbed.gw1.bridge_vxlan(TwoGateways::VNI, &[TwoGateways::VTEP2])?;
    testbed.gw2.bridge_vxlan(TwoGateways::VNI, &[TwoGateways::VTEP1])?;
    between_hosts(&testbed)
}

#[test]
fn ours_against_kernel() -> Result<()> {
    if !require_root("ours_against_kernel") || !require_tools("ours_against_kernel", TOOLS) {
        return Ok(());
    }
    let testbed = TwoGateways::new()?;
    testbed.gw2.bridge_vxlan(TwoGateways::VNI, &[TwoGateways::VTEP1])?;
    let config = testbed.gw1.config("auto", "auto", &[("kernel", TwoGateways::VTEP2)]);
    let ours = Overlay::start(&testbed.gw1.netns, &testbed.gw1.name, &config)?;
    ours.wait_for_peers()?;
    between_hosts(&testbed)
}

#[test]
fn hosts_that_speak_ipv6() -> Result<()> {
    if !require_root("hosts_that_speak_ipv6") || !require_tools("hosts_that_speak_ipv6", TOOLS) {
        return Ok(());
    }
    for uplink in ["tc", "xdp"] {
        let testbed = TwoGateways::new()?;
        testbed.gw2.bridge_vxlan(TwoGateways::VNI, &[TwoGateways::VTEP1])?;
        let config = testbed.gw1.config(uplink, "tc", &[("kernel", TwoGateways::VTEP2)]);
        let ours = Overlay::start(&testbed.gw1.netns, &testbed.gw1.name, &config)?;
        ours.wait_for_peers()?;
        over_ipv6(&testbed)?;
    }
    Ok(())
}

#[test]
fn ours_against_ours() -> Result<()> {
    if !require_root("ours_against_ours") || !require_tools("ours_against_ours", TOOLS) {
        return Ok(());
    }
    let testbed = TwoGateways::new()?;
    let (gw1, gw2) = (&testbed.gw1, &testbed.gw2);
    let first = gw1.config("auto", "auto", &[("second", TwoGateways::VTEP2)]);
    let second = gw2.config("auto", "auto", &[("first", TwoGateways::VTEP1)]);
    let first = Overlay::start(&gw1.netns, &gw1.name, &first)?;
    let second = Overlay::start(&gw2.netns, &gw2.name, &second)?;
    first.wait_for_peers()?;
    second.wait_for_peers()?;
    between_hosts(&testbed)
}

#[test]
fn tshark_finds_nothing_malformed() -> Result<()> {
    let name = "tshark_finds_nothing_malformed";
    let has_tools = require_tools(name, TOOLS) && require_tools(name, &["tcpdump", "tshark"]);
    if !require_root(name) || !has_tools {
        return Ok(());
    }
    let testbed = TwoGateways::new()?;
    testbed.gw2.bridge_vxlan(TwoGateways::VNI, &[TwoGateways::VTEP1])?;
    let config = testbed.gw1.config("auto", "auto", &[("kernel", TwoGateways::VTEP2)]);
    let ours = Overlay::start(&testbed.gw1.netns, &testbed.gw1.name, &config)?;
    ours.wait_for_peers()?;

    let capture = Capture::start(&testbed.gw2.netns, "eth0")?;
    arp(&testbed.host1, &testbed.host2, TwoGateways::HOST2)?;
    ping(&testbed.host2, TwoGateways::HOST1)?;
    udp_sizes(&testbed.host1, (&testbed.host2, TwoGateways::HOST2))?;
    http_download(&testbed.host2, (&testbed.host1, TwoGateways::HOST1))?;
    let recording = capture.stop()?;
    recording.check_tunnels_of(TwoGateways::VTEP1)
}

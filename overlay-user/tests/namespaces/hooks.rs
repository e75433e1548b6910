//! The same applications, whichever hook carries the ports.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use overlay_testbed::{
    Netns, Offloads, TwoGateways, require_root, require_tools, set_offloads, wait_until,
};

use crate::harness::{
    Modes, Overlay, answers, between_hosts, both_ours, check_hooks, has_feature, ping,
    prepare_for_xdp,
};

const TOOLS: &[&str] = &["iperf3", "curl", "python3", "bridge", "ping"];

#[test]
fn tc_on_both() -> Result<()> {
    against_kernel("tc_on_both", "tc", "tc")
}

#[test]
fn xdp_uplink_tc_access() -> Result<()> {
    against_kernel("xdp_uplink_tc_access", "xdp", "tc")
}

#[test]
fn tc_uplink_xdp_access() -> Result<()> {
    against_kernel("tc_uplink_xdp_access", "tc", "xdp")
}

#[test]
fn xdp_on_both() -> Result<()> {
    against_kernel("xdp_on_both", "xdp", "xdp")
}

#[test]
fn user_space_on_both() -> Result<()> {
    against_kernel("user_space_on_both", "user", "user")
}

#[test]
fn user_uplink_tc_access() -> Result<()> {
    against_kernel("user_uplink_tc_access", "user", "tc")
}

#[test]
fn tc_uplink_user_access() -> Result<()> {
    against_kernel("tc_uplink_user_access", "tc", "user")
}

#[test]
fn user_uplink_xdp_access() -> Result<()> {
    against_kernel("user_uplink_xdp_access", "user", "xdp")
}

#[test]
fn xdp_uplink_user_access() -> Result<()> {
    against_kernel("xdp_uplink_user_access", "xdp", "user")
}

#[test]
fn af_xdp_on_both() -> Result<()> {
    against_kernel("af_xdp_on_both", "user-xdp", "user-xdp")
}

#[test]
fn af_xdp_uplink_user_access() -> Result<()> {
    against_kernel("af_xdp_uplink_user_access", "user-xdp", "user")
}

#[test]
fn af_xdp_uplink_tc_access() -> Result<()> {
    against_kernel("af_xdp_uplink_tc_access", "user-xdp", "tc")
}

#[test]
fn xdp_uplink_af_xdp_access() -> Result<()> {
    against_kernel("xdp_uplink_af_xdp_access", "xdp", "user-xdp")
}

#[test]
fn af_xdp_between_two_of_ours() -> Result<()> {
    let both = ("user-xdp", "user-xdp");
    between_ours("af_xdp_between_two_of_ours", both, both)
}

#[test]
fn user_space_between_two_of_ours() -> Result<()> {
    between_ours("user_space_between_two_of_ours", ("user", "user"), ("user", "user"))
}

#[test]
fn one_end_in_user_space_the_other_on_tc() -> Result<()> {
    between_ours("one_end_in_user_space_the_other_on_tc", ("user", "user"), ("tc", "tc"))
}

#[test]
fn one_end_in_user_space_the_other_on_xdp() -> Result<()> {
    between_ours("one_end_in_user_space_the_other_on_xdp", ("user", "user"), ("xdp", "tc"))
}

/// Kernels whose generic XDP cannot send frames to other devices are not given it.
#[test]
fn generic_xdp_on_both() -> Result<()> {
    let (name, mode) = ("generic_xdp_on_both", "xdp-generic");
    if !require_root(name) || !require_tools(name, TOOLS) {
        return Ok(());
    }
    let netns = Netns::new("doctor")?;
    if has_feature(&netns, "generic-redirect")? {
        return against_kernel(name, mode, mode);
    }
    for (uplink, access) in [(mode, "tc"), ("tc", mode)] {
        let testbed = TwoGateways::new()?;
        let config = testbed.gw1.config(uplink, access, &[]);
        let started = Overlay::start(&testbed.gw1.netns, &testbed.gw1.name, &config);
        let refusal = format!("{:#}", started.err().context("started without redirects")?);
        ensure!(refusal.contains("generic-redirect"), "{refusal}");
    }
    Ok(())
}

#[test]
fn xdp_uplinks_between_two_of_ours() -> Result<()> {
    between_ours("xdp_uplinks_between_two_of_ours", ("xdp", "tc"), ("xdp", "tc"))
}

#[test]
fn one_end_on_xdp_the_other_on_tc() -> Result<()> {
    between_ours("one_end_on_xdp_the_other_on_tc", ("xdp", "xdp"), ("tc", "tc"))
}

/// Frames that XDP redirects into a veth vanish without a trace where its far end
/// does not poll; a far end may stop and start at any time.
#[test]
fn a_far_end_that_stops_polling() -> Result<()> {
    let name = "a_far_end_that_stops_polling";
    if !require_root(name) || !require_tools(name, TOOLS) {
        return Ok(());
    }
    let testbed = TwoGateways::new()?;
    prepare_for_xdp(&testbed, &[("xdp", "xdp")])?;
    let poll = |on: bool| -> Result<()> {
        let gro = Offloads { gro: Some(on), ..Offloads::default() };
        set_offloads(&testbed.gw2.netns, "eth0", gro)?;
        set_offloads(&testbed.host1, "eth0", gro)
    };
    poll(true)?;
    testbed.gw2.bridge_vxlan(TwoGateways::VNI, &[TwoGateways::VTEP1])?;
    let config = testbed.gw1.config("xdp", "xdp", &[("kernel", TwoGateways::VTEP2)]);
    let ours = Overlay::start(&testbed.gw1.netns, &testbed.gw1.name, &config)?;
    ours.wait_for_peers()?;
    ping(&testbed.host1, TwoGateways::HOST2)?;
    for on in [false, true, false] {
        poll(on)?;
        wait_until("recovery", Duration::from_secs(6), || {
            answers(&testbed.host1, TwoGateways::HOST2).then_some(())
        })
        .with_context(|| format!("polling: {on}\n{:?}\n{}", ours.show("ports"), ours.log()))?;
        ping(&testbed.host2, TwoGateways::HOST1)?;
    }
    Ok(())
}

fn against_kernel(name: &str, uplink: &str, access: &str) -> Result<()> {
    if !require_root(name) || !require_tools(name, TOOLS) {
        return Ok(());
    }
    let testbed = TwoGateways::new()?;
    prepare_for_xdp(&testbed, &[(uplink, access)])?;
    // Redirected frames arrive in a veth only where its far end polls.
    let polling = Offloads { gro: Some(true), ..Offloads::default() };
    set_offloads(&testbed.gw2.netns, "eth0", polling)?;
    testbed.gw2.bridge_vxlan(TwoGateways::VNI, &[TwoGateways::VTEP1])?;
    let config = testbed.gw1.config(uplink, access, &[("kernel", TwoGateways::VTEP2)]);
    let ours = Overlay::start(&testbed.gw1.netns, &testbed.gw1.name, &config)?;
    check_hooks(&ours, (uplink, access))?;
    ours.wait_for_peers()?;
    between_hosts(&testbed)
}

fn between_ours(name: &str, first: Modes, second: Modes) -> Result<()> {
    if !require_root(name) || !require_tools(name, TOOLS) {
        return Ok(());
    }
    let testbed = TwoGateways::new()?;
    let _ours = both_ours(&testbed, first, second)?;
    between_hosts(&testbed)
}

//! Frames of 9,000 bytes through XDP, which has them in several buffers.

use anyhow::{Context, Result, ensure};
use overlay_testbed::{
    Netns, Offloads, TwoGateways, mac_of, require_root, require_tools, set_mtu, set_offloads,
    wait_until,
};
use std::time::Duration;

use crate::harness::{Overlay, doctor, has_feature, ping, tcp};

const TOOLS: &[&str] = &["iperf3", "bridge", "ping", "ethtool"];
const SOON: Duration = Duration::from_secs(2);
const HOST_MTU: u32 = 9000;
const UNDERLAY_MTU: u32 = 9100;
/// Echo requests that fill the hosts' MTU.
const ECHOES: u64 = 5;
/// With their Ethernet header.
const FRAME: u64 = HOST_MTU as u64 + 14;

#[test]
fn jumbo_frames_in_xdp_with_the_kernel_as_peer() -> Result<()> {
    with_testbed("jumbo_frames_in_xdp_with_the_kernel_as_peer", |testbed| {
        // Bridges report the group of all snoopers, again after up to a second.
        testbed.gw2.netns.sysctl("net.ipv4.igmp_link_local_mcast_reports", "0")?;
        testbed.gw2.bridge_vxlan(TwoGateways::VNI, &[TwoGateways::VTEP1])?;
        set_mtu(&testbed.gw2.netns, overlay_testbed::Gateway::VXLAN, HOST_MTU)?;
        let first = start(testbed, true)?;
        check(testbed, &[&first])
    })
}

#[test]
fn jumbo_frames_in_xdp_between_ours() -> Result<()> {
    with_testbed("jumbo_frames_in_xdp_between_ours", |testbed| {
        let (first, second) = (start(testbed, true)?, start(testbed, false)?);
        check(testbed, &[&first, &second])
    })
}

/// What a kernel without frames of several buffers says, and does instead.
#[test]
fn jumbo_frames_where_xdp_has_one_buffer() -> Result<()> {
    with_devices("jumbo_frames_where_xdp_has_one_buffer", |testbed| {
        testbed.gw2.bridge_vxlan(TwoGateways::VNI, &[TwoGateways::VTEP1])?;
        set_mtu(&testbed.gw2.netns, overlay_testbed::Gateway::VXLAN, HOST_MTU)?;
        let (netns, name) = (&testbed.gw1.netns, &testbed.gw1.name);
        let peers = [("kernel", TwoGateways::VTEP2)];
        let config = testbed.gw1.config("xdp", "xdp", &peers);
        let refused = Overlay::start_without("xdp-frags", netns, name, &config);
        let refusal = format!("{:#}", refused.err().context("XDP on a jumbo device")?);
        ensure!(refusal.contains("(MTU?)"), "{refusal}");
        let config = testbed.gw1.config("tc", "tc", &peers);
        let ours = Overlay::start_without("xdp-frags", netns, name, &config)?;
        ours.wait_for_peers()?;
        largest_echoes(testbed)?;
        let lines = doctor(netns)?["features"].as_array().context("no features")?.clone();
        let without = lines.iter().find(|line| line["feature"] == "xdp-frags");
        let without = without.and_then(|line| line["without"].as_str()).context("no text")?;
        ensure!(without.contains("MTU"), "{without}");
        Ok(())
    })
}

/// The devices, where the kernel's XDP has frames of several buffers.
fn with_testbed(name: &str, test: impl Fn(&TwoGateways) -> Result<()>) -> Result<()> {
    with_devices(name, |testbed| {
        if !has_feature(&testbed.gw1.netns, "xdp-frags")? {
            println!("SAME AS jumbo_frames_where_xdp_has_one_buffer: as here");
            return Ok(());
        }
        test(testbed)
    })
}

fn with_devices(name: &str, test: impl Fn(&TwoGateways) -> Result<()>) -> Result<()> {
    if !require_root(name) || !require_tools(name, TOOLS) {
        return Ok(());
    }
    let testbed = TwoGateways::new()?;
    for gateway in [&testbed.gw1.netns, &testbed.gw2.netns] {
        set_mtu(gateway, "eth0", UNDERLAY_MTU)?;
        set_mtu(gateway, "eth1", HOST_MTU)?;
        // Redirected frames arrive where the far end polls.
        set_offloads(gateway, "eth0", Offloads { gro: Some(true), ..Offloads::default() })?;
    }
    // Checksums that are left to the device do not survive a redirect.
    let plain = Offloads { tx: Some(false), gro: Some(true), ..Offloads::default() };
    for (host, other, address) in [
        (&testbed.host1, &testbed.host2, TwoGateways::HOST2),
        (&testbed.host2, &testbed.host1, TwoGateways::HOST1),
    ] {
        set_mtu(host, "eth0", HOST_MTU)?;
        set_offloads(host, "eth0", plain)?;
        // So that nothing but the test's own packets is counted.
        let mac = mac_of(other, "eth0")?.map(|byte| format!("{byte:02x}")).join(":");
        host.exec(&format!("ip neigh replace {address} lladdr {mac} dev eth0 nud permanent"))?;
    }
    test(&testbed)
}

fn start(testbed: &TwoGateways, is_first: bool) -> Result<Overlay<'_>> {
    let (gateway, other) = match is_first {
        true => (&testbed.gw1, &testbed.gw2),
        false => (&testbed.gw2, &testbed.gw1),
    };
    let config = gateway.config("xdp", "xdp", &[("other", other.vtep)]);
    let ours = Overlay::start(&gateway.netns, &gateway.name, &config)?;
    for interface in ["eth0", "eth1"] {
        ensure!(ours.hook(interface)? == "xdp", "{:?}", ours.show("ports"));
    }
    ours.wait_for_peers()?;
    Ok(ours)
}

/// Echoes that fill the MTU, without fragments.
fn largest_echoes(testbed: &TwoGateways) -> Result<()> {
    let (size, address) = (HOST_MTU - 28, TwoGateways::HOST2);
    let command = format!("ping -n -q -M do -c {ECHOES} -i 0.05 -W 2 -s {size} {address}");
    let report = testbed.host1.exec(&command)?;
    ensure!(report.contains(" 0% packet loss"), "{report}");
    Ok(())
}

fn check(testbed: &TwoGateways, gateways: &[&Overlay<'_>]) -> Result<()> {
    let netns = [&testbed.gw1.netns, &testbed.gw2.netns];
    // Until the stations are learnt, floods go through tc.
    ping(&testbed.host1, TwoGateways::HOST2)?;
    let redirects = |index: usize| -> Result<[u64; 2]> {
        Ok([redirected(netns[index], "eth0")?, redirected(netns[index], "eth1")?])
    };
    let before = [0, 1].map(|index| redirects(index).unwrap_or_default());
    let counted: Vec<_> = gateways.iter().map(|ours| counts(ours)).collect::<Result<_>>()?;
    largest_echoes(testbed).with_context(|| format!("{:?}", gateways[0].show("drops")))?;

    for (ours, before) in gateways.iter().zip(counted) {
        let wanted = before.map(|(packets, bytes)| (packets + ECHOES, bytes + ECHOES * FRAME));
        wait_until("counts of the echoes", SOON, || (counts(ours).ok()? == wanted).then_some(()))
            .with_context(|| format!("{wanted:?}, but {:?}", counts(ours)))?;
    }
    // Kernels whose drivers tell nothing have no such redirects, so tc sends there.
    let by_xdp = has_feature(netns[0], "xdp-features")?;
    for index in 0..gateways.len() {
        let after = redirects(index)?;
        for (device, (before, after)) in
            ["eth0", "eth1"].iter().zip(before[index].iter().zip(after))
        {
            let sent = after - before;
            let is_right = if by_xdp { sent == ECHOES } else { sent == 0 };
            ensure!(is_right, "{sent} frames of {device} were redirected by gateway {index}");
        }
    }
    let drops = gateways.iter().map(|ours| ours.drops()).collect::<Result<Vec<_>>>()?;
    tcp(&testbed.host1, (&testbed.host2, TwoGateways::HOST2))
        .with_context(|| format!("{drops:?}"))?;
    for (ours, before) in gateways.iter().zip(drops) {
        ensure!(ours.drops()? == before, "{before:?}, then {:?}", ours.drops());
    }
    Ok(())
}

/// Packets and bytes: into and out of the access port, to and from the peer.
fn counts(ours: &Overlay<'_>) -> Result<[(u64, u64); 4]> {
    let (ports, peers) = (ours.show("ports")?, ours.show("peers")?);
    let access = ports.iter().find(|port| port["interface"] == "eth1").context("no eth1")?;
    let peer = peers.first().context("no peer")?;
    let count = |row: &serde_json::Value, way: &str| -> Result<(u64, u64)> {
        let number = |what: &str| row[format!("{way}_{what}")].as_u64().context("no count");
        Ok((number("packets")?, number("bytes")?))
    };
    Ok([count(access, "rx")?, count(access, "tx")?, count(peer, "rx")?, count(peer, "tx")?])
}

/// Frames that came in on a veth and that XDP redirected.
fn redirected(netns: &Netns, interface: &str) -> Result<u64> {
    let statistics = netns.exec(&format!("ethtool -S {interface}"))?;
    let values = statistics.lines().filter_map(|line| {
        let (name, value) = line.trim().split_once(": ")?;
        (name.starts_with("rx_") && name.ends_with("xdp_redirect")).then(|| value.parse::<u64>())
    });
    values.map(|value| Ok(value?)).sum()
}

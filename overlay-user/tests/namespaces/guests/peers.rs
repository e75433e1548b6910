//! Gateways that this project did not write.

use anyhow::Result;
use overlay_testbed::ovs::Switch;
use overlay_testbed::{Device, TwoGateways};

use super::can_run;
use crate::harness::{Overlay, between_hosts, http_download, ping};

#[test]
fn ours_against_open_vswitch() -> Result<()> {
    if !can_run("ours_against_open_vswitch", &[Device::OpenVSwitch]) {
        return Ok(());
    }
    let testbed = TwoGateways::new()?;
    let switch = Switch::start(&testbed.gw2.netns, None)?;
    switch.configure(&format!(
        "add-br br0 -- set bridge br0 datapath_type=system -- add-port br0 eth1 \
         -- add-port br0 vx0 -- set interface vx0 type=vxlan options:key={} \
         options:local_ip={} options:remote_ip={}",
        TwoGateways::VNI,
        TwoGateways::VTEP2,
        TwoGateways::VTEP1,
    ))?;
    against(&testbed)
}

/// The peer's underlay is in a routing table of its own.
#[test]
fn ours_against_a_peer_in_a_vrf() -> Result<()> {
    if !can_run("ours_against_a_peer_in_a_vrf", &[Device::Vrf]) {
        return Ok(());
    }
    let testbed = TwoGateways::new()?;
    let peer = &testbed.gw2.netns;
    for command in [
        "ip link add vrf0 type vrf table 10",
        "ip link set vrf0 up",
        "ip link set eth0 master vrf0",
    ] {
        peer.exec(command)?;
    }
    testbed.gw2.bridge_vxlan(TwoGateways::VNI, &[TwoGateways::VTEP1])?;
    against(&testbed)
}

/// The kernel's geneve device, over both families.
#[test]
fn ours_against_the_kernels_geneve() -> Result<()> {
    if !can_run("ours_against_the_kernels_geneve", &[Device::Geneve]) {
        return Ok(());
    }
    for testbed in [TwoGateways::new()?, TwoGateways::over_ipv6()?] {
        let (gw1, gw2) = (&testbed.gw1, &testbed.gw2);
        let checksum = if gw1.vtep.contains(':') { "udp6zerocsumrx" } else { "" };
        for command in [
            "link add br0 type bridge",
            &format!(
                "link add gnv0 type geneve id {} remote {} {checksum}",
                TwoGateways::VNI,
                gw1.vtep
            ),
            "link set gnv0 mtu 1500",
            "link set eth1 master br0",
            "link set gnv0 master br0",
            "link set gnv0 up",
            "link set br0 up",
        ] {
            gw2.netns.exec(&format!("ip {command}"))?;
        }
        let config = gw1.config("auto", "auto", &[("other", gw2.vtep)]);
        let config = config.replace("\"vxlan\"", "\"geneve\"");
        let ours = Overlay::start(&gw1.netns, &gw1.name, &config)?;
        ours.wait_for_peers()?;
        let (one, two) = (&testbed.host1, &testbed.host2);
        ping(one, TwoGateways::HOST2)?;
        ping(two, TwoGateways::HOST1)?;
        // TCP goes both ways in one.
        http_download(one, (two, TwoGateways::HOST2))?;
    }
    Ok(())
}

fn against(testbed: &TwoGateways) -> Result<()> {
    let (uplink, access) = ("auto", "auto");
    let config = testbed.gw1.config(uplink, access, &[("other", TwoGateways::VTEP2)]);
    let ours = Overlay::start(&testbed.gw1.netns, &testbed.gw1.name, &config)?;
    ours.wait_for_peers()?;
    between_hosts(testbed)
}

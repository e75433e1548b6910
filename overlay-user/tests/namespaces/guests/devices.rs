//! Devices of hosts, and of uplinks.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use overlay_testbed::{Device, Netns, Offloads, Scratch, TwoGateways, set_offloads, wait_until};
use serde_json::Value;

use super::can_run;
use super::switched::Switched;
use crate::harness::{Overlay, answers, between_hosts, ping, stream, tcp};

const SOON: Duration = Duration::from_secs(4);

/// The kernel's own gateway at the far end, and ours.
fn against_kernel(testbed: &TwoGateways, access: &str) -> Result<String> {
    testbed.gw2.bridge_vxlan(TwoGateways::VNI, &[TwoGateways::VTEP1])?;
    Ok(testbed.gw1.config("auto", access, &[("kernel", TwoGateways::VTEP2)]))
}

#[test]
fn a_host_with_an_802_1q_device() -> Result<()> {
    host_with_vlan("a_host_with_an_802_1q_device", "802.1q", "txvlan", &["tc", "xdp"])
}

#[test]
fn a_host_with_an_802_1ad_device() -> Result<()> {
    // To XDP a tag is a tag; tc has it beside the bytes, in fields of its own.
    host_with_vlan("a_host_with_an_802_1ad_device", "802.1ad", "tx-vlan-stag-hw-insert", &["tc"])
}

/// `offload` is ethtool's name for tags that are left to the device.
fn host_with_vlan(name: &str, protocol: &str, offload: &str, hooks: &[&str]) -> Result<()> {
    if !can_run(name, &[Device::Vlan]) {
        return Ok(());
    }
    for access in hooks {
        let testbed = TwoGateways::new()?;
        let host = &testbed.host1;
        host.exec("ip addr flush dev eth0")?;
        let vlan = format!("type vlan proto {protocol} id 10");
        host.exec(&format!("ip link add link eth0 name eth0.10 {vlan}"))?;
        host.exec(&format!("ip addr add {}/24 dev eth0.10", TwoGateways::HOST1))?;
        host.exec("ip link set eth0.10 up")?;
        if *access == "xdp" {
            // Tags and checksums that are left to the device are not in the frame.
            let plain = Offloads { tx: Some(false), gro: Some(true), ..Offloads::default() };
            set_offloads(host, "eth0", plain)?;
            set_offloads(&testbed.host2, "eth0", plain)?;
            host.exec(&format!("ethtool -K eth0 {offload} off"))?;
        }
        let config = against_kernel(&testbed, access)?;
        let port = format!("interface = \"eth1\"\nvlan = 10\nprotocol = \"{protocol}\"");
        let config = config.replace("interface = \"eth1\"", &port);
        let ours = Overlay::start(&testbed.gw1.netns, &testbed.gw1.name, &config)?;
        ours.wait_for_peers()?;
        between_hosts(&testbed).with_context(|| format!("access on {access}"))?;
    }
    Ok(())
}

/// A tunnel of the hosts' within ours.
#[test]
fn hosts_with_a_geneve_tunnel() -> Result<()> {
    if !can_run("hosts_with_a_geneve_tunnel", &[Device::Geneve]) {
        return Ok(());
    }
    within(|host, _, other| {
        host.exec(&format!("ip link add t0 type geneve id 7 remote {other}"))?;
        host.exec("ip link set t0 mtu 1450").map(drop)
    })
}

#[test]
fn hosts_with_wireguard_between_them() -> Result<()> {
    if !can_run("hosts_with_wireguard_between_them", &[Device::WireGuard]) {
        return Ok(());
    }
    let scratch = Scratch::new()?;
    let keys = [WireGuardKey::new(&scratch, "1")?, WireGuardKey::new(&scratch, "2")?];
    within(|host, number, other| {
        let (own, others) = (&keys[number - 1], &keys[2 - number]);
        host.exec("ip link add t0 type wireguard")?;
        host.exec(&format!(
            "wg set t0 listen-port 51820 private-key {} peer {} allowed-ips 10.7.0.0/24 \
             endpoint {other}:51820",
            own.file, others.public
        ))
        .map(drop)
    })
}

struct WireGuardKey {
    file: String,
    public: String,
}

impl WireGuardKey {
    fn new(scratch: &Scratch, name: &str) -> Result<Self> {
        let netns = Netns::new("key")?;
        let private = netns.exec("wg genkey")?;
        let path = scratch.write(name, private)?;
        let file = path.display().to_string();
        let mut derive = netns.command("sh");
        derive.args(["-c", &format!("wg pubkey < {file}")]);
        let public = overlay_testbed::run(&mut derive)?.trim().to_owned();
        Ok(Self { file, public })
    }
}

/// Traffic through tunnels `t0` between the hosts, which `make` makes: in a host, of
/// which it is told its number and the other's address.
fn within(make: impl Fn(&Netns, usize, &str) -> Result<()>) -> Result<()> {
    let testbed = TwoGateways::new()?;
    let config = against_kernel(&testbed, "auto")?;
    let ours = Overlay::start(&testbed.gw1.netns, &testbed.gw1.name, &config)?;
    ours.wait_for_peers()?;
    let hosts = [(&testbed.host1, TwoGateways::HOST2), (&testbed.host2, TwoGateways::HOST1)];
    for ((host, other), number) in hosts.into_iter().zip(1..) {
        make(host, number, other)?;
        host.exec(&format!("ip addr add 10.7.0.{number}/24 dev t0"))?;
        host.exec("ip link set t0 up")?;
    }
    ping(&testbed.host1, "10.7.0.2")?;
    ping(&testbed.host2, "10.7.0.1")?;
    stream(&testbed.host2, &testbed.host1, "10.7.0.1:4000", 2 << 20, SOON)?;
    tcp(&testbed.host1, (&testbed.host2, "10.7.0.2"))
}

/// The leg of a bonded uplink that is in use loses its carrier, and comes back; and then so
/// does the other.
#[test]
fn a_bond_as_uplink_fails_over() -> Result<()> {
    if !can_run("a_bond_as_uplink_fails_over", &[Device::Bond]) {
        return Ok(());
    }
    let fabric = Switched::new(|gateway, switch| {
        gateway.exec("ip link add eth0 type bond mode active-backup miimon 20")?;
        for leg in LEGS {
            overlay_testbed::veth(gateway, leg, switch, leg)?;
            gateway.exec(&format!("ip link set {leg} down"))?;
            gateway.exec(&format!("ip link set {leg} master eth0"))?;
            switch.exec(&format!("ip link set {leg} mtu 1550 master br0"))?;
        }
        gateway.exec("ip link set eth0 up").map(drop)
    })?;
    let [first, second] = fabric.start()?;
    let (gateway, host) = (&fabric.gateways[0].netns, &fabric.hosts[0]);
    let far = Switched::HOSTS[1];
    ping(host, far)?;
    println!("the bond is on {}", first.hook("eth0")?);
    for _ in LEGS {
        let used = active(gateway)?;
        let other = LEGS[usize::from(used == LEGS[0])];
        fabric.switch.exec(&format!("ip link set {used} down"))?;
        wait_until(&format!("change to {other}"), SOON, || {
            (active(gateway).ok()? == other).then_some(())
        })?;
        wait_until(&format!("echo by way of {other}"), SOON, || answers(host, far).then_some(()))
            .with_context(|| format!("{:?}\n{}", first.show("peers"), first.log()))?;
        ping(host, far).with_context(|| format!("while {used} is down"))?;
        fabric.switch.exec(&format!("ip link set {used} up"))?;
        wait_until(&format!("carrier of {used}"), SOON, || has_carrier(gateway, used).ok())?;
    }
    ping(host, far)?;
    stream(host, &fabric.hosts[1], &format!("{far}:4000"), 2 << 20, SOON)?;
    ensure!(first.is_running() && second.is_running());
    Ok(())
}

const LEGS: [&str; 2] = ["leg1", "leg2"];

/// The leg that the bond uses.
fn active(gateway: &Netns) -> Result<&'static str> {
    let leg = &link(gateway, "eth0")?["linkinfo"]["info_data"]["active_slave"];
    LEGS.into_iter().find(|name| leg == name).with_context(|| format!("uses {leg}"))
}

/// Whether the bond may use a leg.
fn has_carrier(gateway: &Netns, leg: &str) -> Result<()> {
    let state = &link(gateway, leg)?["linkinfo"]["info_slave_data"]["mii_status"];
    ensure!(state == "UP", "{leg} is {state}");
    Ok(())
}

fn link(netns: &Netns, device: &str) -> Result<Value> {
    let text = netns.exec(&format!("ip -d -j link show dev {device}"))?;
    let shown: Value = serde_json::from_str(&text)?;
    Ok(shown[0].clone())
}

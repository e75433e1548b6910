//! Devices of hosts, and of uplinks.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use overlay_testbed::{Device, Netns, Offloads, Process, Scratch, TwoGateways, set_offloads};

use super::can_run;
use super::switched::Switched;
use crate::harness::{Overlay, between_hosts, ping, stream, tcp};

/// The kernel's own gateway at the far end, and ours.
fn against_kernel(testbed: &TwoGateways, access: &str) -> Result<String> {
    testbed.gw2.bridge_vxlan(TwoGateways::VNI, &[TwoGateways::VTEP1])?;
    Ok(testbed.gw1.config("auto", access, &[("kernel", TwoGateways::VTEP2)]))
}

#[test]
fn a_host_with_an_802_1q_device() -> Result<()> {
    if !can_run("a_host_with_an_802_1q_device", &[Device::Vlan]) {
        return Ok(());
    }
    for access in ["tc", "xdp"] {
        let testbed = TwoGateways::new()?;
        let host = &testbed.host1;
        host.exec("ip addr flush dev eth0")?;
        host.exec("ip link add link eth0 name eth0.10 type vlan id 10")?;
        host.exec(&format!("ip addr add {}/24 dev eth0.10", TwoGateways::HOST1))?;
        host.exec("ip link set eth0.10 up")?;
        if access == "xdp" {
            // Tags and checksums that are left to the device are not in the frame.
            let plain = Offloads { tx: Some(false), gro: Some(true), ..Offloads::default() };
            set_offloads(host, "eth0", plain)?;
            set_offloads(&testbed.host2, "eth0", plain)?;
            host.exec("ethtool -K eth0 txvlan off")?;
        }
        let config = against_kernel(&testbed, access)?;
        let config = config.replace("interface = \"eth1\"", "interface = \"eth1\"\nvlan = 10");
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
    stream(&testbed.host2, &testbed.host1, "10.7.0.1:4000", 2 << 20)?;
    tcp(&testbed.host1, (&testbed.host2, "10.7.0.2"))
}

/// One leg of a bonded uplink loses its carrier, and then the other.
#[test]
fn a_bond_as_uplink_fails_over() -> Result<()> {
    if !can_run("a_bond_as_uplink_fails_over", &[Device::Bond]) {
        return Ok(());
    }
    let fabric = Switched::new(|gateway, switch| {
        gateway.exec("ip link add eth0 type bond mode active-backup miimon 20")?;
        for leg in ["leg1", "leg2"] {
            overlay_testbed::veth(gateway, leg, switch, leg)?;
            gateway.exec(&format!("ip link set {leg} down"))?;
            gateway.exec(&format!("ip link set {leg} master eth0"))?;
            switch.exec(&format!("ip link set {leg} mtu 1550 master br0"))?;
        }
        gateway.exec("ip link set eth0 up").map(drop)
    })?;
    let [first, second] = fabric.start()?;
    let (host, far) = (&fabric.hosts[0], Switched::HOSTS[1]);
    ping(host, far)?;
    println!("the bond is on {}", first.hook("eth0")?);
    let count = 300;
    let mut echoes = host.command("ping");
    echoes.args(["-n", "-q", "-i", "0.01", "-W", "2", "-c", &count.to_string(), far]);
    let echoes = Process::spawn(&mut echoes)?;
    for leg in ["leg1", "leg2"] {
        std::thread::sleep(Duration::from_millis(500));
        fabric.switch.exec(&format!("ip link set {leg} down"))?;
        std::thread::sleep(Duration::from_millis(500));
        fabric.switch.exec(&format!("ip link set {leg} up"))?;
    }
    echoes.wait(Duration::from_secs(20))?;
    let report = echoes.output();
    let received: u32 = report
        .split(" received")
        .next()
        .and_then(|head| head.rsplit(' ').next()?.parse().ok())
        .with_context(|| format!("ping said: {report}"))?;
    println!("{received} of {count} echoes over two failures");
    // Each failure may cost as long as the bond takes to see it, and as the far end takes to
    // learn where the address is now.
    ensure!(received >= count * 2 / 3, "{received} of {count} echoes: {report}");
    ping(host, far)?;
    stream(host, &fabric.hosts[1], &format!("{far}:4000"), 2 << 20)?;
    ensure!(first.is_running() && second.is_running());
    Ok(())
}

//! The way to a peer changes.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use overlay_testbed::{
    Gateway, Netns, RawSocket, TwoGateways, require_root, require_tools, set_mac, set_mtu, veth,
    wait_until,
};

use crate::harness::{Overlay, answers, has_mark, marked, ping};

const RECOVERY: Duration = Duration::from_secs(3);
const TOOLS: &[&str] = &["bridge", "ping"];

/// Ours and the kernel's gateway with a router between them.
struct Routed {
    ours: Gateway,
    router: Netns,
    _theirs: Gateway,
    host: Netns,
    _far_host: Netns,
}

impl Routed {
    fn new() -> Result<Self> {
        let ours = Gateway::new("gw1", "203.0.113.1")?;
        let theirs = Gateway::new("gw2", "198.51.100.1")?;
        let router = Netns::new("router")?;
        router.sysctl("net.ipv4.ip_forward", "1")?;
        for (gateway, device, network) in
            [(&ours, "near", "203.0.113"), (&theirs, "far", "198.51.100")]
        {
            veth(&gateway.netns, "eth0", &router, device)?;
            set_mtu(&gateway.netns, "eth0", TwoGateways::UNDERLAY_MTU)?;
            set_mtu(&router, device, TwoGateways::UNDERLAY_MTU)?;
            gateway.netns.exec(&format!("ip addr add {network}.1/24 dev eth0"))?;
            router.exec(&format!("ip addr add {network}.254/24 dev {device}"))?;
            gateway.netns.exec(&format!("ip route add default via {network}.254"))?;
        }
        // As routers do: say so when the address changes.
        router.sysctl("net.ipv4.conf.near.arp_notify", "1")?;
        let hosts = [Netns::new("host1")?, Netns::new("host2")?];
        for ((host, gateway), number) in hosts.iter().zip([&ours, &theirs]).zip(1..) {
            veth(&gateway.netns, "eth1", host, "eth0")?;
            host.exec(&format!("ip addr add 10.0.0.{number}/24 dev eth0"))?;
        }
        theirs.bridge_vxlan(TwoGateways::VNI, &[ours.vtep])?;
        let [host, far_host] = hosts;
        Ok(Self { ours, router, _theirs: theirs, host, _far_host: far_host })
    }
}

#[test]
fn a_router_changes_its_mac_address() -> Result<()> {
    let name = "a_router_changes_its_mac_address";
    if !require_root(name) || !require_tools(name, TOOLS) {
        return Ok(());
    }
    for uplink in ["tc", "xdp"] {
        let routed = Routed::new()?;
        let config = routed.ours.config(uplink, "tc", &[("kernel", "198.51.100.1")]);
        let ours = Overlay::start(&routed.ours.netns, &routed.ours.name, &config)?;
        ours.wait_for_peers()?;
        ping(&routed.host, "10.0.0.2")?;
        set_mac(&routed.router, "near", [2, 0, 0, 0, 0xaa, 1])?;
        wait_until("recovery", RECOVERY, || answers(&routed.host, "10.0.0.2").then_some(()))
            .with_context(|| format!("{uplink}: {:?}\n{}", ours.show("peers"), ours.log()))?;
        ping(&routed.host, "10.0.0.2")?;
        let peers = ours.show("peers")?;
        ensure!(peers[0]["mac"] == "02:00:00:00:aa:01", "{peers:?}");
    }
    Ok(())
}

#[test]
fn a_lost_route_is_said_and_comes_back() -> Result<()> {
    let name = "a_lost_route_is_said_and_comes_back";
    if !require_root(name) || !require_tools(name, TOOLS) {
        return Ok(());
    }
    let routed = Routed::new()?;
    let config = routed.ours.config("auto", "auto", &[("kernel", "198.51.100.1")]);
    let ours = Overlay::start(&routed.ours.netns, &routed.ours.name, &config)?;
    ours.wait_for_peers()?;
    ping(&routed.host, "10.0.0.2")?;
    routed.ours.netns.exec("ip route del default")?;
    wait_until("peer without a route", RECOVERY, || {
        (ours.show("peers").ok()?[0]["state"] != "ready").then_some(())
    })?;
    let why = ours.show("peers")?[0]["why"].as_str().unwrap_or_default().to_owned();
    ensure!(!why.is_empty(), "show peers does not say why");
    routed.ours.netns.exec("ip route add default via 203.0.113.254")?;
    ours.wait_for_peers()?;
    ping(&routed.host, "10.0.0.2")
}

/// Two links between the gateways, VTEPs on `lo`.
#[test]
fn a_route_moves_to_another_uplink() -> Result<()> {
    let name = "a_route_moves_to_another_uplink";
    if !require_root(name) || !require_tools(name, TOOLS) {
        return Ok(());
    }
    for uplink in ["tc", "xdp"] {
        let testbed = TwoGateways::new()?;
        let (near, far) = (&testbed.gw1.netns, &testbed.gw2.netns);
        veth(near, "eth2", far, "eth2")?;
        for (netns, own, other) in [(near, 1, 2), (far, 2, 1)] {
            set_mtu(netns, "eth2", TwoGateways::UNDERLAY_MTU)?;
            netns.exec("ip addr flush dev eth0")?;
            netns.exec(&format!("ip addr add 192.0.2.{own}/32 dev lo"))?;
            netns.exec(&format!("ip addr add 10.1.0.{own}/24 dev eth0"))?;
            netns.exec(&format!("ip addr add 10.2.0.{own}/24 dev eth2"))?;
            netns.exec(&format!("ip route add 192.0.2.{other}/32 via 10.1.0.{other}"))?;
        }
        testbed.gw2.bridge_vxlan(TwoGateways::VNI, &[TwoGateways::VTEP1])?;
        let config = testbed.gw1.config(uplink, "tc", &[("kernel", TwoGateways::VTEP2)]);
        let config = format!("{config}\n[[uplink]]\ninterface = \"eth2\"\nmode = \"{uplink}\"\n");
        let ours = Overlay::start(near, &testbed.gw1.name, &config)?;
        ours.wait_for_peers()?;
        ping(&testbed.host1, TwoGateways::HOST2)?;
        ensure!(ours.show("peers")?[0]["interface"] == "eth0");

        near.exec("ip route replace 192.0.2.2/32 via 10.2.0.2")?;
        wait_until("move to eth2", RECOVERY, || {
            let peers = ours.show("peers").ok()?;
            (peers[0]["interface"] == "eth2" && peers[0]["state"] == "ready").then_some(())
        })
        .with_context(|| format!("{:?}\n{}", ours.show("peers"), ours.log()))?;
        ping(&testbed.host1, TwoGateways::HOST2)?;
        // The other direction follows: its frames come in on the other uplink.
        far.exec("ip route replace 192.0.2.1/32 via 10.2.0.1")?;
        far.exec("ip link set eth0 down")?;
        ping(&testbed.host2, TwoGateways::HOST1)?;
    }
    Ok(())
}

/// Frames for a peer that nobody answers for are counted, not sent somewhere; as
/// soon as it answers, they cross.
#[test]
fn a_peer_that_does_not_answer_yet() -> Result<()> {
    const BEHIND_PEER: [u8; 6] = [2, 0, 0, 0, 0, 9];
    const SOON: Duration = Duration::from_secs(2);
    const QUIET: Duration = Duration::from_millis(300);
    let source = [2, 0, 0, 0, 0, 1];
    if !require_root("a_peer_that_does_not_answer_yet") {
        return Ok(());
    }
    let tags = [&[][..], &[0x81, 0x00, 0x60, 0x0a], &[0x88, 0xa8, 0x60, 0x0a]];
    for (mode, tag) in ["tc", "xdp"].into_iter().flat_map(|mode| tags.map(|tag| (mode, tag))) {
        let testbed = TwoGateways::new()?;
        let (near, far) = (&testbed.gw1.netns, &testbed.gw2.netns);
        far.exec("ip addr flush dev eth0")?;
        let entry = "[[segment.fdb]]\nmac = \"02:00:00:00:00:09\"\npeer = \"silent\"\n\n[[peer]]";
        let config = testbed.gw1.config(mode, mode, &[("silent", TwoGateways::VTEP2)]);
        let mut config = config.replacen("[[peer]]", entry, 1);
        if let Some(kind) = tag.first() {
            let protocol = if *kind == 0x88 { "802.1ad" } else { "802.1q" };
            let port = format!("\"eth1\"\nvlan = 10\nprotocol = \"{protocol}\"");
            config = config.replace("\"eth1\"", &port);
        }
        let from_host = |mark: &str| {
            let frame = marked(BEHIND_PEER, source, mark);
            [&frame[..12], tag, &frame[12..]].concat()
        };
        let ours = Overlay::start(near, &testbed.gw1.name, &config)?;
        ensure!(ours.show("peers")?[0]["state"] != "ready", "{:?}", ours.show("peers")?);
        let host = RawSocket::open(&testbed.host1, "eth0")?;
        let wire = RawSocket::open(far, "eth0")?;
        for number in 0..5 {
            host.send(&from_host(&format!("early {number}")))?;
        }
        let seen = wire.collect(QUIET, |frame| has_mark_within(frame, "early"))?;
        ensure!(seen.is_empty(), "{mode}: sent to nobody: {seen:02x?}");

        far.exec(&format!("ip addr add {}/24 dev eth0", TwoGateways::VTEP2))?;
        ours.wait_for_peers()?;
        // Counted one by one, unless they were kept for now.
        let mut kept = 0;
        wait_until("account of each frame", SOON, || {
            let news = wire.collect(Duration::ZERO, |frame| has_mark_within(frame, "early"));
            kept += news.ok()?.len() as u64;
            let lost = ours.drops().ok()?.get("peer-unresolved").copied().unwrap_or_default();
            (lost + kept == 5).then_some(())
        })
        .with_context(|| format!("{mode}: {kept} kept: {:?}", ours.drops()))?;
        host.send(&from_host("late"))?;
        let seen = wire.find(SOON, |frame| has_mark(frame, "late"))?;
        ensure!(seen.is_some(), "{mode}: {:?}\n{}", ours.drops()?, ours.log());
    }
    Ok(())
}

fn has_mark_within(frame: &[u8], mark: &str) -> bool {
    frame.windows(mark.len()).any(|window| window == mark.as_bytes())
}

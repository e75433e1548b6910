//! Ports that no program carries (`mode = "user"`): what is theirs alone. That they do what
//! the hooks do is tested with those.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use overlay_testbed::frame::BROADCAST;
use overlay_testbed::{
    Gateway, Netns, RawSocket, TwoGateways, patient, require_root, require_tools, set_mtu, veth,
    wait_until,
};
use serde_json::Value;

use crate::harness::{
    Capture, Overlay, answers, attached, between_hosts, has_mark, http_download, marked, ping,
};

const TOOLS: &[&str] = &["iperf3", "curl", "python3", "bridge", "ping", "bpftool", "tc"];
const SOON: Duration = Duration::from_secs(3);
const RECOVERY: Duration = Duration::from_secs(5);
const INSIDE: [u8; 6] = [2, 0, 0, 0, 0, 1];

fn in_user_space(
    name: &str,
    body: impl FnOnce(&TwoGateways, Overlay<'_>) -> Result<()>,
) -> Result<()> {
    if !require_root(name) || !require_tools(name, TOOLS) {
        return Ok(());
    }
    let testbed = TwoGateways::new()?;
    testbed.gw2.bridge_vxlan(TwoGateways::VNI, &[TwoGateways::VTEP1])?;
    let gateway = &testbed.gw1;
    let ours = Overlay::start(&gateway.netns, &gateway.name, &config(&testbed, "user", "user"))?;
    ours.wait_for_peers()?;
    body(&testbed, ours)
}

fn config(testbed: &TwoGateways, uplink: &str, access: &str) -> String {
    testbed.gw1.config(uplink, access, &[("kernel", TwoGateways::VTEP2)])
}

/// What is shown of a port.
fn port(ours: &Overlay<'_>, interface: &str) -> Result<Value> {
    let ports = ours.show("ports")?;
    ports.into_iter().find(|port| port["interface"] == interface).context("no such port")
}

#[test]
fn a_port_in_user_space_says_so_and_counts() -> Result<()> {
    in_user_space("a_port_in_user_space_says_so_and_counts", |testbed, ours| {
        for interface in ["eth0", "eth1"] {
            let port = port(&ours, interface)?;
            ensure!(port["hook"] == "user" && port["mode"] == "user", "{port}");
            let why = port["why"].as_str().unwrap_or_default();
            ensure!(why.contains("mode = \"user\"") && why.contains("AF_PACKET"), "{why}");
        }
        let count = |what: &str, row: usize, key: &str| -> Result<u64> {
            ours.show(what)?[row][key].as_u64().context("no number")
        };
        ping(&testbed.host1, TwoGateways::HOST2)?;
        for key in ["rx_packets", "tx_packets"] {
            let (port, peer) = (port(&ours, "eth1")?[key].as_u64(), count("peers", 0, key)?);
            ensure!(port >= Some(10) && peer >= 10, "{key}: {port:?} at the port, {peer}");
        }
        // A frame that is dropped is counted where it was, and no counter starts over.
        let before = count("peers", 0, "tx_packets")?;
        let host = RawSocket::open(&testbed.host1, "eth0")?;
        host.send(&marked(BROADCAST, [3, 0, 0, 0, 0, 1], "from a group"))?;
        let dropped = wait_until("the drop", SOON, || {
            ours.show("drops").ok()?.into_iter().find(|drop| drop["reason"] == "invalid-source")
        })?;
        ensure!(dropped["hook"] == "user" && dropped["where"] == "eth1", "{dropped}");
        ours.reload(&config(testbed, "tc", "tc"))?;
        ping(&testbed.host1, TwoGateways::HOST2)?;
        ours.reload(&config(testbed, "user", "user"))?;
        ping(&testbed.host1, TwoGateways::HOST2)?;
        let after = count("peers", 0, "tx_packets")?;
        ensure!(after >= before + 20, "{before} frames, and {after} later");
        let drops = ours.drops()?;
        ensure!(drops.get("invalid-source") == Some(&1), "{drops:?}");
        Ok(())
    })
}

/// Nobody forwards meanwhile, and nothing leaks: the guard stays, and the next daemon goes on.
#[test]
fn a_daemon_that_dies_takes_its_ports_along_and_the_next_one_has_them() -> Result<()> {
    let name = "a_daemon_that_dies_takes_its_ports_along_and_the_next_one_has_them";
    in_user_space(name, |testbed, mut ours| {
        ping(&testbed.host1, TwoGateways::HOST2)?;
        ours.kill()?;
        ensure!(!answers(&testbed.host1, TwoGateways::HOST2), "who carried that?");
        // Tunnels' packets are not refused to their senders.
        let capture = Capture::start(&testbed.gw2.netns, "eth0")?;
        let _ = answers(&testbed.host2, TwoGateways::HOST1);
        let refused = capture.stop()?.fields("icmp.type == 3", &["frame.number"])?;
        ensure!(refused.is_empty(), "refused to the peer: {refused:?}");
        ours.restart()?;
        ours.wait_for_peers()?;
        between_hosts(testbed)?;
        ours.down()?;
        for interface in ["eth0", "eth1"] {
            let left = attached(&testbed.gw1.netns, interface)?;
            ensure!(left.is_empty(), "{interface}: {left:?}");
        }
        Ok(())
    })
}

#[test]
fn ports_in_user_space_come_back_with_their_links() -> Result<()> {
    in_user_space("ports_in_user_space_come_back_with_their_links", |testbed, ours| {
        let recovers = |what: &str| {
            wait_until(what, RECOVERY, || answers(&testbed.host1, TwoGateways::HOST2).then_some(()))
                .with_context(|| format!("{:?}\n{}", ours.show("ports"), ours.log()))
        };
        for device in ["eth0", "eth1"] {
            testbed.gw1.netns.exec(&format!("ip link set {device} down"))?;
            testbed.gw1.netns.exec(&format!("ip link set {device} up"))?;
            if device == "eth0" {
                // The address of an interface outlives its link.
                ours.wait_for_peers()?;
            }
            recovers(&format!("recovery of {device}"))?;
        }
        testbed.gw1.netns.exec("ip link del eth1")?;
        veth(&testbed.gw1.netns, "eth1", &testbed.host1, "eth0")?;
        testbed.host1.exec(&format!("ip addr add {}/24 dev eth0", TwoGateways::HOST1))?;
        recovers("recovery of a device that is another")?;
        ensure!(ours.hook("eth1")? == "user", "{:?}", ours.show("ports")?);
        http_download(&testbed.host1, (&testbed.host2, TwoGateways::HOST2))
    })
}

/// A slot of the ring has room for the MTU of the device as it was; what is longer comes
/// another way. So do super-frames.
#[test]
fn frames_that_are_longer_than_a_slot() -> Result<()> {
    in_user_space("frames_that_are_longer_than_a_slot", |testbed, _ours| {
        for (netns, device) in [(&testbed.gw1.netns, "eth0"), (&testbed.gw2.netns, "eth0")] {
            set_mtu(netns, device, 9050)?;
        }
        for netns in [&testbed.gw1.netns, &testbed.gw2.netns] {
            set_mtu(netns, "eth1", 9000)?;
        }
        set_mtu(&testbed.gw2.netns, Gateway::VXLAN, 9000)?;
        for host in [&testbed.host1, &testbed.host2] {
            set_mtu(host, "eth0", 9000)?;
        }
        for size in [1400, 1900, 2100, 8972] {
            let from = &testbed.host1;
            let to = TwoGateways::HOST2;
            from.exec(&format!("ping -n -q -M do -c 3 -i 0.02 -W 5 -s {size} {to}"))
                .with_context(|| format!("{size} bytes"))?;
        }
        http_download(&testbed.host1, (&testbed.host2, TwoGateways::HOST2))?;
        http_download(&testbed.host2, (&testbed.host1, TwoGateways::HOST1))
    })
}

/// A thread for each queue, which share the frames, and count them together.
#[test]
fn queues_have_threads_of_their_own() -> Result<()> {
    let name = "queues_have_threads_of_their_own";
    if !require_root(name) || !require_tools(name, TOOLS) {
        return Ok(());
    }
    let testbed = with_queues()?;
    let (gateway, host) = (&testbed.gw1, &testbed.host1);
    gateway.netns.exec("ip link set eth1 up")?;
    let ours = Overlay::start(&gateway.netns, &gateway.name, &config(&testbed, "user", "user"))?;
    ours.wait_for_peers()?;
    let status: Value = serde_json::from_str(&ours.run(&["status", "--json"])?)?;
    let tasks = format!("/proc/{}/task", status["pid"]);
    let prefix = format!("port-{}-", gateway.netns.ifindex("eth1")?);
    let names = std::fs::read_dir(tasks)?
        .map(|task| Ok(std::fs::read_to_string(task?.path().join("comm"))?))
        .collect::<Result<Vec<_>>>()?;
    let threads = names.iter().filter(|name| name.starts_with(&prefix)).count();
    let cores = std::thread::available_parallelism()?.get();
    ensure!(threads == cores.min(4), "{threads} threads on {cores} cores: {names:?}");
    // None is lost, and none comes twice.
    between_hosts(&testbed)?;
    let outside = RawSocket::open(&testbed.host2, "eth0")?;
    let inside = RawSocket::open(host, "eth0")?;
    for number in 0..100 {
        inside.send(&marked(BROADCAST, INSIDE, &format!("number {number}")))?;
    }
    inside.send(&marked(BROADCAST, INSIDE, "last"))?;
    let seen = outside.before(SOON, |frame| has_mark(frame, "last"))?;
    for number in 0..100 {
        let mark = format!("number {number}");
        let count = seen.iter().filter(|frame| has_mark(frame, &mark)).count();
        ensure!(count == 1, "{mark} came {count} times");
    }
    Ok(())
}

/// Some kernels have no groups of sockets on a device that is down.
#[test]
fn a_device_with_queues_that_is_down_at_the_start() -> Result<()> {
    let name = "a_device_with_queues_that_is_down_at_the_start";
    if !require_root(name) || !require_tools(name, TOOLS) {
        return Ok(());
    }
    let testbed = with_queues()?;
    let gateway = &testbed.gw1;
    let ours = Overlay::start(&gateway.netns, &gateway.name, &config(&testbed, "user", "user"))?;
    ours.wait_for_peers()?;
    ensure!(!answers(&testbed.host1, TwoGateways::HOST2), "the port is down");
    for _ in 0..2 {
        gateway.netns.exec("ip link set eth1 up")?;
        wait_until("the port", RECOVERY, || {
            answers(&testbed.host1, TwoGateways::HOST2).then_some(())
        })
        .with_context(|| format!("{:?}\n{}", ours.show("ports"), ours.log()))?;
        ping(&testbed.host2, TwoGateways::HOST1)?;
        gateway.netns.exec("ip link set eth1 down")?;
    }
    Ok(())
}

/// A testbed whose first access port has four queues, and is down; its peer the kernel.
fn with_queues() -> Result<TwoGateways> {
    let testbed = TwoGateways::new()?;
    let (gateway, host) = (&testbed.gw1, &testbed.host1);
    gateway.netns.exec("ip link del eth1")?;
    gateway.netns.exec(&format!(
        "ip link add eth1 numrxqueues 4 numtxqueues 4 type veth peer name eth0 \
         numrxqueues 4 numtxqueues 4 netns {}",
        host.name()
    ))?;
    host.exec("ip link set eth0 up")?;
    host.exec(&format!("ip addr add {}/24 dev eth0", TwoGateways::HOST1))?;
    testbed.gw2.bridge_vxlan(TwoGateways::VNI, &[TwoGateways::VTEP1])?;
    Ok(testbed)
}

/// Stations that only user space sees do not age while they send.
#[test]
fn what_user_space_sees_does_not_age() -> Result<()> {
    let name = "what_user_space_sees_does_not_age";
    if !require_root(name) {
        return Ok(());
    }
    let (gateway, outside, hosts) =
        (Netns::new("gw")?, Netns::new("outside")?, Netns::new("hosts")?);
    veth(&gateway, "eth0", &outside, "eth0")?;
    gateway.exec("ip addr add 192.0.2.1/24 dev eth0")?;
    veth(&gateway, "eth1", &hosts, "eth1")?;
    veth(&gateway, "eth2", &hosts, "eth2")?;
    let ends = [RawSocket::open(&hosts, "eth1")?, RawSocket::open(&hosts, "eth2")?];
    let config = format!(
        "[node]\nname = \"{}\"\nvtep = \"192.0.2.1\"\nageing = 10\n\
         [[uplink]]\ninterface = \"eth0\"\nmode = \"user\"\n\
         [[segment]]\nname = \"blue\"\nvni = 100\n\
         [[segment.port]]\ninterface = \"eth1\"\nmode = \"user\"\n\
         [[segment.port]]\ninterface = \"eth2\"\nmode = \"user\"\n",
        gateway.name()
    );
    let ours = Overlay::start(&gateway, gateway.name(), &config)?;
    let silent = [2, 0, 0, 0, 0, 2];
    ends[1].send(&marked(BROADCAST, silent, "once"))?;
    ends[0].send(&marked(BROADCAST, INSIDE, "first"))?;
    ensure!(ends[1].find(SOON, |frame| has_mark(frame, "first"))?.is_some(), "not switched");
    ours.wait_for_mac("blue", silent, "eth2")?;
    ours.wait_for_mac("blue", INSIDE, "eth1")?;
    wait_until("end of a silent address", patient(Duration::from_secs(15)), || {
        ends[0].send(&marked(silent, INSIDE, "talking")).ok()?;
        std::thread::sleep(Duration::from_millis(100));
        ours.place_of("blue", silent).ok()?.is_none().then_some(())
    })
    .with_context(|| format!("{:?}", ours.show("fdb")))?;
    ensure!(ours.place_of("blue", INSIDE)?.as_deref() == Some("eth1"), "{:?}", ours.show("fdb")?);
    Ok(())
}

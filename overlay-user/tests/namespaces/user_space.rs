//! Ports that no program carries (`mode = "user"`), over AF_PACKET and over AF_XDP: what is
//! theirs alone. That they do what the hooks do is tested with those.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use overlay_testbed::frame::BROADCAST;
use overlay_testbed::{
    Gateway, Netns, RawSocket, TwoGateways, patient, require_root, require_tools, set_mtu, veth,
    wait_until,
};
use serde_json::Value;

use crate::harness::{
    Overlay, answers, attached, between_hosts, has_mark, http_download, marked, ping, stream, suit,
};

const TOOLS: &[&str] = &["iperf3", "curl", "python3", "bridge", "ping", "bpftool", "tc"];
const SOON: Duration = Duration::from_secs(3);
const RECOVERY: Duration = Duration::from_secs(5);
const INSIDE: [u8; 6] = [2, 0, 0, 0, 0, 1];

/// Either kind of sockets.
const KINDS: &[&str] = &["user", "user-xdp"];

fn in_user_space(
    name: &str,
    kinds: &[&str],
    body: impl Fn(&TwoGateways, Overlay<'_>, &str) -> Result<()>,
) -> Result<()> {
    if !require_root(name) || !require_tools(name, TOOLS) {
        return Ok(());
    }
    for mode in kinds {
        let testbed = TwoGateways::new()?;
        suit(mode, &testbed)?;
        testbed.gw2.bridge_vxlan(TwoGateways::VNI, &[TwoGateways::VTEP1])?;
        let gateway = &testbed.gw1;
        let ours = Overlay::start(&gateway.netns, &gateway.name, &config(&testbed, mode, mode))?;
        ours.wait_for_peers()?;
        body(&testbed, ours, mode).with_context(|| format!("ports on {mode}"))?;
    }
    Ok(())
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
    in_user_space("a_port_in_user_space_says_so_and_counts", KINDS, |testbed, ours, mode| {
        for interface in ["eth0", "eth1"] {
            let port = port(&ours, interface)?;
            ensure!(port["hook"] == "user" && port["mode"] == mode, "{port}");
            let sockets = match mode {
                "user" => "over AF_PACKET: a local workload's",
                _ => "over AF_XDP: the kernel copies, 1 queue",
            };
            let why = port["why"].as_str().unwrap_or_default();
            let asked = format!("mode = \"{mode}\" asks for it; {sockets}");
            ensure!(why.starts_with(&asked), "{why}");
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
        ours.reload(&config(testbed, mode, mode))?;
        ping(&testbed.host1, TwoGateways::HOST2)?;
        let after = count("peers", 0, "tx_packets")?;
        ensure!(after >= before + 20, "{before} frames, and {after} later");
        let drops = ours.drops()?;
        ensure!(drops.get("invalid-source") == Some(&1), "{drops:?}");
        Ok(())
    })
}

/// Nobody forwards meanwhile, and nothing leaks: the guard stays, and the next daemon goes on.
/// What is the host's own goes on, whatever was to hand frames over.
#[test]
fn a_daemon_that_dies_takes_its_ports_along_and_the_next_one_has_them() -> Result<()> {
    let name = "a_daemon_that_dies_takes_its_ports_along_and_the_next_one_has_them";
    in_user_space(name, KINDS, |testbed, mut ours, mode| {
        ping(&testbed.host1, TwoGateways::HOST2)?;
        ours.kill()?;
        let left = format!("{:?}", attached(&testbed.gw1.netns, "eth0")?);
        ensure!(left.contains("prog/xdp") == (mode == "user-xdp"), "{left}");
        let (gateway, peer) = (&testbed.gw1.netns, &testbed.gw2.netns);
        ping(peer, TwoGateways::VTEP1)?;
        ping(gateway, TwoGateways::VTEP2)?;
        stream(peer, gateway, &format!("{}:4000", TwoGateways::VTEP1), 1 << 20, SOON)?;
        ensure!(!answers(&testbed.host1, TwoGateways::HOST2), "who carried that?");
        // Tunnels' packets are not refused to their senders. They come as far as the guard.
        let (arriving, refusals) =
            (RawSocket::open(gateway, "eth0")?, RawSocket::open(peer, "eth0")?);
        let _ = answers(&testbed.host2, TwoGateways::HOST1);
        let is_tunnel = |frame: &[u8]| frame[12..14] == [8, 0] && frame[36..38] == [0x12, 0xb5];
        let arrived = arriving.find(SOON, is_tunnel)?;
        ensure!(arrived.is_some(), "a program without sockets lets nothing pass");
        ping(gateway, TwoGateways::VTEP2)?;
        let icmp =
            |frame: &[u8], kind| frame[12..14] == [8, 0] && frame[23] == 1 && frame[34] == kind;
        let before = refusals.before(SOON, |frame| icmp(frame, 8))?;
        let refused = before.iter().filter(|frame| icmp(frame, 3)).count();
        ensure!(refused == 0, "{refused} were refused to the peer");
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
    let name = "ports_in_user_space_come_back_with_their_links";
    in_user_space(name, KINDS, |testbed, ours, mode| {
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
        suit(mode, testbed)?;
        recovers("recovery of a device that is another")?;
        ensure!(ours.hook("eth1")? == "user", "{:?}", ours.show("ports")?);
        http_download(&testbed.host1, (&testbed.host2, TwoGateways::HOST2))
    })
}

/// A slot of the ring has room for the MTU of the device as it was; what is longer comes
/// another way. So do super-frames.
#[test]
fn frames_that_are_longer_than_a_slot() -> Result<()> {
    in_user_space("frames_that_are_longer_than_a_slot", &["user"], |testbed, _ours, _| {
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

/// A frame of AF_XDP has room for the MTU of the device as it was; for a longer one, sockets
/// with longer frames take their place. It is told what has no room.
#[test]
fn frames_of_af_xdp_grow_with_the_mtu() -> Result<()> {
    let name = "frames_of_af_xdp_grow_with_the_mtu";
    in_user_space(name, &["user-xdp"], |testbed, ours, _| {
        for netns in [&testbed.gw1.netns, &testbed.gw2.netns] {
            set_mtu(netns, "eth0", 3050)?;
            set_mtu(netns, "eth1", 3000)?;
        }
        set_mtu(&testbed.gw2.netns, Gateway::VXLAN, 3000)?;
        for host in [&testbed.host1, &testbed.host2] {
            set_mtu(host, "eth0", 3000)?;
        }
        let from = &testbed.host1;
        wait_until("longer frames", SOON, || {
            let to = TwoGateways::HOST2;
            from.exec(&format!("ping -n -q -M do -c 1 -W 1 -s 2972 {to}")).ok()
        })
        .with_context(|| format!("{:?}\n{}", ours.show("ports"), ours.log()))?;
        http_download(from, (&testbed.host2, TwoGateways::HOST2))?;
        http_download(&testbed.host2, (from, TwoGateways::HOST1))
    })
}

#[test]
fn packets_that_no_frame_of_af_xdp_holds() -> Result<()> {
    let name = "packets_that_no_frame_of_af_xdp_holds";
    if !require_root(name) {
        return Ok(());
    }
    let testbed = TwoGateways::new()?;
    let gateway = &testbed.gw1;
    set_mtu(&gateway.netns, "eth1", 9000)?;
    let config = config(&testbed, "user", "user-xdp");
    let started = Overlay::start(&gateway.netns, &gateway.name, &config);
    let refusal = format!("{:#}", started.err().context("started")?);
    let sentence = "interface eth1: user space cannot carry its frames: its MTU is 9000, and a \
                    frame of AF_XDP holds 3818";
    ensure!(refusal.contains(sentence), "{refusal}");
    ensure!(attached(&gateway.netns, "eth1")?.is_empty(), "something stays");
    Ok(())
}

/// Kernels may be built without AF_XDP.
#[test]
fn a_kernel_without_af_xdp() -> Result<()> {
    in_user_space("a_kernel_without_af_xdp", &["user-xdp"], |testbed, mut ours, mode| {
        ours.kill()?;
        ours.do_without("xdp-sockets");
        let refusal = format!("{:#}", ours.restart().err().context("started")?);
        ensure!(refusal.contains("this kernel has no AF_XDP (XDP_SOCKETS)"), "{refusal}");
        std::fs::write(ours.config(), config(testbed, "user", "user-packet"))?;
        ours.restart()?;
        ours.wait_for_peers()?;
        between_hosts(testbed)?;
        let refusal = ours.reload(&config(testbed, mode, mode)).expect_err("refused");
        ensure!(format!("{refusal:#}").contains("nothing was changed"), "{refusal:#}");
        ping(&testbed.host1, TwoGateways::HOST2)
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
    testbed.gw1.netns.exec("ip link set eth1 up")?;
    for mode in KINDS {
        suit(mode, &testbed)?;
        every_queue_has_a_thread(&testbed, mode).with_context(|| format!("ports on {mode}"))?;
    }
    Ok(())
}

fn every_queue_has_a_thread(testbed: &TwoGateways, mode: &str) -> Result<()> {
    let (gateway, host) = (&testbed.gw1, &testbed.host1);
    let mut ours = Overlay::start(&gateway.netns, &gateway.name, &config(testbed, mode, mode))?;
    ours.wait_for_peers()?;
    let status: Value = serde_json::from_str(&ours.run(&["status", "--json"])?)?;
    let tasks = format!("/proc/{}/task", status["pid"]);
    let prefix = format!("port-{}-", gateway.netns.ifindex("eth1")?);
    let names = || -> Result<Vec<String>> {
        let names = std::fs::read_dir(&tasks)?
            .map(|task| Ok(std::fs::read_to_string(task?.path().join("comm"))?));
        names.filter(|name| name.as_ref().is_ok_and(|name| name.starts_with(&prefix))).collect()
    };
    let cores = std::thread::available_parallelism()?.get();
    let wanted = if mode == "user-xdp" { 4 } else { cores.min(4) };
    // A thread has its name from the moment on that it runs.
    wait_until("a thread for each queue", SOON, || (names().ok()?.len() == wanted).then_some(()))
        .with_context(|| format!("{wanted} wanted on {cores} cores: {:?}", names()))?;
    // None is lost, and none comes twice.
    between_hosts(testbed)?;
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
    ours.down()
}

/// Some kernels have no groups of sockets on a device that is down.
#[test]
fn a_device_with_queues_that_is_down_at_the_start() -> Result<()> {
    let name = "a_device_with_queues_that_is_down_at_the_start";
    if !require_root(name) || !require_tools(name, TOOLS) {
        return Ok(());
    }
    for mode in KINDS {
        starts_down(&with_queues()?, mode).with_context(|| format!("ports on {mode}"))?;
    }
    Ok(())
}

fn starts_down(testbed: &TwoGateways, mode: &str) -> Result<()> {
    let gateway = &testbed.gw1;
    let ours = Overlay::start(&gateway.netns, &gateway.name, &config(testbed, mode, mode))?;
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

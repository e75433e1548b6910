//! An underlay that delays, loses, disorders and duplicates.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use overlay_testbed::{Device, Netns, Offloads, mac_of, set_offloads};
use serde_json::Value;

use super::can_run;
use super::switched::{Switched, plug};
use crate::harness::{Overlay, stream};

/// What netem does on the way to the second gateway and back, how many of 200 echoes must
/// come through that at least, and whether frames are duplicated.
const CASES: [(&str, u32, bool); 5] = [
    ("delay 20ms 5ms", 200, false),
    ("loss 1%", 170, false),
    ("loss 10%", 110, false),
    ("delay 10ms reorder 25% 50%", 200, false),
    ("duplicate 10%", 200, true),
];

#[test]
fn counters_add_up_whatever_the_underlay_does() -> Result<()> {
    if !can_run("counters_add_up_whatever_the_underlay_does", &[Device::Netem]) {
        return Ok(());
    }
    let fabric = Switched::new(|gateway, switch| plug(gateway, switch, "gw1"))?;
    // Whole frames, so that one is one at every place where frames are counted.
    let plain = Offloads { tx: Some(false), ..Offloads::default() };
    for host in &fabric.hosts {
        set_offloads(host, "eth0", plain)?;
    }
    fix_neighbours(&fabric)?;
    let instances = fabric.start()?;
    for (what, least, duplicates) in CASES {
        let before = settled(&instances)?;
        for port in ["gw1", "gw2"] {
            fabric
                .switch
                .exec(&format!("tc qdisc replace dev {port} root netem limit 10000 {what}"))?;
        }
        traffic(&fabric, least).with_context(|| what.to_owned())?;
        let after = settled(&instances)?;
        for (from, to, port) in [(0, 1, "gw2"), (1, 0, "gw1")] {
            let sent = after[from].to_peer - before[from].to_peer;
            let received = after[to].from_peer - before[to].from_peer;
            let delivered = after[to].to_host - before[to].to_host;
            let wire = Wire::of(&fabric.switch, port)?;
            println!("{what}: {sent} sent, {wire:?}, {received} received, {delivered} delivered");
            ensure!(wire.passed == received, "{what}: {received} received of {wire:?}");
            ensure!(delivered == received, "{what}: {delivered} of {received} reached the host");
            let lost = wire.passed + wire.lost;
            ensure!(
                if duplicates { lost >= sent } else { lost == sent },
                "{what}: {sent}, {wire:?}"
            );
        }
        for port in ["gw1", "gw2"] {
            fabric.switch.exec(&format!("tc qdisc del dev {port} root"))?;
        }
    }
    for ours in &instances {
        ensure!(ours.is_running(), "a daemon ended:\n{}", ours.log());
        ensure!(ours.drops()?.is_empty(), "dropped: {:?}", ours.drops()?);
    }
    Ok(())
}

/// Nothing but tunnels crosses the switch, and nothing but the traffic is in them.
fn fix_neighbours(fabric: &Switched) -> Result<()> {
    for (own, other) in [(0, 1), (1, 0)] {
        let mac = mac_of(&fabric.hosts[other], "eth0")?.map(|byte| format!("{byte:02x}")).join(":");
        let address = Switched::HOSTS[other];
        let line = format!("ip neigh replace {address} lladdr {mac} dev eth0 nud permanent");
        fabric.hosts[own].exec(&line)?;
        let (own, other) = (&fabric.gateways[own], &fabric.gateways[other]);
        let mac = mac_of(&other.netns, "eth0")?.map(|byte| format!("{byte:02x}")).join(":");
        let line = format!("ip neigh replace {} lladdr {mac} dev eth0 nud permanent", other.vtep);
        own.netns.exec(&line)?;
    }
    Ok(())
}

/// Echoes and TCP, of which the right number and every byte arrive.
fn traffic(fabric: &Switched, least: u32) -> Result<()> {
    let [one, two] = &fabric.hosts;
    let [address, far] = Switched::HOSTS;
    let mut ping = one.command("ping");
    ping.args(["-n", "-q", "-i", "0.01", "-W", "3", "-c", "200", far]);
    // Its exit code says that echoes were lost.
    let output = ping.output().context("starting ping")?;
    let report = String::from_utf8_lossy(&output.stdout).into_owned();
    let head = report.split(" received").next().unwrap_or_default();
    let received: u32 =
        head.rsplit(' ').next().and_then(|n| n.parse().ok()).context(report.clone())?;
    ensure!(received >= least, "{received} of 200 echoes, not {least}: {report}");
    stream(one, two, &format!("{far}:4000"), 256 << 10)?;
    stream(two, one, &format!("{address}:4000"), 256 << 10)
}

/// The counters of both, once nothing is under way any more.
fn settled(instances: &[Overlay<'_>; 2]) -> Result<[Counts; 2]> {
    let read = || Ok::<_, anyhow::Error>([Counts::of(&instances[0])?, Counts::of(&instances[1])?]);
    let mut last = read()?;
    for _ in 0..20 {
        // Longer than netem holds anything back.
        std::thread::sleep(Duration::from_millis(500));
        let now = read()?;
        if now == last {
            return Ok(now);
        }
        last = now;
    }
    bail!("counters that never rest: {last:?}")
}

/// A gateway's counters.
#[derive(Debug, PartialEq, Eq)]
struct Counts {
    to_peer: u64,
    from_peer: u64,
    to_host: u64,
}

impl Counts {
    fn of(ours: &Overlay<'_>) -> Result<Self> {
        let peers = ours.show("peers")?;
        let peer = peers.first().context("no peer")?;
        let ports = ours.show("ports")?;
        let access = ports.iter().find(|port| port["interface"] == "eth1").context("no eth1")?;
        let number = |value: &Value, key: &str| value[key].as_u64().with_context(|| key.to_owned());
        Ok(Self {
            to_peer: number(peer, "tx_packets")?,
            from_peer: number(peer, "rx_packets")?,
            to_host: number(access, "tx_packets")?,
        })
    }
}

/// What netem says of a port of the switch.
#[derive(Debug)]
struct Wire {
    passed: u64,
    lost: u64,
}

impl Wire {
    fn of(switch: &Netns, port: &str) -> Result<Self> {
        let text = switch.exec(&format!("tc -s -j qdisc show dev {port}"))?;
        let shown: Value = serde_json::from_str(&text)?;
        let qdisc = shown.as_array().and_then(|list| list.first()).context(text.clone())?;
        let number = |key: &str| qdisc[key].as_u64().with_context(|| format!("{key}: {text}"));
        Ok(Self { passed: number("packets")?, lost: number("drops")? })
    }
}

//! An underlay that delays, loses, disorders and duplicates.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use overlay_testbed::{Device, Netns, Offloads, mac_of, patient, set_offloads, wait_until};
use serde_json::Value;

use super::can_run;
use super::switched::{Switched, plug};
use crate::harness::{Answers, Overlay, stream};

/// The switch's ports, towards the gateways.
const PORTS: [&str; 2] = ["gw1", "gw2"];
/// TCP may rest for so long where frames are lost.
const REST: Duration = Duration::from_secs(30);

/// Something that netem does on the way to each gateway.
struct Case {
    what: &'static str,
    /// Echo requests that are sent, and how many must be answered at least.
    echoes: u32,
    answered: usize,
    duplicates: bool,
    /// Whether netem did it.
    shows: fn(&Answers, &[Way; 2]) -> bool,
}

const CASES: [Case; 5] = [
    Case {
        what: "delay 20ms 5ms",
        echoes: 200,
        answered: 200,
        duplicates: false,
        shows: |answers, _| answers.fastest() >= Duration::from_millis(30),
    },
    Case {
        what: "loss 1%",
        // That nothing is lost of so many frames happens once in a million runs.
        echoes: 500,
        answered: 450,
        duplicates: false,
        shows: |_, ways| ways.iter().any(|way| way.lost > 0),
    },
    Case {
        what: "loss 10%",
        echoes: 200,
        answered: 110,
        duplicates: false,
        shows: |_, ways| ways.iter().all(|way| way.lost > 0),
    },
    Case {
        what: "delay 40ms reorder 25% 50%",
        echoes: 200,
        answered: 200,
        duplicates: false,
        shows: |answers, _| answers.overtaken() > 0,
    },
    Case {
        what: "duplicate 10%",
        echoes: 200,
        answered: 200,
        duplicates: true,
        shows: |_, ways| ways.iter().all(|way| way.passed > way.sent),
    },
];

#[test]
fn counters_add_up_whatever_the_underlay_does() -> Result<()> {
    if !can_run("counters_add_up_whatever_the_underlay_does", &[Device::Netem]) {
        return Ok(());
    }
    let fabric = Switched::new(|gateway, switch| plug(gateway, switch, PORTS[0]))?;
    // Whole frames, so that one is one at every place where frames are counted.
    let plain = Offloads { tx: Some(false), ..Offloads::default() };
    for host in &fabric.hosts {
        set_offloads(host, "eth0", plain)?;
    }
    fix_neighbours(&fabric)?;
    let instances = fabric.start()?;
    for case in &CASES {
        on_both_ports(&fabric, &format!("add dev PORT root netem limit 10000 {}", case.what))?;
        check(case, &fabric, &instances).with_context(|| case.what.to_owned())?;
        on_both_ports(&fabric, "del dev PORT root")?;
    }
    for ours in &instances {
        ensure!(ours.is_running(), "a daemon ended:\n{}", ours.log());
        ensure!(ours.drops()?.is_empty(), "dropped: {:?}", ours.drops()?);
    }
    Ok(())
}

fn on_both_ports(fabric: &Switched, change: &str) -> Result<()> {
    for port in PORTS {
        fabric.switch.exec(&format!("tc qdisc {}", change.replace("PORT", port)))?;
    }
    Ok(())
}

fn check(case: &Case, fabric: &Switched, instances: &[Overlay<'_>; 2]) -> Result<()> {
    let before = at_rest(fabric, instances)?;
    let answers = traffic(case, fabric)?;
    let after = at_rest(fabric, instances)?;
    let ways = [Way::between(&before, &after, 0), Way::between(&before, &after, 1)];
    let answered = answers.distinct().len();
    println!("{}: {answered} of {} echoes, {ways:?}", case.what, case.echoes);
    ensure!(answered >= case.answered, "{answered} echoes: {}", answers.report);
    for way in &ways {
        ensure!(way.passed == way.received, "not all received: {way:?}");
        ensure!(way.received == way.delivered, "not all delivered: {way:?}");
        let counted = way.passed + way.lost;
        ensure!(if case.duplicates { counted >= way.sent } else { counted == way.sent }, "{way:?}");
    }
    ensure!((case.shows)(&answers, &ways), "netem did nothing: {ways:?}\n{}", answers.report);
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

/// Echoes and TCP, of which every byte arrives.
fn traffic(case: &Case, fabric: &Switched) -> Result<Answers> {
    let [one, two] = &fabric.hosts;
    let [address, far] = Switched::HOSTS;
    let mut ping = one.command("ping");
    // The limit holds only while nothing at all is answered.
    let limit = patient(Duration::from_secs(3)).as_secs().to_string();
    let count = case.echoes.to_string();
    let answers = Answers::to(ping.args(["-n", "-i", "0.01", "-W", &limit, "-c", &count, far]))?;
    stream(one, two, &format!("{far}:4000"), 256 << 10, REST)?;
    stream(two, one, &format!("{address}:4000"), 256 << 10, REST)?;
    Ok(answers)
}

/// What everybody counted at one moment.
struct Counts {
    gateways: [Gateway; 2],
    wires: [Wire; 2],
}

/// The counts of a moment when nothing was under way: TCP may send something again later
/// than it seems to rest.
fn at_rest(fabric: &Switched, instances: &[Overlay<'_>; 2]) -> Result<Counts> {
    let gateways =
        || Ok::<_, anyhow::Error>([Gateway::of(&instances[0])?, Gateway::of(&instances[1])?]);
    let wire = |port| Wire::of(&fabric.switch, port);
    wait_until("moment at rest", Duration::from_secs(10), || {
        let before = gateways().ok()?;
        let wires = [wire(PORTS[0]).ok()?, wire(PORTS[1]).ok()?];
        let is_at_rest = before == gateways().ok()? && wires.iter().all(|wire| wire.queued == 0);
        is_at_rest.then_some(Counts { gateways: before, wires })
    })
}

/// What became of the frames from one gateway to the other.
#[derive(Debug)]
struct Way {
    sent: u64,
    passed: u64,
    lost: u64,
    received: u64,
    delivered: u64,
}

impl Way {
    /// Of those that gateway `from` sent from one moment to another.
    fn between(before: &Counts, after: &Counts, from: usize) -> Self {
        let to = 1 - from;
        let gateway = |index: usize, count: fn(&Gateway) -> u64| {
            count(&after.gateways[index]) - count(&before.gateways[index])
        };
        let wire = |count: fn(&Wire) -> u64| count(&after.wires[to]) - count(&before.wires[to]);
        Self {
            sent: gateway(from, |gateway| gateway.to_peer),
            passed: wire(|wire| wire.passed),
            lost: wire(|wire| wire.lost),
            received: gateway(to, |gateway| gateway.from_peer),
            delivered: gateway(to, |gateway| gateway.to_host),
        }
    }
}

/// What a gateway counted.
#[derive(Debug, PartialEq, Eq)]
struct Gateway {
    to_peer: u64,
    from_peer: u64,
    to_host: u64,
}

impl Gateway {
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

/// What netem counted at a port of the switch.
#[derive(Debug)]
struct Wire {
    passed: u64,
    lost: u64,
    queued: u64,
}

impl Wire {
    fn of(switch: &Netns, port: &str) -> Result<Self> {
        let text = switch.exec(&format!("tc -s -j qdisc show dev {port}"))?;
        let shown: Value = serde_json::from_str(&text)?;
        let qdisc = shown.as_array().and_then(|list| list.first()).context(text.clone())?;
        let number = |key: &str| qdisc[key].as_u64().with_context(|| format!("{key}: {text}"));
        Ok(Self { passed: number("packets")?, lost: number("drops")?, queued: number("qlen")? })
    }
}

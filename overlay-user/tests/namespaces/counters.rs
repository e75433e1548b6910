//! Counters go on over restarts, upgrades and reloads, whatever the end of the daemon before and
//! whatever the order of what the file says: no frame is lost to them, and nobody sees one fall.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::Signal;
use overlay_testbed::frame::{BROADCAST, Tunnel, ethernet, ipv4_udp};
use overlay_testbed::{
    Netns, RawSocket, mac_of, require_root, require_tools, run, veth, wait_until,
};
use serde_json::Value;

use crate::harness::{Overlay, next_layout, octets, overlay};

const TOOLS: &[&str] = &["curl"];
const SOON: Duration = Duration::from_secs(5);
/// Whoever watches leaves the machine some time.
const PAUSE: Duration = Duration::from_millis(100);
const PEER: &str = "192.0.2.2";
/// Frames of each kind in a round.
const ROUND: u64 = 20;
/// Frames on their way while a daemon takes over from another.
const MEANWHILE: u64 = 100;
const HOST: [u8; 6] = [2, 0, 0, 0, 0, 1];
const AFAR: [u8; 6] = [2, 0, 0, 0, 0, 2];
/// What no station sends from.
const GROUP: [u8; 6] = [3, 0, 0, 0, 0, 1];

/// What is shown, and what tells its rows apart.
const WHAT: [(&str, &[&str]); 5] = [
    ("ports", &["interface"]),
    ("peers", &["name"]),
    ("segments", &["name"]),
    ("drops", &["where", "reason"]),
    ("acls", &["segment", "direction", "rule"]),
];
const NUMBERS: [&str; 6] = ["rx_packets", "rx_bytes", "tx_packets", "tx_bytes", "packets", "bytes"];

/// Counters by what they are of.
type Counts = BTreeMap<String, u64>;

/// A gateway with three access ports.
struct Bed {
    gateway: Netns,
    _outside: Netns,
    hosts: Netns,
    first: RawSocket,
    underlay: RawSocket,
    mode: &'static str,
}

impl Bed {
    fn new(mode: &'static str) -> Result<Self> {
        let (gateway, outside, hosts) =
            (Netns::new("gw")?, Netns::new("outside")?, Netns::new("hosts")?);
        veth(&gateway, "eth0", &outside, "eth0")?;
        gateway.exec("ip addr add 192.0.2.1/24 dev eth0")?;
        for address in [PEER, "192.0.2.3"] {
            outside.exec(&format!("ip addr add {address}/24 dev eth0"))?;
        }
        for device in ["eth1", "eth2", "eth3"] {
            veth(&gateway, device, &hosts, device)?;
        }
        let first = RawSocket::open(&hosts, "eth1")?;
        let underlay = RawSocket::open(&outside, "eth0")?;
        Ok(Self { gateway, _outside: outside, hosts, first, underlay, mode })
    }

    /// With these ports, in this order; `is_larger`: behind another segment and another peer, which
    /// have the first indices then.
    fn config(&self, ports: &[&str], is_larger: bool) -> String {
        let (name, mode) = (self.gateway.name(), self.mode);
        let mut text = format!(
            "[node]\nname = \"{name}\"\nvtep = \"192.0.2.1\"\nwait_for_interfaces = true\n\
             [[uplink]]\ninterface = \"eth0\"\nmode = \"{mode}\"\n"
        );
        if is_larger {
            text += "[[segment]]\nname = \"amber\"\nvni = 50\n\
                     [[peer]]\nname = \"a-spare\"\nvtep = \"192.0.2.3\"\nsegments = [\"amber\"]\n";
        }
        text += "[[segment]]\nname = \"blue\"\nvni = 100\nacl_default = { in = \"permit\" }\n";
        if is_larger {
            text += "[[segment.acl]]\ndirection = \"in\"\naction = \"deny\"\nprotocol = \"sctp\"\n";
        }
        text += "[[segment.acl]]\ndirection = \"in\"\naction = \"permit\"\nprotocol = \"udp\"\n";
        for port in ports {
            text += &format!("[[segment.port]]\ninterface = \"{port}\"\nmode = \"{mode}\"\n");
        }
        text + &format!("[[peer]]\nname = \"peer\"\nvtep = \"{PEER}\"\nsegments = [\"blue\"]\n")
    }

    fn start(&self, config: &str) -> Result<Overlay<'_>> {
        let ours = Overlay::start(&self.gateway, self.gateway.name(), config)?;
        ours.wait_for_peers()?;
        Ok(ours)
    }

    /// Whether anybody forwards while no daemon is there.
    fn outlives_the_daemon(&self) -> bool {
        self.mode != "user"
    }

    /// To everybody.
    fn flood(&self) -> Result<()> {
        self.first.send(&datagram(HOST))
    }

    /// From the peer, to everybody.
    fn arrive(&self) -> Result<()> {
        let macs = (mac_of(&self.gateway, "eth0")?, mac_of(&self._outside, "eth0")?);
        let (src, dst) = (octets(PEER), octets("192.0.2.1"));
        self.underlay.send(&Tunnel { macs, src, dst, vni: 100 }.wrap(&datagram(AFAR)))
    }

    /// What is dropped.
    fn violate(&self) -> Result<()> {
        self.first.send(&datagram(GROUP))
    }

    /// Everything that is shown of counters.
    fn shown(&self) -> Result<Counts> {
        let mut counts = Counts::new();
        for (what, names) in WHAT {
            let mut show = overlay(&self.gateway);
            show.args(["show", what, "--json", "--name", self.gateway.name()]);
            let text = run(&mut show)?;
            let rows: Vec<Value> = serde_json::from_str(&text).with_context(|| text.clone())?;
            for row in rows {
                // What is counted at an uplink are the peers that are reached over it just now.
                if row["role"] == "uplink" {
                    continue;
                }
                let named = names.iter().filter_map(|name| row[*name].as_str());
                let name = named.collect::<Vec<_>>().join(" ");
                for number in NUMBERS {
                    if let Some(count) = row[number].as_u64() {
                        *counts.entry(format!("{what} {name} {number}")).or_default() += count;
                    }
                }
            }
        }
        Ok(counts)
    }

    fn must_show(&self, expected: &Counts) -> Result<()> {
        let mut last = Ok(Counts::new());
        let came = wait_until("the counters", SOON, || {
            last = self.shown();
            let shown = last.as_ref().ok()?;
            expected.iter().all(|(name, count)| shown.get(name) == Some(count)).then_some(())
        });
        if came.is_ok() {
            return Ok(());
        }
        let shown = last?;
        let wrong: Vec<_> = expected
            .iter()
            .filter(|(name, count)| shown.get(*name) != Some(*count))
            .map(|(name, count)| format!("{name}: {:?}, not {count}", shown.get(name)))
            .collect();
        bail!("{}", wrong.join("\n"))
    }

    /// What one of these frames counts where, found out with a round of them.
    fn cost(&self, shown: &mut Counts, send: impl Fn() -> Result<()>) -> Result<Counts> {
        (0..ROUND).try_for_each(|_| send())?;
        let mut last = shown.clone();
        let after = wait_until("counters that stand still", SOON, || {
            std::thread::sleep(Duration::from_millis(300));
            let now = self.shown().ok()?;
            let stands = std::mem::replace(&mut last, now.clone()) == now && now != *shown;
            stands.then_some(now)
        })?;
        let of_one = |(name, count): (&String, &u64)| {
            let risen = count - shown.get(name).copied().unwrap_or_default();
            ensure!(risen.is_multiple_of(ROUND), "{name}: {risen} for {ROUND} frames");
            Ok((name.clone(), risen / ROUND))
        };
        let cost = after.iter().map(of_one).collect::<Result<Counts>>()?;
        *shown = after;
        Ok(cost)
    }
}

fn datagram(from: [u8; 6]) -> Vec<u8> {
    let packet = ipv4_udp((octets("10.0.0.1"), 7), (octets("10.0.0.9"), 7), &[7; 40]);
    ethernet(BROADCAST, from, 0x0800, &packet)
}

fn add(counts: &mut Counts, cost: &Counts, times: u64) {
    for (name, count) in cost {
        *counts.entry(name.clone()).or_default() += count * times;
    }
}

/// What each kind of frame counts.
struct Costs {
    flood: Counts,
    arrival: Counts,
    drop: Counts,
}

impl Costs {
    fn find(bed: &Bed) -> Result<(Self, Counts)> {
        let mut shown = bed.shown()?;
        let flood = bed.cost(&mut shown, || bed.flood())?;
        let arrival = bed.cost(&mut shown, || bed.arrive())?;
        let drop = bed.cost(&mut shown, || bed.violate())?;
        for (cost, name) in [
            (&flood, "ports eth1 rx_packets"),
            (&flood, "ports eth2 tx_packets"),
            (&flood, "peers peer tx_packets"),
            (&flood, "acls blue in udp packets"),
            (&flood, "segments blue rx_packets"),
            (&arrival, "peers peer rx_packets"),
            (&arrival, "ports eth3 tx_packets"),
            (&drop, "drops eth1 invalid-source packets"),
        ] {
            ensure!(cost.get(name) == Some(&1), "{name}: {cost:?}");
        }
        Ok((Self { flood, arrival, drop }, shown))
    }

    fn round(&self, bed: &Bed, expected: &mut Counts) -> Result<()> {
        for _ in 0..ROUND {
            bed.flood()?;
            bed.arrive()?;
            bed.violate()?;
        }
        for cost in [&self.flood, &self.arrival, &self.drop] {
            add(expected, cost, ROUND);
        }
        Ok(())
    }
}

/// Asks until it is told to end, and fails if a counter falls. Returns how often it had answers.
fn watch(bed: &Bed, end: &AtomicBool) -> Result<u32> {
    let (mut most, mut answers) = (Counts::new(), 0);
    while !end.load(Ordering::Relaxed) {
        std::thread::sleep(PAUSE);
        // Nobody answers while no daemon is there.
        let Ok(now) = bed.shown() else { continue };
        answers += 1;
        for (name, count) in now {
            let before = most.insert(name.clone(), count).unwrap_or_default();
            ensure!(count >= before, "{name} fell from {before} to {count}");
        }
    }
    Ok(answers)
}

#[derive(Clone, Copy, Debug)]
enum Change {
    Restart(Signal),
    Reload,
}

#[test]
fn counters_go_on_whatever_happens_to_the_daemon() -> Result<()> {
    let name = "counters_go_on_whatever_happens_to_the_daemon";
    if !require_root(name) || !require_tools(name, TOOLS) {
        return Ok(());
    }
    if next_layout().is_none() {
        println!("SKIPPED upgrades of {name}: OVERLAY_NEXT names no binary with another layout");
    }
    std::thread::scope(|scope| {
        let runs = ["tc", "xdp", "user"].map(|mode| (mode, scope.spawn(move || go_on(mode))));
        runs.into_iter().try_for_each(|(mode, run)| {
            run.join().ok().context("a panic")?.with_context(|| format!("ports on {mode}"))
        })
    })
}

fn go_on(mode: &'static str) -> Result<()> {
    let bed = Bed::new(mode)?;
    let configs =
        [bed.config(&["eth1", "eth2", "eth3"], false), bed.config(&["eth3", "eth2", "eth1"], true)];
    let mut ours = bed.start(&configs[0])?;
    let (costs, mut expected) = Costs::find(&bed)?;
    let end = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let watcher = scope.spawn(|| watch(&bed, &end));
        let turns = turns(&bed, &mut ours, &configs, &costs, &mut expected);
        end.store(true, Ordering::Relaxed);
        let answers = watcher.join().ok().context("a panic")??;
        ensure!(answers >= 5 || turns.is_err(), "only {answers} answers");
        turns
    })?;
    is_exported(&bed, &expected)?;
    ours.down()?;
    ours.restart()?;
    let zero: Vec<_> = bed.shown()?.into_iter().filter(|(_, count)| *count > ROUND).collect();
    ensure!(zero.is_empty(), "what is removed begins anew: {zero:?}");
    Ok(())
}

fn turns(
    bed: &Bed,
    ours: &mut Overlay<'_>,
    configs: &[String; 2],
    costs: &Costs,
    expected: &mut Counts,
) -> Result<()> {
    let (kill, end) = (Change::Restart(Signal::SIGKILL), Change::Restart(Signal::SIGTERM));
    let next = next_layout();
    let turns = [
        (kill, 1, None),
        (Change::Reload, 0, None),
        (end, 1, None),
        (kill, 0, next.clone()),
        (end, 1, None),
        (end, 0, next),
        (kill, 1, None),
    ];
    for (number, (change, config, binary)) in turns.into_iter().enumerate() {
        let what = format!("turn {number}: {change:?}, configuration {config}, {binary:?}");
        ours.use_binary(binary);
        turn(bed, ours, change, &configs[config], costs, expected)
            .with_context(|| format!("{what}\n{}", ours.log()))?;
    }
    Ok(())
}

fn turn(
    bed: &Bed,
    ours: &mut Overlay<'_>,
    change: Change,
    config: &str,
    costs: &Costs,
    expected: &mut Counts,
) -> Result<()> {
    costs.round(bed, expected)?;
    bed.must_show(expected).context("before")?;
    let is_carried_on = bed.outlives_the_daemon();
    std::thread::scope(|scope| {
        let meanwhile = scope.spawn(move || {
            for _ in 0..if is_carried_on { MEANWHILE } else { 0 } {
                bed.flood()?;
                std::thread::sleep(Duration::from_millis(10));
            }
            anyhow::Ok(())
        });
        match change {
            Change::Reload => drop(ours.reload(config)?),
            Change::Restart(signal) => {
                std::fs::write(ours.config(), config)?;
                match signal {
                    Signal::SIGKILL => ours.kill()?,
                    _ => ensure!(ours.end(signal)? == Some(0), "{}", ours.log()),
                }
                if is_carried_on {
                    costs.round(bed, expected)?;
                }
                ours.restart()?;
            }
        }
        meanwhile.join().ok().context("a panic")?
    })?;
    if is_carried_on {
        add(expected, &costs.flood, MEANWHILE);
    }
    bed.must_show(expected).context("at once")?;
    ours.wait_for_peers()?;
    costs.round(bed, expected)?;
    bed.must_show(expected).context("after a round")
}

/// The numbers for Prometheus are the same.
fn is_exported(bed: &Bed, expected: &Counts) -> Result<()> {
    let socket = format!("/run/overlay/{}.sock", bed.gateway.name());
    let mut curl = bed.gateway.command("curl");
    curl.args(["-sS", "--fail", "--max-time", "30", "--unix-socket", &socket]);
    let page = run(curl.arg("http://localhost/metrics"))?;
    for (name, series) in [
        ("ports eth1 rx_packets", "overlay_port_receive_packets_total{interface=\"eth1\""),
        ("ports eth2 tx_bytes", "overlay_port_transmit_bytes_total{interface=\"eth2\""),
        ("peers peer tx_packets", "overlay_peer_transmit_packets_total{peer=\"peer\""),
        ("segments blue rx_bytes", "overlay_segment_receive_bytes_total{segment=\"blue\""),
        ("drops eth1 invalid-source packets", "overlay_drops_total{reason=\"invalid-source\""),
    ] {
        let shown = expected.get(name).with_context(|| format!("{name}: {expected:?}"))?;
        let lines: Vec<&str> = page.lines().filter(|line| line.starts_with(series)).collect();
        let sum: f64 = lines
            .iter()
            .filter_map(|line| line.rsplit(' ').next()?.parse().ok())
            .fold(0.0, |a, b: f64| a + b);
        ensure!(sum as u64 == *shown, "{name:?}: {shown}, exported {lines:?}");
    }
    Ok(())
}

/// What has counted and is not there when the next daemon comes.
#[test]
fn counters_outlive_devices_and_ports() -> Result<()> {
    if !require_root("counters_outlive_devices_and_ports") {
        return Ok(());
    }
    let bed = Bed::new("tc")?;
    let all = bed.config(&["eth1", "eth2", "eth3"], false);
    let mut ours = bed.start(&all)?;
    let (costs, _) = Costs::find(&bed)?;
    // A device that is gone is waited for; what it has counted is its port's.
    let violation = |device: &str| RawSocket::open(&bed.hosts, device)?.send(&datagram(GROUP));
    violation("eth3")?;
    const DROPPED: &str = "drops eth3 invalid-source packets";
    wait_until("a drop at eth3", SOON, || (bed.shown().ok()?.get(DROPPED)? == &1).then_some(()))?;
    let mut expected = bed.shown()?;
    bed.gateway.exec("ip link del eth3")?;
    wait_until("a port without its device", SOON, || {
        let rows = ours.show("ports").ok()?;
        rows.iter().any(|row| row["interface"] == "eth3" && row["up"] == false).then_some(())
    })?;
    bed.must_show(&expected).context("gone")?;
    for signal in [Signal::SIGKILL, Signal::SIGTERM] {
        match signal {
            Signal::SIGKILL => ours.kill()?,
            _ => ensure!(ours.end(signal)? == Some(0), "{}", ours.log()),
        }
        ours.restart()?;
        bed.must_show(&expected).with_context(|| format!("gone, {signal}"))?;
    }
    // Made again while nobody looks, with another index.
    ours.kill()?;
    veth(&bed.gateway, "eth3", &bed.hosts, "eth3")?;
    ours.restart()?;
    ours.wait_for_peers()?;
    bed.must_show(&expected).context("made again")?;
    violation("eth3")?;
    *expected.entry(DROPPED.to_owned()).or_default() += 1;
    bed.must_show(&expected).context("made again, and counts")?;
    costs.round(&bed, &mut expected)?;
    bed.must_show(&expected).context("a round")?;

    // A port that is none any more stays in its segment's sum, and one that comes in its place, at
    // the same index, begins at zero: in a reload, and in a restart after it.
    let is_of = |device: &str, key: &str| key.starts_with(&format!("ports {device} "));
    let mut without = expected.clone();
    without.retain(|key, _| !is_of("eth3", key));
    ours.reload(&bed.config(&["eth1", "eth2"], false))?;
    bed.must_show(&without).context("removed")?;
    veth(&bed.gateway, "eth4", &bed.hosts, "eth4")?;
    ours.reload(&bed.config(&["eth1", "eth2", "eth4"], false))?;
    bed.must_show(&without).context("another port")?;
    ours.kill()?;
    ours.restart()?;
    bed.must_show(&without).context("another port, and a restart")?;
    let others: u64 =
        bed.shown()?.iter().filter(|(key, _)| is_of("eth4", key)).map(|(_, n)| n).sum();
    ensure!(others == 0, "a new port has counted {others}");

    // The same in a restart alone.
    without.retain(|key, _| !is_of("eth2", key));
    std::fs::write(ours.config(), bed.config(&["eth4", "eth1"], true))?;
    ensure!(ours.end(Signal::SIGTERM)? == Some(0), "{}", ours.log());
    ours.restart()?;
    bed.must_show(&without).context("one less after a restart")?;
    let others: u64 =
        bed.shown()?.iter().filter(|(key, _)| is_of("eth4", key)).map(|(_, n)| n).sum();
    ensure!(others == 0, "a port has counted what another did: {others}");

    // In a reload again, of a daemon that dies before the port's index is free.
    without.retain(|key, _| !is_of("eth1", key));
    ours.reload(&bed.config(&["eth4"], true))?;
    ours.kill()?;
    ours.restart()?;
    bed.must_show(&without).context("one less, and killed at once")?;

    // Where a former version has left no such map, all begin at zero, and the log says so.
    ours.kill()?;
    let pins = format!("/sys/fs/bpf/overlay/{}/maps/CARRIED", bed.gateway.name());
    std::fs::remove_file(pins)?;
    ours.restart()?;
    let left = bed.shown()?.into_values().max();
    ensure!(left == Some(0), "counters of which nobody knows whose they are: {left:?}");
    ensure!(ours.log().contains("what was counted before is left out"), "{}", ours.log());
    Ok(())
}

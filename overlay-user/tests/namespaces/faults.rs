//! A flow between two hosts that do no harm, while others do what they can: it loses nothing,
//! and what the daemon takes of the machine stays within bounds.
//!
//! ```text
//!  host1 ─── eth1                    eth1 ─── host2
//!                 gw1 eth0 ══ eth0 gw2
//!  hostile ─ eth2
//! ```
//!
//! What a gateway should have in such a place is what its operator would configure: limits for
//! the port that nobody trusts, and room for the addresses that there are.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use overlay_testbed::frame::{BROADCAST, arp_request, ethernet, ipv4_checksum, ipv4_header};
use overlay_testbed::{
    Netns, RawSocket, TwoGateways, mac_of, poll_by_itself, require_root, require_tools, veth,
    wait_until,
};
use serde_json::Value;

use crate::harness::{
    Core, Flow, Modes, Overlay, Run, Usage, alone, check_hooks, has_mark, marked, octets, pin,
    ping, prepare_for_xdp, prepare_uplinks, wait_for_redirects,
};

/// Of the innocent flow, where the machine carries so many.
const RATE: u32 = 100_000;
const TIME: Duration = Duration::from_secs(2);
const SOON: Duration = Duration::from_secs(5);
/// Room in each FDB. One port alone gets three quarters of it.
const ENTRIES: u64 = 4096;
/// How much more a daemon may have in memory after a fault.
const MEMORY: u64 = 8 << 20;
/// What share of a core a daemon may take meanwhile. Its programs are not counted: they run
/// where frames come in.
const SHARE: f64 = 0.5;
/// What others do on this machine costs the flow a frame now and then, in one run. What a
/// fault costs it, it costs it in each.
const TRIES: u32 = 3;
/// Frames of a hostile host in one fault.
const LEAST: u32 = 100_000;
const MOST: u32 = 10_000_000;
const ATTACKER: [u8; 6] = [2, 0, 0, 0, 6, 6];
/// Behind a peer that does not answer.
const BEHIND_SILENT: [u8; 6] = [2, 0, 0, 0, 9, 9];
const NOBODY: [u8; 6] = [2, 0, 0, 0, 0xee, 0xee];

struct Bed {
    testbed: TwoGateways,
    hostile: RawSocket,
    /// At the second gateway's end of the underlay.
    wire: RawSocket,
    macs: Macs,
    modes: Modes,
    _netns: Netns,
}

/// Of the hosts, and of the first gateway's uplink.
struct Macs {
    host1: [u8; 6],
    host2: [u8; 6],
    uplink: [u8; 6],
}

/// What somebody does, and what the operator has against it.
struct Fault {
    name: &'static str,
    /// Of the port eth2.
    limit: &'static str,
    /// More keys of the segment, and more peers.
    more: [&'static str; 2],
    /// Sends the frame of this number.
    send: fn(&Bed, u32) -> Result<()>,
    /// Why frames of eth2 are dropped.
    reasons: &'static [&'static str],
    /// What is to be looked at beside, when it is over.
    check: fn(&Bed, &Overlay<'_>) -> Result<()>,
}

const FAULTS: [Fault; 6] = [
    Fault {
        name: "a full FDB",
        limit: "floods = 1000",
        more: ["", ""],
        // New stations without end, which ask for one that is not there.
        send: |bed, number| bed.hostile.send(&marked(NOBODY, station(number), "new")),
        reasons: &["storm"],
        check: full_fdb,
    },
    Fault {
        name: "100,000 source MACs from one port",
        limit: "floods = 1000, macs = 256",
        more: ["", ""],
        send: |bed, number| bed.hostile.send(&marked(NOBODY, station(number % LEAST), "many")),
        reasons: &["storm"],
        check: limited_macs,
    },
    Fault {
        name: "an ARP storm",
        limit: "floods = 1000, macs = 256",
        more: ["", ""],
        send: arp_storm,
        reasons: &["storm"],
        check: neighbours,
    },
    Fault {
        name: "a broadcast storm",
        limit: "floods = 1000",
        more: ["", ""],
        send: |bed, _| bed.hostile.send(&marked(BROADCAST, ATTACKER, "storm")),
        reasons: &["storm"],
        check: |_, _| Ok(()),
    },
    Fault {
        name: "forged PTBs",
        limit: "packets = 1000",
        more: ["", ""],
        send: forged_ptbs,
        reasons: &["policed"],
        check: path_mtu,
    },
    Fault {
        name: "a next hop that never answers",
        limit: "",
        more: [
            "[[segment.fdb]]\nmac = \"02:00:00:00:09:09\"\npeer = \"silent\"\n",
            "[[peer]]\nname = \"silent\"\nvtep = \"192.0.2.99\"\nsegments = [\"blue\"]\n",
        ],
        send: |bed, _| bed.hostile.send(&marked(BEHIND_SILENT, ATTACKER, "anybody?")),
        reasons: &["peer-unresolved", "punt-limited"],
        check: silent_peer,
    },
];

#[test]
fn an_innocent_flow_loses_nothing_whatever_others_do() -> Result<()> {
    let name = "an_innocent_flow_loses_nothing_whatever_others_do";
    if !require_root(name) || !require_tools(name, &["ping", "taskset", "chrt"]) {
        return Ok(());
    }
    let _alone = alone();
    for modes in [("tc", "tc"), ("xdp", "xdp")] {
        let bed = Bed::new(modes)?;
        let [ours, theirs] = bed.start()?;
        let mut flow = Flow::new(&bed.testbed)?;
        println!("{modes:?}");
        for fault in &FAULTS {
            under(&bed, &mut flow, fault, [&ours, &theirs]).with_context(|| {
                format!("{modes:?}, {}: {:?}\n{}", fault.name, ours.drops(), ours.log())
            })?;
        }
    }
    Ok(())
}

/// The flow, while a fault is there.
fn under(bed: &Bed, flow: &mut Flow, fault: &Fault, gateways: [&Overlay<'_>; 2]) -> Result<()> {
    let ours = gateways[0];
    // What was learnt from the port before goes with it.
    ours.reload(&bed.config(None, fault.more))?;
    ours.reload(&bed.config(Some(fault.limit), fault.more))?;
    ping(&bed.testbed.host1, TwoGateways::HOST2)?;
    for number in 1.. {
        let run = beside(bed, flow, fault, gateways)?;
        if run.lost == 0 {
            break;
        }
        println!("    try {number} of {TRIES}: {run:?}");
        ensure!(number < TRIES, "the flow: {run:?}");
    }
    (fault.check)(bed, ours)
}

/// One run of the flow beside the fault.
fn beside(bed: &Bed, flow: &mut Flow, fault: &Fault, gateways: [&Overlay<'_>; 2]) -> Result<Run> {
    let ours = gateways[0];
    let (rate, calm) = flow.carried(RATE)?;
    let dropped_before = dropped(ours, fault)?;
    let usages = || gateways.iter().map(|ours| Usage::of(pid(ours)?)).collect::<Result<Vec<_>>>();
    let before = usages()?;
    let done = AtomicBool::new(false);
    let (run, hostile) = std::thread::scope(|scope| -> Result<_> {
        let attack = scope.spawn(|| attack(bed, fault, &done));
        let run = wait_until("drops by reason", SOON, || {
            (dropped(ours, fault).ok()? > dropped_before).then_some(())
        })
        .and_then(|()| flow.run(rate, TIME));
        done.store(true, Ordering::Relaxed);
        Ok((run?, attack.join().ok().context("the attack")??))
    })?;
    let after = usages()?;
    println!(
        "{}: {rate} wanted; {:.0} a second in peace, {:.0} beside {:.0} of the fault; \
         {} sent, {} lost, {} twice; {:?} drops {}",
        fault.name,
        calm.rate,
        run.rate,
        hostile,
        run.sent,
        run.lost,
        run.twice,
        fault.reasons,
        dropped(ours, fault)? - dropped_before,
    );
    for (name, (before, after)) in ["gw1", "gw2"].iter().zip(before.iter().zip(&after)) {
        let [had, has] = [before.memory, after.memory].map(|bytes| bytes as f64 / 1048576.0);
        let share = after.share_since(before);
        println!("    {name}: {had:.1} MiB before, {has:.1} after; {share:.2} of a core");
        ensure!(after.memory <= before.memory + MEMORY, "{name}: {had} MiB became {has}");
        ensure!(share <= SHARE, "{name} took {share} of a core");
    }
    ensure!(run.no_room == 0, "the test was too slow to take what came: {run:?}");
    ensure!(run.twice == 0, "the flow: {run:?}");
    Ok(run)
}

/// Sends what a fault is made of, as fast as one core can, and returns how much that is a
/// second. What the hostile host's own queue refuses is as good as sent.
fn attack(bed: &Bed, fault: &Fault, done: &AtomicBool) -> Result<f64> {
    pin(Core::Last)?;
    let (begin, mut number) = (Instant::now(), 0);
    while number < LEAST || !done.load(Ordering::Relaxed) && number < MOST {
        let _ = (fault.send)(bed, number);
        number += 1;
    }
    Ok(f64::from(number) / begin.elapsed().as_secs_f64())
}

/// What was dropped at eth2 for the reasons of a fault, each of which has to be there.
fn dropped(ours: &Overlay<'_>, fault: &Fault) -> Result<u64> {
    let rows = ours.show("drops")?;
    let count = |reason: &&str| {
        let its = rows.iter().filter(|row| row["reason"] == **reason && row["where"] == "eth2");
        its.filter_map(|row| row["packets"].as_u64()).sum::<u64>()
    };
    let counts: Vec<u64> = fault.reasons.iter().map(count).collect();
    Ok(if counts.contains(&0) { 0 } else { counts.iter().sum() })
}

fn pid(ours: &Overlay<'_>) -> Result<u32> {
    Ok(status(ours, "pid")? as u32)
}

fn status(ours: &Overlay<'_>, key: &str) -> Result<u64> {
    let status: Value = serde_json::from_str(&ours.run(&["status", "--json"])?)?;
    status[key].as_u64().with_context(|| format!("no {key} in {status}"))
}

/// How many addresses were learnt from eth2.
fn learnt(ours: &Overlay<'_>) -> Result<u64> {
    let ports = ours.show("ports")?;
    let port = ports.iter().find(|port| port["interface"] == "eth2").context("no eth2")?;
    port["fdb"].as_u64().context("no fdb")
}

impl Bed {
    fn new(modes: Modes) -> Result<Self> {
        let testbed = TwoGateways::new()?;
        prepare_for_xdp(&testbed, &[modes])?;
        prepare_uplinks(&testbed, &[modes.0])?;
        let netns = Netns::new("hostile")?;
        veth(&testbed.gw1.netns, "eth2", &netns, "eth0")?;
        let hostile = RawSocket::open(&netns, "eth0")?;
        let wire = RawSocket::open(&testbed.gw2.netns, "eth0")?;
        let macs = Macs {
            host1: mac_of(&testbed.host1, "eth0")?,
            host2: mac_of(&testbed.host2, "eth0")?,
            uplink: mac_of(&testbed.gw1.netns, "eth0")?,
        };
        Ok(Self { testbed, hostile, wire, macs, modes, _netns: netns })
    }

    fn start(&self) -> Result<[Overlay<'_>; 2]> {
        let (gw1, gw2) = (&self.testbed.gw1, &self.testbed.gw2);
        let second = gw2.config(self.modes.0, self.modes.1, &[("first", gw1.vtep)]);
        let ours = [
            Overlay::start(&gw1.netns, &gw1.name, &self.config(None, ["", ""]))?,
            Overlay::start(&gw2.netns, &gw2.name, &with_room(&second))?,
        ];
        for ours in &ours {
            check_hooks(ours, self.modes)?;
            ours.wait_for_peers()?;
            wait_for_redirects(ours)?;
        }
        if self.modes.0 == "xdp" && !poll_by_itself(&gw2.netns, "eth0")? {
            println!("the far end of the underlay polls on the hostile host's core");
        }
        Ok(ours)
    }

    /// The first gateway's, with eth2 where that has a limit.
    fn config(&self, limit: Option<&str>, [segment, peers]: [&str; 2]) -> String {
        let (gateway, (uplink, access)) = (&self.testbed.gw1, self.modes);
        let config = gateway.config(uplink, access, &[("second", TwoGateways::VTEP2)]);
        let port = limit.map(|limit| {
            let mode = format!("interface = \"eth2\"\nmode = \"{access}\"\n");
            format!("[[segment.port]]\n{mode}limit = {{ {limit} }}\n")
        });
        let more = format!("{segment}{}{peers}[[peer]]", port.unwrap_or_default());
        with_room(&config).replacen("[[peer]]", &more, 1)
    }
}

fn with_room(config: &str) -> String {
    config.replacen("[node]\n", &format!("[node]\nfdb_entries = {ENTRIES}\n"), 1)
}

/// One of very many stations behind eth2.
fn station(number: u32) -> [u8; 6] {
    let [a, b, c, d] = number.to_be_bytes();
    [2, 1, a, b, c, d]
}

/// Questions for an address that is known, which the gateway answers, and for others, which
/// it floods. Each other one has another sender.
fn arp_storm(bed: &Bed, number: u32) -> Result<()> {
    let [_, a, b, c] = number.to_be_bytes();
    let wanted = if number.is_multiple_of(2) { octets(TwoGateways::HOST2) } else { [10, a, b, c] };
    let (mac, address) = (station(number % 65_536), [10, 66, b, c]);
    bed.hostile.send(&arp_request(mac, address, wanted))
}

/// To a host, about its flow, from the overlay; and to the VTEP, about the tunnel, from the
/// underlay: nothing larger than 552 bytes fits, they say.
fn forged_ptbs(bed: &Bed, number: u32) -> Result<()> {
    let macs = &bed.macs;
    if number.is_multiple_of(2) {
        let hosts = [TwoGateways::HOST1, TwoGateways::HOST2].map(octets);
        let packet = ptb(hosts, (4000, 9), [10, 0, 0, 66]);
        return bed.hostile.send(&ethernet(macs.host1, ATTACKER, 0x0800, &packet));
    }
    let vteps = [TwoGateways::VTEP1, TwoGateways::VTEP2].map(octets);
    // From the port that the daemon's socket has, and from those of flows.
    let source = if number % 4 == 1 { 4789 } else { 49_152 + (number % 16_384) as u16 };
    let packet = ptb(vteps, (source, 4789), [192, 0, 2, 66]);
    bed.wire.send(&ethernet(macs.uplink, ATTACKER, 0x0800, &packet))
}

/// An ICMP message to the sender of a UDP packet (RFC 1191).
fn ptb(ends: [[u8; 4]; 2], ports: (u16, u16), from: [u8; 4]) -> Vec<u8> {
    let udp =
        [ports.0.to_be_bytes(), ports.1.to_be_bytes(), 1000_u16.to_be_bytes(), [0, 0]].concat();
    let quoted = [ipv4_header(ends[0], ends[1], &[], 17, 1000), udp].concat();
    let mut message = [&[3, 4, 0, 0, 0, 0][..], &552_u16.to_be_bytes(), &quoted].concat();
    let checksum = ipv4_checksum(&message);
    message[2..4].copy_from_slice(&checksum.to_be_bytes());
    [ipv4_header(from, ends[0], &[], 1, message.len() as u16), message].concat()
}

/// The hostile port has its share, and whoever has less than his finds room.
fn full_fdb(bed: &Bed, ours: &Overlay<'_>) -> Result<()> {
    let (refused, learnt) = (status(ours, "fdb_refused")?, learnt(ours)?);
    ensure!(refused > 0, "nothing was refused: {}", ours.run(&["status"])?);
    ensure!((ENTRIES / 2..=ENTRIES * 3 / 4).contains(&learnt), "{learnt} learnt at eth2");
    let new = [2, 0, 0, 0, 0, 77];
    let host = RawSocket::open(&bed.testbed.host1, "eth0")?;
    host.send(&marked(bed.macs.host2, new, "new here"))?;
    println!("    {learnt} of {ENTRIES} learnt at eth2, {refused} refused");
    ours.wait_for_mac("blue", new, "eth1")
}

fn limited_macs(_: &Bed, ours: &Overlay<'_>) -> Result<()> {
    let (status, learnt) = (ours.run(&["status"])?, learnt(ours)?);
    println!("    {learnt} learnt at eth2");
    let told = "port eth2 has 256 learnt addresses, and limit.macs is 256";
    ensure!(learnt == 256 && status.contains(told), "{learnt} learnt; {status}");
    Ok(())
}

fn neighbours(_: &Bed, ours: &Overlay<'_>) -> Result<()> {
    let known = ours.show("neighbours")?.len() as u64;
    println!("    {known} neighbours known");
    ensure!(known <= 2 * ENTRIES, "{known} neighbours");
    Ok(())
}

/// The host's own stack believes what it was told. The path is as long as it was, and what
/// fills it crosses.
fn path_mtu(bed: &Bed, ours: &Overlay<'_>) -> Result<()> {
    let believed = bed.testbed.gw1.netns.exec(&format!("ip route get {}", TwoGateways::VTEP2))?;
    ensure!(believed.contains("mtu 552"), "nobody was fooled: {believed}");
    let mtu = peer(ours, "second")?["mtu"].as_u64().context("no mtu")?;
    println!("    the path to the peer takes {mtu} bytes; the host believes in 552");
    ensure!(mtu == 1500, "{mtu} bytes");
    let end = |host: &Netns| RawSocket::open(host, "eth0");
    let (from, to) = (end(&bed.testbed.host1)?, end(&bed.testbed.host2)?);
    let mut frame = marked(bed.macs.host2, bed.macs.host1, "long");
    frame.resize(1514, 0);
    from.send(&frame)?;
    let crossed = to.find(SOON, |frame| frame.len() == 1514 && has_mark(frame, "long"))?;
    ensure!(crossed.is_some(), "{:?}", ours.show("peers"));
    Ok(())
}

fn silent_peer(_: &Bed, ours: &Overlay<'_>) -> Result<()> {
    for (name, state) in [("silent", "unresolved"), ("second", "ready")] {
        let peer = peer(ours, name)?;
        ensure!(peer["state"] == state, "{peer}");
    }
    Ok(())
}

fn peer(ours: &Overlay<'_>, name: &str) -> Result<Value> {
    let peers = ours.show("peers")?;
    peers.into_iter().find(|peer| peer["name"] == name).with_context(|| format!("no peer {name}"))
}

//! Head-end replication to many more peers than the 64 that the kernel makes copies for.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use overlay_testbed::frame::{BROADCAST, Tunnel};
use overlay_testbed::{RawSocket, TwoGateways, patient, require_root};

use crate::harness::{Overlay, TwoPorts, has_mark, marked};

const PEERS: u32 = 1000;
const FLOODS: usize = 10;
const LIMIT: Duration = Duration::from_secs(20);
/// Copies that are late, or too many, come within this.
const QUIET: Duration = Duration::from_millis(500);

/// The VTEPs of the peers, all behind one router.
fn vteps() -> impl Iterator<Item = Ipv4Addr> {
    let first = u32::from(Ipv4Addr::new(198, 51, 96, 1));
    (first..first + PEERS).map(Ipv4Addr::from)
}

#[test]
fn a_broadcast_reaches_each_of_a_thousand_peers_once() -> Result<()> {
    if !require_root("a_broadcast_reaches_each_of_a_thousand_peers_once") {
        return Ok(());
    }
    for mode in ["tc", "xdp", "user"] {
        let bench = TwoPorts::new()?;
        bench.gateway.exec("ip route add 198.51.96.0/22 via 192.0.2.2")?;
        let wire = RawSocket::open(&bench.outside, "eth0")?;
        // A frame to a socket takes its buffers whole.
        wire.set_room(64 << 20)?;
        let mut peers = String::new();
        for (number, vtep) in vteps().enumerate() {
            writeln!(peers, "[[peer]]\nname = \"p{number}\"\nvtep = \"{vtep}\"")?;
            writeln!(peers, "segments = [\"blue\"]")?;
        }
        // The peer at the far end, which is the router here, is none.
        let config = bench.config("", "", "", &peers);
        let (before, rest) = config.split_once("[[peer]]").context("no peer")?;
        let (_, peers) = rest.split_once("[[peer]]").context("one peer")?;
        let config = format!("{before}[[peer]]{peers}");
        let mode_of = format!("mode = \"{mode}\"\ninterface = \"eth");
        let config = config.replace("interface = \"eth", &mode_of);
        let ours = Overlay::start(&bench.gateway, bench.gateway.name(), &config)?;
        ours.wait_for_peers()?;
        ensure!(ours.hook("eth1")? == mode, "{:?}", ours.show("ports"));
        check(&bench, &wire, &ours).with_context(|| format!("{mode}: {:?}", ours.drops()))?;
    }
    Ok(())
}

/// Floods some frames, and counts the copies of each.
fn check(bench: &TwoPorts, wire: &RawSocket, ours: &Overlay<'_>) -> Result<()> {
    let marks: Vec<String> = (0..FLOODS).map(|number| format!("flood {number}")).collect();
    let begin = Instant::now();
    for mark in &marks {
        bench.ends[0].send(&marked(BROADCAST, TwoPorts::FIRST, mark))?;
    }
    let mut copies: BTreeMap<(usize, Ipv4Addr), u32> = BTreeMap::new();
    let mut took = Duration::ZERO;
    let wanted = FLOODS * PEERS as usize;
    while copies.len() < wanted && begin.elapsed() < patient(LIMIT) {
        wire.each(QUIET, 2048, |frame| {
            let inner = Tunnel::unwrap(frame).filter(|(vni, _)| *vni == TwoGateways::VNI);
            let flood = inner.and_then(|(_, f)| marks.iter().position(|mark| has_mark(f, mark)));
            if let Some(flood) = flood {
                let vtep = Ipv4Addr::new(frame[30], frame[31], frame[32], frame[33]);
                *copies.entry((flood, vtep)).or_default() += 1;
                took = begin.elapsed();
            }
            true
        })?;
    }
    let twice = copies.values().filter(|copies| **copies > 1).count();
    ensure!(twice == 0, "{twice} peers got a frame more than once");
    let missing = vteps()
        .flat_map(|vtep| (0..FLOODS).map(move |flood| (flood, vtep)))
        .filter(|key| !copies.contains_key(key))
        .count();
    ensure!(missing == 0, "{missing} of {wanted} copies are missing; {} missed", wire.missed()?);
    ensure!(copies.len() == wanted, "copies to others: {} in all", copies.len());
    // The other port of the segment has its copy as well.
    for mark in &marks {
        let arrived = bench.ends[1].find(LIMIT, |frame| has_mark(frame, mark))?;
        ensure!(arrived.is_some(), "{mark} did not come to the other port");
    }
    ensure!(ours.drops()?.is_empty(), "something was dropped");
    println!("{FLOODS} floods to {PEERS} peers: {wanted} copies, each once, in {took:?}");
    Ok(())
}

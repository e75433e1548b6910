//! What was learnt survives: restarts, upgrades to tables of another layout and back, after SIGTERM
//! and after SIGKILL; with its age, and in use at once.

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;
use overlay_testbed::frame::{BROADCAST, Tunnel, arp_request};
use overlay_testbed::{RawSocket, mac_of, require_root, wait_until};
use serde_json::Value;

use crate::harness::{Overlay, SOON, TwoPorts, has_mark, marked, next_layout, octets};

const LOCAL: [u8; 6] = [2, 0, 0, 0, 0, 1];
const REMOTE: [u8; 6] = [2, 0, 0, 0, 0, 2];
const STATIC: [u8; 6] = [2, 0, 0, 0, 0, 3];
const LOADED: [u8; 6] = [2, 0, 0, 0, 0, 4];
const ASKING: [u8; 6] = [2, 0, 0, 0, 0, 9];
const ADDRESS: &str = "10.0.0.77";
const QUIET: Duration = Duration::from_millis(300);
/// No daemon is there for so long, which is more than ages may be wrong by.
const AWAY: Duration = Duration::from_secs(8);
const WRONG: f64 = 5.0;

struct Bed {
    ports: TwoPorts,
    underlay: RawSocket,
}

impl Bed {
    fn new() -> Result<Self> {
        let ports = TwoPorts::new()?;
        let underlay = RawSocket::open(&ports.outside, "eth0")?;
        Ok(Self { ports, underlay })
    }

    fn start(&self) -> Result<Overlay<'_>> {
        self.ports.run(&self.config(""))
    }

    fn config(&self, node: &str) -> String {
        let fdb = "[[segment.fdb]]\nmac = \"02:00:00:00:00:03\"\npeer = \"peer\"\n";
        self.ports.config(node, "", fdb, "")
    }

    fn tunnel(&self) -> Result<Tunnel> {
        Ok(Tunnel {
            macs: (mac_of(&self.ports.gateway, "eth0")?, mac_of(&self.ports.outside, "eth0")?),
            src: octets("192.0.2.2"),
            dst: octets("192.0.2.1"),
            vni: 100,
        })
    }

    /// A station behind eth1, with an IP address, and one behind the peer; one is loaded.
    fn teach(&self, ours: &Overlay<'_>) -> Result<Instant> {
        self.ports.ends[0].send(&arp_request(LOCAL, octets(ADDRESS), octets("10.0.0.99")))?;
        self.underlay.send(&self.tunnel()?.wrap(&marked(BROADCAST, REMOTE, "from afar")))?;
        let taught = Instant::now();
        ours.wait_for_mac("blue", LOCAL, "eth1")?;
        ours.wait_for_mac("blue", REMOTE, "peer")?;
        wait_until("a neighbour", SOON, || neighbour(ours).ok()?)?;
        ours.run(&["fdb", "add", "blue", "02:00:00:00:00:04", "interface", "eth2"])?;
        Ok(taught)
    }

    /// Frames to what was learnt go there, and nowhere else.
    fn is_reached(&self, mark: &str) -> Result<()> {
        let [first, second] = &self.ports.ends;
        let is_it = |mark: String| move |frame: &[u8]| has_mark(frame, &mark);
        let local = format!("{mark}, local");
        second.send(&marked(LOCAL, ASKING, &local))?;
        ensure!(first.find(SOON, is_it(local.clone()))?.is_some(), "{local}: it did not arrive");
        let flooded = self.underlay.find(QUIET, is_it(local.clone()))?;
        ensure!(flooded.is_none(), "{local}: flooded to the peer");
        let remote = format!("{mark}, remote");
        second.send(&marked(REMOTE, ASKING, &remote))?;
        let found = self.underlay.find(SOON, is_it(remote.clone()))?;
        ensure!(found.is_some(), "{remote}: it did not arrive");
        let flooded = first.find(QUIET, is_it(remote.clone()))?;
        ensure!(flooded.is_none(), "{remote}: flooded to eth1");
        Ok(())
    }
}

fn neighbour(ours: &Overlay<'_>) -> Result<Option<()>> {
    let rows = ours.show("neighbours")?;
    let is_it = |row: &Value| row["ip"] == ADDRESS && row["mac"] == "02:00:00:00:00:01";
    Ok(rows.iter().any(is_it).then_some(()))
}

fn row(ours: &Overlay<'_>, mac: [u8; 6]) -> Result<Value> {
    let text = mac.map(|byte| format!("{byte:02x}")).join(":");
    let rows = ours.show("fdb")?;
    let row = rows.iter().find(|row| row["mac"] == text).cloned();
    row.with_context(|| format!("{text} is not known: {rows:?}\n{}", ours.log()))
}

/// Everything is where it was, and as old as it is.
fn check(ours: &Overlay<'_>, taught: Instant) -> Result<()> {
    for (mac, place) in [(LOCAL, "eth1"), (REMOTE, "peer")] {
        let least = taught.elapsed().as_secs_f64() - WRONG;
        let row = row(ours, mac)?;
        let most = taught.elapsed().as_secs_f64() + WRONG;
        let age = row["age"].as_f64().context("no age")?;
        ensure!(row["static"] == false, "{row}");
        ensure!(row["interface"] == place || row["peer"] == place, "{row}");
        ensure!(age >= least && age <= most, "not between {least} and {most} s: {row}");
    }
    let fixed = row(ours, STATIC)?;
    ensure!(fixed["static"] == true && fixed["loaded"] == false, "{fixed}");
    let loaded = row(ours, LOADED)?;
    ensure!(loaded["loaded"] == true && loaded["interface"] == "eth2", "{loaded}");
    neighbour(ours)?.with_context(|| format!("no neighbour: {:?}", ours.show("neighbours")))
}

fn file(bed: &Bed) -> PathBuf {
    PathBuf::from(format!("/run/overlay/{}.learnt", bed.ports.gateway.name()))
}

/// Whoever is killed has written down what he had learnt a moment before.
fn wait_for_file(bed: &Bed, since: SystemTime) -> Result<()> {
    wait_until("a file that is up to date", Duration::from_secs(10), || {
        let written = std::fs::metadata(file(bed)).ok()?.modified().ok()?;
        (written > since).then_some(())
    })
}

/// Where the next binary comes from; both ways to end at once, since most of it is waiting.
fn survives(name: &str, other: Option<&PathBuf>) -> Result<()> {
    let ends = [Signal::SIGTERM, Signal::SIGKILL];
    std::thread::scope(|scope| {
        let runs = ends.map(|signal| scope.spawn(move || ended_by(signal, name, other)));
        runs.into_iter().try_for_each(|run| run.join().ok().context("a panic")?)
    })
}

fn ended_by(signal: Signal, name: &str, other: Option<&PathBuf>) -> Result<()> {
    let bed = Bed::new()?;
    let mut ours = bed.start()?;
    let taught = bed.teach(&ours)?;
    wait_for_file(&bed, SystemTime::now())?;
    // Behind the last second, of which nobody knows when in it something was seen.
    std::thread::sleep(Duration::from_secs(2));
    let mode = std::fs::metadata(file(&bed))?.permissions().mode() & 0o777;
    ensure!(mode == 0o600, "the file has mode {mode:o}");
    check(&ours, taught).context("before")?;
    // The table of addresses has another size for the second successor, and another order with it.
    for (binary, node) in [(other.cloned(), ""), (None, "fdb_entries = 5000")] {
        std::fs::write(ours.config(), bed.config(node))?;
        match signal {
            Signal::SIGKILL => ours.kill()?,
            _ => ensure!(ours.end(signal)? == Some(0), "{}", ours.log()),
        }
        std::thread::sleep(AWAY);
        let what = format!("{name}, {signal}, to {binary:?}");
        ours.use_binary(binary);
        let begun = SystemTime::now();
        ours.restart()?;
        check(&ours, taught).with_context(|| what.clone())?;
        bed.is_reached(&format!("{name} {signal}"))?;
        check(&ours, taught).with_context(|| format!("{what}: later"))?;
        // The next one may be killed as soon as it has said that it is ready.
        wait_for_file(&bed, begun)?;
    }
    ours.down()?;
    ensure!(!file(&bed).exists(), "something was left behind");
    Ok(())
}

/// What is on the devices is not written down, for want of room; the rest is.
#[test]
fn a_file_that_cannot_be_written_at_the_end_costs_that_file_alone() -> Result<()> {
    if !require_root("a_file_that_cannot_be_written_at_the_end_costs_that_file_alone") {
        return Ok(());
    }
    let bed = Bed::new()?;
    let mut ours = bed.start()?;
    let taught = bed.teach(&ours)?;
    let blocked = file(&bed).with_extension("json.new");
    std::fs::create_dir(&blocked)?;
    let begun = SystemTime::now();
    let code = ours.end(Signal::SIGTERM);
    std::fs::remove_dir(&blocked)?;
    let log = ours.whole_log();
    ensure!(code? == Some(1), "{log}");
    let written = file(&bed).with_extension("json");
    let words = format!("cannot write {}: Is a directory", written.display());
    ensure!(log.contains(&words), "{log}");
    ensure!(log.contains("forwarding goes on without a daemon"), "{log}");
    wait_for_file(&bed, begun)?;
    ours.restart()?;
    check(&ours, taught)?;
    bed.is_reached("after a disk that was full")?;
    ours.down()
}

#[test]
fn what_was_learnt_survives_a_restart() -> Result<()> {
    if !require_root("what_was_learnt_survives_a_restart") {
        return Ok(());
    }
    survives("same", None)
}

#[test]
fn what_was_learnt_survives_another_layout() -> Result<()> {
    let name = "what_was_learnt_survives_another_layout";
    if !require_root(name) {
        return Ok(());
    }
    let Some(next) = next_layout() else {
        println!("SKIPPED {name}: OVERLAY_NEXT names no binary with another layout");
        return Ok(());
    };
    survives("other", Some(&next))?;

    // What makes no sense is left, and said.
    for damage in [&b"ovlearn\x01 and no more"[..], b"", b"\xff\xff\xff\xff\xff\xff\xff\xff\xff"] {
        let bed = Bed::new()?;
        let mut ours = bed.start()?;
        bed.teach(&ours)?;
        ours.end(Signal::SIGTERM)?;
        std::fs::write(file(&bed), damage)?;
        ours.use_binary(Some(next.clone()));
        ours.restart()?;
        let log = ours.log();
        for words in ["are lost, loaded ones too: ", "; cannot read "] {
            ensure!(log.contains(words), "{words} is not in: {log}");
        }
        ensure!(ours.place_of("blue", LOCAL)?.is_none(), "{:?}", ours.show("fdb")?);
    }
    Ok(())
}

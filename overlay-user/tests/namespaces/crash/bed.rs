//! A gateway that is followed, between a host of its own and a peer of the kernel's.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use nix::sys::signal::Signal;
use overlay_common::wire::Mac;
use overlay_testbed::{Cleanup, Scratch, TwoGateways, mac_of, run, veth, wait_until};
use serde_json::Value;

use super::objects::{self, Objects};
use super::state::{self, State};
use super::tracer::{At, End, Fault, Traced};
use crate::harness::{Modes, binary, overlay, ping, prepare_for_xdp, prepare_uplinks};

const START: Duration = Duration::from_secs(30);
/// That of the configuration.
const STATIC: [u8; 6] = [2, 0, 0, 0, 2, 2];
const SOON: Duration = Duration::from_secs(10);

/// What a gateway is started with.
#[derive(Clone, Debug)]
pub struct Version {
    pub binary: PathBuf,
    /// Its tables have another layout than those of the binary under test.
    pub is_next: bool,
}

impl Version {
    pub fn under_test() -> Self {
        Self { binary: binary().into(), is_next: false }
    }

    pub fn next(binary: PathBuf) -> Self {
        Self { binary, is_next: true }
    }
}

/// The gateway's surroundings.
pub struct Bed<'t> {
    testbed: &'t TwoGateways,
    modes: Modes,
    /// Features of the kernel that are not used.
    without: &'static str,
    scratch: Scratch,
    _cleanup: Cleanup,
}

impl<'t> Bed<'t> {
    pub fn new(testbed: &'t TwoGateways, modes: Modes, without: &'static str) -> Result<Self> {
        testbed.gw2.bridge_vxlan(TwoGateways::VNI, &[TwoGateways::VTEP1])?;
        testbed.gw2.netns.exec("ip addr add 192.0.2.3/24 dev eth0")?;
        // A port that comes and goes.
        veth(&testbed.gw1.netns, "eth2", &testbed.host1, "eth2")?;
        prepare_for_xdp(testbed, &[modes])?;
        prepare_uplinks(testbed, &[modes.0])?;
        let name = testbed.gw1.name.clone();
        // The namespace may be gone by then; what is pinned is not.
        let cleanup = Cleanup::new(move || {
            let mut down = std::process::Command::new(binary());
            let _ = run(down.args(["down", "--name", &name]));
        });
        Ok(Self { testbed, modes, without, scratch: Scratch::new()?, _cleanup: cleanup })
    }

    pub fn name(&self) -> &str {
        &self.testbed.gw1.name
    }

    /// Of the two configurations one has a port, a segment, a peer, a rule and a limit that the
    /// other has not, or has otherwise.
    pub fn write(&self, is_second: bool) -> Result<()> {
        let (uplink, access) = self.modes;
        let name = self.name();
        let (rule, limit) = if is_second { ("tcp", 90) } else { ("udp", 100) };
        let mut text = format!(
            r#"
[node]
name = "{name}"
vtep = "192.0.2.1"

[[uplink]]
interface = "eth0"
mode = "{uplink}"

[[segment]]
name = "blue"
vni = {vni}
[[segment.port]]
interface = "eth1"
mode = "{access}"
limit = {{ bits = {limit}000000000, macs = 64 }}
[[segment.fdb]]
mac = "02:00:00:00:02:02"
peer = "kernel"
[[segment.neighbour]]
ip = "10.0.0.77"
mac = "02:00:00:00:02:02"
[[segment.acl]]
direction = "in"
action = "permit"
protocol = "icmp"
[[segment.acl]]
direction = "in"
action = "deny"
protocol = "{rule}"

[[peer]]
name = "kernel"
vtep = "192.0.2.2"
segments = ["blue"]
"#,
            vni = TwoGateways::VNI,
        );
        if !is_second {
            text += &format!(
                r#"
[[vrf]]
name = "inside"
vni = 5000
[[vrf.route]]
prefix = "10.9.0.0/16"
peer = "second"

[[segment]]
name = "green"
vni = 200
vrf = "inside"
router = ["10.2.0.1/24", "fd00:2::1/64"]
[[segment.port]]
interface = "eth2"
mode = "{access}"
[[segment.port.host]]
mac = "02:00:00:00:00:05"
ip = ["10.2.0.5"]

[[peer]]
name = "second"
vtep = "192.0.2.3"
encap = "geneve"
segments = ["green"]
vrfs = ["inside"]
"#
            );
        }
        self.scratch.write("overlay.toml", text).map(drop)
    }

    /// Starts the daemon, which may come to nothing.
    pub fn launch(&self, version: &Version, fault: Option<At>) -> Result<Traced> {
        let mut command = self.testbed.gw1.netns.command(&version.binary.to_string_lossy());
        command.arg("run").arg("--config").arg(self.scratch.path().join("overlay.toml"));
        command.env("RUST_LOG", "info").env("NO_COLOR", "1").env("RUST_BACKTRACE", "0");
        command.env("OVERLAY_WITHOUT", self.without);
        Traced::start(command, fault)
    }

    /// Whether a daemon became ready before it ended.
    pub fn is_ready(&self, daemon: &Traced) -> Result<bool> {
        let words = format!("overlay: {} ready\n", self.name());
        let came = wait_until("end or readiness", START, || match daemon.end() {
            Some(_) => Some(false),
            None => daemon.output().contains(&words).then_some(true),
        });
        came.with_context(|| daemon.output())
    }

    /// Starts the daemon, and waits until it forwards.
    pub fn start(&self, version: &Version) -> Result<Traced> {
        let daemon = self.launch(version, None)?;
        let is_ready = self.is_ready(&daemon)?;
        ensure!(is_ready, "it ended with {:?}:\n{}", daemon.end(), daemon.output());
        self.settle().with_context(|| daemon.output())?;
        Ok(daemon)
    }

    /// Starts a daemon that is killed on its way; `None`: it was ready before, and was killed
    /// then.
    pub fn start_and_die(&self, version: &Version, number: usize) -> Result<Traced> {
        let daemon = self.launch(version, Some((number, Fault::Kill)))?;
        if self.is_ready(&daemon)? && daemon.hit().is_none() {
            daemon.signal(Signal::SIGKILL)?;
        }
        let end = daemon.wait(SOON)?;
        ensure!(
            end == End::Signal(Signal::SIGKILL),
            "it ended by itself: {end:?}\n{}",
            daemon.output()
        );
        Ok(daemon)
    }

    /// Until peers are reached, and what passes is learnt.
    pub fn settle(&self) -> Result<()> {
        wait_until("ready peers", SOON, || {
            let peers: Vec<Value> = serde_json::from_str(&self.show("peers").ok()?).ok()?;
            peers.iter().all(|peer| peer["state"] == "ready").then_some(())
        })?;
        // Who knows his neighbour asks nobody, and nobody hears who he is.
        self.testbed.host1.exec("ip neigh flush dev eth0")?;
        self.forwards()?;
        let hosts = self.hosts()?;
        for what in ["fdb", "neighbours"] {
            wait_until(&format!("both hosts in {what}"), SOON, || {
                let rows: Vec<Value> = serde_json::from_str(&self.show(what).ok()?).ok()?;
                let is_there =
                    |mac: &[u8; 6]| rows.iter().any(|row| row["mac"] == Mac(*mac).to_string());
                hosts.iter().all(is_there).then_some(())
            })
            .with_context(|| self.show(what).unwrap_or_default())?;
        }
        Ok(())
    }

    /// The stations of both hosts.
    fn hosts(&self) -> Result<[[u8; 6]; 2]> {
        let TwoGateways { host1, host2, .. } = self.testbed;
        Ok([mac_of(host1, "eth0")?, mac_of(host2, "eth0")?])
    }

    /// Frames pass in both directions.
    pub fn forwards(&self) -> Result<()> {
        ping(&self.testbed.host1, TwoGateways::HOST2)
    }

    /// Frames to and from the peer that passed so far.
    pub fn counted(&self) -> Result<[u64; 2]> {
        let peers: Vec<Value> = serde_json::from_str(&self.show("peers")?)?;
        let peer = peers.iter().find(|peer| peer["name"] == "kernel").context("no peer")?;
        let count = |key: &str| peer[key].as_u64().context("no count");
        Ok([count("rx_packets")?, count("tx_packets")?])
    }

    /// Fails where frames are missing of those that were counted before, and of the ten echoes that
    /// passed without a daemon and ten that passed since.
    pub fn has_counted_on(&self, before: &mut [u64; 2]) -> Result<()> {
        let now = self.counted()?;
        let least = before.map(|count| count + 20);
        let has = now.iter().zip(least).all(|(now, least)| *now >= least);
        ensure!(has, "counters stood at {before:?}, and after 20 echoes at {now:?}");
        *before = now;
        Ok(())
    }

    fn show(&self, what: &str) -> Result<String> {
        self.run(&["show", what, "--json"])
    }

    pub fn run(&self, arguments: &[&str]) -> Result<String> {
        run(overlay(&self.testbed.gw1.netns).args(arguments).args(["--name", self.name()]))
    }

    /// A command of the binary under test, followed.
    pub fn follow(&self, arguments: &[&str], fault: Option<At>) -> Result<Traced> {
        let mut command = overlay(&self.testbed.gw1.netns);
        command.args(arguments).args(["--name", self.name()]);
        Traced::start(command, fault)
    }

    pub fn state(&self, version: &Version) -> Result<State> {
        let show = |what: &str| self.show(what);
        let [one, other] = self.hosts()?;
        let state = State::of(&self.testbed.gw1.netns, self.name(), show, version.is_next)?;
        Ok(state.of_stations(&[one, other, STATIC]))
    }

    /// Fails unless the state is that, at once or in a moment: what is asked of the kernel at the
    /// start, such as whether redirected frames arrive, is answered in its own time.
    pub fn must_be(&self, version: &Version, reference: &State) -> Result<()> {
        let mut last = Ok(());
        let came = wait_until("state as configured", SOON, || {
            last = self.state(version).and_then(|state| state.must_be(reference));
            last.is_ok().then_some(())
        });
        last.and(came)
    }

    /// Fails unless nothing is left of an instance, and of what it held.
    pub fn is_clean(&self, held: &Objects) -> Result<()> {
        let left = state::left(&self.testbed.gw1.netns, self.name())?;
        ensure!(left.is_empty(), "left over: {left:#?}");
        gone(held)
    }

    /// `overlay down`, after which nothing is left.
    pub fn down(&self, held: &Objects) -> Result<()> {
        self.run(&["down"])?;
        self.is_clean(held)
    }
}

/// Waits until the kernel has let go of these: it does so in its own time.
pub fn gone(held: &Objects) -> Result<()> {
    let mut alive = held.clone();
    let came = wait_until("end of what is not used", SOON, || {
        alive = held.alive();
        alive.is_empty().then_some(())
    });
    if came.is_err() {
        let names: Vec<_> = alive.maps.iter().map(|id| objects::map_name(*id)).collect();
        bail!("still in the kernel: {alive:?}, of which maps {names:?}");
    }
    Ok(())
}

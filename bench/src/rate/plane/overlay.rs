//! This project's gateway, with everything on that is on by default, or with more.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use overlay_testbed::{Gateway, Process, Scratch, run, wait_until};
use overlay_user::instance::Instance;
use serde_json::Value;

use super::sight::Sight;
use super::{ACCESS, Running, Site, UPLINK};
use crate::features;
use crate::rate::bpf::Object;
use crate::rate::pin;
use crate::rate::population::{self, Population, text};

/// A gateway with ten thousand peers takes its time on a busy machine.
const START: Duration = Duration::from_secs(60);
/// What the names of threads that carry ports begin with.
const THREADS: &str = "port-";
/// What the daemon logs where somebody begins to look, and after the last one.
const WATCHED: &str = "frames are watched";
const NO_MORE: &str = "no more";
/// Addresses that the configuration holds; more are loaded once the daemon runs.
const CONFIGURED: u32 = 20_000;

/// The address that all local hosts send from.
const HOST: &str = "10.0.0.1";

/// A daemon, and the programs that let it have the generator's frames where its
/// own are on tc.
pub struct Overlay {
    binary: PathBuf,
    daemon: Process,
    _scratch: Scratch,
    _pass: Vec<Object>,
}

impl Overlay {
    /// Keeps programs as long as the daemon.
    pub fn with(self, pass: Vec<Object>) -> Self {
        Self { _pass: pass, ..self }
    }

    /// Puts the threads that carry ports on one CPU, in front of the generator: as for Open
    /// vSwitch, they work off each batch before the next is made.
    pub fn in_front_on(self, cpu: usize) -> Result<Self> {
        // A thread has its name from the moment on that it runs.
        let threads = wait_until("threads that carry two ports", START, || {
            self.threads().ok().filter(|threads| threads.len() >= 2)
        })?;
        threads.into_iter().try_for_each(|thread| pin::in_front(thread, cpu))?;
        Ok(self)
    }

    /// Waits until the programs that tell of frames are attached, or those that do not.
    fn wait_for_watch(&self, is_watched: bool) -> Result<()> {
        let what = if is_watched { "a trace to begin" } else { "a trace to end" };
        wait_until(what, START, || {
            let log = self.daemon.output();
            let last = log.lines().rfind(|line| line.contains(WATCHED));
            (last.is_some_and(|line| !line.contains(NO_MORE)) == is_watched).then_some(())
        })
        .with_context(|| self.daemon.output())
    }

    /// The threads that carry ports.
    fn threads(&self) -> Result<Vec<i32>> {
        let mut threads = Vec::new();
        for task in std::fs::read_dir(format!("/proc/{}/task", self.daemon.pid()))? {
            let task = task?;
            if std::fs::read_to_string(task.path().join("comm"))?.starts_with(THREADS) {
                threads.push(task.file_name().to_string_lossy().parse()?);
            }
        }
        Ok(threads)
    }
}

impl Running for Overlay {
    fn dropped(&self, gateway: &Gateway) -> Result<Option<u64>> {
        let drops = Client { gateway, binary: &self.binary }.show("drops")?;
        Ok(Some(drops.iter().filter_map(|drop| drop["packets"].as_u64()).sum()))
    }

    fn see(&self, gateway: &Gateway) -> Result<Sight> {
        let client = Client { gateway, binary: &self.binary };
        let trace = Process::spawn(client.command().args(["trace", "--name", &gateway.name]))?;
        self.wait_for_watch(true)?;
        Ok(Sight::new(trace, Instance::new(gateway.name.clone()).socket()))
    }

    fn see_no_more(&self, sight: Sight) -> Result<()> {
        let was_seen = sight.end();
        self.wait_for_watch(false)?;
        was_seen
    }
}

/// Starts a daemon with every port on one hook, and waits until it forwards.
pub fn start(site: &Site<'_>, mode: &str) -> Result<Overlay> {
    let scratch = Scratch::new()?;
    let is_loaded = site.population.entries > CONFIGURED;
    let file = scratch.write("overlay.toml", config(site, mode, !is_loaded))?;
    let client = Client { gateway: site.gateway, binary: site.overlay };
    let daemon = Process::spawn_gateway(client.command().arg("run").arg("--config").arg(file))?;
    wait_for_hooks(&client, &daemon, mode)?;
    if is_loaded {
        let file = scratch.write("fdb", entries(site.population))?;
        let mut load = client.command();
        load.args(["fdb", "load"]).arg(file).args(["--name", &site.gateway.name]);
        run(&mut load).with_context(|| daemon.output())?;
    }
    let binary = site.overlay.to_owned();
    Ok(Overlay { binary, daemon, _scratch: scratch, _pass: Vec::new() })
}

/// The configuration, with or without the addresses.
fn config(site: &Site<'_>, mode: &str, with_fdb: bool) -> String {
    let Site { gateway, population, features: more, .. } = *site;
    let mut text = format!(
        "[node]\nname = \"{}\"\nvtep = \"{}\"\n\n\
         [[uplink]]\ninterface = \"{UPLINK}\"\nmode = \"{mode}\"\n",
        gateway.name, gateway.vtep
    );
    if more {
        text += &features::before();
    }
    let mut fdb = if with_fdb { fdb(population) } else { Vec::new() };
    fdb.resize(population.segments as usize, String::new());
    for (segment, fdb) in (0..).zip(fdb) {
        let vni = population::vni(segment);
        let _ = write!(text, "\n[[segment]]\nname = \"s{segment}\"\nvni = {vni}\n");
        let is_featured = more && segment == 0;
        if is_featured {
            text += features::segment();
        }
        if segment < population.visited() {
            let vlan = vlan(population, segment);
            let _ = write!(
                text,
                "\n[[segment.port]]\ninterface = \"{ACCESS}\"\nmode = \"{mode}\"\n{vlan}"
            );
        }
        if is_featured {
            // All send from one address, which one host of a port may.
            if population.hosts() == 1 {
                text += &features::port(&population::text(population::local(0)), HOST);
            }
            text += &features::lists();
        }
        text.push_str(&fdb);
    }
    for (peer, segments) in (0..).zip(population.segments_of_peers()) {
        let segments: Vec<_> = segments.iter().map(|segment| format!("\"s{segment}\"")).collect();
        let (vtep, segments) = (population::vtep(peer), segments.join(", "));
        let _ = write!(
            text,
            "\n[[peer]]\nname = \"p{peer}\"\nvtep = \"{vtep}\"\nsegments = [{segments}]\n"
        );
    }
    text
}

/// The static addresses of each segment that has hosts.
fn fdb(population: &Population) -> Vec<String> {
    let mut tables = vec![String::new(); population.visited() as usize];
    for (segment, table) in (0..).zip(&mut tables) {
        let vlan = vlan(population, segment);
        for host in population.hosts_of(segment) {
            let mac = text(population::local(host));
            let _ = write!(
                table,
                "\n[[segment.fdb]]\nmac = \"{mac}\"\ninterface = \"{ACCESS}\"\n{vlan}"
            );
        }
    }
    for entry in 0..population.entries {
        let (mac, peer) = (text(population::remote(entry)), population.peer_of(entry));
        let table = &mut tables[population.segment_of(entry) as usize];
        let _ = write!(table, "\n[[segment.fdb]]\nmac = \"{mac}\"\npeer = \"p{peer}\"\n");
    }
    tables
}

fn vlan(population: &Population, segment: u32) -> String {
    population.vlan(segment).map(|vlan| format!("vlan = {vlan}\n")).unwrap_or_default()
}

/// The same addresses for `overlay fdb load`, where there is one segment.
fn entries(population: &Population) -> String {
    let mut lines = String::new();
    for host in population.hosts_of(0) {
        let _ = writeln!(lines, "s0 {} interface {ACCESS}", text(population::local(host)));
    }
    for entry in 0..population.entries {
        let mac = text(population::remote(entry));
        let _ = writeln!(lines, "s0 {mac} peer p{}", population.peer_of(entry));
    }
    lines
}

/// Waits until the ports are on the wanted hook and the peers can be sent to.
fn wait_for_hooks(client: &Client, daemon: &Process, mode: &str) -> Result<()> {
    let ready = wait_until("gateway ready to forward", START, || {
        if !daemon.is_running() {
            return Some(false);
        }
        let ports = client.show("ports").ok()?;
        let hook = if mode.starts_with("user") { "user" } else { mode };
        let hooked = ports.len() >= 2 && ports.iter().all(|port| port["hook"] == hook);
        let peers = client.show("peers").ok()?;
        (hooked && peers.iter().all(|peer| peer["state"] == "ready")).then_some(true)
    });
    match ready {
        Ok(true) => Ok(()),
        Ok(false) => bail!("overlay run ended:\n{}", daemon.output()),
        Err(error) => Err(error.context(daemon.output())),
    }
}

/// The `overlay` binary in the gateway's namespace.
struct Client<'a> {
    gateway: &'a Gateway,
    binary: &'a Path,
}

impl Client<'_> {
    fn command(&self) -> Command {
        self.gateway.netns.command(&self.binary.to_string_lossy())
    }

    /// A list of what the daemon shows.
    fn show(&self, what: &str) -> Result<Vec<Value>> {
        let mut command = self.command();
        command.args(["show", what, "--json", "--name", &self.gateway.name]);
        let text = run(&mut command)?;
        serde_json::from_str(&text).with_context(|| format!("overlay show {what}: {text}"))
    }
}

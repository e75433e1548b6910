//! Our gateway: a real `overlay run` process in a namespace.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::Signal;
use overlay_testbed::{Netns, Process, Scratch, run, wait_until};
use serde_json::Value;

/// The binary under test: cargo's, or in a guest the one that it was given.
pub fn binary() -> String {
    std::env::var("OVERLAY_BINARY").unwrap_or_else(|_| env!("CARGO_BIN_EXE_overlay").to_owned())
}

const START: Duration = Duration::from_secs(15);

/// A binary whose tables have another layout, which `cargo xtask test` builds; `None`: there is
/// none.
pub fn next_layout() -> Option<PathBuf> {
    std::env::var_os("OVERLAY_NEXT").map(PathBuf::from).filter(|path| path.is_file())
}

/// The binary, to be run in a namespace.
pub fn overlay(netns: &Netns) -> Command {
    of_binary(netns, &binary())
}

fn of_binary(netns: &Netns, binary: &str) -> Command {
    let mut command = netns.command(binary);
    command.env("NO_COLOR", "1");
    command
}

/// What `overlay doctor` finds.
pub fn doctor(netns: &Netns) -> Result<Value> {
    let text = run(overlay(netns).args(["doctor", "--json"]))?;
    serde_json::from_str(&text).context(text)
}

/// Whether the doctor finds a feature.
pub fn has_feature(netns: &Netns, name: &str) -> Result<bool> {
    let found = doctor(netns)?;
    let features = found["features"].as_array().context("no features")?;
    let feature = features.iter().find(|feature| feature["feature"] == name);
    feature.and_then(|feature| feature["here"].as_bool()).context("no such feature")
}

/// A running instance; dropping it ends it and removes what it attached, also
/// where the daemon was killed.
pub struct Overlay<'n> {
    netns: &'n Netns,
    name: String,
    config: PathBuf,
    process: Option<Process>,
    scratch: Scratch,
    /// Features of the kernel that it does without.
    without: &'static str,
    /// What is started in place of the binary under test.
    other: Option<PathBuf>,
    /// What processes of before have printed.
    past: String,
}

impl<'n> Overlay<'n> {
    /// Starts an instance and waits until it is ready, and answers. `name` must be the
    /// configuration's `node.name`.
    pub fn start(netns: &'n Netns, name: &str, config: &str) -> Result<Self> {
        Self::start_without("", netns, name, config)
    }

    /// The same on a kernel of which some features (with commas between them) are not
    /// used.
    pub fn start_without(
        without: &'static str,
        netns: &'n Netns,
        name: &str,
        config: &str,
    ) -> Result<Self> {
        let scratch = Scratch::new()?;
        let config = scratch.write("overlay.toml", config)?;
        let name = name.to_owned();
        let mut instance = Self {
            netns,
            name,
            config,
            process: None,
            scratch,
            without,
            other: None,
            past: String::new(),
        };
        instance.restart()?;
        Ok(instance)
    }

    /// From the next start on does without other features.
    pub fn do_without(&mut self, features: &'static str) {
        self.without = features;
    }

    /// From the next start on is another binary; `None`: the one under test.
    pub fn use_binary(&mut self, binary: Option<PathBuf>) {
        self.other = binary;
    }

    /// A copy of the binary under test: another file, as an upgrade brings it.
    pub fn other_binary(&self) -> Result<PathBuf> {
        let other = self.scratch.path().join("overlay");
        if !other.exists() {
            std::fs::copy(binary(), &other).context("copying the binary")?;
        }
        Ok(other)
    }

    /// `overlay run`, as this instance does.
    pub fn run_command(&self) -> Command {
        let binary = self.other.as_ref().map(|path| path.to_string_lossy().into_owned());
        let mut command = of_binary(self.netns, &binary.unwrap_or_else(self::binary));
        command.arg("run").arg("--config").arg(&self.config);
        command.env("RUST_LOG", "info").env("OVERLAY_WITHOUT", self.without);
        command
    }

    /// Starts the daemon (again), with no cleaning before.
    pub fn restart(&mut self) -> Result<()> {
        let mut command = self.run_command();
        let process = self.process.insert(Process::spawn_gateway(&mut command)?);
        let pid = process.pid();
        let words = format!("overlay: {} ready\n", self.name);
        // Its words are read, and nobody asks it before, which would cost it time.
        let ready = wait_until("ready instance", START, || {
            let running = self.is_running();
            (!running || self.log().contains(&words)).then_some(running)
        });
        match ready {
            Ok(true) => {}
            Ok(false) => bail!("overlay run ended at once:\n{}", self.log()),
            Err(error) => return Err(error.context(self.log())),
        }
        let status = self.status()?;
        ensure!(status["pid"] == pid, "process {pid} is ready, and another answers: {status}");
        Ok(())
    }

    fn status(&self) -> Result<Value> {
        let text = self.run(&["status", "--json"])?;
        serde_json::from_str(&text).context(text)
    }

    /// The configuration file.
    pub fn config(&self) -> &Path {
        &self.config
    }

    /// Replaces the configuration file and reloads it.
    pub fn reload(&self, config: &str) -> Result<String> {
        self.scratch.write("overlay.toml", config)?;
        self.run(&["reload"])
    }

    /// Runs a command against this instance.
    pub fn run(&self, arguments: &[&str]) -> Result<String> {
        run(overlay(self.netns).args(arguments).args(["--name", &self.name]))
    }

    /// `overlay show WHAT --json`.
    pub fn show(&self, what: &str) -> Result<Vec<Value>> {
        let text = self.run(&["show", what, "--json"])?;
        serde_json::from_str(&text).with_context(|| format!("show {what} --json: {text}"))
    }

    /// Dropped packets by reason, over every place and hook.
    pub fn drops(&self) -> Result<BTreeMap<String, u64>> {
        let mut sums = BTreeMap::new();
        for row in self.show("drops")? {
            let reason = row["reason"].as_str().context("a drop without a reason")?.to_owned();
            *sums.entry(reason).or_default() += row["packets"].as_u64().context("packets")?;
        }
        Ok(sums)
    }

    /// The hook of an interface's port, as shown.
    pub fn hook(&self, interface: &str) -> Result<String> {
        let ports = self.show("ports")?;
        let port = ports
            .iter()
            .find(|port| port["interface"] == interface || port["port"] == interface)
            .with_context(|| format!("no port {interface} in {ports:?}"))?;
        Ok(port["hook"].as_str().context("a port without a hook")?.to_owned())
    }

    /// Waits until every peer is ready to be sent to.
    pub fn wait_for_peers(&self) -> Result<()> {
        wait_until("ready state of every peer", Duration::from_secs(10), || {
            let peers = self.show("peers").ok()?;
            let is_ready = |peer: &Value| peer["state"] == "ready";
            (!peers.is_empty() && peers.iter().all(is_ready)).then_some(())
        })
        .with_context(|| format!("{:?}\n{}", self.show("peers"), self.log()))
    }

    /// Waits until the FDB places a MAC address of a segment at a peer or
    /// interface.
    pub fn wait_for_mac(&self, segment: &str, mac: [u8; 6], place: &str) -> Result<()> {
        wait_until(&format!("{segment} {mac:02x?} at {place}"), Duration::from_secs(3), || {
            (self.place_of(segment, mac).ok()??.as_str() == place).then_some(())
        })
        .with_context(|| format!("{:?}\n{}", self.show("fdb"), self.log()))
    }

    /// Where the FDB says a MAC address is: the peer's or the interface's name.
    pub fn place_of(&self, segment: &str, mac: [u8; 6]) -> Result<Option<String>> {
        let mac = mac.map(|byte| format!("{byte:02x}")).join(":");
        let entries = self.show("fdb")?;
        let entry = entries.iter().find(|entry| entry["segment"] == segment && entry["mac"] == mac);
        Ok(entry.and_then(|entry| {
            let peer = entry["peer"].as_str().filter(|peer| !peer.is_empty());
            peer.or(entry["interface"].as_str()).map(str::to_owned)
        }))
    }

    /// Ends the daemon without warning.
    pub fn kill(&mut self) -> Result<()> {
        let process = self.process.take().context("no daemon runs")?;
        process.signal(Signal::SIGKILL)?;
        process.wait(Duration::from_secs(5))?;
        self.past += &process.output();
        Ok(())
    }

    /// Asks the daemon to end with a signal and returns its exit code.
    pub fn end(&mut self, signal: Signal) -> Result<Option<i32>> {
        let process = self.process.take().context("no daemon runs")?;
        process.signal(signal)?;
        let status = process.wait(Duration::from_secs(10))?;
        self.past += &process.output();
        Ok(status.code())
    }

    /// Sends the daemon a signal that does not end it.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        self.process.as_ref().context("no daemon runs")?.signal(signal)
    }

    /// `overlay down`; afterwards the daemon must be gone.
    pub fn down(&mut self) -> Result<()> {
        self.run(&["down"])?;
        if let Some(process) = self.process.take() {
            let status = process.wait(Duration::from_secs(10))?;
            self.past += &process.output();
            ensure!(status.success(), "the daemon ended with {status}:\n{}", process.output());
        }
        Ok(())
    }

    /// What the daemon has printed.
    pub fn log(&self) -> String {
        self.process.as_ref().map(Process::output).unwrap_or_default()
    }

    /// What the daemon has printed, and those before it.
    pub fn whole_log(&self) -> String {
        format!("{}{}", self.past, self.log())
    }

    /// The process that runs.
    pub fn pid(&self) -> Option<u32> {
        self.process.as_ref().map(Process::pid)
    }

    /// Whether the daemon runs.
    pub fn is_running(&self) -> bool {
        self.process.as_ref().is_some_and(Process::is_running)
    }
}

impl Drop for Overlay<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- {} ---\n{}", self.name, self.log());
        }
        let clean = self.process.take().is_some_and(|process| {
            let ended =
                process.signal(Signal::SIGINT).and_then(|()| process.wait(Duration::from_secs(5)));
            ended.is_ok_and(|status| status.success())
        });
        if !clean {
            let _ = self.run(&["down"]);
        }
    }
}

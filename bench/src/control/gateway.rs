//! This project's gateway, with every default: its daemon, and the commands that
//! an operator would use.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use overlay_testbed::{Netns, Process, Scratch, run};

use super::addresses::{FIRST_PEER, NETWORK, PEERS, config, list};

/// The plane's name.
pub const PLANE: &str = "overlay";
/// A daemon with a large configuration takes its time on a busy machine.
const START: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(2);

/// A namespace with two devices, and the daemon that serves them.
pub struct Gateway {
    // The daemon detaches before its devices go.
    daemon: Option<Process>,
    binary: PathBuf,
    scratch: Scratch,
    netns: Netns,
}

impl Gateway {
    /// The devices, and neighbours that answer: nothing waits for address
    /// resolution.
    pub fn new(overlay: &Path) -> Result<Self> {
        let netns = Netns::new("control")?;
        for device in ["eth0", "eth1"] {
            netns.exec(&format!("ip link add {device} type veth peer name far-{device}"))?;
            netns.exec(&format!("ip link set far-{device} up"))?;
            netns.exec(&format!("ip link set {device} up"))?;
        }
        netns.exec(&format!("ip address add {NETWORK}.1/24 dev eth0"))?;
        for peer in FIRST_PEER..FIRST_PEER + PEERS {
            let mac = format!("lladdr 02:00:00:00:ff:{peer:02x}");
            netns.exec(&format!("ip neighbour add {NETWORK}.{peer} {mac} dev eth0"))?;
        }
        Ok(Self { daemon: None, binary: overlay.to_owned(), scratch: Scratch::new()?, netns })
    }

    /// The instance's name.
    pub fn name(&self) -> &str {
        self.netns.name()
    }

    /// The daemon's process.
    pub fn pid(&self) -> Result<u32> {
        Ok(self.daemon.as_ref().context("no daemon runs")?.pid())
    }

    /// Writes the configuration file, with this many static addresses.
    pub fn configure(&self, entries: usize, moved: bool) -> Result<PathBuf> {
        self.scratch.write("overlay.toml", config(self.name(), entries, moved))
    }

    /// Writes a list for `overlay fdb load`.
    pub fn list(&self, entries: usize) -> Result<PathBuf> {
        self.scratch.write("list", list(entries))
    }

    /// Starts the daemon, and says how long that took until it was ready.
    pub fn start(&mut self, config: &Path) -> Result<Duration> {
        let mut command = self.netns.command(&self.binary.to_string_lossy());
        command.arg("run").arg("--config").arg(config).env("RUST_LOG", "error");
        let ready = format!("overlay: {} ready", self.name());
        let begun = Instant::now();
        let daemon = self.daemon.insert(Process::spawn_gateway(&mut command)?);
        while !daemon.output().contains(&ready) {
            if !daemon.is_running() || begun.elapsed() > START {
                bail!("the daemon is not ready after {:?}:\n{}", begun.elapsed(), daemon.output());
            }
            std::thread::sleep(POLL);
        }
        Ok(begun.elapsed())
    }

    /// Ends the daemon, which detaches everything.
    pub fn stop(&mut self) {
        self.daemon = None;
    }

    /// Runs a command against the daemon, and says how long that took.
    pub fn time(&self, arguments: &[&str]) -> Result<Duration> {
        let mut command = Command::new(&self.binary);
        command.args(arguments).args(["--name", self.name()]);
        let begun = Instant::now();
        run(&mut command)
            .with_context(|| self.daemon.as_ref().map(Process::output).unwrap_or_default())?;
        Ok(begun.elapsed())
    }
}

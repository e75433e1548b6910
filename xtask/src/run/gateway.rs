//! A gateway of the testbed: an `overlay run` process and its commands.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use overlay_testbed::{Cleanup, Process, wait_until};
use serde_json::Value;

use super::kept::Kept;

/// How long a gateway may take until its programs are attached and its peer is
/// resolved.
const PATIENCE: Duration = Duration::from_secs(20);
/// Lines of the log that a failure shows.
const LOG_LINES: usize = 30;

/// A running gateway. Dropping it stops the process, which takes its programs
/// and pins along; what a killed one left is removed by `overlay down`.
pub struct Gateway {
    /// Its name in what is shown: `gw1`.
    pub label: &'static str,
    /// `node.name`.
    pub name: String,
    overlay: PathBuf,
    // Before `_down`: the process ends first.
    process: Process,
    _down: Cleanup,
}

impl Gateway {
    /// Writes the configuration and starts the process. Uplinks are on native
    /// XDP, the hook of wires; what `auto` gives a host's port is tc.
    pub fn start(
        overlay: &Path,
        label: &'static str,
        own: &overlay_testbed::Gateway,
        peer: &overlay_testbed::Gateway,
        kept: &Kept,
    ) -> Result<Self> {
        let config = own.config("xdp", "auto", &[(&peer.name, peer.vtep)]);
        let config = kept.write(&format!("{label}.toml"), &config)?;
        let down = {
            let (overlay, name) = (overlay.to_path_buf(), own.name.clone());
            Cleanup::new(move || down(&overlay, &name))
        };
        let mut command = own.netns.command(&overlay.to_string_lossy());
        let process = Process::spawn_gateway(command.args(["run", "--config"]).arg(&config))?;
        kept.add_process(process.pid(), &config)?;
        let overlay = overlay.to_path_buf();
        Ok(Self { label, name: own.name.clone(), overlay, process, _down: down })
    }

    /// Waits until every port has its programs and every peer its next hop.
    pub fn wait_until_ready(&self) -> Result<()> {
        let what = format!("ready gateway {}", self.label);
        let ready = wait_until(&what, PATIENCE, || {
            if self.has_ended() {
                return Some(false);
            }
            let (ports, peers) = (self.show("ports").ok()?, self.show("peers").ok()?);
            let attached =
                !ports.is_empty() && ports.iter().all(|port| !field(port, "hook").is_empty());
            let resolved = peers.iter().all(|peer| field(peer, "state") == "ready");
            (attached && resolved).then_some(true)
        });
        match ready {
            Ok(true) => Ok(()),
            Ok(false) => {
                self.print_log();
                bail!("gateway {} ended by itself", self.label)
            }
            Err(error) => {
                self.print_log();
                Err(error)
            }
        }
    }

    /// What `overlay show TOPIC --json` lists.
    pub fn show(&self, topic: &str) -> Result<Vec<Value>> {
        let mut command = Command::new(&self.overlay);
        command.args(["show", topic, "--json", "--name", &self.name]);
        let text = overlay_testbed::run(&mut command)?;
        serde_json::from_str(&text).with_context(|| format!("`overlay show {topic} --json`"))
    }

    /// Whether the process is gone.
    pub fn has_ended(&self) -> bool {
        !self.process.is_running()
    }

    /// Prints the end of the process's log.
    pub fn print_log(&self) {
        let output = self.process.output();
        let lines: Vec<_> = output.lines().collect();
        println!("    the last lines of {}'s log:", self.label);
        for line in &lines[lines.len().saturating_sub(LOG_LINES)..] {
            println!("      {line}");
        }
    }

    /// Leaves the process running.
    pub fn keep(self) {
        self._down.forget();
        self.process.keep();
    }
}

/// Removes what an instance left, if it left anything; says nothing.
pub fn down(overlay: &Path, name: &str) {
    let _ = overlay_testbed::run(Command::new(overlay).args(["down", "--name", name]));
}

/// A field of a JSON object as text for people: nothing for null, items joined.
pub fn field(object: &Value, key: &str) -> String {
    match &object[key] {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(items) => {
            let items =
                items.iter().map(|item| item.as_str().map_or(item.to_string(), str::to_owned));
            items.collect::<Vec<_>>().join(",")
        }
        other => other.to_string(),
    }
}

/// A field of a JSON object as a number, 0 where there is none.
pub fn number(object: &Value, key: &str) -> u64 {
    object[key].as_u64().unwrap_or(0)
}

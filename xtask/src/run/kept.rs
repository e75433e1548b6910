//! What a testbed is made of, written down so that it can be removed by another
//! run: after `--keep`, or after a run that was killed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

use anyhow::{Context, Result};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use overlay_testbed::{Cleanup, TwoGateways, wait_until};
use serde_json::{Value, json};

use super::gateway::{self, Gateway, field};
use crate::build;
use crate::workspace::Workspace;

/// The file in a testbed's folder.
const RECORD: &str = "testbed.json";

/// A testbed's folder: configuration files and the record. Dropping it deletes
/// the folder.
pub struct Kept {
    folder: PathBuf,
    record: Mutex<Value>,
    cleanup: Cleanup,
}

impl Kept {
    /// Records a testbed that was just made.
    pub fn of(workspace: &Workspace, bed: &TwoGateways) -> Result<Self> {
        let folder = home(workspace).join(std::process::id().to_string());
        fs::create_dir_all(&folder).with_context(|| format!("creating {}", folder.display()))?;
        let doomed = folder.clone();
        let cleanup = Cleanup::new(move || drop(fs::remove_dir_all(doomed)));
        let spaces = [&bed.host1, &bed.gw1.netns, &bed.gw2.netns, &bed.host2];
        let spaces = spaces.map(overlay_testbed::Netns::name);
        let record = json!({
            "owner": std::process::id(),
            "namespaces": spaces,
            "instances": [bed.gw1.name, bed.gw2.name],
            "processes": [],
        });
        let kept = Self { folder, record: Mutex::new(record), cleanup };
        kept.save()?;
        Ok(kept)
    }

    /// Writes a file into the folder and returns its path.
    pub fn write(&self, name: &str, contents: &str) -> Result<PathBuf> {
        let path = self.folder.join(name);
        fs::write(&path, contents).with_context(|| format!("writing {}", path.display()))?;
        Ok(path)
    }

    /// Records a process that was started with the configuration at `config`.
    pub fn add_process(&self, pid: u32, config: &Path) -> Result<()> {
        if let Ok(mut record) = self.record.lock()
            && let Some(processes) = record["processes"].as_array_mut()
        {
            processes.push(json!({"pid": pid, "config": config}));
        }
        self.save()
    }

    fn save(&self) -> Result<()> {
        let record = self.record.lock().map_or_else(|e| e.to_string(), |record| record.to_string());
        self.write(RECORD, &record).map(drop)
    }

    /// Leaves everything up, and says how to explore and how to remove it.
    pub fn keep(self, workspace: &Workspace, bed: TwoGateways, gateways: Vec<Gateway>) {
        let overlay = workspace.release(build::BINARY);
        print_commands(&overlay, &self.folder, &bed);
        gateways.into_iter().for_each(Gateway::keep);
        let TwoGateways { host1, gw1, gw2, host2 } = bed;
        for netns in [host1, gw1.netns, gw2.netns, host2] {
            netns.keep();
        }
        self.cleanup.forget();
    }
}

fn print_commands(overlay: &Path, folder: &Path, bed: &TwoGateways) {
    let (host1, host2) = (bed.host1.name(), bed.host2.name());
    let (gw1, peer, far) = (&bed.gw1.name, TwoGateways::VTEP2, TwoGateways::HOST2);
    println!(
        "
The testbed stays. Its gateways' configuration: {folder}/gw1.toml, gw2.toml

  overlay={overlay}
  $overlay show ports --name {gw1}       # also: segments, peers, fdb, drops; --json
  $overlay status --name {gw1}
  ip netns exec {host1} ping {far}
  ip netns exec {host2} iperf3 --server --daemon --one-off
  ip netns exec {host1} iperf3 --client {far}
  ip netns exec {gw1} ping {peer}          # the underlay, untouched beside the tunnel
  ip netns exec {host2} tcpdump -ni eth0
  bpftool prog show
  nsenter --net=/run/netns/{gw1} bpftool net

Remove it:

  cargo xtask run --clean",
        folder = folder.display(),
        overlay = overlay.display(),
    );
}

/// Removes every recorded testbed whose run has ended.
pub fn remove_all(workspace: &Workspace) -> Result<()> {
    let overlay = workspace.release(build::BINARY);
    let mut removed = 0;
    for entry in fs::read_dir(home(workspace)).into_iter().flatten() {
        let folder = entry?.path();
        let Ok(text) = fs::read_to_string(folder.join(RECORD)) else { continue };
        let record: Value = serde_json::from_str(&text)
            .with_context(|| format!("{} is not what a run wrote", folder.display()))?;
        if let Some(owner) = record["owner"].as_u64().filter(|pid| is_running_testbed(*pid)) {
            println!("testbed of process {owner}: it runs, and removes itself when it ends");
            continue;
        }
        remove(&overlay, &record)?;
        fs::remove_dir_all(&folder).with_context(|| format!("removing {}", folder.display()))?;
        removed += 1;
    }
    println!("{removed} testbeds removed");
    Ok(())
}

fn remove(overlay: &Path, record: &Value) -> Result<()> {
    let empty = Vec::new();
    let list = |key: &str| record[key].as_array().unwrap_or(&empty).iter();
    for process in list("processes") {
        end(process["pid"].as_i64().unwrap_or(0), &field(process, "config"));
    }
    for name in list("instances").filter_map(Value::as_str) {
        gateway::down(overlay, name);
    }
    for name in list("namespaces").filter_map(Value::as_str) {
        end_all_inside(name);
        let gone = overlay_testbed::run(Command::new("ip").args(["netns", "del", name]));
        println!("{name}: {}", if gone.is_ok() { "removed" } else { "was gone" });
    }
    remove_scratch(record["owner"].as_u64().unwrap_or(0))
}

/// Ends what else was started inside a namespace, such as an iperf3 server.
fn end_all_inside(namespace: &str) {
    let inside = overlay_testbed::run(Command::new("ip").args(["netns", "pids", namespace]));
    for pid in inside.unwrap_or_default().split_whitespace().filter_map(|pid| pid.parse().ok()) {
        let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
    }
}

/// Removes the temporary folders of a run, which hold its processes' logs.
fn remove_scratch(owner: u64) -> Result<()> {
    let prefix = format!("overlay-testbed-{owner}-");
    for entry in fs::read_dir(std::env::temp_dir())? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(&prefix) {
            fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}

/// Ends a recorded process, if it is still the one that was recorded.
fn end(pid: i64, config: &str) {
    let is_it = || {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&line).split('\0').any(|word| word == config)
    };
    let Ok(id) = i32::try_from(pid).map(Pid::from_raw) else { return };
    if config.is_empty() || !is_it() {
        return;
    }
    // At SIGTERM it would leave everything where it is.
    let _ = kill(id, Signal::SIGINT);
    let ended = wait_until("end of the gateway", std::time::Duration::from_secs(5), || {
        (!is_it()).then_some(())
    });
    if ended.is_err() {
        let _ = kill(id, Signal::SIGKILL);
    }
}

/// Whether a process is a `cargo xtask run` of somebody's.
fn is_running_testbed(pid: u64) -> bool {
    fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name.trim() == "xtask")
}

fn home(workspace: &Workspace) -> PathBuf {
    workspace.target.join("testbeds")
}

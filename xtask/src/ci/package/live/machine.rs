//! A Debian with systemd as its process 1, in namespaces of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use overlay_testbed::{Cleanup, Netns, Process, run, wait_until};

use super::cgroups;

/// How long a boot may take, beside a build.
const BOOT: Duration = Duration::from_secs(60);

/// What a gateway asks of the kernel that systemd-nspawn keeps from its guests.
const CALLS: &str = "bpf perf_event_open landlock_create_ruleset landlock_add_rule \
                     landlock_restrict_self";

/// Enters the control groups that are named before `--`, and becomes what is named behind it.
const IN_GROUPS: &str = "while [ \"$1\" != -- ]; do echo $$ >\"$1/cgroup.procs\" || exit; shift; \
                         done; shift; exec \"$@\"";

/// A booted machine; dropping it ends it, and nothing of it is left.
pub struct Machine {
    /// Its root, from outside.
    pub path: PathBuf,
    leader: u32,
    // Undone in this order.
    _processes: Cleanup,
    nspawn: Process,
    _groups: Vec<Cleanup>,
}

impl Machine {
    /// Boots the Debian at `path` in a network that is there already. Its BPF file system is
    /// its own, and goes with it: at first a folder where nothing is mounted.
    pub fn boot(path: PathBuf, netns: &Netns) -> Result<Self> {
        let groups = cgroups::make(netns.name())?;
        let mut command = Command::new("sh");
        command.args(["-c", IN_GROUPS, "-"]).args(&groups.paths).args(["--", "systemd-nspawn"]);
        command.arg("--directory").arg(&path).args(["--machine", netns.name(), "--boot"]);
        command.arg(format!("--network-namespace-path=/run/netns/{}", netns.name()));
        // systemd mounts nothing over this, and what is beneath it is as the kernel made it.
        command.arg("--tmpfs=/sys/fs/bpf");
        command.args(["--register=no", "--console=passive", "--capability=all"]);
        command.arg(format!("--system-call-filter={CALLS}"));
        if !groups.paths.is_empty() {
            command.arg("--keep-unit");
        }
        let nspawn = Process::spawn(&mut command)?;
        let pid = nspawn.pid();
        let processes = Cleanup::new(move || end(pid));
        let leader = wait_until("process 1", BOOT, || match leader(pid) {
            None if !nspawn.is_running() => Some(None),
            found => found.map(Some),
        })?;
        let leader = leader.with_context(|| nspawn.output()).context("nothing was started")?;
        let machine =
            Self { path, leader, _processes: processes, nspawn, _groups: groups.cleanups };
        machine.booted()?;
        machine.run("umount", &["/sys/fs/bpf"])?;
        Ok(machine)
    }

    fn booted(&self) -> Result<()> {
        let state = wait_until("end of the boot", BOOT, || {
            let output = self.command("systemctl").arg("is-system-running").output().ok()?;
            let state = String::from_utf8_lossy(&output.stdout).trim().to_owned();
            ["running", "degraded"].contains(&&*state).then_some(state)
        });
        let state = state.with_context(|| self.nspawn.output())?;
        ensure!(state == "running", "the bare machine is {state}: {}", self.failed()?);
        Ok(())
    }

    /// A command in it.
    pub fn command(&self, program: &str) -> Command {
        let mut nsenter = Command::new("nsenter");
        nsenter.args(["--target", &self.leader.to_string()]);
        nsenter.args(["--mount", "--uts", "--ipc", "--net", "--pid", "--root", "--wd", "--"]);
        nsenter.arg(program).env_clear().env("LC_ALL", "C.UTF-8");
        nsenter.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        nsenter.env("DEBIAN_FRONTEND", "noninteractive");
        nsenter
    }

    /// Runs a command in it, and returns what it printed.
    pub fn run(&self, program: &str, arguments: &[&str]) -> Result<String> {
        run(self.command(program).args(arguments))
    }

    /// Runs a command that is to fail, and returns everything that it printed.
    pub fn refused(&self, program: &str, arguments: &[&str]) -> Result<String> {
        let output = self.command(program).args(arguments).output()?;
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said).into_owned();
        if output.status.success() {
            bail!("`{program} {}` was to fail, and ended with 0: {said}", arguments.join(" "));
        }
        Ok(said)
    }

    /// A file of it, from outside.
    pub fn file(&self, path: &str) -> PathBuf {
        self.path.join(path.trim_start_matches('/'))
    }

    /// The units that have failed, a line each.
    pub fn failed(&self) -> Result<String> {
        self.run("systemctl", &["list-units", "--failed", "--plain", "--no-legend"])
    }
}

/// The process 1 that this systemd-nspawn has started, once it is systemd.
fn leader(nspawn: u32) -> Option<u32> {
    children(nspawn).into_iter().find(|pid| {
        let about = Path::new("/proc").join(pid.to_string());
        let first = status(&about, "NSpid:").is_some_and(|ids| ids.ends_with("\t1"));
        first && fs::read_to_string(about.join("comm")).is_ok_and(|name| name == "systemd\n")
    })
}

/// With their process 1 end all processes of a machine, and then systemd-nspawn.
fn end(nspawn: u32) {
    for child in children(nspawn) {
        let _ = kill(Pid::from_raw(child.cast_signed()), Signal::SIGKILL);
    }
    let gone = || children(nspawn).is_empty().then_some(());
    if let Err(error) = wait_until("end of the machine", BOOT, gone) {
        eprintln!("{error:#}");
    }
}

fn children(parent: u32) -> Vec<u32> {
    let parent = parent.to_string();
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    processes
        .filter(|entry| status(&entry.path(), "PPid:").is_some_and(|found| found == parent))
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect()
}

/// A value of a process' status.
fn status(process: &Path, key: &str) -> Option<String> {
    let text = fs::read_to_string(process.join("status")).ok()?;
    let value = text.lines().find_map(|line| line.strip_prefix(key))?;
    Some(value.trim().to_owned())
}

//! Where figures were taken: they mean nothing without.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

/// A machine and its kernel.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// The processor's model.
    pub cpu: String,
    /// How many cores this process may use.
    pub cores: usize,
    /// MiB of memory.
    pub memory: u64,
    /// Whether there is a hypervisor underneath.
    pub is_virtual: bool,
    /// The kernel's release.
    pub kernel: String,
    /// What the kernel does about each flaw of the processor that it has:
    /// `spectre_v2: Mitigation: Retpolines; …`.
    pub mitigations: Vec<String>,
    /// `net.core.bpf_jit_harden`: from 1 on, the JIT hides constants, at a cost.
    pub jit_hardening: Option<u32>,
    /// Open vSwitch's version, where it is installed.
    pub open_vswitch: Option<String>,
}

impl Machine {
    /// Looks at this machine.
    pub fn look() -> Result<Self> {
        let cpuinfo = read("/proc/cpuinfo")?;
        let jit_hardening = fs::read_to_string("/proc/sys/net/core/bpf_jit_harden").ok();
        Ok(Self {
            cpu: field(&cpuinfo, "model name").unwrap_or("unknown").to_owned(),
            cores: std::thread::available_parallelism()?.get(),
            memory: memory(&read("/proc/meminfo")?).context("/proc/meminfo has no MemTotal")?,
            is_virtual: field(&cpuinfo, "flags").is_some_and(|flags| flags.contains("hypervisor")),
            kernel: read("/proc/sys/kernel/osrelease")?.trim().to_owned(),
            mitigations: mitigations(),
            jit_hardening: jit_hardening.and_then(|text| text.trim().parse().ok()),
            open_vswitch: open_vswitch(),
        })
    }
}

fn read(path: &str) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("reading {path}"))
}

/// The value of the first line `key : value`.
fn field<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    text.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        (name.trim() == key).then_some(value.trim())
    })
}

/// MiB of `MemTotal: 8052736 kB`.
fn memory(meminfo: &str) -> Option<u64> {
    let kib: u64 = field(meminfo, "MemTotal")?.strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib / 1024)
}

/// Those flaws that concern this processor; none where the kernel does not tell.
fn mitigations() -> Vec<String> {
    let Ok(entries) = fs::read_dir("/sys/devices/system/cpu/vulnerabilities") else {
        return Vec::new();
    };
    let line = |entry: fs::DirEntry| {
        let state = fs::read_to_string(entry.path()).ok()?;
        let name = entry.file_name().to_string_lossy().into_owned();
        (state.trim() != "Not affected").then(|| format!("{name}: {}", state.trim()))
    };
    let mut lines: Vec<_> = entries.filter_map(|entry| line(entry.ok()?)).collect();
    lines.sort();
    lines
}

/// 3.1.0 of `ovs-vswitchd (Open vSwitch) 3.1.0`.
fn open_vswitch() -> Option<String> {
    if !overlay_testbed::ovs::is_installed() {
        return None;
    }
    let output = Command::new("ovs-vswitchd").arg("--version").output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    text.lines().next()?.split_whitespace().last().map(str::to_owned)
}

/// What was measured.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Commit {
    /// Its hash.
    pub hash: String,
    /// Whether files of it had been changed.
    pub dirty: bool,
}

impl Commit {
    /// The commit of the tree that this program was built from; `None` where it
    /// has no repository (any more).
    pub fn of_this_tree() -> Option<Self> {
        let hash = git(&["rev-parse", "HEAD"])?;
        let dirty = !git(&["status", "--porcelain", "--untracked-files=no"])?.is_empty();
        Some(Self { hash, dirty })
    }
}

fn git(args: &[&str]) -> Option<String> {
    let mut git = Command::new("git");
    let output = git.args(["-C", env!("CARGO_MANIFEST_DIR")]).args(args).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}

/// The load average (1, 5 and 15 minutes) around a run: what else was going on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Load {
    /// Before it.
    pub before: [f64; 3],
    /// After it; the run itself keeps a core busy.
    pub after: [f64; 3],
}

impl Load {
    /// The load average now.
    pub fn now() -> Result<[f64; 3]> {
        let text = read("/proc/loadavg")?;
        averages(&text).with_context(|| format!("/proc/loadavg says `{}`", text.trim()))
    }
}

fn averages(loadavg: &str) -> Option<[f64; 3]> {
    let mut words = loadavg.split_whitespace().map(|word| word.parse().ok());
    Some([words.next()??, words.next()??, words.next()??])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_proc() {
        let cpuinfo = "processor\t: 0\nmodel name\t: AMD EPYC\nflags\t\t: fpu hypervisor\n";
        assert_eq!(field(cpuinfo, "model name"), Some("AMD EPYC"));
        assert_eq!(field(cpuinfo, "model"), None);
        assert_eq!(memory("MemTotal:        8052736 kB\nMemFree: 1 kB\n"), Some(7864));
        assert_eq!(averages("1.48 0.80 1.35 2/345 6789\n"), Some([1.48, 0.80, 1.35]));
        assert_eq!(averages("1.48"), None);
    }

    #[test]
    fn this_machine_can_be_described() {
        let machine = Machine::look().unwrap();
        assert!(machine.cores > 0 && machine.memory > 0 && !machine.kernel.is_empty());
        assert!(Load::now().unwrap().iter().all(|load| *load >= 0.0));
    }
}

//! Memory and processor time, as /proc has them. Sizes are in MiB.

use std::collections::BTreeMap;
use std::fs;
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use aya::maps::MapData;
use overlay_user::dataplane::bpffs;
use overlay_user::dataplane::pins::Pins;

const MIB: f64 = (1 << 20) as f64;

/// A process's resident memory.
pub fn resident(pid: u32) -> Result<f64> {
    kib(&format!("/proc/{pid}/status"), "VmRSS").map(|size| size / 1024.0)
}

/// How long a process's threads were on a processor.
pub fn worked(pid: u32) -> Result<Duration> {
    let directory = format!("/proc/{pid}/task");
    let mut nanoseconds = 0;
    for task in fs::read_dir(&directory).with_context(|| format!("reading {directory}"))? {
        let path = task?.path().join("schedstat");
        // A thread may end while its directory is looked at.
        let Ok(text) = fs::read_to_string(&path) else { continue };
        let first = text.split_whitespace().next().unwrap_or_default();
        nanoseconds += first
            .parse::<u64>()
            .with_context(|| format!("{} begins with {first:?}", path.display()))?;
    }
    Ok(Duration::from_nanos(nanoseconds))
}

/// The memory of an instance's maps: those that are pinned, and those that its
/// daemon alone holds.
pub fn locked(instance: &str, pid: u32) -> Result<f64> {
    let bpffs = bpffs::find().context("no bpffs is mounted")?;
    let mut maps = BTreeMap::new();
    let pins = Pins::new(&bpffs, instance).maps();
    for pin in fs::read_dir(&pins).with_context(|| format!("reading {}", pins.display()))? {
        let data = MapData::from_pin(pin?.path())?;
        let descriptor = data.fd().as_fd().as_raw_fd();
        maps.extend(map(Path::new(&format!("/proc/self/fdinfo/{descriptor}"))));
    }
    let directory = format!("/proc/{pid}/fdinfo");
    for entry in fs::read_dir(&directory).with_context(|| format!("reading {directory}"))? {
        maps.extend(map(&entry?.path()));
    }
    Ok(maps.values().sum::<f64>() / MIB)
}

/// A map's identifier and the bytes that it takes, if this describes a map.
fn map(fdinfo: &Path) -> Option<(u64, f64)> {
    let text = fs::read_to_string(fdinfo).ok()?;
    let number = |key| text.lines().find_map(|line| line.strip_prefix(key)?.trim().parse().ok());
    let id: u64 = number("map_id:")?;
    let bytes: u64 = number("memlock:")?;
    Some((id, bytes as f64))
}

/// What the kernel has allocated for good and all: slabs that it cannot give back,
/// and large tables.
pub fn kernel_memory() -> Result<f64> {
    let meminfo = "/proc/meminfo";
    Ok((kib(meminfo, "SUnreclaim")? + kib(meminfo, "VmallocUsed")?) / 1024.0)
}

/// The value of a line `KEY: N kB`.
fn kib(file: &str, key: &str) -> Result<f64> {
    let text = fs::read_to_string(file).with_context(|| format!("reading {file}"))?;
    let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
    let size = line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse().ok());
    size.with_context(|| format!("{file} has no {key}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_there_and_has_worked() {
        let pid = std::process::id();
        assert!(resident(pid).unwrap() > 0.1);
        assert!(worked(pid).unwrap() > Duration::ZERO);
        assert!(kernel_memory().unwrap() > 1.0);
        assert!(kib("/proc/meminfo", "NoSuchLine").is_err());
    }
}

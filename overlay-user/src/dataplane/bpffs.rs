//! Finding the BPF file system that survives this process.
//!
//! Under `ip netns exec` the process has a mount namespace of its own with a
//! fresh /sys: a bpffs mounted there goes away with the process, and with it
//! the pins. The one that lasts is in the first process's mount namespace, or,
//! where that one is out of reach, in that of the oldest ancestor.

use std::fs::File;
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use anyhow::{Context as _, Result, anyhow, bail};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, setns};
use nix::sys::statfs::{BPF_FS_MAGIC, statfs};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, fork};

/// Where it is mounted by custom.
const PLACE: &str = "/sys/fs/bpf";

/// The bpffs to pin in, mounted if need be.
pub fn locate() -> Result<PathBuf> {
    if let Some(found) = find() {
        return Ok(found);
    }
    match outer_process() {
        None => mount_here()?,
        Some(pid) => mount_beside(&pid)?,
    }
    find()
        .ok_or_else(|| anyhow!("no BPF file system at {PLACE}; mount it: mount -t bpf bpf {PLACE}"))
}

/// The bpffs to pin in, if one is mounted. Found once, it stays the one: later, looking at
/// other processes may be beyond this one's privileges.
pub fn find() -> Option<PathBuf> {
    static FOUND: OnceLock<PathBuf> = OnceLock::new();
    if let Some(found) = FOUND.get() {
        return Some(found.clone());
    }
    look().map(|found| FOUND.get_or_init(|| found).clone())
}

fn look() -> Option<PathBuf> {
    let place = match outer_process() {
        None => PathBuf::from(PLACE),
        Some(pid) => PathBuf::from(format!("/proc/{pid}/root{PLACE}")),
    };
    is_bpffs(&place).then(|| hold(place))
}

/// How a path in the bpffs is called where it lasts.
pub fn display(path: &Path, bpffs: &Path) -> String {
    match path.strip_prefix(bpffs) {
        Ok(within) => Path::new(PLACE).join(within).display().to_string(),
        Err(_) => path.display().to_string(),
    }
}

fn is_bpffs(path: &Path) -> bool {
    statfs(path).is_ok_and(|fs| fs.filesystem_type() == BPF_FS_MAGIC)
}

/// A path that stays valid when the process through which it leads ends.
fn hold(place: PathBuf) -> PathBuf {
    static HELD: OnceLock<Option<File>> = OnceLock::new();
    if !place.starts_with("/proc") {
        return place;
    }
    match HELD.get_or_init(|| File::open(&place).ok()) {
        Some(directory) => PathBuf::from(format!("/proc/self/fd/{}", directory.as_raw_fd())),
        None => place,
    }
}

/// A process in the mount namespace that lasts, where that is not this one's.
fn outer_process() -> Option<String> {
    let own = mount_namespace("self")?;
    if let Some(first) = mount_namespace("1") {
        return (first != own).then(|| "1".to_owned());
    }
    // The topmost ancestor that may be looked at.
    let mut outer = None;
    let mut pid = parent("self")?;
    while pid != "0" && pid != "1" {
        match mount_namespace(&pid) {
            Some(namespace) => outer = (namespace != own).then(|| pid.clone()),
            None => break,
        }
        pid = parent(&pid)?;
    }
    outer
}

fn mount_namespace(pid: &str) -> Option<PathBuf> {
    std::fs::read_link(format!("/proc/{pid}/ns/mnt")).ok()
}

fn parent(pid: &str) -> Option<String> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("PPid:"))?;
    Some(line.trim().to_owned())
}

fn mount_here() -> Result<()> {
    mount(Some("bpf"), PLACE, Some("bpf"), MsFlags::empty(), None::<&str>)
        .with_context(|| format!("cannot mount a BPF file system at {PLACE}"))
}

/// Mounts it where another process sees it. A child does this, since a process
/// with threads cannot change its mount namespace.
fn mount_beside(pid: &str) -> Result<()> {
    let path = format!("/proc/{pid}/ns/mnt");
    let namespace = File::open(&path).with_context(|| format!("cannot open {path}"))?;
    // SAFETY: the child makes two system calls and exits; it touches no lock
    // and no allocator state that another thread may have held.
    match unsafe { fork() }.context("cannot fork")? {
        ForkResult::Child => {
            let mounted = setns(namespace.as_fd(), CloneFlags::CLONE_NEWNS).and_then(|()| {
                mount(Some("bpf"), PLACE, Some("bpf"), MsFlags::empty(), None::<&str>)
            });
            // SAFETY: ends the child without running the parent's exit handlers.
            unsafe { libc::_exit(i32::from(mounted.is_err())) }
        }
        ForkResult::Parent { child } => match waitpid(child, None) {
            Ok(WaitStatus::Exited(_, 0)) => Ok(()),
            _ => bail!(
                "cannot mount a BPF file system at {PLACE} of process {pid}; \
                 run outside `ip netns exec`: mount -t bpf bpf {PLACE}"
            ),
        },
    }
}

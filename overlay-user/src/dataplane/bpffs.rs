//! Finding the BPF file system that survives this process.
//!
//! Under `ip netns exec` the process has a mount namespace of its own with a
//! fresh /sys: a bpffs mounted there goes away with the process, and with it
//! the pins. The one that lasts is in the first process's mount namespace.

use std::fs::File;
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, setns};
use nix::sys::statfs::{BPF_FS_MAGIC, statfs};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, fork};

const HERE: &str = "/sys/fs/bpf";
const FIRST: &str = "/proc/1/root/sys/fs/bpf";

/// The bpffs to pin in, mounted if need be.
pub fn locate() -> Result<PathBuf> {
    if let Some(found) = find() {
        return Ok(found);
    }
    if same_mount_namespace_as_first() {
        mount_here()?;
    } else {
        mount_in_first()?;
    }
    match find() {
        Some(found) => Ok(found),
        None => bail!("no BPF file system at {HERE}; mount it: mount -t bpf bpf {HERE}"),
    }
}

/// The bpffs to pin in, if one is mounted.
pub fn find() -> Option<PathBuf> {
    let candidates: &[&str] =
        if same_mount_namespace_as_first() { &[HERE] } else { &[FIRST, HERE] };
    candidates.iter().map(Path::new).find(|path| is_bpffs(path)).map(Path::to_owned)
}

fn is_bpffs(path: &Path) -> bool {
    statfs(path).is_ok_and(|fs| fs.filesystem_type() == BPF_FS_MAGIC)
}

fn same_mount_namespace_as_first() -> bool {
    let link = |path| std::fs::read_link(path).ok();
    match (link("/proc/self/ns/mnt"), link("/proc/1/ns/mnt")) {
        (Some(own), Some(first)) => own == first,
        // Without the right to look at process 1 there is no choice.
        _ => true,
    }
}

fn mount_here() -> Result<()> {
    mount(Some("bpf"), HERE, Some("bpf"), MsFlags::empty(), None::<&str>)
        .with_context(|| format!("cannot mount a BPF file system at {HERE}"))
}

/// Mounts it where the first process sees it. A child does this, since a
/// process with threads cannot change its mount namespace.
fn mount_in_first() -> Result<()> {
    let namespace = File::open("/proc/1/ns/mnt").context("cannot open /proc/1/ns/mnt")?;
    // SAFETY: the child makes two system calls and exits; it touches no lock
    // and no allocator state that another thread may have held.
    match unsafe { fork() }.context("cannot fork")? {
        ForkResult::Child => {
            let mounted = setns(namespace.as_fd(), CloneFlags::CLONE_NEWNS).and_then(|()| {
                mount(Some("bpf"), HERE, Some("bpf"), MsFlags::empty(), None::<&str>)
            });
            // SAFETY: ends the child without running the parent's exit handlers.
            unsafe { libc::_exit(i32::from(mounted.is_err())) }
        }
        ForkResult::Parent { child } => match waitpid(child, None) {
            Ok(WaitStatus::Exited(_, 0)) => Ok(()),
            _ => bail!(
                "cannot mount a BPF file system at {HERE} of process 1; \
                 run outside `ip netns exec`: mount -t bpf bpf {HERE}"
            ),
        },
    }
}

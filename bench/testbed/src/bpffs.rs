//! The file system that BPF objects are pinned in.

use anyhow::{Context, Result};
use nix::mount::{MsFlags, mount};
use nix::sys::statfs::{BPF_FS_MAGIC, statfs};

const BPFFS: &str = "/sys/fs/bpf";

/// Mounts a bpffs at `/sys/fs/bpf`, unless one is there. It stays: it is the
/// machine's, as a distribution with systemd mounts it at boot.
pub fn ensure_bpffs() -> Result<()> {
    let found = statfs(BPFFS).with_context(|| format!("looking at {BPFFS}"))?;
    if found.filesystem_type() == BPF_FS_MAGIC {
        return Ok(());
    }
    mount(Some("bpf"), BPFFS, Some("bpf"), MsFlags::empty(), None::<&str>)
        .with_context(|| format!("mounting a bpffs at {BPFFS}"))
}

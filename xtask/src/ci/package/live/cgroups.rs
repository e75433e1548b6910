//! Control groups for a machine. Where systemd rules this machine, systemd-nspawn asks it for
//! them. Elsewhere it makes them in its own, beside those of everybody else, and leaves them there.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};
use overlay_testbed::{Cleanup, wait_until};

/// Where the hierarchies are whose groups systemd makes.
const ROOTS: &[&str] = &["/sys/fs/cgroup", "/sys/fs/cgroup/systemd", "/sys/fs/cgroup/unified"];

/// How long the last process of a group may take to be gone.
const PATIENCE: Duration = Duration::from_secs(10);

/// Groups for one machine.
#[derive(Default)]
pub struct Groups {
    /// Their folders.
    pub paths: Vec<PathBuf>,
    /// Removes them, with what was made in them.
    pub cleanups: Vec<Cleanup>,
}

/// Makes a group of this name in each hierarchy that is mounted.
pub fn make(name: &str) -> Result<Groups> {
    let mut groups = Groups::default();
    if Path::new("/run/systemd/system").exists() {
        return Ok(groups);
    }
    for root in ROOTS.iter().map(Path::new).filter(|root| root.join("cgroup.procs").exists()) {
        let (path, cleanup) = Cleanup::making(
            || {
                let path = root.join(name);
                fs::create_dir(&path)
                    .with_context(|| format!("cannot make the control group {}", path.display()))?;
                Ok(path)
            },
            |path| {
                let path = path.clone();
                move || {
                    let gone = || remove(&path).ok();
                    if wait_until("empty control groups", PATIENCE, gone).is_err() {
                        eprintln!("the control group {} stays", path.display());
                    }
                }
            },
        )?;
        groups.paths.push(path);
        groups.cleanups.push(cleanup);
    }
    Ok(groups)
}

/// Removes a group and those in it; what else is in their folders goes with them.
fn remove(group: &Path) -> std::io::Result<()> {
    for entry in fs::read_dir(group)?.flatten() {
        if entry.file_type()?.is_dir() {
            remove(&entry.path())?;
        }
    }
    fs::remove_dir(group)
}

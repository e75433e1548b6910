//! Temporary directories.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result};

use crate::cleanup::Cleanup;

static COUNTER: AtomicU32 = AtomicU32::new(0);

/// A directory of our own; dropping it deletes it with its contents.
#[derive(Debug)]
pub struct Scratch {
    path: PathBuf,
    cleanup: Cleanup,
}

impl Scratch {
    /// Makes an empty directory.
    pub fn new() -> Result<Self> {
        let number = COUNTER.fetch_add(1, Ordering::Relaxed);
        let name = format!("overlay-testbed-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        let create =
            || std::fs::create_dir(&path).with_context(|| format!("creating {}", path.display()));
        let ((), cleanup) = Cleanup::making(create, |()| {
            let doomed = path.clone();
            move || {
                let _ = std::fs::remove_dir_all(&doomed);
            }
        })?;
        Ok(Self { path, cleanup })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes a file in it and returns its path.
    pub fn write(&self, name: &str, contents: impl AsRef<[u8]>) -> Result<PathBuf> {
        let path = self.path.join(name);
        std::fs::write(&path, contents).with_context(|| format!("writing {}", path.display()))?;
        Ok(path)
    }

    /// Leaves it on the machine.
    pub fn keep(self) -> PathBuf {
        self.cleanup.forget();
        self.path
    }
}

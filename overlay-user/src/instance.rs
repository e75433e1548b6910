//! Where instances are found: `/run/overlay/NAME.sock`, and beside it the lock
//! that a living daemon holds and the state that it keeps.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

/// How long a dying process may hold its lock.
const PATIENCE: Duration = Duration::from_secs(5);

/// Where control sockets are.
pub const DIRECTORY: &str = "/run/overlay";

/// Makes [`DIRECTORY`], for its owner alone.
pub fn make_directory() -> Result<()> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(DIRECTORY)
        .with_context(|| format!("cannot create {DIRECTORY}"))
}

/// The files of an instance, whether it lives or not.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Instance {
    /// Its name.
    pub name: String,
}

impl Instance {
    /// The instance of this name.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into() }
    }

    /// Every instance that has left a socket or a state.
    pub fn all() -> Vec<Self> {
        let mut all: Vec<Self> = fs::read_dir(DIRECTORY)
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|entry| {
                let name = entry.file_name().into_string().ok()?;
                let name = name.strip_suffix(".sock").or_else(|| name.strip_suffix(".json"))?;
                Some(Self::new(name))
            })
            .collect();
        all.sort();
        all.dedup();
        all
    }

    /// The control socket.
    pub fn socket(&self) -> PathBuf {
        self.file("sock")
    }

    /// What was attached.
    pub fn state(&self) -> PathBuf {
        self.file("json")
    }

    /// What was learnt.
    pub fn learnt(&self) -> PathBuf {
        self.file("learnt")
    }

    fn file(&self, extension: &str) -> PathBuf {
        Path::new(DIRECTORY).join(format!("{}.{extension}", self.name))
    }

    /// Takes the instance's lock, which is held until the value is dropped or
    /// the process dies. A process that was killed is gone only when the kernel
    /// has freed what it held, so this waits for as long as `is_alive` says that
    /// nobody answers, up to a few seconds. `None`: a living process has it.
    pub async fn lock(&self, is_alive: impl AsyncFn() -> bool) -> Result<Option<Lock>> {
        let until = Instant::now() + PATIENCE;
        loop {
            match self.try_lock()? {
                Some(lock) => return Ok(Some(lock)),
                None if Instant::now() > until || is_alive().await => return Ok(None),
                None => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    }

    fn try_lock(&self) -> Result<Option<Lock>> {
        make_directory()?;
        let path = self.file("lock");
        loop {
            let file = OpenOptions::new()
                .create(true)
                .write(true)
                .truncate(false)
                .mode(0o600)
                .open(&path)
                .with_context(|| format!("cannot create {}", path.display()))?;
            let flock = match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
                Ok(flock) => flock,
                Err((_, Errno::EWOULDBLOCK)) => return Ok(None),
                Err((_, error)) => return Err(error).context("cannot lock the instance"),
            };
            // The former holder removes the file at its end: a lock on a file
            // that nobody else can open is none.
            if is_same_file(&flock, &path) {
                return Ok(Some(Lock { _flock: flock, path }));
            }
        }
    }
}

fn is_same_file(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    match (file.metadata(), fs::metadata(path)) {
        (Ok(a), Ok(b)) => (a.dev(), a.ino()) == (b.dev(), b.ino()),
        _ => false,
    }
}

/// An instance's lock.
#[derive(Debug)]
pub struct Lock {
    _flock: Flock<File>,
    path: PathBuf,
}

impl Drop for Lock {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

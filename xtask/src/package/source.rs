//! Which version is packaged, and of when: nothing else of the moment goes into a package.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::step::capture;
use crate::workspace::Workspace;

/// What says of when something is, everywhere.
pub const EPOCH: &str = "SOURCE_DATE_EPOCH";

/// A state of the source.
#[derive(Clone, Debug)]
pub struct Source {
    /// The workspace's version, `0.1.0`.
    pub version: String,
    /// Which package of this version it is.
    pub revision: u32,
    /// When it was committed, in seconds since 1970.
    pub epoch: u64,
}

impl Source {
    /// That of the workspace: `SOURCE_DATE_EPOCH` where it is set, else the last commit's
    /// time.
    pub fn of(workspace: &Workspace) -> Result<Self> {
        let epoch = match std::env::var(EPOCH) {
            Ok(given) => given,
            Err(_) => {
                let mut git = Command::new("git");
                git.arg("-C").arg(&workspace.root).args(["log", "-1", "--format=%ct"]);
                capture(&mut git).with_context(|| {
                    format!("the time of the last commit; where there is no git, set {EPOCH}")
                })?
            }
        };
        let epoch = epoch.trim().parse();
        let epoch = epoch.with_context(|| format!("{EPOCH} is not a number of seconds"))?;
        let version = env!("CARGO_PKG_VERSION").to_owned();
        Ok(Self { version, revision: 1, epoch })
    }

    /// The version with the package's, `0.1.0-1`.
    pub fn full(&self) -> String {
        format!("{}-{}", self.version, self.revision)
    }

    /// When it was, as `date` says it.
    pub fn date(&self, format: &str) -> Result<String> {
        let mut date = Command::new("date");
        date.env("LC_ALL", "C").arg("--utc").arg(format!("--date=@{}", self.epoch)).arg(format);
        Ok(capture(&mut date)?.trim().to_owned())
    }
}

/// The SHA-256 of a file, in hexadecimal.
pub fn hash(file: &Path) -> Result<String> {
    let line = capture(Command::new("sha256sum").arg(file))?;
    let hash = line.split_whitespace().next().context("sha256sum printed nothing")?;
    Ok(hash.trim_start_matches('\\').to_owned())
}

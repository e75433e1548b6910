//! Where the project is on this machine, and how its cargo is called.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::step;

/// The workspace's folders.
pub struct Workspace {
    /// The folder of the workspace's manifest.
    pub root: PathBuf,
    /// Where cargo puts what it builds.
    pub target: PathBuf,
}

impl Workspace {
    /// Finds the workspace that this program was built from.
    pub fn find() -> Result<Self> {
        // Cargo says where the package is when it runs it; the fallback is for
        // the program started by hand.
        let package = std::env::var_os("CARGO_MANIFEST_DIR")
            .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
        let root = package.parent().context("xtask is not inside a workspace")?.to_path_buf();
        let metadata = metadata(&root, &["--no-deps"])?;
        let target = metadata["target_directory"].as_str().context("cargo names no target")?;
        Ok(Self { target: PathBuf::from(target), root })
    }

    /// A cargo command on this workspace.
    pub fn cargo(&self, subcommand: &str) -> Command {
        let mut command = cargo();
        command.arg(subcommand).current_dir(&self.root);
        command
    }

    /// What cargo knows of the workspace and its dependencies.
    pub fn metadata(&self) -> Result<Value> {
        metadata(&self.root, &["--locked"])
    }

    /// A program of the release profile.
    pub fn release(&self, program: &str) -> PathBuf {
        self.target.join("release").join(program)
    }
}

/// The cargo that started this program.
pub fn cargo() -> Command {
    Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

fn metadata(root: &Path, args: &[&str]) -> Result<Value> {
    let mut command = cargo();
    command.args(["metadata", "--format-version", "1"]).args(args).current_dir(root);
    let text = step::capture(&mut command)?;
    serde_json::from_str(&text).context("cargo metadata printed something unexpected")
}

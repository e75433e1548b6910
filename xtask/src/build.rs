//! `cargo xtask build`: the `overlay` binary, with the BPF programs inside.

use std::path::PathBuf;

use anyhow::Result;

use crate::setup::{self, Scope};
use crate::step::{execute, step};
use crate::workspace::Workspace;

/// The package of the `overlay` binary.
pub const PACKAGE: &str = "overlay-user";
/// The binary's name.
pub const BINARY: &str = "overlay";

/// Sets up, builds, and says where the binary is.
pub fn run(workspace: &Workspace) -> Result<()> {
    setup::run(Scope::Build)?;
    overlay(workspace)?;
    let binary = workspace.release(BINARY);
    let size = std::fs::metadata(&binary)?.len() >> 20;
    println!("{} ({size} MiB, the BPF programs inside)", binary.display());
    Ok(())
}

/// Builds the binary in the release profile.
pub fn overlay(workspace: &Workspace) -> Result<()> {
    step("build overlay, with the BPF programs inside", || {
        execute(workspace.cargo("build").args(["--locked", "--release", "--package", PACKAGE]))
    })
}

/// Where the BPF programs are built: where the build script of the binary has
/// them built too.
pub fn bpf_dir(workspace: &Workspace) -> PathBuf {
    workspace.target.join("bpf-build")
}

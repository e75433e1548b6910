//! The binary of packages.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};
use bpf_build::{Origin, Remap, Toolchain};

use crate::build::{BINARY, PACKAGE};
use crate::step::{capture, execute, step};
use crate::workspace::Workspace;

/// How much the compiler takes pains, as a profile in the workspace's manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// For use: optimised over all crates at once.
    Packaged,
    /// For tests of packages, which do not mind how fast the daemon is.
    Quick,
}

impl Profile {
    fn name(self) -> &'static str {
        match self {
            Self::Packaged => "packaged",
            Self::Quick => "packaged-quick",
        }
    }
}

/// What was built.
#[derive(Clone, Debug)]
pub struct Built {
    /// The binary, without debug information and names.
    pub binary: PathBuf,
    /// What was taken from it.
    pub debug: PathBuf,
    /// The identity that both carry, in hexadecimal.
    pub id: String,
    /// What `overlay generate` wrote: `man/` and `completions/`.
    pub generated: PathBuf,
}

/// Builds it into `folder`, of which the path leaves no trace.
pub fn overlay(workspace: &Workspace, profile: Profile, folder: &Path) -> Result<Built> {
    let target = folder.join("build");
    step("build overlay for packages", || {
        let mut cargo = workspace.cargo("build");
        cargo.args(["--locked", "--package", PACKAGE, "--profile", profile.name()]);
        cargo.arg("--target-dir").arg(&target);
        // Crates have to be unpacked before their folders can be listed.
        execute(workspace.cargo("fetch").arg("--locked"))?;
        let remap = Remap::of(&workspace.root, &target, library().as_deref());
        cargo.env_remove("RUSTFLAGS");
        cargo.env("CARGO_ENCODED_RUSTFLAGS", remap.flags().join("\u{1f}"));
        cargo.env("CFLAGS", remap.c_flags().join(" "));
        execute(&mut cargo)
    })?;
    step("strip it, and write man pages and completions", || {
        finish(&target.join(profile.name()).join(BINARY), folder)
    })
}

/// The source of the host compiler's library, to which it puts names of its own where that is
/// installed.
fn library() -> Option<PathBuf> {
    let toolchain = Toolchain::find().ok().filter(|found| found.origin == Origin::Pinned)?;
    toolchain.library_source()
}

fn finish(built: &Path, folder: &Path) -> Result<Built> {
    let (binary, debug) = (folder.join(BINARY), folder.join("overlay.debug"));
    let mut keep = Command::new("objcopy");
    keep.args(["--only-keep-debug", "--compress-debug-sections"]);
    execute(keep.arg(built).arg(&debug))?;
    let mut strip = Command::new("strip");
    strip.args(["--strip-unneeded", "--remove-section=.comment", "-o"]);
    execute(strip.arg(&binary).arg(built))?;
    let generated = folder.join("generated");
    let _ = fs::remove_dir_all(&generated);
    execute(Command::new(&binary).arg("generate").arg(&generated))?;
    Ok(Built { id: identity(&binary)?, binary, debug, generated })
}

/// The build's identity in a binary.
fn identity(binary: &Path) -> Result<String> {
    let notes = capture(Command::new("readelf").env("LC_ALL", "C").arg("-n").arg(binary))?;
    let id = notes.lines().find_map(|line| line.trim().strip_prefix("Build ID: "));
    Ok(id.with_context(|| format!("{} has no build ID", binary.display()))?.trim().to_owned())
}

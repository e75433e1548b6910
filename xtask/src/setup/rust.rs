//! What comes from rustup and from cargo.

use std::process::Command;

use anyhow::{Context, Result};
use bpf_build::{Origin, Toolchain};

use super::{Scope, apt};
use crate::step::{execute, step};
use crate::tools::{CargoTool, DEBIAN_CLIPPY, DEBIAN_RUST};
use crate::workspace::cargo;

/// Whether the pinned version of a tool is there, and starts.
pub fn is_installed(tool: &CargoTool) -> bool {
    let (program, args) = (tool.probe[0], &tool.probe[1..]);
    let output = Command::new(program).args(args).output();
    output.is_ok_and(|output| {
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        text.split_whitespace().any(|word| word.trim_start_matches('v') == tool.version)
    })
}

/// Builds and installs a tool with cargo.
pub fn install(tool: &CargoTool) -> Result<()> {
    let what = format!("install {} {}: {}", tool.name, tool.version, tool.why);
    step(&what, || {
        let mut command = cargo();
        command
            .args(["install", tool.name, "--version", tool.version, "--force"])
            .args(tool.args)
            .envs(tool.env.iter().copied())
            // Its own build directory, and nothing of ours in its flags.
            .env_remove("CARGO_TARGET_DIR")
            .env_remove("RUSTFLAGS");
        execute(&mut command)
    })
}

/// Makes the source of the core library available, with which the BPF programs
/// are compiled.
pub fn library_source(scope: Scope) -> Result<()> {
    if Toolchain::find().is_err() {
        add_library_source()?;
    }
    let toolchain =
        Toolchain::find().context("the core library's source is installed, unusable")?;
    let clippy = &DEBIAN_CLIPPY;
    if toolchain.origin == Origin::Debian
        && scope >= clippy.scope
        && !apt::has_program(clippy.program)
    {
        apt::install(&[clippy])?;
    }
    Ok(())
}

fn add_library_source() -> Result<()> {
    let from_rustup = step("add rust-src: the BPF programs compile the core library", || {
        execute(Command::new("rustup").args(["component", "add", "rust-src"]))
    });
    if from_rustup.is_ok() && Toolchain::find().is_ok() {
        return Ok(());
    }
    step("rustup has no rust-src here: install Debian's compiler and its source", || {
        apt::install_named(DEBIAN_RUST)
    })
}

//! `cargo xtask ci`: everything that a change must pass.
//!
//! A step that fails does not keep the others from running: one run tells all
//! that is wrong.

mod direction;
mod fuzz;

use std::process::Command;

use anyhow::{Result, bail};

use crate::setup::{self, Scope};
use crate::step::{execute, step};
use crate::workspace::Workspace;
use crate::{build, run, test};

/// Where the manifest of the fuzz targets is, a workspace of its own.
const FUZZ_MANIFEST: &str = "fuzz/Cargo.toml";

/// A step's name and what it does.
type Check = (&'static str, fn(&Workspace) -> Result<()>);

/// In this order: the quick ones first.
const CHECKS: &[Check] = &[
    ("formatting (rustfmt)", formatting),
    ("dependency direction", direction::check),
    ("licences, bans and sources (cargo deny)", licences),
    ("lints of the host crates (clippy, warnings denied)", lints),
    ("lints of the BPF programs (clippy, warnings denied)", lints_of_bpf),
    ("API documentation (rustdoc, warnings denied)", documentation),
    ("the book (mdbook)", book),
    ("tests, none skipped", tests),
    ("fuzz targets build and run", fuzz::check),
    ("the demonstration (cargo xtask run)", demonstration),
];

/// Sets up and runs every check.
pub fn run(workspace: &Workspace) -> Result<()> {
    setup::run(Scope::Ci)?;
    let mut failed = Vec::new();
    for (name, check) in CHECKS {
        if let Err(error) = step(name, || check(workspace)) {
            println!("    {error:#}");
            failed.push(*name);
        }
    }
    if failed.is_empty() {
        println!("all {} checks passed", CHECKS.len());
        return Ok(());
    }
    bail!("{} of {} checks failed: {}", failed.len(), CHECKS.len(), failed.join("; "))
}

fn formatting(workspace: &Workspace) -> Result<()> {
    execute(workspace.cargo("fmt").args(["--all", "--check"]))?;
    execute(workspace.cargo("fmt").args(["--manifest-path", FUZZ_MANIFEST, "--check"]))
}

fn licences(workspace: &Workspace) -> Result<()> {
    let args = ["--locked", "--log-level", "error", "check", "licenses", "bans", "sources"];
    execute(workspace.cargo("deny").args(args))
}

fn lints(workspace: &Workspace) -> Result<()> {
    let deny = ["--", "-D", "warnings"];
    execute(workspace.cargo("clippy").args(["--locked", "--all-targets"]).args(deny))?;
    let fuzz = ["--locked", "--manifest-path", FUZZ_MANIFEST, "--target-dir"];
    execute(workspace.cargo("clippy").args(fuzz).arg(fuzz::target_dir(workspace)).args(deny))
}

fn lints_of_bpf(workspace: &Workspace) -> Result<()> {
    let target = build::bpf_dir(workspace);
    for package in [bpf_build::GATEWAY, bpf_build::BENCH] {
        let mut clippy = bpf_build::command(&workspace.root, package, &target, "clippy")?;
        execute(clippy.args(["--", "-D", "warnings"]))?;
    }
    Ok(())
}

fn documentation(workspace: &Workspace) -> Result<()> {
    let doc = ["--locked", "--no-deps"];
    execute(workspace.cargo("doc").args(doc).env("RUSTDOCFLAGS", "-D warnings"))
}

fn book(workspace: &Workspace) -> Result<()> {
    let mut mdbook = Command::new("mdbook");
    mdbook.arg("build").arg(workspace.root.join("docs"));
    execute(mdbook.arg("--dest-dir").arg(workspace.target.join("book")))
}

fn tests(workspace: &Workspace) -> Result<()> {
    test::all(workspace, &[])?.judge(true)
}

fn demonstration(workspace: &Workspace) -> Result<()> {
    run::demonstrate(workspace)
}

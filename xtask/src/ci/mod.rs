//! `cargo xtask ci`: everything that a change must pass.
//!
//! A step that fails does not keep the others from running: one run tells all
//! that is wrong.

mod bench;
mod coverage;
mod direction;
mod fuzz;
mod messages;
mod package;

use std::process::Command;

use anyhow::{Result, bail};

use crate::setup::{self, Scope};
use crate::step::{execute, step};
use crate::workspace::Workspace;
use crate::{build, campaign, run, test, vm};

/// Where the manifest of the fuzz targets is, a workspace of its own.
const FUZZ_MANIFEST: &str = "fuzz/Cargo.toml";

/// Arguments of the command.
#[derive(clap::Args)]
pub struct Args {
    /// Only these checks; all of them where none is named.
    #[arg(value_parser = CHECKS.iter().map(|check| check.name).collect::<Vec<_>>())]
    checks: Vec<String>,
}

/// One of the checks.
struct Check {
    /// Its name on the command line.
    name: &'static str,
    title: &'static str,
    check: fn(&Workspace) -> Result<()>,
}

/// In this order: the quick ones first.
const CHECKS: &[Check] = &[
    check("format", "formatting (rustfmt)", formatting),
    check("direction", "dependency direction", direction::check),
    check("messages", "a test meets every error message", messages::check),
    check("licences", "licences, bans and sources (cargo deny)", licences),
    check("lints", "lints of the host crates (clippy, warnings denied)", lints),
    check("lints-bpf", "lints of the BPF programs (clippy, warnings denied)", lints_of_bpf),
    check("api", "API documentation (rustdoc, warnings denied)", documentation),
    check("book", "the book (mdbook)", book),
    check(
        "baseline",
        "programs no larger than the baseline (bench/baseline.json)",
        bench::baseline,
    ),
    check("tests", "tests, none skipped", tests),
    check("coverage", "the vectors reach every line of the path", coverage::check),
    check("vm", "the kernels that users run (cargo xtask test --vm)", kernels),
    check("fuzz", "fuzz targets build and run", fuzz::check),
    check("campaign", "generated frames for a minute: host and programs agree", campaign::check),
    check("bench", "the benchmark measures (cargo xtask bench)", bench::smoke),
    check("package", "packages: install, upgrade, removal, pages, units", package::check),
    check("demonstration", "the demonstration (cargo xtask run)", demonstration),
];

const fn check(
    name: &'static str,
    title: &'static str,
    check: fn(&Workspace) -> Result<()>,
) -> Check {
    Check { name, title, check }
}

/// Sets up and runs the checks.
pub fn run(workspace: &Workspace, args: &Args) -> Result<()> {
    setup::run(Scope::Ci)?;
    let is_wanted = |check: &&Check| {
        args.checks.is_empty() || args.checks.iter().any(|name| name == check.name)
    };
    let wanted: Vec<&Check> = CHECKS.iter().filter(is_wanted).collect();
    let mut failed = Vec::new();
    for Check { name, title, check } in &wanted {
        if let Err(error) = step(title, || check(workspace)) {
            println!("    {error:#}");
            failed.push(*name);
        }
    }
    if failed.is_empty() {
        println!("{} of {} checks passed", wanted.len(), wanted.len());
        return Ok(());
    }
    bail!("{} of {} checks failed: {}", failed.len(), wanted.len(), failed.join(", "))
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
    // For contributors: the crates are not published, and tables of contents
    // name private modules.
    let doc = ["--locked", "--no-deps", "--document-private-items"];
    let flags = "-D warnings -A rustdoc::private-intra-doc-links";
    execute(workspace.cargo("doc").args(doc).env("RUSTDOCFLAGS", flags))
}

fn book(workspace: &Workspace) -> Result<()> {
    let mut mdbook = Command::new("mdbook");
    mdbook.arg("build").arg(workspace.root.join("docs"));
    execute(mdbook.arg("--dest-dir").arg(workspace.target.join("book")))
}

fn tests(workspace: &Workspace) -> Result<()> {
    test::all(workspace, &[])?.judge(true)
}

fn kernels(workspace: &Workspace) -> Result<()> {
    vm::run(workspace, &vm::VmArgs::every_change())
}

fn demonstration(workspace: &Workspace) -> Result<()> {
    run::demonstrate(workspace)
}

//! `cargo xtask setup`: finds or installs what the other commands need.
//!
//! It looks first, and installs only what is missing, saying what and why. With
//! nothing missing it takes a second and needs no network and no privilege.

mod apt;
mod rust;

use anyhow::Result;

use crate::tools::{CARGO_TOOLS, PACKAGES, Package, QUIET_PACKAGES};

/// What tools are for; each scope includes those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Scope {
    /// Building the `overlay` binary.
    Build,
    /// Running the demonstration testbed.
    Run,
    /// Running the tests.
    Test,
    /// Everything that `cargo xtask ci` checks.
    Ci,
}

/// Makes the tools of `scope` available.
pub fn run(scope: Scope) -> Result<()> {
    let tools: Vec<_> = CARGO_TOOLS
        .iter()
        .filter(|tool| tool.scope <= scope && !rust::is_installed(tool))
        .collect();
    let mut packages: Vec<&Package> = PACKAGES.iter().filter(|p| p.scope <= scope).collect();
    packages.extend(tools.iter().flat_map(|tool| tool.needs));
    packages.retain(|package| !apt::has_program(package.program));
    packages.dedup_by_key(|package| package.name);
    if !packages.is_empty() {
        apt::install(&packages)?;
    }
    for package in QUIET_PACKAGES.iter().filter(|package| package.scope <= scope) {
        optional(package);
    }
    rust::library_source(scope)?;
    for tool in tools {
        rust::install(tool)?;
    }
    println!("==> setup: the tools for `{}` are there", name(scope));
    Ok(())
}

/// Makes packages available that only one command needs. They bring no services.
pub fn also(packages: &[Package]) -> Result<()> {
    let missing: Vec<&Package> =
        packages.iter().filter(|package| !apt::has_program(package.program)).collect();
    if missing.is_empty() { Ok(()) } else { apt::install(&missing) }
}

/// The same for one whose services are not to be started.
pub fn also_without_starting(package: &Package) -> Result<()> {
    if apt::has_program(package.program) {
        return Ok(());
    }
    apt::install_without_starting(package)
}

/// Installs what a command can do without, where that is possible.
pub fn optional(package: &Package) {
    if let Err(error) = also_without_starting(package) {
        println!("    going on without {}: {error:#}", package.name);
    }
}

fn name(scope: Scope) -> &'static str {
    match scope {
        Scope::Build => "build",
        Scope::Run => "run",
        Scope::Test => "test",
        Scope::Ci => "ci",
    }
}

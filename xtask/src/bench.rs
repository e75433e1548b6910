//! `cargo xtask bench`: builds the benchmark in the release profile and becomes
//! it.

use std::os::unix::process::CommandExt;
use std::process::Command;

use anyhow::{Context, Result};

use crate::setup::{self, Scope};
use crate::step::{execute, step};
use crate::tools::OPEN_VSWITCH;
use crate::workspace::Workspace;

/// The benchmark's package and binary.
const PACKAGE: &str = "overlay-bench";

/// Arguments of the command.
#[derive(clap::Args)]
pub struct Args {
    /// Passed on to the benchmark; `--help` there tells what it takes.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    args: Vec<String>,
}

/// Sets up, builds and runs the benchmark.
pub fn run(workspace: &Workspace, args: &Args) -> Result<()> {
    setup::run(Scope::Run)?;
    setup::optional(&OPEN_VSWITCH);
    step("build the gateway and the benchmark", || {
        let packages = ["--package", "overlay-user", "--package", PACKAGE];
        execute(workspace.cargo("build").args(["--locked", "--release"]).args(packages))
    })?;
    let mut bench = Command::new(workspace.release(PACKAGE));
    Err(bench.args(&args.args).exec()).context("cannot start the benchmark")
}

//! The project's own commands: `cargo xtask COMMAND`.
//!
//! Each command sets up what it needs and nothing more, so that any of them may
//! be the first on a bare machine.

mod bench;
mod build;
mod campaign;
mod ci;
mod package;
mod pictures;
mod run;
mod setup;
mod step;
mod test;
mod tools;
mod vm;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use setup::Scope;
use workspace::Workspace;

/// The project's own commands.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Finds or installs the tools that the other commands need.
    Setup {
        /// What the tools are for: each scope includes those before it.
        #[arg(value_enum, default_value_t = Scope::Test)]
        scope: Scope,
    },
    /// Builds the `overlay` binary, with the BPF programs inside.
    Build,
    /// Brings up two gateways and two hosts on this machine, and sends traffic
    /// across.
    Run(run::Args),
    /// Runs every test, and counts those that cannot run here; or, with --vm, the
    /// privileged ones on other kernels.
    Test(test::Args),
    /// Runs everything that a change must pass.
    Ci(ci::Args),
    /// Sends generated frames through the host's path and the kernel's programs, which
    /// must agree.
    Campaign(campaign::Args),
    /// Makes a .deb and an .rpm: reproducibly.
    Package(package::Args),
    /// Makes the pictures of the book anew, from real runs.
    Pictures,
    /// Measures this gateway beside other data planes.
    Bench(bench::Args),
}

fn main() -> ExitCode {
    match execute(Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn execute(cli: Cli) -> anyhow::Result<()> {
    let workspace = Workspace::find()?;
    match cli.command {
        Command::Setup { scope } => setup::run(scope),
        Command::Build => build::run(&workspace),
        Command::Run(args) => run::run(&workspace, &args),
        Command::Test(args) => test::run(&workspace, &args),
        Command::Ci(args) => ci::run(&workspace, &args),
        Command::Campaign(args) => campaign::run(&workspace, &args),
        Command::Package(args) => package::run(&workspace, &args),
        Command::Pictures => pictures::run(&workspace),
        Command::Bench(args) => bench::run(&workspace, &args),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}

//! `cargo xtask campaign`: builds the campaign and runs it.
//!
//! In a profile of its own: optimised, since it then runs tens of times as many frames, and with
//! overflow and assertions checked.

use std::process::Command;

use anyhow::Result;

use crate::setup::{self, Scope};
use crate::step::{execute, step};
use crate::workspace::Workspace;

/// The campaign's package and binary.
const PACKAGE: &str = "overlay-proof";

/// The profile that it is built in.
const PROFILE: &str = "campaign";

/// Arguments of the command.
#[derive(clap::Args)]
pub struct Args {
    /// Passed on to the campaign; `--help` there tells what it takes.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    args: Vec<String>,
}

/// Sets up, builds and runs a campaign.
pub fn run(workspace: &Workspace, args: &Args) -> Result<()> {
    setup::run(Scope::Test)?;
    campaign(workspace, &args.args)
}

/// A short one.
pub fn check(workspace: &Workspace) -> Result<()> {
    campaign(workspace, &["--minutes".to_owned(), "1".to_owned()])
}

fn campaign(workspace: &Workspace, args: &[String]) -> Result<()> {
    step("build the campaign", || {
        let build = ["--locked", "--profile", PROFILE, "--package", PACKAGE];
        execute(workspace.cargo("build").args(build))
    })?;
    execute(Command::new(workspace.target.join(PROFILE).join(PACKAGE)).args(args))
}

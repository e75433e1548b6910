//! The benchmark, as far as it can be judged on any machine: figures that do not
//! depend on how fast it is, and whether measuring works at all.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::step::{execute, line};
use crate::workspace::Workspace;

/// Scenarios that stand for the others, each for a moment.
const SMOKE: &[&str] = &["--quick", "--rounds", "1", "--milliseconds", "50"];
const SCENARIOS: &[&str] = &["rate direction=encap", "tcp-rr"];

/// Compares the programs' sizes and instruction counts with those that are kept.
pub fn baseline(workspace: &Workspace) -> Result<()> {
    execute(bench(workspace)?.arg("--baseline"))
}

/// Measures a little; not how much, but that it can be.
pub fn smoke(workspace: &Workspace) -> Result<()> {
    let mut command = bench(workspace)?;
    command.args(SMOKE).args(["--json", "-"]);
    command.args(SCENARIOS.iter().flat_map(|title| ["--only", title]));
    // Its exit code says whether targets are met, which a busy machine may miss.
    let output = command.stderr(std::process::Stdio::inherit()).output();
    let output = output.with_context(|| format!("cannot start {}", line(&command)))?;
    let run: Value = serde_json::from_slice(&output.stdout).context("the benchmark's JSON")?;
    let failures = run["failures"].as_array().context("a run without `failures`")?;
    ensure!(failures.is_empty(), "not measured: {failures:?}");
    ensure!(run["series"].as_array().is_some_and(|series| !series.is_empty()), "nothing measured");
    Ok(())
}

/// The benchmark in the profile that tests are built in.
fn bench(workspace: &Workspace) -> Result<Command> {
    let packages = ["--package", "overlay-user", "--package", "overlay-bench"];
    execute(workspace.cargo("build").arg("--locked").args(packages))?;
    Ok(Command::new(workspace.target.join("debug").join("overlay-bench")))
}

//! The fuzz targets, each for a short while: enough to know that they build and
//! run, and to meet what a shallow search finds.

use std::path::PathBuf;

use anyhow::{Result, ensure};

use crate::step::{capture, execute, step};
use crate::workspace::Workspace;

/// Seconds for each target.
const SECONDS: u32 = 12;

/// Where the fuzz targets are built: instrumented, so apart from everything else.
pub fn target_dir(workspace: &Workspace) -> PathBuf {
    workspace.target.join("fuzz")
}

/// Builds and runs every target.
pub fn check(workspace: &Workspace) -> Result<()> {
    let listed = capture(workspace.cargo("fuzz").args(["list"]))?;
    let targets: Vec<&str> = listed.split_whitespace().collect();
    ensure!(!targets.is_empty(), "cargo fuzz lists no target");
    for target in targets {
        step(&format!("fuzz {target} for {SECONDS} s"), || {
            // The sanitizer's flags are unstable; the compiler stays the pinned one.
            let mut fuzz = workspace.cargo("fuzz");
            fuzz.env("RUSTC_BOOTSTRAP", "1").args(["run", target, "--target-dir"]);
            fuzz.arg(target_dir(workspace));
            // What is found goes into the first directory; the other says what is usual.
            let (corpus, seeds) = (corpus(workspace, target)?, seeds(workspace, target));
            fuzz.arg(corpus).args(seeds).arg("--");
            execute(fuzz.args([
                &format!("-max_total_time={SECONDS}"),
                "-print_final_stats=1",
                "-verbosity=0",
            ]))
        })?;
    }
    Ok(())
}

fn corpus(workspace: &Workspace, target: &str) -> Result<PathBuf> {
    let corpus = workspace.root.join("fuzz/corpus").join(target);
    std::fs::create_dir_all(&corpus)?;
    Ok(corpus)
}

/// Inputs from which a search begins, where it would not find that form by itself.
fn seeds(workspace: &Workspace, target: &str) -> Option<PathBuf> {
    let seeds = workspace.root.join("fuzz/seeds").join(target);
    seeds.is_dir().then_some(seeds)
}

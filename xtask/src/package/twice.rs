//! Whether two builds in two places are the same, bit by bit.
//!
//! The second place is a copy of the sources under another path, with a target folder of its
//! own under yet another name: nothing is shared but the compiler and the crates.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};

use super::build::Profile;
use super::source::{self, Source};
use super::{Format, build, make};
use crate::step::{capture, execute, step};
use crate::workspace::Workspace;

/// Builds everything once more and compares it with what was `made`.
pub fn compare(
    workspace: &Workspace,
    profile: Profile,
    source: &Source,
    formats: &[Format],
    made: &[PathBuf],
) -> Result<()> {
    // Out of the workspace: cargo would take it for a part of it.
    let scratch = overlay_testbed::Scratch::new()?;
    let copy =
        Workspace { root: scratch.path().join("elsewhere"), target: scratch.path().join("built") };
    copy_sources(&workspace.root, &copy.root)?;
    let built = build::overlay(&copy, profile, &copy.target)?;
    let again = make(&copy, &built, source, formats, &copy.target)?;
    step("compare the two", || differences(made, &again))
}

/// What git knows and what it would add: neither what was built nor what was left lying about.
fn copy_sources(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    let mut list = Command::new("git");
    list.arg("-C").arg(from).args(["ls-files", "--cached", "--others", "--exclude-standard", "-z"]);
    for name in capture(&mut list)?.split('\0').filter(|name| !name.is_empty()) {
        let (file, copy) = (from.join(name), to.join(name));
        if !file.exists() {
            continue;
        }
        fs::create_dir_all(copy.parent().context("a file without a folder")?)?;
        execute(Command::new("cp").arg("--no-dereference").args([&file, &copy]))?;
    }
    Ok(())
}

fn differences(first: &[PathBuf], second: &[PathBuf]) -> Result<()> {
    ensure!(first.len() == second.len(), "{} packages, and {}", first.len(), second.len());
    let mut different = Vec::new();
    for (first, second) in first.iter().zip(second) {
        let hashes = (source::hash(first)?, source::hash(second)?);
        if hashes.0 != hashes.1 {
            let name = first.file_name().unwrap_or_default().to_string_lossy();
            different.push(format!("{name}: {} and {}", hashes.0, hashes.1));
        }
    }
    if different.is_empty() {
        println!("    {} packages, twice the same", first.len());
        return Ok(());
    }
    bail!("two builds differ:\n      {}", different.join("\n      "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_is_named() {
        let scratch = overlay_testbed::Scratch::new().unwrap();
        let [a, b, c] = [("a", "1"), ("b", "1"), ("c", "2")]
            .map(|(name, content)| scratch.write(name, content).unwrap());
        let [first, same, other] = [[a.clone(), b.clone()], [b.clone(), a.clone()], [a, c]];
        differences(&first, &same).unwrap();
        let error = differences(&first, &other).unwrap_err().to_string();
        assert!(error.contains("b: "), "{error}");
    }
}

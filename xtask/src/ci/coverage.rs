//! How much of the packet path the conformance vectors reach: every line.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::step::{capture, execute};
use crate::tools::LLVM;
use crate::workspace::Workspace;

/// What has to be reached.
const PATH: &str = "overlay-common/src/path";
/// Run by the vectors that need no kernel.
const TESTS: &[&str] = &["hand_picked", "handed"];
/// Compiles like the compiler, and has what it compiles count.
const WRAPPER: &str = "#!/bin/sh\nexec \"$@\" -C instrument-coverage\n";

/// Runs the vectors on the host, counted, and names each line of the path that none reached.
pub fn check(workspace: &Workspace) -> Result<()> {
    let folder = workspace.target.join("coverage");
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder)?;
    let test = build(workspace, &folder)?;
    let counts = folder.join("run.profraw");
    execute(
        Command::new(&test).args(TESTS).current_dir(&folder).env("LLVM_PROFILE_FILE", &counts),
    )?;
    let merged = folder.join("run.profdata");
    let mut merge = llvm("llvm-profdata");
    execute(merge.args(["merge", "-sparse", "-o"]).args([&merged, &counts]))?;
    let mut export = llvm("llvm-cov");
    export.arg("export").arg(&test).arg("-instr-profile").arg(&merged);
    export.args(["-format=lcov"]).arg(workspace.root.join(PATH));
    let report = capture(&mut export)?;
    let (lines, missed) = read(&report, &workspace.root);
    ensure!(lines > 300, "{PATH} has {lines} lines that can be reached: not measured");
    let list = missed.join("\n      ");
    ensure!(missed.is_empty(), "no vector reaches:\n      {list}");
    println!("    {lines} of {lines} lines of {PATH} are reached by the vectors");
    Ok(())
}

/// Builds the conformance tests. Only crates of the workspace are compiled again for it.
fn build(workspace: &Workspace, folder: &Path) -> Result<PathBuf> {
    let wrapper = folder.join("rustc");
    fs::write(&wrapper, WRAPPER)?;
    fs::set_permissions(&wrapper, fs::Permissions::from_mode(0o755))?;
    let mut cargo = workspace.cargo("test");
    cargo.args(["--locked", "--package", "overlay-user", "--test", "conformance", "--no-run"]);
    cargo.arg("--message-format=json-render-diagnostics");
    cargo.env("RUSTC_WORKSPACE_WRAPPER", &wrapper);
    // Build scripts count, too, and nobody wants to know.
    cargo.env("LLVM_PROFILE_FILE", folder.join("build.profraw"));
    let messages = capture(&mut cargo)?;
    let mut found = messages.lines().filter_map(|line| {
        let message: Value = serde_json::from_str(line).ok()?;
        let is_it = message["target"]["name"] == "conformance";
        message["executable"].as_str().filter(|_| is_it).map(PathBuf::from)
    });
    found.next().context("cargo built no conformance tests")
}

/// A tool of the LLVM that the compiler has.
fn llvm(name: &str) -> Command {
    Command::new(Path::new(LLVM).join("bin").join(name))
}

/// How many lines can be reached, and which were not.
fn read(report: &str, root: &Path) -> (usize, Vec<String>) {
    let (mut file, mut lines, mut missed) = (String::new(), 0, Vec::new());
    for line in report.lines() {
        if let Some(path) = line.strip_prefix("SF:") {
            let path = Path::new(path);
            file = path.strip_prefix(root).unwrap_or(path).display().to_string();
        } else if let Some((number, count)) =
            line.strip_prefix("DA:").and_then(|data| data.split_once(','))
        {
            lines += 1;
            if count == "0" {
                missed.push(format!("{file}:{number}"));
            }
        }
    }
    (lines, missed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_were_not_reached_are_named() {
        let report = "SF:/here/a.rs\nFN:1,f\nDA:1,12\nDA:2,0\nend_of_record\n\
                      SF:/here/b/c.rs\nDA:7,0\nDA:8,1\nend_of_record\n";
        let (lines, missed) = read(report, Path::new("/here"));
        assert_eq!((lines, missed), (4, vec!["a.rs:2".to_owned(), "b/c.rs:7".to_owned()]));
    }
}

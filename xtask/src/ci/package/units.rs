//! What systemd says of the units.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use overlay_testbed::Scratch;

use crate::package::tree;
use crate::step::line;

/// The most exposure that there may be, in tenths; docs/src/security.md says what there is.
const EXPOSURE: &str = "35";

/// Checks those of an unpacked package, among this machine's own units.
pub fn check(package: &Path) -> Result<()> {
    let scratch = Scratch::new()?;
    // What a unit starts has to be there.
    let binary = package.join("usr/bin/overlay").display().to_string();
    for unit in ["overlay.service", "overlay@.service"] {
        let text = tree::read(&package.join("lib/systemd/system").join(unit))?;
        scratch.write(unit, text.replace("/usr/bin/overlay", &binary))?;
    }
    for unit in ["overlay.service", "overlay@gw1.service"] {
        let unit = scratch.path().join(unit);
        let said = analyze(&["verify", "--man=no"], &unit)?;
        // Of other units it says what it likes.
        let ours: Vec<&str> = said.lines().filter(|line| line.contains("overlay")).collect();
        ensure!(ours.is_empty(), "systemd-analyze verify:\n{}", ours.join("\n"));
        let threshold = format!("--threshold={EXPOSURE}");
        let said = analyze(&["security", "--offline=yes", "--no-pager", &threshold], &unit)?;
        let overall = said.lines().find(|line| line.contains("Overall exposure level"));
        println!("    {}", overall.context(said.clone())?.trim());
    }
    Ok(())
}

/// What it prints, wherever it prints it.
fn analyze(arguments: &[&str], unit: &Path) -> Result<String> {
    let mut command = Command::new("systemd-analyze");
    command.args(arguments).arg(unit).env("LC_ALL", "C.UTF-8");
    let output = command.output().with_context(|| format!("cannot start {}", line(&command)))?;
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    ensure!(output.status.success(), "{}: {said}", line(&command));
    Ok(said)
}

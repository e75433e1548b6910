//! What packages bring, and what becomes of a machine that they are installed on, brought to
//! a newer version, and removed from.
//!
//! - `pages`: man pages and completions are understood by what reads them.
//! - `root`: a clean Debian, made by debootstrap.
//! - `life`: install, upgrade, removal and purge in it.
//! - `units`: what systemd says of the units.
//! - `live`: a Debian that is booted, and what the units do in it.

mod life;
mod live;
mod pages;
mod root;
mod units;

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};

use crate::package::build::Profile;
use crate::package::source::Source;
use crate::package::{FORMATS, build, make, twice};
use crate::setup;
use crate::step::{capture, execute, step};
use crate::tools::{PACKAGE_TESTS, PACKAGING};
use crate::workspace::Workspace;
use root::Root;

/// A version that there was before.
const OLDER: &str = "0.0.9";

/// Builds the packages, and tests them.
pub fn check(workspace: &Workspace) -> Result<()> {
    setup::also(PACKAGING)?;
    setup::also(PACKAGE_TESTS)?;
    let folder = workspace.target.join("package/quick");
    let built = build::overlay(workspace, Profile::Quick, &folder)?;
    let source = Source::of(workspace)?;
    let made = make(workspace, &built, &source, FORMATS, &folder)?;
    twice::compare(workspace, Profile::Quick, &source, FORMATS, &made)?;
    let older = Source { version: OLDER.to_owned(), ..source.clone() };
    let before = make(workspace, &built, &older, FORMATS, &folder.join("older"))?;
    let [deb, rpm] = [first(&made, "deb")?, first(&made, "rpm")?];
    let [old_deb, old_rpm] = [first(&before, "deb")?, first(&before, "rpm")?];
    let tree = folder.join("deb/overlay");
    step("man pages and completions", || pages::check(&tree))?;
    step("units (systemd-analyze)", || units::check(&tree))?;
    step("lintian", || lintian(&made))?;
    step("the .rpm: contents, install, upgrade, removal", || rpms(old_rpm, rpm, &folder))?;
    let root = step("a clean root (debootstrap)", || Root::make(&folder))?;
    step("the .deb: install, upgrade, removal, purge", || {
        life::check(&root, &tree, [old_deb, deb], [&older.full(), &source.full()])
    })?;
    drop(root);
    let path = step("a Debian that boots", || root::that_boots(&folder))?;
    live::check(path, [old_deb, deb])
}

/// The gateway's package among those of a format.
fn first<'a>(packages: &'a [PathBuf], extension: &str) -> Result<&'a Path> {
    let is_it = |path: &&PathBuf| path.extension().is_some_and(|found| found == extension);
    packages.iter().find(is_it).map(PathBuf::as_path).context("no package of this format")
}

/// Everything that it finds is an error; what it is told to overlook stands in
/// packaging/debian/lintian-overrides, each with the reason.
fn lintian(packages: &[PathBuf]) -> Result<()> {
    let debs = packages.iter().filter(|path| path.extension().is_some_and(|found| found == "deb"));
    let mut lintian = Command::new("lintian");
    lintian.args(["--fail-on", "error,warning", "--tag-display-limit", "0", "--allow-root"]);
    execute(lintian.args(debs))
}

/// Its digests, its files, and rpm's own database in a root of its own. Scripts are not run
/// there: they are sh, which is asked whether it understands them.
fn rpms(older: &Path, newer: &Path, folder: &Path) -> Result<()> {
    execute(Command::new("rpm").args(["--checksig", "--nosignature"]).arg(newer))?;
    let root = folder.join("rpm/root");
    let _ = std::fs::remove_dir_all(&root);
    std::fs::create_dir_all(&root)?;
    let rpm = |arguments: &[&str], package: &Path| {
        let mut rpm = Command::new("rpm");
        rpm.arg("--root").arg(&root).args(["--nodeps", "--noscripts"]).args(arguments);
        execute(rpm.arg(package))
    };
    let environment = root.join("etc/sysconfig/overlay");
    rpm(&["--install"], older)?;
    let installed = root.join("usr/bin/overlay");
    let said = capture(Command::new(&installed).arg("--version"))?;
    ensure!(said.contains(env!("CARGO_PKG_VERSION")), "{said}");
    std::fs::write(&environment, "RUST_LOG=debug\n")?;
    rpm(&["--upgrade"], newer)?;
    let kept = std::fs::read_to_string(&environment)?;
    ensure!(kept == "RUST_LOG=debug\n", "the upgrade took the administrator's settings: {kept}");
    rpm(&["--erase"], Path::new("overlay"))?;
    ensure!(!installed.exists(), "the removal left {}", installed.display());
    let scripts =
        capture(Command::new("rpm").args(["--query", "--package", "--scripts"]).arg(newer))?;
    understood_by_sh(&scripts)?;
    Ok(())
}

/// Each script is preceded by a line that names it.
fn understood_by_sh(scripts: &str) -> Result<()> {
    let mut parts: Vec<String> = Vec::new();
    for text in scripts.lines() {
        if text.contains("scriptlet (using /bin/sh)") {
            parts.push(String::new());
        } else if let Some(part) = parts.last_mut() {
            part.push_str(text);
            part.push('\n');
        }
    }
    ensure!(parts.len() == 3, "{} scripts instead of three:\n{scripts}", parts.len());
    for part in parts {
        let status = Command::new("sh").arg("-n").arg("-c").arg(&part).status()?;
        if !status.success() {
            bail!("sh does not understand:\n{part}");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_that_is_none_is_found() {
        let named = |what: &str| format!("{what} scriptlet (using /bin/sh):\n");
        let good = [named("post"), "true\n".into(), named("preun"), named("postun")].concat();
        understood_by_sh(&good).unwrap();
        assert!(understood_by_sh(&good.replace("true", "if then")).is_err());
        assert!(understood_by_sh(&named("post")).is_err());
    }
}

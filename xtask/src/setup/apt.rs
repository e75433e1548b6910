//! Debian packages.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use crate::step::{execute, step};
use crate::tools::Package;

/// Where programs are beside `PATH`: an ordinary user's has no `sbin`.
const SBIN: &[&str] = &["/usr/local/sbin", "/usr/sbin", "/sbin"];

/// Whether a program (or a file, given as a path) is there.
pub fn has_program(program: &str) -> bool {
    if program.starts_with('/') {
        return Path::new(program).exists();
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(SBIN.iter().map(Into::into))
        .any(|dir| dir.join(program).is_file())
}

/// Installs packages, saying what each is for.
pub fn install(packages: &[&Package]) -> Result<()> {
    step("install Debian packages", || {
        for package in packages {
            println!("    {:<16} {}", package.name, package.why);
        }
        let names: Vec<_> = packages.iter().map(|package| package.name).collect();
        install_named(&names)
    })
}

/// Installs packages by name, and removes none for it.
pub fn install_named(names: &[&str]) -> Result<()> {
    let wanted = names.join(" ");
    if !has_program("apt-get") {
        anyhow::bail!(
            "this machine has no apt-get; install what Debian calls `{wanted}` with its own \
             package manager, then run this again"
        );
    }
    execute(apt_get().args(["--quiet", "update"]))
        .and_then(|()| {
            let install = ["--quiet", "--yes", "--no-install-recommends", "--no-remove", "install"];
            execute(apt_get().args(install).args(names))
        })
        .with_context(|| format!("Debian packages {wanted} could not be installed"))
}

/// apt-get without questions, through sudo where this is not root.
fn apt_get() -> Command {
    let question_free = "DEBIAN_FRONTEND=noninteractive";
    let mut command = if is_root() { Command::new("env") } else { Command::new("sudo") };
    command.args([question_free, "apt-get"]);
    command
}

fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0)
}

//! Debian packages.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use overlay_testbed::Cleanup;

use crate::step::{capture, execute, step};
use crate::tools::Package;

/// Where programs are beside `PATH`: an ordinary user's has no `sbin`.
const SBIN: &[&str] = &["/usr/local/sbin", "/usr/sbin", "/sbin"];

/// What Debian asks before it starts a service after an installation; 101 of it
/// forbids that. Where there is one, it is the administrator's to decide.
const POLICY: &str = "/usr/sbin/policy-rc.d";

/// Packages that may go where others need it: an image's newer `qemu-utils` keeps
/// Debian's own QEMU out.
const DISPENSABLE: &[&str] = &["qemu-utils"];

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

/// Installs a package whose services are none of this project's business: they
/// are not started. Only root can see to that.
pub fn install_without_starting(package: &Package) -> Result<()> {
    ensure!(is_root(), "only root can keep its services from starting");
    let policy = Path::new(POLICY);
    let _kept = match policy.exists() {
        true => None,
        false => Some(Cleanup::making(|| forbid_starting(policy), |()| allow_starting)?),
    };
    install(&[package])
}

fn forbid_starting(policy: &Path) -> Result<()> {
    let text = "#!/bin/sh\n# There while `cargo xtask` installs a package.\nexit 101\n";
    std::fs::write(policy, text)
        .and_then(|()| std::fs::set_permissions(policy, Permissions::from_mode(0o755)))
        .with_context(|| format!("writing {}", policy.display()))
}

fn allow_starting() {
    let _ = std::fs::remove_file(POLICY);
}

/// Installs packages by name, and removes none for it that anybody could miss.
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
            let install = ["--quiet", "--yes", "--no-install-recommends", "install"];
            let mut command = apt_get();
            if removed_for(names)?.iter().any(|name| !DISPENSABLE.contains(&name.as_str())) {
                command.arg("--no-remove");
            }
            execute(command.args(install).args(names))
        })
        .with_context(|| format!("Debian packages {wanted} could not be installed"))
}

/// Packages that an installation would remove.
fn removed_for(names: &[&str]) -> Result<Vec<String>> {
    let simulate = ["--quiet", "--simulate", "--no-install-recommends", "install"];
    let plan = capture(apt_get().args(simulate).args(names))?;
    let removed = plan.lines().filter_map(|line| line.strip_prefix("Remv "));
    Ok(removed.filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect())
}

/// apt-get without questions, through sudo where this is not root.
fn apt_get() -> Command {
    let question_free = "DEBIAN_FRONTEND=noninteractive";
    let mut command = if is_root() { Command::new("env") } else { Command::new("sudo") };
    // Where the machine's own updates are at work, they are waited for.
    command.args([question_free, "apt-get", "--option=DPkg::Lock::Timeout=300"]);
    command
}

fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_policy_forbids() {
        let scratch = overlay_testbed::Scratch::new().unwrap();
        let policy = scratch.path().join("policy");
        forbid_starting(&policy).unwrap();
        assert_eq!(policy.metadata().unwrap().permissions().mode() & 0o777, 0o755);
        // Read by a shell, not run: while another test's thread forks, its child has
        // the file open for writing, and the kernel runs no such file (ETXTBSY).
        let mut asked = Command::new("sh");
        let status = asked.arg(&policy).args(["some-service", "start"]).status().unwrap();
        assert_eq!(status.code(), Some(101));
    }
}

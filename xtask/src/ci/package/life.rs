//! Install, upgrade, removal, purge.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use overlay_testbed::wait_until;

use super::root::Root;
use crate::step::{execute, line};

const ENVIRONMENT: &str = "/etc/default/overlay";
const CONFIGURATION: &str = "/etc/overlay/overlay.toml";
const EXAMPLE: &str = "/usr/share/doc/overlay/examples/overlay.toml";
const ENABLED: &str = "/etc/systemd/system/multi-user.target.wants/overlay.service";
const CHANGED: &str = "RUST_LOG=debug\n";
const START: Duration = Duration::from_secs(30);

/// Does to the root what an administrator does to a machine over the years, with the package
/// of an older version and then with another.
pub fn check(root: &Root, tree: &Path, packages: [&Path; 2], versions: [&str; 2]) -> Result<()> {
    install(root, packages[0], versions[0]).context("install")?;
    files(root, tree)?;
    ensure!(root.file(ENABLED).is_symlink(), "the service is not enabled");
    configure(root).context("the default configuration")?;

    fs::write(root.file(ENVIRONMENT), CHANGED)?;
    let mut daemon = start(root)?;
    let pid = daemon.id();
    install(root, packages[1], versions[1]).context("upgrade")?;
    ensure!(fs::read_to_string(root.file(ENVIRONMENT))? == CHANGED, "{ENVIRONMENT} was replaced");
    ensure!(daemon.try_wait()?.is_none(), "the upgrade ended the daemon {pid}");

    // As a crash, or a stop by systemd, leaves it.
    daemon.kill()?;
    daemon.wait()?;
    let pins = root.file("sys/fs/bpf/overlay").join(root.netns.name());
    let links = fs::read_dir(pins.join("links"))?.count();
    ensure!(links > 1, "{links} programs are attached that a removal could remove");
    root.run("dpkg", &["--remove", "overlay"]).context("removal")?;
    ensure!(!pins.exists(), "the removal left {}", pins.display());
    ensure!(!root.file("usr/bin/overlay").exists(), "the removal left the binary");
    ensure!(root.file(ENVIRONMENT).exists(), "the removal took {ENVIRONMENT}");

    root.run("dpkg", &["--purge", "overlay"]).context("purge")?;
    ensure!(!root.file(ENVIRONMENT).exists(), "the purge left {ENVIRONMENT}");
    ensure!(root.file(CONFIGURATION).exists(), "the purge took what the administrator wrote");
    ensure!(!root.file(ENABLED).is_symlink(), "the purge left the service enabled");
    let left = root.run("find", &["/etc/systemd", "/var/lib/systemd", "-name", "*overlay*"])?;
    ensure!(left.is_empty(), "the purge left {left}");
    // And with nothing left of it, once more.
    install(root, packages[1], versions[1]).context("install anew")?;
    root.run("dpkg", &["--purge", "overlay"]).context("purge at once").map(drop)
}

/// Dependencies are part of what is tested: a clean root has all of them, or dpkg fails.
fn install(root: &Root, package: &Path, version: &str) -> Result<()> {
    fs::copy(package, root.file("overlay.deb"))?;
    execute(root.command("dpkg").args(["--install", "/overlay.deb"]))?;
    let found =
        root.run("dpkg-query", &["--show", "--showformat=${Version} ${Status}", "overlay"])?;
    ensure!(found == format!("{version} install ok installed"), "{found}");
    let said = root.run("overlay", &["--version"])?;
    ensure!(said == format!("overlay {}\n", env!("CARGO_PKG_VERSION")), "{said}");
    Ok(())
}

/// Every file, root's, with its mode; and no other.
fn files(root: &Root, tree: &Path) -> Result<()> {
    let listed = root.run("dpkg", &["--listfiles", "overlay"])?;
    let mut count = 0;
    for path in listed.lines().filter(|path| *path != "/.") {
        // Through the links of a merged /usr.
        let there = fs::metadata(root.file(path)).with_context(|| path.to_owned())?;
        let wanted = if there.is_dir() || path == "/usr/bin/overlay" { 0o755 } else { 0o644 };
        let mode = there.permissions().mode() & 0o7777;
        ensure!(mode == wanted, "{path} has mode {mode:o}");
        ensure!((there.uid(), there.gid()) == (0, 0), "{path} is not root's");
        ensure!(tree.join(path.trim_start_matches('/')).exists(), "{path} was not packed");
        count += usize::from(there.is_file());
    }
    ensure!(count > 20, "{count} files");
    println!("    {count} files, with their modes");
    Ok(())
}

/// The example, without its comments, is a configuration; with them it is none.
fn configure(root: &Root) -> Result<()> {
    let example = fs::read_to_string(root.file(EXAMPLE))?;
    let bare = uncommented(&example);
    fs::write(root.file(CONFIGURATION), &bare)?;
    let said = root.run("overlay", &["check"])?;
    ensure!(
        said.contains("OK: gw1 with 1 uplink(s), 1 segment(s), 1 access port(s), 1 peer(s)"),
        "{said}"
    );
    fs::write(root.file(CONFIGURATION), example)?;
    let refused = root.command("overlay").arg("check").stderr(Stdio::null()).status()?;
    ensure!(refused.code() == Some(2), "a file of comments: {refused}");
    Ok(fs::write(root.file(CONFIGURATION), bare)?)
}

/// Lines that are only a `#` away from being read; explanations begin with `# ` or `##`.
fn uncommented(example: &str) -> String {
    let line = |line: &str| match line.strip_prefix('#') {
        Some(rest) if rest.starts_with(|c: char| c == '[' || c.is_ascii_lowercase()) => {
            format!("{rest}\n")
        }
        _ => format!("{line}\n"),
    };
    example.lines().map(line).collect()
}

/// The daemon, as its unit starts it.
fn start(root: &Root) -> Result<Child> {
    let log = root.file("tmp/log");
    let mut command = root.command("overlay");
    // The BPF file system is the machine's, so its name is nobody else's.
    command.args(["run", "--config", CONFIGURATION, "--name", root.netns.name()]);
    command.stdout(fs::File::create(&log)?).stderr(fs::File::create(root.file("tmp/errors"))?);
    let mut daemon = command.spawn().with_context(|| format!("cannot start {}", line(&command)))?;
    let ready = wait_until("ready daemon", START, || {
        let said = fs::read_to_string(&log).ok()?;
        said.contains(" ready\n").then_some(())
    });
    if let Err(error) = ready {
        let _ = daemon.kill();
        let _ = daemon.wait();
        let errors = fs::read_to_string(root.file("tmp/errors")).unwrap_or_default();
        return Err(error.context(errors));
    }
    Ok(daemon)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn explanations_stay_comments() {
        let example = "# Words.\n## More.\n#[node]\n#name = \"a\"\n\n#\n";
        assert_eq!(uncommented(example), "# Words.\n## More.\n[node]\nname = \"a\"\n\n#\n");
    }
}

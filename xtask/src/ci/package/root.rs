//! A clean Debian.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result};
use overlay_testbed::{Cleanup, Netns, run, veth};

use crate::step::{capture, execute};

/// What of the machine a gateway needs beneath it.
const MOUNTS: &[&str] = &["proc", "sys", "sys/fs/bpf"];

/// The root of a Debian in which nothing is installed but what every Debian has, and a network
/// namespace for it with the devices of the default configuration.
pub struct Root {
    /// Where it is.
    pub path: PathBuf,
    /// Its network.
    pub netns: Netns,
    _outside: Netns,
    _mounts: Vec<Cleanup>,
}

impl Root {
    /// Makes one in `folder`.
    pub fn make(folder: &Path) -> Result<Self> {
        let path = folder.join("root");
        copy(&bare(folder)?, &path)?;
        let (netns, outside) = (Netns::new("root")?, Netns::new("outside")?);
        for device in ["eth0", "eth1"] {
            veth(&netns, device, &outside, device)?;
        }
        netns.exec("ip addr add 192.0.2.1/24 dev eth0")?;
        let mut mounts =
            MOUNTS.iter().map(|name| mount(name, &path)).collect::<Result<Vec<_>>>()?;
        // Undone in this order.
        mounts.reverse();
        Ok(Self { path, netns, _outside: outside, _mounts: mounts })
    }

    /// A command in it.
    pub fn command(&self, program: &str) -> Command {
        let mut chroot = self.netns.command("chroot");
        chroot.arg(&self.path).arg(program);
        chroot.env_clear().env("LC_ALL", "C.UTF-8").env("DEBIAN_FRONTEND", "noninteractive");
        chroot.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        chroot
    }

    /// Runs a command in it, and returns what it printed.
    pub fn run(&self, program: &str, arguments: &[&str]) -> Result<String> {
        capture(self.command(program).args(arguments))
    }

    /// A file in it.
    pub fn file(&self, path: &str) -> PathBuf {
        self.path.join(path.trim_start_matches('/'))
    }
}

/// A bare Debian, which is kept in `folder` for the next time.
fn bare(folder: &Path) -> Result<PathBuf> {
    let (done, half) = (folder.join("debian"), folder.join("debian.new"));
    if !done.exists() {
        let _ = fs::remove_dir_all(&half);
        let mut debootstrap = Command::new("debootstrap");
        let quiet = debootstrap.args(["--variant=minbase", &suite()?]).arg(&half);
        execute(quiet.stdout(Stdio::null()))?;
        fs::rename(&half, &done)?;
    }
    Ok(done)
}

/// What a Debian that boots has beside.
const TO_BOOT: &[&str] = &["systemd", "systemd-sysv", "dbus", "iproute2"];

/// A Debian in `folder` that boots. What it is a copy of is kept there for the next time.
pub fn that_boots(folder: &Path) -> Result<PathBuf> {
    let (done, half) = (folder.join("debian-systemd"), folder.join("debian-systemd.new"));
    if !done.exists() {
        copy(&bare(folder)?, &half)?;
        // The names of today's network, whatever it was when the bare one was made.
        fs::copy("/etc/resolv.conf", half.join("etc/resolv.conf")).context("/etc/resolv.conf")?;
        let install = ["install", "--yes", "--no-install-recommends"];
        for words in [&["update"][..], &[&install, TO_BOOT].concat()] {
            let mut apt = Command::new("chroot");
            apt.arg(&half).arg("apt-get").arg("-qq").args(words);
            apt.env("DEBIAN_FRONTEND", "noninteractive").env("LC_ALL", "C.UTF-8");
            run(&mut apt)?;
        }
        fs::rename(&half, &done)?;
    }
    let path = folder.join("machine");
    copy(&done, &path)?;
    Ok(path)
}

/// Copies a root, in place of what was there.
fn copy(from: &Path, to: &Path) -> Result<()> {
    // Never with something of the machine mounted in it.
    execute(Command::new("rm").args(["-r", "-f", "--one-file-system"]).arg(to))?;
    execute(Command::new("cp").arg("--archive").args([from, to]))
}

/// The machine's own Debian, whose libraries the binary is linked with.
fn suite() -> Result<String> {
    let text = fs::read_to_string("/etc/os-release").context("/etc/os-release")?;
    let name = text.lines().find_map(|line| line.strip_prefix("VERSION_CODENAME="));
    Ok(name.context("/etc/os-release names no VERSION_CODENAME")?.to_owned())
}

fn mount(name: &str, root: &Path) -> Result<Cleanup> {
    let (from, to) = (Path::new("/").join(name), root.join(name));
    let make = || {
        let mut mount = Command::new("mount");
        execute(mount.args(["--bind", "--make-private"]).args([&from, &to]))
    };
    let place = to.clone();
    let (_, cleanup) = Cleanup::making(make, |()| {
        move || drop(Command::new("umount").arg("--lazy").arg(&place).status())
    })?;
    Ok(cleanup)
}

//! A clean Debian.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};
use overlay_testbed::{Cleanup, Netns, veth};

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
    /// Makes one in `folder`. The bare system is kept there for the next time.
    pub fn make(folder: &Path) -> Result<Self> {
        let base = folder.join("debian");
        if !base.exists() {
            let half = folder.join("debian.new");
            let _ = fs::remove_dir_all(&half);
            let mut debootstrap = Command::new("debootstrap");
            let quiet = debootstrap.args(["--variant=minbase", &suite()?]).arg(&half);
            execute(quiet.stdout(std::process::Stdio::null()))?;
            fs::rename(&half, &base)?;
        }
        let path = folder.join("root");
        // Never with something of the machine mounted in it.
        execute(Command::new("rm").args(["-r", "-f", "--one-file-system"]).arg(&path))?;
        execute(Command::new("cp").arg("--archive").args([&base, &path]))?;
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

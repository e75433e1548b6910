//! What a guest finds: an initramfs of this machine's programs, the tests, and the
//! modules of its kernel.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use overlay_testbed::Scratch;
use serde_json::Value;

use crate::step::{capture, execute, step};
use crate::workspace::Workspace;

/// Programs that the tests call, in front of busybox.
const PROGRAMS: &[&str] = &[
    "bpftool",
    "bridge",
    "chrt",
    "curl",
    "ethtool",
    "ip",
    "iperf3",
    "nft",
    "ovs-appctl",
    "ovs-vsctl",
    "ovs-vswitchd",
    "ovsdb-server",
    "ovsdb-tool",
    "ping",
    "python3",
    "setpriv",
    "tc",
    "tcpdump",
    "wg",
];
/// Folders that programs read.
const FOLDERS: &[&str] = &["/usr/share/iproute2", "/etc/iproute2", "/usr/share/openvswitch"];
/// Tests that are run in guests, by their targets' names.
const TESTS: &[&str] = &["conformance", "dataplane", "namespaces"];
/// Where they are there.
pub const TESTS_FOLDER: &str = "/tests";
/// Modules; a kernel has some built in, and some not at all.
const MODULES: &[&str] = &[
    "8021q",
    "act_gact",
    "act_mirred",
    "af_packet",
    "bonding",
    "bridge",
    "br_netfilter",
    "cls_bpf",
    "cls_flower",
    "cls_u32",
    "dummy",
    "geneve",
    "ifb",
    "inet_diag",
    "ip_tunnel",
    "ipv6",
    "libcrc32c",
    "crc32c_generic",
    "macvlan",
    "nf_conntrack",
    "nf_tables",
    "nfnetlink",
    "nft_chain_nat",
    "nft_counter",
    "nft_ct",
    "nft_limit",
    "nft_numgen",
    "nft_reject_inet",
    "openvswitch",
    "sch_fq_codel",
    "sch_htb",
    "sch_ingress",
    "sch_netem",
    "sch_tbf",
    "tcp_diag",
    "tun",
    "udp_diag",
    "veth",
    "vport-vxlan",
    "vrf",
    "vxlan",
    "wireguard",
];

/// The target of Debian's amd64 kernels, linked so that it needs nothing of the guest.
const TARGET: &str = "x86_64-unknown-linux-gnu";
const STATIC: &str = "-C target-feature=+crt-static";
const INIT: &str = include_str!("init.sh");

/// The modules that a kernel's archive is to hold, as text to compare.
pub fn wanted_modules() -> String {
    MODULES.join("\n")
}

/// Writes an archive of the modules in MODULES that a kernel has, and of those that they
/// need. `root` holds `lib/modules/RELEASE`.
pub fn modules(root: &Path, release: &str, archive: &Path) -> Result<()> {
    // They are one program, which goes by the name that it is called by.
    let (depmod, modprobe) = (find("depmod")?, find("modprobe")?);
    let index = |root: &Path| execute(Command::new(&depmod).arg("-b").arg(root).arg(release));
    index(root)?;
    let mut files = BTreeSet::new();
    for module in MODULES {
        let mut modprobe = Command::new(&modprobe);
        modprobe.arg("-d").arg(root).args(["-S", release, "--show-depends", module]);
        // Its exit code says that there is no such module.
        let output = modprobe.stderr(Stdio::null()).output().context("cannot start modprobe")?;
        let lines = String::from_utf8_lossy(&output.stdout).into_owned();
        let files_of = lines.lines().filter_map(|line| line.strip_prefix("insmod "));
        // Behind the file there may be parameters.
        files.extend(files_of.filter_map(|file| file.split(' ').next()).map(PathBuf::from));
    }
    ensure!(!files.is_empty(), "Linux {release} has none of the modules");
    let scratch = Scratch::new()?;
    let place = Path::new("lib/modules").join(release);
    for file in &files {
        let text = file.to_string_lossy();
        let inside = text.split_once(&format!("modules/{release}/")).map(|(_, inside)| inside);
        let inside = inside.with_context(|| format!("a module outside of its kernel: {text}"))?;
        copy(file, &scratch.path().join(&place).join(inside))?;
    }
    for list in ["modules.builtin", "modules.builtin.modinfo", "modules.order"] {
        let from = root.join(&place).join(list);
        if from.exists() {
            copy(&from, &scratch.path().join(&place).join(list))?;
        }
    }
    index(scratch.path())?;
    pack(scratch.path(), archive)
}

/// Builds the binary and the tests for guests, and the archive of all that is the same on
/// every kernel. Returns the executables, which run here too: name and file.
pub fn base(workspace: &Workspace, archive: &Path) -> Result<Vec<(String, PathBuf)>> {
    let built = step("build the tests for guests", || build(workspace))?;
    step("make the guests' initramfs", || {
        let scratch = Scratch::new()?;
        let root = scratch.path();
        for folder in ["bin", "dev", "etc", "proc", "root", "run", "sbin", "sys", "tmp", "var"] {
            fs::create_dir(root.join(folder))?;
        }
        symlink("/run", root.join("var/run"))?;
        copy(&busybox()?, &root.join("bin/busybox"))?;
        for name in PROGRAMS {
            add_program(root, &which(name)?, &format!("usr/bin/{name}"))?;
        }
        // In front of busybox's own, and where the kernel looks for it.
        add_program(root, &which("modprobe")?, "usr/bin/modprobe")?;
        symlink("/usr/bin/modprobe", root.join("sbin/modprobe"))?;
        add_python(root)?;
        for folder in FOLDERS.iter().filter(|folder| Path::new(folder).is_dir()) {
            copy_tree(Path::new(folder), &inside(root, Path::new(folder)))?;
        }
        for (name, file) in &built {
            let place = if name == "overlay" { "/usr/bin" } else { TESTS_FOLDER };
            copy(file, &inside(root, &Path::new(place).join(name)))?;
        }
        fs::write(root.join("etc/passwd"), "root:x:0:0:root:/root:/bin/sh\n")?;
        fs::write(root.join("etc/group"), "root:x:0:\n")?;
        fs::write(root.join("etc/hosts"), "127.0.0.1 localhost\n")?;
        fs::write(root.join("init"), INIT)?;
        fs::set_permissions(root.join("init"), fs::Permissions::from_mode(0o755))?;
        pack(root, archive)
    })?;
    Ok(built)
}

/// The archive that tells a guest what to run.
pub fn sections(lines: &str, archive: &Path) -> Result<()> {
    let scratch = Scratch::new()?;
    scratch.write("sections", lines)?;
    pack(scratch.path(), archive)
}

/// The executables: name and file.
fn build(workspace: &Workspace) -> Result<Vec<(String, PathBuf)>> {
    let mut cargo = workspace.cargo("build");
    cargo
        .args(["--locked", "--profile", "vm", "--target", TARGET, "--package", "overlay-user"])
        .args(["--bin", "overlay", "--message-format", "json-render-diagnostics"])
        .args(TESTS.iter().flat_map(|test| ["--test", test]))
        .env("RUSTFLAGS", STATIC);
    let messages = capture(&mut cargo)?;
    let mut built = Vec::new();
    for line in messages.lines() {
        let message: Value = serde_json::from_str(line).context("what cargo prints")?;
        if let (Some(file), Some(name)) =
            (message["executable"].as_str(), message["target"]["name"].as_str())
        {
            built.push((name.to_owned(), PathBuf::from(file)));
        }
    }
    ensure!(built.len() == TESTS.len() + 1, "cargo built {built:?}");
    Ok(built)
}

/// It runs before anything else is there.
fn busybox() -> Result<PathBuf> {
    let file = which("busybox")?;
    let libraries = Command::new("ldd").arg(&file).output().context("cannot start ldd")?;
    ensure!(
        !libraries.status.success(),
        "{} is linked with libraries; install Debian's busybox-static in its place",
        file.display()
    );
    Ok(file)
}

/// A program with the libraries that it is linked with.
fn add_program(root: &Path, file: &Path, place: &str) -> Result<()> {
    copy(file, &root.join(place))?;
    add_libraries(root, file)
}

fn add_libraries(root: &Path, file: &Path) -> Result<()> {
    // A program that is linked statically has none, and ldd says so by its exit code.
    let output = Command::new("ldd").arg(file).stderr(Stdio::null()).output();
    let output = output.context("cannot start ldd")?;
    for library in String::from_utf8_lossy(&output.stdout).split_whitespace() {
        let place = inside(root, Path::new(library));
        if library.starts_with('/') && !place.exists() {
            copy(Path::new(library), &place)?;
        }
    }
    Ok(())
}

/// Python's own library, as far as an HTTP server could need it.
fn add_python(root: &Path) -> Result<()> {
    let print = "import sysconfig; print(sysconfig.get_path('stdlib'))";
    let folder = capture(Command::new(which("python3")?).args(["-c", print]))?;
    let from = PathBuf::from(folder.trim());
    let to = inside(root, &from);
    copy_tree(&from, &to)?;
    for name in ["test", "idlelib", "tkinter", "lib2to3", "ensurepip"] {
        let _ = fs::remove_dir_all(to.join(name));
    }
    let modules = to.join("lib-dynload");
    for module in fs::read_dir(&modules).with_context(|| modules.display().to_string())? {
        add_libraries(root, &module?.path())?;
    }
    Ok(())
}

/// The file behind a program's name.
fn which(program: &str) -> Result<PathBuf> {
    let file = find(program)?;
    fs::canonicalize(&file).with_context(|| format!("following {}", file.display()))
}

fn find(program: &str) -> Result<PathBuf> {
    // Debian's own come first: what else is in the path may be a script that needs more.
    let path = std::env::var_os("PATH").unwrap_or_default();
    ["/usr/bin", "/usr/sbin", "/bin", "/sbin"]
        .into_iter()
        .map(PathBuf::from)
        .chain(std::env::split_paths(&path))
        .map(|folder| folder.join(program))
        .find(|file| file.is_file())
        .with_context(|| format!("{program} is not installed"))
}

/// An absolute path below another root.
fn inside(root: &Path, path: &Path) -> PathBuf {
    root.join(path.strip_prefix("/").unwrap_or(path))
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    if let Some(folder) = to.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::copy(from, to)
        .map(drop)
        .with_context(|| format!("copying {} to {}", from.display(), to.display()))
}

fn copy_tree(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    let contents = from.join(".");
    execute(Command::new("cp").args(["--recursive", "--dereference"]).arg(contents).arg(to))
}

/// Packs a folder into a cpio archive, the form of an initramfs.
fn pack(folder: &Path, archive: &Path) -> Result<()> {
    let scratch = Scratch::new()?;
    let names = capture(Command::new("find").arg(".").current_dir(folder))?;
    let names = File::open(scratch.write("names", &names)?)?;
    let file = File::create(archive).with_context(|| format!("making {}", archive.display()))?;
    let mut cpio = Command::new(which("busybox")?);
    cpio.args(["cpio", "-o", "-H", "newc"]).current_dir(folder).stdin(names).stdout(file);
    let output = cpio.output().context("cannot start busybox")?;
    let words = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "packing {}: {words}", folder.display());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_packed_is_told() {
        let scratch = Scratch::new().unwrap();
        let folder = scratch.path().join("folder");
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("file"), "text").unwrap();
        let archive = scratch.path().join("archive");
        pack(&folder, &archive).unwrap();
        assert!(fs::read_to_string(&archive).unwrap().contains("text"));
        fs::write(folder.join("a\nname"), "text").unwrap();
        let error = pack(&folder, &archive).unwrap_err().to_string();
        assert!(error.contains("No such file"), "{error}");
    }
}

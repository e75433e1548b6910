//! The .deb packages, by `dpkg-deb` itself: it is deterministic when it is told the time, and
//! what it packs is the tree that the .rpm is made of, too.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use super::build::Built;
use super::source::{EPOCH, Source};
use super::tree::{self, Entry, Layout};
use crate::step::{capture, execute};
use crate::workspace::Workspace;

const LAYOUT: Layout = Layout {
    units: "lib/systemd/system",
    zsh: "usr/share/zsh/vendor-completions",
    environment: "etc/default/overlay",
};

/// What dpkg runs.
const SCRIPTS: &[&str] = &["postinst", "prerm", "postrm"];

/// Who says so, in the changelog.
const MAINTAINER: &str = "Overlay maintainers <maintainers@overlay.invalid>";

/// Makes `overlay_VERSION_ARCH.deb` and `overlay-dbgsym_VERSION_ARCH.deb` in `folder`.
pub fn make(
    workspace: &Workspace,
    built: &Built,
    source: &Source,
    folder: &Path,
) -> Result<Vec<PathBuf>> {
    let architecture = capture(Command::new("dpkg").arg("--print-architecture"))?;
    let architecture = architecture.trim();
    let root = folder.join("deb/overlay");
    let packaging = workspace.root.join("packaging");
    let mut entries = tree::gateway(workspace, built, source, &LAYOUT)?;
    entries.extend(documents(workspace, source, &packaging)?);
    tree::write(&root, &entries)?;
    for folder in ["etc/overlay", "DEBIAN"] {
        fs::create_dir(root.join(folder))?;
        fs::set_permissions(root.join(folder), fs::Permissions::from_mode(0o755))?;
    }
    let control = tree::read(&packaging.join("debian/control"))?
        .replace("@VERSION@", &source.full())
        .replace("@ARCHITECTURE@", architecture)
        .replace("@SIZE@", &size(&root)?.to_string())
        .replace("@DEPENDS@", &dependencies(&built.binary, folder)?);
    let sums = sums(&root, &entries)?;
    control_file(&root, "md5sums", &sums, 0o644)?;
    control_file(&root, "control", &control, 0o644)?;
    control_file(&root, "conffiles", &format!("/{}\n", LAYOUT.environment), 0o644)?;
    for script in SCRIPTS {
        let text = tree::read(&packaging.join("debian").join(script))?;
        control_file(&root, script, &text, 0o755)?;
    }
    let symbols = symbols(built, source, folder, architecture)?;
    // Debug information is compressed already, and xz takes minutes to find nothing.
    [("overlay", root, "-Zxz"), ("overlay-dbgsym", symbols, "-Zgzip")]
        .into_iter()
        .map(|(name, root, compression)| {
            let package = folder.join(format!("{name}_{}_{architecture}.deb", source.full()));
            pack(&root, &package, compression, source)?;
            Ok(package)
        })
        .collect()
}

fn documents(workspace: &Workspace, source: &Source, packaging: &Path) -> Result<Vec<Entry>> {
    let mit = tree::read(&workspace.root.join("LICENSE-MIT"))?;
    let mit: String = mit
        .lines()
        .map(|line| if line.is_empty() { " .\n".to_owned() } else { format!(" {line}\n") })
        .collect();
    let copyright = tree::read(&packaging.join("copyright.head"))? + "License: MIT\n" + &mit;
    let changelog = format!(
        "overlay ({}) unstable; urgency=medium\n\n  * Version {} of the project: what changed is \
         in changelog.gz.\n\n -- {MAINTAINER}  {}\n",
        source.full(),
        source.version,
        source.date("+%a, %d %b %Y %H:%M:%S +0000")?
    );
    let overrides = tree::read(&packaging.join("debian/lintian-overrides"))?;
    Ok(vec![
        tree::text("usr/share/doc/overlay/copyright", copyright),
        tree::zipped("usr/share/doc/overlay/changelog.Debian.gz", &changelog)?,
        tree::text("usr/share/lintian/overrides/overlay", overrides),
    ])
}

/// The package of debug information, where debuggers and backtraces look for it.
fn symbols(built: &Built, source: &Source, folder: &Path, architecture: &str) -> Result<PathBuf> {
    let root = folder.join("deb/overlay-dbgsym");
    let (first, rest) = built.id.split_at_checked(2).context("a short build ID")?;
    let path = format!("usr/lib/debug/.build-id/{first}/{rest}.debug");
    let entries = [tree::copied(path, &built.debug)?];
    tree::write(&root, &entries)?;
    let documents = root.join("usr/share/doc");
    fs::create_dir_all(&documents)?;
    std::os::unix::fs::symlink("overlay", documents.join("overlay-dbgsym"))?;
    let control = format!(
        "Package: overlay-dbgsym\nSource: overlay\nVersion: {version}\nAuto-Built-Package: \
         debug-symbols\nArchitecture: {architecture}\nMaintainer: {MAINTAINER}\nInstalled-Size: \
         {size}\nDepends: overlay (= {version})\nSection: debug\nPriority: optional\n\
         Description: debug symbols for overlay\nBuild-Ids: {id}\n",
        version = source.full(),
        size = size(&root)?,
        id = built.id,
    );
    fs::create_dir(root.join("DEBIAN"))?;
    control_file(&root, "control", &control, 0o644)?;
    control_file(&root, "md5sums", &sums(&root, &entries)?, 0o644)?;
    Ok(root)
}

fn control_file(root: &Path, name: &str, content: &str, mode: u32) -> Result<()> {
    let path = root.join("DEBIAN").join(name);
    fs::write(&path, content)?;
    Ok(fs::set_permissions(&path, fs::Permissions::from_mode(mode))?)
}

/// The libraries that the binary needs, in versions that have what it needs of them.
fn dependencies(binary: &Path, folder: &Path) -> Result<String> {
    // It reads a source package's control file, and there is none.
    let place = folder.join("deb/shlibdeps");
    fs::create_dir_all(place.join("debian"))?;
    fs::write(
        place.join("debian/control"),
        "Source: overlay\n\nPackage: overlay\nArchitecture: any\n",
    )?;
    let mut shlibdeps = Command::new("dpkg-shlibdeps");
    shlibdeps.current_dir(&place).arg("-O").arg(binary);
    let found = capture(&mut shlibdeps)?;
    let found = found.trim().strip_prefix("shlibs:Depends=").context(found.clone())?;
    Ok(found.to_owned())
}

/// KiB, as dpkg counts them.
fn size(root: &Path) -> Result<u64> {
    let apparent = ["--summarize", "--apparent-size", "--block-size=1024"];
    let text = capture(Command::new("du").args(apparent).arg(root))?;
    let size = text.split_whitespace().next().context("du printed nothing")?;
    size.parse().context(text.clone())
}

fn sums(root: &Path, entries: &[Entry]) -> Result<String> {
    let mut md5sum = Command::new("md5sum");
    let paths = entries.iter().map(|entry| &entry.path);
    // dpkg knows about conffiles by itself.
    md5sum.current_dir(root).args(paths.filter(|path| !path.starts_with("etc/")));
    capture(&mut md5sum)
}

fn pack(root: &Path, package: &Path, compression: &str, source: &Source) -> Result<()> {
    let mut dpkg = Command::new("dpkg-deb");
    dpkg.args(["--root-owner-group", compression, "-z2", "--threads-max=1", "--build"])
        .arg(root)
        .arg(package);
    execute(dpkg.env(EPOCH, source.epoch.to_string()).stdout(std::process::Stdio::null()))
}

//! Every file of a package.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use super::build::Built;
use super::manual;
use super::source::Source;
use crate::step::line;
use crate::workspace::Workspace;

/// A file.
pub struct Entry {
    /// Where it is installed, without the first slash.
    pub path: String,
    /// 0o644 or 0o755.
    pub mode: u32,
    content: Vec<u8>,
}

/// Where distributions differ.
pub struct Layout {
    /// systemd's units.
    pub units: &'static str,
    /// zsh's completions.
    pub zsh: &'static str,
    /// The services' environment.
    pub environment: &'static str,
}

/// The files that all packages of a gateway have.
pub fn gateway(
    workspace: &Workspace,
    built: &Built,
    source: &Source,
    layout: &Layout,
) -> Result<Vec<Entry>> {
    let packaging = workspace.root.join("packaging");
    let hardening = read(&packaging.join("hardening.conf"))?;
    let mut entries = vec![
        Entry { path: "usr/bin/overlay".to_owned(), mode: 0o755, content: bytes(&built.binary)? },
        text(layout.environment, read(&packaging.join("environment"))?),
        text("usr/share/doc/overlay/examples/overlay.toml", read(&packaging.join("overlay.toml"))?),
        zipped("usr/share/doc/overlay/changelog.gz", &read(&workspace.root.join("CHANGELOG.md"))?)?,
    ];
    for unit in ["overlay.service", "overlay@.service"] {
        let content = read(&packaging.join(unit))?
            .replace("@HARDENING@\n", &format!("{hardening}\n"))
            .replace("@ENVIRONMENT@", &format!("/{}", layout.environment));
        entries.push(text(&format!("{}/{unit}", layout.units), content));
    }
    let completions = built.generated.join("completions");
    for (name, place) in [
        ("overlay.bash", "usr/share/bash-completion/completions/overlay"),
        ("overlay.fish", "usr/share/fish/vendor_completions.d/overlay.fish"),
        ("_overlay", &format!("{}/_overlay", layout.zsh)),
    ] {
        entries.push(text(place, read(&completions.join(name))?));
    }
    entries.extend(pages(workspace, built, source)?);
    entries.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(entries)
}

fn pages(workspace: &Workspace, built: &Built, source: &Source) -> Result<Vec<Entry>> {
    let book = read(&workspace.root.join("docs/src/configuration.md"))?;
    let page = manual::configuration(&book, &source.version, &source.date("+%Y-%m-%d")?);
    let mut entries = vec![zipped("usr/share/man/man5/overlay.toml.5.gz", &page)?];
    let folder = built.generated.join("man");
    for page in fs::read_dir(&folder).with_context(|| format!("{}", folder.display()))? {
        let page = page?;
        let name = page.file_name().to_string_lossy().into_owned();
        entries.push(zipped(&format!("usr/share/man/man1/{name}.gz"), &read(&page.path())?)?);
    }
    Ok(entries)
}

/// A text, readable by all.
pub fn text(path: &str, content: String) -> Entry {
    Entry { path: path.to_owned(), mode: 0o644, content: content.into_bytes() }
}

/// A file as it is.
pub fn copied(path: String, file: &Path) -> Result<Entry> {
    Ok(Entry { path, mode: 0o644, content: bytes(file)? })
}

/// A text, compressed without a name and a time.
pub fn zipped(path: &str, content: &str) -> Result<Entry> {
    let scratch = overlay_testbed::Scratch::new()?;
    let file = scratch.write("text", content)?;
    let mut gzip = Command::new("gzip");
    let output = gzip.args(["--best", "--no-name", "--stdout"]).arg(file).output();
    let output = output.with_context(|| format!("cannot start {}", line(&gzip)))?;
    ensure!(output.status.success(), "gzip: {}", String::from_utf8_lossy(&output.stderr));
    Ok(Entry { path: path.to_owned(), mode: 0o644, content: output.stdout })
}

/// Writes the files below `root`, in place of what was there.
pub fn write(root: &Path, entries: &[Entry]) -> Result<()> {
    let _ = fs::remove_dir_all(root);
    fs::create_dir_all(root)?;
    for entry in entries {
        let path = root.join(&entry.path);
        let folder = path.parent().context("a file without a folder")?;
        fs::create_dir_all(folder)?;
        fs::write(&path, &entry.content).with_context(|| format!("{}", path.display()))?;
        fs::set_permissions(&path, fs::Permissions::from_mode(entry.mode))?;
    }
    folders(root)?.iter().try_for_each(|folder| {
        // Whatever this user's umask says.
        Ok(fs::set_permissions(folder, fs::Permissions::from_mode(0o755))?)
    })
}

/// Every folder from `root` down.
fn folders(root: &Path) -> Result<Vec<PathBuf>> {
    let mut found = vec![root.to_path_buf()];
    let mut next = 0;
    while let Some(folder) = found.get(next).cloned() {
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            if path.is_dir() {
                found.push(path);
            }
        }
        next += 1;
    }
    Ok(found)
}

/// A file of the source.
pub fn read(file: &Path) -> Result<String> {
    fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))
}

fn bytes(file: &Path) -> Result<Vec<u8>> {
    fs::read(file).with_context(|| format!("cannot read {}", file.display()))
}

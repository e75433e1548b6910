//! The .rpm package, by `rpmbuild` itself.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::Result;

use super::build::Built;
use super::source::{EPOCH, Source};
use super::tree::{self, Layout};
use crate::step::execute;
use crate::workspace::Workspace;

const LAYOUT: Layout = Layout {
    units: "usr/lib/systemd/system",
    zsh: "usr/share/zsh/site-functions",
    environment: "etc/sysconfig/overlay",
};

/// Settings without which a package would tell of the machine and the moment, or be changed
/// behind its tree's back.
const MACROS: &[&str] = &[
    "_buildhost localhost",
    "use_source_date_epoch_as_buildtime Y",
    "clamp_mtime_to_source_date_epoch Y",
    "source_date_epoch_from_changelog 0",
    "_build_id_links none",
    "debug_package %{nil}",
    "__os_install_post %{nil}",
    "_binary_payload w9.gzdio",
    "_rpmfilename %{NAME}-%{VERSION}-%{RELEASE}.%{ARCH}.rpm",
];

/// Makes `overlay-VERSION.ARCH.rpm` in `folder`.
pub fn make(
    workspace: &Workspace,
    built: &Built,
    source: &Source,
    folder: &Path,
) -> Result<Vec<PathBuf>> {
    let top = folder.join("rpm");
    let root = top.join("overlay");
    let mut entries = tree::gateway(workspace, built, source, &LAYOUT)?;
    for licence in ["LICENSE-MIT", "LICENSE-APACHE"] {
        let text = tree::read(&workspace.root.join(licence))?;
        entries.push(tree::text(&format!("usr/share/licenses/overlay/{licence}"), text));
    }
    tree::write(&root, &entries)?;
    fs::create_dir(root.join("etc/overlay"))?;
    let list: Vec<String> = entries.iter().map(|entry| listed(&entry.path, entry.mode)).collect();
    let spec = tree::read(&workspace.root.join("packaging/rpm/overlay.spec"))?
        .replace("@VERSION@", &source.version)
        .replace("@RELEASE@", &source.revision.to_string())
        .replace("@TREE@", &root.display().to_string())
        .replace("@FILES@", &list.join("\n"));
    let file = top.join("overlay.spec");
    fs::write(&file, spec)?;
    let mut rpmbuild = Command::new("rpmbuild");
    rpmbuild.args(["-bb", "--quiet", "--nodeps", "--noclean"]);
    let places = [("_topdir", &top), ("_rpmdir", &folder.to_owned()), ("_dbpath", &top.join("db"))];
    for (name, place) in places {
        rpmbuild.arg("--define").arg(format!("{name} {}", place.display()));
    }
    rpmbuild.args(MACROS.iter().flat_map(|setting| ["--define", setting]));
    rpmbuild.env(EPOCH, source.epoch.to_string()).stdout(Stdio::null());
    execute(rpmbuild.arg(&file))?;
    let name = format!("overlay-{}.{}.rpm", source.full(), std::env::consts::ARCH);
    Ok(vec![folder.join(name)])
}

/// A file as the specification lists it.
fn listed(path: &str, mode: u32) -> String {
    let kind = match path {
        _ if path.starts_with("etc/") => "%config(noreplace) ",
        _ if path.starts_with("usr/share/licenses/") => "%license ",
        _ if path.starts_with("usr/share/doc/") || path.starts_with("usr/share/man/") => "%doc ",
        _ => "",
    };
    format!("{kind}%attr({mode:04o},root,root) /{path}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_listed_for_what_they_are() {
        assert_eq!(listed("usr/bin/overlay", 0o755), "%attr(0755,root,root) /usr/bin/overlay");
        let configuration = listed("etc/sysconfig/overlay", 0o644);
        assert_eq!(
            configuration,
            "%config(noreplace) %attr(0644,root,root) /etc/sysconfig/overlay"
        );
    }
}

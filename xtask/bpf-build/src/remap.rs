//! Paths as they stand in what is built: the same on every machine, wherever the
//! workspace, cargo's home and the compiler are.

use std::path::{Path, PathBuf};

use crate::cargo_home;

/// What the workspace is called.
const WORKSPACE: &str = "/usr/src/overlay";
/// What the folder is called that cargo builds in.
const TARGET: &str = "/usr/src/overlay-target";
/// What the folder is called that crates are unpacked in. Which registry they came
/// from (a mirror has another name) makes no difference either.
const CRATES: &str = "/usr/src/crates";
/// What the source of Rust's own library is called.
const LIBRARY: &str = "/usr/src/rust";

/// Folders, and what they are called instead; where several fit, the last one holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remap(Vec<(PathBuf, &'static str)>);

impl Remap {
    /// The folders of a build: the workspace, where cargo puts what it builds, the
    /// source of Rust's library where it is installed, and the crates of cargo's home.
    pub fn of(workspace: &Path, target_dir: &Path, library: Option<&Path>) -> Self {
        let mut folders = vec![(workspace.to_owned(), WORKSPACE), (target_dir.to_owned(), TARGET)];
        folders.extend(library.map(|library| (library.to_owned(), LIBRARY)));
        folders.extend(registries().into_iter().map(|registry| (registry, CRATES)));
        Self(folders)
    }

    /// The compiler's flags for it.
    pub fn flags(&self) -> Vec<String> {
        self.pairs("--remap-path-prefix")
    }

    /// The same for C, which some crates bring.
    pub fn c_flags(&self) -> Vec<String> {
        self.pairs("-ffile-prefix-map")
    }

    fn pairs(&self, flag: &str) -> Vec<String> {
        let pair = |(from, to): &(PathBuf, &str)| format!("{flag}={}={to}", from.display());
        self.0.iter().map(pair).collect()
    }
}

/// Where cargo unpacks crates: a folder for each registry. One that comes with this very
/// build is not among them, so the crates have to be there before.
fn registries() -> Vec<PathBuf> {
    let Some(home) = cargo_home() else { return Vec::new() };
    let Ok(entries) = std::fs::read_dir(home.join("registry/src")) else { return Vec::new() };
    let mut found: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    found.sort();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_places_are_called_the_same() {
        let called = |workspace: &str, target: &str| -> Vec<String> {
            let remap = Remap::of(Path::new(workspace), Path::new(target), Some(Path::new("/r")));
            let flags = remap.flags();
            let end = |flag: &String| flag.rsplit('=').next().map(str::to_owned);
            flags.iter().filter_map(end).collect()
        };
        assert_eq!(called("/a", "/a/target"), called("/b/c", "/elsewhere"));
        let first = Remap::of(Path::new("/a"), Path::new("/t"), None).flags().remove(0);
        assert_eq!(first, "--remap-path-prefix=/a=/usr/src/overlay");
    }
}

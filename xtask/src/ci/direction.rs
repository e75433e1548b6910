//! Dependencies point one way: `common ← ebpf`, `common ← control ← user`.
//!
//! The manifests are checked through cargo's metadata; what a crate may not know
//! (clocks, sockets, aya) is looked for in its sources.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::workspace::Workspace;

/// What a crate may depend on.
struct Room {
    name: &'static str,
    /// Crates of this workspace.
    may: &'static [&'static str],
    /// Crates of this workspace, for its tests or its build script alone.
    aside: &'static [&'static str],
    /// Other crates.
    others: Others,
}

/// Which crates from elsewhere a crate may depend on, tests aside.
enum Others {
    None,
    Any,
    Without(&'static [&'static str]),
}

/// Every crate of the workspace.
const HOUSE: &[Room] = &[
    Room { name: "overlay-common", may: &[], aside: &[], others: Others::None },
    Room {
        name: "overlay-ebpf",
        may: &["overlay-common"],
        aside: &[],
        others: Others::Without(&["aya", "tokio"]),
    },
    Room {
        name: "overlay-control",
        may: &["overlay-common"],
        aside: &[],
        others: Others::Without(&[
            "aya",
            "libc",
            "mio",
            "nix",
            "rand",
            "rtnetlink",
            "rustix",
            "socket2",
            "tokio",
        ]),
    },
    Room {
        name: "overlay-user",
        may: &["overlay-common", "overlay-control"],
        aside: &["bpf-build", "overlay-proof", "overlay-testbed"],
        others: Others::Any,
    },
    Room { name: "overlay-testbed", may: &[], aside: &[], others: Others::Any },
    Room {
        name: "overlay-proof",
        may: &["overlay-common", "overlay-control", "overlay-testbed", "overlay-user"],
        aside: &[],
        others: Others::Any,
    },
    Room {
        name: "overlay-bench",
        may: &["overlay-common", "overlay-control", "overlay-testbed", "overlay-user"],
        aside: &["bpf-build"],
        others: Others::Any,
    },
    Room {
        name: "overlay-bench-ebpf",
        may: &["overlay-common"],
        aside: &[],
        others: Others::Without(&["aya", "tokio"]),
    },
    Room { name: "bpf-build", may: &[], aside: &[], others: Others::None },
    Room {
        name: "xtask",
        may: &["bpf-build", "overlay-testbed"],
        aside: &[],
        others: Others::Without(&["aya", "tokio"]),
    },
];

/// A word that sources must not contain.
struct Ban {
    folder: &'static str,
    /// A folder inside, to which the ban does not apply.
    except: &'static str,
    word: &'static str,
    instead: &'static str,
}

const BANS: &[Ban] = &[
    ban("overlay-common/src", "std::", "this crate is `no_std`: use `core`"),
    ban("overlay-common/src", "extern crate alloc", "the packet path does not allocate"),
    ban("overlay-common/src", "aya", "maps belong to overlay-ebpf, behind `Tables`"),
    ban("overlay-control/src", "Instant::now", "the time comes in with each input"),
    ban("overlay-control/src", "SystemTime", "the time comes in with each input"),
    ban("overlay-control/src", "std::fs", "files are read in overlay-user"),
    ban("overlay-control/src", "UdpSocket", "sockets belong to overlay-user"),
    ban("overlay-control/src", "TcpStream", "sockets belong to overlay-user"),
    ban("overlay-control/src", "std::thread", "threads belong to overlay-user"),
    Ban {
        folder: "overlay-user/src",
        except: "overlay-user/src/dataplane",
        word: "aya",
        instead: "only overlay-user/src/dataplane may use aya",
    },
];

const fn ban(folder: &'static str, word: &'static str, instead: &'static str) -> Ban {
    Ban { folder, except: "", word, instead }
}

/// Checks every crate, and names each breach.
pub fn check(workspace: &Workspace) -> Result<()> {
    let metadata = workspace.metadata()?;
    let mut breaches = Vec::new();
    for package in members(&metadata)? {
        breaches.extend(of_manifest(package)?);
    }
    for ban in BANS {
        of_sources(&workspace.root, ban, &mut breaches)?;
    }
    let common = workspace.root.join("overlay-common/src/lib.rs");
    if !std::fs::read_to_string(&common)?.contains("#![no_std]") {
        breaches.push(format!("{}: `#![no_std]` is missing", common.display()));
    }
    if breaches.is_empty() {
        return Ok(());
    }
    bail!("dependencies point the wrong way:\n      {}", breaches.join("\n      "))
}

/// The packages of the workspace.
fn members(metadata: &Value) -> Result<Vec<&Value>> {
    let packages = metadata["packages"].as_array().context("cargo metadata has no packages")?;
    let members = metadata["workspace_members"].as_array().context("no workspace members")?;
    Ok(packages.iter().filter(|package| members.contains(&package["id"])).collect())
}

/// The breaches in one manifest.
fn of_manifest(package: &Value) -> Result<Vec<String>> {
    let name = package["name"].as_str().context("a package without a name")?;
    let Some(room) = HOUSE.iter().find(|room| room.name == name) else {
        return Ok(vec![format!(
            "{name}: a new crate; say in xtask/src/ci/direction.rs what it may depend on"
        )]);
    };
    let dependencies = package["dependencies"].as_array().context("no dependencies")?;
    let refused = dependencies.iter().filter_map(|dependency| {
        let on = dependency["name"].as_str()?;
        let normal = dependency["kind"].is_null();
        let ours = HOUSE.iter().any(|room| room.name == on);
        let allowed = if ours {
            // A crate's tests may ask for a feature of the crate itself.
            room.may.contains(&on) || !normal && (room.aside.contains(&on) || on == name)
        } else {
            !normal || room.others.allow(on)
        };
        (!allowed).then(|| format!("{name}: may not depend on {on}"))
    });
    Ok(refused.collect())
}

impl Others {
    fn allow(&self, name: &str) -> bool {
        match self {
            Self::None => false,
            Self::Any => true,
            Self::Without(refused) => !refused.contains(&name),
        }
    }
}

/// The lines that contain a banned word.
fn of_sources(root: &Path, ban: &Ban, breaches: &mut Vec<String>) -> Result<()> {
    for file in sources(&root.join(ban.folder))? {
        let relative = file.strip_prefix(root).unwrap_or(&file);
        if !ban.except.is_empty() && relative.starts_with(ban.except) {
            continue;
        }
        let text = std::fs::read_to_string(&file)?;
        for (number, line) in until_tests(&text) {
            if contains_word(line, ban.word) {
                let place = format!("{}:{number}", relative.display());
                breaches.push(format!("{place}: `{}`: {}", ban.word, ban.instead));
            }
        }
    }
    Ok(())
}

/// The numbered lines of code, without comments, up to a file's tests.
fn until_tests(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines()
        .enumerate()
        .map(|(index, line)| (index + 1, line))
        .take_while(|(_, line)| line.trim() != "#[cfg(test)]")
        .filter(|(_, line)| !line.trim_start().starts_with("//"))
}

/// Whether `word` stands in `line` with no letter, digit or `_` around it; `aya`
/// finds `aya_log` too, the same project's.
fn contains_word(line: &str, word: &str) -> bool {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + word.len()..].chars().next();
        let ends = word.ends_with(':') || !after.is_some_and(char::is_alphanumeric);
        !before.is_some_and(is_word) && ends
    })
}

/// Every Rust file under a folder.
pub fn sources(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        let entries = std::fs::read_dir(&folder);
        for entry in entries.with_context(|| format!("reading {}", folder.display()))? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn package(name: &str, on: &str, kind: Value) -> Value {
        json!({"name": name, "dependencies": [{"name": on, "kind": kind}]})
    }

    #[test]
    fn upward_dependencies_are_breaches() {
        let breaches = |name, on, kind| of_manifest(&package(name, on, kind)).unwrap().len();
        assert_eq!(breaches("overlay-common", "overlay-control", Value::Null), 1);
        assert_eq!(breaches("overlay-control", "overlay-common", Value::Null), 0);
        assert_eq!(breaches("overlay-control", "tokio", Value::Null), 1);
        assert_eq!(breaches("overlay-control", "overlay-user", Value::Null), 1);
        assert_eq!(breaches("overlay-common", "proptest", json!("dev")), 0);
        assert_eq!(breaches("overlay-common", "bytes", Value::Null), 1);
        assert_eq!(breaches("overlay-user", "bpf-build", json!("build")), 0);
        assert_eq!(breaches("overlay-user", "bpf-build", Value::Null), 1);
        assert_eq!(breaches("unheard-of", "serde", Value::Null), 1);
    }

    #[test]
    fn words_are_found_as_words() {
        assert!(contains_word("use aya::maps::Map;", "aya"));
        assert!(contains_word("aya_log::init()", "aya"));
        assert!(!contains_word("let layaway = 1;", "aya"));
        assert!(contains_word("use std::fs;", "std::"));
        assert!(!contains_word("no_std::x", "std::"));
    }

    #[test]
    fn tests_and_comments_are_not_looked_at() {
        let text = "// std::fs\nfn f() {}\n#[cfg(test)]\nmod tests { use std::fs; }\n";
        assert_eq!(until_tests(text).collect::<Vec<_>>(), [(2, "fn f() {}")]);
    }
}

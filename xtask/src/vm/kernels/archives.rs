//! Where this machine gets Debian from, as its configuration of apt says.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

/// An archive, and the suites that it is configured for.
#[derive(Debug, PartialEq, Eq)]
struct Archive {
    uri: String,
    suites: Vec<String>,
}

/// The archive that has a suite.
pub fn archive_of(suite: &str) -> Result<String> {
    find(&configured(), suite).with_context(|| {
        format!(
            "apt has no archive configured that could have {suite}: add a line \
             `deb ARCHIVE {suite} main` to /etc/apt/sources.list.d/"
        )
    })
}

/// What is configured for this very suite comes first: so a suite that has moved is told
/// where it is. Else Debian's own archive has it, which is the one with updates beside
/// others that may be configured, or that of its security updates.
fn find(archives: &[Archive], suite: &str) -> Option<String> {
    let kind = if suite.ends_with("-security") { "-security" } else { "-updates" };
    let with = |wanted: &dyn Fn(&str) -> bool| {
        archives.iter().find(|archive| archive.suites.iter().any(|suite| wanted(suite)))
    };
    let found = with(&|configured| configured == suite);
    found.or_else(|| with(&|configured| configured.ends_with(kind))).map(|a| a.uri.clone())
}

fn configured() -> Vec<Archive> {
    let mut files = vec![Path::new("/etc/apt/sources.list").to_owned()];
    let folder = fs::read_dir("/etc/apt/sources.list.d").into_iter().flatten().flatten();
    let mut others: Vec<_> = folder.map(|entry| entry.path()).filter(|p| is_read(p)).collect();
    others.sort();
    files.extend(others);
    let texts = files.iter().filter_map(|file| fs::read_to_string(file).ok());
    texts.flat_map(|text| archives_in(&text)).collect()
}

/// apt looks at no other files.
fn is_read(file: &Path) -> bool {
    file.extension().is_some_and(|extension| extension == "list" || extension == "sources")
}

/// Both notations: lines that begin with `deb`, and paragraphs with `URIs:`.
fn archives_in(text: &str) -> Vec<Archive> {
    let mut archives = Vec::new();
    let mut note = |uri: &str, suites: &str| {
        archives.push(Archive {
            uri: uri.trim_end_matches('/').to_owned(),
            suites: suites.split_whitespace().map(str::to_owned).collect(),
        });
    };
    for paragraph in text.split("\n\n") {
        let field = |name: &str| paragraph.lines().find_map(|line| line.strip_prefix(name));
        let is_off = field("Enabled:").is_some_and(|value| value.trim() == "no");
        if let (Some(uris), Some(suites), false) = (field("URIs:"), field("Suites:"), is_off) {
            uris.split_whitespace().for_each(|uri| note(uri, suites));
        }
        for line in paragraph.lines().filter_map(|line| line.strip_prefix("deb ")) {
            let plain = line.split(']').next_back().unwrap_or(line);
            let mut words = plain.split_whitespace();
            if let (Some(uri), Some(suite)) = (words.next(), words.next()) {
                note(uri, suite);
            }
        }
    }
    archives
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARAGRAPHS: &str = "Types: deb\nURIs: http://other.test\nSuites: nodistro\n\n\
                              Types: deb\nURIs: http://off.test\nEnabled: no\n\
                              Suites: bookworm-updates\n\n\
                              Types: deb\nURIs: http://mirror.test/debian/\n\
                              Suites: bookworm bookworm-updates\n\n\
                              Types: deb\nURIs: http://mirror.test/security\n\
                              Suites: bookworm-security\n";
    const LINES: &str = "# comment\ndeb http://other.test bookworm main\n\
                         deb [arch=amd64] http://mirror.test/debian bookworm-updates main\n\
                         deb http://mirror.test/security bookworm-security main\n";

    #[test]
    fn archives_are_read_in_both_notations() {
        for text in [PARAGRAPHS, LINES] {
            let of = |suite| find(&archives_in(text), suite);
            assert_eq!(of("sid").as_deref(), Some("http://mirror.test/debian"));
            let security = of("bullseye-security");
            assert_eq!(security.as_deref(), Some("http://mirror.test/security"));
        }
        assert_eq!(find(&archives_in("deb http://mirror.test/debian bookworm main"), "sid"), None);
    }

    #[test]
    fn a_suite_that_is_configured_by_name_is_looked_for_there() {
        let text = format!("{LINES}deb http://old.test bullseye-security main\n");
        let of = |suite| find(&archives_in(&text), suite);
        assert_eq!(of("bullseye-security").as_deref(), Some("http://old.test"));
        assert_eq!(of("trixie-security").as_deref(), Some("http://mirror.test/security"));
    }

    #[test]
    fn files_that_apt_does_not_read_are_not_read() {
        assert!(is_read(Path::new("a.list")) && is_read(Path::new("a.sources")));
        assert!(!is_read(Path::new("a.list.disabled")) && !is_read(Path::new("a.sources.save")));
    }
}

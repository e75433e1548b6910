//! apt with a configuration of its own: neither what this machine prefers, holds or has
//! installed says which kernels there are, and none of its lists is touched.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use overlay_testbed::Scratch;

use super::packages::{Sums, complete, sums_in};
use super::{Kernel, archives};
use crate::step::{capture, execute, step};

/// What one suite of Debian's holds, as signed by Debian.
pub struct Apt {
    suite: &'static str,
    /// Its configuration, a file.
    config: PathBuf,
}

const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

impl Apt {
    /// Reads the list of a suite into a folder below that of all lists.
    pub fn update(lists: &Path, suite: &'static str) -> Result<Self> {
        let folder = lists.join(suite);
        fs::create_dir_all(folder.join("lists/partial"))?;
        fs::create_dir_all(folder.join("cache/archives/partial"))?;
        let archive = archives::archive_of(suite)?;
        // Nothing but the packages; a list that is no longer renewed still tells the last kernel.
        let options = format!("signed-by={KEYRING} check-valid-until=no target=Packages");
        let sources = folder.join("sources.list");
        fs::write(&sources, format!("deb [{options}] {archive} {suite} main\n"))?;
        let config = folder.join("apt.conf");
        fs::write(&config, config_of(&folder, &sources))?;
        let apt = Self { suite, config };
        step(&format!("read Debian's list of {suite}"), || {
            execute(apt.command("apt-get").args(["--quiet", "--error-on=any", "update"]))
        })
        .with_context(|| {
            format!(
                "{suite} cannot be read. If Debian has moved it to its archive of old releases, \
                 name that archive in a line `deb ARCHIVE {suite} main` of apt's configuration, \
                 which is used for that suite; or take its kernels out of KERNELS in \
                 xtask/src/vm/kernels/mod.rs"
            )
        })?;
        Ok(apt)
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.arg("--config-file").arg(&self.config);
        command
    }

    /// The newest release of a series.
    pub fn newest(&self, kernel: &Kernel) -> Result<String> {
        let prefix = kernel.packages[0];
        let names = capture(self.command("apt-cache").args(["pkgnames", prefix]))?;
        let releases = || names.lines().filter_map(|name| name.strip_prefix(prefix));
        newest(releases(), kernel).map(str::to_owned).with_context(|| {
            format!(
                "{} has no Linux {} that ends in {}; those that end in cloud-amd64 are {}: see \
                 `How to add a kernel` in docs/src/kernels.md",
                self.suite,
                kernel.series,
                kernel.flavour,
                series_in(releases())
            )
        })
    }

    /// Makes a folder hold the packages of a release, whole and nothing else.
    pub fn download(&self, kernel: &Kernel, release: &str, folder: &Path) -> Result<()> {
        let names = kernel.packages.iter().map(|prefix| format!("{prefix}{release}"));
        let sums = self.sums(&names.clone().collect::<Vec<_>>())?;
        complete(folder, &sums, |folder| {
            let mut apt = self.command("apt-get");
            execute(apt.args(["--quiet", "download"]).args(names.clone()).current_dir(folder))
        })
    }

    /// What packages should be. apt says it only where they are not.
    fn sums(&self, names: &[String]) -> Result<Sums> {
        let nowhere = Scratch::new()?;
        let mut apt = self.command("apt-get");
        apt.args(["--quiet", "--print-uris", "download"]).args(names);
        let sums = sums_in(&capture(apt.current_dir(nowhere.path()))?);
        let found = sums.len();
        anyhow::ensure!(found == names.len(), "apt knows {found} packages of {}", names.join(", "));
        Ok(sums)
    }
}

/// Read after the machine's own.
fn config_of(folder: &Path, sources: &Path) -> String {
    let nothing = Path::new("/dev/null");
    let paths = [
        ("Dir::Etc::SourceList", sources),
        ("Dir::Etc::SourceParts", nothing),
        ("Dir::Etc::Preferences", nothing),
        ("Dir::Etc::PreferencesParts", nothing),
        ("Dir::State::status", nothing),
        ("Dir::State::Lists", &folder.join("lists")),
        ("Dir::Cache", &folder.join("cache")),
    ];
    let words = [
        ("APT::Sandbox::User", "root"),
        ("APT::Get::List-Cleanup", "0"),
        ("APT::Default-Release", ""),
        ("Acquire::Languages", "none"),
    ];
    let paths = paths.map(|(name, path)| format!("{name} \"{}\";\n", path.display()));
    let words = words.map(|(name, word)| format!("{name} \"{word}\";\n"));
    paths.into_iter().chain(words).collect()
}

/// The newest of a series' releases: the one with the largest numbers.
fn newest<'a>(releases: impl Iterator<Item = &'a str>, kernel: &Kernel) -> Option<&'a str> {
    let is_ours = |release: &&str| {
        let rest = release.strip_prefix(kernel.series);
        rest.is_some_and(|rest| rest.starts_with(['.', '-', '+']))
            && release.ends_with(kernel.flavour)
    };
    let numbers = |release: &&str| -> Vec<u64> {
        let version = release.trim_end_matches(kernel.flavour);
        version.split(|c: char| !c.is_ascii_digit()).filter_map(|n| n.parse().ok()).collect()
    };
    releases.filter(is_ours).min_by_key(|release| Reverse(numbers(release)))
}

/// The series of the releases of the cloud flavour.
fn series_in<'a>(releases: impl Iterator<Item = &'a str>) -> String {
    let cloud = releases.filter(|release| release.ends_with("cloud-amd64"));
    let number = |text: Option<&str>| text.and_then(|text| text.parse::<u32>().ok());
    let series: BTreeSet<(u32, u32)> = cloud
        .filter_map(|release| {
            let mut words = release.split(|c: char| !c.is_ascii_digit());
            Some((number(words.next())?, number(words.next())?))
        })
        .collect();
    let words: Vec<String> =
        series.iter().map(|(major, minor)| format!("{major}.{minor}")).collect();
    if words.is_empty() { "none".to_owned() } else { words.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::super::KERNELS;
    use super::*;

    const NAMES: [&str; 5] = [
        "6.1.0-9-cloud-amd64",
        "6.1.0-56-cloud-amd64",
        "6.1.0-57-amd64",
        "6.12.117+deb12-cloud-amd64",
        "6.1.0-58-cloud-amd64-dbg",
    ];

    #[test]
    fn a_series_newest_release_is_chosen_by_its_numbers() {
        let of = |series: &str| {
            let kernel = KERNELS.iter().find(|kernel| kernel.series == series).unwrap();
            newest(NAMES.into_iter(), kernel)
        };
        assert_eq!(of("6.1"), Some("6.1.0-56-cloud-amd64"));
        assert_eq!(of("6.12"), Some("6.12.117+deb12-cloud-amd64"));
        assert_eq!(of("7.3"), None);
    }

    #[test]
    fn where_a_series_is_missing_those_that_are_there_are_named() {
        assert_eq!(series_in(NAMES.into_iter()), "6.1, 6.12");
        assert_eq!(series_in(std::iter::empty()), "none");
    }
}

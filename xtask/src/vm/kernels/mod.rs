//! Debian's kernels.
//!
//! - here: which, and making them ready for a run.
//! - [`cache`]: those that are on this machine.
//! - [`apt`]: fetching them, by apt with a configuration of its own.
//! - [`packages`]: what a download left, and what of it is good.
//! - [`archives`]: where this machine gets Debian from.

mod apt;
mod archives;
mod cache;
mod packages;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Result, anyhow, ensure};

use apt::Apt;
use cache::Cache;

/// A series of kernels, of which Debian carries one at a time.
#[derive(Debug)]
pub struct Kernel {
    /// Such as `6.1`.
    pub series: &'static str,
    /// Where it is in Debian.
    suite: &'static str,
    /// What its packages' names begin with; the kernel's release follows.
    packages: &'static [&'static str],
    /// How its releases end.
    flavour: &'static str,
}

/// Oldest first; the last is the newest that there is.
pub const KERNELS: &[Kernel] = &[
    kernel("5.10", "bullseye-security", ONE, "-cloud-amd64"),
    kernel("6.1", "bookworm-security", ONE, "-cloud-amd64"),
    kernel("6.12", "bookworm-security", ONE, "+deb12-cloud-amd64"),
    kernel("6.16", "trixie-backports", ONE, "+deb13-cloud-amd64"),
    kernel("6.18", "trixie-backports", ONE, "+deb13-cloud-amd64"),
    kernel("7.2", "sid", TWO, "+deb14-cloud-amd64"),
    kernel("7.3", "trixie-backports", TWO, "+deb13-cloud-amd64"),
];

/// Those that every change is tested on: Debian's three stable releases, and the newest.
pub const EVERY_CHANGE: &[&str] = &["5.10", "6.1", "6.12", "7.3"];

const ONE: &[&str] = &["linux-image-"];
/// From Linux 7.0 on Debian ships a kernel and its modules apart.
const TWO: &[&str] = &["linux-binary-", "linux-modules-"];

const fn kernel(
    series: &'static str,
    suite: &'static str,
    packages: &'static [&'static str],
    flavour: &'static str,
) -> Kernel {
    Kernel { series, suite, packages, flavour }
}

/// A kernel that is ready to be booted.
#[derive(Debug)]
pub struct Ready {
    /// Such as `6.1`.
    pub series: &'static str,
    /// Such as `6.1.0-56-cloud-amd64`.
    pub release: String,
    /// The kernel.
    pub vmlinuz: PathBuf,
    /// An archive (cpio) of its modules.
    pub modules: PathBuf,
}

/// When to look for a newer kernel than the one in the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// Where there is none.
    WhereMissing,
    /// Where nobody has looked for so long.
    After(Duration),
    /// Now.
    Now,
}

/// The kernels of these series in their order, or all where none is named.
pub fn named(series: &[String]) -> Result<Vec<&'static Kernel>> {
    let known = || KERNELS.iter().map(|kernel| kernel.series).collect::<Vec<_>>().join(", ");
    for name in series {
        let is_known = KERNELS.iter().any(|kernel| kernel.series == name);
        ensure!(is_known, "no kernel `{name}`; there are {}", known());
    }
    let is_wanted =
        |kernel: &&Kernel| series.is_empty() || series.iter().any(|name| kernel.series == name);
    Ok(KERNELS.iter().filter(is_wanted).collect())
}

/// Whether a series is the newest of all.
pub fn is_newest(series: &str) -> bool {
    KERNELS.last().is_some_and(|kernel| kernel.series == series)
}

/// Makes kernels ready in a folder of the run's own, where nobody replaces them while
/// they are booted: those in the cache from there, the others from Debian. One that is
/// not to be had does not keep the others from being.
pub fn prepare(
    kernels: &[&'static Kernel],
    look: Look,
    folder: &Path,
) -> Result<Vec<(&'static str, Result<Ready>)>> {
    let cache = Cache::open()?;
    let mut suites = BTreeMap::new();
    let mut prepare_one = |kernel: &Kernel| {
        let held = cache.holds(kernel);
        if !held || cache.is_due(kernel, look) {
            let update = || Apt::update(&cache.lists(), kernel.suite).map_err(|e| format!("{e:#}"));
            let fetched = match suites.entry(kernel.suite).or_insert_with(update) {
                Ok(apt) => cache.fetch(kernel, apt),
                Err(error) => Err(anyhow!(error.clone())),
            };
            match fetched {
                Err(error) if held => {
                    println!(
                        "    going on with the Linux {} that is here: {error:#}",
                        kernel.series
                    );
                }
                fetched => fetched?,
            }
        }
        cache.take(kernel, folder)
    };
    Ok(kernels.iter().map(|kernel| (kernel.series, prepare_one(kernel))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn what_every_change_is_tested_on_is_known_and_ends_with_the_newest() {
        assert_eq!(named(&names(EVERY_CHANGE)).unwrap().len(), EVERY_CHANGE.len());
        assert_eq!(EVERY_CHANGE.last(), KERNELS.last().map(|kernel| &kernel.series));
        assert!(named(&names(&["2.6"])).is_err());
    }

    #[test]
    fn kernels_come_in_their_order_and_once() {
        let found = named(&names(&["7.3", "5.10", "7.3"])).unwrap();
        assert_eq!(found.iter().map(|kernel| kernel.series).collect::<Vec<_>>(), ["5.10", "7.3"]);
        assert_eq!(named(&[]).unwrap().len(), KERNELS.len());
    }
}

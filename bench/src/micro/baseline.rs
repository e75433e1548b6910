//! Figures of the programs that are the same in every run on one kernel, kept in
//! `bench/baseline.json` and compared in CI.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use super::programs::{Figures, NAMES, Programs};

/// A figure may be this much of its baseline before it counts as grown.
const TOLERANCE: f64 = 1.05;

/// The figures of every program.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Baseline {
    /// The kernel whose verifier and compiler they are of, such as `6.18`.
    pub kernel: String,
    /// By program.
    pub programs: BTreeMap<String, Figures>,
}

/// A figure that has grown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Growth {
    /// The program.
    pub program: String,
    /// The figure.
    pub figure: String,
    /// What the baseline says; `None` where it does not know the figure.
    pub old: Option<u64>,
    /// What it is now.
    pub new: u64,
}

impl fmt::Display for Growth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { program, figure, old, new } = self;
        match old {
            Some(old) => {
                let percent = (*new as f64 / *old as f64 - 1.0) * 100.0;
                write!(f, "{program}: {figure} grew from {old} to {new} ({percent:+.1} %)")
            }
            None => write!(f, "{program}: {figure} is {new}, and not in the baseline"),
        }
    }
}

impl Baseline {
    /// Where it is kept.
    pub fn path() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("baseline.json")
    }

    /// Reads the file.
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| {
            format!("reading {}; `cargo xtask bench --accept` makes it", path.display())
        })?;
        serde_json::from_str(&text).with_context(|| format!("reading {}", path.display()))
    }

    /// Writes the file.
    pub fn write(&self, path: &Path) -> Result<()> {
        let text = format!("{}\n", serde_json::to_string_pretty(self)?);
        std::fs::write(path, text).with_context(|| format!("writing {}", path.display()))
    }
}

/// The figures of the programs as they are now. Needs root.
pub fn deterministic() -> Result<Baseline> {
    let mut loaded = Programs::load()?;
    let figures = |name: &&str| Ok(((*name).to_owned(), loaded.figures(name)?));
    let programs = NAMES.iter().map(figures).collect::<Result<_>>()?;
    Ok(Baseline { kernel: kernel()?, programs })
}

/// Every figure that is more than 5 % above its baseline, or has none. Figures
/// of another kernel are not compared: it verifies and compiles otherwise.
pub fn compare(baseline: &Baseline, now: &Baseline) -> Vec<Growth> {
    if baseline.kernel != now.kernel {
        return Vec::new();
    }
    let all = now.programs.iter().flat_map(|(program, figures)| {
        figures.iter().map(move |(figure, new)| (program, figure, *new))
    });
    let growth = |(program, figure, new): (&String, &String, u64)| {
        let old = baseline.programs.get(program).and_then(|figures| figures.get(figure)).copied();
        let held = old.is_some_and(|old| new as f64 <= old as f64 * TOLERANCE);
        (!held).then(|| Growth { program: program.clone(), figure: figure.clone(), old, new })
    };
    all.filter_map(growth).collect()
}

/// The first two numbers of the kernel's release.
fn kernel() -> Result<String> {
    let path = "/proc/sys/kernel/osrelease";
    let release = std::fs::read_to_string(path).with_context(|| format!("reading {path}"))?;
    Ok(series_of(&release))
}

fn series_of(release: &str) -> String {
    release.trim().split('.').take(2).collect::<Vec<_>>().join(".")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(kernel: &str, verified: u64, jited: u64) -> Baseline {
        let figures = [("verified".to_owned(), verified), ("jited".to_owned(), jited)].into();
        Baseline { kernel: kernel.to_owned(), programs: [("tc_uplink".to_owned(), figures)].into() }
    }

    #[test]
    fn five_percent_are_forgiven_and_no_more() {
        let old = figures("6.18", 1000, 2000);
        assert_eq!(compare(&old, &figures("6.18", 1050, 500)), []);
        let grown = compare(&old, &figures("6.18", 1051, 2000));
        let text: Vec<String> = grown.iter().map(Growth::to_string).collect();
        assert_eq!(text, ["tc_uplink: verified grew from 1000 to 1051 (+5.1 %)"]);
    }

    #[test]
    fn a_program_without_a_baseline_is_named() {
        let grown = compare(
            &figures("6.18", 1, 1),
            &Baseline {
                programs: [("xdp_new".to_owned(), [("jited".to_owned(), 7)].into())].into(),
                kernel: "6.18".to_owned(),
            },
        );
        assert_eq!(grown.len(), 1);
        assert_eq!(grown[0].to_string(), "xdp_new: jited is 7, and not in the baseline");
    }

    #[test]
    fn another_kernel_is_not_compared() {
        assert_eq!(compare(&figures("6.12", 1, 1), &figures("6.18", 9, 9)), []);
        assert_eq!(series_of("6.18.44-fc-v657\n"), "6.18");
    }
}

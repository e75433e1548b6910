//! The command line.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Result, ensure};
use clap::Parser;
use overlay_bench::results::Options;
use overlay_bench::run::Setup;
use overlay_bench::scenario::Order;

/// Milliseconds of a measurement, in a full and in a quick run.
const MILLISECONDS: [u64; 2] = [200, 100];

/// Measures this gateway beside other data planes on this machine: an untouched
/// XDP redirect, the kernel's bridge and vxlan device, and Open vSwitch's
/// userspace datapath where that is installed.
///
/// Ends with 0 where every target that was measured is met, 1 where one is missed
/// or a scenario could not be measured, 2 where there was nothing to run.
#[derive(Parser)]
pub struct Args {
    /// Takes under three minutes: fewer scenarios and rounds, shorter ones.
    #[arg(long)]
    quick: bool,
    /// Measures only scenarios whose title contains this; may be repeated.
    #[arg(long, value_name = "WORD")]
    pub only: Vec<String>,
    /// Names the scenarios, and measures nothing.
    #[arg(long, group = "instead")]
    pub list: bool,
    /// Compares the programs' sizes and instruction counts with those that are
    /// kept in the repository, and measures nothing else.
    #[arg(long, group = "instead")]
    pub baseline: bool,
    /// Keeps the programs' sizes and instruction counts as they are now.
    #[arg(long, group = "instead")]
    pub accept: bool,
    /// How often each data plane is measured, in turn with the others [default:
    /// as each scenario wants].
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: Option<u32>,
    /// About how long each measurement takes [default: 200, and 100 where quick].
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    milliseconds: Option<u64>,
    /// The core that generator, gateway and sink share [default: the last one].
    #[arg(long)]
    cpu: Option<usize>,
    /// Gives the data planes their turns in the opposite order.
    #[arg(long)]
    reverse: bool,
    /// Has this project's gateways hold frames against ten rules of an access list each way and,
    /// where a port has one host, against source guard, and route in two VRFs; where frames go
    /// through gateways.
    #[arg(long)]
    features: bool,
    /// The `overlay` binary [default: the one beside this program].
    #[arg(long, value_name = "FILE")]
    overlay: Option<PathBuf>,
    /// Writes the run with every sample to a file, after each scenario; to
    /// standard output, in place of the tables, where the file is `-`.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Draws what was measured, as SVG files in a folder.
    #[arg(long, value_name = "FOLDER")]
    pub plots: Option<PathBuf>,
    /// Sets an earlier run, which `--json` wrote, beside this one.
    #[arg(long, value_name = "FILE")]
    pub compare: Option<PathBuf>,
    /// Shows a run that `--json` wrote, and measures nothing; may be repeated, and
    /// several runs are shown as one with all their rounds.
    #[arg(long, value_name = "FILE", group = "instead")]
    #[arg(conflicts_with_all = ["quick", "only", "rounds", "milliseconds", "cpu", "reverse"])]
    #[arg(conflicts_with = "features")]
    pub input: Vec<PathBuf>,
}

impl Args {
    /// What scenarios need.
    pub fn setup(&self) -> Result<Setup> {
        let overlay = match &self.overlay {
            Some(file) => file.clone(),
            None => std::env::current_exe()?.with_file_name("overlay"),
        };
        let overlay = std::path::absolute(overlay)?;
        let cores = std::thread::available_parallelism()?.get();
        let cpu = self.cpu.unwrap_or(cores - 1);
        ensure!(cpu < cores, "--cpu {cpu}: this machine has CPUs 0 to {}", cores - 1);
        let default = MILLISECONDS[usize::from(self.quick)];
        let time = Duration::from_millis(self.milliseconds.unwrap_or(default));
        Ok(Setup { overlay, cpu, quick: self.quick, features: self.features, time })
    }

    /// How the run is asked for, for its record.
    pub fn options(&self, setup: &Setup) -> Options {
        Options {
            cpu: setup.cpu,
            quick: setup.quick,
            features: setup.features,
            milliseconds: setup.time.as_millis() as u64,
            rounds: self.rounds.map(|rounds| rounds as usize),
            order: if self.reverse { Order::Reversed } else { Order::Listed },
            only: self.only.clone(),
        }
    }

    /// Whether standard output takes JSON.
    pub fn prints_json(&self) -> bool {
        self.json.as_deref() == Some(Path::new("-"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quick_runs_are_shorter_unless_told_otherwise() {
        let milliseconds = |words: &[&str]| {
            let args = Args::parse_from([&["overlay-bench"], words].concat());
            args.options(&args.setup().unwrap()).milliseconds
        };
        assert_eq!(milliseconds(&[]), 200);
        assert_eq!(milliseconds(&["--quick"]), 100);
        assert_eq!(milliseconds(&["--quick", "--milliseconds", "50"]), 50);
    }

    #[test]
    fn what_makes_no_sense_is_bad_usage() {
        let refused = |words: &[&str]| Args::try_parse_from([&["x"], words].concat()).is_err();
        assert!(refused(&["--rounds", "0"]));
        assert!(refused(&["--milliseconds", "0"]));
        assert!(refused(&["--input", "run.json", "--quick"]));
        assert!(refused(&["--input", "run.json", "--features"]));
        assert!(refused(&["--accept", "--baseline"]));
        assert!(Args::parse_from(["x", "--cpu", "100000"]).setup().is_err());
    }
}

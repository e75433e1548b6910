//! `cargo xtask test`: every test of the workspace, with those that could not
//! run counted by name.

use std::fmt;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

use crate::setup::{self, Scope};
use crate::step::{execute, line, step};
use crate::vm;
use crate::workspace::Workspace;

/// What a test prints, with its name and the reason, when it cannot run here.
const SKIPPED: &str = "SKIPPED ";
/// What it prints when this kernel lacks a device, and `--vm` runs it elsewhere.
const LEFT: &str = "LEFT TO GUESTS ";
/// What it prints when another test does all that it would do on this kernel.
const SAME: &str = "SAME AS ";

/// The test that `--soak` runs.
const SOAK: &str = "soak::after_a_soak_gateways_are_what_they_were";

/// Arguments of the command.
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    vm: vm::VmArgs,
    /// Runs the soak alone, for so many minutes: gateways under churn, which must be afterwards
    /// what they were before. Without this it is a test among others, of two minutes.
    #[arg(long, value_name = "MINUTES", num_args = 0..=1, default_missing_value = "30",
        value_parser = clap::value_parser!(u64).range(1..=10_080), conflicts_with = "vm")]
    soak: Option<u64>,
    /// Arguments of `cargo test`, such as `--package overlay-common`.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    args: Vec<String>,
}

/// Sets up and runs the tests.
pub fn run(workspace: &Workspace, args: &Args) -> Result<()> {
    if args.vm.vm.is_some() {
        ensure!(
            args.args.is_empty(),
            "`{}` is for cargo, and --vm runs the tests of its own plan: --only COLUMN takes a \
             part of it",
            args.args.join(" ")
        );
        return vm::run(workspace, &args.vm);
    }
    setup::run(Scope::Test)?;
    if let Some(minutes) = args.soak {
        return soak(workspace, minutes, &args.args);
    }
    let strict = std::env::var_os("CI").is_some_and(|value| value == "true");
    let tally = all(workspace, &args.args)?;
    tally.judge(strict)
}

/// Runs the tests as a step and returns what became of them.
pub fn all(workspace: &Workspace, args: &[String]) -> Result<Tally> {
    let next = next_layout(workspace)?;
    step("tests: host, conformance, properties, and real traffic in namespaces", || {
        let mut command = workspace.cargo("test");
        command.args(["--locked", "--no-fail-fast"]).args(args).args(["--", "--show-output"]);
        command.env("OVERLAY_NEXT", &next);
        let mut tally = Tally::default();
        tally.succeeded = follow(&mut command, |text| tally.read(text))?;
        Ok(tally)
    })
}

/// Runs the soak alone. What it says on its way is shown at once.
fn soak(workspace: &Workspace, minutes: u64, args: &[String]) -> Result<()> {
    let next = next_layout(workspace)?;
    step(&format!("{minutes} minutes of churn"), || {
        let mut command = workspace.cargo("test");
        command.args(["--locked", "--package", "overlay-user", "--test", "namespaces"]).args(args);
        command.args(["--", "--exact", "--nocapture", SOAK]);
        command.env("OVERLAY_NEXT", &next).env("OVERLAY_SOAK_SECONDS", (minutes * 60).to_string());
        let mut tally = Tally::default();
        tally.succeeded = follow(&mut command, |text| {
            tally.read(text);
            true
        })?;
        // Who asks for it by name wants it to run.
        tally.judge(true)
    })
}

/// Builds a gateway whose tables have another layout, which tests of upgrades go to and come from.
fn next_layout(workspace: &Workspace) -> Result<PathBuf> {
    step("a gateway with tables of another layout, to upgrade to", || {
        let mut command = workspace.cargo("build");
        command.args(["--locked", "--package", "overlay-user", "--bin", "overlay"]);
        execute(command.args(["--features", "layout-next"]))?;
        let next = workspace.target.join("next-layout");
        // The tests' own build puts its binary in the place of this one.
        std::fs::copy(workspace.target.join("debug/overlay"), &next)
            .context("copying the gateway with another layout")?;
        Ok(next)
    })
}

/// Runs a command, hands each line it prints to `show`, and prints those for
/// which that returns true.
fn follow(command: &mut Command, mut show: impl FnMut(&str) -> bool) -> Result<bool> {
    let mut child = command
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start {}", line(command)))?;
    let output = child.stdout.take().context("the tests have no output")?;
    for text in BufReader::new(output).split(b'\n') {
        let text = text.context("reading what the tests print")?;
        let text = String::from_utf8_lossy(&text);
        if show(&text) {
            println!("{text}");
        }
    }
    Ok(child.wait()?.success())
}

/// What became of the tests.
#[derive(Debug, Default)]
pub struct Tally {
    passed: u32,
    failed: u32,
    /// Name and reason of each test that could not run.
    pub skipped: Vec<String>,
    /// Name and reason of each test that only runs in guests.
    left: Vec<String>,
    /// How many tests had nothing of their own to do.
    same: u32,
    succeeded: bool,
    /// Inside the part of a report that repeats what passing tests printed.
    in_successes: bool,
    /// The test whose words these are has nothing of its own to do.
    in_same: bool,
}

impl Tally {
    /// Takes in a line of the tests' output, and says whether to show it.
    pub fn read(&mut self, text: &str) -> bool {
        for (mark, list) in [(SKIPPED, &mut self.skipped), (LEFT, &mut self.left)] {
            if let Some(test) = text.strip_prefix(mark) {
                // A requirement that several threads look at may be printed twice.
                if !list.iter().any(|known| known == test) {
                    list.push(test.to_owned());
                }
                return true;
            }
        }
        if text.starts_with(SAME) && self.in_successes {
            self.same += u32::from(!self.in_same);
            self.in_same = true;
        } else if text.starts_with("---- ") {
            self.in_same = false;
        } else if let Some(counts) = text.strip_prefix("test result: ") {
            self.in_successes = false;
            self.passed += count(counts, "passed");
            self.failed += count(counts, "failed");
        } else if text.starts_with("test ") && text.contains(" ... ignored") {
            self.skipped.push(text.trim_start_matches("test ").to_owned());
        } else if text == "successes:" {
            self.in_successes = true;
        } else if text == "failures:" {
            self.in_successes = false;
        }
        !self.in_successes
    }

    /// How many tests ran, if only to say that they have nothing to do.
    pub fn ran(&self) -> u32 {
        self.passed + self.failed
    }

    /// How many tests did something, and passed.
    pub fn passed(&self) -> u32 {
        // A test that has nothing to do returns early, so its harness counts it as
        // passed; an ignored one is not counted there.
        let early = self.skipped.iter().filter(|skip| !skip.contains(" ... ignored")).count();
        self.passed.saturating_sub((early + self.left.len()) as u32 + self.same)
    }

    /// Prints the tally, and makes an error of failures, and of skips where they
    /// are not allowed.
    pub fn judge(&self, strict: bool) -> Result<()> {
        for skip in &self.skipped {
            println!("skipped: {skip}");
        }
        for left in &self.left {
            println!("left to guests (cargo xtask test --vm): {left}");
        }
        println!("{self}");
        if self.failed > 0 || !self.succeeded {
            bail!("{} tests failed", self.failed);
        }
        if self.passed == 0 {
            bail!("no test ran");
        }
        if strict && !self.skipped.is_empty() {
            bail!("{} tests were skipped; here that is a failure", self.skipped.len());
        }
        Ok(())
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (failed, skipped) = (self.failed, self.skipped.len());
        write!(f, "{} passed, {failed} failed, {skipped} skipped", self.passed())?;
        match self.same {
            0 => {}
            same => write!(f, ", {same} the same as others")?,
        }
        match self.left.len() {
            0 => Ok(()),
            left => write!(f, ", {left} left to guests"),
        }
    }
}

/// 12 of `ok. 12 passed; 0 failed; …` for `passed`.
fn count(counts: &str, what: &str) -> u32 {
    counts
        .split([';', '.'])
        .find_map(|part| part.trim().strip_suffix(what)?.trim().parse().ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPORT: &str = "\
running 6 tests
test a ... ok
test b ... ok
test c ... ok
test d ... ok
test e ... ok
test slow ... ignored

successes:

---- b stdout ----
chatter
SKIPPED b: it needs root
LEFT TO GUESTS c: this kernel has no vrf devices
---- d stdout ----
SAME AS a: this kernel has one form only
SAME AS a: this kernel has one form only

---- e stdout ----
SAME AS a: this kernel has one form only

successes:
    a
    b

test result: ok. 5 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s
";

    #[test]
    fn skips_are_counted_by_name_and_not_as_passed() {
        let mut tally = Tally { succeeded: true, ..Tally::default() };
        let shown: Vec<&str> = REPORT.lines().filter(|text| tally.read(text)).collect();
        assert_eq!(
            tally.to_string(),
            "1 passed, 0 failed, 2 skipped, 2 the same as others, 1 left to guests"
        );
        assert!(shown.contains(&"SKIPPED b: it needs root"));
        assert!(!shown.contains(&"chatter"));
        assert!(tally.judge(false).is_ok());
        assert!(tally.judge(true).is_err());
        tally.skipped.clear();
        assert!(tally.judge(true).is_ok(), "what is left to guests runs there");
    }

    #[test]
    fn failures_and_empty_runs_are_errors() {
        let failed = Tally { passed: 3, failed: 1, succeeded: true, ..Tally::default() };
        assert!(failed.judge(false).is_err());
        let empty = Tally { succeeded: true, ..Tally::default() };
        assert!(empty.judge(false).is_err());
    }
}

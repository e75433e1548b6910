//! The test of these tests: guests that are made to fail, each in its own way.

use std::path::Path;

use anyhow::{Context, Result, ensure};

use super::guest::{self, Section};
use super::kernels::Ready;
use super::plan::COLUMNS;
use super::side_by_side;
use super::verdict::{Verdict, judge_column};

/// A way to fail.
struct Fault {
    title: &'static str,
    command: &'static str,
    /// The oldest kernel is booted, not the newest.
    oldest: bool,
    is_found: fn(&Verdict) -> bool,
}

/// The longest first.
const FAULTS: [Fault; 4] = [
    Fault {
        title: "a guest that hangs",
        // Nobody else runs while loops in real time have all CPUs; newer kernels keep some
        // time for others.
        command: "echo -1 > /proc/sys/kernel/sched_rt_runtime_us; \
                  for cpu in 1 2 3 4; do chrt -f 99 sh -c 'while :; do :; done' & done; sleep 300",
        oldest: true,
        is_found: |verdict| *verdict == Verdict::Hung,
    },
    Fault {
        title: "a program that the verifier refuses",
        // The programs that use `bpf_loop`, which came with Linux 5.17, where it is not.
        command: "OVERLAY_PRETEND=loop /tests/dataplane every_program_loads",
        oldest: true,
        is_found: |verdict| {
            // Which program it was, and the verifier's own words.
            matches!(verdict, Verdict::Refused(words)
                if words.contains("tc_uplink") && words.contains("processed"))
        },
    },
    Fault {
        title: "a guest that panics",
        command: "echo c > /proc/sysrq-trigger",
        oldest: false,
        is_found: |verdict| matches!(verdict, Verdict::Panicked(words) if words.contains("sysrq")),
    },
    Fault {
        title: "a test that fails",
        command: "/tests/dataplane no_such_test",
        oldest: false,
        is_found: |verdict| matches!(verdict, Verdict::Failed(_)),
    },
];

/// Makes guests fail in every way, and fails itself where one is not found out.
pub fn prove(kernels: &[Ready], base: &Path) -> Result<()> {
    let (oldest, newest) = kernels.first().zip(kernels.last()).context("no kernel")?;
    let verdicts = side_by_side(&FAULTS, |fault| {
        let column = &COLUMNS[0];
        let section = Section {
            name: column.title.to_owned(),
            seconds: 240,
            command: fault.command.to_owned(),
        };
        let kernel = if fault.oldest { oldest } else { newest };
        let boot = guest::boot(kernel, base, &[section])?;
        let verdict = judge_column(&boot, column);
        println!("    {} (Linux {}): {verdict}", fault.title, kernel.release);
        ensure!(
            (fault.is_found)(&verdict),
            "{} is reported as {verdict:?}; the guest said:\n{}",
            fault.title,
            boot.tail
        );
        Ok(verdict)
    })?;
    ensure!(verdicts.len() == FAULTS.len());
    Ok(())
}

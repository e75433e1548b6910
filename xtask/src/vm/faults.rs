//! The test of these tests: guests that are made to fail, each in its own way.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::guest::{Machine, Section};
use super::kernels::{self, Ready};
use super::row::Row;
use super::verdict::Verdict;

/// A way to fail.
struct Fault {
    title: &'static str,
    seconds: u32,
    command: &'static str,
    /// How many test binaries report.
    reports: usize,
    is_found: fn(&Verdict, &Row) -> bool,
}

/// Those that end their section share a guest.
pub struct Guest {
    /// The oldest kernel is booted, not the newest.
    oldest: bool,
    faults: &'static [Fault],
}

/// The longest first.
pub const GUESTS: [Guest; 4] = [
    Guest { oldest: true, faults: &[REFUSED, FAILED, EMPTY, SLOW, AFTER, FLAKY] },
    // Newer kernels keep some time from what runs in real time.
    Guest { oldest: true, faults: &[HANGS] },
    Guest { oldest: false, faults: &[PANICS_LATE] },
    Guest { oldest: false, faults: &[PANICS] },
];

/// What `the_doctor_tells` selects.
const TEST: &str = "the_doctor_tells_kernel_and_features";

fn is_the_test(tests: &[String]) -> bool {
    matches!(tests, [test] if test.ends_with(TEST))
}

const REFUSED: Fault = Fault {
    title: "a program that the verifier refuses",
    seconds: 240,
    // The program that uses `bpf_loop`, which came with Linux 5.17, where it is not.
    command: "OVERLAY_PRETEND=loop /tests/dataplane every_program_loads",
    reports: 1,
    is_found: |verdict, _| {
        // Which program it was, and the verifier's own words.
        matches!(verdict, Verdict::Refused(words)
            if words.contains("the program tc_flood") && words.contains("processed"))
    },
};

const FAILED: Fault = Fault {
    title: "a test that fails",
    seconds: 240,
    command: "OVERLAY_BINARY=/bin/false /tests/namespaces the_doctor_tells",
    reports: 1,
    is_found: |verdict, _| matches!(verdict, Verdict::Failed(tests) if is_the_test(tests)),
};

const EMPTY: Fault = Fault {
    title: "a selection that selects nothing",
    seconds: 240,
    command: "/tests/dataplane no_such_test",
    reports: 1,
    is_found: |verdict, _| *verdict == Verdict::Failed(Vec::new()),
};

const CHATTER: &str = "chatter of a child";

const SLOW: Fault = Fault {
    title: "a test that takes too long",
    seconds: 3,
    command: "while sleep 1; do echo chatter of a child; done & sleep 60",
    reports: 1,
    is_found: |verdict, row| {
        let printed = |title| {
            let reports = row.boots.iter().flat_map(|boot| &boot.sections);
            let mut reports = reports.filter(move |report| report.name == title);
            reports.any(|report| report.output.contains(CHATTER))
        };
        *verdict == Verdict::OverTime && printed(SLOW.title) && !printed(AFTER.title)
    },
};

const AFTER: Fault = Fault {
    title: "a warning of the kernel's, after that",
    seconds: 60,
    // Long enough for the child to be heard, if it still lived.
    command: "echo 'WARNING: from the test of the tests' > /dev/kmsg; \
              echo 512 > /proc/sys/kernel/tainted; sleep 3",
    reports: 0,
    is_found: |verdict, row| {
        let is_told = |trouble: &String| trouble.contains("WARNING: from the test of the tests");
        *verdict == Verdict::Passed(0) && row.troubles().iter().any(is_told)
    },
};

const FLAKY: Fault = Fault {
    title: "a test that fails once",
    seconds: 240,
    command: "if grep -q overlay.boot=1 /proc/cmdline; then export OVERLAY_BINARY=/bin/false; fi; \
              /tests/namespaces the_doctor_tells",
    reports: 1,
    is_found: |verdict, row| {
        // With its own words of the time when it failed.
        let section = row.sections.iter().find(|section| section.name == FLAKY.title);
        let words = section.map(|section| row.words(section)).unwrap_or_default();
        matches!(verdict, Verdict::Flaky(tests) if is_the_test(tests))
            && words.contains("/bin/false")
    },
};

const HANGS: Fault = Fault {
    title: "a guest that hangs",
    seconds: 240,
    // Nobody else runs while loops in real time have all CPUs.
    command: "echo -1 > /proc/sys/kernel/sched_rt_runtime_us; \
              for cpu in 1 2 3 4; do chrt -f 99 sh -c 'while :; do :; done' & done; sleep 200",
    reports: 1,
    is_found: |verdict, _| *verdict == Verdict::Hung,
};

const PANICS: Fault = Fault {
    title: "a guest that panics",
    seconds: 240,
    command: "echo c > /proc/sysrq-trigger",
    reports: 1,
    is_found: |verdict, _| matches!(verdict, Verdict::Panicked(words) if words.contains("sysrq")),
};

const PANICS_LATE: Fault = Fault {
    title: "a guest that panics after its last test",
    seconds: 240,
    // What the kernel itself starts for a process that crashed is no section's.
    command: "printf '#!/bin/sh\\ncat > /dev/null; sleep 2; echo c > /proc/sysrq-trigger\\n' > /late; \
              chmod +x /late; echo '|/late' > /proc/sys/kernel/core_pattern; \
              sh -c 'kill -SEGV $$'; true",
    reports: 0,
    is_found: |verdict, row| {
        let is_told = |trouble: &String| trouble.contains("Kernel panic");
        *verdict == Verdict::Passed(0) && row.troubles().iter().any(is_told)
    },
};

/// A guest that does not survive is noticed sooner than one with work to do.
const SILENCE: Duration = Duration::from_secs(30);

impl Guest {
    /// Makes the guest fail in its ways, and fails itself where one is not found out.
    pub fn prove(&self, ready: &[Ready], base: &Path) -> Result<()> {
        let is_oldest = |kernel: &&Ready| kernel.series == kernels::KERNELS[0].series;
        let kernel = match self.oldest {
            true => ready.iter().find(is_oldest).context("the oldest kernel is not there")?,
            false => ready.last().context("no kernel")?,
        };
        let missed = self.missed(&Machine { kernel, base, silence: SILENCE })?;
        ensure!(missed.is_empty(), "{}", missed.join("\n"));
        Ok(())
    }

    /// What was not found out.
    fn missed(&self, machine: &Machine<'_>) -> Result<Vec<String>> {
        let section = |fault: &Fault| Section {
            name: fault.title.to_owned(),
            seconds: fault.seconds,
            command: fault.command.to_owned(),
            reports: fault.reports,
        };
        let row = Row::of(machine, self.faults.iter().map(section).collect(), false)?;
        let mut missed = Vec::new();
        for (fault, verdict) in self.faults.iter().zip(&row.verdicts) {
            println!("    {} (Linux {}): {verdict}", fault.title, row.release);
            if !(fault.is_found)(verdict, &row) {
                let (troubles, boots) = (row.troubles(), &row.boots);
                missed.push(format!(
                    "{} is reported as {verdict:?}, with {troubles:?}; {boots:#?}",
                    fault.title
                ));
            }
        }
        Ok(missed)
    }
}

//! What is run in a guest: the columns of the matrix.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::guest::Section;
use super::image::TESTS_FOLDER;
use crate::step::capture;

/// A column of the matrix.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    /// Its title.
    pub title: &'static str,
    /// What stands for it.
    runs: &'static [Run],
    /// The same where it must not take long.
    brief: Option<&'static [Run]>,
    /// The same on the newest kernel, which has peers and devices that others have not.
    newest: Option<&'static [Run]>,
}

/// Tests of one binary: all of them where none is named.
#[derive(Clone, Copy, Debug)]
pub struct Run {
    binary: &'static str,
    /// Parts of their names.
    tests: &'static [&'static str],
    /// Parts of the names of those that are not run.
    but: &'static [&'static str],
}

const XDP: &[Run] = &[
    run("conformance", &["xdp_"]),
    run("namespaces", &["hooks::xdp_on_both", "hooks::generic_xdp_on_both"]),
];

const TC: &[Run] = &[
    // Those of one-armed devices run with XDP's.
    Run { but: &["one_armed"], ..run("conformance", &["tc_"]) },
    run("namespaces", &["hooks::tc_on_both"]),
];

/// In the order in which they are run.
pub const COLUMNS: [Column; 5] = [
    column("loads", &[run("dataplane", &["every_program"])]),
    Column {
        brief: Some(&[
            run("conformance", &["xdp_programs_agree", "xdp_leaves"]),
            run("namespaces", &["hooks::xdp_on_both"]),
        ]),
        newest: Some(XDP),
        ..column("XDP", XDP)
    },
    Column {
        // What older kernels run is run by the oldest in earnest, and by the newest.
        brief: Some(&[
            run("conformance", &["tc_programs_agree"]),
            run("namespaces", &["hooks::tc_on_both"]),
        ]),
        newest: Some(TC),
        ..column("tc", TC)
    },
    Column {
        brief: Some(&[
            run("conformance", &["counts_are_gone"]),
            run("dataplane", &["a_refused_hook"]),
            run("namespaces", &["life::killed_daemon", "limits::floods_reach", "doctor"]),
        ]),
        ..column(
            "user space",
            &[
                run("conformance", &["counts"]),
                Run { but: &["every_program"], ..run("dataplane", &[]) },
                run(
                    "namespaces",
                    &[
                        "life::killed_daemon",
                        "life::so_does",
                        "closed::strangers",
                        "limits::floods_reach",
                        "filters::",
                        "doctor",
                        "segments::nothing_leaks",
                        "hooks::user_space_on_both",
                        "hooks::af_xdp_on_both",
                        "user_space::queues_have",
                        "user_space::a_daemon_that_dies",
                    ],
                ),
            ],
        )
    },
    Column {
        brief: Some(&[run("namespaces", &["real_peer::ours_against_kernel"])]),
        newest: Some(&[Run {
            // Tunnels of hosts, and what 802.1ad shows as well, are for the whole matrix.
            but: &["tshark", "kernel_against_kernel", "ours_against_ours", "hosts_with", "802_1q"],
            ..run("namespaces", &["real_peer::", "guests::", "one_armed::a_gateway_with_one"])
        }]),
        ..column(
            "interoperation",
            &[Run {
                // The testbed by itself, and what is of no kernel, are tried on this host.
                but: &["tshark", "kernel_against_kernel", "ours_against_ours"],
                ..run("namespaces", &["real_peer::", "guests::", "one_armed::a_gateway_with_one"])
            }],
        )
    },
];

/// No section takes so long, on any kernel.
const SECONDS: u32 = 700;

const fn column(title: &'static str, runs: &'static [Run]) -> Column {
    Column { title, runs, brief: None, newest: None }
}

const fn run(binary: &'static str, tests: &'static [&'static str]) -> Run {
    Run { binary, tests, but: &[] }
}

impl Column {
    /// What a guest is told.
    pub fn section(&self, brief: bool, is_newest: bool) -> Section {
        let newest = self.newest.filter(|_| is_newest);
        let runs = newest.or(self.brief).filter(|_| brief).unwrap_or(self.runs);
        // Every one runs, and one that fails is remembered.
        let lines: Vec<String> =
            runs.iter().map(|run| format!("{} || code=$?", run.line())).collect();
        Section {
            name: self.title.to_owned(),
            seconds: SECONDS,
            command: format!("code=0; {}; exit $code", lines.join("; ")),
            reports: runs.len(),
        }
    }
}

impl Run {
    fn line(&self) -> String {
        let but = self.but.iter().flat_map(|name| ["--skip", name]);
        let words: Vec<&str> = self.tests.iter().copied().chain(but).collect();
        // What passing tests print says whether there was something to test.
        format!("{TESTS_FOLDER}/{} --show-output --test-threads 3 {}", self.binary, words.join(" "))
    }
}

/// Sees that each name in the plan is that of a test, or of several: one that was renamed
/// would be missing in every kernel's count, and nobody would miss it.
pub fn check(built: &[(String, PathBuf)]) -> Result<()> {
    for column in &COLUMNS {
        let brief = [column.brief, column.newest].into_iter().flatten().flatten();
        for run in column.runs.iter().chain(brief) {
            let file = built.iter().find(|(name, _)| name == run.binary).map(|(_, file)| file);
            let file = file.with_context(|| format!("no test binary `{}`", run.binary))?;
            for name in run.tests.iter().chain(run.but) {
                ensure!(
                    has_test(file, name)?,
                    "the column `{}` asks for tests `{name}` of `{}`, which has none of that \
                     name: mend the plan in xtask/src/vm/plan.rs",
                    column.title,
                    run.binary
                );
            }
        }
    }
    Ok(())
}

fn has_test(binary: &Path, name: &str) -> Result<bool> {
    let list = capture(Command::new(binary).args([name, "--list"]))?;
    Ok(list.lines().any(|line| line.ends_with(": test")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_without_a_test_is_told() {
        // This very binary is one of tests.
        let ours = std::env::current_exe().unwrap();
        assert!(has_test(&ours, "a_name_without_a_test").unwrap());
        assert!(!has_test(&ours, "a_name_with_no_test").unwrap());
        let built = ["conformance", "dataplane", "namespaces"];
        let error = check(&built.map(|name| (name.to_owned(), ours.clone()))).unwrap_err();
        assert!(error.to_string().contains("`every_program` of `dataplane`"), "{error}");
        assert!(check(&[]).is_err());
    }

    #[test]
    fn a_section_runs_every_command_and_expects_a_report_of_each() {
        for column in &COLUMNS {
            for (brief, newest) in [(false, false), (true, false), (true, true)] {
                let section = column.section(brief, newest);
                assert_eq!(section.command.matches(TESTS_FOLDER).count(), section.reports);
                assert_eq!(section.command.matches("|| code=$?").count(), section.reports);
            }
        }
    }
}

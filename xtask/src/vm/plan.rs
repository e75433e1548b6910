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
    /// Whether it has peers that are tried on the newest kernel even then.
    rare: bool,
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

/// In the order in which they are run.
pub const COLUMNS: [Column; 5] = [
    column("loads", &[run("dataplane", &["every_program"])]),
    column(
        "XDP",
        &[
            run("conformance", &["xdp_"]),
            run("namespaces", &["hooks::xdp_on_both", "hooks::generic_xdp_on_both", "jumbo::"]),
        ],
    ),
    column("tc", &[run("conformance", &["tc_"]), run("namespaces", &["hooks::tc_on_both"])]),
    Column {
        brief: Some(&[
            run("conformance", &["counts_are_gone"]),
            run("dataplane", &["a_refused_hook"]),
            run(
                "namespaces",
                &["life::killed_daemon", "closed::strangers", "limits::floods_reach", "doctor"],
            ),
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
                    ],
                ),
            ],
        )
    },
    Column {
        brief: Some(&[run(
            "namespaces",
            &["real_peer::ours_against_kernel", "real_peer::hosts_that"],
        )]),
        rare: true,
        ..column(
            "interoperation",
            &[Run {
                but: &["tshark"],
                ..run("namespaces", &["real_peer::", "guests::", "one_armed::"])
            }],
        )
    },
];

/// No section takes so long, on any kernel.
const SECONDS: u32 = 700;

const fn column(title: &'static str, runs: &'static [Run]) -> Column {
    Column { title, runs, brief: None, rare: false }
}

const fn run(binary: &'static str, tests: &'static [&'static str]) -> Run {
    Run { binary, tests, but: &[] }
}

impl Column {
    /// What a guest is told.
    pub fn section(&self, brief: bool, is_newest: bool) -> Section {
        let brief = self.brief.filter(|_| brief && !(self.rare && is_newest));
        let runs = brief.unwrap_or(self.runs);
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
        for run in column.runs.iter().chain(column.brief.unwrap_or_default()) {
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

//! What is run in a guest: the columns of the matrix.

use super::guest::Section;
use super::image::TESTS_FOLDER;

/// A column of the matrix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its title.
    pub title: &'static str,
    /// What stands for it: commands, as `TEST-BINARY ARGUMENTS`.
    commands: &'static [&'static str],
    /// The same where it must not take long: as many commands.
    brief: Option<&'static [&'static str]>,
}

/// In the order in which they are run.
pub const COLUMNS: [Column; 5] = [
    column("loads", &["dataplane --show-output every_program"]),
    column("XDP", &["conformance xdp_", "namespaces hooks::xdp_on_both"]),
    column("tc", &["conformance tc_", "namespaces hooks::tc_on_both"]),
    Column {
        brief: Some(&[
            "conformance counts_are_gone",
            "dataplane a_refused_hook",
            "namespaces --test-threads 3 life::killed_daemon closed::strangers \
             limits::floods_reach limits::the_doctor",
        ]),
        ..column(
            "user space",
            &[
                "conformance counts",
                "dataplane --skip every_program",
                "namespaces --test-threads 3 life::killed_daemon life::so_does closed::strangers \
                 limits::floods_reach limits::the_doctor segments::nothing_leaks",
            ],
        )
    },
    Column {
        brief: Some(&[
            "namespaces --test-threads 3 real_peer::ours_against_kernel real_peer::hosts_that",
        ]),
        ..column(
            "interoperation",
            &["namespaces --test-threads 3 real_peer:: guests:: --skip tshark"],
        )
    },
];

/// No section takes so long, on any kernel.
const SECONDS: u32 = 700;

const fn column(title: &'static str, commands: &'static [&'static str]) -> Column {
    Column { title, commands, brief: None }
}

impl Column {
    /// What a guest is told.
    pub fn section(&self, brief: bool) -> Section {
        let commands = if brief { self.brief.unwrap_or(self.commands) } else { self.commands };
        let line = |command: &&str| format!("{TESTS_FOLDER}/{command}");
        // Every command runs, and one that fails is remembered.
        let commands: Vec<String> =
            commands.iter().map(|c| format!("{} || code=$?", line(c))).collect();
        Section {
            name: self.title.to_owned(),
            seconds: SECONDS,
            command: format!("code=0; {}; exit $code", commands.join("; ")),
        }
    }

    /// How many reports of a test binary a whole run has.
    pub fn reports(&self) -> usize {
        self.commands.len()
    }
}

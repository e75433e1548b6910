//! What in this machine would hurt a gateway, and the command that mends it.
//!
//! - [`facts`]: what is known of the machine.
//! - [`gather`]: finding that out; [`ethtool`] and [`firewall`] are parts of it.
//! - [`devices`], [`host`], [`network`]: what follows from the facts. These do no I/O.

pub mod devices;
pub mod ethtool;
pub mod facts;
pub mod firewall;
pub mod gather;
pub mod host;
pub mod network;

use serde::Serialize;

pub use facts::Facts;

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// As it should be.
    Ok,
    /// Worth knowing, or not to be found out.
    Note,
    /// Works less well than it could, or will fail.
    Warning,
    /// A gateway does not work so.
    Error,
}

impl Severity {
    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// Something that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What was looked at; the manual lists them.
    pub code: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// The device; empty for the whole machine.
    pub subject: String,
    /// What was found.
    pub what: String,
    /// Why it hurts; empty where it does not.
    pub why: String,
    /// The command that mends it, where a command does.
    pub fix: Option<String>,
}

/// The findings of one check.
#[derive(Debug, Default)]
pub struct Findings(Vec<Finding>);

impl Findings {
    /// Something is as it should be.
    pub fn ok(&mut self, code: &'static str, subject: &str, what: impl Into<String>) {
        self.put(code, Severity::Ok, subject, what.into(), String::new(), None);
    }

    /// Something is worth knowing.
    pub fn note(&mut self, code: &'static str, subject: &str, what: impl Into<String>) {
        self.put(code, Severity::Note, subject, what.into(), String::new(), None);
    }

    /// Something hurts, and this command mends it.
    pub fn bad(
        &mut self,
        (code, severity): (&'static str, Severity),
        subject: &str,
        what: impl Into<String>,
        why: &str,
        fix: impl Into<String>,
    ) {
        self.put(code, severity, subject, what.into(), why.to_owned(), Some(fix.into()));
    }

    fn put(
        &mut self,
        code: &'static str,
        severity: Severity,
        subject: &str,
        what: String,
        why: String,
        fix: Option<String>,
    ) {
        self.0.push(Finding { code, severity, subject: subject.to_owned(), what, why, fix });
    }
}

/// Everything that follows from the facts, the worst first.
pub fn examine(facts: &Facts) -> Vec<Finding> {
    let mut findings = Findings::default();
    host::examine(facts, &mut findings);
    network::examine(facts, &mut findings);
    devices::examine(facts, &mut findings);
    let mut all = findings.0;
    all.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    all
}

//! What the reports of a guest mean.

use std::fmt;

use super::guest::{Boot, Ending, Report};
use super::plan::{COLUMNS, Column};

/// A field of the matrix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// So many tests passed.
    Passed(u32),
    /// These tests failed once and passed in a second boot.
    Flaky(Vec<String>),
    /// The verifier refused a program, with these last words.
    Refused(String),
    /// These tests failed, twice.
    Failed(Vec<String>),
    /// It took too long.
    OverTime,
    /// The guest panicked while it ran.
    Panicked(String),
    /// The guest fell silent while it ran.
    Hung,
    /// It was not asked for.
    LeftOut,
    /// The boot ended before it, or nobody knows why.
    NotRun,
}

impl Verdict {
    /// Whether a change may pass with it.
    pub fn is_good(&self) -> bool {
        matches!(self, Self::Passed(_) | Self::Flaky(_) | Self::LeftOut)
    }

    /// Whether a second boot may say something else: what a verifier refuses, it refuses
    /// again, and a panic is one.
    pub fn may_be_a_flake(&self) -> bool {
        matches!(self, Self::Failed(_) | Self::OverTime)
    }

    /// The verdict after a second boot.
    pub fn and_again(self, second: Self) -> Self {
        match (self, second) {
            (Self::Failed(tests), Self::Passed(_)) => Self::Flaky(tests),
            (Self::OverTime, Self::Passed(_)) => Self::Flaky(vec!["too slow".to_owned()]),
            (_, second) => second,
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Passed(tests) => write!(f, "{tests} passed"),
            Self::Flaky(tests) => write!(f, "flake ({})", tests.len()),
            Self::Refused(_) => f.write_str("REFUSED"),
            Self::Failed(tests) => write!(f, "FAILED ({})", tests.len()),
            Self::OverTime => f.write_str("TOO SLOW"),
            Self::Panicked(_) => f.write_str("PANIC"),
            Self::Hung => f.write_str("HUNG"),
            Self::LeftOut => f.write_str("–"),
            Self::NotRun => f.write_str("not run"),
        }
    }
}

/// The verdict on each column of a boot.
pub fn judge(boot: &Boot) -> Vec<Verdict> {
    COLUMNS.iter().map(|column| judge_column(boot, column)).collect()
}

/// The verdict on one column.
pub fn judge_column(boot: &Boot, column: &Column) -> Verdict {
    match boot.sections.iter().find(|report| report.name == column.title) {
        Some(report) if report.code.is_some() => judge_report(report, column),
        Some(_) => match &boot.ending {
            Ending::Panicked(words) => Verdict::Panicked(words.clone()),
            Ending::Hung => Verdict::Hung,
            Ending::OverTime => Verdict::OverTime,
            Ending::Done | Ending::Vanished => Verdict::NotRun,
        },
        None => Verdict::NotRun,
    }
}

fn judge_report(report: &Report, column: &Column) -> Verdict {
    const TIMEOUT: [i32; 2] = [124, 143];
    let results: Vec<u32> = report
        .output
        .lines()
        .filter_map(|line| line.strip_prefix("test result: "))
        .map(passed)
        .collect();
    let passed = results.iter().sum();
    match report.code {
        // A selection that selects nothing is a mistake in it.
        Some(0) if results.len() == column.reports() && !results.contains(&0) => {
            Verdict::Passed(passed)
        }
        Some(code) if TIMEOUT.contains(&code) => Verdict::OverTime,
        _ => match refusal(&report.output) {
            Some(words) => Verdict::Refused(words),
            None => Verdict::Failed(failures(&report.output)),
        },
    }
}

/// 5 of `ok. 5 passed; 0 failed; …`.
fn passed(counts: &str) -> u32 {
    let mut words = counts.split_whitespace().rev().skip_while(|word| *word != "passed;");
    words.nth(1).and_then(|number| number.parse().ok()).unwrap_or(0)
}

/// The verifier's last words, where it refused.
fn refusal(output: &str) -> Option<String> {
    const LINES: usize = 32;
    let start = output.find("the kernel refuses the program")?;
    let words = output[start..].lines().take(LINES);
    Some(words.take_while(|line| !line.is_empty()).collect::<Vec<_>>().join("\n"))
}

/// The names under `failures:`, which each test binary prints at its end.
fn failures(output: &str) -> Vec<String> {
    let headings = output.lines().filter_map(|line| line.strip_prefix("---- "));
    let names = headings.filter_map(|line| line.strip_suffix(" stdout ----"));
    let told: Vec<&str> = names.collect();
    let is_failed = |name: &&str| {
        let line = format!("    {name}");
        output
            .lines()
            .rev()
            .skip_while(|l| !l.starts_with("test result: FAILED"))
            .any(|l| l == line)
    };
    let mut failed: Vec<String> = told.into_iter().filter(is_failed).map(str::to_owned).collect();
    if failed.is_empty() {
        failed.push("for no reason that it gave".to_owned());
    }
    failed
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn boot(ending: Ending, reports: &[(&str, Option<i32>, &str)]) -> Boot {
        let report = |(name, code, output): &(&str, Option<i32>, &str)| Report {
            name: (*name).to_owned(),
            code: *code,
            output: (*output).to_owned(),
        };
        Boot {
            ending,
            sections: reports.iter().map(report).collect(),
            took: Duration::ZERO,
            tail: String::new(),
        }
    }

    const GOOD: &str =
        "test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 3 filtered out\n";
    const NONE: &str =
        "test result: ok. 0 passed; 0 failed; 0 ignored; 0 measured; 4 filtered out\n";
    const BAD: &str = "failures:\n\n---- a::b stdout ----\nError: no\n\n\nfailures:\n    a::b\n\n\
                       test result: FAILED. 3 passed; 1 failed; 0 ignored\n";
    const REFUSED: &str = "---- x stdout ----\nError: the kernel refuses the program tc_uplink: \
                           Invalid argument\n12: (85) call unknown#181\ninvalid func unknown#181\n\n\
                           failures:\n    x\n\ntest result: FAILED. 0 passed; 1 failed\n";

    #[test]
    fn each_end_is_called_what_it_is() {
        let loads =
            |code, output| judge(&boot(Ending::Done, &[("loads", code, output)]))[0].clone();
        assert_eq!(loads(Some(0), GOOD), Verdict::Passed(1));
        assert_eq!(
            loads(Some(0), NONE),
            Verdict::Failed(vec!["for no reason that it gave".into()])
        );
        assert_eq!(loads(Some(0), ""), Verdict::Failed(vec!["for no reason that it gave".into()]));
        assert_eq!(loads(Some(101), BAD), Verdict::Failed(vec!["a::b".into()]));
        assert_eq!(loads(Some(143), ""), Verdict::OverTime);
        let Verdict::Refused(words) = loads(Some(101), REFUSED) else { panic!("not refused") };
        assert!(words.ends_with("invalid func unknown#181"), "{words}");

        let panic = Ending::Panicked("Kernel panic - x".to_owned());
        let verdicts = judge(&boot(panic, &[("loads", Some(0), GOOD), ("XDP", None, "")]));
        assert_eq!(verdicts[1], Verdict::Panicked("Kernel panic - x".to_owned()));
        assert_eq!(verdicts[2], Verdict::NotRun);
        assert_eq!(judge(&boot(Ending::Hung, &[("loads", None, "")]))[0], Verdict::Hung);
        assert!(judge(&boot(Ending::Vanished, &[])).iter().all(|v| !v.is_good()));
    }

    #[test]
    fn only_a_failed_test_may_turn_out_to_be_a_flake() {
        let failed = Verdict::Failed(vec!["a".into()]);
        assert_eq!(failed.clone().and_again(Verdict::Passed(2)), Verdict::Flaky(vec!["a".into()]));
        assert!(failed.clone().may_be_a_flake());
        assert_eq!(failed.clone().and_again(failed.clone()), failed);
        for other in [Verdict::Refused(String::new()), Verdict::Hung, Verdict::NotRun] {
            assert!(!other.may_be_a_flake() && !other.is_good(), "{other}");
        }
    }
}

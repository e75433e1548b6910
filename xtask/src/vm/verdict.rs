//! What the reports of a guest mean.

use std::fmt;

use super::guest::{Boot, Ending, Section};
use super::said::Report;
use crate::test::Tally;

/// A field of the matrix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// So many tests passed.
    Passed(u32),
    /// These tests failed in one of two boots.
    Flaky(Vec<String>),
    /// The verifier refused a program, with these last words.
    Refused(String),
    /// These tests failed. No name: something else did.
    Failed(Vec<String>),
    /// It took too long.
    OverTime,
    /// The guest panicked while it ran.
    Panicked(String),
    /// The guest fell silent while it ran.
    Hung,
    /// The machine ended while it ran, and nobody knows why.
    Vanished,
    /// It was not asked for.
    LeftOut,
    /// The boot ended before it.
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

    /// Whether it has to do with a guest that came to no end. Emulation is not above doubt.
    pub fn is_of_no_end(&self) -> bool {
        matches!(self, Self::Hung | Self::Vanished | Self::NotRun)
    }

    /// The verdict after a second boot.
    pub fn and_again(self, second: Self) -> Self {
        let once = |what: &str| Self::Flaky(vec![what.to_owned()]);
        match (self, second) {
            (Self::Failed(tests), Self::Passed(_)) => {
                if tests.is_empty() {
                    once("no test in particular")
                } else {
                    Self::Flaky(tests)
                }
            }
            (Self::Failed(first), Self::Failed(second)) => twice(first, second),
            (Self::OverTime, Self::Passed(_)) => once("too slow once"),
            (Self::Hung, Self::Passed(_)) => once("hung once"),
            (Self::Vanished, Self::Passed(_)) => once("vanished once"),
            (_, second) => second,
        }
    }
}

/// What failed both times; if that is nothing, each failed once. Where no test was named,
/// the other names do not excuse it.
fn twice(first: Vec<String>, second: Vec<String>) -> Verdict {
    let both: Vec<String> = first.iter().filter(|name| second.contains(name)).cloned().collect();
    if first.is_empty() || second.is_empty() || !both.is_empty() {
        return Verdict::Failed(both);
    }
    Verdict::Flaky(first.into_iter().chain(second).collect())
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Passed(tests) => write!(f, "{tests} passed"),
            Self::Flaky(tests) => write!(f, "flake ({})", tests.len()),
            Self::Refused(_) => f.write_str("REFUSED"),
            Self::Failed(tests) if tests.is_empty() => f.write_str("FAILED"),
            Self::Failed(tests) => write!(f, "FAILED ({})", tests.len()),
            Self::OverTime => f.write_str("TOO SLOW"),
            Self::Panicked(_) => f.write_str("PANIC"),
            Self::Hung => f.write_str("HUNG"),
            Self::Vanished => f.write_str("VANISHED"),
            Self::LeftOut => f.write_str("–"),
            Self::NotRun => f.write_str("not run"),
        }
    }
}

/// The verdict on each section of a boot.
pub fn judge(boot: &Boot, sections: &[Section]) -> Vec<Verdict> {
    let mut ending = Some(of_ending(&boot.ending));
    let one = |section: &Section| {
        let report = boot.sections.iter().find(|report| report.name == section.name);
        match report.and_then(|report| judge_report(report, section)) {
            Some(verdict) => verdict,
            // The end of the boot came in this one, or before it began.
            None => ending.take().unwrap_or(Verdict::NotRun),
        }
    };
    sections.iter().map(one).collect()
}

fn of_ending(ending: &Ending) -> Verdict {
    match ending {
        Ending::Panicked(words) => Verdict::Panicked(words.clone()),
        Ending::Hung => Verdict::Hung,
        Ending::OverTime => Verdict::OverTime,
        Ending::Vanished => Verdict::Vanished,
        Ending::Done => Verdict::NotRun,
    }
}

/// The verdict on a section that came to its end.
fn judge_report(report: &Report, section: &Section) -> Option<Verdict> {
    const TIMEOUT: [i32; 2] = [124, 143];
    let code = report.code?;
    let tallies = tallies(&report.output);
    let idle: Vec<String> =
        tallies.iter().flat_map(|tally| tally.skipped.iter().cloned()).collect();
    // A selection that selects nothing is a mistake in it.
    let is_whole = tallies.len() == section.reports && tallies.iter().all(|t| t.ran() > 0);
    Some(if TIMEOUT.contains(&code) {
        Verdict::OverTime
    } else if code != 0 {
        refusal(&report.output)
            .map_or_else(|| Verdict::Failed(failures(&report.output)), Verdict::Refused)
    } else if is_whole && idle.is_empty() {
        Verdict::Passed(tallies.iter().map(Tally::passed).sum())
    } else {
        // In a guest nothing is missing: a test that is ignored or skipped is not run.
        Verdict::Failed(idle)
    })
}

/// Whether a section is at its end, and all is well with it.
pub fn has_passed(report: &Report, section: &Section) -> bool {
    matches!(judge_report(report, section), Some(Verdict::Passed(_)))
}

/// What each test binary reports.
fn tallies(output: &str) -> Vec<Tally> {
    let (mut tallies, mut tally) = (Vec::new(), Tally::default());
    for line in output.lines() {
        tally.read(line);
        if line.starts_with("test result: ") {
            tallies.push(std::mem::take(&mut tally));
        }
    }
    tallies
}

/// The verifier's last words, where it refused: they end with what it went through. A
/// program that does not load because memory is short, or because the kernel asks to be
/// asked again, is not refused.
fn refusal(output: &str) -> Option<String> {
    const SHORT: [&str; 2] = ["(os error 11)", "(os error 12)"];
    let start = output.find("the kernel refuses the program")?;
    let is_of_this_test = |line: &&str| !line.starts_with("---- ") && *line != "failures:";
    let lines: Vec<&str> = output[start..].lines().take_while(is_of_this_test).collect();
    let is_short = SHORT.iter().any(|error| lines[0].contains(error));
    let is_last = |line: &&str| line.starts_with("processed ") && line.contains(" insns");
    let last = lines.iter().position(is_last).filter(|_| !is_short)?;
    Some(lines[..=last].join("\n"))
}

/// What the tests that failed printed.
pub fn words_of_failures(output: &str) -> &str {
    let start = output.lines().find(|line| *line == "failures:");
    // Where there is none, the end of everything tells more than nothing.
    start.map_or(output, |line| &output[line.as_ptr().addr() - output.as_ptr().addr()..])
}

/// The names under each last `failures:`, which a test binary prints at its end. What
/// passing tests printed has headings like that of the others.
fn failures(output: &str) -> Vec<String> {
    let mut in_list = false;
    let mut failed = Vec::new();
    for line in output.lines() {
        let name = line.strip_prefix("    ").filter(|_| in_list);
        failed.extend(name.map(str::to_owned));
        in_list = line == "failures:" || name.is_some();
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
            complaints: Vec::new(),
            sections: reports.iter().map(report).collect(),
            took: Duration::ZERO,
            tail: String::new(),
        }
    }

    fn section(name: &str) -> Section {
        Section { name: name.to_owned(), seconds: 1, command: String::new(), reports: 1 }
    }

    /// The verdict on a section that printed this.
    fn of(code: i32, output: &str) -> Verdict {
        judge(&boot(Ending::Done, &[("a", Some(code), output)]), &[section("a")]).remove(0)
    }

    fn failed(names: &[&str]) -> Verdict {
        Verdict::Failed(names.iter().map(|name| (*name).to_owned()).collect())
    }

    const GOOD: &str =
        "test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 3 filtered out\n";
    const NONE: &str =
        "test result: ok. 0 passed; 0 failed; 0 ignored; 0 measured; 4 filtered out\n";
    const IGNORED: &str = "test slow ... ignored\n\n\
                           test result: ok. 1 passed; 0 failed; 1 ignored; 0 measured\n";
    const SAME: &str = "successes:\n\n---- b stdout ----\nSAME AS a: one form only\n\n\
                        test result: ok. 3 passed; 0 failed; 0 ignored; 0 measured\n";
    const BAD: &str = "test c ... ok\n\nsuccesses:\n\n---- c stdout ----\n    words\n\n\n\
                       successes:\n    c\n\nfailures:\n\n---- a::b stdout ----\nError: no\n\n\n\
                       failures:\n    a::b\n\ntest result: FAILED. 3 passed; 1 failed; 0 ignored\n";
    const REFUSED: &str = "---- x stdout ----\nError: the kernel refuses the program tc_uplink: \
                           Invalid argument (os error 22)\n12: (85) call unknown#181\n\n\
                           invalid func unknown#181\nprocessed 13 insns (limit 1000000)\n\n\
                           failures:\n    x\n\ntest result: FAILED. 0 passed; 1 failed\n";

    #[test]
    fn each_end_of_a_section_is_called_what_it_is() {
        assert_eq!(of(0, GOOD), Verdict::Passed(1));
        assert_eq!(of(0, NONE), failed(&[]));
        assert_eq!(of(0, ""), failed(&[]));
        assert_eq!(of(0, &format!("{GOOD}{GOOD}")), failed(&[]), "a report too many");
        assert_eq!(of(0, IGNORED), failed(&["slow ... ignored"]));
        assert_eq!(of(0, SAME), Verdict::Passed(2));
        assert_eq!(of(101, BAD), failed(&["a::b"]));
        assert_eq!(of(1, GOOD), failed(&[]));
        assert_eq!(of(143, ""), Verdict::OverTime);
    }

    #[test]
    fn a_refusal_is_the_verifiers() {
        let Verdict::Refused(words) = of(101, REFUSED) else { panic!("not refused") };
        assert!(words.ends_with("unknown#181\nprocessed 13 insns (limit 1000000)"), "{words}");
        let without = REFUSED.replace("processed 13 insns (limit 1000000)\n", "");
        assert_eq!(of(101, &without), failed(&["x"]));
        let short = REFUSED.replace("os error 22", "os error 12");
        assert_eq!(of(101, &short), failed(&["x"]));
    }

    #[test]
    fn the_end_of_a_boot_is_that_of_the_section_where_it_came() {
        let panic = || Ending::Panicked("Kernel panic - x".to_owned());
        let panicked = Verdict::Panicked("Kernel panic - x".to_owned());
        let sections = ["a", "b", "c"].map(section);
        let good = ("a", Some(0), GOOD);
        let found = judge(&boot(panic(), &[good, ("b", None, "")]), &sections);
        assert_eq!(found, [Verdict::Passed(1), panicked.clone(), Verdict::NotRun]);
        // It had ended, and the next had not begun.
        let found = judge(&boot(panic(), &[good]), &sections);
        assert_eq!(found, [Verdict::Passed(1), panicked, Verdict::NotRun]);
        let found = judge(&boot(Ending::Hung, &[]), &sections);
        assert_eq!(found, [Verdict::Hung, Verdict::NotRun, Verdict::NotRun]);
        let found = judge(&boot(Ending::Vanished, &[]), &sections);
        assert!(found[0] == Verdict::Vanished && found.iter().all(|v| !v.is_good()), "{found:?}");
    }

    #[test]
    fn a_second_boot_tells_a_flake_from_a_failure() {
        let flaky =
            |names: &[&str]| Verdict::Flaky(names.iter().map(|name| (*name).to_owned()).collect());
        let passed = || Verdict::Passed(2);
        assert_eq!(failed(&["a"]).and_again(passed()), flaky(&["a"]));
        assert_eq!(failed(&["a", "b"]).and_again(failed(&["b", "c"])), failed(&["b"]));
        assert_eq!(failed(&["a"]).and_again(failed(&["b"])), flaky(&["a", "b"]));
        assert_eq!(failed(&[]).and_again(failed(&["b"])), failed(&[]));
        assert_eq!(failed(&["a"]).and_again(Verdict::OverTime), Verdict::OverTime);
        assert_eq!(Verdict::OverTime.and_again(passed()), flaky(&["too slow once"]));
        assert_eq!(Verdict::Hung.and_again(passed()), flaky(&["hung once"]));
        assert_eq!(Verdict::Hung.and_again(Verdict::Hung), Verdict::Hung);
        assert_eq!(Verdict::NotRun.and_again(passed()), passed());
        for other in [Verdict::Refused(String::new()), Verdict::Panicked(String::new())] {
            assert!(!other.may_be_a_flake() && !other.is_of_no_end() && !other.is_good());
        }
    }

    #[test]
    fn the_words_of_what_failed_are_found() {
        assert!(
            words_of_failures(BAD).starts_with("failures:\n\n---- a::b stdout ----\nError: no")
        );
        assert_eq!(words_of_failures("killed\n"), "killed\n");
    }
}

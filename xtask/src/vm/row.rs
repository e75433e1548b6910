//! A row of the matrix: the boots of one kernel, and what they come to.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};

use super::guest::{Boot, Ending, Machine, Section};
use super::verdict::{Verdict, has_passed, judge, words_of_failures};

/// What became of a kernel.
#[derive(Debug)]
pub struct Row {
    /// Such as `6.1`.
    pub series: &'static str,
    /// Such as `6.1.0-56-cloud-amd64`.
    pub release: String,
    /// One, or two.
    pub boots: Vec<Boot>,
    /// What was asked for.
    pub sections: Vec<Section>,
    /// The verdict on each section.
    pub verdicts: Vec<Verdict>,
}

impl Row {
    /// Boots a kernel; where tests fail, once more for these alone. `end` says whether a
    /// guest that comes to no end is given another boot.
    pub fn of(machine: &Machine<'_>, sections: Vec<Section>, end: bool) -> Result<Self> {
        let release = &machine.kernel.release;
        println!("    Linux {release} boots");
        let boot = machine.boot(1, &sections)?;
        let mut verdicts = judge(&boot, &sections);
        let is_doubtful =
            |verdict: &Verdict| verdict.may_be_a_flake() || end && verdict.is_of_no_end();
        // A panic is certain, and what it kept from running says nothing.
        let panicked = matches!(boot.ending, Ending::Panicked(_));
        let again: Vec<usize> = (0..sections.len())
            .filter(|index| is_doubtful(&verdicts[*index]))
            .filter(|index| !(panicked && verdicts[*index] == Verdict::NotRun))
            .collect();
        let mut boots = vec![boot];
        if !again.is_empty() {
            println!("    Linux {release} boots once more, for what failed");
            let wanted: Vec<Section> = again.iter().map(|index| sections[*index].clone()).collect();
            let boot = machine.boot(2, &wanted)?;
            for (index, second) in again.into_iter().zip(judge(&boot, &wanted)) {
                let first = std::mem::replace(&mut verdicts[index], Verdict::NotRun);
                verdicts[index] = first.and_again(second);
            }
            boots.push(boot);
        }
        let row = Self {
            series: machine.kernel.series,
            release: release.clone(),
            boots,
            sections,
            verdicts,
        };
        println!("    Linux {} took {:.0} s", row.release, row.took().as_secs_f32());
        Ok(row)
    }

    /// All boots together.
    pub fn took(&self) -> Duration {
        self.boots.iter().map(|boot| boot.took).sum()
    }

    /// The verdict on a section.
    pub fn verdict(&self, name: &str) -> Verdict {
        let index = self.sections.iter().position(|section| section.name == name);
        index.map_or(Verdict::LeftOut, |index| self.verdicts[index].clone())
    }

    /// What must not be.
    pub fn troubles(&self) -> Vec<String> {
        let mut troubles = Vec::new();
        let name = format!("Linux {}", self.release);
        for (section, verdict) in self.sections.iter().zip(&self.verdicts) {
            if !verdict.is_good() {
                troubles.push(format!("{name}: {}: {verdict}", section.name));
            }
        }
        for (number, boot) in (1..).zip(&self.boots) {
            if boot.ending != Ending::Done && !self.is_made_up_for(boot) {
                troubles.push(format!("{name}: boot {number} ended so: {:?}", boot.ending));
            }
            if !boot.complaints.is_empty() {
                let words = boot.complaints.join("; ");
                troubles.push(format!("{name}: boot {number}: the kernel complains: {words}"));
            }
        }
        troubles
    }

    /// Whether a boot came to no end once, in a section that ended in another boot.
    fn is_made_up_for(&self, boot: &Boot) -> bool {
        let is_of_no_end = matches!(boot.ending, Ending::Hung | Ending::Vanished);
        let in_section = boot.sections.len() < self.sections.len()
            || boot.sections.iter().any(|report| report.code.is_none());
        is_of_no_end && in_section && self.boots.last().is_some_and(|b| b.ending == Ending::Done)
    }

    /// Says what is behind every field that is not simply good.
    pub fn explain(&self) {
        for (section, verdict) in self.sections.iter().zip(&self.verdicts) {
            let name = format!("Linux {}, {}", self.release, section.name);
            match verdict {
                Verdict::Passed(_) | Verdict::LeftOut => {}
                Verdict::Flaky(tests) => {
                    println!("flake: {name}: {}, and not in another boot", tests.join(", "));
                }
                Verdict::Refused(words) => println!("refused: {name}: {words}"),
                Verdict::Failed(tests) => println!("failed: {name}: {}", tests.join(", ")),
                Verdict::OverTime => println!("too slow: {name}"),
                Verdict::Panicked(words) => println!("panic: {name}: {words}"),
                Verdict::Hung => println!("hung: {name}: the guest fell silent"),
                Verdict::Vanished => println!("vanished: {name}: the machine ended"),
                Verdict::NotRun => println!("not run: {name}"),
            }
            print!("{}", self.words(section));
        }
        for (number, boot) in (1..).zip(&self.boots) {
            if boot.ending != Ending::Done {
                let name = format!("Linux {}, boot {number}", self.release);
                println!("{name} ended so: {:?}. Its last words:\n{}", boot.ending, boot.tail);
            }
        }
    }

    /// What a section printed in each boot in which it did not pass: what happens in one of
    /// two boots may not happen again for a long time.
    pub fn words(&self, section: &Section) -> String {
        let mut words = String::new();
        for (number, boot) in (1..).zip(&self.boots) {
            let report = boot.sections.iter().find(|report| report.name == section.name);
            let failed = report.filter(|report| !has_passed(report, section));
            if let Some(report) = failed {
                words += &format!("In boot {number}: {}", words_of_failures(&report.output));
            }
        }
        words
    }

    /// Writes everything that the guests said, a file a boot.
    pub fn write_logs(&self, folder: &Path) -> Result<()> {
        std::fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
        for (number, boot) in (1..).zip(&self.boots) {
            let mut text = String::new();
            for report in &boot.sections {
                text += &format!("==> {} ({:?})\n{}\n", report.name, report.code, report.output);
            }
            text += &format!("==> {:?} {:?}\n{}\n", boot.ending, boot.complaints, boot.tail);
            let file = folder.join(format!("{}.{number}", self.release));
            std::fs::write(&file, text).with_context(|| format!("writing {}", file.display()))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::said::Report;
    use super::*;

    fn boot(ending: Ending, sections: &[(&str, Option<i32>)]) -> Boot {
        let report = |(name, code): &(&str, Option<i32>)| Report {
            name: (*name).to_owned(),
            code: *code,
            output: String::new(),
        };
        Boot {
            ending,
            complaints: Vec::new(),
            sections: sections.iter().map(report).collect(),
            took: Duration::ZERO,
            tail: String::new(),
        }
    }

    fn row(boots: Vec<Boot>, verdict: Verdict) -> Row {
        let section =
            Section { name: "a".to_owned(), seconds: 1, command: String::new(), reports: 1 };
        Row {
            series: "6.1",
            release: "6.1.0".to_owned(),
            boots,
            sections: vec![section],
            verdicts: vec![verdict],
        }
    }

    #[test]
    fn a_boot_that_does_not_end_well_is_a_trouble_whatever_its_sections_say() {
        let good = || boot(Ending::Done, &[("a", Some(0))]);
        assert!(row(vec![good()], Verdict::Passed(1)).troubles().is_empty());
        for ending in [
            Ending::Panicked("Kernel panic - x".to_owned()),
            Ending::Hung,
            Ending::OverTime,
            Ending::Vanished,
        ] {
            let name = format!("{ending:?}");
            let bad = || boot(ending.clone(), &[("a", Some(0))]);
            for boots in [vec![bad()], vec![bad(), good()], vec![good(), bad()]] {
                let troubles = row(boots, Verdict::Passed(1)).troubles();
                assert!(troubles.len() == 1 && troubles[0].contains(&name), "{troubles:?}");
            }
        }
    }

    #[test]
    fn a_hang_is_made_up_for_by_another_boot_and_a_panic_is_not() {
        let boots =
            |ending| vec![boot(ending, &[("a", None)]), boot(Ending::Done, &[("a", Some(0))])];
        let flaky = || Verdict::Flaky(vec!["hung once".to_owned()]);
        assert!(row(boots(Ending::Hung), flaky()).troubles().is_empty());
        let panic = Ending::Panicked("Kernel panic - x".to_owned());
        assert_eq!(row(boots(panic), flaky()).troubles().len(), 1);
        let twice = vec![boot(Ending::Hung, &[("a", None)]), boot(Ending::Hung, &[("a", None)])];
        assert_eq!(row(twice, Verdict::Hung).troubles().len(), 3);
    }

    #[test]
    fn what_failed_once_is_told_in_its_own_words() {
        let mut row = row(
            vec![boot(Ending::Done, &[("a", Some(101))]), boot(Ending::Done, &[("a", Some(0))])],
            Verdict::Flaky(vec!["x".to_owned()]),
        );
        let result = "test result: ok. 1 passed; 0 failed; 0 ignored\n";
        row.boots[0].sections[0].output = "chatter\nfailures:\n---- x stdout ----\nno\n".to_owned();
        row.boots[1].sections[0].output = result.to_owned();
        let words = row.words(&row.sections[0]);
        assert_eq!(words, "In boot 1: failures:\n---- x stdout ----\nno\n");
        row.boots[1].sections[0].code = Some(101);
        assert!(row.words(&row.sections[0]).contains("In boot 2: "));
    }

    #[test]
    fn what_the_kernel_says_against_itself_is_a_trouble() {
        let mut boot = boot(Ending::Done, &[("a", Some(0))]);
        boot.complaints.push("WARNING: CPU: 0".to_owned());
        let troubles = row(vec![boot], Verdict::Passed(1)).troubles();
        assert!(troubles[0].contains("WARNING: CPU: 0"), "{troubles:?}");
    }
}

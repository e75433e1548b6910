//! What is measured, and the order in which it is: every subject once, then
//! again, so that what disturbs the machine disturbs them all.

use anyhow::{Error, Result, ensure};
use serde::{Deserialize, Serialize};

use crate::results::{Case, Reading, Series};

/// The order of the subjects within a round.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Order {
    /// As the scenario lists them.
    #[default]
    Listed,
    /// The other way round.
    Reversed,
}

/// Something that can be measured again and again: a data plane that is set up
/// and ready. Dropping it takes it down.
pub trait Subject {
    /// The data plane's name: `redirect`, `overlay-xdp`, `overlay-tc`, `overlay-user`,
    /// `overlay-af-xdp`, `kernel`, `ovs`, …
    fn plane(&self) -> &str;
    /// What tells this subject from others on the same plane; overrides the
    /// scenario's own where keys are equal.
    fn case(&self) -> Case {
        Case::new()
    }
    /// Measures once. Every call answers the same metrics.
    fn measure(&mut self) -> Result<Vec<Reading>>;
}

/// Subjects that are compared with one another.
pub struct Scenario {
    /// Its name: `rate`, `scale`, `tcp-bulk`, …
    pub name: &'static str,
    /// What all its subjects have in common.
    pub case: Case,
    /// The subjects, set up.
    pub subjects: Vec<Box<dyn Subject>>,
}

/// What a scenario's rounds came to.
#[derive(Debug, Default)]
pub struct Found {
    /// A series for each metric of each subject that could be measured in every
    /// round.
    pub series: Vec<Series>,
    /// Why the others could not.
    pub failures: Vec<Error>,
}

impl Scenario {
    /// Measures every subject in turn, `rounds` times. One that fails is withdrawn,
    /// with what it has answered before: its rounds would not be the others'.
    pub fn run(&mut self, rounds: usize, order: Order) -> Found {
        let mut turn: Vec<usize> = (0..self.subjects.len()).collect();
        if order == Order::Reversed {
            turn.reverse();
        }
        let mut series: Vec<Vec<Series>> = self.subjects.iter().map(|_| Vec::new()).collect();
        let mut failures = Vec::new();
        for _ in 0..rounds {
            turn.retain(|index| {
                let subject = self.subjects[*index].as_mut();
                let measured = measure(self.name, &self.case, subject, &mut series[*index]);
                measured
                    .map_err(|error| {
                        series[*index].clear();
                        failures.push(error.context(self.title(*index)));
                    })
                    .is_ok()
            });
        }
        Found { series: series.into_iter().flatten().collect(), failures }
    }

    /// Names a subject: its plane, and its case where it has one of its own.
    fn title(&self, index: usize) -> String {
        let subject = &self.subjects[index];
        let mut title = format!("{}: {}", self.name, subject.plane());
        for (key, value) in subject.case() {
            title += &format!(" {key}={value}");
        }
        title
    }
}

/// Measures once, and adds what was read to the subject's series; the first time
/// makes them.
fn measure(
    scenario: &str,
    case: &Case,
    subject: &mut dyn Subject,
    found: &mut Vec<Series>,
) -> Result<()> {
    let readings = subject.measure()?;
    if found.is_empty() {
        let mut case = case.clone();
        case.extend(subject.case());
        found.extend(readings.iter().map(|r| series(scenario, &case, subject.plane(), r)));
    }
    ensure!(readings.len() == found.len(), "answers other metrics than before");
    for (series, reading) in found.iter_mut().zip(&readings) {
        let (name, value) = (reading.metric.name, reading.value);
        ensure!(series.metric == name, "answers {name} in place of {}", series.metric);
        ensure!(value.is_finite(), "{name} is {value}");
        series.samples.push(value);
    }
    Ok(())
}

fn series(scenario: &str, case: &Case, plane: &str, reading: &Reading) -> Series {
    Series {
        scenario: scenario.to_owned(),
        case: case.clone(),
        plane: plane.to_owned(),
        metric: reading.metric.name.to_owned(),
        unit: reading.metric.unit.to_owned(),
        better: reading.metric.better,
        samples: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::rc::Rc;

    use super::*;
    use crate::results::Metric;

    const RATE: Metric = Metric::higher("rate", "1/s");
    const LOST: Metric = Metric::lower("lost", "1");

    /// Notes each of its turns; answers how many it has had.
    struct Noting {
        plane: &'static str,
        turns: f64,
        notes: Rc<RefCell<Vec<&'static str>>>,
    }

    impl Subject for Noting {
        fn plane(&self) -> &str {
            self.plane
        }

        fn case(&self) -> Case {
            Case::from([("hook".to_owned(), self.plane.to_owned())])
        }

        fn measure(&mut self) -> Result<Vec<Reading>> {
            self.notes.borrow_mut().push(self.plane);
            self.turns += 1.0;
            Ok(vec![RATE.reads(self.turns), LOST.reads(0.0)])
        }
    }

    /// Answers something else each time.
    struct Fickle(Vec<Vec<Reading>>);

    impl Subject for Fickle {
        fn plane(&self) -> &str {
            "fickle"
        }

        fn measure(&mut self) -> Result<Vec<Reading>> {
            Ok(self.0.remove(0))
        }
    }

    fn scenario(subjects: Vec<Box<dyn Subject>>) -> Scenario {
        let case = Case::from([("frame".to_owned(), "64".to_owned())]);
        Scenario { name: "rate", case, subjects }
    }

    #[test]
    fn subjects_have_their_turns_round_by_round() {
        for (order, expected) in
            [(Order::Listed, ["a", "b", "a", "b"]), (Order::Reversed, ["b", "a", "b", "a"])]
        {
            let notes = Rc::new(RefCell::new(Vec::new()));
            let noting = |plane| -> Box<dyn Subject> {
                Box::new(Noting { plane, turns: 0.0, notes: notes.clone() })
            };
            let series = scenario(vec![noting("a"), noting("b")]).run(2, order).series;
            assert_eq!(*notes.borrow(), expected);
            let names: Vec<_> = series.iter().map(|s| (&*s.plane, &*s.metric)).collect();
            assert_eq!(names, [("a", "rate"), ("a", "lost"), ("b", "rate"), ("b", "lost")]);
            assert_eq!(series[0].samples, [1.0, 2.0]);
            assert_eq!((&*series[2].case["frame"], &*series[2].case["hook"]), ("64", "b"));
        }
    }

    #[test]
    fn what_cannot_be_a_sample_is_an_error() {
        let refused = |answers| {
            let mut found = scenario(vec![Box::new(Fickle(answers))]).run(2, Order::Listed);
            assert!(found.series.is_empty());
            format!("{:#}", found.failures.remove(0))
        };
        let good = vec![RATE.reads(1.0)];
        let error = refused(vec![good.clone(), vec![]]);
        assert!(error.contains("other metrics than before"), "{error}");
        let error = refused(vec![good.clone(), vec![LOST.reads(1.0)]]);
        assert!(error.contains("lost in place of rate"), "{error}");
        let error = refused(vec![good, vec![RATE.reads(f64::NAN)]]);
        assert_eq!(error, "rate: fickle: rate is NaN");
    }

    #[test]
    fn a_subject_that_fails_is_withdrawn_and_the_others_go_on() {
        let notes = Rc::new(RefCell::new(Vec::new()));
        let noting = Noting { plane: "steady", turns: 0.0, notes: notes.clone() };
        let fickle = Fickle(vec![vec![RATE.reads(1.0)], vec![]]);
        let found = scenario(vec![Box::new(fickle), Box::new(noting)]).run(3, Order::Listed);
        assert_eq!(found.failures.len(), 1);
        let left: Vec<_> = found.series.iter().map(|s| (&*s.plane, s.samples.len())).collect();
        assert_eq!(left, [("steady", 3), ("steady", 3)]);
    }
}

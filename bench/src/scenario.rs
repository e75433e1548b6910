//! What is measured, and the order in which it is: every subject once, then
//! again, so that what disturbs the machine disturbs them all.

use anyhow::{Context, Result};

use crate::results::{Case, Reading, Series};

/// The order of the subjects within a round.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
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
    /// The data plane's name: `redirect`, `overlay-xdp`, `overlay-tc`, `kernel`,
    /// `ovs`, …
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

impl Scenario {
    /// Measures every subject in turn, `rounds` times, and returns a series for
    /// each subject and metric.
    pub fn run(&mut self, rounds: usize, order: Order) -> Result<Vec<Series>> {
        let mut found: Vec<Vec<Series>> = self.subjects.iter().map(|_| Vec::new()).collect();
        for _ in 0..rounds {
            let mut turn: Vec<usize> = (0..self.subjects.len()).collect();
            if order == Order::Reversed {
                turn.reverse();
            }
            for index in turn {
                let subject = &mut self.subjects[index];
                let readings = subject
                    .measure()
                    .with_context(|| format!("{}: {}", self.name, subject.plane()))?;
                if found[index].is_empty() {
                    let mut case = self.case.clone();
                    case.extend(subject.case());
                    let plane = subject.plane().to_owned();
                    found[index] =
                        readings.iter().map(|r| series(self.name, &case, &plane, r)).collect();
                }
                for (series, reading) in found[index].iter_mut().zip(&readings) {
                    series.samples.push(reading.value);
                }
            }
        }
        Ok(found.into_iter().flatten().collect())
    }
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

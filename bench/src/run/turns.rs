//! A run: every planned scenario in its turn, each set up, measured and taken
//! down before the next.

use std::time::Instant;

use anyhow::Result;

use super::progress::Progress;
use super::{Planned, Setup};
use crate::results::{Failure, Load, Record};
use crate::scenario::Found;

/// Measures every scenario, and adds what is found to the record. `after_each`
/// is shown the record after every scenario. One that fails, or a subject of one,
/// is noted, and does not keep the others from being measured.
pub fn run(
    plan: Vec<Planned>,
    setup: &Setup,
    record: &mut Record,
    mut after_each: impl FnMut(&Record) -> Result<()>,
) -> Result<()> {
    let start = Instant::now();
    let mut progress = Progress::new(plan.iter().map(|planned| planned.name).collect());
    for planned in plan {
        progress.begin(&planned.title);
        let title = planned.title.clone();
        let found = measure(planned, setup, record)
            .unwrap_or_else(|error| Found { failures: vec![error], ..Found::default() });
        record.series.extend(found.series);
        for error in found.failures {
            let error = format!("{error:#}");
            progress.failed(&error);
            record.failures.push(Failure { title: title.clone(), error });
        }
        progress.end();
        record.seconds = start.elapsed().as_secs_f64();
        record.load.after = Load::now()?;
        after_each(record)?;
    }
    Ok(())
}

fn measure(planned: Planned, setup: &Setup, record: &Record) -> Result<Found> {
    let rounds = record.options.rounds.unwrap_or(planned.rounds);
    Ok((planned.build)(setup)?.run(rounds, record.options.order))
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::path::PathBuf;
    use std::rc::Rc;
    use std::time::Duration;

    use anyhow::bail;

    use super::*;
    use crate::results::{Case, Metric, Options, Reading};
    use crate::scenario::{Scenario, Subject};

    const RATE: Metric = Metric::higher("rate", "1/s");

    /// A subject of which there must be one at a time.
    struct Alone(Rc<RefCell<usize>>);

    impl Alone {
        fn new(standing: Rc<RefCell<usize>>) -> Self {
            *standing.borrow_mut() += 1;
            Self(standing)
        }
    }

    impl Drop for Alone {
        fn drop(&mut self) {
            *self.0.borrow_mut() -= 1;
        }
    }

    impl Subject for Alone {
        fn plane(&self) -> &str {
            "alone"
        }

        fn measure(&mut self) -> Result<Vec<Reading>> {
            Ok(vec![RATE.reads(*self.0.borrow() as f64)])
        }
    }

    fn setup() -> Setup {
        let time = Duration::from_millis(1);
        Setup { overlay: PathBuf::new(), cpu: 0, quick: true, features: false, time }
    }

    #[test]
    fn scenarios_stand_one_at_a_time_and_failures_are_noted() {
        let standing = Rc::new(RefCell::new(0));
        let planned = |name| {
            let standing = standing.clone();
            Planned::new(name, name, 2, move |_| {
                let subjects: Vec<Box<dyn Subject>> = vec![Box::new(Alone::new(standing))];
                Ok(Scenario { name, case: Case::new(), subjects })
            })
        };
        let failing = Planned::new("broken", "broken: x", 1, |_| bail!("no such device"));
        let mut record = Record::begin(Options::default()).unwrap();
        let mut shown = Vec::new();
        run(vec![planned("first"), failing, planned("last")], &setup(), &mut record, |record| {
            shown.push((record.series.len(), record.failures.len()));
            Ok(())
        })
        .unwrap();
        assert_eq!(shown, [(1, 0), (1, 1), (2, 1)]);
        assert!(record.series.iter().all(|series| series.samples == [1.0, 1.0]));
        assert_eq!(record.failures[0].title, "broken: x");
        assert_eq!(record.failures[0].error, "no such device");
    }

    #[test]
    fn asked_for_rounds_override_those_of_the_scenario() {
        let standing = Rc::new(RefCell::new(0));
        let planned = Planned::new("rate", "rate", 2, move |_| {
            let subjects: Vec<Box<dyn Subject>> = vec![Box::new(Alone::new(standing))];
            Ok(Scenario { name: "rate", case: Case::new(), subjects })
        });
        let options = Options { rounds: Some(5), ..Options::default() };
        let mut record = Record::begin(options).unwrap();
        run(vec![planned], &setup(), &mut record, |_| Ok(())).unwrap();
        assert_eq!(record.series[0].samples.len(), 5);
    }
}

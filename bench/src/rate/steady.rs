//! `steady`: a load below the highest rate, of which nothing may be lost, doubled
//! or reordered within a flow.

use std::time::Duration;

use anyhow::Result;

use super::chain::Chain;
use super::frames::{Direction, Length};
use super::generator::Generator;
use super::plane::Plane;
use super::population::Population;
use super::subject::{RATE, frames_in};
use crate::results::{Case, Metric, Reading};
use crate::run::{Planned, Setup};
use crate::scenario::{Scenario, Subject};

const NAME: &str = "steady";
/// Of the highest rate.
const LOAD: f64 = 0.8;
const LOST: Metric = Metric::lower("lost", "frames");
const DUPLICATED: Metric = Metric::lower("duplicated", "frames");
const REORDERED: Metric = Metric::lower("reordered", "frames");
/// Frames that the gateway's own counters say it has dropped.
const DROPPED: Metric = Metric::lower("dropped", "frames");
/// Trials, of which the fastest is the highest rate.
const TRIALS: usize = 5;

/// A scenario for this project's hooks.
pub fn scenarios(_setup: &Setup) -> Vec<Planned> {
    vec![Planned::new(NAME, NAME, 1, build)]
}

fn build(setup: &Setup) -> Result<Scenario> {
    let time = Duration::from_secs(if setup.quick { 3 } else { 30 });
    let mut subjects: Vec<Box<dyn Subject>> = Vec::new();
    for plane in [Plane::OverlayXdp, Plane::OverlayTc] {
        for direction in directions(setup.quick) {
            subjects.push(Box::new(Steady::new(plane, *direction, time, setup)?));
        }
    }
    let case = [("load", LOAD.to_string()), ("seconds", time.as_secs().to_string())];
    let case = Case::from(case.map(|(key, value)| (key.to_owned(), value)));
    Ok(Scenario { name: NAME, case, subjects })
}

fn directions(quick: bool) -> &'static [Direction] {
    if quick { &[Direction::Both] } else { &Direction::ALL }
}

/// A chain under a steady load.
struct Steady {
    chain: Chain,
    generator: Generator,
    direction: Direction,
    cpu: usize,
    time: Duration,
    /// Frames of a trial.
    trial: u32,
}

impl Steady {
    fn new(plane: Plane, direction: Direction, time: Duration, setup: &Setup) -> Result<Self> {
        let chain = Chain::new(plane, Population::ONE, setup, true)?;
        let mut generator = chain.generator(direction, Length::Fixed(64))?;
        let trial = frames_in(setup.time, &chain, &mut generator, setup.cpu)?;
        Ok(Self { chain, generator, direction, cpu: setup.cpu, time, trial })
    }

    /// The time between two frames at the wanted load. Its own trials tell, right
    /// before: the highest rate is that of the machine as it is now.
    fn interval(&mut self) -> Result<Duration> {
        let mut highest: f64 = 0.0;
        for _ in 0..TRIALS {
            let passed = self.chain.send(&mut self.generator, self.cpu, self.trial)?;
            highest = highest.max(passed.rate());
        }
        Ok(Duration::from_secs_f64(1.0 / (highest * LOAD)))
    }
}

impl Subject for Steady {
    fn plane(&self) -> &str {
        self.chain.plane.name()
    }

    fn case(&self) -> Case {
        Case::from([("direction".to_owned(), self.direction.name().to_owned())])
    }

    fn measure(&mut self) -> Result<Vec<Reading>> {
        let interval = self.interval()?;
        let before = self.chain.dropped()?;
        let passed = self.chain.pace(&mut self.generator, self.cpu, interval, self.time)?;
        let mut readings = vec![
            RATE.reads(passed.rate()),
            LOST.reads(passed.lost() as f64),
            DUPLICATED.reads(passed.arrived.duplicated as f64),
            REORDERED.reads(passed.arrived.reordered as f64),
        ];
        if let (Some(before), Some(after)) = (before, self.chain.dropped()?) {
            readings.push(DROPPED.reads((after - before) as f64));
        }
        Ok(readings)
    }
}

//! A chain under one kind of traffic, measured again and again.

use std::rc::Rc;
use std::time::Duration;

use anyhow::{Result, ensure};

use super::chain::{Chain, Passed};
use super::frames::{Direction, Length};
use super::generator::Generator;
use crate::results::{Case, Metric, Reading};
use crate::run::Setup;
use crate::scenario::Subject;

/// Frames a second that got through.
pub const RATE: Metric = Metric::higher("rate", "1/s");
/// The share that did not.
const LOST: Metric = Metric::lower("lost", "1");
/// Frames that show whether a chain works at all, and how fast.
const TRIAL: u32 = 16_000;

/// Frames as fast as a chain takes them.
pub struct Rate {
    chain: Rc<Chain>,
    generator: Generator,
    case: Case,
    cpu: usize,
    count: u32,
}

impl Rate {
    /// Sees that frames get through, and how many make up a measurement.
    pub fn new(
        chain: &Rc<Chain>,
        direction: Direction,
        length: Length,
        setup: &Setup,
    ) -> Result<Self> {
        let mut generator = chain.generator(direction, length)?;
        let count = frames_in(setup.time, chain, &mut generator, setup.cpu)?;
        let case = Case::from([("direction".to_owned(), direction.name().to_owned())]);
        Ok(Self { chain: Rc::clone(chain), generator, case, cpu: setup.cpu, count })
    }

    /// Adds what else tells this subject from others.
    pub fn with(mut self, key: &str, value: impl ToString) -> Self {
        self.case.insert(key.to_owned(), value.to_string());
        self
    }

    /// Measures once: frames a second that got through.
    pub fn rate(&mut self) -> Result<f64> {
        Ok(self.passed()?.rate())
    }

    fn passed(&mut self) -> Result<Passed> {
        self.chain.send(&mut self.generator, self.cpu, self.count)
    }
}

impl Subject for Rate {
    fn plane(&self) -> &str {
        self.chain.plane.name()
    }

    fn case(&self) -> Case {
        self.case.clone()
    }

    fn measure(&mut self) -> Result<Vec<Reading>> {
        let passed = self.passed()?;
        let lost = passed.lost() as f64 / passed.sent.frames.max(1) as f64;
        Ok(vec![RATE.reads(passed.rate()), LOST.reads(lost)])
    }
}

/// How many frames a generator makes in `time`. A first run tells, of which most
/// have to get through.
pub fn frames_in(
    time: Duration,
    chain: &Chain,
    generator: &mut Generator,
    cpu: usize,
) -> Result<u32> {
    let Passed { sent, arrived } = chain.send(generator, cpu, TRIAL)?;
    ensure!(
        arrived.received * 2 > sent.frames,
        "{}: of {} frames only {} got through",
        chain.plane.name(),
        sent.frames,
        arrived.received
    );
    Ok((sent.frames as f64 / sent.time.as_secs_f64() * time.as_secs_f64()) as u32)
}

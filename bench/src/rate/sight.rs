//! `sight`: what it costs to be seen. One gateway under the same frames, by turns with nobody who
//! looks, and with a trace that runs and metrics that are read.

use std::rc::Rc;

use anyhow::Result;

use super::chain::Chain;
use super::frames::{Direction, Length};
use super::plane::Plane;
use super::population::Population;
use super::subject::Rate;
use crate::results::{Case, Reading};
use crate::run::{Planned, Setup};
use crate::scenario::{Scenario, Subject};

const NAME: &str = "sight";
/// The key of the case that says what is on.
const KEY: &str = "seen-by";

/// One scenario.
pub fn scenarios(setup: &Setup) -> Vec<Planned> {
    let rounds = if setup.quick { 3 } else { 15 };
    vec![Planned::new(NAME, NAME, rounds, build)]
}

/// A chain for each hook in the kernel, through which short frames go, seen and unseen.
fn build(setup: &Setup) -> Result<Scenario> {
    let mut subjects: Vec<Box<dyn Subject>> = Vec::new();
    for plane in [Plane::OverlayXdp, Plane::OverlayTc] {
        let chain = Rc::new(Chain::new(plane, Population::ONE, setup, false)?);
        for direction in Direction::SINGLE {
            let rate = |by: &str| -> Result<Rate> {
                Ok(Rate::new(&chain, direction, Length::Fixed(64), setup)?.with(KEY, by))
            };
            for (by, is_seen) in [("nobody", false), ("trace+metrics", true)] {
                let (rate, chain) = (rate(by)?, Rc::clone(&chain));
                subjects.push(Box::new(Seen { rate, chain, is_seen }));
            }
        }
    }
    Ok(Scenario { name: NAME, case: Case::new(), subjects })
}

/// Somebody looks while it is measured, and not before or afterwards; or nobody does.
struct Seen {
    rate: Rate,
    chain: Rc<Chain>,
    is_seen: bool,
}

impl Seen {
    /// The second of two: whoever begins to look is told of many frames at once.
    fn settled(&mut self) -> Result<Vec<Reading>> {
        self.rate.measure()?;
        self.rate.measure()
    }
}

impl Subject for Seen {
    fn plane(&self) -> &str {
        self.rate.plane()
    }

    fn case(&self) -> Case {
        self.rate.case()
    }

    fn measure(&mut self) -> Result<Vec<Reading>> {
        let chain = Rc::clone(&self.chain);
        if self.is_seen { chain.seen(|| self.settled()) } else { self.settled() }
    }
}

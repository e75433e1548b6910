//! `rate`: frames of each length in each direction.

use std::rc::Rc;

use anyhow::Result;

use super::chain::Chain;
use super::frames::{Direction, Length};
use super::plane::Plane;
use super::population::Population;
use super::subject::Rate;
use crate::results::Case;
use crate::run::{Planned, Setup};
use crate::scenario::{Scenario, Subject};

const NAME: &str = "rate";

/// A scenario for each direction.
pub fn scenarios(setup: &Setup) -> Vec<Planned> {
    let rounds = if setup.quick { 3 } else { 7 };
    Direction::ALL
        .map(|direction| {
            let title = format!("{NAME} direction={}", direction.name());
            Planned::new(NAME, title, rounds, move |setup| build(direction, setup))
        })
        .into()
}

/// One chain for each plane, through which frames of every length go.
fn build(direction: Direction, setup: &Setup) -> Result<Scenario> {
    let chains = Plane::available()
        .into_iter()
        .map(|plane| Ok(Rc::new(Chain::new(plane, Population::ONE, setup, false)?)))
        .collect::<Result<Vec<_>>>()?;
    let mut subjects: Vec<Box<dyn Subject>> = Vec::new();
    for length in lengths(setup.quick) {
        for chain in &chains {
            let subject = Rate::new(chain, direction, length, setup)?;
            subjects.push(Box::new(subject.with("frame", length)));
        }
    }
    Ok(Scenario { name: NAME, case: Case::new(), subjects })
}

fn lengths(quick: bool) -> Vec<Length> {
    let fixed: &[usize] = if quick { &[64, 1400] } else { &[64, 128, 256, 512, 1024, 1400] };
    fixed.iter().map(|len| Length::Fixed(*len)).chain([Length::Imix]).collect()
}

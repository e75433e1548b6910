//! `scale-…`: short frames through ever larger tables, visited at random.
//!
//! The sizes of one scenario are measured in turn with one another: it is their
//! ratio that counts. Every peer and every segment has a remote host of its own, so
//! the FDB grows with them.
//!
//! Of 4,096 segments, the 4,094 that have a VLAN on the access port are visited.
//! There, frames are tagged at every size, so that the tag's cost is in all.
//!
//! Open vSwitch is not compared: it keeps a flow for each pair of addresses, of
//! which a random visit always makes a new one.

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

/// A scenario of growing tables.
struct Growth {
    name: &'static str,
    planes: &'static [Plane],
    /// What grows, as in a case, and the population that it makes.
    sizes: Vec<(Vec<(&'static str, u32)>, Population)>,
}

const ALL: &[Plane] = &[Plane::Redirect, Plane::OverlayXdp, Plane::OverlayTc, Plane::Kernel];
/// The kernel's plane has one segment.
const SEVERAL: &[Plane] = &[Plane::Redirect, Plane::OverlayXdp, Plane::OverlayTc];

/// A scenario for each table, and one for two at once.
pub fn scenarios(setup: &Setup) -> Vec<Planned> {
    let (rounds, quick) = if setup.quick { (3, true) } else { (5, false) };
    let growths = [fdb(quick), peers(quick), segments(quick), both()];
    growths
        .map(|growth| {
            Planned::new(growth.name, growth.name, rounds, move |setup| build(&growth, setup))
        })
        .into()
}

fn fdb(quick: bool) -> Growth {
    let sizes: &[u32] = if quick { &[1, 100_000] } else { &[1, 1000, 100_000, 1_000_000] };
    let size = |entries| (vec![("entries", entries)], Population { entries, ..Population::ONE });
    Growth { name: "scale-fdb", planes: ALL, sizes: sizes.iter().copied().map(size).collect() }
}

fn peers(quick: bool) -> Growth {
    let sizes: &[u32] = if quick { &[1, 10_000] } else { &[1, 100, 10_000] };
    let size =
        |peers| (vec![("peers", peers)], Population { entries: peers, peers, ..Population::ONE });
    Growth { name: "scale-peers", planes: ALL, sizes: sizes.iter().copied().map(size).collect() }
}

fn segments(quick: bool) -> Growth {
    let sizes: &[u32] = if quick { &[1, 4096] } else { &[1, 100, 4096] };
    let size = |segments| {
        let population = Population { segments, tagged: true, ..Population::ONE };
        let entries = population.visited();
        (vec![("segments", segments)], Population { entries, ..population })
    };
    let sizes = sizes.iter().copied().map(size).collect();
    Growth { name: "scale-segments", planes: SEVERAL, sizes }
}

fn both() -> Growth {
    let size = |(peers, segments)| {
        let labels = vec![("peers", peers), ("segments", segments)];
        (labels, Population { entries: peers, peers, segments, tagged: true })
    };
    let sizes = [(1, 1), (10_000, 4096)].map(size).into();
    Growth { name: "scale-both", planes: SEVERAL, sizes }
}

/// A chain for each plane and size, through which frames go in each direction.
/// Sizes of one plane follow one another.
fn build(growth: &Growth, setup: &Setup) -> Result<Scenario> {
    let mut chains = Vec::new();
    for plane in growth.planes {
        for (labels, population) in &growth.sizes {
            chains.push((labels, Rc::new(Chain::new(*plane, *population, setup, false)?)));
        }
    }
    let mut subjects: Vec<Box<dyn Subject>> = Vec::new();
    for direction in Direction::SINGLE {
        for (labels, chain) in &chains {
            let mut subject = Rate::new(chain, direction, Length::Fixed(64), setup)?;
            for (key, value) in *labels {
                subject = subject.with(key, value);
            }
            subjects.push(Box::new(subject));
        }
    }
    Ok(Scenario { name: growth.name, case: Case::new(), subjects })
}

//! The gateway's programs by themselves, on frames of `BPF_PROG_TEST_RUN`: how
//! long each takes for a frame, and what does not depend on the machine's mood.
//!
//! - [`vectors`]: the frames, and what must become of each.
//! - [`programs`]: the programs with the sample node's tables.
//! - [`branches`]: how often each may go two ways.
//! - [`watched`]: what it costs to be loaded so that frames can be told of.
//! - [`baseline`]: figures that are kept, so that growth does not go unseen.
//!
//! Executed instructions are not counted: that takes a hardware counter, which a
//! virtual machine need not have.

pub mod baseline;
pub mod branches;
pub mod programs;
pub mod vectors;
mod watched;

use std::cell::RefCell;
use std::rc::Rc;

use anyhow::Result;

pub use baseline::{Baseline, Growth, compare, deterministic};
use programs::Programs;
use vectors::{Run, Vector};

use crate::results::{Case, Metric, Reading};
use crate::run::{Planned, Setup};
use crate::scenario::{Scenario, Subject};

/// The scenario's name.
const NAME: &str = "micro";
const ROUNDS: usize = 7;
const QUICK_ROUNDS: usize = 3;
const TIME: Metric = Metric::lower("time", "ns");

/// Every vector in the programs of its direction, and what those that tell of frames cost.
pub fn scenarios(setup: &Setup) -> Vec<Planned> {
    let rounds = if setup.quick { QUICK_ROUNDS } else { ROUNDS };
    vec![Planned::new(NAME, NAME, rounds, build), watched::planned(setup)]
}

fn build(setup: &Setup) -> Result<Scenario> {
    let programs = Rc::new(RefCell::new(Programs::load()?));
    let subject = |(program, vector, run)| {
        let programs = Rc::clone(&programs);
        Box::new(Single { programs, program, vector, run, cpu: setup.cpu }) as Box<dyn Subject>
    };
    let subjects = vectors::all().into_iter().flat_map(Vector::runs).map(subject).collect();
    Ok(Scenario { name: NAME, case: Case::new(), subjects })
}

fn case(program: &str, vector: &str) -> Case {
    [("program", program), ("vector", vector)]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into()
}

/// One program, one vector.
struct Single {
    programs: Rc<RefCell<Programs>>,
    program: &'static str,
    vector: &'static str,
    run: Run,
    cpu: usize,
}

impl Subject for Single {
    fn plane(&self) -> &str {
        "overlay"
    }

    fn case(&self) -> Case {
        case(self.program, self.vector)
    }

    fn measure(&mut self) -> Result<Vec<Reading>> {
        let time = self.programs.borrow_mut().time(self.program, &self.run, self.cpu)?;
        Ok(vec![TIME.reads(time)])
    }
}

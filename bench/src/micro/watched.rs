//! `watched`: what programs that tell of frames cost those that nobody tells of: nearly all. Where
//! a program and its tables lie in memory makes a difference as large as that, so each is loaded
//! many times in both forms.

use std::cell::RefCell;
use std::rc::Rc;

use anyhow::Result;

use super::programs::Programs;
use super::vectors::{self, Run, Vector};
use crate::results::{Case, Metric, Reading};
use crate::run::{Planned, Setup};
use crate::scenario::{Scenario, Subject};

const NAME: &str = "watched";
const ROUNDS: usize = 5;
const QUICK_ROUNDS: usize = 1;
/// How many times each form is loaded.
const LOADS: usize = 15;
/// Frames whose way is that of most: into a tunnel, and out of one.
const VECTORS: [&str; 2] = ["encap-ipv4", "decap-ipv4"];
/// With programs that tell of nothing.
const TIME: Metric = Metric::lower("time", "ns");
/// What those that tell take beyond.
const EXTRA: Metric = Metric::lower("extra", "ns");

/// The scenario.
pub fn planned(setup: &Setup) -> Planned {
    let rounds = if setup.quick { QUICK_ROUNDS } else { ROUNDS };
    Planned::new(NAME, NAME, rounds, build)
}

fn build(setup: &Setup) -> Result<Scenario> {
    let load = |_| Ok([Programs::load()?, Programs::load_watched()?]);
    let loads = (0..LOADS).map(load).collect::<Result<Vec<_>>>()?;
    let loads = Rc::new(RefCell::new(loads));
    let runs = vectors::all().into_iter().flat_map(Vector::runs);
    let subject = |(program, vector, run)| {
        let loads = Rc::clone(&loads);
        Box::new(Beside { loads, program, vector, run, cpu: setup.cpu }) as Box<dyn Subject>
    };
    let subjects = runs.filter(|(_, name, _)| VECTORS.contains(name)).map(subject).collect();
    Ok(Scenario { name: NAME, case: Case::new(), subjects })
}

/// One program in both forms, one vector.
struct Beside {
    loads: Rc<RefCell<Vec<[Programs; 2]>>>,
    program: &'static str,
    vector: &'static str,
    run: Run,
    cpu: usize,
}

impl Subject for Beside {
    fn plane(&self) -> &str {
        "overlay"
    }

    fn case(&self) -> Case {
        super::case(self.program, self.vector)
    }

    /// The medians over all loads.
    fn measure(&mut self) -> Result<Vec<Reading>> {
        let [mut plain, mut extra] = [Vec::new(), Vec::new()];
        for [without, with] in self.loads.borrow_mut().iter_mut() {
            let time = without.time(self.program, &self.run, self.cpu)?;
            plain.push(time);
            extra.push(with.time(self.program, &self.run, self.cpu)? - time);
        }
        Ok(vec![TIME.reads(median(plain)), EXTRA.reads(median(extra))])
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

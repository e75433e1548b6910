//! `sight`: what it costs to be seen. Two gateways alike, of which one has a trace that runs and
//! metrics that are read, by turns in slices so short that what disturbs the machine disturbs both;
//! then the other one is seen.

use std::rc::Rc;

use anyhow::Result;

use super::chain::Chain;
use super::frames::{Direction, Length};
use super::plane::{Plane, Sight};
use super::population::Population;
use super::subject::Rate;
use crate::results::{Case, Metric, Reading};
use crate::run::{Planned, Setup};
use crate::scenario::{Scenario, Subject};

const NAME: &str = "sight";
/// The rate of a gateway that is seen, as a share of that of one that is not.
const KEPT: Metric = Metric::higher("kept", "1");
/// Pairs of slices with one gateway seen, and then with the other.
const PAIRS: usize = 8;
/// Slices in the time of a measurement. With a page of metrics beside one of [`PAIRS`], metrics are
/// read once in 0.8 s that are seen: about twenty times as often as by Prometheus.
const SLICES: u32 = 2;

/// One scenario.
pub fn scenarios(setup: &Setup) -> Vec<Planned> {
    let rounds = if setup.quick { 3 } else { 15 };
    vec![Planned::new(NAME, NAME, rounds, build)]
}

/// Two chains for each hook in the kernel, through which short frames go.
fn build(setup: &Setup) -> Result<Scenario> {
    let slice = Setup { time: setup.time / SLICES, ..setup.clone() };
    let mut subjects: Vec<Box<dyn Subject>> = Vec::new();
    for plane in [Plane::OverlayXdp, Plane::OverlayTc] {
        let chain =
            || Ok::<_, anyhow::Error>(Rc::new(Chain::new(plane, Population::ONE, setup, false)?));
        let chains = [chain()?, chain()?];
        for direction in Direction::SINGLE {
            let rate = |chain| Rate::new(chain, direction, Length::Fixed(64), &slice);
            let [one, other] = &chains;
            subjects
                .push(Box::new(Pair { rates: [rate(one)?, rate(other)?], chains: chains.clone() }));
        }
    }
    Ok(Scenario { name: NAME, case: Case::new(), subjects })
}

/// Two gateways that differ in nothing, which is why each is seen in its turn: where their tables
/// lie in memory makes a difference as well.
struct Pair {
    rates: [Rate; 2],
    chains: [Rc<Chain>; 2],
}

impl Pair {
    /// What the one gateway keeps of its rate, in comparison with the other, while it is seen: over
    /// all pairs of slices, so that none of them is left out.
    fn kept(&mut self, seen: usize) -> Result<f64> {
        let chain = Rc::clone(&self.chains[seen]);
        chain.seen(|sight| {
            // Whoever begins to look is told of many frames at once.
            self.rates[seen].rate()?;
            let [mut with, mut without] = [0.0; 2];
            for pair in 0..PAIRS {
                let read = (pair == 0).then_some(sight);
                let [one, other] = self.pair(seen, read, pair % 2 == 0)?;
                with += one;
                without += other;
            }
            Ok(with / without)
        })
    }

    /// The rates of a slice of each, that of the one that is seen first; which of them comes first
    /// in time alternates. Metrics are read beside the former, if at all.
    fn pair(&mut self, seen: usize, read: Option<&Sight>, seen_first: bool) -> Result<[f64; 2]> {
        let [mut with, mut without] = [0.0; 2];
        for is_seen in [seen_first, !seen_first] {
            if is_seen {
                let rate = &mut self.rates[seen];
                with = match read {
                    Some(sight) => sight.beside(|| rate.rate())?,
                    None => rate.rate()?,
                };
            } else {
                without = self.rates[1 - seen].rate()?;
            }
        }
        Ok([with, without])
    }
}

impl Subject for Pair {
    fn plane(&self) -> &str {
        self.rates[0].plane()
    }

    fn case(&self) -> Case {
        self.rates[0].case()
    }

    fn measure(&mut self) -> Result<Vec<Reading>> {
        // What the gateways differ in multiplies the one and divides the other.
        let kept = (self.kept(0)? * self.kept(1)?).sqrt();
        Ok(vec![KEPT.reads(kept)])
    }
}

//! What years would show, in minutes: two gateways with traffic across, while everything that may
//! happen to them happens over and over, in an order that a seed decides. Their memory does not
//! grow, and once it is over they hold what they held before: no descriptor, map, program, link,
//! pin, thread or table entry more. Whatever they have said has a reason that is written down.
//!
//! `OVERLAY_SOAK_SECONDS` says for how long (120), `OVERLAY_SOAK_SEED` in which order.
//! `cargo xtask test --soak MINUTES` runs it alone. It measures no speed, so it runs beside
//! other tests.

mod bed;
mod churn;
mod clients;
mod explained;
mod held;
mod losses;
mod series;
mod shape;
mod witness;

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail, ensure};
use overlay_testbed::{patient, require_root, require_tools};

use crate::harness::{Flow, ping};
use bed::{AGEING, Around, Bed};
use churn::{TURNS, Turn};
use losses::Losses;
use shape::Shape;
use witness::Witness;

/// What is silent is forgotten by then, and threads without work have ended.
const REST: Duration = Duration::from_secs(AGEING + 5);
/// How long the last of it may take to come to rest.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between words on how far it is.
const BETWEEN: Duration = Duration::from_secs(60);

#[test]
fn after_a_soak_gateways_are_what_they_were() -> Result<()> {
    let name = "after_a_soak_gateways_are_what_they_were";
    if !require_root(name) || !require_tools(name, &["ping"]) {
        return Ok(());
    }
    let seconds = number("OVERLAY_SOAK_SECONDS")?.unwrap_or(120);
    let since = || SystemTime::now().duration_since(UNIX_EPOCH).map(|time| time.as_nanos());
    let seed = number("OVERLAY_SOAK_SEED")?.unwrap_or(since()? as u64);
    println!("{seconds} s; again: OVERLAY_SOAK_SECONDS={seconds} OVERLAY_SOAK_SEED={seed}");
    let around = Around::new()?;
    let mut soak = Soak::new(&around, seed)?;
    let result = soak.run(Duration::from_secs(seconds));
    let said = soak.witness.report(&soak.losses);
    println!("{said}");
    result.with_context(|| said)
}

struct Soak<'a> {
    begun: Instant,
    bed: Bed<'a>,
    flows: [Flow; 2],
    losses: Losses,
    witness: Witness,
}

impl<'a> Soak<'a> {
    fn new(around: &'a Around, seed: u64) -> Result<Self> {
        let bed = Bed::new(around, seed)?;
        let flows = [Flow::new(&around.testbed)?, Flow::back(&around.testbed)?];
        let (losses, witness) = (Losses::default(), Witness::default());
        Ok(Self { begun: Instant::now(), bed, flows, losses, witness })
    }

    fn run(&mut self, time: Duration) -> Result<()> {
        let end = self.begun + time.saturating_sub(REST);
        // Everything once: what is made when it is first needed is there from then on.
        for turn in &TURNS {
            self.turn(turn)?;
        }
        churn::everything(&mut self.bed)?;
        let before = self.rest()?;
        self.witness.begin();
        let mut told = Instant::now();
        loop {
            let mut order: Vec<usize> = (0..TURNS.len()).collect();
            while !order.is_empty() {
                let next = self.bed.below(order.len());
                self.turn(&TURNS[order.swap_remove(next)])?;
                if told.elapsed() >= BETWEEN {
                    told = Instant::now();
                    println!("{}", self.witness.progress(self.begun.elapsed(), &self.losses));
                }
                // A whole round there is in any case.
                if self.witness.rounds > 0 && Instant::now() >= end {
                    break;
                }
            }
            self.witness.rounds += 1;
            if Instant::now() >= end {
                break;
            }
        }
        self.come_to_rest(&before)?;
        ping(self.bed.around.host(0), overlay_testbed::TwoGateways::HOST2)?;
        self.witness.judge(self.bed.names())
    }

    /// One thing happens; what it costs, and what is said of it, is looked at.
    fn turn(&mut self, turn: &Turn) -> Result<()> {
        let begun = Instant::now();
        let fault = if turn.interrupts {
            (turn.run)(&mut self.bed).map(|()| None)
        } else {
            self.losses.beside(turn, &mut self.flows, &mut self.bed)
        };
        let logs = || self.bed.gateways.each_ref().map(|ours| ours.log());
        let fault = fault
            .and_then(|fault| self.bed.recover().map(|()| fault))
            .with_context(|| format!("{}\n{}", turn.name, logs().join("\n---\n")))?;
        self.witness.faults.extend(fault.map(|fault| format!("{}: {fault}", turn.name)));
        self.witness.look(turn.name, begun.elapsed(), &self.bed)
    }

    /// Everything as at the beginning, and quiet: what the gateways are like then.
    fn rest(&mut self) -> Result<[Shape; 2]> {
        self.bed.held.clear();
        for side in 0..2 {
            self.bed.restore(side)?;
        }
        churn::renew(&mut self.bed)?;
        self.bed.recover()?;
        std::thread::sleep(patient(REST));
        self.witness.look("rest", REST, &self.bed)?;
        self.shapes()
    }

    fn shapes(&self) -> Result<[Shape; 2]> {
        let names = self.bed.names();
        let shape =
            |side: usize| Shape::of(&self.bed.gateways[side], names[side]).map(|(shape, _)| shape);
        Ok([shape(0)?, shape(1)?])
    }

    /// Waits until the gateways are what they were, and nothing of what was theirs is left.
    fn come_to_rest(&mut self, before: &[Shape; 2]) -> Result<()> {
        let mut now = self.rest()?;
        let begun = Instant::now();
        loop {
            let mut different: Vec<String> = before
                .iter()
                .zip(&now)
                .zip(["gw1", "gw2"])
                .flat_map(|((before, now), name)| {
                    before.differs(now).into_iter().map(move |words| format!("{name}: {words}"))
                })
                .collect();
            different.extend(self.witness.left_over(&self.bed)?);
            if different.is_empty() {
                return Ok(());
            }
            if begun.elapsed() > patient(PATIENCE) {
                bail!("not what it was:\n{}", different.join("\n"));
            }
            std::thread::sleep(Duration::from_secs(1));
            now = self.shapes()?;
        }
    }
}

fn number(variable: &str) -> Result<Option<u64>> {
    let Some(text) = std::env::var_os(variable) else { return Ok(None) };
    let text = text.to_string_lossy();
    let number = text.parse().ok();
    ensure!(number.is_some(), "{variable} is {text:?}; a whole number is wanted");
    Ok(number)
}

//! Interleaved rounds: every chain once, then again, so that what disturbs the
//! machine disturbs them all.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::chain::{Chain, Sample};
use crate::plane::Plane;
use crate::report::{Report, Row};

/// Frames of the run that tells how many make up a round.
const CALIBRATION: u32 = 128_000;

/// What to measure.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The `overlay` binary.
    pub overlay: PathBuf,
    /// The data planes.
    pub planes: Vec<Plane>,
    /// The core that generator, gateway and sink share.
    pub cpu: usize,
    /// How often each chain is measured.
    pub rounds: usize,
    /// How long each measurement takes.
    pub time: Duration,
}

/// Builds a chain for each plane and measures them in turn. `progress` is told
/// what is being done.
pub fn compare(plan: &Plan, mut progress: impl FnMut(&str)) -> Result<Report> {
    let mut chains = Vec::new();
    for plane in plan.planes.iter().copied() {
        progress(&format!("setting up {}", plane.name()));
        let chain = Chain::new(plane, &plan.overlay, plan.cpu)?;
        let count = frames_for(&chain, plan).with_context(|| plane.name())?;
        chains.push((chain, count));
    }
    let mut samples: Vec<Vec<Sample>> = vec![Vec::new(); chains.len()];
    for round in 1..=plan.rounds {
        progress(&format!("round {round} of {}", plan.rounds));
        for ((chain, count), samples) in chains.iter().zip(&mut samples) {
            samples.push(chain.measure(plan.cpu, *count)?);
        }
    }
    let rows = chains.iter().zip(samples);
    Ok(Report::new(rows.map(|((chain, _), samples)| Row::new(chain.plane, samples)).collect()))
}

/// How many frames take `plan.time`.
fn frames_for(chain: &Chain, plan: &Plan) -> Result<u32> {
    let trial = chain.measure(plan.cpu, CALIBRATION)?;
    let generated = trial.sent as f64 / trial.time.as_secs_f64();
    Ok((generated * plan.time.as_secs_f64()) as u32)
}

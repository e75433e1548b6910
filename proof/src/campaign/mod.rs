//! A campaign: frames and tables made from a seed, millions of them, through the host's path
//! and every judge, until one disagrees or the time is up.
//!
//! Outcome and bytes are compared frame by frame; counters, drops, addresses, copies and punts
//! once a batch, which is run again frame by frame where they differ. The room for new headers is
//! poisoned, the host's with another byte than XDP's: what leaves with one that nobody wrote
//! differs.

pub mod explained;
mod frames;
mod judge;
mod leak;
mod round;
mod said;
mod seed;
mod tally;
mod world;

use std::time::Duration;

use anyhow::Result;
use nix::sched::{CpuSet, sched_getcpu, sched_setaffinity};
use nix::unistd::Pid;

pub use judge::{InKernel, Judge};
use round::Campaign;

use crate::home::Home;

/// How long, and from which seed.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Everything follows from it.
    pub seed: u64,
    /// When to stop.
    pub time: Duration,
    /// This frame alone.
    pub frame: Option<u64>,
}

/// Runs a campaign.
///
/// # Errors
///
/// A disagreement, with what is needed to see it again; or the programs do not load.
pub fn run(plan: &Plan) -> Result<()> {
    let home = Home::new()?;
    home.enter(|| {
        // What the programs hand over arrives in one order only from one CPU.
        let mut one = CpuSet::new();
        one.set(sched_getcpu()?)?;
        let mut campaign = Campaign::new(plan.seed, &home)?;
        sched_setaffinity(Pid::from_raw(0), &one)?;
        match plan.frame {
            Some(number) => campaign.replay(number),
            None => campaign.go(plan.time),
        }
    })?
}

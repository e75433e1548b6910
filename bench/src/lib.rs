//! This gateway beside other data planes, on one machine, in one run.
//!
//! Every figure is to be read as a ratio: scenarios measure their data planes in
//! turn, again and again, since absolute figures do not repeat on a machine that
//! is shared.

pub mod compare;
pub mod control;
pub mod features;
pub mod hosts;
pub mod micro;
pub mod plot;
pub mod rate;
pub mod report;
pub mod results;
pub mod run;
pub mod scenario;
pub mod targets;

use run::{Planned, Setup};

/// Every scenario, in the order in which they are measured.
pub fn scenarios(setup: &Setup) -> Vec<Planned> {
    let parts = [
        rate::scenarios(setup),
        hosts::scenarios(setup),
        control::scenarios(setup),
        micro::scenarios(setup),
    ];
    parts.into_iter().flatten().collect()
}

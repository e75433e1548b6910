//! This gateway beside other data planes, on one machine, in one run.
//!
//! Every figure is to be read as a ratio: scenarios measure their data planes in
//! turn, again and again, since absolute figures do not repeat on a machine that
//! is shared.

pub mod chain;
pub mod compare;
mod ends;
mod frames;
pub mod hosts;
pub mod micro;
mod plane;
pub mod plot;
pub mod report;
pub mod results;
pub mod run;
pub mod scenario;
pub mod targets;

pub use plane::{Direction, Plane};

use run::{Planned, Setup};

/// Every scenario, in the order in which they are measured.
pub fn scenarios(setup: &Setup) -> Vec<Planned> {
    hosts::scenarios(setup).into_iter().chain(micro::scenarios(setup)).collect()
}

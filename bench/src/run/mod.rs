//! A run: scenarios that are planned, and then measured one after the other.

mod plan;
mod progress;
mod turns;

pub use plan::{Build, Planned, Setup};
pub use turns::run;

//! What a run has found.

mod series;

pub use series::{Better, Case, Metric, Reading, Series};

//! What a run has found, for the terminal: medians, spread, ratios, verdicts.

mod block;
mod compare;
mod header;
mod measured;
mod scale;
mod table;
mod verdicts;

pub use compare::comparison;
pub use measured::report;
pub use scale::Scale;

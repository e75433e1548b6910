//! What a run has found, and where.

mod machine;
mod ratio;
mod record;
mod series;

pub use machine::{Commit, Load, Machine};
pub use ratio::Ratio;
pub use record::{Failure, Options, Record};
pub use series::{Better, Case, Metric, Reading, Series};

#[cfg(test)]
pub(crate) mod tests {
    //! Makers of results, for the tests of those who use them.

    pub(crate) use super::record::tests::record;
    pub(crate) use super::series::tests::{case, series};
}

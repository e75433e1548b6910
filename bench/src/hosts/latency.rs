//! How long exchanges took: quantiles, and enough of them for a plot.

use std::time::Duration;

use anyhow::{Context as _, Result};
use hdrhistogram::Histogram;

use crate::results::{Metric, Reading};

/// Longer ones count as this long.
const LONGEST: Duration = Duration::from_secs(10);
/// 0.1 % of each value.
const DIGITS: u8 = 3;

/// What a reader asks for, and then the distribution.
const QUANTILES: &[(Metric, f64)] = &[
    (Metric::lower("p50", "us"), 0.5),
    (Metric::lower("p99", "us"), 0.99),
    (Metric::lower("p99.9", "us"), 0.999),
    (Metric::lower("q0.01", "us"), 0.01),
    (Metric::lower("q0.10", "us"), 0.1),
    (Metric::lower("q0.25", "us"), 0.25),
    (Metric::lower("q0.50", "us"), 0.5),
    (Metric::lower("q0.75", "us"), 0.75),
    (Metric::lower("q0.90", "us"), 0.9),
    (Metric::lower("q0.95", "us"), 0.95),
    (Metric::lower("q0.99", "us"), 0.99),
    (Metric::lower("q0.995", "us"), 0.995),
    (Metric::lower("q0.999", "us"), 0.999),
    (Metric::lower("q0.9999", "us"), 0.9999),
];

/// The times of many exchanges.
pub struct Latencies(Histogram<u64>);

impl Latencies {
    /// None yet.
    pub fn new() -> Result<Self> {
        let longest = LONGEST.as_nanos() as u64;
        Histogram::new_with_max(longest, DIGITS).map(Self).context("making a histogram")
    }

    /// Adds one.
    pub fn record(&mut self, time: Duration) {
        self.0.saturating_record(time.as_nanos() as u64);
    }

    /// Adds those of another thread.
    pub fn add(&mut self, other: &Self) -> Result<()> {
        self.0.add(&other.0).context("adding histograms")
    }

    /// How many there are.
    pub fn count(&self) -> u64 {
        self.0.len()
    }

    /// The quantiles, in microseconds.
    pub fn readings(&self) -> impl Iterator<Item = Reading> {
        QUANTILES.iter().map(|(metric, quantile)| {
            metric.reads(self.0.value_at_quantile(*quantile) as f64 / 1e3)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_of_all_threads_and_in_microseconds() {
        let (mut all, mut other) = (Latencies::new().unwrap(), Latencies::new().unwrap());
        (1..=990).for_each(|_| all.record(Duration::from_micros(20)));
        (1..=10).for_each(|_| other.record(Duration::from_millis(3)));
        all.add(&other).unwrap();
        let read = |name: &str| {
            let found = all.readings().find(|reading| reading.metric.name == name);
            found.map(|reading| reading.value.round())
        };
        assert_eq!(all.count(), 1000);
        assert_eq!(read("p50"), Some(20.0));
        assert_eq!(read("p99"), Some(20.0));
        assert_eq!(read("p99.9"), read("q0.999"));
        assert!(read("p99.9").is_some_and(|value| (2997.0..=3003.0).contains(&value)));
    }
}

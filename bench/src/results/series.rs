//! What was measured: series of samples, each of one quantity on one data plane.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What distinguishes one measurement of a scenario from its others: frame
/// length, direction, hook, number of entries, …
pub type Case = BTreeMap<String, String>;

/// Which way is an improvement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Better {
    /// Rates.
    Higher,
    /// Times, memory, losses.
    Lower,
}

/// A quantity, and what it is measured in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metric {
    /// Its name within the scenario: `rate`, `p99`, `lost`, …
    pub name: &'static str,
    /// `1/s`, `bit/s`, `us`, `s`, `ns`, `MiB`, `1`.
    pub unit: &'static str,
    /// Which way is an improvement.
    pub better: Better,
}

impl Metric {
    /// A metric of which more is better.
    pub const fn higher(name: &'static str, unit: &'static str) -> Self {
        Self { name, unit, better: Better::Higher }
    }

    /// A metric of which less is better.
    pub const fn lower(name: &'static str, unit: &'static str) -> Self {
        Self { name, unit, better: Better::Lower }
    }
}

/// One value of one metric.
#[derive(Clone, Copy, Debug)]
pub struct Reading {
    /// What was measured.
    pub metric: Metric,
    /// In the metric's unit.
    pub value: f64,
}

impl Metric {
    /// A reading of this metric.
    pub const fn reads(self, value: f64) -> Reading {
        Reading { metric: self, value }
    }
}

/// Every sample of one metric, in one case of a scenario, on one data plane.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Series {
    /// The scenario: `rate`, `scale`, `tcp-bulk`, …
    pub scenario: String,
    /// Which of the scenario's cases.
    pub case: Case,
    /// The data plane.
    pub plane: String,
    /// [`Metric::name`].
    pub metric: String,
    /// [`Metric::unit`].
    pub unit: String,
    /// [`Metric::better`].
    pub better: Better,
    /// In the order they were taken.
    pub samples: Vec<f64>,
}

impl Series {
    /// The median; 0 of no samples.
    pub fn median(&self) -> f64 {
        let mut sorted = self.samples.clone();
        sorted.sort_by(f64::total_cmp);
        let middle = sorted.len() / 2;
        match (sorted.get(middle), sorted.len() % 2) {
            (Some(sample), 1) => *sample,
            (Some(sample), _) => (sample + sorted[middle - 1]) / 2.0,
            (None, _) => 0.0,
        }
    }

    /// The lowest and the highest sample; zeroes of none.
    pub fn spread(&self) -> (f64, f64) {
        let low = self.samples.iter().copied().min_by(f64::total_cmp);
        let high = self.samples.iter().copied().max_by(f64::total_cmp);
        (low.unwrap_or_default(), high.unwrap_or_default())
    }
}

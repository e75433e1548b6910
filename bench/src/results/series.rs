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
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
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
    /// Whether every sample is zero.
    pub fn is_zero(&self) -> bool {
        self.samples.iter().all(|sample| *sample == 0.0)
    }

    /// The same metric in the same case on another plane.
    pub fn on<'a>(&self, plane: &str, all: &'a [Series]) -> Option<&'a Series> {
        all.iter().find(|other| other.plane == plane && self.is_beside(other))
    }

    /// Whether the two differ in their plane at most.
    pub fn is_beside(&self, other: &Series) -> bool {
        self.scenario == other.scenario && self.metric == other.metric && self.case == other.case
    }

    /// Which quantile of a distribution this is, of those that are there to be
    /// drawn: 0.1 of `q0.10`.
    pub fn quantile(&self) -> Option<f64> {
        self.metric.strip_prefix('q')?.parse().ok()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Rates of a plane at 64 bytes.
    pub(crate) fn series(plane: &str, samples: &[f64]) -> Series {
        Series {
            scenario: "rate".to_owned(),
            case: case(&[("frame", "64")]),
            plane: plane.to_owned(),
            metric: "rate".to_owned(),
            unit: "1/s".to_owned(),
            better: Better::Higher,
            samples: samples.to_vec(),
        }
    }

    pub(crate) fn case(keys: &[(&str, &str)]) -> Case {
        keys.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn medians_and_spreads() {
        assert_eq!(series("a", &[40.0, 50.0, 30.0]).median(), 40.0);
        assert_eq!(series("a", &[40.0, 10.0, 30.0, 20.0]).median(), 25.0);
        assert_eq!(series("a", &[]).median(), 0.0);
        assert_eq!(series("a", &[40.0, 50.0, 30.0]).spread(), (30.0, 50.0));
        assert_eq!(series("a", &[]).spread(), (0.0, 0.0));
    }

    #[test]
    fn another_plane_is_looked_up_in_the_same_case() {
        let elsewhere = Series { case: case(&[("frame", "128")]), ..series("kernel", &[1.0]) };
        let all = [series("overlay", &[3.0]), elsewhere, series("kernel", &[2.0])];
        assert_eq!(all[0].on("kernel", &all).unwrap().samples, [2.0]);
        assert_eq!(all[0].on("ovs", &all), None);
    }

    #[test]
    fn quantiles_by_name() {
        let named = |metric: &str| Series { metric: metric.to_owned(), ..series("a", &[]) };
        assert_eq!(named("q0.999").quantile(), Some(0.999));
        assert_eq!(named("p99").quantile(), None);
        assert_eq!(named("rate").quantile(), None);
    }
}

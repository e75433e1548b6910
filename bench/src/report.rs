//! Medians, spread and ratios; as a table and as JSON.

use std::fmt;

use serde_json::{Value, json};

use crate::chain::Sample;
use crate::plane::{Direction, Plane};

/// A plane's samples.
#[derive(Clone, Debug)]
pub struct Row {
    /// What was measured.
    pub plane: Plane,
    /// Frames a second, ascending.
    rates: Vec<f64>,
    lost: f64,
}

impl Row {
    /// A row of at least one sample.
    pub fn new(plane: Plane, samples: Vec<Sample>) -> Self {
        let mut rates: Vec<_> = samples.iter().map(Sample::rate).collect();
        rates.sort_by(f64::total_cmp);
        let sent: u64 = samples.iter().map(|sample| sample.sent).sum();
        let received: u64 = samples.iter().map(|sample| sample.received).sum();
        let lost = 1.0 - received as f64 / sent.max(1) as f64;
        Self { plane, rates, lost }
    }

    /// The median rate, frames a second.
    pub fn median(&self) -> f64 {
        let middle = self.rates.len() / 2;
        match (self.rates.get(middle), self.rates.len() % 2) {
            (Some(rate), 1) => *rate,
            (Some(rate), _) => (rate + self.rates[middle - 1]) / 2.0,
            (None, _) => 0.0,
        }
    }

    /// The lowest and the highest rate.
    pub fn spread(&self) -> (f64, f64) {
        let ends = (self.rates.first(), self.rates.last());
        (ends.0.copied().unwrap_or_default(), ends.1.copied().unwrap_or_default())
    }
}

/// What one run has found.
#[derive(Clone, Debug)]
pub struct Report {
    rows: Vec<Row>,
}

impl Report {
    /// A report of these rows.
    pub fn new(rows: Vec<Row>) -> Self {
        Self { rows }
    }

    /// The median rate of a plane.
    pub fn rate(&self, plane: Plane) -> Option<f64> {
        self.rows.iter().find(|row| row.plane == plane).map(Row::median)
    }

    /// This project's XDP rate over the kernel's.
    pub fn times_kernel(&self, direction: Direction) -> Option<f64> {
        Some(self.rate(Plane::OverlayXdp(direction))? / self.rate(Plane::Kernel(direction))?)
    }

    /// The rate over the untouched redirect's, and over the kernel's in the same
    /// direction.
    fn ratios(&self, row: &Row) -> (Option<f64>, Option<f64>) {
        let redirect = self.rate(Plane::Redirect).map(|limit| row.median() / limit);
        let kernel = row.plane.direction().and_then(|d| self.rate(Plane::Kernel(d)));
        (redirect, kernel.map(|kernel| row.median() / kernel))
    }

    /// A list of flat objects, rates in frames a second.
    pub fn json(&self) -> Value {
        let rows = self.rows.iter().map(|row| {
            let (redirect, kernel) = self.ratios(row);
            let (low, high) = row.spread();
            json!({
                "plane": row.plane.name(),
                "rate": row.median(),
                "rate_min": low,
                "rate_max": high,
                "samples": row.rates.len(),
                "lost": row.lost,
                "of_redirect": redirect,
                "times_kernel": kernel,
            })
        });
        rows.collect()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:38} {:>6} {:>13} {:>9} {:>7} {:>12} {:>9}",
            "data plane, frames of 64 bytes",
            "Mpps",
            "spread",
            "ns/frame",
            "lost",
            "of redirect",
            "× kernel"
        )?;
        for row in &self.rows {
            let (low, high) = row.spread();
            let (redirect, kernel) = self.ratios(row);
            let ratio =
                |value: Option<f64>| value.map_or("–".into(), |value| format!("{value:.2}"));
            writeln!(
                f,
                "{:38} {:>6.2} {:>13} {:>9.0} {:>7} {:>12} {:>9}",
                row.plane.name(),
                row.median() / 1e6,
                format!("{:.2}–{:.2}", low / 1e6, high / 1e6),
                1e9 / row.median(),
                format!("{:.1} %", row.lost * 100.0),
                ratio(redirect),
                ratio(kernel),
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn row(plane: Plane, received: &[u64]) -> Row {
        let time = Duration::from_secs(1);
        let samples = received.iter().map(|n| Sample { sent: 100, received: *n, time });
        Row::new(plane, samples.collect())
    }

    #[test]
    fn median_spread_and_ratios() {
        let report = Report::new(vec![
            row(Plane::Redirect, &[40, 50, 30]),
            row(Plane::OverlayXdp(Direction::Encap), &[30, 20]),
            row(Plane::Kernel(Direction::Encap), &[5]),
        ]);
        assert_eq!(report.rate(Plane::Redirect), Some(40.0));
        assert_eq!(report.rate(Plane::OverlayXdp(Direction::Encap)), Some(25.0));
        assert_eq!(report.times_kernel(Direction::Encap), Some(5.0));
        assert_eq!(report.times_kernel(Direction::Decap), None);
        assert_eq!(report.rows[0].spread(), (30.0, 50.0));
        let json = report.json();
        assert_eq!(json[0]["of_redirect"], 1.0);
        assert_eq!(json[1]["times_kernel"], 5.0);
    }
}

//! Axes: where a value is, and what is written beside it.

use std::ops::Range;

/// An axis of a plot.
#[derive(Clone, Debug, PartialEq)]
pub struct Axis {
    /// What it is of, with its unit.
    pub label: String,
    /// The positions it spans.
    pub range: Range<f64>,
    /// Positions that are marked, and how.
    pub ticks: Vec<(f64, String)>,
}

impl Axis {
    /// Names side by side, at positions 0, 1, 2, …
    pub fn of_names(label: impl Into<String>, names: &[String]) -> Self {
        let ticks = names.iter().enumerate().map(|(index, name)| (index as f64, name.clone()));
        let range = -0.4..names.len() as f64 - 0.6;
        Self { label: label.into(), range, ticks: ticks.collect() }
    }

    /// From zero to a little above the largest value; positions are values.
    pub fn from_zero(label: impl Into<String>, largest: f64) -> Self {
        let step = round_step(largest.max(f64::MIN_POSITIVE) / 5.0);
        let count = (largest / step).ceil().max(1.0) as usize;
        let places = (-step.log10().floor()).clamp(0.0, 9.0) as usize;
        let tick = |index: usize| {
            let at = index as f64 * step;
            (at, format!("{at:.places$}"))
        };
        let range = 0.0..count as f64 * step * 1.04;
        Self { label: label.into(), range, ticks: (0..=count).map(tick).collect() }
    }

    /// Sizes that are far apart, each marked; positions are [`log`]s.
    pub fn of_sizes(label: impl Into<String>, sizes: &[f64]) -> Self {
        let ends = |(low, high): (f64, f64), size: &f64| (low.min(*size), high.max(*size));
        let (low, high) = sizes.iter().fold((f64::MAX, f64::MIN_POSITIVE), ends);
        let (low, high) = (log(low), log(high));
        let margin = (high - low).max(1.0) * 0.06;
        let ticks = sizes.iter().map(|size| (log(*size), short(*size)));
        Self { label: label.into(), range: low - margin..high + margin, ticks: ticks.collect() }
    }

    /// Times from the shortest to the longest, marked at 1, 2, 5, 10, …; positions
    /// are [`log`]s.
    pub fn of_times(label: impl Into<String>, values: Range<f64>) -> Self {
        let powers = values.start.log10().floor() as i32..=values.end.log10().ceil() as i32;
        let marks = powers.flat_map(|power| [1.0, 2.0, 5.0].map(|n| n * 10f64.powi(power)));
        let marks: Vec<f64> = marks.collect();
        let first = marks.iter().rposition(|mark| *mark <= values.start).unwrap_or(0);
        let last = marks.iter().position(|mark| *mark >= values.end).unwrap_or(marks.len() - 1);
        let ticks = marks[first..=last].iter().map(|mark| (log(*mark), mark.to_string()));
        let range = log(marks[first])..log(marks[last]) + 0.01;
        Self { label: label.into(), range, ticks: ticks.collect() }
    }

    /// Quantiles, with ever more room for the last ones; positions are those of
    /// [`quantile`].
    pub fn of_quantiles(label: impl Into<String>) -> Self {
        let marked =
            [(0.5, "50 %"), (0.9, "90 %"), (0.99, "99 %"), (0.999, "99.9 %"), (0.9999, "99.99 %")];
        let ticks = marked.map(|(q, text)| (quantile(q), text.to_owned()));
        Self { label: label.into(), range: -0.1..quantile(0.9999) + 0.2, ticks: ticks.to_vec() }
    }
}

/// Where a value is on an axis of sizes or times.
pub fn log(value: f64) -> f64 {
    value.log10()
}

/// Where a quantile is: one step further for each nine.
pub fn quantile(quantile: f64) -> f64 {
    -(1.0 - quantile).log10()
}

/// The next of 1, 2, 5, 10, … times a power of ten.
fn round_step(step: f64) -> f64 {
    let power = 10f64.powf(step.log10().floor());
    let multiple = [1.0, 2.0, 5.0].into_iter().find(|multiple| multiple * power >= step * 0.999);
    multiple.unwrap_or(10.0) * power
}

/// 1, 4096, 10 k, 1 M.
fn short(size: f64) -> String {
    let prefixes = [(1e6, "M"), (1e3, "k")];
    match prefixes.into_iter().find(|(factor, _)| size >= *factor && size % factor == 0.0) {
        Some((factor, prefix)) => format!("{} {prefix}", size / factor),
        None => size.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(axis: &Axis) -> Vec<&str> {
        axis.ticks.iter().map(|(_, text)| text.as_str()).collect()
    }

    #[test]
    fn ticks_are_round_and_enclose_the_values() {
        let axis = Axis::from_zero("", 4.05);
        assert_eq!(texts(&axis), ["0", "1", "2", "3", "4", "5"]);
        assert!(axis.range.end >= 5.0);
        assert_eq!(texts(&Axis::from_zero("", 0.81)), ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]);
        assert_eq!(texts(&Axis::from_zero("", 0.0)).len(), 2);
    }

    #[test]
    fn sizes_and_times() {
        let axis = Axis::of_sizes("", &[1.0, 4096.0, 1e4, 1e6]);
        assert_eq!(texts(&axis), ["1", "4096", "10 k", "1 M"]);
        assert!(axis.range.start < 0.0 && axis.range.end > 6.0);
        assert_eq!(texts(&Axis::of_times("", 23.0..170.0)), ["20", "50", "100", "200"]);
    }

    #[test]
    fn each_nine_is_one_step() {
        assert!((quantile(0.999) - quantile(0.99) - 1.0).abs() < 1e-9);
        assert_eq!(quantile(0.0), 0.0);
    }
}

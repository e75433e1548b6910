//! Units with the prefix that suits the figures.

/// A unit, and by how much figures are divided to be in it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scale<'a> {
    /// The unit's symbol; the metric's own where it needs no prefix.
    pub symbol: &'a str,
    divisor: f64,
}

/// For each unit of a metric: what it is shown in from which value on, the
/// highest first.
const SCALES: &[(&str, &[(f64, &str)])] = &[
    ("1/s", &[(1e6, "M/s"), (1e3, "k/s"), (1.0, "/s")]),
    ("bit/s", &[(1e9, "Gbit/s"), (1e6, "Mbit/s"), (1e3, "kbit/s"), (1.0, "bit/s")]),
    ("s", &[(1.0, "s"), (1e-3, "ms"), (1e-6, "µs")]),
    ("us", &[(1e3, "ms"), (1.0, "µs")]),
    ("1", &[(1e-2, "%")]),
];

impl<'a> Scale<'a> {
    /// The scale for figures of a metric's unit, of which this is the largest.
    pub fn fitting(unit: &'a str, largest: f64) -> Self {
        let plain = Self { symbol: unit, divisor: 1.0 };
        let Some((_, steps)) = SCALES.iter().find(|(known, _)| *known == unit) else {
            return plain;
        };
        let step = steps.iter().find(|(from, _)| largest >= *from).or(steps.last());
        step.map_or(plain, |(divisor, symbol)| Self { symbol, divisor: *divisor })
    }

    /// A value in this scale, as a number.
    pub fn of(self, value: f64) -> f64 {
        value / self.divisor
    }

    /// A value in this scale, with about three digits.
    pub fn text(self, value: f64) -> String {
        digits(self.of(value))
    }
}

/// About three digits of a number, of which the fraction is what may be left out.
pub fn digits(value: f64) -> String {
    let places = match value.abs() {
        0.0 => 0,
        size if size >= 100.0 => 0,
        size if size >= 10.0 => 1,
        size if size >= 0.1 => 2,
        size if size >= 0.01 => 3,
        _ => 4,
    };
    format!("{value:.places$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_shown_with_the_prefix_of_the_largest() {
        let text = |unit, largest, value| {
            let scale = Scale::fitting(unit, largest);
            format!("{} {}", scale.text(value), scale.symbol)
        };
        assert_eq!(text("1/s", 4_051_234.0, 4_051_234.0), "4.05 M/s");
        assert_eq!(text("1/s", 4_051_234.0, 812_345.0), "0.81 M/s");
        assert_eq!(text("bit/s", 17.5e9, 17.5e9), "17.5 Gbit/s");
        assert_eq!(text("us", 38.25, 38.25), "38.2 µs");
        assert_eq!(text("s", 0.0123, 0.0123), "12.3 ms");
        assert_eq!(text("1", 0.0123, 0.0123), "1.23 %");
        assert_eq!(text("MiB", 181.4, 181.4), "181 MiB");
        assert_eq!(text("frames", 3.0, 0.0), "0 frames");
    }
}

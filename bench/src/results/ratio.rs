//! How much one series is of another.

use super::Series;

/// A ratio with its spread.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ratio {
    /// The one to go by.
    pub median: f64,
    /// The lowest.
    pub low: f64,
    /// The highest.
    pub high: f64,
}

impl Ratio {
    /// Of series that were measured in turn: round by round, so that a round in
    /// which the machine was slow for both does not widen the spread. `None`
    /// where the rounds do not match or there is nothing to divide by.
    pub fn by_round(over: &Series, under: &Series) -> Option<Self> {
        let comparable = over.samples.len() == under.samples.len() && !over.samples.is_empty();
        if !comparable || under.samples.contains(&0.0) {
            return None;
        }
        let pairs = over.samples.iter().zip(&under.samples);
        let rounds = Series { samples: pairs.map(|(a, b)| a / b).collect(), ..over.clone() };
        Some(Self::of(&rounds))
    }

    /// The median and spread of a series of its own.
    pub fn of(series: &Series) -> Self {
        let (low, high) = series.spread();
        Self { median: series.median(), low, high }
    }

    /// Whether the two have no value in common.
    pub fn is_apart_from(self, other: Self) -> bool {
        self.low > other.high || self.high < other.low
    }
}

#[cfg(test)]
mod tests {
    use super::super::series::tests::series;
    use super::*;

    #[test]
    fn a_slow_round_of_both_does_not_widen_the_spread() {
        let (ours, limit) = (series("a", &[8.0, 4.0, 8.0]), series("b", &[10.0, 5.0, 10.0]));
        let ratio = Ratio::by_round(&ours, &limit).unwrap();
        assert_eq!(ratio, Ratio { median: 0.8, low: 0.8, high: 0.8 });
    }

    #[test]
    fn there_is_no_ratio_to_nothing() {
        let (some, none, zero) =
            (series("a", &[1.0, 2.0]), series("b", &[]), series("c", &[1.0, 0.0]));
        for under in [&none, &zero] {
            assert_eq!(Ratio::by_round(&some, under), None);
        }
        assert_eq!(Ratio::by_round(&none, &none), None);
        assert_eq!(Ratio::by_round(&some, &series("d", &[1.0])), None, "rounds do not match");
    }

    #[test]
    fn ratios_are_apart_where_they_have_no_value_in_common() {
        let high = Ratio { median: 0.8, low: 0.7, high: 0.9 };
        let low = Ratio { median: 0.4, low: 0.3, high: 0.5 };
        assert!(high.is_apart_from(low) && low.is_apart_from(high));
        let wide = Ratio { high: 0.7, ..low };
        assert!(!high.is_apart_from(wide) && !wide.is_apart_from(high));
    }
}

//! What this project asks of itself, and whether a run meets it.

mod judge;
mod list;

use crate::results::Ratio;

pub use judge::{Verdict, judge};

/// One demand on one quantity.
#[derive(Debug)]
pub struct Target {
    /// What is asked for, in words.
    pub what: &'static str,
    scenario: &'static str,
    /// Keys that a case must have; it may have others, and is then judged for
    /// each of them.
    case: Keys,
    plane: &'static str,
    metric: &'static str,
    against: Against,
    bound: Bound,
}

type Keys = &'static [(&'static str, &'static str)];

/// What the quantity is divided by.
#[derive(Debug)]
enum Against {
    /// Nothing: the bound is in the metric's unit.
    Nothing(&'static str),
    /// The same quantity on another plane.
    Plane(&'static str),
    /// The same quantity on the same plane in another case.
    Case(Keys),
}

/// The limit.
#[derive(Debug)]
enum Bound {
    AtLeast(f64),
    AtMost(f64),
    /// Zero, in every round.
    Never,
}

impl Target {
    fn is_met_by(&self, value: Ratio) -> bool {
        match self.bound {
            Bound::AtLeast(least) => value.median >= least,
            Bound::AtMost(most) => value.median <= most,
            Bound::Never => value.high == 0.0,
        }
    }

    /// The demand, in words: `≥ 3.8 × kernel`.
    pub fn demand(&self) -> String {
        let limit = match self.bound {
            Bound::AtLeast(least) => format!("≥ {least}"),
            Bound::AtMost(most) => format!("≤ {most}"),
            Bound::Never => "0".to_owned(),
        };
        match self.against {
            Against::Nothing(unit) => format!("{}: {limit} {unit}", self.metric),
            Against::Plane(plane) => format!("{}: {limit} × {plane}", self.metric),
            Against::Case(keys) => {
                let keys: Vec<_> =
                    keys.iter().map(|(key, value)| format!("{key}={value}")).collect();
                format!("{}: {limit} × {}", self.metric, keys.join(" "))
            }
        }
    }
}

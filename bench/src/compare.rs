//! One run beside an earlier one.
//!
//! Absolute figures do not repeat from run to run on a machine that is shared,
//! so beside the figures themselves their ratios to the untouched redirect and
//! to the kernel are compared, which were measured in turn with them.

use crate::results::{Ratio, Series};

/// From one run to the next.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Change {
    /// Now over then.
    pub factor: f64,
    /// Whether the two runs have no value in common.
    pub is_beyond_spread: bool,
}

impl Change {
    fn between(then: Ratio, now: Ratio) -> Option<Self> {
        let factor = now.median / then.median;
        factor.is_finite().then(|| Self { factor, is_beyond_spread: now.is_apart_from(then) })
    }
}

/// A series of this run beside the same of an earlier one.
#[derive(Clone, Copy, Debug)]
pub struct Compared {
    /// The earlier figure.
    pub then: Ratio,
    /// This run's.
    pub now: Ratio,
    /// Of the figure itself.
    pub change: Change,
    /// Of its ratio to the redirect, where both runs have one.
    pub to_redirect: Option<Change>,
    /// Of its ratio to the kernel, where both runs have one.
    pub to_kernel: Option<Change>,
}

impl Compared {
    /// The change to go by: of the ratio whose other side does least, so that it
    /// tells most of this machine's speed.
    pub fn decisive(&self) -> Change {
        self.to_redirect.or(self.to_kernel).unwrap_or(self.change)
    }
}

/// Finds a series of this run in an earlier one; `None` where it is not there,
/// or was zero.
pub fn compare(series: &Series, then: &[Series], now: &[Series]) -> Option<Compared> {
    let earlier = series.on(&series.plane, then)?;
    let ratio_change = |plane: &str| {
        let of = |series: &Series, all| Ratio::by_round(series, series.on(plane, all)?);
        Change::between(of(earlier, then)?, of(series, now)?)
    };
    let (then, now) = (Ratio::of(earlier), Ratio::of(series));
    Some(Compared {
        then,
        now,
        change: Change::between(then, now)?,
        to_redirect: ratio_change("redirect"),
        to_kernel: ratio_change("kernel"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::tests::series;

    #[test]
    fn ratios_are_compared_within_their_own_run() {
        let then = [series("kernel", &[1.0, 1.1]), series("overlay", &[4.0, 4.4])];
        let now = [series("kernel", &[2.0, 2.2]), series("overlay", &[8.0, 8.8])];
        let compared = compare(&now[1], &then, &now).unwrap();
        assert_eq!(compared.change, Change { factor: 2.0, is_beyond_spread: true });
        let kernel = Change { factor: 1.0, is_beyond_spread: false };
        assert_eq!(compared.to_kernel, Some(kernel));
        assert_eq!(compared.to_redirect, None);
        assert_eq!(compared.decisive(), kernel);
    }

    #[test]
    fn what_was_not_there_or_zero_is_not_compared() {
        let now = [series("overlay", &[8.0])];
        assert!(compare(&now[0], &[], &now).is_none());
        assert!(compare(&now[0], &[series("overlay", &[0.0])], &now).is_none());
    }
}

//! Whether a run meets the targets.

use super::list::TARGETS;
use super::{Against, Target};
use crate::results::{Case, Ratio, Series};

/// What became of a target in one case.
#[derive(Debug)]
pub struct Verdict {
    /// The target.
    pub target: &'static Target,
    /// What the case has beside the target's own keys.
    pub case: Case,
    /// What was measured; `None` where it, or what it is divided by, was not.
    pub value: Option<Ratio>,
}

impl Verdict {
    /// Whether the target is met; `None` where that was not measured.
    pub fn is_met(&self) -> Option<bool> {
        self.value.map(|value| self.target.is_met_by(value))
    }

    /// Whether some rounds meet the target.
    pub fn is_within_spread(&self) -> bool {
        self.value.is_some_and(|value| {
            [value.low, value.high]
                .into_iter()
                .any(|median| self.target.is_met_by(Ratio { median, ..value }))
        })
    }
}

/// Judges what a run has found by every target.
pub fn judge(found: &[Series]) -> Vec<Verdict> {
    TARGETS.iter().flat_map(|target| target.judge(found)).collect()
}

impl Target {
    /// A verdict for each case that has been measured, or one without a value.
    fn judge(&'static self, found: &[Series]) -> Vec<Verdict> {
        let of_case = |series: &Series| {
            let mut case = series.case.clone();
            case.retain(|key, _| self.case.iter().all(|(own, _)| own != key));
            Verdict { target: self, case, value: self.value(series, found) }
        };
        let verdicts: Vec<_> =
            found.iter().filter(|series| self.is_about(series)).map(of_case).collect();
        if verdicts.is_empty() {
            return vec![Verdict { target: self, case: Case::new(), value: None }];
        }
        verdicts
    }

    fn is_about(&self, series: &Series) -> bool {
        let has = |(key, value): &(&str, &str)| series.case.get(*key).is_some_and(|v| v == value);
        series.scenario == self.scenario
            && series.plane == self.plane
            && series.metric == self.metric
            && self.case.iter().all(has)
    }

    fn value(&self, series: &Series, found: &[Series]) -> Option<Ratio> {
        match self.against {
            Against::Nothing(_) => Some(Ratio::of(series)),
            Against::Plane(plane) => Ratio::by_round(series, series.on(plane, found)?),
            Against::Case(keys) => {
                let mut case = series.case.clone();
                case.extend(keys.iter().map(|(key, value)| ((*key).into(), (*value).into())));
                let other = Series { case, ..series.clone() };
                Ratio::by_round(series, other.on(&series.plane, found)?)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::list::{ENCAP_64, INSTALL};
    use super::*;
    use crate::results::tests::{case, series};

    /// Verdicts on what is named `what` and demands `demand`.
    fn verdicts(what: &str, demand: &str, found: &[Series]) -> Vec<Verdict> {
        let named = |v: &Verdict| v.target.what == what && v.target.demand() == demand;
        judge(found).into_iter().filter(named).collect()
    }

    fn of_case(keys: &[(&str, &str)], series: Series) -> Series {
        Series { case: case(keys), ..series }
    }

    #[test]
    fn nothing_measured_is_neither_met_nor_missed() {
        let verdicts = judge(&[]);
        assert_eq!(verdicts.len(), TARGETS.len());
        assert!(verdicts.iter().all(|verdict| verdict.is_met().is_none()));
    }

    #[test]
    fn a_rate_is_judged_by_the_planes_beside_it() {
        let found = [("redirect", 4.0), ("overlay-xdp", 3.0), ("kernel", 0.75)]
            .map(|(plane, rate)| of_case(ENCAP_64, series(plane, &[rate, rate])));
        let (what, other) = ("XDP encapsulation, 64 B", "XDP decapsulation, 64 B");
        assert_eq!(verdicts(what, "rate: ≥ 0.78 × redirect", &found)[0].is_met(), Some(false));
        assert_eq!(verdicts(what, "rate: ≥ 3.8 × kernel", &found)[0].is_met(), Some(true));
        assert_eq!(verdicts(other, "rate: ≥ 3.8 × kernel", &found)[0].is_met(), None);
    }

    #[test]
    fn a_miss_may_be_within_the_spread() {
        let found = [("redirect", [4.0, 4.0, 4.0]), ("overlay-xdp", [3.0, 3.1, 3.2])]
            .map(|(plane, rates)| of_case(ENCAP_64, series(plane, &rates)));
        let verdict = &verdicts("XDP encapsulation, 64 B", "rate: ≥ 0.78 × redirect", &found)[0];
        assert_eq!((verdict.is_met(), verdict.is_within_spread()), (Some(false), true));
    }

    #[test]
    fn a_case_is_compared_with_another_round_by_round() {
        let of = |entries, rates| Series {
            scenario: "scale-fdb".to_owned(),
            ..of_case(&[("direction", "encap"), ("entries", entries)], series("overlay-xdp", rates))
        };
        let found = [of("1", &[3.0, 1.5, 3.0]), of("1000000", &[2.4, 1.2, 2.4])];
        let verdicts =
            verdicts("FDB of 1 M entries, at random", "rate: ≥ 0.75 × entries=1", &found);
        assert_eq!(verdicts[0].case, case(&[("direction", "encap")]));
        let value = verdicts[0].value.unwrap();
        assert_eq!([value.low, value.high].map(|v| (v * 100.0).round()), [80.0, 80.0]);
    }

    #[test]
    fn one_lost_frame_in_any_round_is_too_many() {
        let of = |samples| Series {
            scenario: "steady".to_owned(),
            metric: "lost".to_owned(),
            ..series("overlay-tc", samples)
        };
        let judged = |series| {
            verdicts("tc at 80 % of its highest rate", "lost: 0 frames", &[series])[0].is_met()
        };
        assert_eq!(judged(of(&[0.0, 0.0, 0.0])), Some(true));
        assert_eq!(judged(of(&[0.0, 0.0, 1.0])), Some(false));
    }

    #[test]
    fn every_matching_case_is_judged() {
        let found: Vec<_> = ["1", "32"]
            .into_iter()
            .flat_map(|connections| {
                [("overlay", 2.0), ("kernel", 1.0)].map(|(plane, rate)| Series {
                    scenario: "tcp-rr".to_owned(),
                    metric: "transactions".to_owned(),
                    ..of_case(&[("connections", connections)], series(plane, &[rate]))
                })
            })
            .collect();
        let verdicts = verdicts("TCP request/response", "transactions: ≥ 1.25 × kernel", &found);
        assert_eq!(verdicts.len(), 2);
        assert!(verdicts.iter().all(|verdict| verdict.is_met() == Some(true)));
    }

    #[test]
    fn what_is_to_be_small_is_bounded_above() {
        let of = |plane, seconds| Series {
            scenario: "control".to_owned(),
            metric: "time".to_owned(),
            unit: "s".to_owned(),
            better: crate::results::Better::Lower,
            ..of_case(INSTALL, series(plane, &[seconds]))
        };
        let found = [of("overlay", 3.5), of("kernel", 40.0)];
        let met = |demand| verdicts("installing 1 M FDB entries", demand, &found)[0].is_met();
        assert_eq!(met("time: ≤ 0.1 × kernel"), Some(true));
        assert_eq!(met("time: ≤ 3 s"), Some(false));
    }
}

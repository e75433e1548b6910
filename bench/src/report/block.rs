//! One metric of one scenario, over all its cases and data planes.

use std::collections::BTreeSet;

use super::scale::Scale;
use crate::results::{Better, Case, Series};

/// Series that differ in case and plane only, as they were measured.
pub struct Block<'a> {
    /// At least one.
    pub series: Vec<&'a Series>,
}

impl<'a> Block<'a> {
    /// What was found, as blocks in the order of measurement. What is there to be
    /// drawn only is left out.
    pub fn all(found: &'a [Series]) -> Vec<Self> {
        let mut blocks: Vec<Self> = Vec::new();
        for series in found.iter().filter(|series| series.quantile().is_none()) {
            match blocks.iter_mut().find(|block| block.takes(series)) {
                Some(block) => block.add(series),
                None => blocks.push(Self { series: vec![series] }),
            }
        }
        blocks
    }

    fn takes(&self, series: &Series) -> bool {
        let first = self.series[0];
        first.scenario == series.scenario && first.metric == series.metric
    }

    /// Puts a series beside those of its case.
    fn add(&mut self, series: &'a Series) {
        let last = self.series.iter().rposition(|known| known.case == series.case);
        self.series.insert(last.map_or(self.series.len(), |last| last + 1), series);
    }

    /// `rate: lost`, or `rate` where that is the metric's name, too.
    pub fn title(&self) -> String {
        let Series { scenario, metric, .. } = self.series[0];
        if scenario == metric { scenario.clone() } else { format!("{scenario}: {metric}") }
    }

    /// Whether every sample is zero.
    pub fn is_zero(&self) -> bool {
        self.series.iter().all(|series| series.is_zero())
    }

    /// Whether some of its series go without saying: nothing lost, and the like.
    pub fn has_silent(&self) -> bool {
        self.series.iter().any(|series| is_silent(series))
    }

    /// The others.
    pub fn telling(&self) -> impl Iterator<Item = &'a Series> {
        self.series.iter().copied().filter(|series| !is_silent(series))
    }

    /// The keys of its cases, and those that are the same in all of them as
    /// `key=value`.
    pub fn keys(&self) -> (Vec<&'a str>, Vec<String>) {
        let keys: BTreeSet<&str> =
            self.series.iter().flat_map(|series| series.case.keys()).map(String::as_str).collect();
        let first = &self.series[0].case;
        let (same, varied): (Vec<&str>, Vec<&str>) = keys.into_iter().partition(|key| {
            self.series.iter().all(|series| series.case.get(*key) == first.get(*key))
        });
        (varied, same.iter().map(|key| format!("{key}={}", first[*key])).collect())
    }

    /// The scale in which all its figures are shown.
    pub fn scale(&self) -> Scale<'a> {
        let largest = self.series.iter().map(|series| series.median()).fold(0.0, f64::max);
        Scale::fitting(&self.series[0].unit, largest)
    }
}

/// Zero of what is to be low.
fn is_silent(series: &Series) -> bool {
    series.better == Better::Lower && series.is_zero()
}

/// The cells that say which case a row is of: empty where the row before is of
/// the same.
pub fn case_cells(keys: &[&str], case: &Case, before: Option<&Case>) -> Vec<String> {
    if before == Some(case) {
        return vec![String::new(); keys.len()];
    }
    keys.iter().map(|key| case.get(*key).cloned().unwrap_or_else(|| "–".to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::tests::{case, series};

    #[test]
    fn series_are_grouped_by_scenario_and_metric() {
        let lost = Series { metric: "lost".to_owned(), ..series("a", &[0.0]) };
        let drawn = Series { metric: "q0.5".to_owned(), ..series("a", &[1.0]) };
        let found = [series("a", &[1.0]), lost, series("b", &[2.0]), drawn];
        let blocks = Block::all(&found);
        let titles: Vec<_> = blocks.iter().map(|b| (b.title(), b.series.len())).collect();
        assert_eq!(titles, [("rate".to_owned(), 2), ("rate: lost".to_owned(), 1)]);
        assert!(!blocks[0].is_zero() && blocks[1].is_zero());
    }

    #[test]
    fn planes_of_a_case_stand_together() {
        let other = |plane| Series { case: case(&[("frame", "128")]), ..series(plane, &[1.0]) };
        let found = [series("a", &[1.0]), other("a"), series("b", &[2.0]), other("b")];
        let block = &Block::all(&found)[0];
        let rows: Vec<_> = block.series.iter().map(|s| (&*s.case["frame"], &*s.plane)).collect();
        assert_eq!(rows, [("64", "a"), ("64", "b"), ("128", "a"), ("128", "b")]);
    }

    #[test]
    fn a_zero_goes_without_saying_where_it_is_good() {
        let lost = |plane, lost| Series {
            metric: "lost".to_owned(),
            better: Better::Lower,
            ..series(plane, &[lost])
        };
        let found = [lost("a", 0.0), lost("b", 0.5), series("c", &[0.0])];
        let blocks = Block::all(&found);
        assert!(blocks[0].has_silent() && !blocks[1].has_silent());
        assert_eq!(blocks[0].telling().map(|s| &*s.plane).collect::<Vec<_>>(), ["b"]);
        assert_eq!(blocks[1].telling().count(), 1, "a rate of zero is news");
    }

    #[test]
    fn keys_that_do_not_vary_are_told_once() {
        let of = |frame| {
            let case = case(&[("direction", "encap"), ("frame", frame)]);
            Series { case, ..series("a", &[1.0]) }
        };
        let found = [of("64"), of("128")];
        let blocks = Block::all(&found);
        assert_eq!(blocks[0].keys(), (vec!["frame"], vec!["direction=encap".to_owned()]));
    }

    #[test]
    fn a_case_is_told_in_its_first_row() {
        let (one, other) = (case(&[("frame", "64")]), case(&[("frame", "128")]));
        assert_eq!(case_cells(&["frame", "x"], &one, None), ["64", "–"]);
        assert_eq!(case_cells(&["frame", "x"], &one, Some(&one)), ["", ""]);
        assert_eq!(case_cells(&["frame", "x"], &other, Some(&one)), ["128", "–"]);
    }
}

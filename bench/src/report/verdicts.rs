//! The targets, and whether a run meets them.

use super::scale::digits;
use super::table::{lines, table};
use crate::results::{Ratio, Series};
use crate::targets::judge;

/// The table of targets. Where one has been missed by less than the spread, it
/// says so: another run may well say otherwise.
pub fn verdicts(found: &[Series]) -> String {
    let headings = ["TARGET", "CASE", "DEMAND", ">MEASURED", ">SPREAD", ""];
    let mut rows = table(&headings.map(str::to_owned));
    for verdict in judge(found) {
        let case: Vec<_> =
            verdict.case.iter().map(|(key, value)| format!("{key}={value}")).collect();
        let spread = |value: Ratio| format!("{}–{}", digits(value.low), digits(value.high));
        let word = match verdict.is_met() {
            Some(true) => "met",
            Some(false) if verdict.is_within_spread() => "MISSED, within the spread",
            Some(false) => "MISSED",
            None => "not measured",
        };
        rows.add_row([
            verdict.target.what.to_owned(),
            case.join(" "),
            verdict.target.demand(),
            verdict.value.map_or_else(String::new, |value| digits(value.median)),
            verdict.value.map_or_else(String::new, spread),
            word.to_owned(),
        ]);
    }
    lines(&rows)
}

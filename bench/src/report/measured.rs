//! The report of one run.

use super::block::{Block, case_cells};
use super::header::header;
use super::scale::digits;
use super::table::{lines, table};
use super::verdicts::verdicts;
use crate::results::{Ratio, Record, Series};

/// The planes that others are compared with, and the heading of the ratio.
const REFERENCES: [(&str, &str); 2] = [("redirect", ">OF REDIRECT"), ("kernel", ">× KERNEL")];

/// A record, for the terminal.
pub fn report(record: &Record) -> String {
    let mut text = header(record);
    for block in Block::all(&record.series) {
        text.push('\n');
        text.push_str(&figures(&block, &record.series));
    }
    if !record.failures.is_empty() {
        text.push_str("\nNot measured\n");
        for failure in &record.failures {
            let error = failure.error.replace('\n', "\n    ");
            text.push_str(&format!("  {}: {error}\n", failure.title));
        }
    }
    text.push('\n');
    text.push_str(&verdicts(&record.series));
    text
}

/// A block's table.
fn figures(block: &Block<'_>, found: &[Series]) -> String {
    let (keys, same) = block.keys();
    let title = [vec![block.title()], same].concat().join("  ");
    if block.is_zero() {
        return format!("{title}: 0 everywhere\n");
    }
    let scale = block.scale();
    let ratio = |series: &Series, plane| Ratio::by_round(series, series.on(plane, found)?);
    let references: Vec<_> = REFERENCES
        .into_iter()
        .filter(|(plane, _)| block.series.iter().any(|series| series.plane == *plane))
        .collect();
    let mut headings: Vec<String> = keys.iter().map(|key| key.to_uppercase()).collect();
    headings.extend(["PLANE", ">MEDIAN", ">SPREAD"].map(str::to_owned));
    headings.extend(references.iter().map(|(_, heading)| (*heading).to_owned()));
    let mut rows = table(&headings);
    let mut before = None;
    for series in block.telling() {
        let mut cells = case_cells(&keys, &series.case, before);
        before = Some(&series.case);
        let (low, high) = series.spread();
        cells.push(series.plane.clone());
        cells.push(scale.text(series.median()));
        cells.push(format!("{}–{}", scale.text(low), scale.text(high)));
        let ratios = references.iter().map(|(plane, _)| ratio(series, plane));
        cells.extend(ratios.map(|ratio| ratio.map_or("–".to_owned(), |r| digits(r.median))));
        rows.add_row(cells);
    }
    let others = if block.has_silent() { " (0 where not listed)" } else { "" };
    format!("{title}, {}{others}\n{}", scale.symbol, lines(&rows))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::tests::{case, record, series};

    #[test]
    fn medians_spread_and_ratios_in_a_table() {
        let larger = Series {
            case: case(&[("frame", "128")]),
            ..series("overlay-xdp", &[2.5e6, 3.5e6, 3e6])
        };
        let found = [
            series("redirect", &[4e6, 4.2e6, 3.8e6]),
            series("overlay-xdp", &[3e6, 3.15e6, 3.04e6]),
            series("kernel", &[0.75e6, 0.75e6, 0.76e6]),
            larger,
        ];
        let text = figures(&Block::all(&found)[0], &found);
        let expected = "\
rate, M/s
FRAME  PLANE        MEDIAN     SPREAD  OF REDIRECT  × KERNEL
64     redirect       4.00  3.80–4.20         1.00      5.33
       overlay-xdp    3.04  3.00–3.15         0.75      4.00
       kernel         0.75  0.75–0.76         0.19      1.00
128    overlay-xdp    3.00  2.50–3.50            –         –
";
        assert_eq!(text, expected);
    }

    #[test]
    fn what_is_zero_everywhere_takes_one_line() {
        let lost = Series { metric: "lost".to_owned(), ..series("kernel", &[0.0, 0.0]) };
        let text = report(&record(vec![lost]));
        assert!(text.contains("\nrate: lost  frame=64: 0 everywhere\n"), "{text}");
    }

    #[test]
    fn failures_are_named() {
        let mut record = record(Vec::new());
        let (title, error) = ("control: install".to_owned(), "no\ndevice".to_owned());
        record.failures.push(crate::results::Failure { title, error });
        assert!(report(&record).contains("  control: install: no\n    device\n"));
    }
}

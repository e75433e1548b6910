//! Two runs side by side.

use super::block::{Block, case_cells};
use super::header::header;
use super::table::{lines, table};
use crate::compare::{Change, compare};
use crate::results::{Better, Record, Series};

/// What has changed from an earlier run to this one, for the terminal.
pub fn comparison(then: &Record, now: &Record) -> String {
    let mut text = format!("Then: {}\nNow: {}", header(then), header(now));
    text.push_str(
        "\n* beyond the spread: the two runs have no value in common. Changes of a ratio to the\n  \
         redirect or the kernel of the same run count for more than changes of the figure\n  \
         itself, which does not repeat from run to run.\n",
    );
    for block in Block::all(&now.series) {
        if let Some(changes) = changes(&block, then, now) {
            text.push('\n');
            text.push_str(&changes);
        }
    }
    text
}

/// A block's table; `None` where the earlier run has nothing of it.
fn changes(block: &Block<'_>, then: &Record, now: &Record) -> Option<String> {
    let (keys, same) = block.keys();
    let scale = block.scale();
    let mut headings: Vec<String> = keys.iter().map(|key| key.to_uppercase()).collect();
    let fixed = ["PLANE", ">THEN", ">NOW", ">CHANGE", ">TO REDIRECT", ">TO KERNEL", ""];
    headings.extend(fixed.map(str::to_owned));
    let mut rows = table(&headings);
    let mut before = None;
    for series in &block.series {
        let Some(compared) = compare(series, &then.series, &now.series) else { continue };
        let mut cells = case_cells(&keys, &series.case, before);
        before = Some(&series.case);
        cells.push(series.plane.clone());
        cells.push(scale.text(compared.then.median));
        cells.push(scale.text(compared.now.median));
        let all = [Some(compared.change), compared.to_redirect, compared.to_kernel];
        cells.extend(all.map(|change| change.map_or("–".to_owned(), percent)));
        cells.push(verdict(series, compared.decisive()).to_owned());
        rows.add_row(cells);
    }
    let title = [vec![block.title()], same].concat().join("  ");
    before.map(|_| format!("{title}, {}\n{}", scale.symbol, lines(&rows)))
}

fn percent(change: Change) -> String {
    let mark = if change.is_beyond_spread { "*" } else { " " };
    format!("{:+.1} %{mark}", (change.factor - 1.0) * 100.0)
}

/// Better or worse, where that is beyond the spread.
fn verdict(series: &Series, change: Change) -> &'static str {
    match (change.is_beyond_spread, (change.factor > 1.0) == (series.better == Better::Higher)) {
        (false, _) => "",
        (true, true) => "better",
        (true, false) => "worse",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::tests::{record, series};

    #[test]
    fn a_change_is_told_from_a_machine_that_has_changed() {
        // Everything is half as fast now, and ours has lost another fifth.
        let then = record(vec![
            series("redirect", &[4e6, 4.4e6]),
            series("overlay-xdp", &[3.2e6, 3.52e6]),
            series("overlay-tc", &[1.6e6, 1.76e6]),
        ]);
        let now = record(vec![
            series("redirect", &[2e6, 2.2e6]),
            series("overlay-xdp", &[1.28e6, 1.408e6]),
            series("overlay-tc", &[0.8e6, 0.88e6]),
        ]);
        let block = &Block::all(&now.series)[0];
        let expected = "\
rate  frame=64, M/s
PLANE        THEN   NOW    CHANGE  TO REDIRECT  TO KERNEL
redirect     4.20  2.10  -50.0 %*      +0.0 %           –
overlay-xdp  3.36  1.34  -60.0 %*     -20.0 %*          –  worse
overlay-tc   1.68  0.84  -50.0 %*      +0.0 %           –
";
        assert_eq!(changes(block, &then, &now).unwrap(), expected);
        assert_eq!(changes(block, &record(Vec::new()), &now), None);
    }

    #[test]
    fn less_of_what_is_bad_is_better() {
        let lost = Series { better: Better::Lower, ..series("kernel", &[1.0]) };
        let change = |factor| Change { factor, is_beyond_spread: true };
        assert_eq!(verdict(&lost, change(0.5)), "better");
        assert_eq!(verdict(&lost, change(1.5)), "worse");
    }
}

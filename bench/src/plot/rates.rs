//! Rates: by the size of frames, and by the size of tables.

use super::Scale;
use super::axis::{Axis, log};
use super::figure::{Figure, Line, Panel, Point};
use crate::results::Series;

/// The directions that have a panel each.
const DIRECTIONS: [(&str, &str); 3] =
    [("encap", "encapsulation"), ("decap", "decapsulation"), ("both", "both at once")];

/// The mix of sizes: the last name, connected with no other.
const MIX: &str = "imix";

/// Tables that grow: the scenario, the key of its case, the panel's title.
const TABLES: [(&str, &str, &str); 3] = [
    ("scale-fdb", "entries", "FDB entries"),
    ("scale-peers", "peers", "peers"),
    ("scale-segments", "segments", "segments"),
];

/// Frames a second by the length of frames.
pub fn by_frame(found: &[Series]) -> Figure {
    let panels = DIRECTIONS.into_iter().filter_map(|(direction, title)| {
        let of_panel =
            |series: &&Series| is_rate(series, "rate") && has(series, "direction", direction);
        let series: Vec<&Series> = found.iter().filter(of_panel).collect();
        let names = frames(&series);
        let (fixed, mixed): (Vec<&Series>, Vec<&Series>) =
            series.iter().copied().partition(|series| !has(series, "frame", MIX));
        let at = |series: &Series| {
            let frame = series.case.get("frame")?;
            Some(names.iter().position(|name| name == frame)? as f64)
        };
        let (y, scale) = rate_axis(&series)?;
        let lines = [lines(&fixed, scale, at), lines(&mixed, scale, at)].concat();
        let x = Axis::of_names("bytes of a frame", &names);
        Some(Panel { title: title.to_owned(), x, y, lines })
    });
    Figure { name: "rate-by-frame", title: "Rate by the size of frames", panels: panels.collect() }
}

/// Frames a second by the number of entries, peers and segments.
pub fn by_size(found: &[Series]) -> Figure {
    let panels = TABLES.into_iter().filter_map(|(scenario, key, title)| {
        let direction = |series: &&Series| {
            series.case.get("direction").is_none_or(|direction| direction == "encap")
        };
        let of_panel = |series: &&Series| is_rate(series, scenario) && direction(series);
        let series: Vec<&Series> = found.iter().filter(of_panel).collect();
        let at = |series: &Series| series.case.get(key)?.parse().ok();
        let mut sizes: Vec<f64> = series.iter().filter_map(|series| at(series)).collect();
        sizes.sort_by(f64::total_cmp);
        sizes.dedup();
        let (y, scale) = rate_axis(&series)?;
        let lines = lines(&series, scale, |series| at(series).map(log));
        let x = Axis::of_sizes(format!("{title}, visited at random"), &sizes);
        Some(Panel { title: title.to_owned(), x, y, lines })
    });
    let title = "Rate by the size of tables, encapsulation";
    Figure { name: "rate-by-table", title, panels: panels.collect() }
}

fn is_rate(series: &Series, scenario: &str) -> bool {
    series.scenario == scenario && series.metric == "rate"
}

fn has(series: &Series, key: &str, value: &str) -> bool {
    series.case.get(key).is_some_and(|known| known == value)
}

/// The frame sizes that occur, ascending, the mix last.
fn frames(series: &[&Series]) -> Vec<String> {
    let mut names: Vec<String> =
        series.iter().filter_map(|series| series.case.get("frame").cloned()).collect();
    names.sort_by_key(|name| name.parse::<u32>().unwrap_or(u32::MAX));
    names.dedup();
    names
}

/// An axis for all of these rates, and its scale; `None` where there are none.
fn rate_axis<'a>(series: &[&'a Series]) -> Option<(Axis, Scale<'a>)> {
    let largest = series.iter().map(|series| series.spread().1).reduce(f64::max)?;
    let scale = Scale::fitting(&series[0].unit, largest);
    Some((Axis::from_zero(format!("frames, {}", scale.symbol), scale.of(largest)), scale))
}

/// A line for each plane, in the order of measurement.
fn lines(series: &[&Series], scale: Scale<'_>, at: impl Fn(&Series) -> Option<f64>) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    for series in series {
        let Some(x) = at(series) else { continue };
        let (low, high) = series.spread();
        let spread = (scale.of(low), scale.of(high));
        let point = Point { x, y: scale.of(series.median()), spread };
        match lines.iter_mut().find(|line| line.plane == series.plane) {
            Some(line) => line.points.push(point),
            None => lines.push(Line { plane: series.plane.clone(), points: vec![point] }),
        }
    }
    for line in &mut lines {
        line.points.sort_by(|a, b| a.x.total_cmp(&b.x));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::tests::{case, series};

    fn rate(plane: &str, frame: &str, rate: f64) -> Series {
        let case = case(&[("direction", "encap"), ("frame", frame)]);
        Series { case, ..series(plane, &[rate, rate * 1.1, rate * 0.9]) }
    }

    #[test]
    fn sizes_are_in_order_and_the_mix_stands_alone() {
        let found = [
            rate("kernel", "imix", 0.5e6),
            rate("kernel", "128", 0.7e6),
            rate("kernel", "64", 0.8e6),
            rate("redirect", "1400", 4e6),
        ];
        let figure = by_frame(&found);
        assert_eq!(figure.panels.len(), 1, "nothing was decapsulated");
        let panel = &figure.panels[0];
        let names: Vec<_> = panel.x.ticks.iter().map(|(_, name)| name.as_str()).collect();
        assert_eq!(names, ["64", "128", "1400", "imix"]);
        let of_kernel: Vec<Vec<f64>> = panel
            .lines
            .iter()
            .filter(|line| line.plane == "kernel")
            .map(|line| line.points.iter().map(|point| point.x).collect())
            .collect();
        assert_eq!(of_kernel, [vec![0.0, 1.0], vec![3.0]]);
        assert_eq!(panel.lines[0].points[0].y, 0.8);
        assert_eq!(figure.planes(), ["kernel", "redirect"]);
    }

    #[test]
    fn tables_grow_to_the_right() {
        let of = |entries, rate| Series {
            scenario: "scale-fdb".to_owned(),
            case: case(&[("direction", "encap"), ("entries", entries)]),
            ..series("overlay-xdp", &[rate])
        };
        let figure = by_size(&[of("1000000", 2e6), of("1", 3e6)]);
        let points = &figure.panels[0].lines[0].points;
        assert_eq!(
            points.iter().map(|point| (point.x, point.y)).collect::<Vec<_>>(),
            [(0.0, 3.0), (6.0, 2.0)]
        );
    }

    #[test]
    fn nothing_measured_is_no_panel() {
        assert!(by_frame(&[]).panels.is_empty() && by_size(&[]).panels.is_empty());
    }
}

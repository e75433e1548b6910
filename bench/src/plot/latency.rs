//! The distribution of latencies: each plane's quantiles.

use super::axis::{Axis, log, quantile};
use super::figure::{Figure, Line, Panel, Point};
use crate::results::{Case, Series};

/// Scenarios that have a panel each, for the fewest connections, on any core.
const SCENARIOS: [(&str, &str); 2] =
    [("tcp-rr", "TCP request/response"), ("udp-rr", "UDP request/response")];

/// Time of an exchange by quantile.
pub fn by_quantile(found: &[Series]) -> Figure {
    let panels =
        SCENARIOS.into_iter().filter_map(|(scenario, title)| panel(found, scenario, title));
    let title = "Time of a request and its answer";
    Figure { name: "latency", title, panels: panels.collect() }
}

fn panel(found: &[Series], scenario: &str, title: &str) -> Option<Panel> {
    let quantiles = |series: &&Series| {
        let is_kept_to_one = series.case.get("cores").is_some_and(|cores| cores == "1");
        series.scenario == scenario
            && !is_kept_to_one
            && series.quantile().is_some()
            && series.median() > 0.0
    };
    let case = found.iter().filter(quantiles).map(|s| &s.case).min_by_key(|c| connections(c))?;
    let series: Vec<&Series> =
        found.iter().filter(quantiles).filter(|series| series.case == *case).collect();
    let shortest = series.iter().map(|series| series.spread().0).reduce(f64::min)?;
    let longest = series.iter().map(|series| series.spread().1).reduce(f64::max)?;
    let title = match connections(case) {
        Some(1) => format!("{title}, 1 connection"),
        Some(count) => format!("{title}, {count} connections"),
        None => title.to_owned(),
    };
    Some(Panel {
        title,
        x: Axis::of_quantiles("of the exchanges took no longer"),
        y: Axis::of_times("time, µs", shortest..longest),
        lines: lines(&series),
    })
}

fn connections(case: &Case) -> Option<u32> {
    case.get("connections")?.parse().ok()
}

fn lines(series: &[&Series]) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    for series in series {
        let Some(x) = series.quantile().map(quantile) else { continue };
        let (low, high) = series.spread();
        let point = Point { x, y: log(series.median()), spread: (log(low), log(high)) };
        match lines.iter_mut().find(|line| line.plane == series.plane) {
            Some(line) => line.points.push(point),
            None => lines.push(Line { plane: series.plane.clone(), points: vec![point] }),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::tests::{case, series};

    fn drawn(plane: &str, connections: &str, quantile: &str, times: &[f64]) -> Series {
        Series {
            scenario: "tcp-rr".to_owned(),
            case: case(&[("connections", connections)]),
            metric: format!("q{quantile}"),
            ..series(plane, times)
        }
    }

    #[test]
    fn quantiles_of_the_fewest_connections_are_drawn() {
        let found = [
            drawn("overlay", "16", "0.50", &[500.0]),
            drawn("overlay", "1", "0.50", &[20.0, 10.0, 30.0]),
            drawn("overlay", "1", "0.99", &[200.0]),
            drawn("kernel", "1", "0.50", &[40.0]),
            series("kernel", &[1e9]),
        ];
        let figure = by_quantile(&found);
        assert_eq!(figure.panels.len(), 1, "nothing was sent over UDP");
        let panel = &figure.panels[0];
        assert_eq!(panel.title, "TCP request/response, 1 connection");
        assert_eq!(figure.planes(), ["overlay", "kernel"]);
        let median = panel.lines[0].points[0];
        assert_eq!((median.x, median.y), (quantile(0.5), log(20.0)));
        assert_eq!(median.spread, (log(10.0), log(30.0)));
        assert_eq!(panel.lines[0].points.len(), 2);
        let ticks: Vec<_> = panel.y.ticks.iter().map(|(_, text)| text.as_str()).collect();
        assert_eq!((ticks.first(), ticks.last()), (Some(&"10"), Some(&"200")));
    }
}

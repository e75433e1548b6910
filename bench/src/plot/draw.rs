//! Figures as SVG.

use std::ops::Range;

use super::axis::Axis;
use super::figure::{Figure, Line, Panel, Point};
use super::svg::{Anchor, Svg};

/// Width and height of a panel with its axes, in pixels.
const PANEL: (f64, f64) = (440.0, 360.0);
/// Height of the title and the legend.
const HEAD: f64 = 76.0;
/// What a panel's axes and title take on its left, right, upper and lower side.
const LEFT: f64 = 66.0;
const RIGHT: f64 = 18.0;
const UPPER: f64 = 34.0;
const LOWER: f64 = 56.0;
/// From one name in the legend to the next.
const NAME: f64 = 150.0;

const AXIS: &str = "#222222";
const GRID: &str = "#dddddd";

/// Colours that can be told apart by those who do not tell red from green (Okabe
/// and Ito); a plane has the same one in every figure.
fn colour(plane: &str) -> &'static str {
    match plane {
        "redirect" => "#777777",
        "overlay" | "overlay-xdp" => "#0072b2",
        "overlay-tc" => "#009e73",
        "overlay-user" => "#f0e442",
        "overlay-af-xdp" => "#e69f00",
        "overlay-xdp-uplink" => "#56b4e9",
        "kernel" => "#d55e00",
        "ovs" => "#cc79a7",
        _ => AXIS,
    }
}

/// Draws a figure.
pub fn svg(figure: &Figure) -> String {
    let planes = figure.planes();
    let across = (PANEL.0 * figure.panels.len() as f64).max(NAME * planes.len() as f64 + 16.0);
    let mut svg = Svg::new(across, HEAD + PANEL.1, figure.title);
    svg.text((16.0, 28.0), Anchor::Start, 18, figure.title);
    for (index, plane) in planes.iter().enumerate() {
        let left = 16.0 + index as f64 * NAME;
        svg.line(&[(left, 55.0), (left + 24.0, 55.0)], colour(plane), 2.0);
        svg.dot((left + 12.0, 55.0), 3.5, colour(plane));
        svg.text((left + 31.0, 60.0), Anchor::Start, 14, plane);
    }
    for (index, panel) in figure.panels.iter().enumerate() {
        Frame::new(index, panel).draw(&mut svg);
    }
    svg.finish()
}

/// A panel and where its axes are.
struct Frame<'a> {
    panel: &'a Panel,
    across: Range<f64>,
    /// From the lower to the upper end.
    upwards: Range<f64>,
}

impl<'a> Frame<'a> {
    fn new(index: usize, panel: &'a Panel) -> Self {
        let left = PANEL.0 * index as f64;
        let across = left + LEFT..left + PANEL.0 - RIGHT;
        Self { panel, across, upwards: HEAD + PANEL.1 - LOWER..HEAD + UPPER }
    }

    fn at(&self, x: f64, y: f64) -> (f64, f64) {
        let place = |value: f64, axis: &Axis, pixels: &Range<f64>| {
            let part = (value - axis.range.start) / (axis.range.end - axis.range.start);
            pixels.start + part * (pixels.end - pixels.start)
        };
        (place(x, &self.panel.x, &self.across), place(y, &self.panel.y, &self.upwards))
    }

    fn draw(&self, svg: &mut Svg) {
        let title = (self.across.start, self.upwards.end - 12.0);
        svg.text(title, Anchor::Start, 15, &self.panel.title);
        self.draw_y_axis(svg);
        self.draw_x_axis(svg);
        for line in &self.panel.lines {
            self.draw_line(svg, line);
        }
    }

    fn draw_y_axis(&self, svg: &mut Svg) {
        for (at, text) in &self.panel.y.ticks {
            let (_, y) = self.at(0.0, *at);
            svg.line(&[(self.across.start, y), (self.across.end, y)], GRID, 1.0);
            svg.text((self.across.start - 8.0, y + 4.5), Anchor::End, 13, text);
        }
        let middle = (self.upwards.start + self.upwards.end) / 2.0;
        svg.upright((self.across.start - LEFT + 24.0, middle), 13, &self.panel.y.label);
    }

    fn draw_x_axis(&self, svg: &mut Svg) {
        let base = self.upwards.start;
        svg.line(&[(self.across.start, base), (self.across.end, base)], AXIS, 1.0);
        for (at, text) in &self.panel.x.ticks {
            let (x, _) = self.at(*at, 0.0);
            svg.line(&[(x, base), (x, base + 5.0)], AXIS, 1.0);
            svg.text((x, base + 20.0), Anchor::Middle, 13, text);
        }
        let middle = (self.across.start + self.across.end) / 2.0;
        svg.text((middle, base + 42.0), Anchor::Middle, 13, &self.panel.x.label);
    }

    fn draw_line(&self, svg: &mut Svg, Line { plane, points }: &Line) {
        let colour = colour(plane);
        for Point { x, spread: (low, high), .. } in points {
            svg.line(&[self.at(*x, *low), self.at(*x, *high)], colour, 1.5);
        }
        let path: Vec<_> = points.iter().map(|point| self.at(point.x, point.y)).collect();
        svg.line(&path, colour, 2.0);
        for position in path {
            svg.dot(position, 3.5, colour);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn panel() -> Panel {
        let points = [(0.0, 1.0), (2.0, 4.0)].map(|(x, y)| Point { x, y, spread: (y, y) });
        Panel {
            title: "a < b".to_owned(),
            x: Axis { label: "x".to_owned(), range: 0.0..2.0, ticks: vec![(0.0, "0".to_owned())] },
            y: Axis { label: "y".to_owned(), range: 0.0..4.0, ticks: Vec::new() },
            lines: vec![Line { plane: "kernel".to_owned(), points: points.to_vec() }],
        }
    }

    #[test]
    fn values_are_placed_between_the_ends_of_the_axes() {
        let panel = panel();
        let frame = Frame::new(1, &panel);
        let lower_left = frame.at(0.0, 0.0);
        let upper_right = frame.at(2.0, 4.0);
        assert_eq!(lower_left, (PANEL.0 + LEFT, HEAD + PANEL.1 - LOWER));
        assert_eq!(upper_right, (PANEL.0 * 2.0 - RIGHT, HEAD + UPPER));
    }

    #[test]
    fn texts_are_escaped_and_planes_named() {
        let svg = svg(&Figure { name: "f", title: "F", panels: vec![panel()] });
        assert!(svg.contains(">a &lt; b</text>"));
        assert!(svg.contains(">kernel</text>"));
        assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"));
    }
}

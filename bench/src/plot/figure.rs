//! Figures, before they are drawn.

use super::axis::Axis;

/// Panels side by side that share their planes.
#[derive(Clone, Debug)]
pub struct Figure {
    /// The file's name, without its ending.
    pub name: &'static str,
    /// What all panels show.
    pub title: &'static str,
    /// At least one.
    pub panels: Vec<Panel>,
}

impl Figure {
    /// The planes that occur, in the order of their first lines.
    pub fn planes(&self) -> Vec<&str> {
        let mut planes = Vec::new();
        for line in self.panels.iter().flat_map(|panel| &panel.lines) {
            if !planes.contains(&line.plane.as_str()) {
                planes.push(line.plane.as_str());
            }
        }
        planes
    }
}

/// One plot.
#[derive(Clone, Debug)]
pub struct Panel {
    /// What tells it from the others of its figure.
    pub title: String,
    /// Across.
    pub x: Axis,
    /// Upwards.
    pub y: Axis,
    /// What is drawn.
    pub lines: Vec<Line>,
}

/// Points of one plane, connected.
#[derive(Clone, Debug)]
pub struct Line {
    /// The data plane.
    pub plane: String,
    /// From left to right.
    pub points: Vec<Point>,
}

/// A median with its spread, in positions on the axes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// Across.
    pub x: f64,
    /// The median.
    pub y: f64,
    /// The lowest and the highest.
    pub spread: (f64, f64),
}

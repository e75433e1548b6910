//! The few elements of SVG that plots are made of.

use std::fmt::Write;

/// Where a text begins, seen from its position.
#[derive(Clone, Copy, Debug)]
pub enum Anchor {
    /// At it, to the right.
    Start,
    /// Around it.
    Middle,
    /// To the left, up to it.
    End,
}

/// A drawing under construction; positions are in pixels from the upper left.
pub struct Svg {
    text: String,
}

impl Svg {
    /// An empty drawing on white, readable without knowing where it is shown.
    pub fn new(width: f64, height: f64, title: &str) -> Self {
        let mut text = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
             viewBox=\"0 0 {width} {height}\" font-family=\"sans-serif\" role=\"img\">\n"
        );
        let _ = writeln!(text, "<title>{}</title>", escaped(title));
        text.push_str("<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n");
        Self { text }
    }

    /// A line through these positions.
    pub fn line(&mut self, points: &[(f64, f64)], colour: &str, width: f64) {
        let points: Vec<_> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        let _ = writeln!(
            self.text,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"{width}\" \
             stroke-linejoin=\"round\"/>",
            points.join(" ")
        );
    }

    /// A filled circle.
    pub fn dot(&mut self, (x, y): (f64, f64), radius: f64, colour: &str) {
        let _ = writeln!(
            self.text,
            "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{radius}\" fill=\"{colour}\"/>"
        );
    }

    /// A text on this baseline.
    pub fn text(&mut self, (x, y): (f64, f64), anchor: Anchor, size: u32, text: &str) {
        self.write(&format!("x=\"{x:.1}\" y=\"{y:.1}\""), anchor, size, text);
    }

    /// A text that runs upwards, centred at this position.
    pub fn upright(&mut self, (x, y): (f64, f64), size: u32, text: &str) {
        let at = format!("transform=\"translate({x:.1} {y:.1}) rotate(-90)\"");
        self.write(&at, Anchor::Middle, size, text);
    }

    fn write(&mut self, at: &str, anchor: Anchor, size: u32, text: &str) {
        let anchor = match anchor {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        };
        let _ = writeln!(
            self.text,
            "<text {at} text-anchor=\"{anchor}\" font-size=\"{size}\" fill=\"#222222\">{}</text>",
            escaped(text)
        );
    }

    /// The file.
    pub fn finish(self) -> String {
        self.text + "</svg>\n"
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

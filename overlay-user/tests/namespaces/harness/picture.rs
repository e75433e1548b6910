//! Pictures for the book, from real runs: `cargo xtask pictures` names the folder.

use std::fmt::Write as _;
use std::path::PathBuf;

use anyhow::{Context as _, Result};

/// The folder that pictures are kept in; without it none are.
const FOLDER: &str = "OVERLAY_PICTURES";

/// Keeps a picture, where one is wanted.
pub fn keep(name: &str, picture: &[u8]) -> Result<()> {
    let Some(folder) = std::env::var_os(FOLDER) else { return Ok(()) };
    let path = PathBuf::from(folder).join(name);
    std::fs::write(&path, picture).with_context(|| format!("writing {}", path.display()))
}

/// Of a letter, in pixels.
const WIDE: usize = 9;
const HIGH: usize = 18;

/// A terminal's screen as an SVG.
pub fn svg(screen: &vt100::Screen) -> Result<String> {
    let (lines, columns) = screen.size();
    let (width, height) = (usize::from(columns) * WIDE + 16, usize::from(lines) * HIGH + 16);
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" \
         width=\"{width}\" height=\"{height}\">\n\
         <rect width=\"100%\" height=\"100%\" rx=\"6\" fill=\"#16191d\"/>\n\
         <g font-family=\"DejaVu Sans Mono, Menlo, Consolas, monospace\" font-size=\"15\" \
         fill=\"#d8dee4\">\n"
    );
    for line in 0..lines {
        let mut column = 0;
        while column < columns {
            column = run(screen, line, column, &mut text)?;
        }
    }
    Ok(text + "</g>\n</svg>\n")
}

/// Letters that look alike; returns the column behind them.
fn run(screen: &vt100::Screen, line: u16, from: u16, text: &mut String) -> Result<u16> {
    let style = |column| {
        let cell = screen.cell(line, column)?;
        Some((cell.fgcolor(), cell.bold(), cell.inverse()))
    };
    let of_run = style(from).context("a cell")?;
    let (mut letters, mut to) = (String::new(), from);
    while style(to) == Some(of_run) {
        let cell = screen.cell(line, to).context("a cell")?;
        letters += if cell.has_contents() { cell.contents() } else { " " };
        to += 1;
    }
    let (colour, bold, inverse) = of_run;
    let (x, y) = (8 + usize::from(from) * WIDE, 8 + usize::from(line) * HIGH);
    let width = usize::from(to - from) * WIDE;
    if inverse {
        writeln!(
            text,
            "<rect x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{HIGH}\" fill=\"#d8dee4\"/>"
        )?;
    }
    if !letters.trim().is_empty() {
        let fill = if inverse { "#16191d" } else { named(colour) };
        let weight = if bold { " font-weight=\"bold\"" } else { "" };
        // Other spaces are drawn together.
        let letters = letters.replace('&', "&amp;").replace('<', "&lt;").replace(' ', "\u{a0}");
        writeln!(
            text,
            "<text x=\"{x}\" y=\"{}\" textLength=\"{width}\" fill=\"{fill}\"{weight}>{letters}</text>",
            y + 14
        )?;
    }
    Ok(to)
}

fn named(colour: vt100::Color) -> &'static str {
    match colour {
        vt100::Color::Idx(1 | 9) => "#ff7b72",
        vt100::Color::Idx(2 | 10) => "#5ec98a",
        vt100::Color::Idx(8) => "#8b949e",
        _ => "#d8dee4",
    }
}

//! The model on a screen of any size. Without colour nothing is lost: what is wrong is marked
//! with an exclamation mark as well, and what is chosen is reversed.

use std::time::Duration;

use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style};

use super::model::{Model, Row, Sort, Sum, Tab};
use crate::show::units::{duration, scaled};

/// For so long a restart is told.
const RESTART_TOLD: Duration = Duration::from_secs(120);
/// A screen that is lower has a short head.
const SHORT: u16 = 14;

const HELP: [&str; 13] = [
    "Tab, left, right, 1 to 4   ports, segments, peers, drops",
    "s  S   sort by the next, the last column",
    "r      the other way round",
    "/      only rows that have a text (Enter keeps, Esc leaves it)",
    "c      counters, or rates",
    "p      pause",
    "+  -   longer, shorter between two samples",
    "up, down, Page, Home, End   scroll",
    "Ctrl-L draw anew     Ctrl-Z suspend     q quit",
    "",
    "A rate of - is not known yet: it takes two samples.",
    "! is a port that is down, or a peer that cannot be sent to.",
    "Any key goes on.",
];

/// How things are painted.
#[derive(Clone, Copy, Debug)]
pub struct Paint {
    /// Whether in colours.
    pub colour: bool,
}

impl Paint {
    fn of(self, colour: Color) -> Style {
        if self.colour { Style::new().fg(colour) } else { Style::new() }
    }

    fn bad(self) -> Style {
        self.of(Color::Red).add_modifier(Modifier::BOLD)
    }

    fn quiet(self) -> Style {
        self.of(Color::DarkGray)
    }
}

const BOLD: Style = Style::new().add_modifier(Modifier::BOLD);
const REVERSED: Style = Style::new().add_modifier(Modifier::REVERSED);

/// Draws everything. Returns how many rows there was room for.
pub fn draw(model: &Model, paint: Paint, frame: &mut Frame<'_>) -> usize {
    let area = frame.area();
    let mut lines = Lines { buffer: frame.buffer_mut(), area, next: area.y };
    head(model, paint, &mut lines);
    tabs(model, &mut lines);
    if model.help {
        HELP.iter().for_each(|line| lines.put(&[(line, Style::new())]));
        return 0;
    }
    let columns = Columns::of(model.choice.tab, area.width);
    columns.titles(model, &mut lines);
    let room = usize::from(lines.left().saturating_sub(1));
    for row in model.shown(model.scroll).take(room) {
        columns.row(model, row, paint, &mut lines);
    }
    if model.is_empty() && room > 0 {
        lines.put(&[(nothing(model), paint.quiet())]);
    }
    foot(model, room, paint, &mut lines);
    room
}

/// Lines from the top of the screen on; what does not fit is cut off.
struct Lines<'b> {
    buffer: &'b mut Buffer,
    area: Rect,
    next: u16,
}

impl Lines<'_> {
    fn left(&self) -> u16 {
        self.area.bottom().saturating_sub(self.next)
    }

    /// Puts texts one behind the other.
    fn put(&mut self, texts: &[(&str, Style)]) {
        if self.left() == 0 {
            return;
        }
        let mut x = self.area.x;
        for (text, style) in texts {
            let room = usize::from(self.area.right().saturating_sub(x));
            (x, _) = self.buffer.set_stringn(x, self.next, text, room, *style);
        }
        self.next += 1;
    }
}

fn head(model: &Model, paint: Paint, lines: &mut Lines<'_>) {
    let health = model.health();
    let every = format!("every {} s", model.delay.as_secs_f64());
    let paused = if model.choice.paused { "  PAUSED" } else { "" };
    let (state, style) = state(model, paint);
    let up = format!("  up {}  {every}", duration(health.uptime));
    lines.put(&[
        ("overlay top  ", BOLD),
        (&health.name, BOLD),
        ("  ", BOLD),
        (&state, style),
        (&up, Style::new()),
        (paused, REVERSED),
    ]);
    if lines.area.height >= SHORT {
        let [hosts, underlay] = model.sums();
        lines.put(&[("hosts     ", BOLD), (&flows(hosts), Style::new())]);
        lines.put(&[("underlay  ", BOLD), (&flows(underlay), Style::new())]);
        lines.put(&[
            ("drops     ", BOLD),
            (&format!("{:>6} pkt/s", known(model.drop_rate())), Style::new()),
            (&inventory(model), Style::new()),
        ]);
    }
    let notice = notice(model);
    if lines.area.height >= SHORT || notice.is_some() {
        lines.put(&[(&notice.unwrap_or_default(), paint.bad())]);
    }
}

fn state(model: &Model, paint: Paint) -> (String, Style) {
    let problems = model.health().problems.len();
    match (model.away(), problems) {
        (Some(_), _) => ("AWAY".to_owned(), paint.bad()),
        (None, 0) => ("healthy".to_owned(), paint.of(Color::Green)),
        (None, 1) => ("1 problem".to_owned(), paint.bad()),
        (None, _) => (format!("{problems} problems"), paint.bad()),
    }
}

/// What has to be known first.
fn notice(model: &Model) -> Option<String> {
    if let Some((since, why)) = model.away() {
        let since = duration(since.as_secs());
        return Some(format!("! {why}, for {since}; what is shown is from before"));
    }
    let restarted = model.restarted().filter(|ago| *ago < RESTART_TOLD);
    if let Some(ago) = restarted {
        return Some(format!("! the daemon was restarted {} ago", duration(ago.as_secs())));
    }
    let problems = &model.health().problems;
    let first = problems.first()?;
    let more = match problems.len() {
        1 => String::new(),
        len => format!(" (and {} more)", len - 1),
    };
    Some(format!("! {first}{more}"))
}

fn flows(sum: Sum) -> String {
    let of = |index: usize, factor: f64| known(sum.map(|sum| sum[index] * factor));
    format!(
        "in {:>6} pkt/s {:>6} bit/s   out {:>6} pkt/s {:>6} bit/s",
        of(0, 1.0),
        of(1, 8.0),
        of(2, 1.0),
        of(3, 8.0)
    )
}

fn inventory(model: &Model) -> String {
    let health = model.health();
    let ([ports, attached], [peers, ready]) = (health.ports, health.peers);
    format!("   ports {attached}/{ports}   peers {ready}/{peers}   fdb {}", health.fdb)
}

fn known(rate: Option<f64>) -> String {
    rate.map_or_else(|| "-".to_owned(), scaled)
}

fn tabs(model: &Model, lines: &mut Lines<'_>) {
    let titles = Tab::ALL.map(|tab| {
        let count = model.count(tab).map(|count| format!(" {count}")).unwrap_or_default();
        format!(" {} {}{count} ", tab as usize + 1, tab.title())
    });
    let style = |tab| if tab == model.choice.tab { REVERSED } else { Style::new() };
    let texts: Vec<_> =
        Tab::ALL.into_iter().zip(&titles).map(|(tab, title)| (&**title, style(tab))).collect();
    lines.put(&texts);
}

fn nothing(model: &Model) -> &'static str {
    match (model.count(model.choice.tab), model.choice.tab) {
        (None, _) => "not read yet",
        (Some(1..), _) => "nothing has this text; Esc shows everything",
        (Some(0), Tab::Drops) => "nothing was dropped",
        (Some(0), _) => "there is none",
    }
}

fn foot(model: &Model, room: usize, paint: Paint, lines: &mut Lines<'_>) {
    lines.next = lines.next.max(lines.area.bottom().saturating_sub(1));
    if let Some(typed) = &model.typed {
        return lines.put(&[("only rows with: ", BOLD), (typed, REVERSED), ("_", BOLD)]);
    }
    let mut left = String::new();
    if model.len() > room {
        let (first, last) = (model.scroll + 1, model.len().min(model.scroll + room));
        left = format!("{first}-{last} of {}  ", model.len());
    }
    let order = if model.choice.reverse { ", reversed" } else { "" };
    left += &format!("by {}{order}  ", model.sort().title());
    if !model.choice.filter.is_empty() {
        left += &format!("with \"{}\"  ", model.choice.filter);
    }
    lines.put(&[
        (&left, BOLD),
        ("q quit  ? help  s sort  / filter  p pause  c count", paint.quiet()),
    ]);
}

/// What the screen is wide enough for.
struct Columns {
    name: usize,
    about: usize,
    numbers: &'static [Sort],
}

/// Of a number and the space before it.
const NUMBER: usize = 10;
const EVERY: &[Sort] = &[Sort::RxPackets, Sort::RxBits, Sort::TxPackets, Sort::TxBits];
const BITS: &[Sort] = &[Sort::RxBits, Sort::TxBits];

impl Columns {
    fn of(tab: Tab, width: u16) -> Self {
        let width = usize::from(width);
        let numbers = match tab {
            Tab::Drops => &[Sort::RxPackets],
            _ if width >= 4 * NUMBER + 16 => EVERY,
            _ => BITS,
        };
        let left = width.saturating_sub(numbers.len() * NUMBER);
        // Names of interfaces have 15 letters; the mark stands before.
        let name = if left < 28 { left } else { (left / 2).clamp(18, 34) };
        Self { name, about: left - name, numbers }
    }

    fn titles(&self, model: &Model, lines: &mut Lines<'_>) {
        let (name, about) = match model.choice.tab {
            Tab::Ports => ("PORT", "SEGMENT, HOOK"),
            Tab::Segments => ("SEGMENT", "ABOUT"),
            Tab::Peers => ("PEER", "STATE, VTEP"),
            Tab::Drops => ("REASON", "WHERE/HOOK"),
        };
        let mut texts = vec![
            (padded(&format!("  {name}"), self.name), chosen(model, Sort::Name)),
            (padded(about, self.about), BOLD),
        ];
        for sort in self.numbers {
            let title = title(*sort, model.choice.tab, model.choice.totals);
            texts.push((format!("{title:>NUMBER$}"), chosen(model, *sort)));
        }
        let texts: Vec<_> = texts.iter().map(|(text, style)| (&**text, *style)).collect();
        lines.put(&texts);
    }

    fn row(&self, model: &Model, row: &Row, paint: Paint, lines: &mut Lines<'_>) {
        let style = match (model.away(), row.bad) {
            (Some(_), _) => paint.quiet(),
            (None, true) => paint.bad(),
            (None, false) => Style::new(),
        };
        let mark = if row.bad { "! " } else { "  " };
        let mut texts =
            vec![padded(&format!("{mark}{}", row.name), self.name), padded(&row.about, self.about)];
        let numbers = self.numbers.iter().map(|sort| number(row, *sort, model.choice.totals));
        texts.extend(numbers.map(|number| format!("{number:>NUMBER$}")));
        let texts: Vec<_> = texts.iter().map(|text| (&**text, style)).collect();
        lines.put(&texts);
    }
}

fn chosen(model: &Model, sort: Sort) -> Style {
    let is_chosen = match (model.sort(), model.choice.tab) {
        (Sort::Traffic, Tab::Drops) => sort == Sort::RxPackets,
        (by, _) => by == sort,
    };
    if is_chosen { REVERSED } else { BOLD }
}

fn title(sort: Sort, tab: Tab, totals: bool) -> &'static str {
    match (sort, tab, totals) {
        (_, Tab::Drops, false) => "PKT/S",
        (_, Tab::Drops, true) => "PACKETS",
        (Sort::RxPackets, _, false) => "RX PKT/S",
        (Sort::RxPackets, _, true) => "RX PKTS",
        (Sort::RxBits, _, false) => "RX BIT/S",
        (Sort::RxBits, _, true) => "RX BYTES",
        (Sort::TxPackets, _, false) => "TX PKT/S",
        (Sort::TxPackets, _, true) => "TX PKTS",
        (_, _, false) => "TX BIT/S",
        (_, _, true) => "TX BYTES",
    }
}

/// A row's number in a column: a rate, of bits where bytes are counted, or the counter.
pub fn number(row: &Row, sort: Sort, totals: bool) -> String {
    let index = match sort {
        Sort::RxBits => 1,
        Sort::TxPackets => 2,
        Sort::TxBits => 3,
        Sort::RxPackets | Sort::Traffic | Sort::Name => 0,
    };
    if totals {
        return scaled(row.counts[index] as f64);
    }
    let factor = if index % 2 == 1 { 8.0 } else { 1.0 };
    known(row.rates.map(|rates| rates[index] * factor))
}

/// As wide as the column, with a space behind; letters may be wide.
fn padded(text: &str, width: usize) -> String {
    let mut padded = String::new();
    let mut used = 0;
    for letter in text.chars().filter(|letter| !letter.is_control()) {
        let wide = ratatui::text::Span::raw(letter.to_string()).width();
        if used + wide + 1 > width {
            break;
        }
        padded.push(letter);
        used += wide;
    }
    padded.extend(std::iter::repeat_n(' ', width - used.min(width)));
    padded
}

#[cfg(test)]
#[path = "view_tests.rs"]
mod tests;

//! What a key does to the model.

use std::time::Duration;

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use super::model::{Model, Tab};

/// What the plus and minus keys choose between, in milliseconds.
const DELAYS: [u64; 8] = [200, 500, 1_000, 2_000, 5_000, 10_000, 30_000, 60_000];

/// A filter is no longer than a name.
const FILTER_MAX: usize = 64;

/// What has to be done about a key beside drawing again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Nothing.
    Draw,
    /// Something else is to be asked for now.
    Ask,
    /// Everything is to be drawn anew.
    Redraw,
    /// The process is to be stopped until it is continued.
    Suspend,
    /// The end.
    Quit,
}

/// Does what a key stands for. `page` is how many rows the screen has room for.
pub fn press(model: &mut Model, key: KeyEvent, page: usize) -> Effect {
    if key.kind == KeyEventKind::Release {
        return Effect::Draw;
    }
    if key.modifiers.contains(KeyModifiers::CONTROL) {
        return match key.code {
            KeyCode::Char('c' | 'd') => Effect::Quit,
            KeyCode::Char('z') => Effect::Suspend,
            KeyCode::Char('l') => Effect::Redraw,
            _ => Effect::Draw,
        };
    }
    if model.typed.is_some() {
        edit(model, key.code);
        return Effect::Draw;
    }
    if std::mem::take(&mut model.help) && key.code != KeyCode::Char('q') {
        return Effect::Draw;
    }
    command(model, key.code, page)
}

fn command(model: &mut Model, code: KeyCode, page: usize) -> Effect {
    let mut effect = Effect::Draw;
    match code {
        KeyCode::Char('q') => return Effect::Quit,
        KeyCode::Esc if model.choice.filter.is_empty() => return Effect::Quit,
        KeyCode::Esc => model.choice.filter.clear(),
        KeyCode::Char('?' | 'h') | KeyCode::F(1) => model.help = true,
        KeyCode::Tab | KeyCode::Right => effect = turn(model, model.choice.tab.further(1)),
        KeyCode::BackTab | KeyCode::Left => {
            effect = turn(model, model.choice.tab.further(Tab::ALL.len() - 1));
        }
        KeyCode::Char(digit @ '1'..='4') => {
            effect = turn(model, Tab::ALL[digit as usize - '1' as usize]);
        }
        KeyCode::Char('s') => sort(model, 1),
        KeyCode::Char('S') => sort(model, model.choice.tab.sorts().len() - 1),
        KeyCode::Char('r') => model.choice.reverse = !model.choice.reverse,
        KeyCode::Char('c') => model.choice.totals = !model.choice.totals,
        KeyCode::Char('/') => model.typed = Some(model.choice.filter.clone()),
        KeyCode::Char('p' | ' ') => {
            model.choice.paused = !model.choice.paused;
            effect = Effect::Ask;
        }
        KeyCode::Char('+' | '=') => delay(model, true),
        KeyCode::Char('-') => delay(model, false),
        KeyCode::Up | KeyCode::Char('k') => model.scroll = model.scroll.saturating_sub(1),
        KeyCode::Down | KeyCode::Char('j') => down(model, 1, page),
        KeyCode::PageUp => model.scroll = model.scroll.saturating_sub(page.max(1)),
        KeyCode::PageDown => down(model, page.max(1), page),
        KeyCode::Home | KeyCode::Char('g') => model.scroll = 0,
        KeyCode::End | KeyCode::Char('G') => down(model, model.len(), page),
        _ => {}
    }
    model.arrange();
    effect
}

fn turn(model: &mut Model, tab: Tab) -> Effect {
    model.choice.tab = tab;
    model.scroll = 0;
    Effect::Ask
}

fn sort(model: &mut Model, places: usize) {
    let (sorts, now) = (model.choice.tab.sorts(), model.sort());
    let at = sorts.iter().position(|sort| *sort == now).unwrap_or(0);
    model.choice.sort = sorts[(at + places) % sorts.len()];
}

/// The last page stays full.
fn down(model: &mut Model, rows: usize, page: usize) {
    let last = model.len().saturating_sub(page.max(1));
    model.scroll = (model.scroll + rows).min(last.max(model.scroll));
}

fn delay(model: &mut Model, longer: bool) {
    let mut delays = DELAYS.map(Duration::from_millis).into_iter();
    let other = match longer {
        true => delays.find(|delay| *delay > model.delay),
        false => delays.rev().find(|delay| *delay < model.delay),
    };
    model.delay = other.unwrap_or(model.delay);
}

fn edit(model: &mut Model, code: KeyCode) {
    let Some(typed) = &mut model.typed else { return };
    match code {
        KeyCode::Enter => {
            model.choice.filter = model.typed.take().unwrap_or_default();
            model.scroll = 0;
        }
        KeyCode::Esc => model.typed = None,
        KeyCode::Backspace => drop(typed.pop()),
        KeyCode::Char(letter) if typed.len() < FILTER_MAX => typed.push(letter),
        _ => {}
    }
    model.arrange();
}

#[cfg(test)]
#[path = "keys_tests.rs"]
mod tests;

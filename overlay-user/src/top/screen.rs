//! The terminal, which is left as it was found on every way out: at the end, by a signal, by a
//! panic, and while the process is suspended.

use std::io::{self, IsTerminal as _, Stdout, Write as _};

use nix::sys::signal::{Signal, raise};
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::cursor::{Hide, Show};
use ratatui::crossterm::event::{self, Event};
use ratatui::crossterm::execute;
use ratatui::crossterm::terminal::{
    EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};
use ratatui::layout::Rect;
use tokio::sync::mpsc;

use super::view::Paint;

/// Why this cannot be drawn on, in a sentence that says what can be done instead.
pub fn refusal() -> Option<String> {
    let term = std::env::var("TERM").unwrap_or_default();
    let why = if !io::stdout().is_terminal() || !io::stdin().is_terminal() {
        "overlay top draws on a terminal, and this is none".to_owned()
    } else if term.is_empty() || term == "dumb" {
        format!("TERM is {term:?}: nothing can be drawn on such a terminal")
    } else {
        return None;
    };
    Some(format!("{why}; --once or --batch print plain text, --json JSON"))
}

/// Whether colours are wanted (<https://no-color.org>).
pub fn paint() -> Paint {
    Paint { colour: std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()) }
}

/// The terminal while it is drawn on.
pub struct Screen {
    /// What is drawn on.
    pub terminal: Terminal<CrosstermBackend<Stdout>>,
}

impl Screen {
    /// Takes the terminal.
    pub fn enter() -> io::Result<Self> {
        let before = std::panic::take_hook();
        // Its words would be lost with the alternate screen.
        std::panic::set_hook(Box::new(move |panic| {
            leave();
            before(panic);
        }));
        // From here on dropping it gives the terminal back.
        let mut screen = Self { terminal: Terminal::new(CrosstermBackend::new(io::stdout()))? };
        screen.take()?;
        Ok(screen)
    }

    fn take(&mut self) -> io::Result<()> {
        enable_raw_mode()?;
        execute!(io::stdout(), EnterAlternateScreen, Hide)?;
        self.redraw()
    }

    /// Has everything drawn anew. `Terminal::clear` would ask the terminal where its cursor is,
    /// and wait for the answer between the user's keys.
    pub fn redraw(&mut self) -> io::Result<()> {
        let size = self.terminal.size()?;
        self.terminal.resize(Rect::new(0, 0, size.width, size.height))
    }

    /// Gives the terminal back and stops the process until it is continued.
    pub fn suspend(&mut self) -> io::Result<()> {
        leave();
        raise(Signal::SIGSTOP)?;
        self.take()
    }

    /// Takes the terminal again, whatever was done with it meanwhile.
    pub fn take_again(&mut self) -> io::Result<()> {
        leave();
        self.take()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        leave();
    }
}

/// A terminal that is gone cannot be put right.
fn leave() {
    let _ = execute!(io::stdout(), LeaveAlternateScreen, Show);
    let _ = io::stdout().flush();
    let _ = disable_raw_mode();
}

/// Keys and changes of the terminal's size, read on a thread of their own, which waits for them
/// until the process ends. The channel ends with the terminal.
pub fn events() -> mpsc::Receiver<Event> {
    let (sender, receiver) = mpsc::channel(64);
    std::thread::spawn(move || {
        while let Ok(event) = event::read() {
            if sender.blocking_send(event).is_err() {
                break;
            }
        }
    });
    receiver
}

#[cfg(test)]
#[path = "screen_tests.rs"]
mod tests;

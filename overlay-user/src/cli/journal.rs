//! Standard error that is systemd's journal: what stands in front of a line tells it how grave
//! that is, and the time it knows by itself.

use std::fmt::{self, Write as _};

use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::{Format, Full, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// syslog's number of an error.
const ERROR: u8 = 3;

/// Whether standard error is the journal: systemd names the device and inode of the socket that
/// it gave, and whoever redirects it has another.
pub fn is_standard_error() -> bool {
    let named = std::env::var("JOURNAL_STREAM").ok();
    let found = nix::sys::stat::fstat(std::io::stderr()).ok();
    named
        .zip(found)
        .is_some_and(|(named, found)| named == format!("{}:{}", found.st_dev, found.st_ino))
}

/// A failure as standard error takes it: one that the journal is told of is an error.
pub fn failure(text: &str) -> String {
    if is_standard_error() { marked(ERROR, text) } else { format!("{text}\n") }
}

/// Each line with its number (sd-daemon(3)): the journal takes every line for itself.
fn marked(number: u8, text: &str) -> String {
    text.lines().fold(String::new(), |mut all, line| {
        let _ = writeln!(all, "<{number}>{line}");
        all
    })
}

fn number(level: Level) -> u8 {
    match level {
        Level::ERROR => ERROR,
        Level::WARN => 4,
        Level::INFO => 6,
        _ => 7,
    }
}

/// Lines of the log, for the journal.
#[derive(Debug)]
pub struct Lines(Format<Full, ()>);

impl Lines {
    /// The same words as elsewhere, without the time.
    pub fn new() -> Self {
        Self(Format::default().without_time().with_target(false).with_ansi(false))
    }
}

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut text = String::new();
        self.0.format_event(context, Writer::new(&mut text), event)?;
        writer.write_str(&marked(number(*event.metadata().level()), text.trim_start()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_says_how_grave_it_is() {
        assert_eq!(marked(4, "WARN one\n  help: two\n"), "<4>WARN one\n<4>  help: two\n");
        let levels = [Level::ERROR, Level::WARN, Level::INFO, Level::DEBUG, Level::TRACE];
        assert_eq!(levels.map(number), [3, 4, 6, 7, 7]);
    }

    #[test]
    fn a_failure_elsewhere_is_its_text() {
        assert_eq!(failure("overlay: no"), "overlay: no\n");
    }
}

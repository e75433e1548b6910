//! From pieces of text to a list.

use overlay_common::abi::{FdbKey, Target};

use super::line::{Fault, Lines};
use super::{Address, LineError, List, Purpose};
use crate::config::document::Wrong;
use crate::controller::{Names, word};

/// No line that means anything is longer, in bytes.
const LINE_MAX: usize = 1024;
/// Where so much is wrong, it is another file.
const ERRORS_MAX: usize = 20;

const LONGEST_HELP: &str = "leave out blank lines and comments, or send the list in parts";

/// Reads a list that comes piece by piece. It keeps an address in 16 bytes, and of
/// the text not more than a line.
pub struct Reader {
    lines: Lines,
    line: u32,
    /// The beginning of a line whose end is still to come.
    begun: Vec<u8>,
    addresses: Vec<Address>,
    errors: Vec<LineError>,
}

impl Reader {
    /// A reader of a list for this purpose.
    pub fn new(names: Names, purpose: Purpose) -> Self {
        Self {
            lines: Lines::new(names, purpose),
            line: 0,
            begun: Vec::new(),
            addresses: Vec::new(),
            errors: Vec::new(),
        }
    }

    /// Takes in the next piece, of any length.
    pub fn push(&mut self, piece: &[u8]) {
        let mut rest = piece;
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            let (line, behind) = (&rest[..end], &rest[end + 1..]);
            if self.begun.is_empty() {
                self.read(line);
            } else {
                self.keep(line);
                let line = std::mem::take(&mut self.begun);
                self.read(&line);
            }
            rest = behind;
        }
        self.keep(rest);
    }

    /// The list, once all of it is there.
    ///
    /// # Errors
    ///
    /// What is wrong with it, in the order of its lines; not more than twenty
    /// errors.
    pub fn finish(mut self) -> Result<List, Vec<LineError>> {
        if !self.begun.is_empty() {
            let line = std::mem::take(&mut self.begun);
            self.read(&line);
        }
        self.find_duplicates();
        if self.errors.is_empty() {
            Ok(List { addresses: self.addresses, names: self.lines.into_names() })
        } else {
            self.errors.sort();
            self.errors.truncate(ERRORS_MAX);
            Err(self.errors)
        }
    }

    fn keep(&mut self, part: &[u8]) {
        // One byte more than is allowed shows that it is too long.
        let room = (LINE_MAX + 1).saturating_sub(self.begun.len());
        self.begun.extend_from_slice(&part[..part.len().min(room)]);
    }

    fn read(&mut self, line: &[u8]) {
        if self.errors.len() >= ERRORS_MAX {
            return;
        }
        let Some(number) = self.line.checked_add(1) else {
            // An address keeps the number of its line in four bytes.
            if self.has_ended() {
                return;
            }
            let message = format!("there are more than {} lines", u32::MAX);
            self.report(self.line, 1, Wrong::new(message, LONGEST_HELP));
            return;
        };
        self.line = number;
        match self.address(line) {
            Ok(None) => {}
            Ok(Some((key, target))) => self.add(key, target),
            Err(Fault { at, wrong }) => {
                let before = String::from_utf8_lossy(&line[..at.min(line.len())]);
                self.report(self.line, before.chars().count() + 1, wrong);
            }
        }
    }

    /// Whether it was told that there are too many lines.
    fn has_ended(&self) -> bool {
        self.errors.last().is_some_and(|error| error.help == LONGEST_HELP)
    }

    fn address(&mut self, line: &[u8]) -> Result<Option<(FdbKey, Target)>, Fault> {
        if line.len() > LINE_MAX {
            let message = format!("the line is longer than {LINE_MAX} bytes");
            return Err(Fault { at: 0, wrong: Wrong::new(message, "one address on each line") });
        }
        let text = std::str::from_utf8(line).map_err(|error| {
            let wrong = Wrong::new("this is not UTF-8", "lists of addresses are plain text");
            Fault { at: error.valid_up_to(), wrong }
        })?;
        self.lines.read(text)
    }

    fn add(&mut self, key: FdbKey, target: Target) {
        let room = self.lines.names().room();
        if self.addresses.len() < room {
            self.addresses.push(Address { key, target, line: self.line });
        } else if self.addresses.len() == room && self.errors.is_empty() {
            let message = format!("these are more addresses than the FDB takes, {room}");
            let help = "make node.fdb_entries larger and start again, or load fewer";
            self.report(self.line, 1, Wrong::new(message, help));
        }
    }

    /// Puts the addresses in order, so that equal ones meet.
    fn find_duplicates(&mut self) {
        self.addresses.sort_unstable_by_key(|address| (word(address.key), address.line));
        let pairs = self.addresses.windows(2).filter(|pair| pair[0].key == pair[1].key);
        let twice: Vec<(u32, u32)> =
            pairs.map(|pair| (pair[0].line, pair[1].line)).take(ERRORS_MAX).collect();
        for (first, again) in twice {
            let help = format!("each mac of a segment may be listed once; it is on line {first}");
            self.report(again, 1, Wrong::new("this address is listed twice", help));
        }
    }

    fn report(&mut self, line: u32, column: usize, Wrong { message, help }: Wrong) {
        self.errors.push(LineError { line, column, message, help });
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn lines_beyond_what_can_be_numbered_are_an_error_and_not_counted_from_the_start() {
        let text =
            "[node]\nname = \"gw1\"\nvtep = \"192.0.2.1\"\n[[uplink]]\ninterface = \"eth0\"\n";
        let config = crate::config::Config::parse(text, "x.toml").expect("a configuration");
        let controller = crate::controller::Controller::new(config, Duration::ZERO);
        let names = controller.names(Duration::ZERO);
        let mut reader = Reader::new(names, Purpose::Load);
        reader.line = u32::MAX - 1;
        reader.push(b"# the last line\n\n\nno address\n");
        let Err(errors) = reader.finish() else { panic!("too many lines were taken") };
        assert_eq!(errors.len(), 1, "{errors:?}");
        assert_eq!(errors[0].line, u32::MAX);
        assert_eq!(errors[0].message, "there are more than 4294967295 lines");
        assert_eq!(errors[0].help, "leave out blank lines and comments, or send the list in parts");
    }
}

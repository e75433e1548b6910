//! Places in the file, and the list of what is wrong there.

use std::ops::Range;

use super::ConfigError;

/// A value and where it stands.
#[derive(Clone, Debug)]
pub struct At<T> {
    pub value: T,
    pub span: Range<usize>,
}

/// Line and column, both from 1; columns count characters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    pub line: usize,
    pub column: usize,
}

/// Collects what is wrong, so that all of it is reported at once.
pub struct Problems<'a> {
    text: &'a str,
    file: &'a str,
    line_starts: Vec<usize>,
    errors: Vec<ConfigError>,
}

impl<'a> Problems<'a> {
    pub fn new(text: &'a str, file: &'a str) -> Self {
        let after_newline = text.match_indices('\n').map(|(at, _)| at + 1);
        let line_starts = std::iter::once(0).chain(after_newline).collect();
        Self { text, file, line_starts, errors: Vec::new() }
    }

    /// Where a span begins.
    pub fn position(&self, span: &Range<usize>) -> Position {
        let offset = span.start.min(self.text.len());
        let line = self.line_starts.partition_point(|start| *start <= offset);
        let start = self.line_starts[line - 1];
        let column = self.text[start..offset].chars().count() + 1;
        Position { line, column }
    }

    /// The line that a span begins on.
    pub fn line(&self, span: &Range<usize>) -> usize {
        self.position(span).line
    }

    pub fn add(
        &mut self,
        span: &Range<usize>,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        let Position { line, column } = self.position(span);
        self.errors.push(ConfigError {
            file: self.file.to_owned(),
            line,
            column,
            message: message.into(),
            help: help.into(),
        });
    }

    pub fn len(&self) -> usize {
        self.errors.len()
    }

    /// All that was wrong, in the order of the file.
    pub fn into_errors(mut self) -> Vec<ConfigError> {
        self.errors.sort_by_key(|e| (e.line, e.column));
        self.errors
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_lines_and_characters_from_one() {
        let problems = Problems::new("a = 1\nmü = 2\n", "f");
        let at = |offset: usize| {
            let Position { line, column } = problems.position(&(offset..offset));
            (line, column)
        };
        assert_eq!(at(0), (1, 1));
        assert_eq!(at(5), (1, 6), "the newline belongs to its line");
        assert_eq!(at(6), (2, 1));
        assert_eq!(at(10), (2, 4), "ü is two bytes and one column");
        assert_eq!(at(14), (3, 1));
        assert_eq!(at(999), (3, 1), "behind the end is the end");
    }
}

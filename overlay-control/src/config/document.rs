//! A TOML document, read key by key; every key must be asked for.

use std::ops::Range;

use toml::de::{DeTable, DeValue};

use super::nearest::nearest;
use super::source::{At, Problems};

/// What is wrong with a value. The message follows the key's name.
#[derive(Debug)]
pub struct Wrong {
    pub message: String,
    pub help: String,
}

impl Wrong {
    pub fn new(message: impl Into<String>, help: impl Into<String>) -> Self {
        Self { message: message.into(), help: help.into() }
    }
}

/// One table of the document.
pub struct Section<'a> {
    table: &'a DeTable<'a>,
    /// As it is written in the file: `[node]`, `[[segment.port]]`; empty for the
    /// document itself.
    title: &'static str,
    /// Of the header.
    pub span: Range<usize>,
    known: Vec<&'static str>,
}

impl<'a> Section<'a> {
    /// The document itself.
    pub fn root(table: &'a DeTable<'a>) -> Self {
        Self { table, title: "", span: 0..0, known: Vec::new() }
    }

    /// A value that has to be there; `help` says what to add where it is not.
    pub fn required<T>(
        &mut self,
        problems: &mut Problems,
        key: &'static str,
        read: impl FnOnce(&DeValue) -> Result<T, Wrong>,
        help: &str,
    ) -> Option<At<T>> {
        if self.find(key).is_none() {
            problems.add(&self.span, format!("{} has no {key}", self.title), help);
        }
        self.optional(problems, key, read)
    }

    /// A value that may be absent.
    pub fn optional<T>(
        &mut self,
        problems: &mut Problems,
        key: &'static str,
        read: impl FnOnce(&DeValue) -> Result<T, Wrong>,
    ) -> Option<At<T>> {
        self.known.push(key);
        let (span, value) = self.find(key)?;
        match read(value) {
            Ok(value) => Some(At { value, span }),
            Err(wrong) => {
                problems.add(&span, format!("{key} {}", wrong.message), wrong.help);
                None
            }
        }
    }

    /// A table that may be absent.
    pub fn table(
        &mut self,
        problems: &mut Problems,
        key: &'static str,
        title: &'static str,
    ) -> Option<Self> {
        self.known.push(key);
        let (span, value) = self.find(key)?;
        match value.as_table() {
            Some(table) => Some(Self { table, title, span, known: Vec::new() }),
            None => {
                let message = format!("{key} is {}, not a table", type_name(value));
                problems.add(&span, message, format!("write {title}, once"));
                None
            }
        }
    }

    /// A list of tables, empty where it is absent.
    pub fn tables(
        &mut self,
        problems: &mut Problems,
        key: &'static str,
        title: &'static str,
    ) -> Vec<Self> {
        self.known.push(key);
        let Some((span, value)) = self.find(key) else {
            return Vec::new();
        };
        let Some(array) = value.as_array() else {
            let message = format!("{key} is {}, not a list of tables", type_name(value));
            problems.add(&span, message, format!("write {title}, with two brackets, for each one"));
            return Vec::new();
        };
        let mut sections = Vec::new();
        for item in array.iter() {
            match item.get_ref().as_table() {
                Some(table) => {
                    sections.push(Self { table, title, span: item.span(), known: Vec::new() });
                }
                None => {
                    let message = format!("{key} holds {}", type_name(item.get_ref()));
                    problems.add(&item.span(), message, format!("write {title} for each one"));
                }
            }
        }
        sections
    }

    /// Whether a key is there, right or wrong.
    pub fn has(&self, key: &str) -> bool {
        self.find(key).is_some()
    }

    /// Reports the keys that nobody asked for.
    pub fn finish(self, problems: &mut Problems) {
        for (key, _) in self.table.iter() {
            let name = key.get_ref().as_ref();
            if self.known.contains(&name) {
                continue;
            }
            let place = if self.title.is_empty() { "the file" } else { self.title };
            let mut help = match nearest(name, self.known.iter().copied()) {
                Some(meant) => format!("did you mean {meant}? "),
                None => String::new(),
            };
            help += &format!("{place} takes {}", self.known.join(", "));
            problems.add(&key.span(), format!("unknown key {name} in {place}"), help);
        }
    }

    fn find(&self, key: &str) -> Option<(Range<usize>, &'a DeValue<'a>)> {
        let (_, value) = self.table.iter().find(|(k, _)| k.get_ref().as_ref() == key)?;
        Some((value.span(), value.get_ref()))
    }
}

/// A value's type with its article.
pub fn type_name(value: &DeValue) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "an integer",
        DeValue::Float(_) => "a float",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a date or time",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

//! Changes to the text of a configuration, which keep its form and its comments.
//!
//! A [`Change`] names a table by a [`Path`] and says what is to become of it. [`apply`] makes
//! all of them in a text, or none, and judges nothing that [`Config::parse`](super::Config)
//! judges: its result is to be parsed. [`Edited::blame`] says which change a line is of.

mod items;
mod path;
mod shape;
mod spans;

use std::collections::BTreeSet;
use std::fmt;

use toml_edit::{DocumentMut, InlineTable, Item, TableLike, Value};

pub use path::Path;
use path::{Step, Which};
pub use shape::{By, FILE, Key, Like, Shape};

/// The most changes of one request.
pub const MAX_CHANGES: usize = 4096;

/// The longest text of a configuration, in bytes.
pub const MAX_TEXT: usize = 64 << 20;

/// What is to become of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// It is to hold these keys and no others.
    Put,
    /// These keys of it are to have these values, or to go; the others stay.
    Patch,
    /// A new one is to stand before the one at this position.
    Insert,
    /// It is to go.
    Remove,
}

impl Verb {
    /// Every verb.
    pub const ALL: [Self; 4] = [Self::Put, Self::Patch, Self::Insert, Self::Remove];

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Put => "put",
            Self::Patch => "patch",
            Self::Insert => "insert",
            Self::Remove => "remove",
        }
    }
}

/// One change.
#[derive(Clone, Debug)]
pub struct Change {
    /// What is to become of the table.
    pub verb: Verb,
    /// Which table.
    pub path: Path,
    /// Its keys; `None`: the key is to go, where the verb leaves others as they are.
    pub keys: Vec<(String, Option<Value>)>,
}

impl Change {
    /// Whether it moves what stands behind it, so that the same words mean another table the next
    /// time.
    pub fn moves_others(&self) -> bool {
        match self.verb {
            Verb::Insert => true,
            Verb::Remove => self.path.ends_in_a_position(),
            Verb::Put | Verb::Patch => false,
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.verb.name(), self.path)
    }
}

/// What is wrong with a path or a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What is wrong.
    pub message: String,
    /// What would be right.
    pub help: String,
    /// Whether the table is not there.
    pub is_absence: bool,
}

impl Fault {
    /// Something that is wrong.
    pub fn new(message: impl Into<String>, help: impl Into<String>) -> Self {
        Self { message: message.into(), help: help.into(), is_absence: false }
    }

    fn absent(message: impl Into<String>, help: impl Into<String>) -> Self {
        Self { is_absence: true, ..Self::new(message, help) }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n  help: {}", self.message, self.help)
    }
}

/// A text with changes in it.
#[derive(Clone, Debug)]
pub struct Edited {
    /// The text.
    pub text: String,
    /// The bytes of each change's table in it; `None`: it is gone.
    spans: Vec<Option<std::ops::Range<usize>>>,
}

impl Edited {
    /// The change that a line, from 1, is of: its index.
    pub fn blame(&self, line: usize) -> Option<usize> {
        let begins = self.text.match_indices('\n').map(|(at, _)| at + 1);
        let start = std::iter::once(0).chain(begins).nth(line.checked_sub(1)?)?;
        let end = self.text[start..].find('\n').map_or(self.text.len(), |len| start + len);
        let meets = |span: &std::ops::Range<usize>| span.start < end && span.end > start;
        let spans = self.spans.iter().enumerate();
        let those = spans.filter_map(|(i, span)| Some((i, span.as_ref()?)));
        // Of tables in tables, the innermost.
        those.filter(|(_, span)| meets(span)).min_by_key(|(_, span)| span.len()).map(|(i, _)| i)
    }
}

/// Makes all changes, one after the other.
///
/// # Errors
///
/// The first change that cannot be made: its index, and what is wrong.
pub fn apply(text: &str, changes: &[Change]) -> Result<Edited, (usize, Fault)> {
    let mut document = document(text).map_err(|fault| (0, fault))?;
    for (i, change) in changes.iter().enumerate() {
        make(document.as_table_mut(), change).map_err(|fault| (i, fault))?;
    }
    let text = document.to_string();
    let last = changes.len().saturating_sub(1);
    if text.len() > MAX_TEXT {
        let help = "use several gateways, or load addresses with overlay fdb load";
        return Err((last, Fault::new("the configuration gets too long", help)));
    }
    let spans = spans::of(&text, changes);
    Ok(Edited { text, spans })
}

/// A copy of the whole document.
///
/// # Errors
///
/// A text that is no TOML.
pub fn whole(text: &str) -> Result<InlineTable, Fault> {
    document(text).map(|document| copy(document.as_table()))
}

/// A copy of the table that a path leads to.
///
/// # Errors
///
/// The first step that leads nowhere, and what there is.
pub fn find(text: &str, path: &Path) -> Result<InlineTable, Fault> {
    let document = document(text)?;
    let mut table: &dyn TableLike = document.as_table();
    for (i, step) in path.steps.iter().enumerate() {
        table = items::step_into(table, step).ok_or_else(|| absent(&path.steps[..=i], table))?;
    }
    Ok(copy(table))
}

fn document(text: &str) -> Result<DocumentMut, Fault> {
    text.parse::<DocumentMut>().map_err(|error| {
        Fault::new(format!("the configuration is no TOML: {}", error.message()), "reload it")
    })
}

fn make(root: &mut dyn TableLike, change: &Change) -> Result<(), Fault> {
    let Some((last, way)) = change.path.steps.split_last() else { return Ok(()) };
    let keys = keys(change, last)?;
    let is_inline = is_inline(root, way);
    let is_root = way.is_empty();
    let mut parent: &mut dyn TableLike = root;
    for (i, step) in way.iter().enumerate() {
        if items::step_into(parent, step).is_none() {
            return Err(absent(&change.path.steps[..=i], parent));
        }
        parent = match items::step_into_mut(parent, step) {
            Some(table) => table,
            None => return Ok(()),
        };
    }
    let is_there = items::step_into(parent, last).is_some();
    match change.verb {
        Verb::Remove if is_there => {
            items::remove(parent, last);
            Ok(())
        }
        Verb::Remove => Err(absent(&change.path.steps, parent)),
        Verb::Put | Verb::Patch if is_there => {
            let is_inline = is_inline || is_written_inline(parent, last);
            if let Some(table) = items::step_into_mut(parent, last) {
                rewrite(table, is_inline, change.verb, keys, last);
            }
            Ok(())
        }
        Verb::Put | Verb::Patch | Verb::Insert => {
            items::insert(parent, is_root, is_inline, last, new(keys, last))
        }
    }
}

/// The keys of a change, without those that its path has already.
fn keys(change: &Change, step: &Step) -> Result<Vec<(String, Option<Value>)>, Fault> {
    let by_position = matches!(step.which, Which::At(_) | Which::End);
    if change.verb == Verb::Insert && !by_position {
        let help = "insert is for lists in which the order matters: segment/NAME/acl/POSITION";
        return Err(Fault::new(format!("{step} has no position"), help));
    }
    if change.verb == Verb::Remove && !change.keys.is_empty() {
        return Err(Fault::new("what is removed has no value", "leave the value out"));
    }
    let mut keys = Vec::new();
    for (key, value) in &change.keys {
        let item = value.clone().map_or(Item::None, Item::Value);
        match step.agrees(key, &item) {
            None => {
                let mut value = value.clone();
                // Spaces and comments around it are not part of it.
                if let Some(value) = &mut value {
                    value.decor_mut().clear();
                }
                keys.push((key.clone(), value));
            }
            Some(true) => {}
            Some(false) => {
                let help = format!(
                    "{key} is part of the path: leave it out of the value, or remove {step} and \
                     put the other"
                );
                return Err(Fault::new(format!("{key} is not that of {step}"), help));
            }
        }
    }
    Ok(keys)
}

fn new(keys: Vec<(String, Option<Value>)>, step: &Step) -> InlineTable {
    let mut table = InlineTable::new();
    for (key, item) in step.identity() {
        if let Ok(value) = item.into_value() {
            table.insert(key, value);
        }
    }
    for (key, value) in keys {
        if let Some(value) = value {
            table.insert(key, value);
        }
    }
    table
}

/// Changes a table that is there.
fn rewrite(
    table: &mut dyn TableLike,
    is_inline: bool,
    verb: Verb,
    keys: Vec<(String, Option<Value>)>,
    step: &Step,
) {
    if verb == Verb::Put {
        let named = keys.iter().filter(|(_, value)| value.is_some()).map(|(key, _)| key.as_str());
        let wanted: BTreeSet<&str> =
            named.chain(step.shape.keys().iter().map(|key| key.name)).collect();
        let is_wanted = |key: &str| wanted.contains(key);
        let gone: Vec<String> =
            table.iter().map(|(key, _)| key.to_owned()).filter(|key| !is_wanted(key)).collect();
        for key in gone {
            table.remove(&key);
        }
    }
    for (key, value) in keys {
        match value {
            Some(value) => set(table, is_inline, verb, &key, value, step.shape),
            None => drop(table.remove(&key)),
        }
    }
}

/// A table in the table is changed like the table itself (RFC 7396).
fn set(
    table: &mut dyn TableLike,
    is_inline: bool,
    verb: Verb,
    key: &str,
    value: Value,
    shape: &Shape,
) {
    if verb == Verb::Patch
        && let Value::InlineTable(inline) = &value
        && let Some(inner) = table.get_mut(key).and_then(Item::as_table_like_mut)
    {
        for (key, value) in inline {
            items::set(inner, is_inline, key, value.clone(), shape);
        }
        return;
    }
    items::set(table, is_inline, key, value, shape);
}

/// Whether something on the way is written in one line.
fn is_inline(root: &dyn TableLike, way: &[Step]) -> bool {
    let mut table = root;
    for step in way {
        if is_written_inline(table, step) {
            return true;
        }
        match items::step_into(table, step) {
            Some(inner) => table = inner,
            None => return false,
        }
    }
    false
}

fn is_written_inline(parent: &dyn TableLike, step: &Step) -> bool {
    parent.get(step.shape.word).is_some_and(Item::is_value)
}

/// There is no such table.
fn absent(way: &[Step], parent: &dyn TableLike) -> Fault {
    let Some((last, before)) = way.split_last() else {
        return Fault::absent("there is nothing", "a path such as peer/gw2");
    };
    let place = before.iter().map(Step::to_string).collect::<Vec<_>>().join("/");
    let place = if place.is_empty() { "the configuration".to_owned() } else { place };
    let help = match parent.get(last.shape.word).and_then(|list| names(list, last.shape)) {
        Some(names) => format!("{place} has {names}"),
        None => format!("{place} has no {} at all", last.shape.word),
    };
    Fault::absent(format!("there is no {last} in {place}"), help)
}

/// How many names a message lists.
const SHOWN: usize = 8;

fn names(list: &Item, shape: &Shape) -> Option<String> {
    let len = items::len(list)?;
    let key = shape.keys().first();
    let Some(key) = key else { return Some(format!("{} {}/1 to {len}", shape.word, shape.word)) };
    let name = |i| items::nth(list, i)?.get(key.name)?.as_str().map(str::to_owned);
    let shown: Vec<String> = (0..len.min(SHOWN)).filter_map(name).collect();
    let more = if len > SHOWN { format!(" and {} more", len - SHOWN) } else { String::new() };
    Some(format!("{} {}{more}", shape.word, shown.join(", ")))
}

fn copy(table: &dyn TableLike) -> InlineTable {
    let mut copied = InlineTable::new();
    for (key, item) in table.iter() {
        let value = match item {
            Item::ArrayOfTables(tables) => Some(Value::Array(
                tables
                    .iter()
                    .map(|table| Value::InlineTable(copy(table as &dyn TableLike)))
                    .collect(),
            )),
            Item::Table(inner) => Some(Value::InlineTable(copy(inner as &dyn TableLike))),
            Item::Value(value) => Some(value.clone()),
            Item::None => None,
        };
        if let Some(value) = value {
            copied.insert(key, value);
        }
    }
    copied
}

//! Where in a text the tables of changes stand.

use std::ops::Range;

use toml_edit::{Document, Item, Table, TableLike, Value};

use super::path::{Path, Step, Which};
use super::{Change, Verb, items};

/// The bytes of each change's table; `None`: it is not there.
pub fn of(text: &str, changes: &[Change]) -> Vec<Option<Range<usize>>> {
    let Ok(document) = Document::parse(text) else { return vec![None; changes.len()] };
    let root: &Table = document.as_table();
    changes.iter().map(|change| of_change(root, change)).collect()
}

fn of_change(root: &dyn TableLike, change: &Change) -> Option<Range<usize>> {
    if change.verb == Verb::Remove {
        return None;
    }
    let Path { steps } = &change.path;
    let (last, way) = steps.split_last()?;
    let mut parent = root;
    for step in way {
        parent = items::step_into(parent, step)?;
    }
    let item = parent.get(last.shape.word)?;
    let span = if last.shape.is_list() { of_nth(item, index(item, last)?) } else { of_item(item) };
    // A key's own place is not in its value's.
    let key = parent.key(last.shape.word).and_then(toml_edit::Key::span);
    if last.shape.is_list() { span } else { join(span, key) }
}

fn index(list: &Item, step: &Step) -> Option<usize> {
    match step.which {
        Which::End => items::len(list)?.checked_sub(1),
        _ => items::find(list, step),
    }
}

fn of_nth(list: &Item, index: usize) -> Option<Range<usize>> {
    match list {
        Item::ArrayOfTables(tables) => tables.get(index).and_then(of_table),
        Item::Value(Value::Array(array)) => array.get(index)?.span(),
        _ => None,
    }
}

fn of_item(item: &Item) -> Option<Range<usize>> {
    match item {
        Item::Table(table) => of_table(table),
        Item::ArrayOfTables(tables) => tables.iter().map(of_table).fold(None, join),
        item => item.span(),
    }
}

/// A table's own span is its header's.
fn of_table(table: &Table) -> Option<Range<usize>> {
    let inner = table
        .iter()
        .map(|(key, item)| join(table.key(key).and_then(toml_edit::Key::span), of_item(item)));
    inner.fold(table.span(), join)
}

fn join(a: Option<Range<usize>>, b: Option<Range<usize>>) -> Option<Range<usize>> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.start.min(b.start)..a.end.max(b.end)),
        (a, b) => a.or(b),
    }
}

//! Tables of a document, however they are written: `[[peer]]`, or `peer = [{ … }]`.

use toml_edit::{Array, ArrayOfTables, InlineTable, Item, Table, TableLike, Value};

use super::Fault;
use super::path::{Step, Which};
use super::shape::Shape;

/// How many tables a list has; `None`: it is no list of tables.
pub fn len(item: &Item) -> Option<usize> {
    match item {
        Item::ArrayOfTables(tables) => Some(tables.len()),
        Item::Value(Value::Array(array)) => {
            array.iter().all(Value::is_inline_table).then(|| array.len())
        }
        _ => None,
    }
}

/// A table of a list.
pub fn nth(item: &Item, index: usize) -> Option<&dyn TableLike> {
    match item {
        Item::ArrayOfTables(tables) => tables.get(index).map(|table| table as &dyn TableLike),
        Item::Value(Value::Array(array)) => {
            array.get(index)?.as_inline_table().map(|table| table as &dyn TableLike)
        }
        _ => None,
    }
}

/// The same, to be changed.
pub fn nth_mut(item: &mut Item, index: usize) -> Option<&mut dyn TableLike> {
    match item {
        Item::ArrayOfTables(tables) => {
            tables.get_mut(index).map(|table| table as &mut dyn TableLike)
        }
        Item::Value(Value::Array(array)) => {
            array.get_mut(index)?.as_inline_table_mut().map(|table| table as &mut dyn TableLike)
        }
        _ => None,
    }
}

/// Where in its list a table is; `None`: there is none.
pub fn find(list: &Item, step: &Step) -> Option<usize> {
    let len = len(list)?;
    match step.which {
        Which::At(index) => (index < len).then_some(index),
        Which::End | Which::Only => None,
        Which::Named(_) => (0..len).find(|i| nth(list, *i).is_some_and(|table| step.means(table))),
    }
}

/// The table that a step leads to.
pub fn step_into<'a>(table: &'a dyn TableLike, step: &Step) -> Option<&'a dyn TableLike> {
    let item = table.get(step.shape.word)?;
    if step.shape.is_list() { nth(item, find(item, step)?) } else { item.as_table_like() }
}

/// The same, to be changed.
pub fn step_into_mut<'a>(
    table: &'a mut dyn TableLike,
    step: &Step,
) -> Option<&'a mut dyn TableLike> {
    let item = table.get_mut(step.shape.word)?;
    if step.shape.is_list() {
        let index = find(item, step)?;
        nth_mut(item, index)
    } else {
        item.as_table_like_mut()
    }
}

/// Puts a new table into its list, or to where the only one belongs.
pub fn insert(
    parent: &mut dyn TableLike,
    is_root: bool,
    is_inline: bool,
    step: &Step,
    new: InlineTable,
) -> Result<(), Fault> {
    let word = step.shape.word;
    if !step.shape.is_list() {
        let item =
            if is_root { Item::Table(table(new, step.shape)) } else { Item::Value(new.into()) };
        parent.insert(word, item);
        return Ok(());
    }
    if parent.get(word).is_none() {
        let list = if is_inline {
            Item::Value(Array::new().into())
        } else {
            Item::ArrayOfTables(ArrayOfTables::new())
        };
        parent.insert(word, list);
    }
    let list = parent.get_mut(word);
    let (Some(list), index) = (list, at(&step.which)) else { return Ok(()) };
    let Some(len) = len(list) else {
        let help = format!("a list of tables, [[{word}]]");
        return Err(Fault::new(format!("{word} is no list of tables"), help));
    };
    let index = index.unwrap_or(len);
    if index > len {
        let help = format!("{word}/1 to {word}/{}, or {word}/end", len + 1);
        return Err(Fault::new(format!("{word}/{} is behind the end", index + 1), help));
    }
    match list {
        Item::ArrayOfTables(tables) => {
            let mut new = table(new, step.shape);
            if index == 0 {
                // Tables are written in the order of their places in the document.
                new.set_position(tables.get(0).and_then(Table::position));
            }
            tables.insert(index, new);
        }
        Item::Value(Value::Array(array)) => array.insert(index, new),
        _ => {}
    }
    Ok(())
}

const fn at(which: &Which) -> Option<usize> {
    match which {
        Which::At(index) => Some(*index),
        Which::Only | Which::Named(_) | Which::End => None,
    }
}

/// A table with a header, and lists of tables in it with theirs.
fn table(inline: InlineTable, shape: &Shape) -> Table {
    let mut table = Table::new();
    for (key, value) in inline {
        let key = key.to_string();
        let item = formed(&key, value, shape);
        table.insert(&key, item);
    }
    table
}

/// A value in the form in which it is usually written.
pub fn formed(key: &str, value: Value, shape: &Shape) -> Item {
    let within = shape.within(key).filter(|within| within.is_list());
    match (within, value) {
        (Some(within), Value::Array(array))
            if !array.is_empty() && array.iter().all(Value::is_inline_table) =>
        {
            let tables = array.into_iter().filter_map(|value| match value {
                Value::InlineTable(inline) => Some(table(inline, within)),
                _ => None,
            });
            Item::ArrayOfTables(tables.collect())
        }
        (_, value) => Item::Value(value),
    }
}

/// Takes a table out.
pub fn remove(parent: &mut dyn TableLike, step: &Step) -> Option<()> {
    let word = step.shape.word;
    if !step.shape.is_list() {
        return parent.remove(word).map(drop);
    }
    let list = parent.get_mut(word)?;
    let index = find(list, step)?;
    match list {
        Item::ArrayOfTables(tables) => drop(tables.remove(index)),
        Item::Value(Value::Array(array)) => drop(array.remove(index)),
        _ => return None,
    }
    if len(list) == Some(0) {
        parent.remove(word);
    }
    Some(())
}

/// Whether an item means what a value means, however both are written.
pub fn is_same(item: &Item, value: &Value) -> bool {
    match (item, value) {
        (Item::Value(Value::String(a)), Value::String(b)) => a.value() == b.value(),
        (Item::Value(Value::Integer(a)), Value::Integer(b)) => a.value() == b.value(),
        (Item::Value(Value::Boolean(a)), Value::Boolean(b)) => a.value() == b.value(),
        (Item::Value(Value::Array(a)), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| is_same(&Item::Value(a.clone()), b))
        }
        (Item::ArrayOfTables(a), Value::Array(b)) => {
            a.len() == b.len()
                && a.iter().zip(b).all(|(a, b)| {
                    b.as_inline_table().is_some_and(|b| are_same(a as &dyn TableLike, b))
                })
        }
        (item, Value::InlineTable(b)) => item.as_table_like().is_some_and(|a| are_same(a, b)),
        _ => false,
    }
}

fn are_same(table: &dyn TableLike, inline: &InlineTable) -> bool {
    table.len() == inline.len()
        && inline.iter().all(|(key, value)| table.get(key).is_some_and(|item| is_same(item, value)))
}

/// Sets a key, and touches nothing where it is so already.
pub fn set(table: &mut dyn TableLike, is_inline: bool, key: &str, value: Value, shape: &Shape) {
    match table.get_mut(key) {
        Some(item) if is_same(item, &value) => {}
        Some(Item::Value(old)) => {
            let decor = old.decor().clone();
            *old = value;
            *old.decor_mut() = decor;
        }
        _ => {
            let item = if is_inline { Item::Value(value) } else { formed(key, value, shape) };
            // A list that stays one stays where it is.
            let place = table.get(key).and_then(Item::as_array_of_tables);
            let place = place.and_then(|tables| tables.get(0)).and_then(Table::position);
            table.insert(key, item);
            let new = table.get_mut(key).and_then(Item::as_array_of_tables_mut);
            if let Some(first) = new.and_then(|tables| tables.get_mut(0)) {
                first.set_position(place);
            }
        }
    }
}

//! Changes as they are sent: JSON, to be read into what the control crate makes of a text.
//!
//! This file is a fuzz target's as well, so it depends on nothing else of this crate.

use overlay_control::config::edit::{Change, MAX_CHANGES, Path, Verb};
use serde::Deserialize;
use serde_json::{Map, Value as Json};
use toml_edit::{Array, InlineTable, Value};
use utoipa::ToSchema;

/// Changes, all of which are made, or none.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Changes {
    /// They are made one after the other.
    pub changes: Vec<One>,
}

/// A change: one of `put`, `patch`, `insert` and `remove`, each with the path of a table, such as
/// `peer/gw2` or `segment/blue/port/eth1/10`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct One {
    /// The table is to hold the value's keys and no others.
    pub put: Option<String>,
    /// The value's keys are to be in the table, those that are null are to go; others stay.
    pub patch: Option<String>,
    /// The value is to stand before the one at this position: `segment/blue/acl/1`.
    pub insert: Option<String>,
    /// The table is to go.
    pub remove: Option<String>,
    /// The table's keys, in the configuration's words.
    pub value: Option<Map<String, Json>>,
}

/// Reads changes.
///
/// # Errors
///
/// What is wrong with each that cannot be read.
pub fn read(changes: Changes) -> Result<Vec<Change>, Vec<String>> {
    if changes.changes.len() > MAX_CHANGES {
        return Err(vec![format!(
            "these are more than {MAX_CHANGES} changes; send several requests"
        )]);
    }
    if changes.changes.is_empty() {
        return Err(vec![
            "there is no change: add { \"put\": \"peer/gw2\", \"value\": … }".to_owned(),
        ]);
    }
    let (mut read, mut wrong) = (Vec::new(), Vec::new());
    for (i, change) in changes.changes.into_iter().enumerate() {
        match one(change) {
            Ok(change) => read.push(change),
            Err(message) => wrong.push(format!("change {}: {message}", i + 1)),
        }
    }
    if wrong.is_empty() { Ok(read) } else { Err(wrong) }
}

fn one(One { put, patch, insert, remove, value }: One) -> Result<Change, String> {
    let verbs =
        [(Verb::Put, put), (Verb::Patch, patch), (Verb::Insert, insert), (Verb::Remove, remove)];
    let mut named = verbs.into_iter().filter_map(|(verb, path)| Some((verb, path?)));
    let (Some((verb, path)), None) = (named.next(), named.next()) else {
        return Err("it needs one of put, patch, insert and remove".to_owned());
    };
    let path = Path::parse(&path).map_err(|fault| fault.to_string())?;
    change(verb, path, value.unwrap_or_default())
}

/// Reads one change whose table is known.
///
/// # Errors
///
/// A value that the configuration has no form for.
pub fn change(verb: Verb, path: Path, value: Map<String, Json>) -> Result<Change, String> {
    let keys = value
        .into_iter()
        .map(|(key, value)| {
            let value = match value {
                Json::Null if verb == Verb::Patch => None,
                value => Some(form(value).map_err(|wrong| format!("{path}: {key} {wrong}"))?),
            };
            Ok((key, value))
        })
        .collect::<Result<_, String>>()?;
    Ok(Change { verb, path, keys })
}

fn form(value: Json) -> Result<Value, String> {
    Ok(match value {
        Json::Null => return Err("is null; leave it out, or patch the table it is in".to_owned()),
        Json::Bool(value) => value.into(),
        Json::Number(number) => match number.as_i64() {
            Some(number) => number.into(),
            None => return Err(format!("is {number}, no integer of 64 bits")),
        },
        Json::String(text) => text.into(),
        Json::Array(items) => {
            Value::Array(items.into_iter().map(form).collect::<Result<Array, _>>()?)
        }
        Json::Object(map) => {
            let mut table = InlineTable::new();
            for (key, value) in map {
                table.insert(key, form(value)?);
            }
            Value::InlineTable(table)
        }
    })
}

/// A table as JSON.
pub fn json(table: &InlineTable) -> Json {
    Json::Object(table.iter().map(|(key, value)| (key.to_owned(), json_of(value))).collect())
}

/// A value as JSON.
pub fn json_of(value: &Value) -> Json {
    match value {
        Value::String(text) => Json::from(text.value().as_str()),
        Value::Integer(number) => Json::from(*number.value()),
        Value::Float(number) => Json::from(*number.value()),
        Value::Boolean(value) => Json::from(*value.value()),
        Value::Datetime(time) => Json::from(time.value().to_string()),
        Value::Array(array) => array.iter().map(json_of).collect(),
        Value::InlineTable(table) => json(table),
    }
}

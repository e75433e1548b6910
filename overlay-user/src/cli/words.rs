//! Changes in words: `set peer/gw3 vtep=192.0.2.3 segments=[blue]`.

use serde_json::{Map, Value};

use crate::api::configuration::request::json_of;

/// A change, as the API takes it.
type Change = Map<String, Value>;

/// What sets keys of a table.
pub fn set(verb: &str, path: &str, keys: &[String]) -> Result<Change, String> {
    let mut values = Map::new();
    for word in keys {
        let (key, text) = word
            .split_once('=')
            .filter(|(key, _)| !key.is_empty())
            .ok_or_else(|| format!("{word:?} is no KEY=VALUE, such as vtep=192.0.2.3"))?;
        if values.insert(key.to_owned(), value(text)).is_some() {
            return Err(format!("{key} is set twice"));
        }
    }
    Ok(change(verb, path, Some(values)))
}

/// What takes a table away, or keys of it.
pub fn unset(path: &str, keys: &[String]) -> Change {
    if keys.is_empty() {
        return change("remove", path, None);
    }
    let nulls = keys.iter().map(|key| (key.clone(), Value::Null)).collect();
    change("patch", path, Some(nulls))
}

/// The change of a line; `None`: it has none.
pub fn line(line: &str) -> Result<Option<Change>, String> {
    let words = words(line)?;
    let Some((verb, rest)) = words.split_first() else { return Ok(None) };
    let Some((path, keys)) = rest.split_first() else {
        return Err(format!("{verb} needs the path of a table, such as peer/gw2"));
    };
    match verb.as_str() {
        "set" => set("patch", path, keys).map(Some),
        "replace" => set("put", path, keys).map(Some),
        "insert" => set("insert", path, keys).map(Some),
        "unset" => Ok(Some(unset(path, keys))),
        _ => Err(format!("{verb:?} is none of set, replace, insert and unset")),
    }
}

fn change(verb: &str, path: &str, values: Option<Map<String, Value>>) -> Change {
    let mut change = Map::from_iter([(verb.to_owned(), Value::from(path))]);
    if let Some(values) = values {
        change.insert("value".to_owned(), Value::Object(values));
    }
    change
}

/// A value: TOML's, where it is that; a list in brackets; else what it says.
fn value(text: &str) -> Value {
    use toml_edit::Value as Toml;
    match text.parse::<Toml>() {
        // 10.1 and 2026-01-01 are names, if anything.
        Ok(Toml::Float(_) | Toml::Datetime(_)) | Err(_) => {}
        Ok(value) => return json_of(&value),
    }
    let inner = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    match inner {
        Some(inner) => {
            inner.split(',').map(str::trim).filter(|item| !item.is_empty()).map(value).collect()
        }
        None => Value::from(text),
    }
}

/// What stands between spaces, where these are in no quotes and no brackets.
fn words(line: &str) -> Result<Vec<String>, String> {
    let (mut words, mut word) = (Vec::new(), String::new());
    let (mut quote, mut depth) = (None, 0_u32);
    for letter in line.chars() {
        match (quote, letter) {
            (Some(open), letter) if letter == open => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => quote = Some(letter),
            (None, '[' | '{') => depth += 1,
            (None, ']' | '}') => depth = depth.saturating_sub(1),
            (None, '#') if word.is_empty() => break,
            (None, letter) if letter.is_whitespace() && depth == 0 => {
                if !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
                continue;
            }
            _ => {}
        }
        word.push(letter);
    }
    if quote.is_some() || depth > 0 {
        return Err("a quote or a bracket has no end".to_owned());
    }
    if !word.is_empty() {
        words.push(word);
    }
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_are_what_an_engineer_means() {
        for (text, meant) in [
            ("192.0.2.3", json!("192.0.2.3")),
            ("fd00::1", json!("fd00::1")),
            ("02:00:00:00:02:02", json!("02:00:00:00:02:02")),
            ("10", json!(10)),
            ("10.1", json!("10.1")),
            ("true", json!(true)),
            ("[blue,red]", json!(["blue", "red"])),
            ("[]", json!([])),
            ("['a b', 3]", json!(["a b", 3])),
            ("[10.1.0.1/24, fd00:1::1/64]", json!(["10.1.0.1/24", "fd00:1::1/64"])),
            ("{packets=1000}", json!({ "packets": 1000 })),
            ("80-443", json!("80-443")),
            ("\"100\"", json!("100")),
            ("", json!("")),
        ] {
            assert_eq!(value(text), meant, "{text}");
        }
    }

    #[test]
    fn lines_become_changes() {
        let made = |text| line(text).unwrap().map(Value::Object);
        assert_eq!(made("  # nothing"), None);
        assert_eq!(
            made("set peer/gw3 vtep=192.0.2.3 segments=[blue, red]  # new"),
            Some(json!({ "patch": "peer/gw3",
                         "value": { "vtep": "192.0.2.3", "segments": ["blue", "red"] } }))
        );
        assert_eq!(made("unset segment/red"), Some(json!({ "remove": "segment/red" })));
        assert_eq!(
            made("unset peer/gw2 limit mtu"),
            Some(json!({ "patch": "peer/gw2", "value": { "limit": null, "mtu": null } }))
        );
        for bad in ["set", "put peer/x", "set peer/x a", "set peer/x a=[", "set peer/x a=1 a=2"] {
            assert!(line(bad).is_err(), "{bad}");
        }
    }
}

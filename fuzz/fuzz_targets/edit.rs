//! Arbitrary files with arbitrary changes: whatever the file's form, the editor neither panics nor
//! makes what is no document.
#![no_main]

use libfuzzer_sys::fuzz_target;
use overlay_control::config::edit::{self, Change, Path, Verb};

fuzz_target!(|input: (&str, &str, u8, &str)| {
    let (text, path, verb, value) = input;
    let Ok(path) = Path::parse(path) else { return };
    assert_eq!(Path::parse(&path.to_string()).as_ref(), Ok(&path), "{path}");
    let verb = Verb::ALL[usize::from(verb) % Verb::ALL.len()];
    let keys = match value.parse::<toml_edit::Value>() {
        Ok(toml_edit::Value::InlineTable(table)) => {
            table.iter().map(|(key, value)| (key.to_owned(), Some(value.clone()))).collect()
        }
        _ => Vec::new(),
    };
    let change = Change { verb, path, keys };
    if let Ok(edited) = edit::apply(text, &[change]) {
        assert!(edit::whole(&edited.text).is_ok(), "{text:?}\n{:?}", edited.text);
        edited.blame(1);
    }
});

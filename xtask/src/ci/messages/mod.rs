//! Every error message of the product stands in what a test expects.
//!
//! - [`source`]: the sources, split into those of the product and those of tests.
//! - [`scope`]: what a name in an error stands for: a variable, a constant, a function.
//! - [`find`]: where the product speaks of errors, and what it says there.
//! - [`pattern`]: a message with its placeholders, and whether a text of a test meets it.
//! - [`except`]: the messages that no test meets, with the reason of each.
//!
//! Only words are compared: it shows that a test holds the message, and whoever reviews a test
//! sees that it asserts it. In return it takes a second, needs nothing built, and a message that
//! is new or reworded fails until a test has it.

mod except;
mod find;
mod pattern;
mod scope;
mod source;

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, bail};

use self::except::Exceptions;
use self::pattern::Pattern;
use self::source::Sources;
use crate::workspace::Workspace;

/// The messages that no test meets.
const EXCEPTIONS: &str = "xtask/src/ci/messages/exceptions.txt";
/// Fewer than these, and they were not found.
const LEAST: usize = 600;

/// Finds the messages and what tests expect, and names each that no test meets.
pub fn check(workspace: &Workspace) -> Result<()> {
    let sources = Sources::read(&workspace.root)?;
    let mut places: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for said in find::messages(&sources) {
        places.entry(said.text).or_default().push(said.place);
    }
    let count = places.len();
    if count < LEAST {
        bail!("{count} messages found, and there are at least {LEAST}: the search is broken");
    }
    let expected = find::expectations(&sources);
    places.retain(|text, _| !Pattern::of(text).is_met_by(&expected));
    let file = std::fs::read_to_string(workspace.root.join(EXCEPTIONS)).context(EXCEPTIONS)?;
    let exceptions = Exceptions::parse(&file)?;
    let mut wrong: Vec<String> = exceptions.idle(|text| places.contains_key(text));
    places.retain(|text, _| !exceptions.names(text));
    wrong.extend(places.iter().map(|(text, places)| format!("{}: {text:?}", places.join(", "))));
    if wrong.is_empty() {
        println!("    {count} messages, {} of them on {EXCEPTIONS}", exceptions.len());
        return Ok(());
    }
    let list = wrong.join("\n      ");
    bail!("messages that no test meets (of {count}; see {EXCEPTIONS}):\n      {list}")
}

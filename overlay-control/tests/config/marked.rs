//! Texts in which `¦` marks the place at which an error is expected; it is taken
//! out before the text is parsed.

use overlay_control::config::{Config, ConfigError};

pub const NODE: &str = "[node]\nname = \"gw1\"\nvtep = \"192.0.2.1\"\n";
pub const UPLINK: &str = "[[uplink]]\ninterface = \"eth0\"\n";
pub const BLUE: &str = "[[segment]]\nname = \"blue\"\nvni = 100\n";
pub const GW2: &str = "[[peer]]\nname = \"gw2\"\nvtep = \"192.0.2.2\"\nsegments = [\"blue\"]\n";

/// The places of the marks, and the text without them.
fn unmark(marked: &str) -> (Vec<(usize, usize)>, String) {
    let mut places = Vec::new();
    let mut text = String::new();
    let (mut line, mut column) = (1, 1);
    for c in marked.chars() {
        if c == '¦' {
            places.push((line, column));
            continue;
        }
        text.push(c);
        (line, column) = if c == '\n' { (line + 1, 1) } else { (line, column + 1) };
    }
    (places, text)
}

/// Parses a marked text and expects one error at each mark, in their order, with
/// this message and a help that holds these words.
#[track_caller]
pub fn refused(marked: &str, expected: &[(&str, &str)]) {
    let (places, text) = unmark(marked);
    assert_eq!(places.len(), expected.len(), "one mark for each error");
    let errors = Config::parse(&text, "gw.toml").expect_err("refused");
    let shown: Vec<String> = errors.iter().map(ConfigError::to_string).collect();
    let shown = shown.join("\n");
    assert_eq!(errors.len(), expected.len(), "{shown}");
    for ((error, (message, help)), (line, column)) in errors.iter().zip(expected).zip(places) {
        assert_eq!(error.message, *message, "{shown}");
        assert!(error.help.contains(help), "help without {help:?}:\n{shown}");
        assert_eq!((error.line, error.column), (line, column), "{shown}");
        assert_eq!(error.file, "gw.toml");
    }
}

#[track_caller]
pub fn accepted(text: &str) -> Config {
    match Config::parse(text, "gw.toml") {
        Ok(config) => config,
        Err(errors) => panic!("{}", errors[0]),
    }
}

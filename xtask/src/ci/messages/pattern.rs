//! A message as a format string has it, and whether the text of a test meets it.

/// Stands for a placeholder, in messages and in the texts of tests.
const ANY: char = '\u{0}';
/// A piece of a message has to have so many words, …
const WORDS: usize = 3;
/// … or so large a part of the message's own characters, in percent.
const SHARE: usize = 50;

/// A text that a test has.
pub struct Expected {
    /// With its own placeholders as such.
    text: String,
    /// How many words it has.
    words: usize,
}

impl Expected {
    /// From a literal.
    pub fn of(literal: &str) -> Self {
        let text = plain(literal).trim_matches(|c: char| c == ANY || c.is_whitespace()).to_owned();
        Self { words: text.split_whitespace().count(), text }
    }
}

/// A message: what is fixed of it, between its placeholders.
pub struct Pattern {
    fixed: Vec<String>,
    /// The length of all that is fixed.
    len: usize,
}

impl Pattern {
    /// The pattern of a format string, or of a text without placeholders.
    pub fn of(text: &str) -> Self {
        let pieces = plain(text);
        let fixed = pieces.split(ANY).map(str::trim).filter(|piece| speaks(piece));
        let fixed: Vec<String> = fixed.map(str::to_owned).collect();
        Self { len: fixed.iter().map(String::len).sum(), fixed }
    }

    /// Whether one of the texts is this message: all that is fixed is in it, in its order; or
    /// a piece of the message, as where a test looks for words in an output.
    pub fn is_met_by(&self, texts: &[Expected]) -> bool {
        // Nothing but placeholders: what it holds is looked at where that is said.
        self.fixed.is_empty() || texts.iter().any(|text| self.is_in(&text.text) || self.has(text))
    }

    fn is_in(&self, text: &str) -> bool {
        let mut rest = text;
        text.len() >= self.len
            && self.fixed.iter().all(|piece| match rest.find(piece.as_str()) {
                Some(at) => {
                    rest = &rest[at + piece.len()..];
                    true
                }
                None => false,
            })
    }

    fn has(&self, Expected { text, words }: &Expected) -> bool {
        let is_enough = *words >= WORDS || *words > 1 && text.len() * 100 >= self.len * SHARE;
        is_enough && self.fixed.iter().any(|piece| piece.contains(text.as_str()))
    }
}

/// A format string with its placeholders as such.
fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '{' | '}' if rest.peek() == Some(&c) => {
                rest.next();
                plain.push(c);
            }
            '{' => {
                // A placeholder, unless it is a brace in a text that is no format.
                let inside: String = rest.clone().take_while(|c| *c != '}').collect();
                if rest.clone().any(|c| c == '}') && is_placeholder(&inside) {
                    rest.by_ref().take(inside.chars().count() + 1).for_each(drop);
                    plain.push(ANY);
                } else {
                    plain.push(c);
                }
            }
            _ => plain.push(c),
        }
    }
    plain
}

/// Whether this stands between braces of a format: a name or a number, and how it is shown.
fn is_placeholder(inside: &str) -> bool {
    let name = inside.split(':').next().unwrap_or_default();
    inside.len() < 40 && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// Punctuation between placeholders says nothing.
fn speaks(piece: &str) -> bool {
    piece.chars().filter(|c| c.is_alphanumeric()).count() > 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meets(message: &str, text: &str) -> bool {
        Pattern::of(message).is_met_by(&[Expected::of(text)])
    }

    #[test]
    fn a_message_is_met_with_its_values() {
        assert!(meets("is {integer}: out of range", "vni is 0: out of range"));
        assert!(meets("{} is no {1:?} of {name}", "a is no \"b\" of c"));
        assert!(meets("{a} is gone", "{b} is gone"), "tests have formats, too");
        assert!(!meets("no {} of {}", "of a no b"), "the order counts");
        assert!(!meets("is {integer}: out of range", "is 0: too large"));
    }

    #[test]
    fn a_piece_is_enough_where_it_is_large() {
        let message = "the route to {vtep} leaves by {device}, which is no [[uplink]]";
        assert!(meets(message, "which is no [[uplink]]"));
        assert!(!meets(message, "the route"), "too little");
        assert!(!meets(message, "route"));
        assert!(meets("{name} is down", "is down"));
        assert!(!meets("cannot write the answer", "write"));
    }

    #[test]
    fn placeholders_alone_are_met() {
        assert!(meets("{a}: {b}", ""));
        assert!(!meets("{a} is {b}", ""));
    }
}

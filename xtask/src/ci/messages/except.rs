//! The messages that no test meets: a heading says why, and the messages follow, each as the
//! source has it, escaped where it has several lines.

use anyhow::{Result, ensure};

/// The file of exceptions.
pub struct Exceptions(Vec<String>);

impl Exceptions {
    /// Reads lines: `## REASON`, then messages; other comments and empty lines say nothing.
    pub fn parse(text: &str) -> Result<Self> {
        let (mut has_reason, mut messages) = (false, Vec::new());
        for (index, line) in text.lines().enumerate() {
            if let Some(reason) = line.strip_prefix("## ") {
                has_reason = reason.split(' ').count() > 3;
                continue;
            }
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let number = index + 1;
            ensure!(has_reason, "line {number}: a message without a heading that says why");
            ensure!(!messages.iter().any(|m| m == line), "line {number}: twice: {line}");
            messages.push(line.to_owned());
        }
        Ok(Self(messages))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether a message is one of them.
    pub fn names(&self, message: &str) -> bool {
        self.0.iter().any(|known| *known == message.escape_debug().to_string() || known == message)
    }

    /// What to say of those that are met, or that nobody says any more.
    pub fn idle(&self, is_unmet: impl Fn(&str) -> bool) -> Vec<String> {
        let idle = self.0.iter().filter(|known| {
            let plain = known.replace("\\n", "\n").replace("\\\"", "\"");
            !is_unmet(known) && !is_unmet(&plain)
        });
        idle.map(|known| format!("an exception that is none any more: {known}")).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_stand_under_their_reason() {
        let text = "# about\n\n## only a broken kernel says this\nno way\ntwo\\nlines\n";
        let exceptions = Exceptions::parse(text).unwrap();
        assert_eq!(exceptions.len(), 2);
        assert!(exceptions.names("no way") && exceptions.names("two\nlines"));
        assert!(!exceptions.names("another"));
        let idle = exceptions.idle(|text| text == "two\nlines");
        assert_eq!(idle, ["an exception that is none any more: no way"]);
    }

    #[test]
    fn no_message_without_a_reason_nor_twice() {
        let refused = |text| Exceptions::parse(text).err().unwrap().to_string();
        assert!(refused("no way\n").starts_with("line 1"));
        assert!(refused("## why\nno way\n").starts_with("line 2"), "one word is no reason");
        assert!(refused("## as the kernel says\na b\na b\n").starts_with("line 3: twice"));
    }
}

//! Where in a configuration something is: `segment/blue/port/eth1/10`.

use std::fmt;
use std::net::IpAddr;

use toml_edit::{Item, TableLike};

use super::Fault;
use super::shape::{By, FILE, Key, Like, Shape};
use crate::config::Prefix;
use crate::config::nearest::nearest;
use crate::config::values;

/// The way to a table: words and names, with slashes between them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path {
    pub(super) steps: Vec<Step>,
}

/// One table in another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Step {
    pub shape: &'static Shape,
    pub which: Which,
}

/// Which of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Which {
    /// There is only one.
    Only,
    /// Values of the shape's keys, from the first on.
    Named(Vec<String>),
    /// The place in the list, from 0.
    At(usize),
    /// Behind the last.
    End,
}

/// No path that means anything is longer, in bytes.
const LONGEST: usize = 1024;

impl Path {
    /// Reads a path.
    ///
    /// # Errors
    ///
    /// What of it leads nowhere, and what would be right.
    pub fn parse(text: &str) -> Result<Self, Fault> {
        if text.len() > LONGEST {
            return Err(Fault::new("the path is too long", "a path such as peer/gw2"));
        }
        let mut words = text.trim_matches('/').split('/').peekable();
        let (mut steps, mut within) = (Vec::new(), &FILE);
        while let Some(word) = words.next() {
            let shape = within.within(word).ok_or_else(|| unknown(word, within))?;
            let which = match shape.by {
                By::Only => Which::Only,
                By::Position => position(words.next(), shape)?,
                By::Keys(keys) => named(keys, shape, &mut words)?,
            };
            steps.push(Step { shape, which });
            within = shape;
        }
        Ok(Self { steps })
    }

    /// Whether its table has no name, but a place in a list.
    pub(super) fn ends_in_a_position(&self) -> bool {
        let last = self.steps.last();
        last.is_some_and(|step| matches!(step.which, Which::At(_) | Which::End))
    }
}

fn unknown(word: &str, within: &Shape) -> Fault {
    let words = || within.within.iter().map(|shape| shape.word);
    let place = if within.word.is_empty() { "a configuration" } else { within.word };
    if within.within.is_empty() {
        let help = "end the path before it; single keys are part of the value";
        return Fault::new(format!("{place} has no {word:?} in it"), help);
    }
    let forms: Vec<String> = within.within.iter().map(Shape::form).collect();
    let mut help = format!("{place} has {}", forms.join(", "));
    if let Some(meant) = nearest(word, words()) {
        help = format!("did you mean {meant}? {help}");
    }
    Fault::new(format!("there is no {word:?} in {place}"), help)
}

fn position(word: Option<&str>, shape: &Shape) -> Result<Which, Fault> {
    let help = format!("{}, from 1, or {}/end for behind the last", shape.form(), shape.word);
    match word {
        Some("end") => Ok(Which::End),
        Some(word) => match word.parse::<u32>() {
            Ok(position @ 1..) => Ok(Which::At(position as usize - 1)),
            _ => Err(Fault::new(format!("{word:?} is no position"), help)),
        },
        None => Err(Fault::new(format!("{} needs a position", shape.word), help)),
    }
}

fn named<'a>(
    keys: &[Key],
    shape: &'static Shape,
    words: &mut std::iter::Peekable<impl Iterator<Item = &'a str>>,
) -> Result<Which, Fault> {
    let mut values: Vec<String> = Vec::new();
    for key in keys {
        // What may be left out ends where another table begins.
        let is_next = |word: &&str| values.is_empty() || shape.within(word).is_none();
        let Some(word) = words.next_if(is_next) else { break };
        let word = match (key.like, words.peek()) {
            // A network has a slash of its own.
            (Like::Network, Some(len)) => {
                let network = format!("{word}/{len}");
                words.next();
                network
            }
            _ => word.to_owned(),
        };
        key.like.check(&word).map_err(|mut fault| {
            fault.message = format!("{} {}", key.name, fault.message);
            fault
        })?;
        values.push(word);
    }
    if values.iter().all(String::is_empty) {
        let help = format!("write {}", shape.form());
        return Err(Fault::new(format!("{} needs a name", shape.word), help));
    }
    Ok(Which::Named(values))
}

impl Like {
    /// Whether a word can be a value.
    fn check(self, word: &str) -> Result<(), Fault> {
        let fault = |what, help: &str| Err(Fault::new(format!("{word:?} is no {what}"), help));
        match self {
            Self::Mac if values::station(word).is_err() => {
                fault("MAC address of a station", "such as 02:00:00:00:02:02")
            }
            Self::Ip if word.parse::<IpAddr>().is_err() => fault("IP address", "such as 10.0.0.5"),
            Self::Network if Prefix::parse(word).is_none() => {
                fault("network", "such as 10.9.0.0/16")
            }
            Self::Number if word.parse::<u16>().is_err() => fault("number", "a VLAN such as 10"),
            Self::Tag if !matches!(word, "802.1q" | "802.1ad") => {
                fault("kind of tag", "802.1q or 802.1ad")
            }
            _ => Ok(()),
        }
    }

    /// Whether an item of the file is the value that a path has; both may be missing.
    fn are_alike(self, item: Option<&Item>, word: Option<&str>) -> bool {
        let text = item.and_then(Item::as_str);
        let mac = |text: &str| values::station(text).ok();
        let ip = |text: &str| text.parse::<IpAddr>().ok();
        match self {
            Self::Tag => text.unwrap_or("802.1q") == word.unwrap_or("802.1q"),
            Self::Number => {
                let number = item.and_then(Item::as_integer);
                number == word.and_then(|word| word.parse().ok())
            }
            _ => match (text, word) {
                (Some(text), Some(word)) => match self {
                    Self::Mac => mac(text).is_some_and(|one| Some(one) == mac(word)),
                    Self::Ip => ip(text).is_some_and(|one| Some(one) == ip(word)),
                    Self::Network => {
                        Prefix::parse(text).is_some_and(|one| Some(one) == Prefix::parse(word))
                    }
                    _ => text == word,
                },
                _ => false,
            },
        }
    }

    /// The value that a path has, as an item of the file.
    fn item(self, word: &str) -> Item {
        match (self, word.parse::<i64>()) {
            (Self::Number, Ok(number)) => toml_edit::value(number),
            _ => toml_edit::value(word),
        }
    }
}

impl Step {
    /// Whether a table of the list is the one that is meant.
    pub fn means(&self, table: &dyn TableLike) -> bool {
        let Which::Named(names) = &self.which else { return false };
        let mut keys = self.shape.keys().iter().enumerate();
        keys.all(|(i, key)| {
            key.like.are_alike(table.get(key.name), names.get(i).map(String::as_str))
        })
    }

    /// The keys, and their values, that tell it from others.
    pub fn identity(&self) -> Vec<(&'static str, Item)> {
        let Which::Named(names) = &self.which else { return Vec::new() };
        let keys = self.shape.keys().iter().zip(names);
        keys.map(|(key, name)| (key.name, key.like.item(name))).collect()
    }

    /// Whether a value of such a key is the one that the path has; `None`: it is no such key.
    pub fn agrees(&self, name: &str, item: &Item) -> Option<bool> {
        let Which::Named(names) = &self.which else { return None };
        let (i, key) = self.shape.keys().iter().enumerate().find(|(_, key)| key.name == name)?;
        Some(key.like.are_alike(Some(item), names.get(i).map(String::as_str)))
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.shape.word)?;
        match &self.which {
            Which::Only => Ok(()),
            Which::Named(names) => names.iter().try_for_each(|name| write!(f, "/{name}")),
            Which::At(position) => write!(f, "/{}", position + 1),
            Which::End => f.write_str("/end"),
        }
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, step) in self.steps.iter().enumerate() {
            let slash = if i == 0 { "" } else { "/" };
            write!(f, "{slash}{step}")?;
        }
        Ok(())
    }
}

//! One line of a list.

use std::collections::HashMap;

use overlay_common::abi::{FdbKey, Target};
use overlay_common::id::{PeerId, SegmentId, Vlan};
use overlay_common::wire::TagKind;

use super::Purpose;
use crate::config::document::Wrong;
use crate::config::nearest::nearest;
use crate::config::values;
use crate::controller::Names;

const SYNTAX: &str = "a line is: SEGMENT MAC peer NAME, or SEGMENT MAC interface DEVICE \
                      [vlan ID [protocol 802.1ad]]";
/// How many names an error lists.
const SHOWN: usize = 10;

/// What is wrong with a line, and from which byte on.
#[derive(Debug)]
pub struct Fault {
    pub at: usize,
    pub wrong: Wrong,
}

/// Reads lines one after the other. What a line has in common with the one before
/// is not looked up again.
pub struct Lines {
    names: Names,
    purpose: Purpose,
    segments: HashMap<String, SegmentId>,
    peers: HashMap<String, PeerId>,
    segment: (String, SegmentId),
    place: (String, Target),
}

impl Lines {
    pub fn new(names: Names, purpose: Purpose) -> Self {
        let segments = names.segments().map(|(name, id)| (name.to_owned(), id)).collect();
        let peers = names.peers().map(|(name, id)| (name.to_owned(), id)).collect();
        Self {
            names,
            purpose,
            segments,
            peers,
            segment: (String::new(), SegmentId(0)),
            place: (String::new(), Target::port(0)),
        }
    }

    pub fn names(&self) -> &Names {
        &self.names
    }

    pub fn into_names(self) -> Names {
        self.names
    }

    /// The address on a line; `None` where there is none.
    pub fn read(&mut self, line: &str) -> Result<Option<(FdbKey, Target)>, Fault> {
        let text = line.split_once('#').map_or(line, |(text, _)| text);
        let mut words = Words { text, at: 0 };
        let Some((at, segment)) = words.next() else { return Ok(None) };
        let segment = self.segment(segment).map_err(|wrong| Fault { at, wrong })?;
        let (at, mac) = words.expect("the segment")?;
        let mac = values::station(mac).map_err(|wrong| Fault { at, wrong: named("mac", wrong) })?;
        let key = FdbKey { mac: mac.0, segment: segment.0 };
        let target = match self.purpose {
            Purpose::Load => self.place(segment, words)?,
            Purpose::Unload => Target::port(0),
        };
        Ok(Some((key, target)))
    }

    fn segment(&mut self, name: &str) -> Result<SegmentId, Wrong> {
        if self.segment.0 != name {
            let Some(id) = self.segments.get(name) else {
                return Err(self.unknown("segment", name, self.segments.keys()));
            };
            self.segment = (name.to_owned(), *id);
            self.place.0.clear();
        }
        Ok(self.segment.1)
    }

    fn place(&mut self, segment: SegmentId, words: Words<'_>) -> Result<Target, Fault> {
        let text = words.text[words.at..].trim_ascii();
        if self.place.0 != text || text.is_empty() {
            let target = self.find(segment, words)?;
            self.place = (text.to_owned(), target);
        }
        Ok(self.place.1)
    }

    fn find(&self, segment: SegmentId, mut words: Words<'_>) -> Result<Target, Fault> {
        let (at, kind) = words.expect("the mac")?;
        let target = match kind {
            "peer" => self.peer(segment, words.expect("peer")?)?,
            "interface" => self.port(segment, &mut words)?,
            _ => {
                let message = format!("{kind:?} is neither peer nor interface");
                return Err(Fault { at, wrong: Wrong::new(message, SYNTAX) });
            }
        };
        match words.next() {
            None => Ok(target),
            Some((at, word)) => {
                let message = format!("{word:?} is one word too many");
                Err(Fault { at, wrong: Wrong::new(message, SYNTAX) })
            }
        }
    }

    fn peer(&self, segment: SegmentId, (at, name): (usize, &str)) -> Result<Target, Fault> {
        let Some(id) = self.peers.get(name) else {
            return Err(Fault { at, wrong: self.unknown("peer", name, self.peers.keys()) });
        };
        let target = Target::peer(id.0);
        if !self.names.admits(segment, target) {
            let owner = &self.segment.0;
            let message = format!("peer {name} may not use segment {owner}");
            let help = format!("add {owner:?} to the peer's segments in the configuration");
            return Err(Fault { at, wrong: Wrong::new(message, help) });
        }
        Ok(target)
    }

    fn port(&self, segment: SegmentId, words: &mut Words<'_>) -> Result<Target, Fault> {
        let (at, interface) = words.expect("interface")?;
        let vlan = match words.next() {
            None => None,
            Some((_, "vlan")) => Some(vlan(words)?),
            Some((at, word)) => {
                let message = format!("{word:?} is not vlan");
                return Err(Fault { at, wrong: Wrong::new(message, SYNTAX) });
            }
        };
        match self.names.port(segment, interface, vlan) {
            Some(id) => Ok(Target::port(id.0)),
            None => {
                let owner = &self.segment.0;
                let message = match vlan {
                    None => format!("{interface} is no untagged port of segment {owner}"),
                    Some(vlan) => {
                        format!("VLAN {vlan} of {interface} is no port of segment {owner}")
                    }
                };
                let help = "name interface, vlan and protocol of one of its [[segment.port]]";
                Err(Fault { at, wrong: Wrong::new(message, help) })
            }
        }
    }

    fn unknown<'a>(
        &self,
        what: &str,
        typed: &str,
        known: impl Iterator<Item = &'a String>,
    ) -> Wrong {
        let mut known: Vec<&str> = known.map(String::as_str).collect();
        known.sort_unstable();
        let help = match nearest(typed, known.iter().copied()) {
            Some(word) => format!("did you mean {word:?}?"),
            None if known.is_empty() => format!("the configuration has no {what}"),
            None => {
                let more = if known.len() > SHOWN { ", ..." } else { "" };
                known.truncate(SHOWN);
                format!("the configuration has {}{more}", known.join(", "))
            }
        };
        Wrong::new(format!("there is no {what} {typed:?}"), help)
    }
}

/// What follows `vlan`: its number, and the kind of its tags.
fn vlan(words: &mut Words<'_>) -> Result<Vlan, Fault> {
    let (at, word) = words.expect("vlan")?;
    let mut rest = *words;
    let kind = match rest.next() {
        Some((_, "protocol")) => {
            *words = rest;
            tag_kind(words.expect("protocol")?)?
        }
        _ => TagKind::default(),
    };
    word.parse().ok().and_then(|id| Vlan::new(id, kind)).ok_or_else(|| {
        let help = "a number from 1 to 4094; leave vlan out for untagged frames";
        Fault { at, wrong: Wrong::new(format!("vlan {word} is out of range"), help) }
    })
}

fn tag_kind((at, word): (usize, &str)) -> Result<TagKind, Fault> {
    TagKind::ALL.into_iter().find(|kind| kind.name() == word).ok_or_else(|| {
        let wrong = Wrong::new(format!("protocol {word} does not exist"), "802.1q or 802.1ad");
        Fault { at, wrong }
    })
}

fn named(key: &str, wrong: Wrong) -> Wrong {
    Wrong { message: format!("{key} {}", wrong.message), ..wrong }
}

/// The words of a line with their places.
#[derive(Clone, Copy)]
struct Words<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Words<'a> {
    fn next(&mut self) -> Option<(usize, &'a str)> {
        let rest = &self.text.as_bytes()[self.at..];
        let start = self.at + rest.iter().position(|byte| !byte.is_ascii_whitespace())?;
        let rest = &self.text.as_bytes()[start..];
        let len = rest.iter().position(u8::is_ascii_whitespace).unwrap_or(rest.len());
        self.at = start + len;
        Some((start, &self.text[start..self.at]))
    }

    /// The next word, which has to be there.
    fn expect(&mut self, after: &str) -> Result<(usize, &'a str), Fault> {
        let at = self.text.trim_ascii_end().len();
        let wrong = || Wrong::new(format!("the line ends after {after}"), SYNTAX);
        self.next().ok_or_else(|| Fault { at, wrong: wrong() })
    }
}

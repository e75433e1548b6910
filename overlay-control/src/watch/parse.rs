//! From words to a filter. The words are tcpdump's where it has them (pcap-filter(7)).
//!
//! ```text
//! either  := both ("or" both)*
//! both    := one (["and"] one)*
//! one     := "not" one | "(" either ")" | term
//! ```

use std::fmt;
use std::net::IpAddr;

use overlay_common::abi::Hook;
use overlay_common::verdict::DropReason;
use overlay_common::wire::{Mac, ethertype, protocol};

use super::filter::{End, Filter, Term};
use crate::config::{Prefix, parse_mac};
use crate::explain::listed;

/// Words and nesting of a filter; longer ones are refused.
const MOST_WORDS: usize = 256;
const DEEPEST: usize = 32;

/// What the names in a filter stand for.
pub trait Known {
    /// A segment's VNI and ports, as [`Term::Segment`] has them.
    fn segment(&self, name: &str) -> Option<Term>;
    /// A peer's VTEP.
    fn peer(&self, name: &str) -> Option<IpAddr>;
    /// A device's index.
    fn interface(&self, name: &str) -> Option<u32>;
    /// What there is of a kind: `segment`, `peer` or `interface`.
    fn names(&self, kind: &str) -> Vec<String>;
}

/// What is wrong with a filter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilterError {
    /// The word, counted from 1; behind the last where something is missing.
    pub word: usize,
    /// What is wrong with it, and what would be right.
    pub what: String,
}

impl fmt::Display for FilterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "filter, word {}: {}", self.word, self.what)
    }
}

impl std::error::Error for FilterError {}

/// Reads a filter; no words take everything.
///
/// # Errors
///
/// It is no filter, or names what is not there.
pub fn parse(text: &str, known: &dyn Known) -> Result<Filter, FilterError> {
    let spaced = text.replace('(', " ( ").replace(')', " ) ").replace('!', " not ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    if words.is_empty() {
        return Ok(Filter::All);
    }
    let mut parser = Parser { words, at: 0, depth: 0, known };
    if parser.words.len() > MOST_WORDS {
        parser.at = MOST_WORDS;
        return Err(parser.error(format!("a filter has {MOST_WORDS} words at most")));
    }
    let filter = parser.either()?;
    match parser.peek() {
        None => Ok(filter),
        Some(word) => Err(parser.error(format!("{word:?} is one too many"))),
    }
}

struct Parser<'a> {
    words: Vec<&'a str>,
    at: usize,
    depth: usize,
    known: &'a dyn Known,
}

impl<'a> Parser<'a> {
    fn error(&self, what: String) -> FilterError {
        FilterError { word: self.at + 1, what }
    }

    fn peek(&self) -> Option<&'a str> {
        self.words.get(self.at).copied()
    }

    fn take(&mut self, word: &str) -> bool {
        let is_it = self.peek() == Some(word);
        self.at += usize::from(is_it);
        is_it
    }

    /// The next word, which is `what`.
    fn next(&mut self, what: &str) -> Result<&'a str, FilterError> {
        let word = self.peek().ok_or_else(|| self.error(format!("{what} is missing")))?;
        self.at += 1;
        Ok(word)
    }

    /// The next word as what `read` makes of it.
    fn value<T>(
        &mut self,
        what: &str,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Result<T, FilterError> {
        let word = self.next(what)?;
        read(word).ok_or_else(|| {
            self.at -= 1;
            self.error(format!("{word:?} is not {what}"))
        })
    }

    fn either(&mut self) -> Result<Filter, FilterError> {
        let mut filters = vec![self.both()?];
        while self.take("or") || self.take("||") {
            filters.push(self.both()?);
        }
        Ok(one_or(filters, Filter::Or))
    }

    fn both(&mut self) -> Result<Filter, FilterError> {
        let mut filters = vec![self.one()?];
        loop {
            let joined = self.take("and") || self.take("&&");
            let goes_on = self.peek().is_some_and(|word| !matches!(word, "or" | "||" | ")"));
            if !joined && !goes_on {
                return Ok(one_or(filters, Filter::And));
            }
            filters.push(self.one()?);
        }
    }

    fn one(&mut self) -> Result<Filter, FilterError> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(self.error(format!("a filter is {DEEPEST} deep at most")));
        }
        let filter = if self.take("not") {
            Filter::Not(Box::new(self.one()?))
        } else if self.take("(") {
            let inside = self.either()?;
            if !self.take(")") {
                return Err(self.error("a \")\" is missing".to_owned()));
            }
            inside
        } else {
            self.term()?
        };
        self.depth -= 1;
        Ok(filter)
    }

    fn end(&mut self) -> End {
        if self.take("src") {
            End::Source
        } else if self.take("dst") {
            End::Destination
        } else {
            End::Any
        }
    }

    fn term(&mut self) -> Result<Filter, FilterError> {
        let end = self.end();
        let word = self.next("something to look for")?;
        let term = match word {
            "host" => Term::Net(end, Prefix::host(self.value(ADDRESS, |w| w.parse().ok())?)),
            "net" => Term::Net(end, self.value("a network such as 10.0.0.0/8", Prefix::parse)?),
            "port" => Term::Port(end, self.value("a port, 0 to 65535", |w| w.parse().ok())?),
            "ether" if end == End::Any => return self.ether(),
            "tcp" | "udp" if end == End::Any => return self.transport(word),
            _ => return self.rest(end, word),
        };
        Ok(Filter::Is(term))
    }

    /// `ether host MAC`, `ether src MAC`, `ether proto NUMBER`.
    fn ether(&mut self) -> Result<Filter, FilterError> {
        if self.take("proto") {
            let kind = self.value("an EtherType such as 0x0806", number)?;
            return Ok(Filter::Is(Term::Ethertype(kind)));
        }
        let end = self.end();
        let named = self.take("host");
        if end == End::Any && !named {
            return Err(self.error("after ether: host, src, dst or proto".to_owned()));
        }
        let mac: Mac = self.value("a MAC address", |word| parse_mac(word.as_bytes()))?;
        Ok(Filter::Is(Term::Mac(end, mac)))
    }

    /// `tcp`, or `tcp port N`.
    fn transport(&mut self, word: &str) -> Result<Filter, FilterError> {
        let number = if word == "tcp" { protocol::TCP } else { protocol::UDP };
        let is = Filter::Is(Term::Protocol(number));
        let begun = self.at;
        let end = self.end();
        if self.take("port") {
            let port = self.value("a port, 0 to 65535", |word| word.parse().ok())?;
            return Ok(Filter::And(vec![is, Filter::Is(Term::Port(end, port))]));
        }
        self.at = begun;
        Ok(is)
    }

    fn rest(&mut self, end: End, word: &str) -> Result<Filter, FilterError> {
        if let Some(net) = network(word) {
            return Ok(Filter::Is(Term::Net(end, net)));
        }
        if end != End::Any {
            self.at -= 1;
            return Err(self.error(format!("{word:?} has no ends; host, net and port have")));
        }
        let is = |term| Ok(Filter::Is(term));
        match word {
            "ip" => is(Term::Ethertype(ethertype::IPV4)),
            "ip6" => is(Term::Ethertype(ethertype::IPV6)),
            "arp" => is(Term::Ethertype(ethertype::ARP)),
            "icmp" => is(Term::Protocol(protocol::ICMP)),
            "icmp6" => is(Term::Protocol(protocol::ICMPV6)),
            "proto" => is(Term::Protocol(self.value("a protocol, 0 to 255", |w| w.parse().ok())?)),
            "vlan" => is(Term::Vlan(self.value("a VLAN, 1 to 4094", |w| up_to(w, 1, 4094))?)),
            "vni" => is(Term::Vni(self.value("a VNI, 1 to 16777215", |w| up_to(w, 1, 0xff_ffff))?)),
            "less" => is(Term::Less(self.value("a length in bytes", |w| w.parse().ok())?)),
            "greater" => is(Term::Greater(self.value("a length in bytes", |w| w.parse().ok())?)),
            "drop" | "dropped" => is(Term::Dropped),
            "reason" => is(Term::Reason(self.value(&reasons(), |word| {
                DropReason::ALL.iter().copied().find(|reason| reason.name() == word)
            })?)),
            "hook" => is(Term::Hook(self.value("xdp, tc or user", hook)?)),
            "segment" | "peer" | "interface" => self.named(word),
            _ => {
                self.at -= 1;
                Err(self.error(format!("{word:?} is no word of a filter; these are: {WORDS}")))
            }
        }
    }

    fn named(&mut self, kind: &str) -> Result<Filter, FilterError> {
        let name = self.next("a name")?;
        let known = self.known;
        let term = match kind {
            "segment" => known.segment(name),
            "peer" => known.peer(name).map(Term::Peer),
            _ => known.interface(name).map(Term::Interface),
        };
        term.map(Filter::Is).ok_or_else(|| {
            self.at -= 1;
            let names = listed(known.names(kind).into_iter());
            self.error(format!("this gateway has no {kind} {name:?}; those are: {names}"))
        })
    }
}

/// What a reason may be.
fn reasons() -> String {
    let names: Vec<&str> = DropReason::ALL.iter().map(|reason| reason.name()).collect();
    format!("a reason for drops, which are: {}", names.join(", "))
}

const ADDRESS: &str = "an IP address";
const WORDS: &str = "host, net, port (each with src or dst before), ether host, ether proto, ip, \
                     ip6, arp, tcp, udp, icmp, icmp6, proto, vlan, vni, segment, peer, interface, \
                     drop, reason, hook, less, greater, and, or, not, ( )";

fn one_or(mut filters: Vec<Filter>, of: fn(Vec<Filter>) -> Filter) -> Filter {
    match filters.len() {
        1 => filters.swap_remove(0),
        _ => of(filters),
    }
}

/// An address or a network that stands by itself.
fn network(word: &str) -> Option<Prefix> {
    let address = || word.parse().ok().map(Prefix::host);
    Prefix::parse(word).or_else(address)
}

fn number(word: &str) -> Option<u16> {
    match word.strip_prefix("0x") {
        Some(digits) => u16::from_str_radix(digits, 16).ok(),
        None => word.parse().ok(),
    }
}

fn up_to<T: std::str::FromStr + PartialOrd>(word: &str, least: T, most: T) -> Option<T> {
    word.parse().ok().filter(|number| (least..=most).contains(number))
}

fn hook(word: &str) -> Option<Hook> {
    [Hook::Xdp, Hook::Tc, Hook::User].into_iter().find(|hook| hook.name() == word)
}

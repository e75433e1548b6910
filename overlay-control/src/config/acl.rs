//! `[[segment.acl]]`: reading rules, and making lists of them.

use std::ops::Range;
use std::sync::Arc;

use overlay_common::abi::{MAX_FILTER_NODES, MAX_RULES};
use overlay_common::wire::protocol;

use super::document::Section;
use super::read::{Draft, DraftSegment};
use super::source::{At, Problems};
use super::{Prefix, values};
use crate::acl::{Entry, List, Looks};

/// What a list is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// What hosts behind this node's ports send.
    In,
    /// What is sent to them.
    Out,
}

pub struct DraftRule {
    pub span: Range<usize>,
    pub direction: Option<At<Direction>>,
    pub permits: Option<At<bool>>,
    protocol: Option<At<Option<u8>>>,
    source: Option<At<Prefix>>,
    destination: Option<At<Prefix>>,
    source_port: Option<At<(u16, u16)>>,
    destination_port: Option<At<(u16, u16)>>,
    icmp_type: Option<At<u8>>,
}

/// What becomes of packets that no rule is for.
#[derive(Default)]
pub struct DraftDefault {
    pub inwards: Option<At<bool>>,
    pub outwards: Option<At<bool>>,
}

pub fn default(section: Option<Section>, p: &mut Problems) -> DraftDefault {
    let Some(mut s) = section else { return DraftDefault::default() };
    let default = DraftDefault {
        inwards: s.optional(p, "in", values::permits),
        outwards: s.optional(p, "out", values::permits),
    };
    s.finish(p);
    default
}

pub fn rule(mut s: Section, p: &mut Problems) -> DraftRule {
    let rule = DraftRule {
        span: s.span.clone(),
        direction: s.required(
            p,
            "direction",
            values::direction,
            "add direction = \"in\" or \"out\"",
        ),
        permits: s.required(p, "action", values::permits, "add action = \"permit\" or \"deny\""),
        protocol: s.optional(p, "protocol", values::protocol),
        source: s.optional(p, "source", values::addresses),
        destination: s.optional(p, "destination", values::addresses),
        source_port: s.optional(p, "source_port", values::ports),
        destination_port: s.optional(p, "destination_port", values::ports),
        icmp_type: s.optional(p, "icmp_type", values::icmp_type),
    };
    s.finish(p);
    agree(&rule, p);
    rule
}

/// What only several values of a rule can get wrong.
fn agree(rule: &DraftRule, p: &mut Problems) {
    let protocol = rule.protocol.as_ref().and_then(|at| at.value);
    let has_ports = matches!(protocol, Some(protocol::TCP | protocol::UDP | protocol::SCTP));
    let ports = [("source_port", &rule.source_port), ("destination_port", &rule.destination_port)];
    for (key, port) in ports {
        if let Some(at) = port.as_ref().filter(|_| !has_ports) {
            let help = "add protocol = \"tcp\", \"udp\" or \"sctp\"";
            p.add(&at.span, format!("{key} of a protocol without ports"), help);
        }
    }
    let is_icmp = matches!(protocol, Some(protocol::ICMP | protocol::ICMPV6));
    if let Some(at) = rule.icmp_type.as_ref().filter(|_| !is_icmp) {
        let help = "add protocol = \"icmp\" or \"icmpv6\"";
        p.add(&at.span, "icmp_type of another protocol", help);
    }
    let is_v4 = |at: &Option<At<Prefix>>| at.as_ref().map(|at| at.value.address.is_ipv4());
    let (from, to) = (is_v4(&rule.source), is_v4(&rule.destination));
    let Some(at) = rule.destination.as_ref().or(rule.source.as_ref()) else { return };
    if from.is_some() && to.is_some() && from != to {
        let help = "a packet is of one family: write a rule for each";
        p.add(&at.span, "source and destination are of two families", help);
    }
    let of_protocol = match protocol {
        Some(protocol::ICMP) => Some(true),
        Some(protocol::ICMPV6) => Some(false),
        _ => None,
    };
    if of_protocol.is_some_and(|v4| from.or(to) == Some(!v4)) {
        let help = "ICMP is IPv4's, ICMPv6 is IPv6's";
        p.add(&at.span, "protocol and address are of two families", help);
    }
}

/// The lists of a segment: what its hosts send, what they get.
pub type Lists = [Option<Arc<List>>; 2];

/// The lists of each segment; none of any behind the first problem.
pub fn lists(draft: &Draft, problems: &mut Problems) -> Vec<Lists> {
    let mut lists = match count(draft, problems) {
        Some(rules) => compiled(draft, Looks::at(rules), problems),
        None => Vec::new(),
    };
    lists.resize(draft.segments.len(), [None, None]);
    lists
}

/// How many rules there are, where the tables have room for them.
fn count(draft: &Draft, problems: &mut Problems) -> Option<usize> {
    let mut rules = 0;
    for segment in &draft.segments {
        let lists = DIRECTIONS.iter().filter(|direction| segment.list_span(**direction).is_some());
        rules += segment.acl.len() + lists.count() * List::BESIDE;
        let Some(span) = segment.lists_span() else { continue };
        if !fit(rules, MAX_RULES, "rules, two of each list counted in", span, problems) {
            return None;
        }
    }
    Some(rules)
}

fn compiled(draft: &Draft, mut looks: Looks, problems: &mut Problems) -> Vec<Lists> {
    let (mut all, mut comparisons) = (Vec::new(), 0);
    for segment in &draft.segments {
        let mut lists = [None, None];
        for (list, direction) in lists.iter_mut().zip(DIRECTIONS) {
            let Some(span) = segment.list_span(direction) else { continue };
            let Some(made) = segment.list(direction, &mut looks, problems) else { return all };
            comparisons += made.nodes();
            let what = "comparisons that their rules are made into";
            if !fit(comparisons, MAX_FILTER_NODES, what, span, problems) {
                return all;
            }
            *list = Some(Arc::new(made));
        }
        all.push(lists);
    }
    all
}

const DIRECTIONS: [Direction; 2] = [Direction::In, Direction::Out];

/// All lists have to fit into half of a table: a list that changes is put beside the old one.
fn fit(count: usize, room: u32, what: &str, span: &Range<usize>, problems: &mut Problems) -> bool {
    let most = room / 2;
    let fits = count <= most as usize;
    if !fits {
        let message = format!("up to this segment, access lists have {count} {what}");
        problems.add(span, message, format!("{most} is the most of all segments together"));
    }
    fits
}

impl DraftSegment {
    /// Where its lists begin, if there are any.
    fn lists_span(&self) -> Option<&Range<usize>> {
        DIRECTIONS.iter().find_map(|direction| self.list_span(*direction))
    }

    /// Where the list of a direction begins, if there is anything in it.
    fn list_span(&self, direction: Direction) -> Option<&Range<usize>> {
        let default = self.default(direction).map(|at| &at.span);
        self.rules(direction).next().map(|rule| &rule.span).or(default)
    }

    fn rules(&self, direction: Direction) -> impl Iterator<Item = &DraftRule> {
        let is_its = move |rule: &&DraftRule| {
            rule.direction.as_ref().is_some_and(|at| at.value == direction)
        };
        self.acl.iter().filter(is_its)
    }

    const fn default(&self, direction: Direction) -> Option<&At<bool>> {
        match direction {
            Direction::In => self.acl_default.inwards.as_ref(),
            Direction::Out => self.acl_default.outwards.as_ref(),
        }
    }

    fn list(
        &self,
        direction: Direction,
        looks: &mut Looks,
        problems: &mut Problems,
    ) -> Option<List> {
        let entries = self.rules(direction).filter_map(entry).collect();
        // Whoever writes rules says what is allowed.
        let permits = self.default(direction).is_some_and(|at| at.value);
        let list = List::within(entries, permits, looks);
        if let (Err(_), Some(span)) = (&list, self.list_span(direction)) {
            let help = "use fewer rules, or fewer that overlap others in several of their values";
            problems.add(span, "up to this access list, rules overlap in too many ways", help);
        }
        list.ok()
    }
}

fn entry(rule: &DraftRule) -> Option<Entry> {
    Some(Entry {
        permits: rule.permits.as_ref()?.value,
        protocol: rule.protocol.as_ref().and_then(|at| at.value),
        source: rule.source.as_ref().map(|at| at.value),
        destination: rule.destination.as_ref().map(|at| at.value),
        source_port: rule.source_port.as_ref().map(|at| at.value),
        destination_port: rule.destination_port.as_ref().map(|at| at.value),
        icmp_type: rule.icmp_type.as_ref().map(|at| at.value),
    })
}

//! `[[segment.acl]]`: reading rules, and making lists of them.

use std::ops::Range;
use std::sync::Arc;

use overlay_common::abi::{MAX_FILTER_NODES, MAX_RULES};
use overlay_common::wire::protocol;

use super::document::Section;
use super::read::{Draft, DraftSegment};
use super::source::{At, Problems};
use super::{Prefix, values};
use crate::acl::{Entry, List};

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

/// The lists of each segment.
pub fn lists(draft: &Draft, problems: &mut Problems) -> Vec<[Option<Arc<List>>; 2]> {
    // Before any of them is compiled.
    let mut rules = 0;
    for segment in &draft.segments {
        let count = segment.acl.len() + 2 * List::BESIDE;
        let Some(span) = segment.acl_span() else { continue };
        rules += count;
        if !fit(rules, MAX_RULES, "rules, four of each segment counted in", span, problems) {
            return draft.segments.iter().map(|_| [None, None]).collect();
        }
    }
    let mut comparisons = 0;
    let of = |segment: &DraftSegment| {
        let mut list = |direction| list(&segment.acl, &segment.acl_default, direction, problems);
        let lists = [list(Direction::In), list(Direction::Out)];
        comparisons += lists.iter().flatten().map(|list| list.nodes()).sum::<usize>();
        if let Some(span) = segment.acl_span() {
            let what = "comparisons that their rules are made into";
            fit(comparisons, MAX_FILTER_NODES, what, span, problems);
        }
        lists
    };
    draft.segments.iter().map(of).collect()
}

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
    fn acl_span(&self) -> Option<&Range<usize>> {
        let DraftDefault { inwards, outwards } = &self.acl_default;
        let default = inwards.as_ref().or(outwards.as_ref()).map(|at| &at.span);
        self.acl.first().map(|rule| &rule.span).or(default)
    }
}

/// The list of a direction; `None` where there is nothing in it.
fn list(
    rules: &[DraftRule],
    default: &DraftDefault,
    direction: Direction,
    problems: &mut Problems,
) -> Option<Arc<List>> {
    let is_its =
        |rule: &&DraftRule| rule.direction.as_ref().is_some_and(|at| at.value == direction);
    let own: Vec<&DraftRule> = rules.iter().filter(is_its).collect();
    let said = match direction {
        Direction::In => &default.inwards,
        Direction::Out => &default.outwards,
    };
    let span = own.first().map(|rule| &rule.span).or(said.as_ref().map(|at| &at.span))?;
    let entries = own.iter().filter_map(|rule| entry(rule)).collect();
    // Whoever writes rules says what is allowed.
    match List::new(entries, said.as_ref().is_some_and(|at| at.value)) {
        Ok(list) => Some(Arc::new(list)),
        Err(_) => {
            let help = "use fewer rules, or fewer that overlap others in several of their values";
            problems.add(span, "the rules of this access list overlap in too many ways", help);
            None
        }
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

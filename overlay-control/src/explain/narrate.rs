//! From what the path asked to what each stage did, in words.

pub(in crate::explain) mod copies;
mod ways;

use overlay_common::abi::{
    AccessKey, FdbEntry, FdbKey, FilterKey, GuardKey, Hook, Neighbour, NeighbourKey, Permit,
    PermitKey, PolicerKey, PuntReason, Route, RouteKey, Target, Vtep,
};
use overlay_common::verdict::{DropReason, Verdict};
use overlay_common::wire::Mac;
use std::net::IpAddr;

use super::event::Event;
use super::headers::Headers;
use super::run::{Pass, Place};
use super::words::Words;
use super::{Stage, Step};
use crate::controller::Origin;

/// Tells of one pass.
pub struct Narrator<'a> {
    pub(super) words: Words<'a>,
    /// The frame as it came in; of what user space has, as it was handed over.
    pub(super) frame: &'a Headers,
    /// What a tunnel carries.
    pub(super) inner: Option<&'a Headers>,
    pub(super) pass: &'a Pass,
    steps: Vec<Step>,
    /// Told last, as it is done.
    learnt: Vec<Step>,
    place: Where,
}

/// Where the path is.
#[derive(Clone, Copy, Debug, Default)]
struct Where {
    /// From a peer.
    peer: Option<u32>,
    segment: u16,
    is_resolved: bool,
    is_routed: bool,
    /// An answer is looked for.
    answers: bool,
    is_flooded: bool,
    is_open: bool,
}

impl<'a> Narrator<'a> {
    /// Of a pass over this frame.
    pub fn new(
        words: Words<'a>,
        frame: &'a Headers,
        inner: Option<&'a Headers>,
        pass: &'a Pass,
    ) -> Self {
        let (steps, learnt, place) = (Vec::new(), Vec::new(), Where::default());
        Self { words, frame, inner, pass, steps, learnt, place }
    }

    /// What each stage did.
    pub fn tell(mut self) -> Vec<Step> {
        for at in 0..self.pass.events.len() {
            self.event(at);
        }
        self.ended();
        let mut told: Vec<Step> = Vec::new();
        // What few frames need is done first, and then the frame goes its way from the start.
        for step in self.steps.into_iter().chain(self.learnt) {
            if step.stage == Stage::Flood || !told.contains(&step) {
                told.push(step);
            }
        }
        told
    }

    fn step(&mut self, stage: Stage, asked: impl Into<String>, found: impl Into<String>) {
        self.steps.push(Step { stage, asked: asked.into(), found: found.into(), is_end: false });
    }

    fn end(&mut self, stage: Stage, asked: impl Into<String>, found: impl Into<String>) {
        self.steps.push(Step { stage, asked: asked.into(), found: found.into(), is_end: true });
    }

    fn event(&mut self, at: usize) {
        let pass = self.pass;
        let Some(event) = pass.events.get(at) else { return };
        match event {
            Event::Access(key, found) => self.access(*key, found.map(|access| access.segment)),
            Event::Guard(key, is_bound) => self.guard(key, *is_bound),
            Event::Vtep(address, found) => self.vtep(*address, *found),
            Event::Permit(key, found) => self.permit(*key, *found),
            Event::Fdb(key, found) => self.fdb(at, *key, *found),
            Event::Neighbour(key, found) => self.neighbour(key, *found),
            Event::Router(segment, router) => {
                self.place.is_routed = true;
                if router.vrf != 0 {
                    let (segment, vrf) = (self.words.segment(*segment), self.words.vrf(router.vrf));
                    self.step(Stage::Route, format!("the router of {segment}"), vrf);
                }
            }
            Event::Route(key, found) => self.route(key, *found),
            Event::Filter { segment, direction, rule } => {
                self.filter(*segment, *direction, *rule);
            }
            Event::Police(key, level, result) => {
                if level.is_some() {
                    self.police(key, *result);
                }
            }
            Event::Peer(index, peer) if !self.place.is_flooded => self.peer(*index, peer),
            Event::Way(way) if !self.place.is_flooded => self.way(way),
            Event::Port(index, port) if !self.place.is_flooded => self.port(at, *index, port),
            Event::Flood(_, target) => self.copy(at, *target),
            Event::MayTell(may) => self.may_tell(*may),
            Event::Punt(punt, _) => self.punt(punt.reason, punt.source),
            Event::Segment(..)
            | Event::Peer(..)
            | Event::Way(..)
            | Event::Port(..)
            | Event::Counted(..)
            | Event::Cut(_)
            | Event::CopyDropped(_) => {}
        }
    }

    fn access(&mut self, key: AccessKey, segment: Option<u16>) {
        let asked = format!("{}, {}", self.words.device(key.ifindex), self.words.vlan(key.vlan));
        let Some(segment) = segment else {
            let is_both = matches!(self.pass.result, Ok(Verdict::Pass));
            let found = if is_both { "no port of a segment: the host's" } else { "no segment" };
            self.end(Stage::Classify, asked, found);
            return;
        };
        self.place.segment = segment;
        let (name, vni) = (self.words.segment(segment), self.words.vni(segment));
        self.step(Stage::Classify, asked, format!("segment {name}, VNI {vni}"));
    }

    fn guard(&mut self, key: &GuardKey, is_bound: bool) {
        let (asked, port) = (guarded(key), self.words.port(u32::from(key.port)));
        if is_bound {
            self.step(Stage::Admit, asked, format!("a host of {port}: may send"));
        } else {
            self.end(Stage::Admit, asked, format!("no [[segment.port.host]] of {port} has this"));
        }
    }

    fn vtep(&mut self, address: IpAddr, found: Option<Vtep>) {
        let to = self.frame.ports.map_or(0, |[_, to]| to);
        let asked = format!("tunnel from {address}, UDP port {to}");
        let Some(vtep) = found else {
            self.end(Stage::Classify, asked, "no [[peer]] has this vtep");
            return;
        };
        self.place.peer = Some(vtep.peer());
        let found = format!("peer {}, {}", self.words.peer(vtep.peer()), vtep.encap().name());
        self.step(Stage::Classify, asked, found);
    }

    fn permit(&mut self, key: PermitKey, found: Option<Permit>) {
        if key.profile == PermitKey::ANY {
            match found {
                Some(permit) => {
                    self.place.segment = permit.segment;
                    let name = self.words.segment(permit.segment);
                    self.step(Stage::Admit, format!("VNI {}", key.vni), format!("segment {name}"));
                }
                None => self.end(Stage::Admit, format!("VNI {}", key.vni), "no segment has it"),
            }
            return;
        }
        let peer = self.place.peer.map_or_else(String::new, |index| self.words.peer(index));
        let segment = self.words.segment(self.place.segment);
        let asked = format!("may peer {peer} use {segment}?");
        match found {
            Some(own) if own.segment == self.place.segment => self.step(Stage::Admit, asked, "yes"),
            _ => self.end(Stage::Admit, asked, "no: not in its segments"),
        }
    }

    /// The inner frame's source, or that of the frame.
    fn source(&self) -> Option<Mac> {
        let frame = if self.place.peer.is_some() { self.inner } else { Some(self.frame) };
        frame.and_then(Headers::source)
    }

    fn destination(&self) -> Option<Mac> {
        let frame = if self.place.peer.is_some() { self.inner } else { Some(self.frame) };
        frame.and_then(Headers::destination)
    }

    fn fdb(&mut self, at: usize, key: FdbKey, found: Option<FdbEntry>) {
        let (segment, mac) = (self.words.segment(key.segment), key.station());
        let entry = found.map(|entry| {
            let origin = self.words.origin(Origin::of(&entry));
            (entry.target, format!("{}, {origin}", self.words.target(entry.target)))
        });
        if self.place.answers {
            self.place.answers = false;
            let found = entry.map_or("in no FDB: not answered".to_owned(), |(_, place)| place);
            self.step(Stage::Answer, format!("{mac} in {segment}"), found);
        } else if self.place.is_routed && self.place.is_resolved && !self.is_learning(at, key) {
            let found = entry.map_or("not in the FDB".to_owned(), |(_, place)| place);
            self.step(Stage::Route, format!("{mac} in {segment}"), found);
        } else if self.is_learning(at, key) {
            self.learning(at, key, found);
        } else {
            self.place.is_resolved = true;
            let asked = format!("{mac} in {segment}");
            match entry {
                Some((_, place)) => self.step(Stage::Resolve, asked, place),
                None => self.step(Stage::Resolve, asked, "unknown: flooded to everybody"),
            }
        }
    }

    /// Whether the source is looked up, to learn it: the last look-up of all that are its own, and
    /// nobody sends to himself.
    fn is_learning(&self, at: usize, key: FdbKey) -> bool {
        let is_source = self.source() == Some(key.station());
        let is_destination = self.destination() == Some(key.station());
        let mut before = self.pass.events[..at].iter();
        let was_asked = before.any(|event| matches!(event, Event::Fdb(other, _) if *other == key));
        is_source && (!is_destination || was_asked || self.place.is_resolved)
    }

    fn learning(&mut self, at: usize, key: FdbKey, found: Option<FdbEntry>) {
        let asked = format!("source {}", key.station());
        let is_news = self.pass.events[at + 1..].iter().take(1).any(
            |event| matches!(event, Event::Punt(punt, _) if punt.reason == PuntReason::Learn as u8),
        );
        let source = self.pass.events[at + 1..].iter().find_map(|event| match event {
            Event::Punt(punt, _) if punt.reason == PuntReason::Learn as u8 => Some(punt.source),
            _ => None,
        });
        let place = found.map(|entry| self.words.target(entry.target));
        let refused = source
            .and_then(|source| self.words.unlearnable(key.station(), key.segment, source))
            .map(|[why, _]| why);
        let text = match (is_news, place, refused) {
            (true, _, Some(why)) => format!("not learnt: {why}"),
            (true, Some(place), None) => format!("moves here from {place}"),
            (true, None, None) => "new: is learnt".to_owned(),
            (false, Some(place), _) => format!("known at {place}"),
            (false, None, _) => "not known, and not learnt: learning = false".to_owned(),
        };
        let step = Step { stage: Stage::Learn, asked, found: text, is_end: false };
        self.learnt.push(step);
    }

    fn neighbour(&mut self, key: &NeighbourKey, found: Option<Neighbour>) {
        let asked = format!("{} in {}", key.ip(), self.words.segment(key.segment));
        let text = found.map_or("nobody known".to_owned(), |known| known.mac().to_string());
        if self.place.is_routed {
            self.step(Stage::Route, format!("next hop {asked}"), text);
        } else if self.says(key) {
            let step = Step {
                stage: Stage::Learn,
                asked: format!("{asked}, as the sender says"),
                found: text,
                is_end: false,
            };
            self.learnt.push(step);
        } else {
            self.place.answers = found.is_some();
            self.step(Stage::Answer, format!("whose is {asked}?"), text);
        }
    }

    /// Whether an address is what the sender says of itself, and not what it asks for.
    fn says(&self, key: &NeighbourKey) -> bool {
        let frame = if self.place.peer.is_some() { self.inner } else { Some(self.frame) };
        let ends = frame.and_then(|frame| frame.ends);
        ends.is_some_and(|[sender, _]| sender == key.ip()) || self.place.peer.is_some()
    }

    fn route(&mut self, key: &RouteKey, found: Option<(RouteKey, Route)>) {
        let mut asked = *key;
        // The address alone.
        asked.bits = RouteKey::prefix(0, IpAddr::V6(std::net::Ipv6Addr::UNSPECIFIED), 128).bits;
        let (address, _) = asked.network();
        let asked = format!("{address} in {}", self.words.vrf(key.vrf()));
        let Some((prefix, route)) = found else {
            self.end(Stage::Route, asked, "no route");
            return;
        };
        let prefix = self.words.prefix(prefix.network());
        let segment = self.words.segment(route.segment);
        let gateway = NeighbourKey { address: route.gateway, ..NeighbourKey::default() };
        let found = match route.kind {
            Route::LOCAL => "the router itself".to_owned(),
            Route::CONNECTED => format!("connected, segment {segment}"),
            Route::GATEWAY => format!("via {} in segment {segment}", gateway.ip()),
            Route::PEER => format!("the router of {}", self.words.target(route.target)),
            Route::BLACKHOLE => "blackhole".to_owned(),
            _ => "unreachable".to_owned(),
        };
        self.place.is_resolved = true;
        self.step(Stage::Route, asked, format!("{prefix}: {found}"));
    }

    fn filter(&mut self, segment: u16, direction: u16, rule: Option<overlay_common::abi::Branch>) {
        let way = if direction == FilterKey::IN { "in" } else { "out" };
        let asked = format!("access list of {}, {way}", self.words.segment(segment));
        let Some(rule) = rule else {
            self.end(Stage::Police, asked, "not there: denied");
            return;
        };
        let action = if rule.denies() { "deny" } else { "permit" };
        let text = match self.words.rule(rule.rule()).map(|at| at.line) {
            Some(line) => match line.position {
                Some(position) => format!("rule {position}: {action} {}", line.text),
                None => format!("{}: {action}", line.text),
            },
            None => format!("rule with index {}: {action}", rule.rule()),
        };
        if rule.denies() {
            self.end(Stage::Police, asked, text);
        } else {
            self.step(Stage::Police, asked, text);
        }
    }

    fn police(&mut self, key: &PolicerKey, result: Result<(), DropReason>) {
        let asked = format!("limits of {}", self.words.limited(key));
        match result {
            Ok(()) => self.step(Stage::Police, asked, "within them"),
            Err(DropReason::Storm) => self.end(Stage::Police, asked, "over its floods now"),
            Err(_) => self.end(Stage::Police, asked, "over them now"),
        }
    }

    fn punt(&mut self, reason: u8, source: Target) {
        let (asked, found) = match PuntReason::from_u8(reason) {
            // Told with what was looked up.
            None | Some(PuntReason::Learn) => return,
            Some(PuntReason::Neighbour) => {
                let asked = format!("what a station at {} says", self.words.target(source));
                let found = "news: taken into the neighbour table".to_owned();
                self.learnt.push(Step { stage: Stage::Learn, asked, found, is_end: false });
                return;
            }
            Some(PuntReason::PeerUnresolved) => ("no way to the peer yet", "user space asks"),
            Some(PuntReason::Flood) => ("more peers than the kernel sends to", "user space sends"),
            Some(PuntReason::Control) => ("a control packet", "user space has it; nothing answers"),
            Some(PuntReason::Fragment) => {
                ("too long for its way, may be cut", "user space cuts it")
            }
            Some(PuntReason::Router) => ("more than routing it", "user space sees to it"),
        };
        self.step(Stage::Punt, asked, found);
    }

    /// What the answer of the pass adds.
    fn ended(&mut self) {
        let hook = match self.pass.place {
            Place::Hook(hook) => hook,
            Place::Forwarder(_) => Hook::User,
        };
        match self.pass.result {
            Ok(Verdict::Pass) if self.steps.is_empty() => {
                self.end(
                    Stage::Pass,
                    "a tunnel to this node, or a VLAN of a segment?",
                    "no: the host's",
                );
            }
            Ok(Verdict::Pass) => self.end(Stage::Pass, "what is not the overlay's", "the host's"),
            Ok(Verdict::Defer | Verdict::Route | Verdict::Flood) if hook == Hook::Xdp => {
                self.step(Stage::Defer, "more than XDP does here", "left untouched to tc");
                self.learnt.clear();
            }
            Ok(_) => {}
            Err(reason) => self.dropped(reason),
        }
    }

    /// Where nothing that was looked up says so, the stage of a reason does.
    fn dropped(&mut self, reason: DropReason) {
        if self.steps.last().is_some_and(|last| last.is_end) {
            return;
        }
        let stage = super::reasons::stage_of(reason, self.place.peer.is_some());
        self.end(stage, super::reasons::looked_at(reason, self.subject()), reason.name());
    }

    /// The frame that reasons are about.
    fn subject(&self) -> &'a Headers {
        match self.inner {
            Some(inner) if self.place.peer.is_some() => inner,
            _ => self.frame,
        }
    }
}

/// A host and its address.
pub(super) fn guarded(key: &GuardKey) -> String {
    let mac = Mac(key.mac);
    match key.address {
        [0, 0] => format!("{mac}"),
        address => {
            let ip = NeighbourKey { address, ..NeighbourKey::default() }.ip();
            format!("{mac} with {ip}")
        }
    }
}

//! What became of a frame, as a whole.

use overlay_common::abi::{Egress, Hook, NeighbourKey, Target};
use overlay_common::verdict::{DropReason, Verdict};

use super::event::Event;
use super::headers::{Headers, TunnelHeader, inner_of};
use super::narrate::Narrator;
use super::narrate::copies::{Fate, fate};
use super::reasons::{self, Advice, Facts};
use super::run::{Pass, Place, Ran, Why};
use super::watched::MOST_COPIES;
use super::words::Words;
use super::{Capture, Explanation, LONGEST, Live, Stage, Step};

/// What became of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The host has it: it is not the overlay's.
    Pass,
    /// It leaves in a tunnel.
    Transmit,
    /// It leaves by an access port.
    Deliver,
    /// Copies leave.
    Flood,
    /// Somebody is answered; the frame itself goes no further.
    Answer,
    /// It waits in user space for an address.
    Wait,
    /// User space has it, and does nothing with it.
    Absorb,
    /// It is dropped.
    Drop,
}

impl Outcome {
    /// The name in commands.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Transmit => "transmit",
            Self::Deliver => "deliver",
            Self::Flood => "flood",
            Self::Answer => "answer",
            Self::Wait => "wait",
            Self::Absorb => "absorb",
            Self::Drop => "drop",
        }
    }

    /// Whether the frame, or what is in it, goes where it was to go.
    pub const fn is_forwarded(self) -> bool {
        matches!(self, Self::Transmit | Self::Deliver | Self::Flood)
    }
}

/// A frame that leaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// The device.
    pub interface: String,
    /// Its index.
    pub ifindex: u32,
    /// The peer that it goes to, where it is a tunnel to one.
    pub peer: Option<String>,
    /// The frame in a line.
    pub line: String,
    /// What its tunnel carries, in a line.
    pub inner: Option<String>,
    /// Its bytes, as on a wire.
    pub bytes: Vec<u8>,
}

/// A receiver that gets no copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missed {
    /// Who.
    pub to: String,
    /// Why not.
    pub reason: DropReason,
    /// In words, with what would let it.
    pub advice: Advice,
}

/// What is common to all that is told of one frame.
struct Teller<'a> {
    capture: &'a Capture<'a>,
    words: Words<'a>,
    ran: &'a Ran,
    frame: Headers,
    tunnel: Option<(TunnelHeader, Headers)>,
}

/// Tells what became of a frame.
pub fn tell(capture: &Capture<'_>, live: &Live<'_>, ran: &Ran) -> Explanation {
    let words = Words { live };
    let mut frame = Headers::of(capture.frame);
    let tunnel = match capture.role.has_uplink() {
        true => inner_of(capture.frame, words.tunnel_ports()),
        false => None,
    };
    let missing = (capture.len as usize).saturating_sub(capture.frame.len());
    frame.len += missing;
    let tunnel = tunnel.map(|(header, mut inner)| {
        inner.len += missing;
        (header, inner)
    });
    Teller { capture, words, ran, frame, tunnel }.tell()
}

impl Teller<'_> {
    fn tell(&self) -> Explanation {
        let (outcome, reason, advice) = self.verdict();
        let missed = self.missed();
        let outputs: Vec<Output> = self.ran.sent().map(|sent| self.output(sent)).collect();
        let (outcome, reason, advice) = match (outcome, missed.first()) {
            // Nobody got one.
            (Outcome::Flood, Some(first)) if outputs.is_empty() => {
                (Outcome::Drop, Some(first.reason), Some(first.advice.clone()))
            }
            _ => (outcome, reason, advice),
        };
        let seen_to = || {
            let missed = missed.first().map(|first| first.advice.fix.clone());
            let full =
                self.deciding().and_then(|pass| reasons::learn_full(&self.facts(&pass.events)));
            full.map(|advice| (Some(advice.cause), Some(advice.fix))).unwrap_or((None, missed))
        };
        let (cause, fix) = match advice {
            Some(Advice { cause, fix }) => (cause, Some(fix)),
            None => {
                let (more, fix) = seen_to();
                let cause = self.done(outcome, &outputs);
                (more.map_or(cause.clone(), |more| format!("{cause}; {more}")), fix)
            }
        };
        let mut steps = self.steps();
        steps.extend(self.last_steps(outcome, &outputs));
        let told = Explanation {
            frame: self.frame.line(),
            inner: self.tunnel.as_ref().map(|(header, inner)| {
                format!("{} VNI {}, {}", header.encap.name(), header.vni, inner.line())
            }),
            interface: self.words.device(self.capture.ifindex),
            hook: self.capture.hook,
            steps,
            outcome,
            reason,
            cause,
            fix,
            outputs,
            missed,
            notes: self.notes(),
        };
        self.as_said(told)
    }

    fn facts<'b>(&'b self, events: &'b [Event]) -> Facts<'b> {
        Facts {
            words: self.words,
            capture: self.capture,
            frame: &self.frame,
            tunnel: self.tunnel.as_ref(),
            events,
            copy: None,
        }
    }

    /// The pass whose answer counts.
    fn deciding(&self) -> Option<&Pass> {
        self.ran.decisive()
    }

    fn verdict(&self) -> (Outcome, Option<DropReason>, Option<Advice>) {
        let Some(pass) = self.deciding() else { return (Outcome::Absorb, None, None) };
        let facts = self.facts(&pass.events);
        match pass.result {
            Err(reason) => (Outcome::Drop, Some(reason), Some(reasons::advice(reason, &facts))),
            Ok(Verdict::Pass) => (Outcome::Pass, None, None),
            Ok(Verdict::Transmit(_)) => (Outcome::Transmit, None, None),
            Ok(Verdict::Deliver(_)) if is_told(&pass.events) => {
                let reason = DropReason::TooBig;
                let advice = self.too_big(pass);
                (Outcome::Answer, Some(reason), Some(advice))
            }
            Ok(Verdict::Deliver(egress)) if self.is_answer(pass, egress) => {
                (Outcome::Answer, None, None)
            }
            Ok(Verdict::Deliver(_)) => (Outcome::Deliver, None, None),
            Ok(Verdict::Defer | Verdict::Route | Verdict::Flood | Verdict::Consumed) => {
                self.consumed(pass)
            }
        }
    }

    /// The way that a packet was too big for was asked for before its sender's own port was.
    fn too_big(&self, pass: &Pass) -> Advice {
        let told = pass.events.iter().position(|event| matches!(event, Event::MayTell(_)));
        // Of the events before, the last is the port of the sender.
        let before = &pass.events[..told.unwrap_or(0).saturating_sub(1)];
        reasons::advice(DropReason::TooBig, &self.facts(before))
    }

    fn is_answer(&self, pass: &Pass, egress: Egress) -> bool {
        let is_asked = |event: &Event| matches!(event, Event::Neighbour(_, Some(_)));
        let is_routed = |event: &Event| matches!(event, Event::Router(..));
        egress.ifindex == self.capture.ifindex
            && pass.events.iter().any(is_asked)
            && !pass.events.iter().any(is_routed)
    }

    /// What neither left nor was dropped at the hook.
    fn consumed(&self, pass: &Pass) -> (Outcome, Option<DropReason>, Option<Advice>) {
        let behind = self.ran.passes.iter().filter_map(|pass| match &pass.place {
            Place::Forwarder(why) => Some((why, pass)),
            Place::Hook(_) => None,
        });
        let behind: Vec<(&Why, &Pass)> = behind.collect();
        let facts = self.facts(&pass.events);
        for (why, pass) in &behind {
            let events = &pass.events;
            match (why, pass.result) {
                (Why::WaitForPeer, _) => {
                    let reason = DropReason::PeerUnresolved;
                    let known = self.peer_asked();
                    let advice = known.map_or_else(
                        || reasons::advice(reason, &facts),
                        |index| reasons::waits_for_peer(&facts, index),
                    );
                    return (Outcome::Wait, Some(reason), Some(advice));
                }
                (Why::WaitForNeighbour(key), _) => {
                    let reason = DropReason::NeighbourUnresolved;
                    let advice = reasons::waits_for_neighbour(&self.facts(&pass.events), key);
                    return (Outcome::Wait, Some(reason), Some(advice));
                }
                (Why::Whole, Err(reason))
                | (Why::Part(..) | Why::Routed | Why::Rest, Err(reason)) => {
                    let all: Vec<Event> = facts.events.iter().chain(events).cloned().collect();
                    let advice = reasons::advice(reason, &self.facts(&all));
                    return (Outcome::Drop, Some(reason), Some(advice));
                }
                (Why::Tell(Some(reason)), _) => {
                    let before: Vec<Event> = self.events_of_hooks();
                    let advice = reasons::advice(*reason, &self.facts(&before));
                    return (Outcome::Answer, Some(*reason), Some(advice));
                }
                (Why::Answer | Why::Tell(None), _) => return (Outcome::Answer, None, None),
                _ => {}
            }
        }
        let is_flooded = |pass: &Pass| pass.events.iter().any(|e| matches!(e, Event::Flood(..)));
        let tunnels = |pass: &&Pass| matches!(pass.result, Ok(Verdict::Transmit(_)));
        let delivers = |pass: &&Pass| matches!(pass.result, Ok(Verdict::Deliver(_)));
        let passes = || behind.iter().map(|(_, pass)| *pass);
        let outcome = if is_flooded(pass) || passes().any(is_flooded) {
            Outcome::Flood
        } else if passes().any(|pass| tunnels(&pass)) {
            Outcome::Transmit
        } else if passes().any(|pass| delivers(&pass)) {
            Outcome::Deliver
        } else {
            Outcome::Absorb
        };
        (outcome, None, None)
    }

    fn events_of_hooks(&self) -> Vec<Event> {
        self.ran.passes.iter().flat_map(|pass| &pass.events).cloned().collect()
    }

    /// The peer that was last found not to be ready.
    fn peer_asked(&self) -> Option<u32> {
        let events = self.ran.passes.iter().rev().flat_map(|pass| pass.events.iter().rev());
        let mut unready = events.filter_map(|event| match event {
            Event::Peer(index, peer) if !peer.is_ready() => Some(*index),
            _ => None,
        });
        unready.next()
    }

    /// Receivers that get no copy.
    fn missed(&self) -> Vec<Missed> {
        let mut missed = Vec::new();
        for pass in &self.ran.passes {
            if matches!(pass.place, Place::Forwarder(Why::WaitForNeighbour(_))) {
                continue;
            }
            for (at, event) in pass.events.iter().enumerate() {
                let Event::Flood(_, Some(target)) = event else { continue };
                let Fate::Dropped(reason) = fate(&pass.events, at) else { continue };
                missed.push(self.missed_by(&pass.events, at, *target, reason));
            }
        }
        missed
    }

    fn missed_by(&self, events: &[Event], at: usize, target: Target, reason: DropReason) -> Missed {
        // What was asked for this copy too.
        let behind = events.iter().skip(at + 1);
        let more = behind.take_while(|e| matches!(e, Event::Port(..) | Event::Peer(..))).count();
        let facts = Facts { copy: Some(target), ..self.facts(&events[..=at + more]) };
        Missed { to: self.words.target(target), reason, advice: reasons::advice(reason, &facts) }
    }

    fn output(&self, sent: &super::run::Sent) -> Output {
        let headers = Headers::of(&sent.bytes);
        let tunnel = inner_of(&sent.bytes, self.words.tunnel_ports());
        let controller = self.words.controller();
        let peer = headers
            .ends
            .filter(|_| tunnel.is_some())
            .and_then(|[_, to]| Some(controller?.peer_at(to)?.name));
        Output {
            interface: self.words.device(sent.egress.ifindex),
            ifindex: sent.egress.ifindex,
            peer,
            inner: tunnel.filter(|_| headers.ends.is_some()).map(|(header, inner)| {
                format!("{} VNI {}, {}", header.encap.name(), header.vni, inner.line())
            }),
            line: headers.line(),
            bytes: sent.bytes.clone(),
        }
    }

    fn steps(&self) -> Vec<Step> {
        let mut steps: Vec<Step> = Vec::new();
        for pass in &self.ran.passes {
            let inner = self.tunnel.as_ref().map(|(_, inner)| inner);
            if let Place::Forwarder(why) = &pass.place {
                steps.push(Step {
                    stage: Stage::Punt,
                    asked: "in user space".to_owned(),
                    found: self.why(why, pass.result),
                    is_end: matches!(why, Why::Whole | Why::WaitForPeer | Why::WaitForNeighbour(_)),
                });
                // Parts are alike, and what a router asks is no way of this frame.
                let is_told = match why {
                    Why::Part(number, _) => *number == 1,
                    Why::Rest | Why::Routed => true,
                    _ => false,
                };
                if !is_told {
                    continue;
                }
            }
            let told = Narrator::new(self.words, &self.frame, inner, pass).tell();
            steps.extend(
                told.into_iter()
                    .filter(|step| {
                        // XDP and tc see the same, and user space once more.
                        matches!(step.stage, Stage::Flood | Stage::Punt) || !steps.contains(step)
                    })
                    .collect::<Vec<_>>(),
            );
        }
        steps
    }

    fn why(&self, why: &Why, result: Result<Verdict, DropReason>) -> String {
        match why {
            Why::WaitForPeer => "it waits a second for the peer's next hop".to_owned(),
            Why::Rest => "copies to the peers that the kernel does not send to".to_owned(),
            Why::Part(number, count) => format!("part {number} of {count}"),
            Why::Whole => "it cannot be cut up".to_owned(),
            Why::Routed => match result {
                Err(reason) => format!("routed once more: {}", reason.name()),
                Ok(_) => "routed once more".to_owned(),
            },
            Why::WaitForNeighbour(key) => self.asks(key),
            Why::Answer => "the router answers".to_owned(),
            Why::Tell(Some(reason)) => format!("its sender is told: {}", reason.name()),
            Why::Tell(None) => "its sender is told that nobody listens there".to_owned(),
            Why::Nothing => "nobody is told".to_owned(),
            Why::More => "the rest goes the same way".to_owned(),
        }
    }

    fn asks(&self, key: &NeighbourKey) -> String {
        format!(
            "it waits, and the router asks for {} in {}",
            key.ip(),
            self.words.segment(key.segment)
        )
    }

    /// What leaves.
    fn last_steps(&self, outcome: Outcome, outputs: &[Output]) -> Vec<Step> {
        if outcome == Outcome::Flood || outcome == Outcome::Wait {
            return Vec::new();
        }
        let step = |output: &Output| {
            let stage = match (outcome, &output.inner) {
                (Outcome::Answer, _) => Stage::Answer,
                (_, Some(_)) => Stage::Transmit,
                (_, None) => Stage::Deliver,
            };
            let asked = format!("out of {}", output.interface);
            let peer = output.peer.as_ref().map(|peer| format!(" to peer {peer}"));
            let found = format!("{} bytes{}", output.bytes.len(), peer.unwrap_or_default());
            Step { stage, asked, found, is_end: true }
        };
        let mut steps: Vec<Step> = outputs.iter().take(1).map(step).collect();
        if let [_, rest @ ..] = outputs
            && !rest.is_empty()
        {
            let asked = format!("and {} more", rest.len());
            let stage = steps.first().map_or(Stage::Transmit, |first| first.stage);
            steps.push(Step { stage, asked, found: "likewise".to_owned(), is_end: true });
        }
        steps
    }

    /// What happened to a frame that is not dropped.
    fn done(&self, outcome: Outcome, outputs: &[Output]) -> String {
        let first = outputs.first();
        let device = first.map_or("nowhere", |output| output.interface.as_str());
        let peer = first.and_then(|output| output.peer.as_deref()).unwrap_or("a peer");
        match outcome {
            Outcome::Pass => {
                format!(
                    "not the overlay's: the host has it, untouched (tunnels go to {})",
                    self.words.vtep()
                )
            }
            Outcome::Transmit => format!("sent to peer {peer} out of {device}"),
            Outcome::Deliver => format!("delivered out of {device}"),
            Outcome::Flood => match outputs.len() {
                1 => format!("flooded: one copy, out of {device}"),
                count => format!("flooded: {count} copies"),
            },
            Outcome::Answer => format!("answered out of {device}, in the place of who was asked"),
            Outcome::Wait => "it waits in user space".to_owned(),
            Outcome::Absorb => "heard, and not sent on".to_owned(),
            Outcome::Drop => "dropped".to_owned(),
        }
    }

    fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        let (have, len) = (self.capture.frame.len(), self.capture.len as usize);
        if have < len {
            notes.push(format!(
                "only {have} of the frame's {len} bytes were captured; what is \
                                behind them counts as zero here"
            ));
        }
        if len > LONGEST as usize || have > LONGEST as usize {
            notes.push(format!("frames of more than {LONGEST} bytes are cut off here"));
        }
        for event in self.ran.passes.iter().flat_map(|pass| &pass.events) {
            let Event::Cut(count) = event else { continue };
            notes.push(format!(
                "the flood has {count} receivers, of which the first {MOST_COPIES} are followed here"
            ));
        }
        if self.capture.gso_size != 0 {
            notes.push(format!(
                "a super-frame: it stands for segments of {} bytes of payload",
                self.capture.gso_size
            ));
        }
        notes
    }

    /// What the kernel did stands.
    fn as_said(&self, told: Explanation) -> Explanation {
        let Some(said) = self.capture.said else { return told };
        let ours = self.deciding().map(|pass| pass.result);
        let is_same = match (said, ours) {
            (Err(said), Some(Err(ours))) => said == ours,
            (Ok(said), Some(Ok(ours))) => is_alike(said, ours, self.capture.hook),
            _ => false,
        };
        if is_same {
            return told;
        }
        if let (Err(reason), true) = (said, told.reason.is_some() && told.reason == said.err()) {
            // It waited for what did not come, or its sender was told.
            let outcome = match told.outcome {
                Outcome::Wait => Outcome::Drop,
                other => other,
            };
            return Explanation { outcome, reason: Some(reason), ..told };
        }
        let by_tables = format!(
            "by the tables as they are now, this frame has another end: {}{}",
            told.outcome.name(),
            told.reason.map(|r| format!(" ({})", r.name())).unwrap_or_default()
        );
        let because = match said {
            Err(DropReason::Policed | DropReason::Storm) => "limits leave room again since",
            Err(DropReason::PuntLimited | DropReason::PuntQueueFull) => {
                "how busy user space was then is in no table"
            }
            Err(DropReason::CopyFailed | DropReason::ResizeFailed) => {
                "what the kernel refuses is in no table"
            }
            _ => "the tables have changed since, or the frame was not captured whole",
        };
        let mut notes = told.notes.clone();
        notes.push(format!("{by_tables}: {because}"));
        match said {
            Err(reason) => {
                let events = self.deciding().map(|pass| pass.events.clone()).unwrap_or_default();
                let advice = reasons::advice(reason, &self.facts(&events));
                Explanation {
                    outcome: Outcome::Drop,
                    reason: Some(reason),
                    cause: advice.cause,
                    fix: Some(advice.fix),
                    outputs: Vec::new(),
                    notes,
                    ..told
                }
            }
            Ok(verdict) => {
                let outcome = outcome_of(verdict);
                let (cause, fix) = (format!("the kernel let it pass: {}", outcome.name()), None);
                Explanation { outcome, reason: None, cause, fix, notes, ..told }
            }
        }
    }
}

/// Whether a sender is told that its packet is too big, in the frame's place.
fn is_told(events: &[Event]) -> bool {
    let mut events = events.iter();
    events.any(|event| matches!(event, Event::MayTell(true)))
        && events.any(|event| matches!(event, Event::CopyDropped(DropReason::TooBig)))
}

/// Whether two answers are the same to who waits for the frame. What XDP leaves to tc is no end.
fn is_alike(said: Verdict, ours: Verdict, hook: Hook) -> bool {
    use Verdict as V;
    match (said, ours) {
        (V::Transmit(a), V::Transmit(b)) | (V::Deliver(a), V::Deliver(b)) => a.ifindex == b.ifindex,
        (V::Pass, V::Pass) | (V::Consumed, V::Consumed) => true,
        (V::Defer | V::Route | V::Flood, _) => hook != Hook::User,
        _ => false,
    }
}

const fn outcome_of(verdict: Verdict) -> Outcome {
    match verdict {
        Verdict::Pass => Outcome::Pass,
        Verdict::Transmit(_) => Outcome::Transmit,
        Verdict::Deliver(_) => Outcome::Deliver,
        Verdict::Defer | Verdict::Route | Verdict::Flood | Verdict::Consumed => Outcome::Absorb,
    }
}

//! What is over a limit.

use overlay_common::abi::{Charge, Hook, Meter, Policer, PuntReason};
use overlay_common::verdict::DropReason;

use super::{Advice, Facts};
use crate::explain::event::Event;

pub fn policed(facts: &Facts<'_>, reason: DropReason) -> Advice {
    let Some((key, level)) = facts.limits() else {
        let interface = facts.interface();
        return Advice::new(
            format!("the frame from {interface} was over a limit then"),
            format!(
                "see limit in the configuration of the port, peer and segment of {interface}: \
                     it leaves room now"
            ),
        );
    };
    let (name, now) = (facts.words.limited(&key), facts.words.live.now);
    let which = match reason {
        DropReason::Storm => "floods",
        _ => level.map_or("packets", |level| over(&level, now)),
    };
    let configured = facts.words.limits(&key).and_then(|limits| match which {
        "floods" => limits.floods,
        "packets" => limits.packets,
        _ => limits.bits,
    });
    let unit = match which {
        "bits" => "bits a second",
        "floods" => "flooded packets a second (broadcast, multicast, unknown unicast)",
        _ => "packets a second",
    };
    let key = format!("limit.{which}");
    let set = configured.map_or_else(|| key.clone(), |value| format!("{key} = {value}"));
    Advice::new(
        format!(
            "{name} is over {set} ({unit}) just now, so {} is dropped",
            facts.subject().content()
        ),
        format!(
            "if this much is wanted, raise {set} of {name} and `overlay reload`; if not, find \
                 who sends it: `overlay show ports`, and {} is one of them",
            facts.source()
        ),
    )
}

/// Which of the limits on all frames has no room.
fn over(level: &Policer, now: u64) -> &'static str {
    let charge = Charge { packets: 1, bytes: 1, is_flood: false };
    let mut packets = Policer { packets: level.packets, bytes: Meter::OPEN, floods: Meter::OPEN };
    if packets.take(charge, now).is_err() { "packets" } else { "bits" }
}

pub fn punt_limited(facts: &Facts<'_>) -> Advice {
    let (what, name) = handed_over(facts);
    Advice::new(
        format!(
            "{what} of {name} needs user space, which has had as many of these as it takes a \
                 second"
        ),
        format!(
            "find who sends so many: {} is one of them; user space takes up to 1,000 a second \
                 of these, and more is an attack or a loop behind {}",
            facts.source(),
            facts.interface()
        ),
    )
}

pub fn punt_queue_full(facts: &Facts<'_>) -> Advice {
    let (what, name) = handed_over(facts);
    Advice::new(
        format!("{what} of {name} needs user space, and its queue was full, or no daemon runs"),
        format!(
            "see whether the daemon runs (`overlay status`) and has a processor to itself \
                 (`top`); what {} sends through {} waits for it",
            facts.source(),
            facts.interface()
        ),
    )
}

fn handed_over(facts: &Facts<'_>) -> (String, String) {
    let punted = facts.last(|event| match event {
        Event::Punt(punt, _) => PuntReason::from_u8(punt.reason),
        _ => None,
    });
    let what = punted.map_or("a frame", |reason| match reason {
        PuntReason::PeerUnresolved => "a frame to a peer without next hop",
        PuntReason::Flood => "a flooded frame",
        PuntReason::Fragment => "a packet that is to be cut up",
        PuntReason::Router => "a packet for a router",
        PuntReason::Control => "a control packet",
        PuntReason::Learn | PuntReason::Neighbour => "news",
    });
    let hook = if facts.capture.hook == Hook::User { "in user space" } else { "at the hook" };
    (what.to_owned(), format!("{} {hook}", facts.interface()))
}

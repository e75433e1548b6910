//! What is wrong with tunnels.

use overlay_common::abi::FdbKey;
use overlay_common::verdict::DropReason;
use overlay_common::wire::{Encap, Vxlan};

use super::access::asked_vni;
use super::{Advice, Facts};
use crate::explain::event::Event;

/// The tunnel's two ends.
fn ends(facts: &Facts<'_>) -> String {
    match facts.frame.ends {
        Some([from, to]) => format!("{from} to {to}"),
        None => facts.interface(),
    }
}

fn from(facts: &Facts<'_>) -> String {
    facts.frame.ends.map_or_else(|| facts.interface(), |[from, _]| from.to_string())
}

pub fn truncated(facts: &Facts<'_>) -> Advice {
    let announced = facts.frame.ip_len.map_or(0, |len| len as usize + 14);
    if facts.frame.ends.is_none() || facts.tunnel.is_none() && !facts.is_from_peer() {
        let (interface, len) = (facts.interface(), facts.frame.len);
        return Advice::new(
            format!("the frame has {len} bytes and ends before its headers do"),
            format!(
                "look at what sends {len} bytes to {interface} (`tcpdump -exi {interface} less \
                     {len}`); an Ethernet header alone has 14"
            ),
        );
    }
    Advice::new(
        format!(
            "the tunnel's packet from {} announces {announced} bytes, and the frame has {}",
            ends(facts),
            facts.frame.len
        ),
        format!(
            "something between {} and {} cuts packets off: compare MTUs on the way (`ping -M \
                 do -s 1472`), or the capture itself was cut (tcpdump -s 0)",
            from(facts),
            facts.interface()
        ),
    )
}

pub fn bad_length(facts: &Facts<'_>) -> Advice {
    let ip = facts.frame.ip_len.unwrap_or(0);
    let udp = facts.frame.udp_len.unwrap_or(0);
    Advice::new(
        format!(
            "the lengths in the tunnel's headers from {} contradict each other: IP says {ip} \
                 bytes, UDP {udp}",
            ends(facts)
        ),
        format!(
            "have {} send whole, sound packets (UDP's length is IP's less its header: {ip} - \
                 20 over IPv4); a broken sender or a device that rewrites on the way makes these",
            facts.sender()
        ),
    )
}

pub fn bad_checksum(facts: &Facts<'_>) -> Advice {
    let [is, right] = facts.frame.checksum.unwrap_or_default();
    let (ends, interface) = (ends(facts), facts.interface());
    Advice::new(
        format!(
            "the outer IPv4 header from {ends} has checksum 0x{is:04x}, and 0x{right:04x} would \
                 be right"
        ),
        format!(
            "something damages packets between {} and {interface}: see `ethtool -S \
                 {interface}` for errors, change cable or optics, and turn transmit checksum \
                 offload off at a sender that gets it wrong (`ethtool -K eth0 tx off`); a sender \
                 that writes headers by hand has to write 0x{right:04x}",
            from(facts)
        ),
    )
}

pub fn retired(facts: &Facts<'_>, reason: DropReason) -> Advice {
    Advice::new(
        format!(
            "a program of an older version gave {} for a packet from {}",
            reason.name(),
            ends(facts)
        ),
        format!(
            "nothing gives this any more: restart the gateway, so that {} gets the programs of \
                 this version",
            facts.interface()
        ),
    )
}

pub fn no_vni_flag(facts: &Facts<'_>) -> Advice {
    let flags = facts.tunnel.map_or(0, |(header, _)| header.bytes[0]);
    let sender = facts.sender();
    Advice::new(
        format!(
            "the VXLAN header of {sender} has flags 0x{flags:02x}, without 0x{:02x}, which says \
                 that there is a VNI (RFC 7348, section 5)",
            Vxlan::VNI_FLAG
        ),
        format!(
            "have {sender} send VXLAN; if it means another protocol (GPE, Geneve), give that \
                 another UDP port than {}",
            facts.words.tunnel_ports().vxlan
        ),
    )
}

pub fn unknown_vtep(facts: &Facts<'_>) -> Advice {
    let (address, _) = match facts.vtep() {
        Some(found) => found,
        None => return unknown_sender(facts),
    };
    let vni = facts.tunnel.map(|(header, _)| header.vni);
    let segment = vni.and_then(|vni| facts.words.named_vni(vni));
    let segments = match (&segment, vni) {
        (Some(name), _) => format!("segments = [\"{name}\"]"),
        (None, _) => "the segments that it may use".to_owned(),
    };
    Advice::new(
        format!(
            "{address} is the vtep of no [[peer]] in the configuration (those are: {})",
            facts.words.vteps()
        ),
        format!(
            "if this is a gateway of yours, add [[peer]] with vtep = \"{address}\" and \
                 {segments}, and `overlay reload`; if it is one of those peers, its vtep has to be \
                 the address that it sends from"
        ),
    )
}

fn unknown_sender(facts: &Facts<'_>) -> Advice {
    let from = from(facts);
    Advice::new(
        format!("{from} is the vtep of no [[peer]]"),
        format!("add [[peer]] with vtep = \"{from}\" if it is a gateway of yours"),
    )
}

pub fn unknown_vni(facts: &Facts<'_>) -> Advice {
    let (vni, sender) = (asked_vni(facts).unwrap_or(facts.vni()), facts.sender());
    Advice::new(
        format!(
            "{sender} sends VNI {vni}, which no segment here has (those are: {})",
            facts.words.vnis()
        ),
        format!(
            "a segment has the same VNI on every gateway: if it is one of these, correct its vni \
                 here or at {sender}; if it is another, add [[segment]] with vni = {vni} here and \
                 its name to segments = [...] of that peer; then `overlay reload`"
        ),
    )
}

pub fn vni_not_permitted(facts: &Facts<'_>) -> Advice {
    let (vni, sender) = (asked_vni(facts).unwrap_or(facts.vni()), facts.sender());
    let segment = facts.segment_name();
    let view = facts.sending_peer().and_then(|index| facts.words.peer_view(index));
    let (name, has) = match view {
        Some(view) => {
            let names: Vec<String> = view.segments.iter().map(|name| format!("{name:?}")).collect();
            (view.name, format!(": segments = [{}]", names.join(", ")))
        }
        None => (sender.clone(), String::new()),
    };
    Advice::new(
        format!("VNI {vni} is segment {segment}, which {sender} may not use{has}"),
        format!(
            "add \"{segment}\" to segments = [...] of peer {name} and `overlay reload`, or \
                 correct the VNI at {name}"
        ),
    )
}

pub fn inner_truncated(facts: &Facts<'_>) -> Advice {
    let carried = facts.tunnel.map_or(0, |(_, inner)| inner.len);
    let sender = facts.sender();
    Advice::new(
        format!(
            "the tunnel of {sender} carries {carried} bytes, less than an Ethernet header (14) \
                 and what it announces"
        ),
        format!(
            "have {sender} send whole frames: this comes of a broken sender, or of a probe \
                 that carries no frame"
        ),
    )
}

pub fn ecn_not_capable(facts: &Facts<'_>) -> Advice {
    let sender = facts.sender();
    Advice::new(
        format!(
            "a router between here and {sender} marked the tunnel's packet (CE), and the \
                 packet in it ({}) cannot carry the mark (RFC 6040, 4.2)",
            facts.subject().content()
        ),
        format!(
            "nothing is wrong here: the way from {sender} is congested, and TCP sends again; \
                 give that way more room, or do not set ECT in tunnels at {sender} for what is not \
                 ECN-capable"
        ),
    )
}

pub fn split_horizon(facts: &Facts<'_>) -> Advice {
    let (to, sender, segment) = (facts.destination(), facts.sender(), facts.segment_name());
    let station = facts.subject().destination();
    let is_destination = |key: &FdbKey| Some(key.station()) == station;
    let at = facts.last(|event| match event {
        Event::Fdb(key, Some(entry)) if entry.target.is_peer() && is_destination(key) => {
            Some(facts.words.target(entry.target))
        }
        _ => None,
    });
    let at = at.unwrap_or_else(|| "another peer".to_owned());
    Advice::new(
        format!(
            "{sender} sent a frame for {to}, which is behind {at}: gateways of {segment} send \
                 each other what is theirs, and none relays (split horizon)"
        ),
        format!(
            "have {sender} send straight to {at}: give it that [[peer]] with segment \
                 {segment}; a station that has just moved is known there with its next frame"
        ),
    )
}

pub fn encap_mismatch(facts: &Facts<'_>) -> Advice {
    let sender = facts.sender();
    let ports = facts.words.tunnel_ports();
    let to = facts.frame.ports.map_or(0, |[_, to]| to);
    let arrived = ports.encap(to).unwrap_or(Encap::Vxlan);
    let wanted = match arrived {
        Encap::Vxlan => Encap::Geneve,
        Encap::Geneve => Encap::Vxlan,
    };
    Advice::new(
        format!(
            "{sender} sent {} (UDP port {to}), and its encap here is \"{}\"",
            arrived.name(),
            wanted.name()
        ),
        format!(
            "set encap = \"{}\" in [[peer]] of {sender} and `overlay reload`, or have it send \
                 {}",
            arrived.name(),
            wanted.name()
        ),
    )
}

pub fn geneve_version(facts: &Facts<'_>) -> Advice {
    let version = facts.tunnel.map_or(0, |(header, _)| header.bytes[0] >> 6);
    let sender = facts.sender();
    Advice::new(
        format!("{sender} sent Geneve of version {version}; there is 0 alone (RFC 8926, 3.4)"),
        format!("have {sender} send version 0"),
    )
}

pub fn geneve_critical(facts: &Facts<'_>) -> Advice {
    let flags = facts.tunnel.map_or(0, |(header, _)| header.bytes[1]);
    let sender = facts.sender();
    Advice::new(
        format!(
            "{sender} sent Geneve with an option that has to be understood (flags \
                 0x{flags:02x}), and this gateway knows none"
        ),
        format!("have {sender} send to this peer without critical options"),
    )
}

pub fn geneve_protocol(facts: &Facts<'_>) -> Advice {
    let kind = facts
        .tunnel
        .map_or(0, |(header, _)| u16::from_be_bytes([header.bytes[2], header.bytes[3]]));
    let sender = facts.sender();
    Advice::new(
        format!(
            "{sender} sent Geneve that carries protocol 0x{kind:04x}; segments are of Ethernet \
                 frames (0x6558)"
        ),
        format!("have {sender} send Ethernet frames"),
    )
}

//! What access ports refuse, and segments.

use overlay_common::abi::{AccessKey, FilterKey, PermitKey};
use overlay_common::id::PortId;
use overlay_common::wire::{Mac, Tag, ethertype};

use super::{Advice, Facts};
use crate::explain::event::Event;
use crate::explain::narrate::guarded;
use crate::explain::words::listed;

pub fn invalid_source(facts: &Facts<'_>) -> Advice {
    let (mac, from) = (facts.source(), facts.interface());
    Advice::new(
        format!("the source {mac} is no address that a station can have: zero, or of a group"),
        format!(
            "find the sender behind {from} (`tcpdump -eni {from} ether src {mac}`) and give it a \
             MAC address of its own, such as 02:00:00:00:00:01"
        ),
    )
}

pub fn inner_vlan(facts: &Facts<'_>) -> Advice {
    let tags = facts.subject().tags.iter().map(|tag| (tag.tci() & Tag::VID).to_string());
    let tags: Vec<String> = tags.collect();
    let names = if tags.is_empty() { "a tag".to_owned() } else { tags.join(" in ") };
    if facts.is_from_peer() {
        let sender = facts.sender();
        return Advice::new(
            format!(
                "the frame in the tunnel of {sender} has a VLAN tag ({names}); segments carry \
                     plain frames (RFC 7348, 6.1)"
            ),
            format!(
                "have {sender} take the tag off where the frame enters there: name VLAN \
                     {names} of its access port"
            ),
        );
    }
    let interface = facts.interface();
    Advice::new(
        format!("the frame has a second VLAN tag behind that of its port ({names} on {interface})"),
        format!(
            "send one tag only from behind {interface}, or give the device behind it a port of \
             its own for the inner VLAN"
        ),
    )
}

pub fn link_local_group(facts: &Facts<'_>) -> Advice {
    let (to, from) = (facts.destination(), facts.source());
    Advice::new(
        format!(
            "{to} is for the next bridge alone (IEEE 802.1Q, table 8-1: spanning tree, LLDP, \
                 LACP), and bridges do not forward it"
        ),
        format!(
            "nothing is wrong; to have less of it, turn the protocol off at {from} on the \
                 link to {}",
            facts.interface()
        ),
    )
}

pub fn unknown_vlan(facts: &Facts<'_>) -> Advice {
    let (interface, key) = (facts.interface(), facts.access().map(|(key, _)| key));
    let key = key.unwrap_or(AccessKey { ifindex: facts.capture.ifindex, ..AccessKey::default() });
    let vlan = facts.words.vlan(key.vlan);
    let here = facts.words.controller().map(|controller| {
        let ports = controller.ports_on(&interface);
        listed(ports.filter_map(|id| {
            let view = controller.port_by(id)?;
            let tag = view.vlan.map_or("untagged".to_owned(), |vlan| format!("vlan {vlan}"));
            Some(format!("{tag} ({})", view.segment?))
        }))
    });
    let here = here.map(|here| format!("; its ports are: {here}")).unwrap_or_default();
    let wanted = match key.vlan {
        0 => String::new(),
        word => match overlay_common::id::Vlan::from_word(word) {
            Some(vlan) if vlan.kind() == overlay_common::wire::TagKind::Service => {
                format!(", vlan = {}, protocol = \"802.1ad\"", vlan.id())
            }
            Some(vlan) => format!(", vlan = {}", vlan.id()),
            None => String::new(),
        },
    };
    Advice::new(
        format!("no segment has a port for {vlan} frames of {interface}{here}"),
        format!(
            "add [[segment.port]] with interface = \"{interface}\"{wanted} to the segment that it \
             belongs to, or have the sender use a VLAN that is there"
        ),
    )
}

pub fn same_port(facts: &Facts<'_>) -> Advice {
    let (to, interface) = (facts.destination(), facts.interface());
    Advice::new(
        format!(
            "{to} is behind {interface}, where the frame came from: it has had the frame \
                 already, or has moved"
        ),
        format!(
            "if {to} has moved, have it send something from its new place (`arping -U`), or \
             remove its static entry (`overlay show fdb`); if not, the switch behind {interface} \
             floods, and nothing is wrong here"
        ),
    )
}

pub fn source_guard(facts: &Facts<'_>) -> Advice {
    let guard = facts.last(|event| match event {
        Event::Guard(key, false) => Some(*key),
        _ => None,
    });
    let access = facts.access().and_then(|(_, found)| found);
    let port = guard.map(|key| u32::from(key.port)).or(access.map(|access| access.port));
    let name = port.map_or_else(|| facts.interface(), |index| facts.words.port(index));
    let hosts = port.and_then(|index| facts.words.controller()?.port_config(PortId(index)));
    let bound = hosts.map(|spec| {
        listed(spec.hosts.iter().map(|host| {
            let ips: Vec<String> = host.ips.iter().map(ToString::to_string).collect();
            format!("{} with {}", host.mac, ips.join(" and "))
        }))
    });
    let bound = bound.map(|bound| format!("; bound there: {bound}")).unwrap_or_default();
    let Some(key) = guard else {
        return Advice::new(
            format!(
                "{} behind guarded port {name} hides the address that it sends from ({}){bound}",
                facts.source(),
                facts.subject().content()
            ),
            format!(
                "have {} send plain IP or ARP from an address of its own, or remove the \
                     [[segment.port.host]] entries of {name}",
                facts.source()
            ),
        );
    };
    let mac = Mac(key.mac);
    let fix = match hosts.and_then(|spec| spec.hosts.iter().find(|host| host.mac == mac)) {
        Some(_) => format!(
            "add this address to ip = [...] of [[segment.port.host]] with mac = \
                            \"{mac}\" on {name} and `overlay reload`, or give the host back one \
                            that is bound"
        ),
        None => {
            let ip = match key.address {
                [0, 0] => String::new(),
                _ => format!(" and ip = [\"{}\"]", ip_of(key.address)),
            };
            format!(
                "add [[segment.port.host]] with mac = \"{mac}\"{ip} to port {name} and \
                     `overlay reload`, if this host belongs there"
            )
        }
    };
    Advice::new(format!("{} may not send from port {name}{bound}", guarded(&key)), fix)
}

fn ip_of(address: [u64; 2]) -> String {
    super::address(&overlay_common::abi::NeighbourKey {
        address,
        ..overlay_common::abi::NeighbourKey::default()
    })
}

pub fn acl_denied(facts: &Facts<'_>) -> Advice {
    let packet = facts.subject().content();
    let filter = facts.last(|event| match event {
        Event::Filter { segment, direction, rule } => Some((*segment, *direction, *rule)),
        _ => None,
    });
    let Some((segment, direction, rule)) = filter else {
        let segment = facts.segment_name();
        let kind = facts.subject().kind;
        let what = match kind {
            ethertype::IPV4 | ethertype::IPV6 => "its IP header is cut off".to_owned(),
            kind => format!("IP behind a header of IEEE 802.2 (length {kind}, RFC 1042)"),
        };
        return Advice::new(
            format!(
                "segment {segment} has access lists, and what they ask for cannot be read of \
                     {packet}: {what}"
            ),
            format!("have {} send whole IP packets in Ethernet II frames", facts.source()),
        );
    };
    let (name, way) =
        (facts.words.segment(segment), if direction == FilterKey::IN { "in" } else { "out" });
    let Some(at) = rule.and_then(|rule| facts.words.rule(rule.rule())) else {
        return Advice::new(
            format!("the access list of segment {name}, direction {way}, denies {packet}"),
            format!("permit {packet} there: `overlay show acls` lists the rules of {name}"),
        );
    };
    let permit = permit(facts);
    match at.line.position {
        Some(position) => Advice::new(
            format!(
                "rule {position} of the access list of segment {name}, direction {way}, denies \
                     {packet}: deny {}",
                at.line.text
            ),
            format!(
                "in [[segment.acl]] of {name}, direction = \"{way}\", put a rule before rule \
                     {position} with {permit}, or change or remove rule {position}; then `overlay \
                     reload`"
            ),
        ),
        None => Advice::new(
            format!(
                "no rule of the access list of segment {name}, direction {way}, is for \
                     {packet}, and its default is to deny"
            ),
            format!(
                "add [[segment.acl]] to segment {name} with direction = \"{way}\", {permit}; \
                     then `overlay reload`"
            ),
        ),
    }
}

/// A rule that would let the packet pass, in the configuration's words.
fn permit(facts: &Facts<'_>) -> String {
    let frame = facts.subject();
    let mut keys = vec!["action = \"permit\"".to_owned()];
    let protocols = crate::acl::Protocol(frame.protocol.unwrap_or(0));
    if frame.protocol.is_some() {
        let name = protocols.to_string();
        let is_number = name.chars().all(|c| c.is_ascii_digit());
        keys.push(if is_number {
            format!("protocol = {name}")
        } else {
            format!("protocol = \"{name}\"")
        });
    }
    if let Some([from, to]) = frame.ends {
        let len = if from.is_ipv4() { 32 } else { 128 };
        keys.push(format!("source = \"{from}/{len}\""));
        keys.push(format!("destination = \"{to}/{len}\""));
    }
    if let Some([_, to]) = frame.ports {
        keys.push(format!("destination_port = {to}"));
    }
    keys.join(", ")
}

/// The VNI and segment of a permit that was asked for.
pub fn asked_vni(facts: &Facts<'_>) -> Option<u32> {
    facts.last(|event| match event {
        Event::Permit(PermitKey { vni, .. }, _) => Some(*vni),
        _ => None,
    })
}

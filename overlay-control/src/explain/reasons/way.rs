//! What is wrong with the way out.

use overlay_common::abi::{Neighbour, NeighbourKey, Route, Target};
use overlay_common::id::PeerId;
use overlay_common::wire::{Ethernet, Family};

use super::{Advice, Facts};
use crate::controller::{PeerState, PeerView, PortView};
use crate::explain::event::Event;

pub fn inconsistent(facts: &Facts<'_>) -> Advice {
    let interface = facts.interface();
    Advice::new(
        format!(
            "a table entry that the frame from {interface} led to points to nothing: tables \
                 are being changed, or are those of another version"
        ),
        format!(
            "try again; where it stays so, restart the gateway (forwarding goes on meanwhile) \
                 and report this frame of {} bytes with `overlay status`",
            facts.frame.len
        ),
    )
}

pub fn peer_unresolved(facts: &Facts<'_>) -> Advice {
    let copy = facts.copy.filter(|target| target.is_peer()).map(Target::index);
    match copy.or_else(|| facts.peer().map(|(index, _)| index)) {
        Some(index) => waits_for_peer(facts, index),
        None => Advice::new(
            "the peer has no way or next hop that is known",
            format!(
                "`overlay show peers` says what is missing; the frame came in by {}",
                facts.interface()
            ),
        ),
    }
}

/// A peer to which no way is known.
pub fn waits_for_peer(facts: &Facts<'_>, index: u32) -> Advice {
    let peer = facts.words.peer_at(index);
    let Some(view) = facts.words.peer_view(index) else {
        return Advice::new(
            format!("no way to {peer} is known"),
            format!("`overlay show peers` says what is missing of {peer}"),
        );
    };
    let why = view.why.clone().unwrap_or_else(|| "it has just been resolved".to_owned());
    let cause = format!("frames cannot be sent to {peer}: {why}");
    Advice::new(cause, mend_way(facts, &view))
}

fn mend_way(facts: &Facts<'_>, view: &PeerView) -> String {
    let why = view.why.as_deref().unwrap_or_default();
    let vtep = view.vtep;
    let Some(way) = view.ways.first() else {
        // Routes go with the device that they lead over.
        if let Some(uplink) = uplink_down(facts) {
            return format!(
                "uplink {uplink} is down, and takes its routes with it: `ip link set {uplink} up`; \
                 if it is up, it has no carrier: look at cable and switch port. Then \
                 `ip route get {vtep}` has to lead over it"
            );
        }
        return format!(
            "give this host a route to {vtep} by an [[uplink]]: `ip route get {vtep}` says which \
             way it takes now"
        );
    };
    let (hop, device) = (way.next_hop, way.interface.as_deref().unwrap_or("its uplink"));
    if why.contains("is no [[uplink]]") {
        return format!(
            "add [[uplink]] with interface = \"{device}\" and `overlay reload`, or route {vtep} by \
             an uplink that is there (`ip route replace {vtep} dev UPLINK`)"
        );
    }
    if why.contains("is down") {
        return format!(
            "`ip link set {device} up`; if it is up, {device} has no carrier: look at cable and \
             switch port (`ip link show {device}`)"
        );
    }
    if view.state == PeerState::Unresolved && way.mac.is_none() {
        let what = if hop.is_ipv4() { "ARP" } else { "neighbour discovery" };
        return format!(
            "next hop {hop} has to answer {what} on {device}: see that it runs, has this address \
             and is on this link (`ping -I {device} {hop}`), or enter it by hand: `ip neigh \
             replace {hop} lladdr MAC dev {device}`"
        );
    }
    format!("`overlay show peers` says what is missing to {hop} on {device}")
}

/// An uplink that is down.
fn uplink_down(facts: &Facts<'_>) -> Option<String> {
    let uplinks = facts.words.controller()?.ports().into_iter();
    uplinks.filter(|view| view.role.has_uplink()).find(|view| !view.up).map(|view| view.interface)
}

pub fn too_big(facts: &Facts<'_>) -> Advice {
    match facts.way_out() {
        Some(target) if target.is_peer() => too_big_for_peer(facts, target.index()),
        Some(target) => too_big_for_port(facts, target.index()),
        None => Advice::new(
            format!("the frame has {} bytes, more than its way out takes", facts.frame.len),
            format!(
                "send packets of less than {} bytes from behind {}",
                facts.frame.len,
                facts.interface()
            ),
        ),
    }
}

/// The IP packet's length: what MTUs are about.
fn packet_len(facts: &Facts<'_>) -> usize {
    let frame = facts.subject();
    let tags = if facts.is_from_peer() { 0 } else { frame.tags.len() * 4 };
    frame.len.saturating_sub(Ethernet::LEN + tags)
}

fn too_big_for_peer(facts: &Facts<'_>, index: u32) -> Advice {
    let len = packet_len(facts);
    let name = facts.words.peer_at(index);
    let known = facts.last(|event| match event {
        Event::Peer(other, peer) if *other == index => Some(*peer),
        _ => None,
    });
    let peer = known.unwrap_or_default();
    let fits = usize::from(peer.max_frame).saturating_sub(Ethernet::LEN);
    let tunnel = match peer.family() {
        Family::V4 => Family::V4.tunnel_len(),
        Family::V6 => Family::V6.tunnel_len(),
    };
    let needed = len + tunnel;
    let (because, mend) = narrow(facts, index, fits + tunnel, needed);
    Advice::new(
        format!(
            "the packet has {len} bytes, and the way to {name} takes {fits}: {because}, and a \
                 tunnel adds {tunnel}"
        ),
        format!(
            "{mend}; or have the sender send no more than {fits} (`ip link set dev eth0 mtu \
                 {fits}` on the stations)"
        ),
    )
}

/// What makes a way narrow, and what would widen it.
fn narrow(facts: &Facts<'_>, index: u32, mtu: usize, needed: usize) -> (String, String) {
    let controller = facts.words.controller();
    let configured = controller.and_then(|controller| controller.peer_mtu(PeerId(index)));
    if configured.is_some_and(|own| usize::from(own) == mtu) {
        let name = facts.words.peer(index);
        return (
            format!("mtu = {mtu} of peer {name} in the configuration"),
            format!(
                "raise mtu of peer {name} to {needed} or more and `overlay reload`, if the \
                     underlay carries that"
            ),
        );
    }
    let view = facts.words.peer_view(index);
    let devices = view.iter().flat_map(|view| &view.ways).filter(|way| way.ready);
    let names: Vec<String> = devices.filter_map(|way| way.interface.clone()).collect();
    let link = |name: &String| controller.and_then(|controller| controller.link_named(name));
    let narrowest = names.iter().filter_map(link).min_by_key(|link| link.mtu);
    match narrowest {
        Some(link) if link.mtu as usize == mtu => (
            format!("uplink {} has MTU {mtu}", link.name),
            format!(
                "raise the MTU of {0} to {needed} or more (`ip link set dev {0} mtu {needed}`), \
                     and of the switches behind it",
                link.name
            ),
        ),
        Some(link) => (
            format!("the route over {} has MTU {mtu}", link.name),
            format!(
                "raise the MTU of that route to {needed} or more (`ip route show dev {}`)",
                link.name
            ),
        ),
        None => (
            format!("its way has MTU {mtu}"),
            format!("raise the MTU of the uplink to {needed} or more"),
        ),
    }
}

fn too_big_for_port(facts: &Facts<'_>, index: u32) -> Advice {
    let len = packet_len(facts);
    let (name, device) = (facts.words.port(index), facts.words.interface(index));
    let known = facts.last(|event| match event {
        Event::Port(other, port) if *other == index => Some(*port),
        _ => None,
    });
    let fits = known.map_or(0, |port| port.max_frame as usize).saturating_sub(Ethernet::LEN);
    Advice::new(
        format!("the packet has {len} bytes, and port {name} takes {fits}: the MTU of {device}"),
        format!(
            "raise the MTU of {device} and of what is behind it to {len} or more (`ip link set \
                 dev {device} mtu {len}`), or have {} send no more than {fits}",
            facts.source()
        ),
    )
}

pub fn resize_failed(facts: &Facts<'_>) -> Advice {
    let (len, interface) = (facts.frame.len, facts.interface());
    Advice::new(
        format!(
            "the kernel did not add or remove headers of this frame of {len} bytes on \
                 {interface}: it is too short for an IP header, or the driver leaves no room"
        ),
        format!(
            "see what sends frames of {len} bytes to {interface}; where ordinary ones are \
                 refused, set mode = \"tc\" for {interface} and `overlay reload`"
        ),
    )
}

pub fn copy_failed(facts: &Facts<'_>) -> Advice {
    let to = facts.copy.map_or_else(|| facts.segment_name(), |target| facts.words.target(target));
    Advice::new(
        format!("the kernel did not send the copy for {to}: its device is gone, or has no room"),
        format!("`ip -s link` says whether the device of {to} is there, and drops"),
    )
}

pub fn no_receiver(facts: &Facts<'_>) -> Advice {
    let (segment, to) = (facts.segment_name(), facts.destination());
    let silent = silent_ports(facts);
    if let Some(first) = silent.first() {
        let (is, mend) = mend_port(&first.interface, Some(first));
        let others = match silent.len() {
            1 => String::new(),
            more => format!(", as are {} more of its ports", more - 1),
        };
        return Advice::new(
            format!("{to} is for everybody in segment {segment}, and nobody is left: {is}{others}"),
            mend,
        );
    }
    let from = if facts.is_from_peer() { "of its own" } else { "but the one it came from" };
    Advice::new(
        format!(
            "{to} is for everybody in segment {segment}, which has no port here {from}, and \
                 no peer to send it to"
        ),
        format!(
            "add a [[segment.port]] to segment {segment}, or \"{segment}\" to segments = [...] \
                 of a [[peer]], and `overlay reload`"
        ),
    )
}

/// The ports of the frame's segment that would get copies, if they were up.
fn silent_ports(facts: &Facts<'_>) -> Vec<PortView> {
    let Some(controller) = facts.words.controller() else { return Vec::new() };
    let segment = facts.segment_name();
    let is_of_it = |view: &PortView| view.segment.as_deref() == Some(&*segment);
    let came_by = |view: &PortView| view.ifindex == Some(facts.capture.ifindex);
    let ports = controller.ports().into_iter();
    ports.filter(|view| is_of_it(view) && !view.up && !came_by(view)).collect()
}

/// What keeps a port from sending, and what would let it.
fn mend_port(device: &str, view: Option<&PortView>) -> (String, String) {
    match view {
        Some(view) if view.ifindex.is_none() => (
            format!("{device} does not exist"),
            format!(
                "create {device} (the gateway takes it in by itself), or correct interface = \
                     \"{device}\""
            ),
        ),
        Some(view) if view.up => (
            format!("{device} has no program attached"),
            format!("`overlay show ports` says why {device} has none"),
        ),
        _ => (
            format!("{device} is down"),
            format!(
                "`ip link set {device} up`; if it is up, it has no carrier: look at what is at \
                     its other end (`ip link show {device}`)"
            ),
        ),
    }
}

pub fn port_down(facts: &Facts<'_>) -> Advice {
    let copy = facts.copy.filter(|target| !target.is_peer()).map(Target::index);
    let Some(index) = copy.or_else(|| facts.port().map(|(index, _)| index)) else {
        return Advice::new(
            "the device that the frame was to leave by takes no redirected frames now",
            format!(
                "see `ip link` and `overlay show ports`; the frame came in by {}",
                facts.interface()
            ),
        );
    };
    let (name, to) = (facts.words.port(index), facts.destination());
    let device = facts.words.interface(index);
    let view = facts.words.port_view(index);
    let (is, mend) = mend_port(&device, view.as_ref());
    Advice::new(format!("{to} is behind port {name}, and {is}"), mend)
}

pub fn not_routable(facts: &Facts<'_>) -> Advice {
    let (segment, frame) = (facts.segment_name(), facts.subject());
    let checksum = frame.checksum.filter(|[is, right]| is != right);
    let why = match (frame.ends, checksum) {
        (None, _) => format!("it is not IP (EtherType 0x{:04x})", frame.kind),
        (Some(_), Some([is, right])) => {
            format!("its header's checksum is 0x{is:04x}, and 0x{right:04x} would be right")
        }
        (Some([from, to]), None) => format!(
            "its addresses go no further than a segment, or its lengths are wrong ({from} to {to})"
        ),
    };
    Advice::new(
        format!(
            "{} sent this to the router of segment {segment}, which does not route it: {why}",
            facts.source()
        ),
        format!(
            "have {} send sound IP packets between addresses that mean something beyond \
                 segment {segment} (no link-local, loopback, multicast)",
            facts.source()
        ),
    )
}

pub fn no_route(facts: &Facts<'_>) -> Advice {
    let (to, vrf) = (facts.address(), facts.vrf());
    let name = vrf.trim_start_matches("VRF ").to_owned();
    match facts.route().and_then(|(_, found)| found) {
        Some((prefix, route)) => {
            let kind = if route.kind == Route::BLACKHOLE { "blackhole" } else { "unreachable" };
            let prefix = facts.words.prefix(prefix.network());
            Advice::new(
                format!("{vrf} has route {prefix} for {to}, which leads nowhere: {kind}"),
                format!(
                    "add a longer [[vrf.route]] that holds {to} to vrf {name}, or change that \
                         of {prefix} (network and broadcast addresses of a segment stay so)"
                ),
            )
        }
        None => Advice::new(
            format!("{vrf} has no route to {to}"),
            format!(
                "add [[vrf.route]] with a prefix that holds {to}, and peer = \"...\" or via = \
                     \"...\", to vrf {name}, and `overlay reload`; `overlay show routes` has those \
                     that there are"
            ),
        ),
    }
}

pub fn ttl_exceeded(facts: &Facts<'_>) -> Advice {
    let ttl = facts.subject().ttl.unwrap_or(0);
    let (to, vrf) = (facts.address(), facts.vrf());
    Advice::new(
        format!(
            "the packet to {to} came to the router of {} with TTL {ttl}, and is not routed on",
            facts.segment_name()
        ),
        format!(
            "a traceroute does this on purpose; else routes of {vrf} to {to} lead in a circle \
                 (`overlay show routes` here and at the next hop), or {} sends with too low a TTL",
            facts.source()
        ),
    )
}

pub fn neighbour_unresolved(facts: &Facts<'_>) -> Advice {
    let asked = facts.last(|event| match event {
        Event::Neighbour(key, _) => Some(*key),
        _ => None,
    });
    match asked {
        Some(key) => waits_for_neighbour(facts, &key),
        None => Advice::new(
            format!("nobody answers for the next hop of {}", facts.address()),
            format!("see that {} is there: `overlay show neighbours`", facts.address()),
        ),
    }
}

/// A next hop that has to be asked for.
pub fn waits_for_neighbour(facts: &Facts<'_>, key: &NeighbourKey) -> Advice {
    let (ip, segment) = (super::address(key), facts.words.segment(key.segment));
    let known: Option<Neighbour> = facts.last(|event| match event {
        Event::Neighbour(other, found) if other == key => *found,
        _ => None,
    });
    let what = match known {
        Some(known) => format!(
            "{ip} is {}, which no port or peer of segment {segment} is known \
                                to have",
            known.mac()
        ),
        None => format!("the MAC address of {ip} in segment {segment} is not known"),
    };
    Advice::new(
        format!(
            "{what}: the router asks for it, and the packet waits meanwhile, a few seconds at \
                 most"
        ),
        format!(
            "see that {ip} is up and in segment {segment}, answers ARP or neighbour discovery, \
                 and sends something; or enter it: [[segment.neighbour]] with ip = \"{ip}\" and its \
                 mac, and [[segment.fdb]] with that mac"
        ),
    )
}

/// A station whose address the FDB has no room for, so that what is sent to it goes to everybody.
pub fn learn_full(facts: &Facts<'_>) -> Option<Advice> {
    let unknown = facts.events.iter().find_map(|event| match event {
        Event::Fdb(key, None) if !key.station().is_group() => Some(*key),
        _ => None,
    })?;
    let segment = unknown.segment;
    let name = facts.words.segment(segment);
    let to = unknown.station();
    let config =
        facts.words.controller()?.segment_config(overlay_common::id::SegmentId(segment))?;
    // Whoever it is behind, it must be one of those.
    let ports = facts.words.controller()?.ports().into_iter();
    let ports = ports.filter(|view| view.segment.as_deref() == Some(&*config.name));
    let places = ports.filter_map(|view| Some(Target::port(view.id?.0)));
    let [why, mend] =
        places.into_iter().find_map(|place| facts.words.unlearnable(to, segment, place))?;
    Some(Advice::new(
        format!(
            "{to} is not in the FDB of {name} and cannot be learnt, so the frame goes to \
                 everybody: {why}"
        ),
        mend,
    ))
}

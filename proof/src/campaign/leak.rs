//! What must hold whatever the path does, found out without any of its code: nothing of one
//! segment leaves into another, to a port or under a VNI, but from a router into a segment of the
//! same VRF; nothing that came from a peer goes to a peer, and nothing but an answer back to the
//! port that it came from, but from a router; nothing comes in from whom it may not.
//!
//! The last bytes of a frame are a pattern of the segment that it came into, and what leaves is
//! searched for the patterns of the others.

use overlay_common::wire::Ends;
use overlay_control::sample::ROUTER_MAC;

use super::world::World;
use crate::vector::{Direction, Vector};

/// Below this offset are headers that say where a frame belongs.
const HEADERS: [usize; 2] = [18, 82];

/// A pattern of a segment, as long as chance does not make one.
fn pattern(segment: u16) -> [u8; 8] {
    let low = segment as u8;
    [0xe0 | low, 0x3c, 0x96, low ^ 0x5a, 0xa5, low << 4 | low, 0x69, 0xc3]
}

/// Writes the pattern over the end of a frame, of which the headers stay as they are.
pub fn mark(world: &World, direction: Direction, frame: &mut [u8]) {
    let Some(segment) = origin(world, direction, frame) else { return };
    let len = frame.len();
    let from = HEADERS[usize::from(direction == Direction::FromUnderlay)].max(len - len / 4);
    let pattern = pattern(segment);
    for (byte, mark) in frame.iter_mut().skip(from).zip(pattern.iter().cycle()) {
        *byte = *mark;
    }
}

/// The segment that a frame is in by what it says itself: by its tag, or by its VNI.
fn origin(world: &World, direction: Direction, frame: &[u8]) -> Option<u16> {
    match direction {
        Direction::FromAccess => world.segment_at(world.ingress, tag(frame)),
        Direction::FromUnderlay => world.segment_of(vni(frame)?),
        Direction::OneArmed => None,
    }
}

/// Of the outermost tag, 0x8000 more in an 802.1ad one; 0 where there is none, or VLAN 0.
fn tag(frame: &[u8]) -> u16 {
    let id = |high: &u8, low: &u8| u16::from_be_bytes([*high, *low]) & 0x0fff;
    match frame.get(12..16) {
        Some([0x81, 0x00, high, low]) => id(high, low),
        Some([0x88, 0xa8, high, low]) if id(high, low) != 0 => id(high, low) | 0x8000,
        _ => 0,
    }
}

/// Of a tunnel without IP options or extensions.
fn vni(frame: &[u8]) -> Option<u32> {
    let at = match frame.get(12..14)? {
        [0x08, 0x00] => 46,
        [0x86, 0xdd] => 66,
        _ => return None,
    };
    let [a, b, c] = *frame.get(at..at + 3)?.first_chunk()?;
    Some(u32::from_be_bytes([0, a, b, c]))
}

/// Looks at what left when a frame came in: devices, and bytes as on a wire.
///
/// # Errors
///
/// What must not be, in words.
pub fn check(world: &World, came: &Vector, left: &[(u32, Vec<u8>)]) -> Result<(), String> {
    let from_peer = came.direction == Direction::FromUnderlay;
    let came_in = origin(world, came.direction, &came.frame);
    for (ifindex, bytes) in left {
        let at_port = world.segment_at(*ifindex, tag(bytes));
        let in_tunnel = || vni(bytes).and_then(|vni| world.segment_of(vni));
        let Some(segment) = at_port.or_else(in_tunnel) else {
            return Err(format!("to no segment, by device {ifindex}: {bytes:02x?}"));
        };
        let is_routed = is_from_router(bytes, at_port.is_some());
        if from_peer && at_port.is_none() && !is_routed {
            return Err(format!("from a peer to device {ifindex}"));
        }
        let is_back = *ifindex == world.ingress && tag(bytes) == tag(&came.frame);
        if !from_peer && is_back && !is_routed && !is_answer(bytes, &came.frame) {
            return Err(format!("back to where it came from: {bytes:02x?}"));
        }
        let may = |other: u16| is_routed && world.is_routed(other, segment);
        let foreign = (1..=world.vnis.len() as u16).filter(|other| *other != segment);
        for other in foreign.filter(|other| !may(*other)) {
            if carries(bytes, other) {
                return Err(format!(
                    "bytes of segment {other} in segment {segment}, by device {ifindex}: {bytes:02x?}"
                ));
            }
        }
        let entered = came_in.filter(|entered| may(*entered)).unwrap_or(segment);
        if from_peer && !is_permitted(world, &came.frame, entered) {
            return Err(format!("into segment {entered} from whom may not: {bytes:02x?}"));
        }
    }
    Ok(())
}

/// Whether a router sent a frame: no station has its address.
fn is_from_router(bytes: &[u8], at_port: bool) -> bool {
    let inner = match (at_port, bytes.get(12..14)) {
        (true, _) => 0,
        (false, Some([0x08, 0x00])) => 50,
        (false, _) => 70,
    };
    bytes.get(inner + 6..inner + 12) == Some(&ROUTER_MAC.0)
}

/// Whether one frame answers another: ARP, neighbour discovery, or that it was too big; with tags
/// or without.
fn is_answer(answer: &[u8], asked: &[u8]) -> bool {
    let has_tag = tag(answer) != 0 || matches!(answer[12..14], [0x81, 0] | [0x88, 0xa8]);
    let at = if has_tag { 16 } else { 12 };
    let byte = |offset: usize| answer.get(at + offset).copied();
    let is_one = match (byte(0), byte(1)) {
        // The operation; protocol, type and code; next header and type.
        (Some(0x08), Some(0x06)) => byte(9) == Some(2),
        (Some(0x08), Some(0x00)) => (byte(11), byte(22), byte(23)) == (Some(1), Some(3), Some(4)),
        (Some(0x86), Some(0xdd)) => byte(8) == Some(58) && matches!(byte(42), Some(136 | 2)),
        _ => false,
    };
    is_one && answer[..6] == asked[6..12]
}

fn carries(bytes: &[u8], segment: u16) -> bool {
    let pattern = pattern(segment);
    bytes.windows(8).any(|window| window == pattern)
}

/// Whether a tunnel's source address is that of a peer that may use the segment.
fn is_permitted(world: &World, frame: &[u8], segment: u16) -> bool {
    world.peers.iter().any(|peer| {
        let is_sender = match peer.ends {
            Ends::V4(_, from) => frame[12..14] == [8, 0] && frame[26..30] == from,
            Ends::V6(_, from) => frame[12..14] == [0x86, 0xdd] && frame[22..38] == from,
        };
        is_sender && peer.segments.contains(&segment)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::campaign::frames;
    use crate::campaign::seed::Seed;
    use overlay_control::sample::Devices;

    #[test]
    fn what_a_marked_frame_carries_is_missed_in_every_other_segment() {
        let world = World::new(&mut Seed::new(1, 1, 1), &Devices::default());
        let mut marked = 0;
        for number in 0..2000 {
            let frame = frames::frame(&mut Seed::new(1, 2, number), &world);
            let Some(segment) = origin(&world, frame.direction, &frame.frame) else { continue };
            if !carries(&frame.frame, segment) {
                continue;
            }
            marked += 1;
            let others: Vec<_> =
                world.ports.iter().filter(|port| port.segment != segment).collect();
            let vlan_tag = |vlan: u16| {
                let tpid = if vlan & 0x8000 == 0 { [0x81, 0x00] } else { [0x88, 0xa8] };
                [tpid, (vlan & 0x0fff).to_be_bytes()].concat()
            };
            for port in others {
                let tag = if port.vlan == 0 { Vec::new() } else { vlan_tag(port.vlan) };
                let bytes = [&[2; 12][..], &tag, &[8, 0], &frame.frame].concat();
                let found = check(&world, &frame, &[(port.ifindex, bytes)]);
                assert!(found.is_err(), "{port:?}");
            }
        }
        assert!(marked > 1000, "{marked} of 2000 frames are marked");
    }
}

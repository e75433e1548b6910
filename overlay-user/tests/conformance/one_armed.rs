//! Frames on a device that is uplink and access port, each with what must become of it.

use overlay_common::abi::Hook;
use overlay_common::verdict::DropReason as Why;
use overlay_common::wire::Mac;
use overlay_control::sample::station;

use crate::outer::Datagram;
use crate::picked::{Expect, Picked, Picks, ipv4};
use crate::vector::{Direction, ethernet, service_tagged, tagged};

fn frame(to: Mac, from: u8) -> Vec<u8> {
    ethernet(to, station(from), 0x0800, &ipv4(0, 6, 40))
}

/// All of them.
pub fn vectors() -> Vec<Picked> {
    let mut picks = Picks(Vec::new());
    let mut add = |name: &str, frame: Vec<u8>, tc: Expect, xdp: Expect| {
        picks.add(Direction::OneArmed, &format!("one-armed: {name}"), frame, tc, xdp);
    };
    let mut both = |name: &str, frame: Vec<u8>, expect: Expect| {
        add(name, frame, expect.clone(), expect);
    };

    // From a segment.
    let inner = frame(station(0x11), 5);
    let tunnelled = Expect::Tunnelled { peer: 1, vni: 200, tos: 0, inner: inner.clone() };
    both("a VLAN of a segment", tagged(&inner, 20), tunnelled);
    let inner = frame(station(0x11), 9);
    let tunnelled = Expect::Tunnelled { peer: 1, vni: 100, tos: 0, inner: inner.clone() };
    both("a service VLAN of a segment", service_tagged(&inner, 20), tunnelled);
    let two = tagged(&tagged(&frame(station(0x11), 5), 7), 20);
    both("a tag in a segment's tag", two, Expect::Dropped(Why::InnerVlan));
    let broken = tagged(&ethernet(station(0x11), Mac::BROADCAST, 0x88b5, &[0; 46]), 20);
    both("a segment's frame of nobody", broken, Expect::Dropped(Why::InvalidSource));

    // The host's own.
    let plain = frame(station(0x11), 1);
    both("an untagged frame", plain.clone(), Expect::Untouched);
    both("an untagged broadcast", frame(Mac::BROADCAST, 1), Expect::Untouched);
    both("a VLAN of no segment", tagged(&plain, 99), Expect::Untouched);
    both("a VLAN of no segment, to all", tagged(&frame(Mac::BROADCAST, 1), 99), Expect::Untouched);
    both("the VLAN in a tag of the other kind", service_tagged(&plain, 50), Expect::Untouched);
    both("a priority tag", tagged(&plain, 0x6000), Expect::Untouched);
    let mut short = tagged(&plain, 20);
    short.truncate(15);
    both("a tag that is cut", short, Expect::Untouched);

    // From the underlay.
    let inner = frame(station(9), 0x11);
    let whole = Datagram::of(1).sent_to_node(&inner);
    both("from a peer, back to a VLAN", whole.clone(), Expect::ServiceTagged(inner, 20));
    both("a peer's in a VLAN of no segment", tagged(&whole, 99), Expect::Untouched);
    both("a peer's with a priority tag", tagged(&whole, 0x2000), Expect::Untouched);
    let split = Datagram::of(1).sent_to_node(&frame(station(0x11), 0x14));
    both("from a peer to a peer", split, Expect::Dropped(Why::SplitHorizon));

    let everybody = tagged(&frame(Mac::BROADCAST, 5), 20);
    add("a segment's broadcast", everybody, Expect::Consumed, Expect::Untouched);
    let everybody = Datagram::of(1).sent_to_node(&frame(Mac::BROADCAST, 0x11));
    add("a peer's broadcast", everybody, Expect::Consumed, Expect::Untouched);
    picks.0
}

#[test]
fn what_goes_back_out_of_its_device_goes_by_xdp_itself() {
    let home = crate::home::Home::imagined();
    let back = |picked: &&Picked| {
        let observed = crate::host::run(&picked.vector, Hook::Xdp, &home);
        matches!(observed.outcome, crate::vector::Outcome::SentBack(_))
    };
    let vectors = vectors();
    let names: Vec<_> = vectors.iter().filter(back).map(|p| p.vector.name.as_str()).collect();
    assert_eq!(names, ["one-armed: from a peer, back to a VLAN"]);
}

//! Frames longer than a receive buffer, each with what must become of it.
//!
//! `BPF_PROG_TEST_RUN` makes no socket buffers of them, so the kernel runs them at XDP alone.

use overlay_common::abi::Punt;
use overlay_common::verdict::DropReason as Why;
use overlay_common::wire::Mac;
use overlay_control::sample::station;

use crate::host::FIRST_BUFFER;
use crate::outer::Datagram;
use crate::picked::{Expect, Picked, Picks, ipv4};
use crate::vector::{ethernet, service_tagged, tagged};

/// The longest inner frame of the sample node: an IP packet of 9,000 bytes.
const LONGEST: usize = 9014;
/// Ethernet, IPv4 and TCP.
const HEADERS: usize = 54;

/// A TCP segment in a frame of so many bytes.
fn frame(to: u8, from: u8, len: usize) -> Vec<u8> {
    ethernet(station(to), station(from), 0x0800, &ipv4(0, 6, len - HEADERS))
}

fn tunnelled(peer: u8, inner: &[u8]) -> Expect {
    Expect::Tunnelled { peer, vni: 100, tos: 0, inner: inner.to_vec() }
}

/// All of them.
pub fn vectors() -> Vec<Picked> {
    let mut picks = Picks(Vec::new());
    encapsulation(&mut picks);
    local_switching(&mut picks);
    decapsulation(&mut picks);
    picks.0
}

fn encapsulation(picks: &mut Picks) {
    for (peer, name) in [(4, "over IPv4"), (6, "over IPv6")] {
        for len in [FIRST_BUFFER + 1, 5000, LONGEST] {
            let inner = frame(0x10 + peer, 1, len);
            let expect = tunnelled(peer, &inner);
            picks.access(&format!("{len} bytes {name}"), inner, expect);
        }
        let long = frame(0x10 + peer, 1, LONGEST + 1);
        picks.access_by_tc(&format!("too long {name}"), long, Expect::Consumed);
    }
    let long = frame(0x11, 1, LONGEST);
    picks.access_by_tc("too long, and for one buffer", long, Expect::Consumed);

    let inner = frame(0x14, 9, LONGEST);
    let expect = tunnelled(4, &inner);
    picks.access("a jumbo frame with a tag", service_tagged(&inner, 20), expect);
    let tags = service_tagged(&tagged(&inner, 7), 20);
    picks.access_by_tc("a jumbo frame with two tags", tags, Expect::Dropped(Why::InnerVlan));
    picks.access("a jumbo frame to be punted", frame(0x13, 1, LONGEST), Expect::Consumed);
    const _: () = assert!(LONGEST < Punt::LONGEST as usize);
}

fn local_switching(picks: &mut Picks) {
    let plain = frame(2, 1, LONGEST);
    picks.access("a jumbo frame to another port", plain.clone(), Expect::Delivered(plain, None));
    let to_tagged = frame(9, 1, LONGEST);
    let expect = Expect::ServiceTagged(to_tagged.clone(), 20);
    picks.access("a jumbo frame to a port with a tag", to_tagged, expect);
    let whole = frame(3, 1, FIRST_BUFFER);
    let expect = Expect::Delivered(whole.clone(), Some(30));
    picks.access("one buffer, just", whole, expect);
    let long = frame(3, 1, FIRST_BUFFER + 1);
    let expect = Expect::Delivered(long.clone(), Some(30));
    picks.access_by_tc("the port takes one buffer", long, expect);
    let everybody = ethernet(Mac::BROADCAST, station(1), 0x88b5, &[7; 5000]);
    picks.access_by_tc("a jumbo broadcast", everybody, Expect::Missed(Why::TooBig, 3));
}

fn decapsulation(picks: &mut Picks) {
    let usual = [1, 4, 6].map(|peer| (format!("from peer {peer}"), Datagram::of(peer)));
    let options = ("behind the longest options".to_owned(), Datagram::with_options(4, 63));
    for (name, datagram) in usual.into_iter().chain([options]) {
        // What comes from the wire, and is shorter without its padding: by a part of the last
        // buffer, by all further buffers, or so that it fits into the first one.
        for (inner, padding) in [(LONGEST, 0), (LONGEST, 700), (4000, 4500), (2000, 3000)] {
            let inner = frame(2, 0x11, inner);
            let mut whole = datagram.sent_to_node(&inner);
            whole.resize(whole.len() + padding, 0xee);
            let name = format!("{} bytes and {padding} {name}", inner.len());
            picks.underlay(&name, whole, Expect::Delivered(inner, None));
        }
    }
    let inner = frame(9, 0x11, LONGEST);
    let whole = Datagram::of(1).sent_to_node(&inner);
    let expect = Expect::ServiceTagged(inner, 20);
    picks.underlay("a jumbo frame from a peer to a tag", whole, expect);

    let mut marked = frame(2, 0x11, LONGEST);
    marked[15] = 2;
    let sum = &ipv4(2, 6, LONGEST - HEADERS)[10..12];
    marked[24..26].copy_from_slice(sum);
    let whole = Datagram { ecn: 3, ..Datagram::of(1) }.sent_to_node(&marked);
    let seen = ethernet(station(2), station(0x11), 0x0800, &ipv4(3, 6, LONGEST - HEADERS));
    picks.underlay("congestion of a jumbo frame", whole, Expect::Delivered(seen, None));

    let long = Datagram::of(1).sent_to_node(&frame(2, 0x11, LONGEST + 1));
    picks.underlay("one byte too long for the port", long, Expect::Dropped(Why::TooBig));
    let mut cut = Datagram::of(1).sent_to_node(&frame(2, 0x11, LONGEST));
    cut.truncate(cut.len() - 1);
    picks.underlay("a jumbo frame that is cut", cut, Expect::Dropped(Why::Truncated));
    let to_small = frame(3, 0x11, LONGEST);
    let whole = Datagram::of(1).sent_to_node(&to_small);
    let expect = Expect::Delivered(to_small, Some(30));
    picks.underlay_by_tc("from a peer to a port of one buffer", whole, expect);
    let everybody = ethernet(Mac::BROADCAST, station(0x11), 0x88b5, &[7; 5000]);
    let whole = Datagram::of(1).sent_to_node(&everybody);
    picks.underlay_by_tc("a jumbo broadcast from a peer", whole, Expect::Missed(Why::TooBig, 2));
}

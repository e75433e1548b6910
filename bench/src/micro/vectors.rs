//! Frames for the sample node's tables, and what must become of each.

use overlay_common::abi::programs;
use overlay_common::wire::Mac;
use overlay_control::sample::{
    FILTERED_FAR_PORT, FILTERED_PORT, GUARDED_PORT, LOCAL_VTEP, PEER_VTEPS, SECOND_PORT,
    UPLINK_MAC, ipv4_of, next_hop, station,
};
use overlay_testbed::frame::{BROADCAST, Tunnel, arp_request, ethernet, ipv4_udp};

/// Bytes of a frame that goes into a tunnel, or came out of one.
const LENGTH: usize = 64;
const IPV4: u16 = 0x0800;
const IPV6: u16 = 0x86dd;
/// A VTEP that is no peer's.
const STRANGER: [u8; 4] = [192, 0, 2, 99];
/// The segment that peers may use.
const VNI: u32 = 100;
/// A segment without peers.
const LONELY_VNI: u32 = 300;
/// That with access lists.
const LISTED_VNI: u32 = 600;
/// VLANs of the ingress device: one of no further note, one whose segment has access lists, and one
/// whose hosts are bound to their addresses.
const TAGGED: u8 = 20;
const LISTED: u8 = 90;
const GUARDED: u8 = 80;

/// What a program answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Redirected to a device.
    Sent,
    /// Left to the next hook or to the host.
    Passed,
    /// Dropped, or copied to every receiver.
    Ended,
}

/// A frame that comes in.
pub struct Vector {
    name: &'static str,
    programs: [&'static str; 2],
    frame: Vec<u8>,
    xdp: Answer,
    tc: Answer,
}

/// A frame for one program, and what that must answer.
pub struct Run {
    /// The frame.
    pub frame: Vec<u8>,
    /// The answer.
    pub answer: Answer,
}

impl Vector {
    /// The programs of its direction, the vector's name, and the run in each.
    pub fn runs(self) -> [(&'static str, &'static str, Run); 2] {
        let [xdp, tc] = self.programs;
        [
            (xdp, self.name, Run { frame: self.frame.clone(), answer: self.xdp }),
            (tc, self.name, Run { frame: self.frame, answer: self.tc }),
        ]
    }
}

/// Every vector.
pub fn all() -> Vec<Vector> {
    use Answer::{Ended, Passed, Sent};
    let access = |name, frame, xdp, tc| {
        let programs = [programs::XDP_ACCESS, programs::TC_ACCESS];
        Vector { name, programs, frame, xdp, tc }
    };
    let uplink = |name, frame, xdp, tc| {
        let programs = [programs::XDP_UPLINK, programs::TC_UPLINK];
        Vector { name, programs, frame, xdp, tc }
    };
    let here = station(1);
    let (behind_peer, at_port, at_tagged) = (station(0x11), station(2), station(3));
    let arp = |source: Mac| arp_request(source.0, [10, 0, 0, 1], [10, 0, 0, 2]);
    let group = Mac([1, 0, 0x5e, 0, 0, 1]);
    let to_peer = |vlan, port: u32| {
        let ends = ((ipv4_of(port as u8), 4000), (ipv4_of(0x11), 53));
        tagged(vlan, &udp(behind_peer, station(port as u8), ends))
    };
    let listed = udp(
        station(FILTERED_FAR_PORT as u8),
        behind_peer,
        ((ipv4_of(0x12), 4000), (ipv4_of(FILTERED_FAR_PORT as u8), 53)),
    );
    vec![
        access("encap-ipv4", ipv4(behind_peer, here), Sent, Sent),
        access("encap-ipv6", ipv6(behind_peer, here), Sent, Sent),
        access("encap-tagged", to_peer(TAGGED, SECOND_PORT), Sent, Sent),
        access("encap-listed", to_peer(LISTED, FILTERED_PORT), Sent, Sent),
        access("encap-guarded", to_peer(GUARDED, GUARDED_PORT), Sent, Sent),
        access("local", ipv4(at_port, here), Sent, Sent),
        access("local-tagged", ipv4(at_tagged, here), Sent, Sent),
        access("flood", arp(here), Passed, Ended),
        access("drop-invalid-source", ipv4(at_port, group), Ended, Ended),
        uplink("decap-ipv4", from(PEER_VTEPS[0], VNI, &ipv4(at_port, behind_peer)), Sent, Sent),
        uplink("decap-ipv6", from(PEER_VTEPS[0], VNI, &ipv6(at_port, behind_peer)), Sent, Sent),
        uplink("decap-listed", from(PEER_VTEPS[0], LISTED_VNI, &listed), Sent, Sent),
        uplink("flood", from(PEER_VTEPS[0], VNI, &arp(behind_peer)), Passed, Ended),
        uplink("drop-unknown-vtep", from(STRANGER, VNI, &ipv4(at_port, here)), Ended, Ended),
        uplink("drop-vni", from(PEER_VTEPS[0], LONELY_VNI, &ipv4(at_port, here)), Ended, Ended),
        uplink("pass-not-ours", ipv4(UPLINK_MAC, next_hop(1)), Passed, Passed),
        uplink("pass-arp", ethernet(BROADCAST, next_hop(1).0, 0x0806, &[0; 50]), Passed, Passed),
    ]
}

fn ipv4(destination: Mac, source: Mac) -> Vec<u8> {
    udp(destination, source, (([10, 0, 0, 1], 4000), ([10, 0, 0, 2], 5000)))
}

/// From an address and port to another.
fn udp(destination: Mac, source: Mac, (from, to): (([u8; 4], u16), ([u8; 4], u16))) -> Vec<u8> {
    let packet = ipv4_udp(from, to, &[0x5a; LENGTH - 42]);
    ethernet(destination.0, source.0, IPV4, &packet)
}

/// The frame with a tag among its bytes.
fn tagged(vlan: u8, frame: &[u8]) -> Vec<u8> {
    let (addresses, rest) = frame.split_at(12);
    [addresses, &[0x81, 0, 0, vlan], rest].concat()
}

fn ipv6(destination: Mac, source: Mac) -> Vec<u8> {
    const UDP: u8 = 17;
    let payload = LENGTH - 14 - 40;
    let mut packet = vec![0x60, 0, 0, 0, 0, payload as u8, UDP, 64];
    for last in [1, 2] {
        packet.extend([0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last]);
    }
    packet.extend([0x0f, 0xa0, 0x13, 0x88, 0, payload as u8, 0, 0]);
    packet.resize(LENGTH - 14, 0x5a);
    ethernet(destination.0, source.0, IPV6, &packet)
}

/// A frame out of a tunnel from a VTEP.
fn from(vtep: [u8; 4], vni: u32, inner: &[u8]) -> Vec<u8> {
    let macs = (UPLINK_MAC.0, next_hop(1).0);
    Tunnel { macs, src: vtep, dst: LOCAL_VTEP, vni }.wrap(inner)
}

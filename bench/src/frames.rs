//! The frames that generators send.

use overlay_testbed::frame::{Tunnel, ethernet, ipv4_udp};

/// Behind the access port.
pub const HOST_INSIDE: [u8; 6] = [2, 0, 0, 0, 0, 1];
/// Behind the peer.
pub const HOST_OUTSIDE: [u8; 6] = [2, 0, 0, 0, 0, 2];
/// The gateway's own VTEP.
pub const VTEP: &str = "192.0.2.1";
/// The peer's VTEP.
pub const PEER: &str = "192.0.2.2";
/// The segment.
pub const VNI: u32 = 100;
/// A plain frame's length.
pub const PLAIN_LEN: usize = 64;
/// Its length in a tunnel.
pub const TUNNEL_LEN: usize = PLAIN_LEN + Tunnel::LEN;

const ETHERNET_IPV4_UDP: usize = 14 + 20 + 8;

/// A frame from the host inside to the one outside.
pub fn outwards() -> Vec<u8> {
    plain(HOST_OUTSIDE, HOST_INSIDE, ([10, 0, 0, 1], 5000), ([10, 0, 0, 2], 6000))
}

/// A frame from the host outside to the one inside, in the peer's tunnel. `macs`
/// are those of the gateway's uplink and of the peer's.
pub fn inwards(macs: ([u8; 6], [u8; 6])) -> Vec<u8> {
    let inner = plain(HOST_INSIDE, HOST_OUTSIDE, ([10, 0, 0, 2], 6000), ([10, 0, 0, 1], 5000));
    Tunnel { macs, src: [192, 0, 2, 2], dst: [192, 0, 2, 1], vni: VNI }.wrap(&inner)
}

fn plain(dst: [u8; 6], src: [u8; 6], from: ([u8; 4], u16), to: ([u8; 4], u16)) -> Vec<u8> {
    ethernet(dst, src, 0x0800, &ipv4_udp(from, to, &[0x5a; PLAIN_LEN - ETHERNET_IPV4_UDP]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_those_that_the_bpf_programs_write() {
        assert_eq!(outwards().len(), PLAIN_LEN);
        assert_eq!(inwards(([0; 6], [0; 6])).len(), TUNNEL_LEN);
    }
}

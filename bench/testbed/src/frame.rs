//! Frames written out by hand, so that what a test sends and expects does not
//! come from the code under test.

/// Ethernet's type of IPv4.
const IPV4: u16 = 0x0800;
/// Ethernet's type of ARP.
const ARP: u16 = 0x0806;
/// Ethernet's type of an 802.1Q tag.
const TAG: u16 = 0x8100;
/// Ethernet's type of an 802.1ad tag.
const SERVICE_TAG: u16 = 0x88a8;
const UDP: u8 = 17;
/// The broadcast address.
pub const BROADCAST: [u8; 6] = [0xff; 6];

/// An Ethernet frame.
pub fn ethernet(dst: [u8; 6], src: [u8; 6], kind: u16, payload: &[u8]) -> Vec<u8> {
    [&dst[..], &src, &kind.to_be_bytes(), payload].concat()
}

/// The frame with an 802.1Q tag.
pub fn tagged(frame: &[u8], vlan: u16) -> Vec<u8> {
    with_tag(frame, TAG, vlan)
}

/// The frame with an 802.1ad tag.
pub fn service_tagged(frame: &[u8], vlan: u16) -> Vec<u8> {
    with_tag(frame, SERVICE_TAG, vlan)
}

fn with_tag(frame: &[u8], kind: u16, vlan: u16) -> Vec<u8> {
    let (macs, rest) = frame.split_at(12);
    [macs, &kind.to_be_bytes(), &vlan.to_be_bytes(), rest].concat()
}

/// An ARP request, broadcast.
pub fn arp_request(mac: [u8; 6], address: [u8; 4], wanted: [u8; 4]) -> Vec<u8> {
    let header = [0, 1, 8, 0, 6, 4, 0, 1];
    let payload = [&header[..], &mac, &address, &[0; 6], &wanted].concat();
    ethernet(BROADCAST, mac, ARP, &payload)
}

/// An IPv4 and UDP header with `payload`, without Ethernet header; the UDP
/// checksum is left out (zero), as tunnels do.
pub fn ipv4_udp(src: ([u8; 4], u16), dst: ([u8; 4], u16), payload: &[u8]) -> Vec<u8> {
    let udp_len = (8 + payload.len()) as u16;
    let udp =
        [&src.1.to_be_bytes()[..], &dst.1.to_be_bytes(), &udp_len.to_be_bytes(), &[0, 0], payload]
            .concat();
    [&ipv4_header(src.0, dst.0, &[], UDP, udp_len)[..], &udp].concat()
}

/// An IPv4 header (DF, TTL 64) with `options` (a multiple of 4 bytes) for a
/// payload of `length` bytes.
pub fn ipv4_header(
    src: [u8; 4],
    dst: [u8; 4],
    options: &[u8],
    protocol: u8,
    length: u16,
) -> Vec<u8> {
    let words = 5 + options.len() / 4;
    let total = (words * 4) as u16 + length;
    let mut header = [
        &[0x40 | words as u8, 0][..],
        &total.to_be_bytes(),
        &[0, 0, 0x40, 0, 64, protocol, 0, 0],
        &src,
        &dst,
        options,
    ]
    .concat();
    let checksum = ipv4_checksum(&header);
    header[10..12].copy_from_slice(&checksum.to_be_bytes());
    header
}

/// The checksum of an IPv4 header whose checksum field is zero (RFC 1071).
pub fn ipv4_checksum(header: &[u8]) -> u16 {
    let words = header.chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]])));
    let mut sum: u32 = words.sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

/// Outer headers of VXLAN over IPv4.
#[derive(Clone, Copy, Debug)]
pub struct Tunnel {
    /// MAC addresses: destination, source.
    pub macs: ([u8; 6], [u8; 6]),
    /// The sending VTEP.
    pub src: [u8; 4],
    /// The receiving VTEP.
    pub dst: [u8; 4],
    /// The network identifier.
    pub vni: u32,
}

impl Tunnel {
    /// Bytes in front of the inner frame.
    pub const LEN: usize = 50;

    /// The inner frame behind outer headers.
    pub fn wrap(&self, inner: &[u8]) -> Vec<u8> {
        let vxlan = [&[8, 0, 0, 0][..], &(self.vni << 8).to_be_bytes(), inner].concat();
        let packet = ipv4_udp((self.src, 49152), (self.dst, 4789), &vxlan);
        ethernet(self.macs.0, self.macs.1, IPV4, &packet)
    }

    /// The inner frame and VNI of a VXLAN packet over IPv4 without options; else
    /// `None`.
    pub fn unwrap(frame: &[u8]) -> Option<(u32, &[u8])> {
        let is_vxlan = frame.len() >= Self::LEN
            && frame[12..14] == IPV4.to_be_bytes()
            && frame[14] == 0x45
            && frame[23] == UDP
            && frame[36..38] == 4789_u16.to_be_bytes();
        let vni = u32::from_be_bytes([0, *frame.get(46)?, *frame.get(47)?, *frame.get(48)?]);
        is_vxlan.then(|| (vni, &frame[Self::LEN..]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tunnel_is_as_rfc_7348_draws_it() {
        let inner = arp_request([2, 0, 0, 0, 0, 1], [10, 0, 0, 1], [10, 0, 0, 2]);
        let tunnel = Tunnel {
            macs: ([2, 0, 0, 0, 1, 2], [2, 0, 0, 0, 1, 1]),
            src: [192, 0, 2, 1],
            dst: [192, 0, 2, 2],
            vni: 0x0a_0b0c,
        };
        let outer = tunnel.wrap(&inner);
        assert_eq!(outer.len(), inner.len() + 50);
        assert_eq!(outer[42..50], [8, 0, 0, 0, 0x0a, 0x0b, 0x0c, 0]);
        assert_eq!(Tunnel::unwrap(&outer), Some((0x0a_0b0c, &inner[..])));
        assert_eq!(ipv4_checksum(&outer[14..34]), 0, "a valid header sums to zero");
    }
}

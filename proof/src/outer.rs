//! Outer headers, built field by field and not by the path's own template.

use overlay_common::wire::{Encap, Ends, Ethernet, Ipv4, Mac, Outer4, Shim, Udp, checksum};
use overlay_control::sample::{LOCAL_VTEP, PEERS, SamplePeer, UPLINK_MAC, next_hop};

/// Whoever sends to the sample node.
const SENDER: Mac = Mac([0x02, 0, 0, 0, 0xfe, 0x99]);

/// What a VXLAN peer over IPv4 sends to the sample node.
pub fn tunnel(source: [u8; 4], vni: u32, inner_len: usize) -> Outer4 {
    let mut ip = Ipv4::new(source, LOCAL_VTEP, 17, 64);
    ip.set_total_len((inner_len + 36) as u16);
    ip.seal();
    let ethernet = Ethernet::new(UPLINK_MAC, SENDER, 0x0800);
    let udp = Udp::new(50_000, 4789, (inner_len + 16) as u16);
    Outer4 { ethernet, ip, udp, shim: Shim::new(Encap::Vxlan, vni) }
}

/// A tunnel's datagram, and how it differs from the usual.
#[derive(Clone, Debug)]
pub struct Datagram {
    /// The peer's index.
    pub peer: u8,
    /// The encapsulation.
    pub encap: Encap,
    /// The VNI.
    pub vni: u32,
    /// The outer ECN field, and the DSCP where it has one.
    pub ecn: u8,
    /// Geneve's first two bytes: version and length of the options in words, flags.
    pub geneve: [u8; 2],
    /// Geneve's protocol type.
    pub protocol: u16,
    /// Geneve's options.
    pub options: Vec<u8>,
    /// The UDP checksum; 0 where there is none.
    pub udp_checksum: u16,
}

impl Datagram {
    /// As the peer sends it.
    pub fn of(peer: u8) -> Self {
        Self {
            peer,
            encap: PEERS[usize::from(peer) - 1].encap,
            vni: 100,
            ecn: 0,
            geneve: [0; 2],
            protocol: 0x6558,
            options: Vec::new(),
            udp_checksum: 0,
        }
    }

    /// With Geneve options of so many words.
    pub fn with_options(peer: u8, words: u8) -> Self {
        let options = vec![0xff; usize::from(words) * 4];
        Self { geneve: [words, 0], options, ..Self::of(peer) }
    }

    /// From the peer to the sample node.
    pub fn sent_to_node(&self, inner: &[u8]) -> Vec<u8> {
        self.frame(UPLINK_MAC, SENDER, true, inner)
    }

    /// From the sample node to the peer, with this source port.
    pub fn sent_by_node(&self, source_port: u16, inner: &[u8]) -> Vec<u8> {
        let mut frame = self.frame(next_hop(self.peer), UPLINK_MAC, false, inner);
        let at = frame.len() - inner.len() - 16;
        frame[at..at + 2].copy_from_slice(&source_port.to_be_bytes());
        frame
    }

    fn frame(&self, to: Mac, from: Mac, to_node: bool, inner: &[u8]) -> Vec<u8> {
        let shim = match self.encap {
            Encap::Vxlan => vec![8, 0, 0, 0],
            Encap::Geneve => [&self.geneve[..], &self.protocol.to_be_bytes()].concat(),
        };
        let vni = (self.vni << 8).to_be_bytes();
        let payload = [&shim[..], &vni, &self.options, inner].concat();
        let udp_len = (payload.len() + 8) as u16;
        let mut udp = 50_000_u16.to_be_bytes().to_vec();
        udp.extend(self.encap.port().to_be_bytes());
        udp.extend(udp_len.to_be_bytes());
        udp.extend(self.udp_checksum.to_be_bytes());
        let SamplePeer { ends, .. } = PEERS[usize::from(self.peer) - 1];
        let (kind, ip) = match ends {
            Ends::V4(node, peer) => {
                let (source, destination) = if to_node { (peer, node) } else { (node, peer) };
                (0x0800_u16, ipv4(source, destination, self.ecn, udp_len + 20))
            }
            Ends::V6(node, peer) => {
                let (source, destination) = if to_node { (peer, node) } else { (node, peer) };
                let mut ip = vec![0x60 | self.ecn >> 4, self.ecn << 4, 0, 0];
                ip.extend(udp_len.to_be_bytes());
                ip.extend([17, 64]);
                ip.extend(source);
                ip.extend(destination);
                (0x86dd, ip)
            }
        };
        [&to.0[..], &from.0, &kind.to_be_bytes(), &ip, &udp, &payload].concat()
    }
}

fn ipv4(source: [u8; 4], destination: [u8; 4], tos: u8, total: u16) -> Vec<u8> {
    let mut ip = vec![0x45, tos];
    ip.extend(total.to_be_bytes());
    ip.extend([0, 0, 0x40, 0, 64, 17, 0, 0]);
    ip.extend(source);
    ip.extend(destination);
    let sum = checksum::full(&ip);
    ip[10..12].copy_from_slice(&sum.to_be_bytes());
    ip
}

/// Makes the outer IPv4 header's checksum right again.
pub fn seal(frame: &mut [u8]) {
    frame[24..26].fill(0);
    let sum = checksum::full(&frame[14..34]);
    frame[24..26].copy_from_slice(&sum.to_be_bytes());
}

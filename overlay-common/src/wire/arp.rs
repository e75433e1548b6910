//! ARP for IPv4 over Ethernet (RFC 826).

use super::{Mac, header};

/// An ARP packet for IPv4 over Ethernet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Arp {
    hardware: [u8; 2],
    protocol: [u8; 2],
    hardware_len: u8,
    protocol_len: u8,
    operation: [u8; 2],
    /// Sender's MAC.
    pub sender_mac: Mac,
    /// Sender's IPv4 address.
    pub sender_ip: [u8; 4],
    /// Target's MAC; zero in a request.
    pub target_mac: Mac,
    /// Target's IPv4 address.
    pub target_ip: [u8; 4],
}
header!(Arp, Arp::LEN);

impl Arp {
    /// 28 bytes.
    pub const LEN: usize = 28;
    /// Operation: who has the target's address?
    pub const REQUEST: u16 = 1;
    /// Operation: the sender has.
    pub const REPLY: u16 = 2;

    /// A packet from its parts; `operation` in host order.
    pub const fn new(operation: u16, sender: (Mac, [u8; 4]), target: (Mac, [u8; 4])) -> Self {
        Self {
            hardware: 1u16.to_be_bytes(),
            protocol: super::ethertype::IPV4.to_be_bytes(),
            hardware_len: 6,
            protocol_len: 4,
            operation: operation.to_be_bytes(),
            sender_mac: sender.0,
            sender_ip: sender.1,
            target_mac: target.0,
            target_ip: target.1,
        }
    }

    /// Makes a request the answer to itself: the target is at `mac`.
    #[inline(always)]
    pub fn answer(&mut self, mac: Mac) {
        let wanted = self.target_ip;
        (self.target_mac, self.target_ip) = (self.sender_mac, self.sender_ip);
        (self.sender_mac, self.sender_ip) = (mac, wanted);
        self.operation = Self::REPLY.to_be_bytes();
    }

    /// Whether this is ARP for IPv4 over Ethernet.
    pub const fn is_ipv4_over_ethernet(&self) -> bool {
        u16::from_be_bytes(self.hardware) == 1
            && u16::from_be_bytes(self.protocol) == super::ethertype::IPV4
            && self.hardware_len == 6
            && self.protocol_len == 4
    }

    /// The operation.
    pub const fn operation(&self) -> u16 {
        u16::from_be_bytes(self.operation)
    }
}

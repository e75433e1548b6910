//! What a frame says of itself, for people.

use std::fmt::Write as _;
use std::net::IpAddr;

use overlay_common::abi::TunnelPorts;
use overlay_common::wire::{
    Arp, Encap, Ethernet, Ipv4, Ipv6, Mac, Shim, Tag, Udp, ethertype, protocol, view,
};

/// A frame's headers, as far as it has them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Headers {
    /// Destination and source.
    pub stations: Option<[Mac; 2]>,
    /// The VLAN tags, the outermost first.
    pub tags: Vec<Tag>,
    /// The EtherType behind them.
    pub kind: u16,
    /// Source and destination of IP, or of ARP.
    pub ends: Option<[IpAddr; 2]>,
    /// Its protocol or next header.
    pub protocol: Option<u8>,
    /// Ports of TCP, UDP and SCTP.
    pub ports: Option<[u16; 2]>,
    /// Type and code of ICMP.
    pub icmp: Option<[u8; 2]>,
    /// The length that IP says it has, its header included.
    pub ip_len: Option<u32>,
    /// The length that UDP says it has.
    pub udp_len: Option<u16>,
    /// Whether IPv4 may not be cut up.
    pub dont_fragment: bool,
    /// TTL or hop limit.
    pub ttl: Option<u8>,
    /// The header checksum of IPv4, and the one that would be right.
    pub checksum: Option<[u16; 2]>,
    /// The ECN field of IP.
    pub ecn: u8,
    /// Where what UDP carries begins.
    pub payload: usize,
    /// The frame's length.
    pub len: usize,
}

/// A tunnel's own header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TunnelHeader {
    /// By the UDP port.
    pub encap: Encap,
    /// The VNI.
    pub vni: u32,
    /// Its bytes.
    pub bytes: [u8; 8],
    /// Where the inner frame begins.
    pub inner: usize,
}

impl Headers {
    /// Reads a frame, Ethernet header first.
    pub fn of(bytes: &[u8]) -> Self {
        let mut headers = Self { len: bytes.len(), ..Self::default() };
        let Some(ethernet) = view::<Ethernet>(bytes, 0) else { return headers };
        headers.stations = Some(ethernet.stations());
        headers.kind = ethernet.ethertype();
        let mut at = Ethernet::LEN;
        while matches!(headers.kind, ethertype::VLAN | ethertype::SERVICE_VLAN)
            && let Some(tag) = view::<Tag>(bytes, at - 2)
            && let Some(kind) = view::<[u8; 2]>(bytes, at + 2)
        {
            headers.tags.push(*tag);
            headers.kind = u16::from_be_bytes(*kind);
            at += Tag::LEN;
        }
        match headers.kind {
            ethertype::IPV4 => headers.ipv4(bytes, at),
            ethertype::IPV6 => headers.ipv6(bytes, at),
            ethertype::ARP => {
                let arp = view::<Arp>(bytes, at);
                headers.ends = arp.map(|arp| [arp.sender_ip.into(), arp.target_ip.into()]);
            }
            _ => {}
        }
        headers
    }

    fn ipv4(&mut self, bytes: &[u8], at: usize) {
        let Some(ip) = view::<Ipv4>(bytes, at) else { return };
        self.ends = Some([ip.source.into(), ip.destination.into()]);
        self.protocol = Some(ip.protocol);
        self.ip_len = Some(ip.total_len().into());
        self.dont_fragment = ip.dont_fragment();
        self.ttl = Some(ip.ttl);
        self.ecn = ip.ecn();
        let mut right = *ip;
        right.seal();
        self.checksum = Some([ip.checksum(), right.checksum()]);
        if ip.is_first_fragment() && ip.header_len() >= Ipv4::LEN {
            self.transport(bytes, at + ip.header_len(), ip.protocol);
        }
    }

    fn ipv6(&mut self, bytes: &[u8], at: usize) {
        let Some(ip) = view::<Ipv6>(bytes, at) else { return };
        self.ends = Some([ip.source.into(), ip.destination.into()]);
        self.protocol = Some(ip.next_header);
        self.ip_len = Some(u32::from(ip.payload_len()) + Ipv6::LEN as u32);
        self.ttl = Some(ip.hop_limit);
        self.ecn = ip.ecn();
        self.dont_fragment = true;
        self.transport(bytes, at + Ipv6::LEN, ip.next_header);
    }

    fn transport(&mut self, bytes: &[u8], at: usize, number: u8) {
        match number {
            protocol::TCP | protocol::UDP | protocol::SCTP => {
                let ports = view::<[u8; 4]>(bytes, at);
                self.ports = ports.map(|[a, b, c, d]| {
                    [u16::from_be_bytes([*a, *b]), u16::from_be_bytes([*c, *d])]
                });
            }
            protocol::ICMP | protocol::ICMPV6 => self.icmp = view::<[u8; 2]>(bytes, at).copied(),
            _ => {}
        }
        if number == protocol::UDP {
            self.udp_len = view::<Udp>(bytes, at).map(Udp::len);
            self.payload = at + Udp::LEN;
        }
    }

    /// The header of a tunnel, where UDP goes to the port of one.
    pub fn tunnel(&self, bytes: &[u8], ports: TunnelPorts) -> Option<TunnelHeader> {
        let [_, to] = self.ports.filter(|_| self.protocol == Some(protocol::UDP))?;
        let encap = ports.encap(to)?;
        let shim = view::<[u8; 8]>(bytes, self.payload)?;
        let options = match encap {
            Encap::Vxlan => 0,
            Encap::Geneve => usize::from(shim[0] & 0x3f) * 4,
        };
        let vni = u32::from_be_bytes([0, shim[4], shim[5], shim[6]]);
        Some(TunnelHeader { encap, vni, bytes: *shim, inner: self.payload + Shim::LEN + options })
    }

    /// The source station.
    pub fn source(&self) -> Option<Mac> {
        self.stations.map(|[_, source]| source)
    }

    /// The destination station.
    pub fn destination(&self) -> Option<Mac> {
        self.stations.map(|[destination, _]| destination)
    }

    /// What it carries, in a few words.
    pub fn content(&self) -> String {
        let mut text = match (self.kind, self.ends) {
            (ethertype::IPV4 | ethertype::IPV6, Some([from, to])) => format!("{from} → {to}"),
            (ethertype::ARP, Some([from, to])) => return format!("ARP, {from} about {to}"),
            (kind, _) if kind < 0x600 => return format!("IEEE 802.3, {kind} bytes"),
            (kind, _) => return format!("EtherType 0x{kind:04x}"),
        };
        let number = self.protocol.unwrap_or(0);
        let name = match number {
            protocol::TCP => "TCP",
            protocol::UDP => "UDP",
            protocol::SCTP => "SCTP",
            protocol::ICMP => "ICMP",
            protocol::ICMPV6 => "ICMPv6",
            _ => "",
        };
        let _ = match name {
            "" => write!(text, ", protocol {number}"),
            name => write!(text, ", {name}"),
        };
        if let Some([from, to]) = self.ports {
            let _ = write!(text, " {from} → {to}");
        }
        if let Some([kind, code]) = self.icmp {
            let _ = write!(text, " type {kind} code {code}");
        }
        text
    }

    /// The whole frame, in a line.
    pub fn line(&self) -> String {
        let Some([to, from]) = self.stations else {
            return format!("{} bytes, less than an Ethernet header", self.len);
        };
        let tags = self.tags.iter().map(|tag| format!(", VLAN {}", tag.tci() & Tag::VID));
        format!("{} bytes, {from} → {to}{}, {}", self.len, tags.collect::<String>(), self.content())
    }
}

/// The same of what a frame's tunnel carries.
pub fn inner_of(bytes: &[u8], ports: TunnelPorts) -> Option<(TunnelHeader, Headers)> {
    let tunnel = Headers::of(bytes).tunnel(bytes, ports)?;
    Some((tunnel, Headers::of(bytes.get(tunnel.inner..)?)))
}

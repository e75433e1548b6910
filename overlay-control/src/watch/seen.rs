//! What a filter looks at of a frame: its headers, and those of the frame that it carries where it
//! is a tunnel's. What is not there is not told; nothing is refused.

use std::net::IpAddr;

use overlay_common::wire::{
    self, Ethernet, Geneve, Ipv4, Ipv6, Mac, Tag, Udp, Vxlan, ethertype, protocol,
};

/// The ports that tunnels go to: VXLAN's, Geneve's; 0 for none.
pub type TunnelPorts = [u16; 2];

/// The headers of one frame.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Layer {
    /// Destination and source.
    pub stations: [Mac; 2],
    /// The outermost VLAN, whether its tag is among the bytes or beside them.
    pub vlan: Option<u16>,
    /// What it carries, behind the tag.
    pub ethertype: u16,
    /// Source and destination of an IP packet.
    pub addresses: Option<[IpAddr; 2]>,
    /// What an IP packet carries; behind no extension header.
    pub protocol: Option<u8>,
    /// Source and destination port of TCP and UDP.
    pub ports: Option<[u16; 2]>,
}

/// A frame.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Its own headers; `None` where it is too short for any.
    pub outer: Option<Layer>,
    /// The VNI and the frame inside, where it is a tunnel's.
    pub tunnel: Option<(u32, Option<Layer>)>,
    /// Its length in bytes, also of what was not captured.
    pub len: u32,
}

impl Seen {
    /// Reads a frame: its first bytes, its length, and the control information of a tag that its
    /// device stripped (0: none).
    pub fn of(bytes: &[u8], len: u32, stripped: u16, ports: TunnelPorts) -> Self {
        let Some((outer, payload)) = layer(bytes) else { return Self { len, ..Self::default() } };
        let vlan = if stripped == 0 { outer.vlan } else { Some(stripped & Tag::VID) };
        let tunnel = tunnel(&outer, bytes.get(payload..).unwrap_or_default(), ports);
        Self { outer: Some(Layer { vlan, ..outer }), tunnel, len }
    }

    /// The frame's headers and those inside.
    pub fn layers(&self) -> impl Iterator<Item = &Layer> {
        let inner = self.tunnel.as_ref().and_then(|(_, inner)| inner.as_ref());
        self.outer.iter().chain(inner)
    }
}

/// The headers at the front, and where what they carry begins: behind UDP's where it is UDP.
fn layer(bytes: &[u8]) -> Option<(Layer, usize)> {
    let ethernet = wire::view::<Ethernet>(bytes, 0)?;
    let mut layer = Layer {
        stations: ethernet.stations(),
        ethertype: ethernet.ethertype(),
        ..Layer::default()
    };
    let mut at = Ethernet::LEN;
    if ethernet.is_tagged() {
        layer.vlan = Some(wire::view::<Tag>(bytes, Tag::OFFSET)?.vlan());
        let [high, low] = *wire::view::<[u8; 2]>(bytes, Tag::OFFSET + Tag::LEN)?;
        layer.ethertype = u16::from_be_bytes([high, low]);
        at += Tag::LEN;
    }
    let Some(upper) = internet(&mut layer, bytes, at) else { return Some((layer, at)) };
    let ports = wire::view::<Udp>(bytes, upper);
    let has_ports = matches!(layer.protocol, Some(protocol::TCP | protocol::UDP));
    // TCP's ports stand where UDP's do.
    layer.ports = ports.filter(|_| has_ports).map(|udp| [udp.source(), udp.destination()]);
    Some((layer, upper + Udp::LEN))
}

/// Reads an IP header, and says where what it carries begins, unless that is a later part of it.
fn internet(layer: &mut Layer, bytes: &[u8], at: usize) -> Option<usize> {
    match layer.ethertype {
        ethertype::IPV4 => {
            let ip = wire::view::<Ipv4>(bytes, at)?;
            layer.addresses = Some([ip.source().into(), ip.destination().into()]);
            layer.protocol = Some(ip.protocol);
            let is_first = !ip.is_fragment() || ip.is_first_fragment();
            is_first.then_some(at + ip.header_len())
        }
        ethertype::IPV6 => {
            let ip = wire::view::<Ipv6>(bytes, at)?;
            let ends = [ip.source_words(), ip.destination_words()];
            layer.addresses = Some(ends.map(|words| wire::address_bytes(words).into()));
            layer.protocol = Some(ip.next_header);
            Some(at + Ipv6::LEN)
        }
        _ => None,
    }
}

fn tunnel(outer: &Layer, payload: &[u8], ports: TunnelPorts) -> Option<(u32, Option<Layer>)> {
    let [_, port] = outer.ports.filter(|_| outer.protocol == Some(protocol::UDP))?;
    let [vxlan, geneve] = ports;
    let inside = |at: usize| payload.get(at..).and_then(layer).map(|(layer, _)| layer);
    if port == 0 {
        None
    } else if port == vxlan {
        let header = wire::view::<Vxlan>(payload, 0)?;
        Some((header.vni(), inside(Vxlan::LEN)))
    } else if port == geneve {
        let header = wire::view::<Geneve>(payload, 0)?;
        Some((header.vni(), inside(Geneve::LEN + header.options_len() as usize)))
    } else {
        None
    }
}

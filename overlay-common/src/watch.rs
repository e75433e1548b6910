//! Which frames somebody wants to see: the part of that which those can tell who carry them, the
//! kernel's programs and threads in user space. Where nobody watches, nobody asks.

use crate::abi::{Sampler, Watch, WatchFilter};
use crate::packet::Packet;
use crate::wire::{Ethernet, Geneve, Ipv4, Ipv6, Mac, Tag, Udp, Vxlan, ethertype, protocol};

/// The time in ns of the monotonic clock. Reading it costs as much as most of a look.
pub trait Clock {
    /// Now.
    fn now(&self) -> u64;
}

impl Sampler {
    /// Whether a frame that has come in is to be looked at.
    #[inline(always)]
    pub fn is_due(&mut self) -> bool {
        if self.left != 0 {
            self.left -= 1;
            return false;
        }
        true
    }

    /// Looks at a frame that is due, and says whether it is to be told of, as it came in. Its
    /// number is [`last`](Self::last) then.
    #[inline(always)]
    pub fn begin<P: Packet>(&mut self, what: &Watch, packet: &P, clock: &impl Clock) -> bool {
        if what.frames == 0 {
            // Whoever changes what is watched begins anew.
            self.left = u32::MAX;
            return false;
        }
        if !takes(&what.filter, packet) {
            return false;
        }
        if !self.allows(what, clock) {
            self.left = what.pause;
            return false;
        }
        true
    }

    /// Whether a frame that was not told of, and is dropped for a reason (a
    /// [`DropReason`](crate::verdict::DropReason) as a number), is to be told of now, with the
    /// number [`last`](Self::last).
    #[inline(always)]
    pub fn drops<P: Packet>(
        &mut self,
        what: &Watch,
        packet: &P,
        reason: u8,
        clock: &impl Clock,
    ) -> bool {
        what.wants(reason) && takes(&what.filter, packet) && self.allows(what, clock)
    }

    /// Takes a token, and has [`last`](Self::last) be the frame's number.
    #[inline(always)]
    fn allows(&mut self, what: &Watch, clock: &impl Clock) -> bool {
        if !self.bucket.take(what.limit, clock.now()) {
            return false;
        }
        self.last = self.last.wrapping_add(1);
        if self.last == 0 {
            self.last = 1;
        }
        true
    }
}

/// Whether a filter takes a frame as it came in.
#[inline(always)]
pub fn takes<P: Packet>(filter: &WatchFilter, packet: &P) -> bool {
    if filter.fields == 0 {
        return true;
    }
    let tag = match packet.vlan().is_some() && packet.stripped_vlan() == 0 {
        true => Tag::LEN,
        false => 0,
    };
    if holds(filter, packet, 0, Ethernet::LEN + tag) {
        return true;
    }
    let Some(inner) = inner(filter, packet) else { return false };
    holds(filter, packet, inner, inner + Ethernet::LEN)
}

/// Where the frame inside a tunnel begins, as far as headers of usual lengths tell.
#[inline(always)]
fn inner<P: Packet>(filter: &WatchFilter, packet: &P) -> Option<usize> {
    let upper = match packet.at::<Ethernet>(0)?.ethertype() {
        ethertype::IPV4 => {
            let ip = packet.at::<Ipv4>(Ethernet::LEN)?;
            let is_udp = ip.is_plain() && ip.protocol == protocol::UDP && !ip.is_fragment();
            is_udp.then_some(Ethernet::LEN + Ipv4::LEN)?
        }
        ethertype::IPV6 => {
            let ip = packet.at::<Ipv6>(Ethernet::LEN)?;
            (ip.next_header == protocol::UDP).then_some(Ethernet::LEN + Ipv6::LEN)?
        }
        _ => return None,
    };
    let port = packet.at::<Udp>(upper)?.destination();
    let shim = upper + Udp::LEN;
    let [vxlan, geneve] = filter.tunnel_ports;
    if port == vxlan {
        return Some(shim + Vxlan::LEN);
    }
    if port == geneve {
        return Some(shim + Geneve::LEN + packet.at::<Geneve>(shim)?.options_len() as usize);
    }
    None
}

/// Whether all fields hold of the frame whose addresses and whose content are there.
#[inline(always)]
fn holds<P: Packet>(filter: &WatchFilter, packet: &P, stations: usize, content: usize) -> bool {
    look(filter, packet, stations, content).is_some()
}

#[inline(always)]
fn look<P: Packet>(
    filter: &WatchFilter,
    packet: &P,
    stations: usize,
    content: usize,
) -> Option<()> {
    let [destination, source] = *packet.at::<[Mac; 2]>(stations)?;
    if filter.has(WatchFilter::MAC) && filter.mac != destination.0 && filter.mac != source.0 {
        return None;
    }
    let [high, low] = *packet.at::<[u8; 2]>(content.wrapping_sub(2))?;
    let kind = u16::from_be_bytes([high, low]);
    if filter.has(WatchFilter::ETHERTYPE) && filter.ethertype != kind {
        return None;
    }
    const OF_IP: u32 = WatchFilter::ADDRESS | WatchFilter::PROTOCOL | WatchFilter::PORT;
    if filter.fields & OF_IP == 0 {
        return Some(());
    }
    let ip = match kind {
        ethertype::IPV4 => v4(packet, content)?,
        ethertype::IPV6 => v6(packet, content)?,
        _ => return None,
    };
    if filter.has(WatchFilter::ADDRESS) && !addressed(filter, &ip) {
        return None;
    }
    if filter.has(WatchFilter::PROTOCOL) && filter.protocol != ip.protocol {
        return None;
    }
    if !filter.has(WatchFilter::PORT) {
        return Some(());
    }
    let has_ports = matches!(ip.protocol, protocol::TCP | protocol::UDP);
    // TCP's ports stand where UDP's do.
    let ports = packet.at::<Udp>(content + ip.header_len)?;
    let is_one = ports.source() == filter.port || ports.destination() == filter.port;
    (has_ports && is_one).then_some(())
}

/// What is looked at of an IP packet.
struct Ip {
    version: u8,
    protocol: u8,
    header_len: usize,
    source: [u64; 2],
    destination: [u64; 2],
}

#[inline(always)]
fn v4<P: Packet>(packet: &P, at: usize) -> Option<Ip> {
    let ip = packet.at::<Ipv4>(at)?;
    let word = |address| [0, u32::from_be_bytes(address) as u64];
    Some(Ip {
        version: 4,
        protocol: ip.protocol,
        header_len: ip.header_len(),
        source: word(ip.source()),
        destination: word(ip.destination()),
    })
}

#[inline(always)]
fn v6<P: Packet>(packet: &P, at: usize) -> Option<Ip> {
    let ip = packet.at::<Ipv6>(at)?;
    Some(Ip {
        version: 6,
        protocol: ip.next_header,
        header_len: Ipv6::LEN,
        source: ip.source_words(),
        destination: ip.destination_words(),
    })
}

#[inline(always)]
fn addressed(filter: &WatchFilter, ip: &Ip) -> bool {
    let [[a, b], [mask_a, mask_b]] = [filter.address, filter.mask];
    let is = |[x, y]: [u64; 2]| x & mask_a == a && y & mask_b == b;
    filter.version == ip.version && (is(ip.source) || is(ip.destination))
}

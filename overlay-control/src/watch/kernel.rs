//! The part of a filter that programs look at. They see a frame as it comes in, and know fewer
//! words; so what they leave out nobody may want, and what they tell is looked at again.

use std::net::IpAddr;

use overlay_common::abi::WatchFilter;
use overlay_common::wire::ethertype::{IPV4, IPV6};
use overlay_common::wire::protocol::UDP;
use overlay_common::wire::{Mac, address_words};

use super::filter::{Filter, Term};
use super::seen::TunnelPorts;
use crate::config::Prefix;

/// What stands in outer headers. A frame that comes in without them may leave with them, so what is
/// looked for there is not looked for on the way in.
#[derive(Clone, Debug, Default)]
pub struct Outer {
    /// VTEPs, the node's own and its peers'.
    pub addresses: Vec<IpAddr>,
    /// Of uplinks and of next hops.
    pub macs: Vec<Mac>,
    /// Of tunnels.
    pub ports: TunnelPorts,
    /// Whether frames may be routed, and leave with other MACs than they came with.
    pub routes: bool,
}

/// A filter for programs which takes all that `filter` does.
pub fn prefilter(filter: &Filter, outer: &Outer) -> WatchFilter {
    let mut made = WatchFilter { tunnel_ports: outer.ports, ..WatchFilter::default() };
    let terms: &[Filter] = match filter {
        Filter::And(filters) => filters,
        one => std::slice::from_ref(one),
    };
    for term in terms {
        if let Filter::Is(term) = term {
            add(&mut made, term, outer);
        }
    }
    made
}

fn add(made: &mut WatchFilter, term: &Term, outer: &Outer) {
    // The second of a kind is looked at later.
    let has = |field| made.has(field);
    match term {
        Term::Net(_, net) if !has(WatchFilter::ADDRESS) && !is_outer(*net, outer) => {
            let (version, address, mask) = words(*net);
            (made.version, made.address, made.mask) = (version, address, mask);
            made.fields |= WatchFilter::ADDRESS;
        }
        // With two ports, or a port and a protocol, one packet may have both and not together; the
        // whole filter sees to that.
        Term::Port(_, port) if !has(WatchFilter::PORT) && !outer.ports.contains(port) => {
            made.port = *port;
            made.fields |= WatchFilter::PORT;
        }
        Term::Mac(_, mac)
            if !has(WatchFilter::MAC) && !outer.routes && !outer.macs.contains(mac) =>
        {
            made.mac = mac.0;
            made.fields |= WatchFilter::MAC;
        }
        // Tunnels are UDP over IP, whatever is in them.
        Term::Protocol(protocol) if !has(WatchFilter::PROTOCOL) && *protocol != UDP => {
            made.protocol = *protocol;
            made.fields |= WatchFilter::PROTOCOL;
        }
        Term::Ethertype(kind) if !has(WatchFilter::ETHERTYPE) && ![IPV4, IPV6].contains(kind) => {
            made.ethertype = *kind;
            made.fields |= WatchFilter::ETHERTYPE;
        }
        _ => {}
    }
}

fn is_outer(net: Prefix, outer: &Outer) -> bool {
    outer.addresses.iter().any(|address| net.holds(*address))
}

/// Version, address and mask as programs have them.
fn words(net: Prefix) -> (u8, [u64; 2], [u64; 2]) {
    let ones = u128::MAX.checked_shl(128 - u32::from(net.len)).unwrap_or(0);
    match net.network().address {
        IpAddr::V4(address) => {
            let mask = u64::from(u32::MAX.checked_shl(32 - u32::from(net.len)).unwrap_or(0));
            (4, [0, u64::from(address.to_bits())], [0, mask])
        }
        IpAddr::V6(address) => {
            (6, address_words(&address.octets()), address_words(&ones.to_be_bytes()))
        }
    }
}

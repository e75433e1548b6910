//! Writes the outer headers in front of an inner frame.

use crate::abi::Peer;
use crate::packet::Packet;
use crate::path::ecn;
use crate::path::flow::Flow;
use crate::verdict::DropReason;
use crate::wire::{Ethernet, Ipv4, Outer, Udp, Vxlan};

/// Copies the peer's template into the room that was opened, and patches what
/// differs from packet to packet. `inner_len` is the inner frame's length.
///
/// The lengths of a super-frame may not fit their fields; segmentation rewrites
/// them.
#[inline(always)]
pub fn run<P: Packet>(
    packet: &mut P,
    peer: &Peer,
    flow: &Flow,
    vni: u32,
    inner_len: u32,
) -> Result<(), DropReason> {
    let outer = packet.at_mut::<Outer>(0).ok_or(DropReason::ResizeFailed)?;
    outer.copy_words(peer.template_words());
    let udp_len = (inner_len as u16).wrapping_add((Udp::LEN + Vxlan::LEN) as u16);
    outer.ip.fill(udp_len.wrapping_add(Ipv4::LEN as u16), ecn::encapsulate(flow.ecn));
    outer.udp.fill(flow.source_port, udp_len);
    outer.vxlan = Vxlan::new(vni);
    Ok(())
}

const _: () = assert!(
    Ethernet::LEN + Ipv4::LEN + Udp::LEN + Vxlan::LEN == crate::wire::TUNNEL_LEN,
    "the tunnel is these four headers"
);

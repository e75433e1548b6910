//! Outer headers, built field by field and not by the path's own template.

use overlay_common::wire::{Ethernet, Ipv4, Mac, Outer, Udp, Vxlan};
use overlay_control::sample::{LOCAL_VTEP, UPLINK_MAC};

/// What a peer sends to the sample node.
pub fn tunnel(source: [u8; 4], vni: u32, inner_len: usize) -> Outer {
    let mut ip = Ipv4::new(source, LOCAL_VTEP, 17, 64);
    ip.set_total_len((inner_len + 36) as u16);
    ip.seal();
    let ethernet = Ethernet::new(UPLINK_MAC, Mac([0x02, 0, 0, 0, 0xfe, 0x99]), 0x0800);
    let udp = Udp::new(50_000, 4789, (inner_len + 16) as u16);
    Outer { ethernet, ip, udp, vxlan: Vxlan::new(vni) }
}

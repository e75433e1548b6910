//! What the tests share: our gateway, and applications between hosts.

mod applications;
mod attached;
mod both_ours;
mod browser;
mod capture;
mod flow;
mod gateway;
mod modes;
mod picture;
mod ping;
mod scene;
mod terminal;
mod two_ports;
mod usage;

pub use applications::{
    Echoes, alone, arp, between_hosts, http_download, over_ipv6, stream, tcp, udp_sizes,
};
pub use attached::attached;
pub use both_ours::{
    EVERY_HOOK, Modes, both_ours, check_hooks, prepare_for_xdp, prepare_uplinks, wait_for_redirects,
};
pub use browser::{Browser, Page};
pub use capture::Capture;
pub use flow::{Core, Flow, Run, pin};
pub use gateway::{Overlay, binary, doctor, has_feature, next_layout, overlay};
pub use modes::{hook_of, suit};
pub use picture::{keep, svg};
pub use ping::{Answers, answers, ping};
pub use scene::Scene;
pub use terminal::Terminal;
pub use two_ports::{SOON, TwoPorts};
pub use usage::Usage;

use std::net::Ipv4Addr;

/// A marked Ethernet frame that nobody but the test understands.
pub fn marked(dst: [u8; 6], src: [u8; 6], mark: &str) -> Vec<u8> {
    let mut payload = mark.as_bytes().to_vec();
    payload.resize(payload.len().max(46), 0);
    overlay_testbed::frame::ethernet(dst, src, 0x88b5, &payload)
}

/// Whether a frame carries this mark behind its Ethernet header and tags.
pub fn has_mark(frame: &[u8], mark: &str) -> bool {
    let mut end = mark.as_bytes().to_vec();
    end.push(0);
    frame.windows(end.len()).any(|window| window == end)
}

/// The bytes of an address.
pub fn octets(address: &str) -> [u8; 4] {
    address.parse::<Ipv4Addr>().expect("an IPv4 address in the test's own source").octets()
}

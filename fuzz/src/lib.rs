//! What the fuzz targets share: a node with tables, and how bytes become a frame.

mod input;
mod world;

pub use input::Input;
pub use world::{
    ACCESS_DEVICES, GENEVE_VTEP, LOCAL_VTEP, LOCAL_VTEP6, NOBODY_VTEP, PEER_EGRESS, PORTS,
    REMOTE_VTEP, SILENT_VTEP, VNIS, VTEPS6, mac, node, remote_node,
};

use overlay_common::abi::Egress;
use overlay_common::packet::Packet;
use overlay_common::wire::Tag;
use overlay_control::frame::HostFrame;

/// A copy or a frame that left: the device, the tag, the bytes without it.
#[derive(Debug)]
pub struct Sent {
    /// The way out.
    pub egress: Egress,
    /// The VLAN as table entries have it, 0 for none.
    pub vlan: u16,
    /// The frame without its tag.
    pub bytes: Vec<u8>,
}

/// Everything that left: the copies, and the frame itself where its verdict
/// names a way out.
pub fn sent<const COPIES: bool>(frame: &HostFrame<COPIES>, out: Option<Egress>) -> Vec<Sent> {
    let copies = frame.copies.iter().map(|copy| untag(copy.egress, copy.vlan, &copy.bytes));
    let last = out.map(|egress| untag(egress, frame.stripped_vlan, frame.bytes()));
    copies.chain(last).collect()
}

fn untag(egress: Egress, stripped: Option<Tag>, bytes: &[u8]) -> Sent {
    let mut frame = HostFrame::<true>::new(bytes);
    frame.stripped_vlan = stripped;
    let vlan = frame.vlan().map_or(0, |tag| tag.vlan());
    let mut bytes = bytes.to_vec();
    if vlan != 0 && stripped.is_none() {
        // By hand: a frame of which nothing sound is left keeps its tag on the path.
        bytes.drain(Tag::OFFSET..Tag::OFFSET + Tag::LEN);
    }
    Sent { egress, vlan, bytes }
}

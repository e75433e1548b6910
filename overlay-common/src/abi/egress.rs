//! Where frames leave: ports and peers.

use super::record;
use crate::wire::TUNNEL_LEN;

/// A device that frames are sent out of, and how it may be reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Egress {
    /// The device; 0 while it does not exist.
    pub ifindex: u32,
    /// [`Egress::XDP`] and [`Egress::PEER`].
    pub flags: u32,
}
record!(Egress, 8);

impl Egress {
    /// Frames redirected by XDP arrive at the device's far end. Otherwise XDP
    /// leaves such frames to the tc program of the port they came in on.
    pub const XDP: u32 = 1;
    /// The device is a veth whose far end is in another network namespace, so
    /// `bpf_redirect_peer` saves a pass through the backlog queue.
    pub const PEER: u32 = 2;
}

/// A port, as frames that leave through it see it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Port {
    /// The device.
    pub egress: Egress,
    /// The longest frame it takes, from the Ethernet header on, without VLAN
    /// tag and FCS: its MTU + 14.
    pub max_frame: u32,
    /// VLAN tag to push, 0 for none.
    pub vlan: u16,
    /// Index in `SEGMENTS`; 0 for an uplink.
    pub segment: u16,
}
record!(Port, 16);

/// A peer: the finished outer header towards it, and the way there, in one cache
/// line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C, align(8))]
pub struct Peer {
    /// Ethernet, IPv4, UDP and VXLAN headers, 50 bytes, finished except for
    /// lengths, entropy, ECN and VNI. The IPv4 checksum is that of a header
    /// whose total length and type of service are zero.
    pub template: [u8; TUNNEL_LEN],
    /// The longest inner frame that fits: the uplink's MTU − 36.
    pub max_frame: u16,
    /// The uplink towards the next hop.
    pub egress: Egress,
    /// [`Peer::READY`] or 0.
    pub flags: u32,
}
record!(Peer, 64);

impl Peer {
    /// Route and next hop's MAC are known: the template is complete.
    pub const READY: u32 = 1;

    /// The template, to be copied in whole words; the last one's upper bytes are
    /// not the template's.
    #[inline(always)]
    pub const fn template_words(&self) -> &[u64; 7] {
        const _: () = assert!(core::mem::offset_of!(Peer, template) == 0);
        // SAFETY: 56 initialised bytes at the start of a struct of 64 that is
        // aligned to 8.
        unsafe { &*core::ptr::from_ref(self).cast() }
    }

    /// Whether the template is complete.
    #[inline(always)]
    pub const fn is_ready(&self) -> bool {
        self.flags & Self::READY != 0
    }
}

impl Default for Peer {
    fn default() -> Self {
        Self { template: [0; TUNNEL_LEN], egress: Egress::default(), max_frame: 0, flags: 0 }
    }
}

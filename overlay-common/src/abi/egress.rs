//! Where frames leave: ports and peers.

use super::record;
use crate::wire::{Family, Outer4, Template, Words};

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

/// A peer: the finished outer headers towards it, and the way there. All that a packet
/// over IPv4 needs is on the first of two cache lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C, align(8))]
pub struct Peer {
    /// The first 48 bytes of the headers over IPv6, or all 50 over IPv4.
    front: Front,
    /// The longest inner frame that fits: the uplink's MTU − 36, or − 56 over IPv6.
    pub max_frame: u16,
    /// The uplink towards the next hop.
    pub egress: Egress,
    /// [`Peer::READY`], [`Peer::V6`] and [`Peer::CLAMP`].
    pub flags: u32,
    /// The other 22 bytes over IPv6.
    rest: [u64; 3],
    reserved: [u64; 5],
}
record!(Peer, 128);

/// 50 bytes: an array of so many has no default value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(transparent)]
struct Front([u8; Outer4::LEN]);

impl Default for Front {
    fn default() -> Self {
        Self([0; Outer4::LEN])
    }
}

impl Peer {
    /// Route and next hop's MAC are known: the headers are complete.
    pub const READY: u32 = 1;
    /// The tunnel goes over IPv6.
    pub const V6: u32 = 1 << 1;
    /// TCP is told how much fits, when it connects to or from behind the peer.
    pub const CLAMP: u32 = 1 << 2;

    /// A peer with these headers, which is not ready: there is no way to it yet.
    pub fn new(template: &Template) -> Self {
        let words = template.words();
        let mut front = [0; Outer4::LEN];
        for (at, byte) in front.iter_mut().enumerate() {
            *byte = words[at / 8].to_ne_bytes()[at % 8];
        }
        let flags = match template.ends.family() {
            Family::V4 => 0,
            Family::V6 => Self::V6,
        };
        let rest = [words[8], words[9], words[10]];
        Self { front: Front(front), rest, flags, ..Self::default() }
    }

    /// The whole entry as words. Those of the headers are where [`Outer::copy_words`] looks
    /// for them; the upper bytes of the seventh are not the headers'.
    ///
    /// [`Outer::copy_words`]: crate::wire::Outer::copy_words
    #[inline(always)]
    pub const fn words(&self) -> &Words {
        const _: () = assert!(core::mem::offset_of!(Peer, front) == 0);
        const _: () = assert!(core::mem::offset_of!(Peer, rest) == 64);
        // SAFETY: 128 initialised bytes, aligned to 8.
        unsafe { &*core::ptr::from_ref(self).cast() }
    }

    /// The headers as they are in the entry, over IPv4 or over IPv6 as its flags say.
    #[cfg(not(target_arch = "bpf"))]
    pub fn headers<O: crate::wire::Outer>(&self) -> O {
        // SAFETY: a header accepts every bit pattern.
        let mut outer: O = unsafe { core::mem::zeroed() };
        outer.copy_words(self.words());
        outer
    }

    /// Whether the headers are complete.
    #[inline(always)]
    pub const fn is_ready(&self) -> bool {
        self.flags & Self::READY != 0
    }

    /// Whether TCP is told how much fits. A peer that is not ready does not know.
    #[inline(always)]
    pub const fn clamps(&self) -> bool {
        const BOTH: u32 = Peer::READY | Peer::CLAMP;
        self.flags & BOTH == BOTH
    }

    /// The family of the underlay.
    #[inline(always)]
    pub const fn family(&self) -> Family {
        if self.flags & Self::V6 != 0 { Family::V6 } else { Family::V4 }
    }
}

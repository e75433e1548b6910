//! Where frames leave: ports and peers.

use super::record;
use crate::wire::{Family, Mac, Outer4, Template, Words};

/// A device that frames are sent out of, and how it may be reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Egress {
    /// The device; 0 while it does not exist.
    pub ifindex: u32,
    /// [`Egress::XDP`], [`Egress::PEER`], [`Egress::FRAGS`] and [`Egress::TX`].
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
    /// Beside [`XDP`](Self::XDP): so do frames of several buffers. The kernel discards those
    /// that XDP redirects to a device without this, and no counter says so.
    pub const FRAGS: u32 = 4;
    /// Beside [`XDP`](Self::XDP): what came in by the device goes back out of it by `XDP_TX`,
    /// which costs the driver less than a redirect. Not so on a veth, which wakes its far end
    /// for that only where it has an XDP program, whether it polls or not.
    pub const TX: u32 = 8;
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
    /// VLAN tag to push, as [`Vlan::word`](crate::id::Vlan::word); 0 for none.
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
    /// The uplink towards the next hop. Where there are several ways: the index of the first
    /// in `WAYS`, and the flags that all of them have.
    pub egress: Egress,
    /// [`Peer::READY`], [`Peer::V6`], [`Peer::MULTIPATH`], [`Peer::CLAMP`] and
    /// [`Peer::COPY_DSCP`]; above them, the outer DSCP ([`Peer::with_dscp`]).
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
    /// There are several ways: each flow takes one of [`Way::BUCKETS`] entries of `WAYS`.
    pub const MULTIPATH: u32 = 1 << 2;
    /// TCP is told how much fits, when it connects to or from behind the peer.
    pub const CLAMP: u32 = 1 << 3;
    /// The outer DSCP is the inner one (RFC 2983, 3.1: the uniform model).
    pub const COPY_DSCP: u32 = 1 << 4;
    const DSCP_SHIFT: u32 = 8;
    const DSCP_MASK: u8 = 0xfc;

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

    /// The next hop's address and the uplink's, which the headers begin with.
    #[inline(always)]
    pub const fn stations(&self) -> Stations {
        let [first, second, ..] = *self.words();
        Stations(first, second as u32)
    }

    /// The same peer with this outer DSCP, of six bits.
    #[must_use]
    pub const fn with_dscp(mut self, dscp: u8) -> Self {
        self.flags |= ((dscp << 2) as u32) << Self::DSCP_SHIFT;
        self
    }

    /// The outer DSCP of a packet with this type of service, where that has it.
    #[inline(always)]
    pub const fn dscp(&self, inner: u8) -> u8 {
        let set = (self.flags >> Self::DSCP_SHIFT) as u8;
        let tos = if self.flags & Self::COPY_DSCP != 0 { inner } else { set };
        tos & Self::DSCP_MASK
    }

    /// Whether the headers are complete.
    #[inline(always)]
    pub const fn is_ready(&self) -> bool {
        self.flags & Self::READY != 0
    }

    /// Whether there are several ways.
    #[inline(always)]
    pub const fn is_multipath(&self) -> bool {
        self.flags & Self::MULTIPATH != 0
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

/// One of the ways of a group, all of which lead to the same peers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Way {
    /// The uplink.
    pub egress: Egress,
    /// The next hop's address.
    pub next_hop: Mac,
    /// The uplink's own.
    pub uplink: Mac,
    /// Zero.
    pub reserved: u32,
}
record!(Way, 24);

/// Two MAC addresses as an Ethernet header begins with them, in two words as they are in memory:
/// whoever copies them has two loads and two stores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stations(pub u64, pub u32);

impl Way {
    /// The addresses that frames of this way begin with.
    #[inline(always)]
    pub const fn stations(&self) -> Stations {
        const _: () = assert!(core::mem::offset_of!(Way, next_hop) == 8);
        const _: () = assert!(core::mem::offset_of!(Way, uplink) == 14);
        // SAFETY: 24 initialised bytes, of which these are the twelve from the eighth on.
        unsafe {
            let start = core::ptr::from_ref(self).cast::<u8>().add(8);
            Stations(
                start.cast::<u64>().read_unaligned(),
                start.add(8).cast::<u32>().read_unaligned(),
            )
        }
    }

    /// The entries of a group. Each way has some of them; where one is lost, its entries are
    /// shared out, and the flows of the others stay where they are.
    pub const BUCKETS: u32 = 16;

    /// The entry of a flow, by its outer source port, which is a hash.
    #[inline(always)]
    pub const fn index(peer: &Peer, source_port: u16) -> u32 {
        // Not the lowest bits, by which routers on the way may choose.
        peer.egress.ifindex.wrapping_add(source_port as u32 >> 8 & (Self::BUCKETS - 1))
    }
}

//! A frame at the tc ingress hook: a socket buffer.
//!
//! It may be a super-frame, its checksum may be left to the device, its VLAN tag
//! may be beside the bytes, and only its first bytes may be directly readable.

use aya_ebpf::bindings::{
    __sk_buff, BPF_F_ADJ_ROOM_DECAP_L3_IPV4, BPF_F_ADJ_ROOM_DECAP_L3_IPV6,
    BPF_F_ADJ_ROOM_ENCAP_L2_ETH, BPF_F_ADJ_ROOM_ENCAP_L3_IPV4, BPF_F_ADJ_ROOM_ENCAP_L3_IPV6,
    BPF_F_ADJ_ROOM_ENCAP_L4_UDP, BPF_F_ADJ_ROOM_FIXED_GSO,
};
use aya_ebpf::helpers::generated::{
    bpf_clone_redirect, bpf_l4_csum_replace, bpf_skb_adjust_room, bpf_skb_change_head,
    bpf_skb_change_proto, bpf_skb_change_tail, bpf_skb_pull_data, bpf_skb_vlan_pop,
    bpf_skb_vlan_push,
};
use overlay_common::abi::{Egress, abilities};
use overlay_common::packet::{Inner, Packet, Refused};
use overlay_common::wire::{
    Ethernet, Family, Header, Ipv4, Ipv6, Octet, Tag, TagKind, Tcp, ethertype,
};

use super::{bounded, sum, tag};
use crate::abilities::has;

/// What the path reads of an access frame.
pub const ACCESS_HEADERS: u32 = (Tag::LEN + INNER_HEADERS) as u32;
/// What the path reads of an uplink frame over IPv4 without options; it asks for more where
/// it needs more.
pub const UPLINK_HEADERS: u32 = (Family::V4.tunnel_len() + INNER_HEADERS) as u32;
/// What it reads of a plain frame.
const INNER_HEADERS: usize = Ethernet::LEN + Ipv6::LEN + Tcp::LEN;

/// `bpf_skb_adjust_room` works at the MAC layer: room opens behind the Ethernet
/// header.
const ROOM_MAC: u32 = 1;

/// Tells segmentation that a UDP tunnel with an inner Ethernet header begins, so
/// that super-frames stay whole; `14 << 56` is that header's length.
const ENCAP: u64 = BPF_F_ADJ_ROOM_FIXED_GSO as u64
    | BPF_F_ADJ_ROOM_ENCAP_L4_UDP as u64
    | (Ethernet::LEN as u64) << 56;

/// By how much an IPv6 header is longer than an IPv4 header.
const IPV6_LONGER: i32 = (Ipv6::LEN - Ipv4::LEN) as i32;

/// A socket buffer, seen from its Ethernet header on.
pub struct TcPacket {
    skb: *mut __sk_buff,
    /// Room was opened in front of the whole frame, and the kernel still takes the
    /// inner headers for the frame's own.
    is_in_front: bool,
}

impl TcPacket {
    /// The packet of the running program.
    #[inline(always)]
    pub fn new(skb: *mut __sk_buff) -> Self {
        Self { skb, is_in_front: false }
    }

    /// The context that helpers take.
    #[inline(always)]
    pub fn skb(&self) -> *mut __sk_buff {
        self.skb
    }

    /// The device that the frame came in on.
    #[inline(always)]
    pub fn ifindex(&self) -> u32 {
        // SAFETY: the context is valid while the program runs.
        unsafe { (*self.skb).ifindex }
    }

    /// Makes the first `len` bytes directly readable, or all where there are
    /// fewer. A failure shows later, as a frame that ends early.
    #[inline(always)]
    pub fn pull(&mut self, len: u32) {
        let len = if len < self.len() { len } else { self.len() };
        if self.data() + len as usize > self.data_end() {
            // SAFETY: a helper call on the program's own context.
            unsafe { bpf_skb_pull_data(self.skb, len) };
        }
    }

    /// Whether the kernel's idea of the frame is right: its protocol is what the
    /// Ethernet header says, and its network header follows that. The one goes
    /// stale where a frame that is not IP is decapsulated, the other where room was
    /// opened in front. A device's queue does not mind, but who takes the frame
    /// without looking at it again would take the inner packet out of its tunnel.
    #[inline(always)]
    pub fn is_known(&self) -> bool {
        // SAFETY: the context is valid while the program runs.
        let protocol = u16::from_be(unsafe { (*self.skb).protocol } as u16);
        let is_right = |ethernet: &Ethernet| ethernet.ethertype() == protocol;
        !self.is_in_front && self.at::<Ethernet>(0).is_some_and(is_right)
    }

    #[inline(always)]
    fn data(&self) -> usize {
        // SAFETY: the context is valid while the program runs.
        unsafe { (*self.skb).data as usize }
    }

    #[inline(always)]
    fn data_end(&self) -> usize {
        // SAFETY: the context is valid while the program runs.
        unsafe { (*self.skb).data_end as usize }
    }

    #[inline(always)]
    fn adjust_room(&mut self, delta: i32, flags: u64) -> Result<(), Refused> {
        // SAFETY: a helper call on the program's own context; `&mut self` ends
        // the life of every header reference.
        accepted(unsafe { bpf_skb_adjust_room(self.skb, delta, ROOM_MAC, flags) })
    }

    /// The kind of a tag that was stripped.
    #[inline(always)]
    fn stripped_kind(&self) -> TagKind {
        // SAFETY: the context is valid while the program runs.
        match u16::from_be(unsafe { (*self.skb).vlan_proto } as u16) {
            ethertype::SERVICE_VLAN => TagKind::Service,
            _ => TagKind::Customer,
        }
    }

    /// Makes the outermost IP header one of the other family, whose content is undefined.
    #[inline(always)]
    fn change_proto(&mut self, ethertype: u16) -> Result<(), Refused> {
        // SAFETY: as in `adjust_room`.
        accepted(unsafe { bpf_skb_change_proto(self.skb, ethertype.to_be(), 0) })
    }

    /// Opens room in front of the whole frame, which stays where it is.
    #[inline(always)]
    fn change_head(&mut self, outer: Family) -> Result<(), Refused> {
        self.is_in_front = true;
        // SAFETY: as in `adjust_room`.
        accepted(unsafe { bpf_skb_change_head(self.skb, outer.tunnel_len() as u32, 0) })
    }
}

impl Packet for TcPacket {
    const COPIES: bool = true;

    #[inline(always)]
    fn len(&self) -> u32 {
        // SAFETY: the context is valid while the program runs.
        unsafe { (*self.skb).len }
    }

    #[inline(always)]
    fn at<T: Header>(&self, offset: usize) -> Option<&T> {
        // SAFETY: the pointers are read now; `T` is valid at any address and for
        // any content, and `&self` keeps the packet from being moved.
        unsafe { bounded(self.data(), self.data_end(), offset).map(|p: *mut T| &*p) }
    }

    #[inline(always)]
    fn at_mut<T: Header>(&mut self, offset: usize) -> Option<&mut T> {
        // SAFETY: as in `at`, and `&mut self` makes the reference the only one.
        unsafe { bounded(self.data(), self.data_end(), offset).map(|p: *mut T| &mut *p) }
    }

    /// Without a tag its word is zero rather than undefined: the compiler looks at it
    /// before it knows, which the verifier forbids otherwise.
    #[inline(always)]
    fn vlan(&self) -> Option<Tag> {
        const PRESENT: u32 = 1 << 16;
        const SERVICE: u32 = 1 << 17;
        let word = |kind, tci: u32| match kind {
            TagKind::Customer => tci | PRESENT,
            TagKind::Service => tci | PRESENT | SERVICE,
        };
        // SAFETY: the context is valid while the program runs.
        let (stripped, tci) = unsafe { ((*self.skb).vlan_present, (*self.skb).vlan_tci) };
        let tag = if stripped != 0 {
            word(self.stripped_kind(), tci)
        } else {
            match tag(self) {
                Some(tag) => tag.kind().map_or(0, |kind| word(kind, tag.tci() as u32)),
                None => 0,
            }
        };
        let tag = core::hint::black_box(tag);
        let kind = if tag & SERVICE != 0 { TagKind::Service } else { TagKind::Customer };
        (tag & PRESENT != 0).then_some(Tag::new(kind, tag as u16))
    }

    #[inline(always)]
    fn stripped_vlan(&self) -> u16 {
        // SAFETY: the context is valid while the program runs.
        unsafe { if (*self.skb).vlan_present != 0 { (*self.skb).vlan_tci as u16 } else { 0 } }
    }

    #[inline(always)]
    fn pop_vlan(&mut self) -> Result<(), Refused> {
        // SAFETY: as in `adjust_room`.
        accepted(unsafe { bpf_skb_vlan_pop(self.skb) })
    }

    #[inline(always)]
    fn push_vlan(&mut self, tag: Tag) -> Result<(), Refused> {
        // SAFETY: as in `adjust_room`.
        accepted(unsafe { bpf_skb_vlan_push(self.skb, tag.tpid().to_be(), tag.tci()) })
    }

    #[inline(always)]
    fn require(&mut self, len: u32) {
        self.pull(len);
    }

    /// Room opens behind the Ethernet header, so that header is carried to where
    /// the inner frame now begins. `bpf_skb_adjust_room` refuses what is not IP,
    /// and frames that are a tunnel's already; those that are no super-frame get
    /// their room in front instead.
    #[inline(always)]
    fn grow_head(&mut self, inner: Inner, outer: Family) -> Result<(), Refused> {
        if inner == Inner::Other {
            return self.change_head(outer);
        }
        let ethernet = *self.at::<Ethernet>(0).ok_or(Refused)?;
        // Segmentation does without the flag; a device asks for it before it takes the
        // segmentation of a tunnel upon itself.
        let l2 = if has(abilities::ENCAP_L2_ETH) { BPF_F_ADJ_ROOM_ENCAP_L2_ETH as u64 } else { 0 };
        let l3 = match outer {
            Family::V4 => BPF_F_ADJ_ROOM_ENCAP_L3_IPV4 as u64,
            Family::V6 => BPF_F_ADJ_ROOM_ENCAP_L3_IPV6 as u64,
        };
        if self.adjust_room(outer.tunnel_len() as i32, ENCAP | l2 | l3).is_err() {
            return if self.gso_size() == 0 { self.change_head(outer) } else { Err(Refused) };
        }
        *self.at_mut::<Ethernet>(outer.tunnel_len()).ok_or(Refused)? = ethernet;
        Ok(())
    }

    /// Where inner and outer address families differ the flag names the inner one,
    /// so that the kernel's idea of the frame's protocol follows. What is no IP counts as
    /// IPv4, of which less has to be left than of IPv6. A kernel without the
    /// flag is told first that the outer header becomes one of the other family, and the
    /// room that this opens or takes is reckoned in.
    #[inline(always)]
    fn trim_head(&mut self, inner: Inner, outer: Family, len: u32) -> Result<(), Refused> {
        let ethernet = *self.at::<Ethernet>(len as usize).ok_or(Refused)?;
        let (mut delta, mut flags) = (-(len as i32), BPF_F_ADJ_ROOM_FIXED_GSO as u64);
        match (inner, outer) {
            (Inner::Ipv6, Family::V4) if has(abilities::DECAP_L3) => {
                flags |= BPF_F_ADJ_ROOM_DECAP_L3_IPV6 as u64;
            }
            (Inner::Ipv4 | Inner::Other, Family::V6) if has(abilities::DECAP_L3) => {
                flags |= BPF_F_ADJ_ROOM_DECAP_L3_IPV4 as u64;
            }
            (Inner::Ipv6, Family::V4) => {
                self.change_proto(ethertype::IPV6)?;
                delta -= IPV6_LONGER;
            }
            (Inner::Ipv4 | Inner::Other, Family::V6) => {
                self.change_proto(ethertype::IPV4)?;
                delta += IPV6_LONGER;
            }
            _ => {}
        }
        self.adjust_room(delta, flags)?;
        *self.at_mut::<Ethernet>(0).ok_or(Refused)? = ethernet;
        Ok(())
    }

    #[inline(always)]
    fn trim_tail(&mut self, len: u32) -> Result<(), Refused> {
        // SAFETY: as in `adjust_room`.
        accepted(unsafe { bpf_skb_change_tail(self.skb, len, 0) })
    }

    #[inline(always)]
    fn open(&mut self, len: u32) -> Result<(), Refused> {
        let ethernet = *self.at::<Ethernet>(0).ok_or(Refused)?;
        self.adjust_room(len as i32, 0)?;
        *self.at_mut::<Ethernet>(0).ok_or(Refused)? = ethernet;
        Ok(())
    }

    #[inline(always)]
    fn sum<const N: usize>(&self, offset: usize) -> Option<u16> {
        sum(self.at::<[Octet; N]>(offset)?)
    }

    /// The helper knows whether the checksum is left to a device.
    #[inline(always)]
    fn adjust_checksum(&mut self, offset: usize, old: u16, new: u16) -> Result<(), Refused> {
        let [old, new] = [old, new].map(|word| word.to_be() as u64);
        // SAFETY: as in `adjust_room`.
        accepted(unsafe { bpf_l4_csum_replace(self.skb, offset as u32, old, new, 2) })
    }

    #[inline(always)]
    fn gso_size(&self) -> u32 {
        // SAFETY: the context is valid while the program runs.
        unsafe { (*self.skb).gso_size }
    }

    #[inline(always)]
    fn reaches(&self, _egress: Egress) -> bool {
        true
    }

    #[inline(always)]
    fn copy_to(&mut self, egress: Egress) -> Result<(), Refused> {
        // SAFETY: as in `adjust_room`.
        accepted(unsafe { bpf_clone_redirect(self.skb, egress.ifindex, 0) })
    }
}

#[inline(always)]
fn accepted(code: i64) -> Result<(), Refused> {
    if code == 0 { Ok(()) } else { Err(Refused) }
}

//! A frame at the XDP hook.

use aya_ebpf::bindings::xdp_md;
use aya_ebpf::helpers::generated::{
    bpf_xdp_adjust_head, bpf_xdp_adjust_tail, bpf_xdp_get_buff_len,
};
use overlay_common::abi::{Egress, FURTHER_BUFFERS};
use overlay_common::packet::{Inner, Packet, Refused};
use overlay_common::wire::{
    Checksum, Ethernet, Family, Geneve, Header, Ipv6, Mac, Octet, Outer6, Tag, Tcp,
};

use super::{bounded, sum, tag};

/// All that the path reads and writes of a frame: the longest outer headers, and inner ones.
const HEADERS: u32 =
    (Outer6::LEN + Geneve::LONGEST_OPTIONS + Ethernet::LEN + Ipv6::LEN + Tcp::LEN) as u32;

/// A frame in receive buffers. It has one segment, no offloads, and its VLAN tag among its
/// bytes. With `FRAGS` it may go on in further buffers (Linux 5.18), which the path reads
/// nothing of; without, it is in one.
pub struct XdpPacket<const FRAGS: bool> {
    ctx: *mut xdp_md,
    /// The bytes in the further buffers.
    further: u32,
}

impl<const FRAGS: bool> XdpPacket<FRAGS> {
    /// The packet of the running program; `None` where its headers may not all be in the
    /// first buffer, and cannot be read.
    #[inline(always)]
    pub fn new(ctx: *mut xdp_md) -> Option<Self> {
        let mut packet = Self { ctx, further: 0 };
        if FRAGS && may_go_on(ctx) {
            let first = opaque(packet.first_len());
            // SAFETY: a helper call on the program's own context.
            let whole = unsafe { bpf_xdp_get_buff_len(ctx) } as u32;
            packet.further = whole.wrapping_sub(first);
            if packet.further != 0 && first < HEADERS {
                return None;
            }
        }
        Some(packet)
    }

    /// The bytes in the first buffer.
    #[inline(always)]
    fn first_len(&self) -> u32 {
        (self.data_end() - self.data()) as u32
    }

    #[inline(always)]
    fn data(&self) -> usize {
        // SAFETY: the context is valid while the program runs.
        unsafe { (*self.ctx).data as usize }
    }

    #[inline(always)]
    fn data_end(&self) -> usize {
        // SAFETY: the context is valid while the program runs.
        unsafe { (*self.ctx).data_end as usize }
    }

    /// Moves the two addresses of an Ethernet header. The compiler would do it byte
    /// by byte, in a loop; the packet's memory takes unaligned words, as for
    /// [`Outer::copy_words`](overlay_common::wire::Outer::copy_words).
    #[inline(always)]
    fn move_stations(&mut self, from: usize, to: usize) -> Result<(), Refused> {
        let source = core::ptr::from_ref(self.at::<[Mac; 2]>(from).ok_or(Refused)?);
        let target = core::ptr::from_mut(self.at_mut::<[Mac; 2]>(to).ok_or(Refused)?);
        // SAFETY: `at` checked that both places hold the 12 bytes, which are read
        // before any is written.
        unsafe {
            core::arch::asm!(
                "{a} = *(u64 *)({from} + 0)",
                "{b} = *(u32 *)({from} + 8)",
                "*(u64 *)({to} + 0) = {a}",
                "*(u32 *)({to} + 8) = {b}",
                from = in(reg) source,
                to = in(reg) target,
                a = out(reg) _,
                b = out(reg) _,
                options(nostack, preserves_flags),
            );
        }
        Ok(())
    }

    /// Moves the start of the frame, which is in the first buffer; negative opens room.
    #[inline(always)]
    fn adjust_head(&mut self, delta: i32) -> Result<(), Refused> {
        // SAFETY: a helper call on the program's own context; `&mut self` ends
        // the life of every header reference.
        match unsafe { bpf_xdp_adjust_head(self.ctx, delta) } {
            0 => Ok(()),
            _ => Err(Refused),
        }
    }
}

impl<const FRAGS: bool> Packet for XdpPacket<FRAGS> {
    const COPIES: bool = false;

    #[inline(always)]
    fn len(&self) -> u32 {
        let first = self.first_len();
        if FRAGS { opaque(first).wrapping_add(self.further) } else { first }
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

    #[inline(always)]
    fn vlan(&self) -> Option<Tag> {
        tag(self).copied()
    }

    /// A tag is among the bytes.
    #[inline(always)]
    fn stripped_vlan(&self) -> u16 {
        0
    }

    #[inline(always)]
    fn pop_vlan(&mut self) -> Result<(), Refused> {
        self.move_stations(0, Tag::LEN)?;
        self.adjust_head(Tag::LEN as i32)
    }

    #[inline(always)]
    fn push_vlan(&mut self, tag: Tag) -> Result<(), Refused> {
        self.adjust_head(-(Tag::LEN as i32))?;
        self.move_stations(Tag::LEN, 0)?;
        *self.at_mut::<Tag>(Tag::OFFSET).ok_or(Refused)? = tag;
        Ok(())
    }

    /// [`new`](Self::new) saw to it.
    #[inline(always)]
    fn require(&mut self, _len: u32) {}

    #[inline(always)]
    fn grow_head(&mut self, _inner: Inner, outer: Family) -> Result<(), Refused> {
        self.adjust_head(-(outer.tunnel_len() as i32))
    }

    #[inline(always)]
    fn trim_head(&mut self, _inner: Inner, _outer: Family, len: u32) -> Result<(), Refused> {
        self.adjust_head(len as i32)
    }

    #[inline(always)]
    fn trim_tail(&mut self, len: u32) -> Result<(), Refused> {
        let now = opaque(self.len());
        let delta = len as i32 - now as i32;
        // SAFETY: as in `adjust_head`.
        if unsafe { bpf_xdp_adjust_tail(self.ctx, delta) } != 0 {
            return Err(Refused);
        }
        if FRAGS {
            self.further = len.wrapping_sub(opaque(self.first_len()));
        }
        Ok(())
    }

    /// Answers are tc's to make.
    #[inline(always)]
    fn open(&mut self, _len: u32) -> Result<(), Refused> {
        Err(Refused)
    }

    #[inline(always)]
    fn sum<const N: usize>(&self, offset: usize) -> Option<u16> {
        sum(self.at::<[Octet; N]>(offset)?)
    }

    /// No checksum is left to a device here.
    #[inline(always)]
    fn adjust_checksum(&mut self, offset: usize, old: u16, new: u16) -> Result<(), Refused> {
        self.at_mut::<Checksum>(offset).ok_or(Refused)?.adjust(old, new);
        Ok(())
    }

    #[inline(always)]
    fn gso_size(&self) -> u32 {
        0
    }

    #[inline(always)]
    fn reaches(&self, egress: Egress) -> bool {
        let wanted = match FRAGS && self.further != 0 {
            true => Egress::XDP | Egress::FRAGS,
            false => Egress::XDP,
        };
        egress.flags & wanted == wanted
    }

    #[inline(always)]
    fn copy_to(&mut self, _egress: Egress) -> Result<(), Refused> {
        Err(Refused)
    }
}

/// Whether a frame may go on in further buffers. The loader writes other instructions in place of
/// these, where the kernel lets them look ([`FURTHER_BUFFERS`]).
#[inline(always)]
fn may_go_on(ctx: *mut xdp_md) -> bool {
    let told: u64;
    // SAFETY: registers that a call may change, and nothing else.
    unsafe {
        core::arch::asm!(
            "r0 = {mark}",
            "r0 = r0",
            mark = const FURTHER_BUFFERS,
            inout("r1") ctx => _,
            out("r0") told,
            out("r2") _,
            out("r3") _,
            out("r4") _,
            out("r5") _,
            options(nostack),
        );
    }
    told & 1 != 0
}

/// The same number, of which the compiler knows nothing any more: it would regroup sums and
/// differences of it into arithmetic on `data_end`, which the verifier forbids.
#[inline(always)]
fn opaque(number: u32) -> u32 {
    let mut word = number as u64;
    // SAFETY: arithmetic on a register. An instruction, since two lines of source at one would
    // be refused by the kernel.
    unsafe {
        core::arch::asm!("{word} += 0", word = inout(reg) word, options(pure, nomem, nostack));
    }
    word as u32
}

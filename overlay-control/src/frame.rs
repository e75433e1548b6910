//! A packet buffer in memory.
//!
//! The third home of the packet path: the slow path, tests, fuzzing, and the
//! oracle that the kernel's two buffers are compared with.

use overlay_common::abi::Egress;
use overlay_common::packet::{Inner, Packet, Refused};
use overlay_common::wire::{
    self, Checksum, Ethernet, Family, Header, Ipv4, Ipv6, Octet, Tag, checksum, ethertype,
};

/// Room that new frames keep in front, so that encapsulation moves no bytes.
const HEADROOM: usize = 128;
/// What a kernel leaves in grown room is not defined. This value is unlikely to
/// pass for a header field, so a path that relies on it is found out.
const UNDEFINED: u8 = 0xa5;

/// A frame that can be copied to several receivers: the host's own, and that of
/// the kernel's tc programs.
pub type Frame = HostFrame<true>;

/// A frame as XDP sees it: no copies, and devices that XDP cannot reach.
pub type XdpFrame = HostFrame<false>;

/// A frame, with what the kernel would know about it beside its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostFrame<const COPIES: bool> {
    buffer: Vec<u8>,
    start: usize,
    /// The tag where the device stripped it, as it is in an `sk_buff`.
    pub stripped_vlan: Option<Tag>,
    /// Whether [`push_vlan`](Packet::push_vlan) puts the tag beside the bytes,
    /// as tc does, instead of among them.
    pub vlan_offload: bool,
    /// Whether the frame goes on in further receive buffers, as a long one does at XDP.
    pub several_buffers: bool,
    /// Whether it refuses what the kernel's buffers refuse: XDP's where it makes no copies,
    /// else a socket buffer.
    pub as_kernel: bool,
    /// The payload of each segment of a super-frame, 0 for an ordinary frame.
    pub gso_size: u32,
    /// The copies sent, in their order.
    pub copies: Vec<SentCopy>,
}

/// A copy that the path sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SentCopy {
    /// The device it left by.
    pub egress: Egress,
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// A tag beside the bytes.
    pub vlan: Option<Tag>,
}

impl<const COPIES: bool> HostFrame<COPIES> {
    /// A frame of these bytes, Ethernet header first, without FCS. A VLAN tag is
    /// expected among the bytes.
    pub fn new(bytes: &[u8]) -> Self {
        let mut buffer = Vec::with_capacity(HEADROOM + bytes.len());
        buffer.resize(HEADROOM, UNDEFINED);
        buffer.extend_from_slice(bytes);
        Self {
            buffer,
            start: HEADROOM,
            stripped_vlan: None,
            vlan_offload: false,
            several_buffers: false,
            as_kernel: false,
            gso_size: 0,
            copies: Vec::new(),
        }
    }

    /// A frame whose tag was stripped by the device, as tc programs get it.
    pub fn with_stripped_vlan(bytes: &[u8], tag: Tag) -> Self {
        Self { stripped_vlan: Some(tag), vlan_offload: true, ..Self::new(bytes) }
    }

    /// The frame's bytes. A tag beside them is not among them.
    pub fn bytes(&self) -> &[u8] {
        &self.buffer[self.start..]
    }

    /// The bytes that go on the wire: a tag beside the bytes is put back.
    pub fn to_wire(&self) -> Vec<u8> {
        let mut bytes = self.bytes().to_vec();
        if let Some(tag) = self.stripped_vlan {
            insert_tag(&mut bytes, 0, tag);
        }
        bytes
    }

    /// As the kernel's buffers, this gives up no tag without which not even a header is left
    /// (`bpf_xdp_adjust_head`, `skb_vlan_pop`).
    fn may_pop(&self) -> Result<(), Refused> {
        if self.bytes().len() < Ethernet::LEN + Tag::LEN { Err(Refused) } else { Ok(()) }
    }

    /// A socket buffer moves the tag behind one that is removed to the place beside the bytes,
    /// and so removes that one too.
    fn may_move_next(&self) -> Result<(), Refused> {
        let next = wire::view::<Ethernet>(self.bytes(), 0).map_or(0, Ethernet::ethertype);
        let is_tag = matches!(next, ethertype::VLAN | ethertype::SERVICE_VLAN);
        if COPIES && self.as_kernel && is_tag { self.may_pop() } else { Ok(()) }
    }

    /// `bpf_skb_adjust_room` leaves no less than an IP header of the inner family behind the
    /// Ethernet header, of IPv4 where the frame is not IP.
    fn may_trim(&self, inner: Inner, len: usize) -> Result<(), Refused> {
        let behind = match inner {
            Inner::Ipv6 => Ipv6::LEN,
            Inner::Ipv4 | Inner::Other => Ipv4::LEN,
        };
        let is_short = self.bytes().len() < len + Ethernet::LEN + behind;
        if COPIES && self.as_kernel && is_short { Err(Refused) } else { Ok(()) }
    }

    fn tag_in_bytes(&self) -> Option<Tag> {
        wire::view::<Tag>(self.bytes(), Tag::OFFSET).filter(|tag| tag.kind().is_some()).copied()
    }
}

impl<const COPIES: bool> Packet for HostFrame<COPIES> {
    const COPIES: bool = COPIES;

    fn len(&self) -> u32 {
        self.bytes().len() as u32
    }

    fn at<T: Header>(&self, offset: usize) -> Option<&T> {
        wire::view(self.bytes(), offset)
    }

    fn at_mut<T: Header>(&mut self, offset: usize) -> Option<&mut T> {
        wire::view_mut(&mut self.buffer[self.start..], offset)
    }

    fn vlan(&self) -> Option<Tag> {
        self.stripped_vlan.or_else(|| self.tag_in_bytes())
    }

    fn stripped_vlan(&self) -> u16 {
        self.stripped_vlan.map_or(0, |tag| tag.tci())
    }

    fn pop_vlan(&mut self) -> Result<(), Refused> {
        if self.stripped_vlan.take().is_none() {
            self.tag_in_bytes().ok_or(Refused)?;
            self.may_pop()?;
            let tag = self.start + Tag::OFFSET;
            self.buffer.drain(tag..tag + Tag::LEN);
        }
        self.may_move_next()
    }

    fn push_vlan(&mut self, tag: Tag) -> Result<(), Refused> {
        if self.bytes().len() < Ethernet::LEN {
            return Err(Refused);
        }
        if self.vlan_offload {
            // The kernel moves a tag that is already beside the bytes into them.
            if let Some(inner) = self.stripped_vlan.replace(tag) {
                insert_tag(&mut self.buffer, self.start, inner);
            }
        } else {
            insert_tag(&mut self.buffer, self.start, tag);
        }
        Ok(())
    }

    fn require(&mut self, _len: u32) {}

    fn grow_head(&mut self, _inner: Inner, outer: Family) -> Result<(), Refused> {
        let len = outer.tunnel_len();
        if self.start < len {
            let missing = len - self.start;
            self.buffer.splice(0..0, std::iter::repeat_n(UNDEFINED, missing));
            self.start += missing;
        }
        self.start -= len;
        self.buffer[self.start..self.start + len].fill(UNDEFINED);
        Ok(())
    }

    fn trim_head(&mut self, inner: Inner, _outer: Family, len: u32) -> Result<(), Refused> {
        self.may_trim(inner, len as usize)?;
        if self.bytes().len() < len as usize {
            return Err(Refused);
        }
        self.start += len as usize;
        Ok(())
    }

    fn trim_tail(&mut self, len: u32) -> Result<(), Refused> {
        let len = len as usize;
        if len > self.bytes().len() {
            return Err(Refused);
        }
        self.buffer.truncate(self.start + len);
        // The kernel takes what was cut for an ordinary frame.
        self.gso_size = 0;
        Ok(())
    }

    fn open(&mut self, len: u32) -> Result<(), Refused> {
        if !COPIES || self.gso_size != 0 || self.at::<Ethernet>(0).is_none() {
            return Err(Refused);
        }
        let at = self.start + Ethernet::LEN;
        self.buffer.splice(at..at, std::iter::repeat_n(UNDEFINED, len as usize));
        Ok(())
    }

    fn sum<const N: usize>(&self, offset: usize) -> Option<u16> {
        Some(!checksum::full(wire::bytes_of(self.at::<[Octet; N]>(offset)?)))
    }

    fn adjust_checksum(&mut self, offset: usize, old: u16, new: u16) -> Result<(), Refused> {
        self.at_mut::<Checksum>(offset).ok_or(Refused)?.adjust(old, new);
        Ok(())
    }

    fn gso_size(&self) -> u32 {
        self.gso_size
    }

    fn reaches(&self, egress: Egress) -> bool {
        let wanted = match self.several_buffers {
            true => Egress::XDP | Egress::FRAGS,
            false => Egress::XDP,
        };
        COPIES || egress.flags & wanted == wanted
    }

    fn copy_to(&mut self, egress: Egress) -> Result<(), Refused> {
        // Devices are numbered from 1, in 31 bits.
        if !COPIES || egress.ifindex.cast_signed() <= 0 {
            return Err(Refused);
        }
        let copy = SentCopy { egress, bytes: self.bytes().to_vec(), vlan: self.stripped_vlan };
        self.copies.push(copy);
        Ok(())
    }
}

fn insert_tag(bytes: &mut Vec<u8>, start: usize, tag: Tag) {
    let at = start + Tag::OFFSET;
    bytes.splice(at..at, wire::bytes_of(&tag).iter().copied());
}

#[cfg(test)]
mod tests {
    use super::*;
    use overlay_common::wire::{TagKind, Udp};

    const PLAIN: [u8; 20] =
        [1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 0x08, 0x00, 10, 11, 12, 13, 14, 15];
    const TAG: [u8; 4] = [0x81, 0x00, 0x60, 0x0a];
    const CUSTOMER: Tag = Tag::new(TagKind::Customer, 0x600a);
    const SERVICE: Tag = Tag::new(TagKind::Service, 0x600a);

    fn tagged() -> Vec<u8> {
        [&PLAIN[..12], &TAG, &PLAIN[12..]].concat()
    }

    #[test]
    fn a_tag_among_the_bytes_is_read_popped_and_pushed() {
        let mut frame = Frame::new(&tagged());
        assert_eq!((frame.vlan(), frame.len()), (Some(CUSTOMER), 24));
        assert_eq!(frame.pop_vlan(), Ok(()));
        assert_eq!((frame.vlan(), frame.bytes()), (None, &PLAIN[..]));
        assert_eq!(frame.pop_vlan(), Err(Refused));
        assert_eq!(frame.push_vlan(CUSTOMER), Ok(()));
        assert_eq!(frame.bytes(), tagged());
    }

    #[test]
    fn a_service_tag_is_a_tag_and_inner_ones_come_after_it() {
        let mut bytes = tagged();
        bytes[12..14].copy_from_slice(&[0x88, 0xa8]);
        let mut frame = Frame::new(&[&bytes[..16], &TAG, &bytes[16..]].concat());
        assert_eq!(frame.vlan(), Some(SERVICE));
        frame.pop_vlan().unwrap();
        assert_eq!(frame.vlan(), Some(CUSTOMER));
        frame.pop_vlan().unwrap();
        assert_eq!(frame.vlan(), None);
        frame.push_vlan(SERVICE).unwrap();
        assert_eq!(frame.bytes()[12..16], [0x88, 0xa8, 0x60, 0x0a]);
    }

    #[test]
    fn a_stripped_tag_stands_beside_the_bytes() {
        let mut frame = Frame::with_stripped_vlan(&PLAIN, CUSTOMER);
        assert_eq!((frame.vlan(), frame.len()), (Some(CUSTOMER), 20));
        assert_eq!(frame.to_wire(), tagged());
        frame.copy_to(Egress { ifindex: 7, flags: 0 }).unwrap();
        assert_eq!(
            (frame.copies[0].vlan, &frame.copies[0].bytes[..]),
            (Some(CUSTOMER), &PLAIN[..])
        );
        frame.pop_vlan().unwrap();
        assert_eq!(frame.to_wire(), PLAIN);
        let inner = Tag::new(TagKind::Service, 5);
        frame.push_vlan(inner).unwrap();
        assert_eq!((frame.stripped_vlan, frame.bytes()), (Some(inner), &PLAIN[..]));
        frame.push_vlan(CUSTOMER).unwrap();
        assert_eq!(frame.stripped_vlan, Some(CUSTOMER));
        assert_eq!(frame.bytes()[12..16], [0x88, 0xa8, 0, 5], "the older tag moves inside");
    }

    #[test]
    fn frames_that_are_too_short_are_refused() {
        let mut frame = Frame::new(&PLAIN[..13]);
        assert_eq!((frame.vlan(), frame.push_vlan(CUSTOMER)), (None, Err(Refused)));
        assert_eq!(frame.trim_head(Inner::Other, Family::V4, 50), Err(Refused));
        assert_eq!(frame.trim_tail(14), Err(Refused));
        assert_eq!(frame.bytes(), &PLAIN[..13]);
        assert!(frame.at::<Ethernet>(0).is_none() && frame.at::<Ethernet>(usize::MAX).is_none());
    }

    #[test]
    fn the_head_grows_again_and_again_and_is_trimmed_again() {
        let mut frame = Frame::new(&PLAIN);
        let families = [Family::V4, Family::V6, Family::V6, Family::V4];
        let mut len = PLAIN.len();
        for (i, family) in (1..).zip(families) {
            frame.grow_head(Inner::Ipv4, family).unwrap();
            len += family.tunnel_len();
            assert_eq!(frame.len() as usize, len);
            *frame.at_mut::<Udp>(0).unwrap() = Udp::new(i, 0, 0);
        }
        for (i, family) in (1..=4).zip(families).rev() {
            assert_eq!(frame.at::<Udp>(0).unwrap().source(), i);
            frame.trim_head(Inner::Ipv4, family, family.tunnel_len() as u32).unwrap();
        }
        assert_eq!(frame.bytes(), PLAIN);
    }

    #[test]
    fn grown_room_says_nothing_of_what_was_there() {
        let mut frame = Frame::new(&[7; 60]);
        frame.trim_head(Inner::Other, Family::V4, 50).unwrap();
        frame.grow_head(Inner::Other, Family::V4).unwrap();
        assert!(frame.bytes()[..50].iter().all(|byte| *byte == UNDEFINED));
    }

    #[test]
    fn an_ethernet_header_is_kept_when_a_tag_goes() {
        fn popped<const COPIES: bool>(bytes: &[u8]) -> Result<(), Refused> {
            let mut frame = HostFrame::<COPIES>::new(bytes);
            frame.as_kernel = true;
            frame.pop_vlan()
        }
        let one = tagged();
        let two = [&one[..16], &TAG, &one[16..]].concat();
        for (bytes, xdp, tc) in [
            (&one[..17], Err(Refused), Err(Refused)),
            (&one[..18], Ok(()), Ok(())),
            (&two[..21], Ok(()), Err(Refused)),
            (&two[..22], Ok(()), Ok(())),
        ] {
            assert_eq!((popped::<false>(bytes), popped::<true>(bytes)), (xdp, tc), "{bytes:?}");
            assert_eq!(Frame::new(bytes).pop_vlan(), xdp, "user space keeps one too");
        }
    }

    #[test]
    fn a_socket_buffer_keeps_an_ip_header_when_a_tunnel_goes() {
        let trimmed = |len: usize, inner| {
            let mut frame = Frame::new(&vec![7; 50 + len]);
            frame.as_kernel = true;
            frame.trim_head(inner, Family::V4, 50)
        };
        for (inner, least) in [(Inner::Ipv4, 34), (Inner::Other, 34), (Inner::Ipv6, 54)] {
            assert_eq!(trimmed(least, inner), Ok(()), "{inner:?}");
            assert_eq!(trimmed(least - 1, inner), Err(Refused), "{inner:?}");
        }
        let mut frame = XdpFrame::new(&[7; 64]);
        frame.as_kernel = true;
        assert_eq!(frame.trim_head(Inner::Other, Family::V4, 50), Ok(()), "XDP takes any");
    }

    #[test]
    fn padding_is_cut_off() {
        let mut frame = Frame::new(&PLAIN);
        frame.trim_tail(15).unwrap();
        assert_eq!(frame.bytes(), &PLAIN[..15]);
        frame.trim_tail(15).unwrap();
        assert_eq!(frame.len(), 15);
    }

    #[test]
    fn a_copy_is_the_frame_as_it_was_then() {
        let mut frame = Frame::new(&PLAIN);
        let out = |ifindex| Egress { ifindex, flags: 0 };
        frame.copy_to(out(3)).unwrap();
        frame.push_vlan(CUSTOMER).unwrap();
        frame.copy_to(out(4)).unwrap();
        let sent: Vec<_> = frame.copies.iter().map(|c| (c.egress.ifindex, &c.bytes[..])).collect();
        assert_eq!(sent, [(3, &PLAIN[..]), (4, &tagged()[..])]);
        for none in [0, 1 << 31, u32::MAX] {
            assert_eq!(frame.copy_to(out(none)), Err(Refused), "no device {none}");
        }
    }

    #[test]
    fn xdp_makes_no_copies_and_reaches_what_takes_its_frames() {
        let mut frame = XdpFrame::new(&PLAIN);
        let (xdp, other) =
            (Egress { ifindex: 3, flags: Egress::XDP }, Egress { ifindex: 3, flags: 2 });
        assert_eq!(frame.copy_to(xdp), Err(Refused));
        assert!(frame.copies.is_empty());
        assert!(frame.reaches(xdp) && !frame.reaches(other));
        assert!(Frame::new(&PLAIN).reaches(other));
        frame.several_buffers = true;
        let both = Egress { ifindex: 3, flags: Egress::XDP | Egress::FRAGS };
        assert!(frame.reaches(both) && !frame.reaches(xdp));
        let copies = |copies: bool| copies;
        assert!(copies(<Frame as Packet>::COPIES) && !copies(<XdpFrame as Packet>::COPIES));
    }
}

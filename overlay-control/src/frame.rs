//! A packet buffer in memory.
//!
//! The third home of the packet path: the slow path, tests, fuzzing, and the
//! oracle that the kernel's two buffers are compared with.

use overlay_common::abi::Egress;
use overlay_common::packet::{Inner, Packet, Refused};
use overlay_common::wire::{self, Checksum, Ethernet, Family, Header, Octet, Tag, checksum};

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
    /// The tag's control information where the device stripped the tag, as it is
    /// in an `sk_buff`.
    pub stripped_vlan: Option<u16>,
    /// Whether [`push_vlan`](Packet::push_vlan) puts the tag beside the bytes,
    /// as tc does, instead of among them.
    pub vlan_offload: bool,
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
    pub vlan: Option<u16>,
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
            gso_size: 0,
            copies: Vec::new(),
        }
    }

    /// A frame whose tag was stripped by the device, as tc programs get it.
    pub fn with_stripped_vlan(bytes: &[u8], tci: u16) -> Self {
        Self { stripped_vlan: Some(tci), vlan_offload: true, ..Self::new(bytes) }
    }

    /// The frame's bytes. A tag beside them is not among them.
    pub fn bytes(&self) -> &[u8] {
        &self.buffer[self.start..]
    }

    /// The bytes that go on the wire: a tag beside the bytes is put back.
    pub fn to_wire(&self) -> Vec<u8> {
        let mut bytes = self.bytes().to_vec();
        if let Some(tci) = self.stripped_vlan {
            insert_tag(&mut bytes, 0, tci);
        }
        bytes
    }

    fn tag_in_bytes(&self) -> Option<u16> {
        wire::view::<Tag>(self.bytes(), Tag::OFFSET)?.tci()
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

    fn vlan(&self) -> Option<u16> {
        self.stripped_vlan.or_else(|| self.tag_in_bytes())
    }

    fn stripped_vlan(&self) -> u16 {
        self.stripped_vlan.unwrap_or(0)
    }

    fn pop_vlan(&mut self) -> Result<(), Refused> {
        if self.stripped_vlan.take().is_some() {
            return Ok(());
        }
        self.tag_in_bytes().ok_or(Refused)?;
        let tag = self.start + Tag::OFFSET;
        self.buffer.drain(tag..tag + Tag::LEN);
        Ok(())
    }

    fn push_vlan(&mut self, tci: u16) -> Result<(), Refused> {
        if self.bytes().len() < Ethernet::LEN {
            return Err(Refused);
        }
        if self.vlan_offload {
            // The kernel moves a tag that is already beside the bytes into them.
            if let Some(inner) = self.stripped_vlan.replace(tci) {
                insert_tag(&mut self.buffer, self.start, inner);
            }
        } else {
            insert_tag(&mut self.buffer, self.start, tci);
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

    fn trim_head(&mut self, _inner: Inner, _outer: Family, len: u32) -> Result<(), Refused> {
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
        COPIES || egress.flags & Egress::XDP != 0
    }

    fn copy_to(&mut self, egress: Egress) -> Result<(), Refused> {
        if !COPIES {
            return Err(Refused);
        }
        let copy = SentCopy { egress, bytes: self.bytes().to_vec(), vlan: self.stripped_vlan };
        self.copies.push(copy);
        Ok(())
    }
}

fn insert_tag(bytes: &mut Vec<u8>, start: usize, tci: u16) {
    let at = start + Tag::OFFSET;
    bytes.splice(at..at, wire::bytes_of(&Tag::new(tci)).iter().copied());
}

#[cfg(test)]
mod tests {
    use super::*;
    use overlay_common::wire::Udp;

    const PLAIN: [u8; 20] =
        [1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 0x08, 0x00, 10, 11, 12, 13, 14, 15];
    const TAG: [u8; 4] = [0x81, 0x00, 0x60, 0x0a];

    fn tagged() -> Vec<u8> {
        [&PLAIN[..12], &TAG, &PLAIN[12..]].concat()
    }

    #[test]
    fn a_tag_among_the_bytes_is_read_popped_and_pushed() {
        let mut frame = Frame::new(&tagged());
        assert_eq!((frame.vlan(), frame.len()), (Some(0x600a), 24));
        assert_eq!(frame.pop_vlan(), Ok(()));
        assert_eq!((frame.vlan(), frame.bytes()), (None, &PLAIN[..]));
        assert_eq!(frame.pop_vlan(), Err(Refused));
        assert_eq!(frame.push_vlan(0x600a), Ok(()));
        assert_eq!(frame.bytes(), tagged());
    }

    #[test]
    fn a_service_tag_is_a_tag_and_inner_ones_come_after_it() {
        let mut bytes = tagged();
        bytes[12..14].copy_from_slice(&[0x88, 0xa8]);
        let mut frame = Frame::new(&[&bytes[..16], &TAG, &bytes[16..]].concat());
        assert_eq!(frame.vlan(), Some(0x600a));
        frame.pop_vlan().unwrap();
        assert_eq!(frame.vlan(), Some(0x600a));
        frame.pop_vlan().unwrap();
        assert_eq!(frame.vlan(), None);
    }

    #[test]
    fn a_stripped_tag_stands_beside_the_bytes() {
        let mut frame = Frame::with_stripped_vlan(&PLAIN, 0x600a);
        assert_eq!((frame.vlan(), frame.len()), (Some(0x600a), 20));
        assert_eq!(frame.to_wire(), tagged());
        frame.copy_to(Egress { ifindex: 7, flags: 0 }).unwrap();
        assert_eq!((frame.copies[0].vlan, &frame.copies[0].bytes[..]), (Some(0x600a), &PLAIN[..]));
        frame.pop_vlan().unwrap();
        assert_eq!(frame.to_wire(), PLAIN);
        frame.push_vlan(5).unwrap();
        assert_eq!((frame.stripped_vlan, frame.bytes()), (Some(5), &PLAIN[..]));
        frame.push_vlan(0x600a).unwrap();
        assert_eq!(frame.stripped_vlan, Some(0x600a));
        assert_eq!(frame.bytes()[12..16], [0x81, 0x00, 0, 5], "the older tag moves inside");
    }

    #[test]
    fn frames_that_are_too_short_are_refused() {
        let mut frame = Frame::new(&PLAIN[..13]);
        assert_eq!((frame.vlan(), frame.push_vlan(1)), (None, Err(Refused)));
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
        frame.push_vlan(0x600a).unwrap();
        frame.copy_to(out(4)).unwrap();
        let sent: Vec<_> = frame.copies.iter().map(|c| (c.egress.ifindex, &c.bytes[..])).collect();
        assert_eq!(sent, [(3, &PLAIN[..]), (4, &tagged()[..])]);
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
        let copies = |copies: bool| copies;
        assert!(copies(<Frame as Packet>::COPIES) && !copies(<XdpFrame as Packet>::COPIES));
    }
}

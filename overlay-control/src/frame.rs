//! A packet buffer in memory.
//!
//! The third home of the packet path: the slow path, tests, fuzzing, and the
//! oracle that the kernel's two buffers are compared with.

use overlay_common::abi::Egress;
use overlay_common::packet::{Inner, Packet, Refused};
use overlay_common::wire::{self, Ethernet, Header, TUNNEL_LEN, Tag};

/// Room that new frames keep in front, so that encapsulation moves no bytes.
const HEADROOM: usize = 64;
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
    /// How many segments a super-frame has.
    pub gso_segs: u32,
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
            gso_segs: 0,
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

    fn grow_head(&mut self, _inner: Inner) -> Result<(), Refused> {
        if self.start < TUNNEL_LEN {
            let missing = TUNNEL_LEN - self.start;
            self.buffer.splice(0..0, std::iter::repeat_n(UNDEFINED, missing));
            self.start += missing;
        }
        self.start -= TUNNEL_LEN;
        self.buffer[self.start..self.start + TUNNEL_LEN].fill(UNDEFINED);
        Ok(())
    }

    fn trim_head(&mut self, _inner: Inner) -> Result<(), Refused> {
        if self.bytes().len() < TUNNEL_LEN {
            return Err(Refused);
        }
        self.start += TUNNEL_LEN;
        Ok(())
    }

    fn trim_tail(&mut self, len: u32) -> Result<(), Refused> {
        let len = len as usize;
        if len > self.bytes().len() {
            return Err(Refused);
        }
        self.buffer.truncate(self.start + len);
        Ok(())
    }

    fn gso_size(&self) -> u32 {
        self.gso_size
    }

    fn segments(&self) -> u32 {
        self.gso_segs.max(1)
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

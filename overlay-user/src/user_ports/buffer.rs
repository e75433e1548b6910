//! A frame in memory that a thread uses again and again: a slot of a receive ring, or a
//! buffer. Nothing is allocated, and only headers move.

use overlay_common::abi::Egress;
use overlay_common::packet::{Inner, Packet, Refused};
use overlay_common::wire::{self, Checksum, Ethernet, Family, Header, Mac, Octet, Tag, checksum};

use super::offload::Offload;
use super::outbox::Outbox;
use crate::forwarder::segments::Plan;

/// Room in front of a received frame, which encapsulation and a tag need.
pub const HEADROOM: usize = 128;

/// A received frame, and where its copies go.
pub struct Buffer<'a> {
    bytes: &'a mut [u8],
    start: usize,
    end: usize,
    /// A tag that the kernel moved out of the bytes.
    stripped_vlan: Option<Tag>,
    offload: Offload,
    /// The headers of a tunnel that were put in front.
    outer: Option<Family>,
    outbox: &'a mut Outbox,
}

/// A frame that is to be sent.
pub struct Outgoing<'a> {
    /// From the Ethernet header on.
    pub bytes: &'a [u8],
    /// What is left to the device.
    pub offload: Offload,
    /// The tunnel's headers in front, which take part in no segmentation of a device's.
    pub outer: Option<Family>,
    /// A tag that is to be put into the bytes.
    pub vlan: Option<Tag>,
}

impl<'a> Buffer<'a> {
    /// The frame in `bytes[start..end]`, with the room around it.
    ///
    /// # Panics
    ///
    /// There is no such range.
    pub fn new(
        bytes: &'a mut [u8],
        (start, end): (usize, usize),
        stripped_vlan: Option<Tag>,
        offload: Offload,
        outbox: &'a mut Outbox,
    ) -> Self {
        assert!(start <= end && end <= bytes.len(), "{start}..{end} of {}", bytes.len());
        Self { bytes, start, end, stripped_vlan, offload, outer: None, outbox }
    }

    /// The frame's bytes. A tag beside them is not among them.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    /// Queues the frame as it is now.
    ///
    /// # Safety
    ///
    /// The bytes that this was made of stay as they are until the outbox is flushed.
    pub unsafe fn transmit(self, egress: Egress) {
        let Self { bytes, start, end, stripped_vlan, offload, outer, outbox } = self;
        let frame = Outgoing { bytes: &bytes[start..end], offload, outer, vlan: stripped_vlan };
        // SAFETY: the caller's.
        unsafe { outbox.put_in_place(egress.ifindex, &frame) };
    }

    /// Moves the start of the frame; negative opens room.
    #[inline(always)]
    fn move_start(&mut self, by: isize) -> Result<(), Refused> {
        let start = self.start.checked_add_signed(by).ok_or(Refused)?;
        if start > self.end {
            return Err(Refused);
        }
        self.start = start;
        self.offload.shift(-by as i32);
        Ok(())
    }

    /// Finishes a checksum that is left to the device: few devices know where to look for it
    /// inside of a tunnel that they have not made.
    fn finish_checksum(&mut self) {
        let Some((start, offset)) = self.offload.checksum() else { return };
        self.offload.finish();
        let frame = &mut self.bytes[self.start..self.end];
        let Some(segment) = frame.get_mut(start..) else { return };
        let sum = match checksum::full(segment) {
            // In UDP, zero says that there is no checksum (RFC 768).
            0 => 0xffff,
            sum => sum,
        };
        if let Some(field) = segment.get_mut(offset..offset + 2) {
            field.copy_from_slice(&sum.to_be_bytes());
        }
    }

    fn tag_in_bytes(&self) -> Option<Tag> {
        wire::view::<Tag>(self.bytes(), Tag::OFFSET).filter(|tag| tag.kind().is_some()).copied()
    }

    /// Puts a tag into the bytes.
    #[inline(always)]
    fn insert_tag(&mut self, tag: Tag) -> Result<(), Refused> {
        let stations = *self.at::<[Mac; 2]>(0).ok_or(Refused)?;
        self.move_start(-(Tag::LEN as isize))?;
        *self.at_mut::<[Mac; 2]>(0).ok_or(Refused)? = stations;
        *self.at_mut::<Tag>(Tag::OFFSET).ok_or(Refused)? = tag;
        Ok(())
    }
}

impl Packet for Buffer<'_> {
    const COPIES: bool = true;

    #[inline(always)]
    fn len(&self) -> u32 {
        (self.end - self.start) as u32
    }

    #[inline(always)]
    fn at<T: Header>(&self, offset: usize) -> Option<&T> {
        wire::view(self.bytes(), offset)
    }

    #[inline(always)]
    fn at_mut<T: Header>(&mut self, offset: usize) -> Option<&mut T> {
        wire::view_mut(&mut self.bytes[self.start..self.end], offset)
    }

    #[inline(always)]
    fn vlan(&self) -> Option<Tag> {
        self.stripped_vlan.or_else(|| self.tag_in_bytes())
    }

    #[inline(always)]
    fn stripped_vlan(&self) -> u16 {
        self.stripped_vlan.map_or(0, |tag| tag.tci())
    }

    #[inline(always)]
    fn pop_vlan(&mut self) -> Result<(), Refused> {
        if self.stripped_vlan.take().is_some() {
            return Ok(());
        }
        self.tag_in_bytes().ok_or(Refused)?;
        // As in the kernel: at least a header has to be left.
        if self.bytes().len() < Ethernet::LEN + Tag::LEN {
            return Err(Refused);
        }
        let stations = *self.at::<[Mac; 2]>(0).ok_or(Refused)?;
        self.move_start(Tag::LEN as isize)?;
        *self.at_mut::<[Mac; 2]>(0).ok_or(Refused)? = stations;
        Ok(())
    }

    /// Into the bytes, with one that was beside them inside of it.
    #[inline(always)]
    fn push_vlan(&mut self, tag: Tag) -> Result<(), Refused> {
        if let Some(inner) = self.stripped_vlan.take() {
            self.insert_tag(inner)?;
        }
        self.insert_tag(tag)
    }

    #[inline(always)]
    fn require(&mut self, _len: u32) {}

    #[inline(always)]
    fn grow_head(&mut self, _inner: Inner, outer: Family) -> Result<(), Refused> {
        match self.offload.segment() {
            0 => self.finish_checksum(),
            size => {
                let protocol = self.offload.protocol().ok_or(Refused)?;
                Plan::of(self.bytes(), None, size, protocol).ok_or(Refused)?;
            }
        }
        self.move_start(-(outer.tunnel_len() as isize))?;
        self.outer = Some(outer);
        Ok(())
    }

    #[inline(always)]
    fn trim_head(&mut self, _inner: Inner, _outer: Family, len: u32) -> Result<(), Refused> {
        self.move_start(len as isize)?;
        self.outer = None;
        Ok(())
    }

    #[inline(always)]
    fn trim_tail(&mut self, len: u32) -> Result<(), Refused> {
        let end = self.start + len as usize;
        if end > self.end {
            return Err(Refused);
        }
        if end < self.end {
            self.end = end;
            self.offload.forget_segments();
        }
        Ok(())
    }

    /// Room behind the Ethernet header, which moves to the front.
    fn open(&mut self, len: u32) -> Result<(), Refused> {
        let ethernet = *self.at::<Ethernet>(0).ok_or(Refused)?;
        if self.offload.segment() != 0 {
            return Err(Refused);
        }
        // What is left to a device is about what is quoted from now on, which stays as it is.
        self.offload = Offload::default();
        self.move_start(-(len as isize))?;
        *self.at_mut::<Ethernet>(0).ok_or(Refused)? = ethernet;
        Ok(())
    }

    fn sum<const N: usize>(&self, offset: usize) -> Option<u16> {
        Some(!checksum::full(wire::bytes_of(self.at::<[Octet; N]>(offset)?)))
    }

    /// A device that is to compute the checksum does so from the bytes.
    fn adjust_checksum(&mut self, offset: usize, old: u16, new: u16) -> Result<(), Refused> {
        if self.offload.checksum().is_some() {
            return Ok(());
        }
        self.at_mut::<Checksum>(offset).ok_or(Refused)?.adjust(old, new);
        Ok(())
    }

    #[inline(always)]
    fn gso_size(&self) -> u32 {
        self.offload.segment() as u32
    }

    #[inline(always)]
    fn reaches(&self, _egress: Egress) -> bool {
        true
    }

    fn copy_to(&mut self, egress: Egress) -> Result<(), Refused> {
        let bytes = &self.bytes[self.start..self.end];
        let (offload, outer, vlan) = (self.offload, self.outer, self.stripped_vlan);
        self.outbox.put_copy(egress.ifindex, &Outgoing { bytes, offload, outer, vlan })
    }
}

//! Frames as pcapng: each as it came in, and as it goes on, with what became of it in a comment.
//! An interface of the file is a device and a direction there.

use std::borrow::Cow;
use std::collections::HashMap;
use std::io::Write;
use std::time::Duration;

use anyhow::{Error, Result};
use overlay_common::wire::{Ethernet, Tag, ethertype};
use pcap_file::pcapng::PcapNgWriter;
use pcap_file::pcapng::blocks::enhanced_packet::{EnhancedPacketBlock, EnhancedPacketOption};
use pcap_file::pcapng::blocks::interface_description::{
    InterfaceDescriptionBlock, InterfaceDescriptionOption,
};
use pcap_file::pcapng::blocks::section_header::{SectionHeaderBlock, SectionHeaderOption};
use pcap_file::{DataLink, Endianness};

use crate::api::trace::unhex;
use crate::api::watch::{BytesRow, FrameRow};

/// The bits of `epb_flags` that say where a frame went (pcapng, section 4.3.1).
const INBOUND: u32 = 1;
const OUTBOUND: u32 = 2;

/// Timestamps are in ns.
const NANOSECONDS: u8 = 9;

/// A capture that is being written.
pub struct Capture<W: Write> {
    file: PcapNgWriter<W>,
    interfaces: HashMap<String, u32>,
}

impl<W: Write> Capture<W> {
    /// Begins one.
    ///
    /// # Errors
    ///
    /// The writer's.
    pub fn begin(out: W) -> Result<Self> {
        let program = concat!("overlay ", env!("CARGO_PKG_VERSION"));
        let section = SectionHeaderBlock {
            // What tshark reads from a pipe has to be in its own order.
            endianness: Endianness::native(),
            options: vec![SectionHeaderOption::UserApplication(program.into())],
            ..SectionHeaderBlock::default()
        };
        let file = PcapNgWriter::with_section_header(out, section)?;
        let mut capture = Self { file, interfaces: HashMap::new() };
        capture.flush()?;
        Ok(capture)
    }

    /// Adds a frame.
    ///
    /// # Errors
    ///
    /// The writer's, or a row that is none.
    pub fn frame(&mut self, row: &FrameRow) -> Result<()> {
        let comment = comment(row);
        let time = Duration::from_nanos(row.time);
        self.packet(&format!("{} in", row.interface), time, INBOUND, &row.before, comment)?;
        if let Some(after) = &row.after {
            let by = row.egress.as_deref().unwrap_or("-");
            let time = time + Duration::from_nanos(row.took.unwrap_or_default());
            let comment = format!("from {}; {}", row.interface, self::comment(row));
            self.packet(&format!("{by} out"), time, OUTBOUND, after, comment)?;
        }
        // Whoever reads live waits for this one.
        self.flush()
    }

    /// Hands on what was held back.
    ///
    /// # Errors
    ///
    /// The writer's.
    pub fn flush(&mut self) -> Result<()> {
        Ok(self.file.get_mut().flush()?)
    }

    fn packet(
        &mut self,
        interface: &str,
        timestamp: Duration,
        direction: u32,
        bytes: &BytesRow,
        comment: String,
    ) -> Result<()> {
        let interface_id = self.interface(interface)?;
        let data = tagged(unhex(&bytes.hex).map_err(Error::msg)?, bytes.tag);
        let tag = if bytes.tag == 0 { 0 } else { Tag::LEN as u32 };
        let original_len = (bytes.length + tag).max(data.len() as u32);
        let options = vec![
            EnhancedPacketOption::Comment(comment.into()),
            EnhancedPacketOption::Flags(direction),
        ];
        let data = Cow::Owned(data);
        let block = EnhancedPacketBlock { interface_id, timestamp, original_len, data, options };
        self.file.write_pcapng_block(block)?;
        Ok(())
    }

    fn interface(&mut self, name: &str) -> Result<u32> {
        if let Some(number) = self.interfaces.get(name) {
            return Ok(*number);
        }
        let options = vec![
            InterfaceDescriptionOption::IfName(name.to_owned().into()),
            InterfaceDescriptionOption::IfTsResol(NANOSECONDS),
        ];
        let block = InterfaceDescriptionBlock { linktype: DataLink::ETHERNET, snaplen: 0, options };
        self.file.write_pcapng_block(block)?;
        let number = self.interfaces.len() as u32;
        self.interfaces.insert(name.to_owned(), number);
        Ok(number)
    }
}

/// What became of a frame, on one line.
fn comment(row: &FrameRow) -> String {
    let mut text = row.verdict.clone();
    if let Some(reason) = &row.reason {
        text += &format!(": {reason}");
    }
    if let Some(egress) = &row.egress {
        text += &format!(" to {egress}");
    }
    text += &format!("; hook {}", row.hook);
    if let Some(took) = row.took {
        text += &format!("; {took} ns");
    }
    if row.before.gso_size != 0 {
        text += &format!("; super-frame of segments of {} bytes", row.before.gso_size);
    }
    text
}

/// With the tag that the device had taken off in its place again.
fn tagged(mut data: Vec<u8>, tag: u16) -> Vec<u8> {
    if tag != 0 && data.len() >= Ethernet::LEN {
        let [a, b] = ethertype::VLAN.to_be_bytes();
        let [c, d] = tag.to_be_bytes();
        data.splice(Tag::OFFSET..Tag::OFFSET, [a, b, c, d]);
    }
    data
}

#[cfg(test)]
mod tests {
    use pcap_file::pcapng::{Block, PcapNgReader};

    use super::*;

    #[test]
    fn a_capture_can_be_read_again() {
        let before = BytesRow { hex: "02".repeat(60), length: 60, tag: 7, gso_size: 0 };
        let after = BytesRow { hex: "04".repeat(110), length: 110, tag: 0, gso_size: 0 };
        let row = FrameRow {
            time: 1_700_000_000_123_456_789,
            took: Some(812),
            hook: "tc".to_owned(),
            interface: "eth1".to_owned(),
            egress: Some("eth0".to_owned()),
            verdict: "transmitted".to_owned(),
            before,
            after: Some(after),
            ..FrameRow::default()
        };
        let mut file = Vec::new();
        let mut capture = Capture::begin(&mut file).unwrap();
        capture.frame(&row).unwrap();
        capture.frame(&row).unwrap();

        let mut reader = PcapNgReader::new(&file[..]).unwrap();
        let (mut names, mut packets) = (Vec::new(), Vec::new());
        while let Some(block) = reader.next_block() {
            match block.unwrap() {
                Block::InterfaceDescription(block) => {
                    names.push(format!("{:?}", block.options[0]));
                }
                Block::EnhancedPacket(packet) => {
                    let comment = format!("{:?}", packet.options[0]);
                    let tag = packet.data[12..16].to_vec();
                    packets.push((packet.interface_id, packet.original_len, tag, comment));
                    assert!(packet.timestamp.as_nanos() >= u128::from(row.time));
                }
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(names.len(), 2);
        assert!(names[0].contains("eth1 in") && names[1].contains("eth0 out"), "{names:?}");
        assert_eq!(packets.len(), 4);
        assert_eq!((packets[0].0, packets[0].1), (0, 64));
        assert_eq!(packets[0].2, [0x81, 0, 0, 7]);
        assert_eq!((packets[1].0, packets[1].1), (1, 110));
        assert!(packets[1].3.contains("from eth1; transmitted to eth0; hook tc; 812 ns"));
    }
}

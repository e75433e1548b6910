//! Frames as people have them: hexadecimal, or a file that something captured.

use std::io::{Cursor, Read as _};

use pcap_file::pcap::PcapReader;
use pcap_file::pcapng::{Block, PcapNgReader};
use pcap_file::{DataLink, PcapError};

use crate::api::trace::unhex;
use crate::cli::CommandFailure;

/// The most bytes of a file that are read.
const LONGEST_FILE: u64 = 64 << 20;

/// A frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Given {
    /// Its bytes, as far as they were captured.
    pub bytes: Vec<u8>,
    /// Its whole length.
    pub len: u32,
}

/// The first frames of what was given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frames {
    /// The frames.
    pub frames: Vec<Given>,
    /// Whether there are more.
    pub has_more: bool,
}

/// Reads what a command line has for frames, `count` at most.
///
/// # Errors
///
/// What is wrong with it.
pub fn read(given: &str, count: usize) -> Result<Frames, CommandFailure> {
    if count == 0 {
        return Err(CommandFailure::Wrong("--count 0 looks at nothing".to_owned()));
    }
    if given == "-" {
        return parse(
            &limited(std::io::stdin().lock(), "standard input")?,
            "standard input",
            count,
        );
    }
    let digits = unhex(given);
    let path = given.strip_prefix('@').unwrap_or(given);
    match digits {
        Ok(bytes) if !given.starts_with('@') => Ok(one(bytes)),
        Err(why) if !given.starts_with('@') && !std::path::Path::new(path).exists() => {
            let text = format!("{given:?} is neither a frame ({why}) nor the name of a file");
            Err(CommandFailure::Wrong(text))
        }
        _ => {
            let file = std::fs::File::open(path)
                .map_err(|error| CommandFailure::Wrong(format!("cannot read {path}: {error}")))?;
            parse(&limited(file, path)?, path, count)
        }
    }
}

fn limited(source: impl std::io::Read, name: &str) -> Result<Vec<u8>, CommandFailure> {
    let mut bytes = Vec::new();
    source
        .take(LONGEST_FILE)
        .read_to_end(&mut bytes)
        .map_err(|error| CommandFailure::Wrong(format!("cannot read {name}: {error}")))?;
    Ok(bytes)
}

fn one(bytes: Vec<u8>) -> Frames {
    let len = bytes.len() as u32;
    Frames { frames: vec![Given { bytes, len }], has_more: false }
}

/// Reads what is in a file, by what it begins with.
fn parse(bytes: &[u8], name: &str, count: usize) -> Result<Frames, CommandFailure> {
    let wrong = |why: String| CommandFailure::Wrong(format!("{name}: {why}"));
    let frames = match bytes {
        [0xa1, 0xb2, 0xc3, 0xd4, ..]
        | [0xd4, 0xc3, 0xb2, 0xa1, ..]
        | [0xa1, 0xb2, 0x3c, 0x4d, ..]
        | [0x4d, 0x3c, 0xb2, 0xa1, ..] => pcap(bytes, count),
        [0x0a, 0x0d, 0x0d, 0x0a, ..] => pcapng(bytes, count),
        text => return dump(text).map_err(wrong),
    };
    let frames = frames.map_err(wrong)?;
    if frames.frames.is_empty() {
        return Err(wrong("there is no frame in it".to_owned()));
    }
    Ok(frames)
}

const NOT_ETHERNET: &str = "frames without Ethernet headers; capture on one device (tcpdump -i \
                            eth1), and not on \"any\"";

fn pcap(bytes: &[u8], count: usize) -> Result<Frames, String> {
    let mut reader = PcapReader::new(Cursor::new(bytes)).map_err(said)?;
    if reader.header().datalink != DataLink::ETHERNET {
        return Err(NOT_ETHERNET.to_owned());
    }
    let mut found = Frames::default();
    while let Some(packet) = reader.next_packet() {
        let packet = match packet {
            Ok(packet) => packet,
            // What was cut off while it was written has those before.
            Err(_) if !found.frames.is_empty() => break,
            Err(error) => return Err(said(error)),
        };
        if !found.take(&packet.data, packet.orig_len, count) {
            break;
        }
    }
    Ok(found)
}

fn pcapng(bytes: &[u8], count: usize) -> Result<Frames, String> {
    let mut reader = PcapNgReader::new(Cursor::new(bytes)).map_err(said)?;
    let (mut found, mut links) = (Frames::default(), Vec::new());
    while let Some(block) = reader.next_block() {
        let block = match block {
            Ok(block) => block,
            Err(_) if !found.frames.is_empty() => break,
            Err(error) => return Err(said(error)),
        };
        let (interface, data, len) = match block {
            Block::SectionHeader(_) => {
                links.clear();
                continue;
            }
            Block::InterfaceDescription(about) => {
                links.push(about.linktype);
                continue;
            }
            Block::EnhancedPacket(packet) => {
                (packet.interface_id as usize, packet.data, packet.original_len)
            }
            Block::SimplePacket(packet) => (0, packet.data, packet.original_len),
            _ => continue,
        };
        if links.get(interface) != Some(&DataLink::ETHERNET) {
            return Err(NOT_ETHERNET.to_owned());
        }
        if !found.take(&data, len, count) {
            break;
        }
    }
    Ok(found)
}

fn said(error: PcapError) -> String {
    format!("it cannot be read as a capture: {error}")
}

impl Frames {
    /// Takes a frame if there may be one more.
    fn take(&mut self, bytes: &[u8], len: u32, count: usize) -> bool {
        if self.frames.len() >= count {
            self.has_more = true;
            return false;
        }
        let len = len.max(bytes.len() as u32);
        self.frames.push(Given { bytes: bytes.to_vec(), len });
        true
    }
}

/// One frame in hexadecimal, also as tcpdump writes it: an offset in front of each line.
fn dump(bytes: &[u8]) -> Result<Frames, String> {
    let text = std::str::from_utf8(bytes)
        .map_err(|_| "it is no capture (pcap, pcapng) and no hexadecimal digits".to_owned())?;
    let digits = |line: &str| match line.trim().split_once(':') {
        Some((offset, rest)) if offset.starts_with("0x") => rest.to_owned(),
        _ => line.to_owned(),
    };
    let text: Vec<String> = text.lines().map(digits).collect();
    unhex(&text.join(" ")).map(one)
}

#[cfg(test)]
mod tests {
    use super::*;
    use pcap_file::pcap::{PcapHeader, PcapPacket, PcapWriter};
    use pcap_file::pcapng::PcapNgWriter;
    use pcap_file::pcapng::blocks::enhanced_packet::EnhancedPacketBlock;
    use pcap_file::pcapng::blocks::interface_description::InterfaceDescriptionBlock;
    use std::time::Duration;

    fn why(result: Result<Frames, CommandFailure>) -> String {
        match result {
            Err(CommandFailure::Wrong(text)) => text,
            other => panic!("{other:?}"),
        }
    }

    fn written(link: DataLink) -> Vec<u8> {
        let header = PcapHeader { datalink: link, ..PcapHeader::default() };
        let mut writer = PcapWriter::with_header(Vec::new(), header).unwrap();
        for byte in 1..=3 {
            let bytes = [byte; 60];
            let packet = PcapPacket::new(Duration::ZERO, 1500, &bytes);
            writer.write_packet(&packet).unwrap();
        }
        writer.into_writer()
    }

    #[test]
    fn captures_give_their_first_frames() {
        let all = parse(&written(DataLink::ETHERNET), "x", 10).unwrap();
        let bytes: Vec<u8> = all.frames.iter().map(|frame| frame.bytes[0]).collect();
        assert_eq!((bytes, all.frames[0].len, all.has_more), (vec![1, 2, 3], 1500, false));
        let first = parse(&written(DataLink::ETHERNET), "x", 1).unwrap();
        assert_eq!((first.frames.len(), first.has_more), (1, true));
        let text = why(parse(&written(DataLink::LINUX_SLL), "any.pcap", 1));
        assert!(text.contains("any.pcap") && text.contains("tcpdump -i"), "{text}");
        // What ends in the middle of a frame has those before it.
        let whole = written(DataLink::ETHERNET);
        assert_eq!(parse(&whole[..whole.len() - 30], "x", 10).unwrap().frames.len(), 2);
    }

    #[test]
    fn so_does_pcapng() {
        let mut writer = PcapNgWriter::new(Vec::new()).unwrap();
        let linktype = DataLink::ETHERNET;
        let about = InterfaceDescriptionBlock { linktype, snaplen: 0, options: Vec::new() };
        writer.write_pcapng_block(about).unwrap();
        let packet = EnhancedPacketBlock {
            interface_id: 0,
            timestamp: Duration::ZERO,
            original_len: 99,
            data: vec![7; 60].into(),
            options: Vec::new(),
        };
        writer.write_pcapng_block(packet).unwrap();
        let found = parse(&writer.into_inner(), "x", 10).unwrap();
        assert_eq!(found.frames, [Given { bytes: vec![7; 60], len: 99 }]);
    }

    #[test]
    fn digits_are_frames_and_so_are_dumps_of_tcpdump() {
        assert_eq!(read("02:00 ff", 1).unwrap(), one(vec![2, 0, 255]));
        let dump = b"\t0x0000:  0200 ff01 0203\n\t0x0006:  0405\n";
        let bytes = vec![2, 0, 255, 1, 2, 3, 4, 5];
        assert_eq!(parse(dump, "x", 1).unwrap(), one(bytes));
        assert!(why(read("no/such/file", 1)).contains("neither a frame"));
        assert!(why(read("@no/such/file", 1)).contains("cannot read no/such/file"));
        assert!(why(read("00", 0)).contains("--count 0 looks at nothing"));
        assert!(why(parse(&[0xff, 0xfe, 0], "x", 1)).contains("no capture"));
    }
}

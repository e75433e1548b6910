//! What drivers say of themselves, over the ioctl of `<linux/ethtool.h>`. It asks about the network
//! namespace of whoever asks, which `/sys` does not.

use std::collections::BTreeMap;
use std::os::fd::{AsRawFd as _, OwnedFd};

use anyhow::{Context as _, Result};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};

use super::facts::Channels;

const SIOCETHTOOL: libc::Ioctl = 0x8946;
const GDRVINFO: u32 = 0x03;
const GSTRINGS: u32 = 0x1b;
const GSSET_INFO: u32 = 0x37;
const GRXFH: u32 = 0x29;
const GFEATURES: u32 = 0x3a;
const GCHANNELS: u32 = 0x3c;
/// `ETH_SS_FEATURES`.
const FEATURES: u32 = 4;
/// `UDP_V4_FLOW` and `UDP_V6_FLOW`.
const UDP: [u32; 2] = [0x02, 0x06];
/// `RXH_L4_B_0_1`: the source port, where a tunnel's packets differ from one another.
const SOURCE_PORT: u64 = 1 << 6;
/// `ETH_GSTRING_LEN`.
const STRING: usize = 32;
/// No driver has as many; a bound on what is asked for.
const MOST: u32 = 1024;

/// The way to ask.
pub struct Ethtool(OwnedFd);

impl Ethtool {
    /// Opens a socket in this network namespace.
    pub fn open() -> Result<Self> {
        let socket = socket(AddressFamily::Inet, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None);
        Ok(Self(socket.context("cannot open a socket for ethtool")?))
    }

    /// The driver's name.
    pub fn driver(&self, device: &str) -> Option<String> {
        // Command, then the driver's name and what else is in `ethtool_drvinfo` (196 bytes).
        let mut words = vec![0; 49];
        words[0] = GDRVINFO;
        self.ask(device, &mut words)?;
        let bytes: Vec<u8> = words[1..9].iter().flat_map(|word: &u32| word.to_ne_bytes()).collect();
        text(&bytes)
    }

    /// Its features, and whether they are on.
    pub fn features(&self, device: &str) -> BTreeMap<String, bool> {
        self.read_features(device).unwrap_or_default()
    }

    fn read_features(&self, device: &str) -> Option<BTreeMap<String, bool>> {
        // Command, reserved, mask of sets in 64 bits, their sizes.
        let mut info = vec![GSSET_INFO, 0, 1 << FEATURES, 0, 0];
        self.ask(device, &mut info)?;
        let count = info[4].min(MOST) as usize;
        let mut strings = vec![0; 3 + count * STRING / 4];
        strings[..3].copy_from_slice(&[GSTRINGS, FEATURES, count as u32]);
        self.ask(device, &mut strings)?;
        let names: Vec<u8> =
            strings[3..].iter().flat_map(|word: &u32| word.to_ne_bytes()).collect();
        // Of each 32 features: available, requested, active, never changed.
        let blocks = count.div_ceil(32);
        let mut states = vec![0; 2 + blocks * 4];
        states[..2].copy_from_slice(&[GFEATURES, blocks as u32]);
        self.ask(device, &mut states)?;
        let is_on = |at: usize| states[2 + at / 32 * 4 + 2] & 1 << (at % 32) != 0;
        let named = names.chunks(STRING).enumerate();
        Some(named.filter_map(|(at, name)| Some((text(name)?, is_on(at)))).collect())
    }

    /// Its queues.
    pub fn channels(&self, device: &str) -> Option<Channels> {
        let mut words = vec![0; 9];
        words[0] = GCHANNELS;
        self.ask(device, &mut words)?;
        let [_, max_receive, _, _, max_combined, receive, _, _, combined] = words[..] else {
            return None;
        };
        Some(Channels { receive, combined, max_receive, max_combined })
    }

    /// Whether the source port of UDP packets, over IPv4 and over IPv6, counts where they are spread
    /// over queues.
    pub fn spreads_ports(&self, device: &str) -> [Option<bool>; 2] {
        UDP.map(|flow| {
            // Command, kind of packets, and 64 bits of fields: all of `ethtool_rxnfc` that matters.
            let mut words = vec![0; 48];
            words[..2].copy_from_slice(&[GRXFH, flow]);
            self.ask(device, &mut words)?;
            Some(fields(words[2], words[3]) & SOURCE_PORT != 0)
        })
    }

    /// Has the kernel answer in place; `None` where it does not.
    fn ask(&self, device: &str, words: &mut [u32]) -> Option<()> {
        // SAFETY: all zeroes is a valid `ifreq`.
        let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
        let room = request.ifr_name.len() - 1;
        if device.len() > room {
            return None;
        }
        for (to, from) in request.ifr_name.iter_mut().zip(device.bytes()) {
            *to = from.cast_signed();
        }
        request.ifr_ifru.ifru_data = words.as_mut_ptr().cast();
        // SAFETY: the request and the words it points to outlive the call, and the words are as
        // many as the command writes.
        let answered = unsafe { libc::ioctl(self.0.as_raw_fd(), SIOCETHTOOL, &raw mut request) };
        (answered == 0).then_some(())
    }
}

/// 64 bits that stand in two words.
fn fields(first: u32, second: u32) -> u64 {
    let (first, second) = (first.to_ne_bytes(), second.to_ne_bytes());
    let mut bytes = [0; 8];
    bytes[..4].copy_from_slice(&first);
    bytes[4..].copy_from_slice(&second);
    u64::from_ne_bytes(bytes)
}

/// What stands before the first zero.
fn text(bytes: &[u8]) -> Option<String> {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    let text = String::from_utf8_lossy(&bytes[..end]).into_owned();
    (!text.is_empty()).then_some(text)
}

//! Finding out whether a device takes redirected frames.
//!
//! A frame that XDP redirects into a veth whose far end has neither an XDP
//! program nor GRO vanishes without a counter, and nothing on this side says
//! which of the two it is. So one frame is sent, and looked for.

use std::ffi::c_void;
use std::os::fd::AsRawFd as _;

use anyhow::{Context as _, Result};
use aya::programs::{TestRun as _, TestRunAttrs, TestRunOptions, Xdp};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};
use overlay_common::wire::{Mac, Probe, bytes_of};

use crate::netlink::Link;

/// No shorter than the kernel takes for a test run.
const FRAME_LEN: usize = 64;

/// Redirects one frame to the device and says whether its driver took it.
/// `None` where the device does not count such frames.
pub fn takes_redirected(program: &Xdp, link: &Link) -> Result<Option<bool>> {
    let Some(before) = redirected(link)? else { return Ok(None) };
    send(program, link)?;
    let after = redirected(link)?;
    Ok(after.map(|after| after > before))
}

fn send(program: &Xdp, link: &Link) -> Result<()> {
    let mut frame = [0; FRAME_LEN];
    let probe = Probe::new(link.ifindex, Mac(link.mac));
    frame[..size_of::<Probe>()].copy_from_slice(bytes_of(&probe));
    let options = TestRunOptions {
        data_in: Some(&frame),
        attrs: TestRunAttrs::new().xdp_live_frames(1),
        ..TestRunOptions::new()
    };
    program.test_run(options).context("cannot run the probe program")?;
    Ok(())
}

/// How many redirected frames the device has taken: the sum of its transmit
/// queues' `xdp_xmit` statistics. `None` where it has no such statistics.
pub fn redirected(link: &Link) -> Result<Option<u64>> {
    let statistics = Statistics::read(&link.name)?;
    let taken = |name: &str| name.starts_with("tx_") && name.ends_with("xdp_xmit");
    let values: Vec<u64> =
        statistics.0.iter().filter(|(name, _)| taken(name)).map(|(_, value)| *value).collect();
    Ok((!values.is_empty()).then(|| values.iter().sum()))
}

const ETHTOOL_GSTRINGS: u32 = 0x1b;
const ETHTOOL_GSTATS: u32 = 0x1d;
const ETHTOOL_GSSET_INFO: u32 = 0x37;
const ETH_SS_STATS: u32 = 1;
const NAME_LEN: usize = 32;

/// A device's own statistics (`ethtool -S`).
struct Statistics(Vec<(String, u64)>);

impl Statistics {
    fn read(interface: &str) -> Result<Self> {
        let socket = socket(AddressFamily::Inet, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)
            .context("cannot open a socket")?;
        let ask = |words: &mut [u32]| ethtool(&socket, interface, words);

        // struct ethtool_sset_info: cmd, reserved, mask (two words), count.
        let mut info = [ETHTOOL_GSSET_INFO, 0, 1 << ETH_SS_STATS, 0, 0];
        if ask(&mut info).is_err() || info[2] == 0 {
            return Ok(Self(Vec::new()));
        }
        let count = info[4] as usize;

        // struct ethtool_gstrings: cmd, set, length, names of 32 bytes.
        let mut names = vec![0; 3 + count * NAME_LEN / 4];
        names[..3].copy_from_slice(&[ETHTOOL_GSTRINGS, ETH_SS_STATS, count as u32]);
        ask(&mut names)?;

        // struct ethtool_stats: cmd, count, values of two words.
        let mut values = vec![0; 2 + count * 2];
        values[..2].copy_from_slice(&[ETHTOOL_GSTATS, count as u32]);
        ask(&mut values)?;

        let names = names[3..].chunks_exact(NAME_LEN / 4).map(|words| {
            let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
            let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(NAME_LEN);
            String::from_utf8_lossy(&bytes[..end]).into_owned()
        });
        let values = values[2..].chunks_exact(2).map(|words| {
            let [a, b, c, d] = words[0].to_ne_bytes();
            let [e, f, g, h] = words[1].to_ne_bytes();
            u64::from_ne_bytes([a, b, c, d, e, f, g, h])
        });
        Ok(Self(names.zip(values).collect()))
    }
}

fn ethtool(socket: &impl std::os::fd::AsFd, interface: &str, words: &mut [u32]) -> Result<()> {
    // SAFETY: `ifreq` is a plain C struct for which all zeroes are valid.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(interface.bytes().take(libc::IFNAMSIZ - 1)) {
        *to = from.cast_signed();
    }
    request.ifr_ifru.ifru_data = words.as_mut_ptr().cast::<libc::c_char>();
    let fd = socket.as_fd().as_raw_fd();
    let argument = (&raw mut request).cast::<c_void>();
    // SAFETY: the request names a buffer that is as long as the counts in it
    // say, and both outlive the call.
    let result = unsafe { libc::ioctl(fd, libc::SIOCETHTOOL, argument) };
    nix::errno::Errno::result(result)
        .map(drop)
        .with_context(|| format!("cannot read the statistics of {interface}"))
}

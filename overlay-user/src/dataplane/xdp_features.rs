//! What drivers say of their XDP, over generic netlink's family `netdev` (Linux 6.3,
//! commit d3d854fd6a1d).

use std::io;
use std::os::fd::AsRawFd as _;

use anyhow::{Context as _, Result};
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, send, socket,
};

/// The family of generic netlink that is always there, and its command that finds others.
const CONTROL: u16 = 0x10;
const CTRL_CMD_GETFAMILY: u8 = 3;
const CTRL_ATTR_FAMILY_ID: u16 = 1;
const CTRL_ATTR_FAMILY_NAME: u16 = 2;

/// Of `<linux/netdev.h>`.
const NETDEV_CMD_DEV_GET: u8 = 1;
const NETDEV_A_DEV_IFINDEX: u16 = 1;
const NETDEV_A_DEV_XDP_FEATURES: u16 = 3;
const NETDEV_XDP_ACT_NDO_XMIT_SG: u64 = 1 << 6;

const NLM_F_REQUEST: u16 = 1;
const NLMSG_ERROR: u16 = 2;
/// A message's header, and generic netlink's behind it.
const HEADER: usize = 16;
const GENERIC: usize = 4;
const ALIGNMENT: usize = 4;

/// Whether this kernel's drivers say anything.
///
/// # Errors
///
/// It could not be asked.
pub fn are_told() -> Result<bool> {
    Ok(family()?.is_some())
}

/// Whether a device takes redirected frames of several buffers, as far as it says.
///
/// # Errors
///
/// It could not be asked.
pub fn takes_several_buffers(ifindex: u32) -> Result<bool> {
    Ok(told(ifindex)?.is_some_and(|features| features & NETDEV_XDP_ACT_NDO_XMIT_SG != 0))
}

/// What a driver says of XDP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Support {
    /// Programs run in it.
    pub basic: bool,
    /// They may redirect frames.
    pub redirect: bool,
    /// It takes redirected frames.
    pub transmit: bool,
}

/// What a device's driver says; `None` where this kernel's drivers say nothing.
///
/// # Errors
///
/// It could not be asked.
pub fn device_xdp(ifindex: u32) -> Result<Option<Support>> {
    let has = |features: u64, bit: u32| features & 1 << bit != 0;
    let support = |features| Support {
        basic: has(features, 0),
        redirect: has(features, 1),
        transmit: has(features, 2),
    };
    Ok(told(ifindex)?.map(support))
}

fn told(ifindex: u32) -> Result<Option<u64>> {
    let Some(family) = family()? else { return Ok(None) };
    let wanted = (NETDEV_A_DEV_IFINDEX, &ifindex.to_ne_bytes()[..]);
    let answer = ask(family, NETDEV_CMD_DEV_GET, wanted).context("cannot ask a driver for XDP")?;
    let features = attribute(&answer, NETDEV_A_DEV_XDP_FEATURES).and_then(|value| {
        let bytes: [u8; 8] = value.try_into().ok()?;
        Some(u64::from_ne_bytes(bytes))
    });
    features.context("a driver says nothing of XDP").map(Some)
}

/// The number of the family; `None` where the kernel has none.
fn family() -> Result<Option<u16>> {
    let answer = match ask(CONTROL, CTRL_CMD_GETFAMILY, (CTRL_ATTR_FAMILY_NAME, b"netdev\0")) {
        Err(error) if error.raw_os_error() == Some(libc::ENOENT) => return Ok(None),
        answer => answer.context("cannot look for generic netlink's netdev")?,
    };
    let id = attribute(&answer, CTRL_ATTR_FAMILY_ID).and_then(|value| value.try_into().ok());
    Ok(Some(u16::from_ne_bytes(id.context("netdev has no number")?)))
}

/// Sends a command with one attribute, and returns the attributes of the answer.
fn ask(family: u16, command: u8, (kind, value): (u16, &[u8])) -> io::Result<Vec<u8>> {
    let mut request = vec![0; HEADER + GENERIC];
    request[4..6].copy_from_slice(&family.to_ne_bytes());
    request[6..8].copy_from_slice(&NLM_F_REQUEST.to_ne_bytes());
    request[HEADER] = command;
    request[HEADER + 1] = 1;
    request.extend(((ALIGNMENT + value.len()) as u16).to_ne_bytes());
    request.extend(kind.to_ne_bytes());
    request.extend(value);
    request.resize(request.len().next_multiple_of(ALIGNMENT), 0);
    let len = request.len() as u32;
    request[..4].copy_from_slice(&len.to_ne_bytes());

    let (family, flags) = (AddressFamily::Netlink, SockFlag::SOCK_CLOEXEC);
    let socket = socket(family, SockType::Raw, flags, SockProtocol::NetlinkGeneric)?;
    send(socket.as_raw_fd(), &request, MsgFlags::empty())?;
    // The kernel answers before it returns from that.
    let mut answer = vec![0; 8192];
    let len = recv(socket.as_raw_fd(), &mut answer, MsgFlags::MSG_DONTWAIT)?;
    answer.truncate(len);
    attributes(&answer).ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))?
}

/// What follows the headers of an answer, or the error that it is; `None` where it ends
/// early.
fn attributes(answer: &[u8]) -> Option<io::Result<Vec<u8>>> {
    let kind = u16::from_ne_bytes(answer.get(4..6)?.try_into().ok()?);
    if kind == NLMSG_ERROR {
        let code = i32::from_ne_bytes(answer.get(HEADER..HEADER + 4)?.try_into().ok()?);
        return Some(Err(io::Error::from_raw_os_error(-code)));
    }
    Some(Ok(answer.get(HEADER + GENERIC..)?.to_vec()))
}

/// The value of an attribute.
fn attribute(mut attributes: &[u8], wanted: u16) -> Option<&[u8]> {
    loop {
        let len = usize::from(u16::from_ne_bytes(attributes.get(..2)?.try_into().ok()?));
        let kind = u16::from_ne_bytes(attributes.get(2..4)?.try_into().ok()?);
        let value = attributes.get(ALIGNMENT..len)?;
        if kind == wanted {
            return Some(value);
        }
        attributes = attributes.get(len.next_multiple_of(ALIGNMENT)..)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWER: [u8; 24] =
        [5, 0, 1, 0, 9, 0, 0, 0, 4, 0, 2, 0, 12, 0, 3, 0, 1, 2, 3, 4, 5, 6, 7, 8];

    #[test]
    fn attributes_are_found_behind_padding_and_beside_empty_ones() {
        if cfg!(target_endian = "big") {
            return;
        }
        assert_eq!(attribute(&ANSWER, 1), Some(&[9][..]));
        assert_eq!(attribute(&ANSWER, 2), Some(&[][..]));
        assert_eq!(attribute(&ANSWER, 3), Some(&[1, 2, 3, 4, 5, 6, 7, 8][..]));
        assert_eq!(attribute(&ANSWER, 4), None);
        for end in 0..ANSWER.len() {
            assert_eq!(attribute(&ANSWER[..end], 3), None, "cut at {end}");
        }
        assert_eq!(attribute(&[0; 8], 1), None, "an attribute shorter than its header");
    }

    #[test]
    fn the_loopback_device_redirects_nothing() {
        match are_told() {
            Ok(true) => assert!(!takes_several_buffers(1).expect("an answer")),
            told => println!("SKIPPED the_loopback_device_redirects_nothing: {told:?}"),
        }
        assert!(ask(CONTROL, CTRL_CMD_GETFAMILY, (CTRL_ATTR_FAMILY_NAME, b"none\0")).is_err());
    }
}

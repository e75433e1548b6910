//! Trying a feature.

use std::io;

use anyhow::{Result, bail};
use aya::maps::MapType;
use aya::programs::ProgramType;
use aya::sys::{BpfHelper, is_helper_supported, is_map_supported};

use super::{About, Feature};
use crate::dataplane::sys::{self, Command, Kind, TestRun, bpf, bpf_fd, instruction};
use crate::dataplane::{buffers, xdp_features};

/// Whether a feature is there. What could not be tried for a reason of its own, such as a
/// filter of system calls, counts as missing where something else will do.
pub fn about(about: &About) -> Result<bool> {
    match probe(about.feature) {
        Err(error) => {
            let said = dispensed_with(about, error)?;
            tracing::warn!("{said}");
            Ok(false)
        }
        found => found,
    }
}

/// What is done where a feature could not be tried, if it can be done without.
fn dispensed_with(about: &About, error: anyhow::Error) -> Result<String> {
    let error = error.context(format!("cannot find out whether this kernel has {}", about.name));
    match about.without {
        Some(instead) => Ok(format!("{error:#}; doing without: {instead}")),
        None => Err(error),
    }
}

fn probe(feature: Feature) -> Result<bool> {
    let helper = |helper| Ok(is_helper_supported(ProgramType::SchedClassifier, helper)?);
    match feature {
        Feature::XdpSockets => Ok(is_map_supported(MapType::XskMap)?),
        Feature::DevmapHash => Ok(is_map_supported(MapType::DevMapHash)?),
        Feature::RingBuffer => Ok(is_map_supported(MapType::RingBuf)?),
        Feature::MmapableArray => mmapable(),
        Feature::RedirectPeer => helper(BpfHelper::BPF_FUNC_redirect_peer),
        // A guess, by something of the same release: nothing else tells (as in libbpf).
        Feature::MemcgAccounting => helper(BpfHelper::BPF_FUNC_ktime_get_coarse_ns),
        // A guess too: nothing less than attaching to a device would show it.
        Feature::GenericRedirect => helper(BpfHelper::BPF_FUNC_timer_init),
        Feature::Loop => helper(BpfHelper::BPF_FUNC_loop),
        Feature::EncapL2Eth => adjust_room(50, ENCAP_L2_ETH),
        Feature::DecapL3 => adjust_room(-50, DECAP_L3_IPV6),
        Feature::LiveFrames => live_frames(),
        Feature::XdpFrags => accepted(sys::load(Kind::Xdp, &DROP, BPF_F_XDP_HAS_FRAGS)),
        Feature::ContextCast => context_cast(),
        Feature::XdpFeatures => xdp_features::are_told(),
        Feature::Tcx => tcx(),
    }
}

/// Lets this process lock as much memory as it may. Kernels that do not count BPF so do
/// not mind, and where it is not enough, making a table fails and says so.
pub fn raise_locked_memory() {
    let infinite = libc::rlimit { rlim_cur: libc::RLIM_INFINITY, rlim_max: libc::RLIM_INFINITY };
    if set_locked_memory(infinite) {
        return;
    }
    let mut limit = infinite;
    // SAFETY: the structure outlives the call.
    if unsafe { libc::getrlimit(libc::RLIMIT_MEMLOCK, &raw mut limit) } == 0 {
        limit.rlim_cur = limit.rlim_max;
        set_locked_memory(limit);
    }
}

fn set_locked_memory(limit: libc::rlimit) -> bool {
    // SAFETY: the structure outlives the call.
    unsafe { libc::setrlimit(libc::RLIMIT_MEMLOCK, &raw const limit) == 0 }
}

/// `r0 = XDP_DROP; exit`.
const DROP: [u64; 2] = [instruction(MOV_IMM, 0, XDP_DROP), instruction(EXIT, 0, 0)];

const XDP_DROP: i32 = 1;
const MOV_IMM: u8 = 0xb7;
const LOAD_IMM: u8 = 0x18;
const CALL: u8 = 0x85;
const EXIT: u8 = 0x95;

const BPF_F_XDP_HAS_FRAGS: u32 = 1 << 5;
const BPF_F_TEST_XDP_LIVE_FRAMES: u32 = 1 << 1;
const SKB_ADJUST_ROOM: i32 = 50;
const ROOM_MAC: i32 = 1;
/// `BPF_F_ADJ_ROOM_…` of `<linux/bpf.h>`: fixed GSO, encapsulation in IPv4 and UDP, an
/// inner header of 14 bytes that is Ethernet.
const ENCAP_L2_ETH: u64 = 1 | 1 << 1 | 1 << 4 | 1 << 6 | 14 << 56;
/// Fixed GSO, IPv6 comes out.
const DECAP_L3_IPV6: u64 = 1 | 1 << 8;

/// Whether `bpf_skb_adjust_room` takes these flags for an IPv4 packet.
fn adjust_room(delta: i32, flags: u64) -> Result<bool> {
    let program = [
        instruction(MOV_IMM, 2, delta),
        instruction(MOV_IMM, 3, ROOM_MAC),
        instruction(LOAD_IMM, 4, flags as i32),
        instruction(0, 0, (flags >> 32) as i32),
        instruction(CALL, 0, SKB_ADJUST_ROOM),
        instruction(EXIT, 0, 0),
    ];
    let program = sys::load(Kind::Tc, &program, 0)?;
    match sys::test_run(&program, &ipv4_frame(), TestRun::default())?.cast_signed() {
        0 => Ok(true),
        code if code == -libc::EINVAL => Ok(false),
        code => bail!("bpf_skb_adjust_room: {}", io::Error::from_raw_os_error(-code)),
    }
}

fn ipv4_frame() -> [u8; 160] {
    let mut frame = [0; 160];
    frame[12] = 0x08;
    frame[14] = 0x45;
    frame[16..18].copy_from_slice(&146_u16.to_be_bytes());
    frame
}

/// The size of a batch makes kernels refuse what they do not know: before there were live
/// frames, flags were not looked at where an XDP program is run.
fn live_frames() -> Result<bool> {
    let program = sys::load(Kind::Xdp, &DROP, 0)?;
    let live = TestRun { flags: BPF_F_TEST_XDP_LIVE_FRAMES, batch_size: 1 };
    accepted(sys::test_run(&program, &ipv4_frame(), live))
}

/// Whether the look at a frame's buffers tells one from several: test runs begin another where a
/// page ends.
fn context_cast() -> Result<bool> {
    const AND_IMM: u8 = 0x57;
    const ADD_IMM: u8 = 0x07;
    let Some([cast, load]) = buffers::look()? else { return Ok(false) };
    let (bit, action) = (instruction(AND_IMM, 0, 1), instruction(ADD_IMM, 0, XDP_DROP));
    let program = [cast, load, bit, action, instruction(EXIT, 0, 0)];
    let program = match sys::load(Kind::Xdp, &program, BPF_F_XDP_HAS_FRAGS) {
        Ok(program) => program,
        // A verifier that has no such function, or does not let it be called.
        Err(error) if matches!(error.raw_os_error(), Some(libc::EINVAL | libc::EACCES)) => {
            return Ok(false);
        }
        Err(error) => return Err(error.into()),
    };
    // SAFETY: it only asks, and every kernel answers.
    let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    let several = page.unsigned_abs() as usize * 2;
    let told = |len: usize| {
        let mut frame = vec![0; len];
        frame[..ipv4_frame().len()].copy_from_slice(&ipv4_frame());
        sys::test_run(&program, &frame, TestRun::default())
    };
    Ok(told(160)? == XDP_DROP as u32 && told(several)? == XDP_DROP as u32 + 1)
}

/// Asks how many programs the loopback device has, which is there in every network
/// namespace, up or not, under the index 1.
fn tcx() -> Result<bool> {
    #[repr(C)]
    #[derive(Default)]
    struct Attr {
        target_ifindex: u32,
        attach_type: u32,
        query_flags: u32,
        attach_flags: u32,
        prog_ids: u64,
        count: u32,
    }
    const LOOPBACK: u32 = 1;
    const BPF_TCX_INGRESS: u32 = 46;
    let mut attr =
        Attr { target_ifindex: LOOPBACK, attach_type: BPF_TCX_INGRESS, ..Attr::default() };
    // SAFETY: the layout is the kernel's, and nothing is pointed to.
    match unsafe { bpf(Command::ProgQuery, &mut attr) } {
        // The first kernels with tcx said so where there were none, and the number where
        // there was no room for them.
        Err(error) if matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ENOSPC)) => Ok(true),
        result => accepted(result),
    }
}

fn mmapable() -> Result<bool> {
    #[repr(C)]
    struct Attr {
        map_type: u32,
        key_size: u32,
        value_size: u32,
        max_entries: u32,
        map_flags: u32,
    }
    const ARRAY: u32 = 2;
    const BPF_F_MMAPABLE: u32 = 1 << 10;
    let mut attr = Attr {
        map_type: ARRAY,
        key_size: 4,
        value_size: 8,
        max_entries: 1,
        map_flags: BPF_F_MMAPABLE,
    };
    // SAFETY: the layout is the kernel's, and nothing is pointed to.
    accepted(unsafe { bpf_fd(Command::MapCreate, &mut attr) })
}

/// `EINVAL` is how kernels answer to what they do not know.
fn accepted<T>(result: io::Result<T>) -> Result<bool> {
    match result {
        Ok(_) => Ok(true),
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::ALL;
    use super::*;

    #[test]
    fn what_could_not_be_tried_is_done_without_where_it_can_be() {
        let said = |feature| {
            let about = ALL.iter().find(|about| about.feature == feature).unwrap();
            let error = io::Error::from_raw_os_error(libc::EPERM).into();
            dispensed_with(about, error).map_err(|error| format!("{error:#}"))
        };
        assert_eq!(
            said(Feature::EncapL2Eth),
            Ok("cannot find out whether this kernel has encap-l2-eth: Operation not permitted \
                (os error 1); doing without: the kernel segments them, at a cost in CPU"
                .to_owned())
        );
        assert_eq!(
            said(Feature::DevmapHash),
            Err("cannot find out whether this kernel has devmap-hash: Operation not permitted \
                 (os error 1)"
                .to_owned())
        );
    }
}

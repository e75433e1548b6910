//! Which programs are attached to a device, whatever the age of bpftool.

use std::io;

use anyhow::{Context, Result};
use nix::libc;
use overlay_testbed::Netns;

const BPF_PROG_QUERY: libc::c_int = 16;
const BPF_TCX_INGRESS: u32 = 46;
const BPF_TCX_EGRESS: u32 = 47;

/// Programs on XDP, on tcx, and on a clsact qdisc of a device, by their numbers: one line each.
pub fn attached(netns: &Netns, interface: &str) -> Result<Vec<String>> {
    let mut found = Vec::new();
    let link = netns.exec(&format!("ip -d -o link show dev {interface}"))?;
    // `prog/xdp id 12`
    let words: Vec<_> = link.split_whitespace().collect();
    let programs = words.windows(3).filter(|words| words[0].starts_with("prog/xdp"));
    found.extend(programs.map(|words| words.join(" ")));
    let index = netns.ifindex(interface)?;
    for (direction, kind) in [("ingress", BPF_TCX_INGRESS), ("egress", BPF_TCX_EGRESS)] {
        let programs = netns
            .enter(|| tcx(index, kind))?
            .with_context(|| format!("asking for tcx programs of {interface}"))?;
        found.extend(programs.iter().map(|id| format!("tcx {direction} {id}")));
        let filters = netns.exec(&format!("tc filter show dev {interface} {direction}"))?;
        let programs = filters.lines().filter(|line| line.contains(" bpf ") && line.contains("id"));
        found.extend(programs.map(str::to_owned));
    }
    Ok(found)
}

/// The programs on a tcx hook; none where the kernel has no tcx.
fn tcx(index: u32, kind: u32) -> io::Result<Vec<u32>> {
    // The members of `union bpf_attr` for a query, up to the end of `revision`.
    #[repr(C)]
    #[derive(Default)]
    struct Query {
        target_ifindex: u32,
        attach_type: u32,
        query_flags: u32,
        attach_flags: u32,
        prog_ids: u64,
        count: u32,
        reserved: u32,
        prog_attach_flags: u64,
        link_ids: u64,
        link_attach_flags: u64,
        revision: u64,
    }
    let mut programs = [0_u32; 64];
    let mut query = Query {
        target_ifindex: index,
        attach_type: kind,
        prog_ids: programs.as_mut_ptr() as u64,
        count: programs.len() as u32,
        ..Query::default()
    };
    // SAFETY: the attribute is initialised, its size is given, and the array that
    // it points to is as long as it says; both outlive the call.
    let result =
        unsafe { libc::syscall(libc::SYS_bpf, BPF_PROG_QUERY, &raw mut query, size_of::<Query>()) };
    if result < 0 {
        let error = io::Error::last_os_error();
        let no_tcx = error.raw_os_error() == Some(libc::EINVAL);
        return if no_tcx { Ok(Vec::new()) } else { Err(error) };
    }
    Ok(programs[..query.count as usize].to_vec())
}

//! The capabilities that stay.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use anyhow::{Context as _, Result};
use caps::{CapSet, Capability, CapsHashSet};
use nix::errno::Errno;
use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit};
use nix::unistd::{AccessFlags, eaccess, getegid, geteuid};

use super::landlock;

/// What a running gateway needs: tables and programs (`CAP_BPF`, and `CAP_PERFMON` for
/// perf buffers and for programs that the verifier need not slow down), links, qdiscs and
/// routes (`CAP_NET_ADMIN`), packet and AF_XDP sockets (`CAP_NET_RAW`).
///
/// `CAP_BPF` and `CAP_PERFMON` are of Linux 5.8, older than any kernel that is supported.
/// What beside wants `CAP_SYS_ADMIN` (getting at programs and BTF by their numbers) is done
/// by [`super::start`].
const NEEDED: &[Capability] = &[
    Capability::CAP_BPF,
    Capability::CAP_NET_ADMIN,
    Capability::CAP_NET_RAW,
    Capability::CAP_PERFMON,
];

/// What makes root read and write files of others.
const OF_FILES: &[Capability] = &[Capability::CAP_DAC_OVERRIDE, Capability::CAP_DAC_READ_SEARCH];

/// What makes files, and changes them, in the name of others.
const OF_OWNERS: &[Capability] = &[Capability::CAP_CHOWN, Capability::CAP_FOWNER];

/// Drops the others from every set of this thread, and returns what is left, in words.
pub fn drop_most(config: &Path) -> Result<String> {
    let had = caps::read(None, CapSet::Permitted).context("cannot read them")?;
    let mut kept: CapsHashSet = NEEDED.iter().copied().filter(|cap| had.contains(cap)).collect();
    for capability in OF_FILES {
        let _ = caps::drop(None, CapSet::Effective, *capability);
    }
    // A configuration that belongs to somebody else than root.
    if had.contains(&Capability::CAP_DAC_OVERRIDE) && !is_ours(config) {
        kept.insert(Capability::CAP_DAC_OVERRIDE);
    }
    // What is written in its place is to have the same owner.
    if !has_our_owner(config) {
        kept.extend(OF_OWNERS.iter().filter(|capability| had.contains(capability)));
    }
    // Memory that AF_XDP shares is locked, and counts, unless this is kept.
    if had.contains(&Capability::CAP_IPC_LOCK) && !locks_any_memory() {
        kept.insert(Capability::CAP_IPC_LOCK);
    }
    // Debian's kernels have a level of kernel.perf_event_paranoid at which perf buffers, which
    // programs hand frames over by, are for those with this alone (it is their default).
    if had.contains(&Capability::CAP_SYS_ADMIN) && paranoia() > 2 {
        kept.insert(Capability::CAP_SYS_ADMIN);
    }
    // This takes CAP_SETPCAP, which goes next. Without it they stay in this set, from which
    // nobody without new privileges gets them back.
    for capability in caps::read(None, CapSet::Bounding).context("cannot read them")? {
        if !kept.contains(&capability) {
            let _ = caps::drop(None, CapSet::Bounding, capability);
        }
    }
    let none = CapsHashSet::new();
    // Effective first, which has to be a part of the permitted: and what is added for
    // files is permitted still.
    let sets =
        [(CapSet::Effective, &kept), (CapSet::Permitted, &kept), (CapSet::Inheritable, &none)];
    for (set, value) in sets {
        caps::set(None, set, value).with_context(|| format!("cannot set the {set:?} ones"))?;
    }
    let mut names: Vec<String> = kept.iter().map(ToString::to_string).collect();
    names.sort();
    Ok(if names.is_empty() { "none".to_owned() } else { names.join(" ") })
}

/// How far the kernel lets others use perf events; 2 where it does not say.
fn paranoia() -> i32 {
    let text = std::fs::read_to_string("/proc/sys/kernel/perf_event_paranoid");
    text.ok().and_then(|text| text.trim().parse().ok()).unwrap_or(2)
}

/// Whether this process may lock as much memory as it likes.
fn locks_any_memory() -> bool {
    getrlimit(Resource::RLIMIT_MEMLOCK).is_ok_and(|(soft, _)| soft == RLIM_INFINITY)
}

/// Whether a file that this user makes has the owner and the group that the file has.
fn has_our_owner(config: &Path) -> bool {
    let owner = std::fs::metadata(config).map(|about| (about.uid(), about.gid()));
    owner.is_ok_and(|owner| owner == (geteuid().as_raw(), getegid().as_raw()))
}

/// Whether this user may read the file and those that it names, and write beside it, by mode
/// and owner alone.
fn is_ours(config: &Path) -> bool {
    let refused = |path: &Path, mode| matches!(eaccess(path, mode), Err(Errno::EACCES));
    let folder = landlock::folder(config);
    !refused(config, AccessFlags::R_OK)
        && !landlock::named(config).iter().any(|file| refused(file, AccessFlags::R_OK))
        && !refused(&folder, AccessFlags::W_OK | AccessFlags::X_OK)
}

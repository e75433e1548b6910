//! Which system calls are looked at: those that may change what outlives a process.

use std::collections::BTreeMap;
use std::io;

use anyhow::{Context as _, Result};
use nix::libc;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch,
};

use super::operation::BPF_COMMANDS;

/// Whatever their arguments; what they are about is looked at when they are made.
const CALLS: &[i64] = &[
    // To routing sockets.
    libc::SYS_sendto,
    libc::SYS_sendmsg,
    // Files and folders.
    libc::SYS_mkdirat,
    libc::SYS_unlinkat,
    libc::SYS_renameat,
    libc::SYS_renameat2,
    libc::SYS_linkat,
    libc::SYS_symlinkat,
    libc::SYS_openat,
    libc::SYS_write,
    libc::SYS_pwrite64,
    libc::SYS_ftruncate,
    libc::SYS_fchmod,
    libc::SYS_fchmodat,
    // A socket's name is a file.
    libc::SYS_bind,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_mkdir,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_rmdir,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_unlink,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_rename,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_link,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_symlink,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_open,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_chmod,
];

pub fn compile() -> Result<BpfProgram> {
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> =
        CALLS.iter().map(|call| (*call, Vec::new())).collect();
    let command = |command: u64| -> Result<_> {
        let compare = (SeccompCmpArgLen::Dword, SeccompCmpOp::Eq);
        let is = SeccompCondition::new(0, compare.0, compare.1, command)?;
        Ok(SeccompRule::new(vec![is])?)
    };
    let commands = BPF_COMMANDS.iter().map(|(number, _)| command(*number));
    rules.insert(libc::SYS_bpf, commands.collect::<Result<_>>()?);
    let architecture = TargetArch::try_from(std::env::consts::ARCH).context("this processor")?;
    let (others, these) = (SeccompAction::Allow, SeccompAction::Trace(0));
    Ok(SeccompFilter::new(rules, others, these, architecture)?.try_into()?)
}

/// For this process and whatever it becomes.
pub fn install(filter: &BpfProgram) -> io::Result<()> {
    seccompiler::apply_filter(filter).map_err(|_| io::Error::last_os_error())
}

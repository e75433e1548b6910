//! Which system calls there are.
//!
//! What somebody would call next who had taken the daemon over is refused; the rest is
//! allowed. The reverse, a list of what is allowed, is shorter by nothing that matters here,
//! and breaks with the next version of the C library; packages add that list where it can be
//! mended without a new binary, in systemd's unit. A call that is refused fails with EPERM
//! and is logged by the kernel, and the gateway goes on forwarding: killing it would make of
//! every mistake in this list an outage.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch,
};

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

/// Never needed, whatever the arguments.
const REFUSED: &[i64] = &[
    // Other programs, and other processes.
    libc::SYS_execve,
    libc::SYS_execveat,
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_process_madvise,
    libc::SYS_pidfd_getfd,
    libc::SYS_kcmp,
    // Other views of the system.
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_chroot,
    libc::SYS_pivot_root,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_open_tree,
    libc::SYS_move_mount,
    libc::SYS_mount_setattr,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_name_to_handle_at,
    libc::SYS_open_by_handle_at,
    // The kernel and the machine.
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_kexec_load,
    libc::SYS_reboot,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_acct,
    libc::SYS_quotactl,
    libc::SYS_syslog,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_clock_adjtime,
    libc::SYS_adjtimex,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    // Much code in the kernel for nothing that a gateway does.
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_userfaultfd,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_keyctl,
    libc::SYS_personality,
    libc::SYS_vhangup,
    libc::SYS_nfsservctl,
    libc::SYS_lookup_dcookie,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_iopl,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_ioperm,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_modify_ldt,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_kexec_file_load,
    // Have no program to run, and would make one.
    #[cfg(target_arch = "x86_64")]
    libc::SYS_fork,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_vfork,
];

/// The families of sockets that a gateway opens.
const FAMILIES: &[i32] = &[
    libc::AF_UNIX,
    libc::AF_INET,
    libc::AF_INET6,
    libc::AF_NETLINK,
    libc::AF_PACKET,
    libc::AF_XDP,
];

/// Threads are made with the first; processes, and namespaces for them, without.
const CLONE_NAMESPACES: &[i32] = &[
    libc::CLONE_NEWNS,
    libc::CLONE_NEWCGROUP,
    libc::CLONE_NEWUTS,
    libc::CLONE_NEWIPC,
    libc::CLONE_NEWUSER,
    libc::CLONE_NEWPID,
    libc::CLONE_NEWNET,
];

/// Refuses them for this thread, and for those that it will make.
pub fn install() -> Result<String> {
    apply(&compile(refused()?, libc::EPERM)?)?;
    // Its arguments are in memory, out of a filter's reach; who gets this answer calls clone.
    apply(&compile(BTreeMap::from([(libc::SYS_clone3, Vec::new())]), libc::ENOSYS)?)?;
    #[cfg(target_arch = "x86_64")]
    apply(&without_x32())?;
    Ok(format!("{} system calls refused, and others by their arguments", REFUSED.len()))
}

fn refused() -> Result<Rules> {
    let mut rules: Rules = REFUSED.iter().map(|call| (*call, Vec::new())).collect();
    let not = |family: &i32| condition(0, SeccompCmpOp::Ne, *family);
    let strange = FAMILIES.iter().map(not).collect::<Result<_>>()?;
    rules.insert(libc::SYS_socket, vec![SeccompRule::new(strange)?]);
    // Code comes from the binary alone.
    for call in [libc::SYS_mmap, libc::SYS_mprotect, libc::SYS_pkey_mprotect] {
        rules.insert(call, vec![with_flag(2, libc::PROT_EXEC)?]);
    }
    // A process of its own shares no memory, or has other namespaces.
    let mut clones = vec![SeccompRule::new(vec![condition(
        0,
        SeccompCmpOp::MaskedEq(libc::CLONE_THREAD as u64),
        0,
    )?])?];
    for flag in CLONE_NAMESPACES {
        clones.push(with_flag(0, *flag)?);
    }
    rules.insert(libc::SYS_clone, clones);
    // Characters into the terminal that it was started from.
    let injects = condition(1, SeccompCmpOp::Eq, libc::TIOCSTI as i32)?;
    rules.insert(libc::SYS_ioctl, vec![SeccompRule::new(vec![injects])?]);
    Ok(rules)
}

fn condition(argument: u8, compare: SeccompCmpOp, value: i32) -> Result<SeccompCondition> {
    let value = u64::from(value.cast_unsigned());
    Ok(SeccompCondition::new(argument, SeccompCmpArgLen::Dword, compare, value)?)
}

fn with_flag(argument: u8, flag: i32) -> Result<SeccompRule> {
    let mask = u64::from(flag.cast_unsigned());
    Ok(SeccompRule::new(vec![condition(argument, SeccompCmpOp::MaskedEq(mask), flag)?])?)
}

fn compile(rules: Rules, errno: i32) -> Result<BpfProgram> {
    let architecture = TargetArch::try_from(std::env::consts::ARCH)
        .context("no filter is known for this processor")?;
    let refuse = SeccompAction::Errno(errno.cast_unsigned());
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, refuse, architecture)?;
    Ok(filter.try_into()?)
}

/// The same calls have other numbers for x32 programs, which no list above names.
#[cfg(target_arch = "x86_64")]
fn without_x32() -> BpfProgram {
    const LOAD: u16 = 0x20;
    const JUMP_GREATER_EQUAL: u16 = 0x35;
    const RETURN: u16 = 0x06;
    const X32: u32 = 0x4000_0000;
    const REFUSE: u32 = libc::SECCOMP_RET_ERRNO | libc::EPERM as u32;
    let instruction = |code, jt, jf, k| seccompiler::sock_filter { code, jt, jf, k };
    vec![
        instruction(LOAD, 0, 0, 0),
        instruction(JUMP_GREATER_EQUAL, 0, 1, X32),
        instruction(RETURN, 0, 0, REFUSE),
        instruction(RETURN, 0, 0, libc::SECCOMP_RET_ALLOW),
    ]
}

/// seccompiler applies filters as well, but has no way to ask for a log.
fn apply(program: &BpfProgram) -> Result<()> {
    #[repr(C)]
    struct Program {
        length: u16,
        instructions: *const seccompiler::sock_filter,
    }
    ensure!(!program.is_empty(), "an empty filter");
    let length = u16::try_from(program.len()).context("a filter that is too long")?;
    let program = Program { length, instructions: program.as_ptr() };
    // SAFETY: the layout is that of `struct sock_fprog`; the instructions outlive the call,
    // and there are as many as it says.
    let result = unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER,
            libc::SECCOMP_FILTER_FLAG_LOG,
            &raw const program,
        )
    };
    ensure!(result == 0, "seccomp: {}", std::io::Error::last_os_error());
    Ok(())
}

//! The bpf system call, for what aya does not offer.

use std::io;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};

use crate::privileges::start;

/// Commands of the system call (`enum bpf_cmd` of `<linux/bpf.h>`).
#[derive(Clone, Copy, Debug)]
#[repr(i64)]
pub enum Command {
    /// `BPF_MAP_CREATE`.
    MapCreate = 0,
    /// `BPF_PROG_LOAD`.
    ProgLoad = 5,
    /// `BPF_OBJ_PIN`.
    ObjPin = 6,
    /// `BPF_OBJ_GET`.
    ObjGet = 7,
    /// `BPF_PROG_TEST_RUN`.
    ProgTestRun = 10,
    /// `BPF_PROG_QUERY`.
    ProgQuery = 16,
    /// `BPF_BTF_GET_FD_BY_ID` (Linux 4.18).
    BtfGetFdById = 19,
    /// `BPF_LINK_DETACH` (Linux 5.9).
    LinkDetach = 34,
}

/// Makes the call with the command's part of `union bpf_attr`.
///
/// # Errors
///
/// The kernel's.
///
/// # Safety
///
/// `A` is `repr(C)`, laid out as the command's part of the union; what it points to
/// outlives the call and is as long as it says.
pub unsafe fn bpf<A>(command: Command, attr: &mut A) -> io::Result<i32> {
    let attr = std::ptr::from_mut(attr);
    let mut tries = 0;
    loop {
        // SAFETY: the attribute is as the caller promises, as long as is said.
        let result = unsafe { libc::syscall(libc::SYS_bpf, command as i64, attr, size_of::<A>()) };
        if result >= 0 {
            return Ok(result as i32);
        }
        let error = io::Error::last_os_error();
        tries += 1;
        // A signal came while the verifier, or a program, was at work.
        let is_interrupted = matches!(error.raw_os_error(), Some(libc::EINTR | libc::EAGAIN));
        if !is_interrupted || tries == TRIES {
            return Err(error);
        }
    }
}

/// A call that signals interrupt is made so often.
const TRIES: u32 = 5;

/// The same, for commands that make a descriptor.
///
/// # Errors
///
/// The kernel's.
///
/// # Safety
///
/// As for [`bpf`], and the command makes a descriptor.
pub unsafe fn bpf_fd<A>(command: Command, attr: &mut A) -> io::Result<OwnedFd> {
    // SAFETY: as the caller promises.
    let fd = unsafe { bpf(command, attr)? };
    // SAFETY: the call has just made this descriptor, and nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// One instruction: opcode, destination and source registers, immediate value.
pub const fn instruction(opcode: u8, registers: u8, immediate: i32) -> u64 {
    opcode as u64 | (registers as u64) << 8 | (immediate.cast_unsigned() as u64) << 32
}

/// The same with an offset, and no immediate value.
pub const fn instruction_at(opcode: u8, registers: u8, offset: i16) -> u64 {
    instruction(opcode, registers, 0) | (offset.cast_unsigned() as u64) << 16
}

/// A program's type, as far as it is needed here.
#[derive(Clone, Copy, Debug)]
#[repr(u32)]
pub enum Kind {
    /// `BPF_PROG_TYPE_SCHED_CLS`.
    Tc = 3,
    /// `BPF_PROG_TYPE_XDP`.
    Xdp = 6,
}

/// Loads a program of a few instructions.
///
/// # Errors
///
/// The kernel's.
pub fn load(kind: Kind, instructions: &[u64], flags: u32) -> io::Result<OwnedFd> {
    load_logging(kind, instructions, flags, None, &mut [])
}

/// What is known of a program's functions: without, a verifier takes none for global.
#[derive(Clone, Copy, Debug)]
pub struct Functions<'a> {
    /// The id of the BTF that describes them.
    pub btf: u32,
    /// Records of `struct bpf_func_info`.
    pub records: &'a [u8],
    /// How many.
    pub count: u32,
}

/// The same, with the verifier's statistics (Linux 5.2).
///
/// # Errors
///
/// The kernel's.
pub fn load_with_statistics(
    kind: Kind,
    instructions: &[u64],
    functions: Functions<'_>,
) -> io::Result<(OwnedFd, String)> {
    let mut log = vec![0; 1 << 16];
    let program = load_logging(kind, instructions, 0, Some(functions), &mut log)?;
    let length = log.iter().position(|byte| *byte == 0).unwrap_or(log.len());
    Ok((program, String::from_utf8_lossy(&log[..length]).into_owned()))
}

fn load_logging(
    kind: Kind,
    instructions: &[u64],
    flags: u32,
    functions: Option<Functions<'_>>,
    log: &mut [u8],
) -> io::Result<OwnedFd> {
    const BPF_LOG_STATS: u32 = 4;
    #[repr(C)]
    #[derive(Default)]
    struct Attr {
        prog_type: u32,
        insn_cnt: u32,
        insns: u64,
        license: u64,
        log_level: u32,
        log_size: u32,
        log_buf: u64,
        kern_version: u32,
        prog_flags: u32,
        prog_name: [u8; 16],
        prog_ifindex: u32,
        expected_attach_type: u32,
        prog_btf_fd: u32,
        func_info_rec_size: u32,
        func_info: u64,
        func_info_cnt: u32,
        reserved: u32,
    }
    let mut attr = Attr {
        prog_type: kind as u32,
        insn_cnt: instructions.len() as u32,
        insns: instructions.as_ptr() as u64,
        license: c"Dual MIT/GPL".as_ptr() as u64,
        log_level: if log.is_empty() { 0 } else { BPF_LOG_STATS },
        log_size: log.len() as u32,
        log_buf: if log.is_empty() { 0 } else { log.as_mut_ptr() as u64 },
        prog_flags: flags,
        ..Attr::default()
    };
    let btf = functions.map(|functions| btf(functions.btf)).transpose()?;
    if let (Some(btf), Some(functions)) = (&btf, functions) {
        attr.prog_btf_fd = btf.as_raw_fd() as u32;
        attr.func_info = functions.records.as_ptr() as u64;
        attr.func_info_cnt = functions.count;
        attr.func_info_rec_size = functions.records.len() as u32 / functions.count.max(1);
    }
    // SAFETY: the layout is the kernel's; instructions, licence, BTF, records and log outlive the call.
    unsafe { bpf_fd(Command::ProgLoad, &mut attr) }
}

fn btf(id: u32) -> io::Result<OwnedFd> {
    // SAFETY: an id, as the command wants it.
    start::privileged(move || unsafe { bpf_fd(Command::BtfGetFdById, &mut { id }) })
}

/// How a program is run on a test frame.
#[derive(Clone, Copy, Debug, Default)]
pub struct TestRun {
    /// `BPF_F_TEST_…`.
    pub flags: u32,
    /// How many live frames go at once (Linux 5.18); older kernels refuse anything but 0.
    pub batch_size: u32,
}

/// Runs a program once on a frame, and returns what it returned.
///
/// # Errors
///
/// The kernel's.
pub fn test_run(program: &OwnedFd, frame: &[u8], how: TestRun) -> io::Result<u32> {
    #[repr(C)]
    #[derive(Default)]
    struct Attr {
        prog_fd: u32,
        retval: u32,
        data_size_in: u32,
        data_size_out: u32,
        data_in: u64,
        data_out: u64,
        repeat: u32,
        duration: u32,
        ctx_size_in: u32,
        ctx_size_out: u32,
        ctx_in: u64,
        ctx_out: u64,
        flags: u32,
        cpu: u32,
        batch_size: u32,
        _padding: u32,
    }
    let mut attr = Attr {
        prog_fd: program.as_raw_fd().cast_unsigned(),
        data_size_in: frame.len() as u32,
        data_in: frame.as_ptr() as u64,
        repeat: 1,
        flags: how.flags,
        batch_size: how.batch_size,
        ..Attr::default()
    };
    // SAFETY: the layout is the kernel's; the frame outlives the call.
    unsafe { bpf(Command::ProgTestRun, &mut attr)? };
    Ok(attr.retval)
}

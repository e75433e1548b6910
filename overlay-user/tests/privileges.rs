//! What a confined thread is refused, and what it is not. Confinement is a thread's and its
//! children's, so each test gives itself one.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use overlay_testbed::{Scratch, require_root};
use overlay_user::privileges;

/// Runs `body` confined, with a configuration file in a folder of its own.
fn confined(name: &str, body: impl FnOnce(&Path) + Send) {
    if !require_root(name) {
        return;
    }
    let scratch = Scratch::new().unwrap();
    let config = scratch.write("overlay.toml", "# nothing").unwrap();
    let run = || {
        privileges::confine(&config);
        body(&config);
    };
    std::thread::scope(|scope| scope.spawn(run).join()).unwrap();
}

fn call(number: i64, arguments: [u64; 4]) -> io::Result<i64> {
    let [a, b, c, d] = arguments;
    // SAFETY: none of these calls writes to memory of this process: their pointers are
    // null, or to strings.
    match unsafe { libc::syscall(number, a, b, c, d) } {
        -1 => Err(io::Error::last_os_error()),
        done => Ok(done),
    }
}

#[track_caller]
fn refused<T>(result: io::Result<T>, errno: i32) {
    let error = result.err().expect("it was allowed");
    assert_eq!(error.raw_os_error(), Some(errno), "{error}");
}

#[test]
fn files_of_others_are_out_of_reach() {
    confined("files_of_others_are_out_of_reach", |_| {
        for path in ["/etc/shadow", "/etc/passwd", "/etc/hosts"] {
            refused(File::open(path), libc::EACCES);
        }
        // Root without any capability owns these.
        for path in ["/proc/sys/kernel/core_pattern", "/proc/sys/kernel/panic"] {
            let write = File::options().write(true).open(path);
            refused(write, libc::EACCES);
        }
        refused(File::create("/etc/overlay-was-here"), libc::EACCES);
        refused(fs::create_dir("/usr/lib/overlay-was-here"), libc::EACCES);
    });
}

#[test]
fn the_instances_own_files_are_within_reach() {
    confined("the_instances_own_files_are_within_reach", |config| {
        assert_eq!(fs::read_to_string(config).unwrap(), "# nothing");
        // Written back as a whole, or not at all.
        let new = config.with_extension("new");
        fs::write(&new, "# something").unwrap();
        fs::rename(&new, config).unwrap();
        for folder in ["/run/overlay", "/sys/fs/bpf"].map(PathBuf::from) {
            let mine = folder.join(format!("test-{}", std::process::id()));
            fs::create_dir(&mine).unwrap();
            fs::remove_dir(&mine).unwrap();
        }
        for path in ["/sys/kernel/btf/vmlinux", "/sys/devices/system/cpu/possible", "/dev/urandom"]
        {
            File::open(path).unwrap();
        }
        std::thread::spawn(|| ()).join().unwrap();
    });
}

#[test]
fn no_program_and_no_process_is_started() {
    confined("no_program_and_no_process_is_started", |_| {
        refused(Command::new("/bin/true").status(), libc::EPERM);
        let program = c"/bin/true".as_ptr() as u64;
        refused(call(libc::SYS_execve, [program, 0, 0, 0]), libc::EPERM);
        refused(call(libc::SYS_clone, [libc::SIGCHLD as u64, 0, 0, 0]), libc::EPERM);
        refused(call(libc::SYS_clone3, [0, 0, 0, 0]), libc::ENOSYS);
    });
}

#[test]
fn the_system_looks_the_same_to_the_end() {
    confined("the_system_looks_the_same_to_the_end", |_| {
        let refused_calls = [
            (libc::SYS_unshare, libc::CLONE_NEWUSER as u64),
            (libc::SYS_unshare, libc::CLONE_NEWNS as u64),
            (libc::SYS_mount, 0),
            (libc::SYS_ptrace, libc::PTRACE_TRACEME as u64),
            (libc::SYS_io_uring_setup, 1),
            (libc::SYS_userfaultfd, 0),
            (libc::SYS_personality, 0),
            (libc::SYS_keyctl, 0),
        ];
        for (number, argument) in refused_calls {
            refused(call(number, [argument, 0, 0, 0]), libc::EPERM);
        }
        let own = File::open("/proc/self/ns/net").unwrap();
        refused(call(libc::SYS_setns, [own.as_raw_fd() as u64, 0, 0, 0]), libc::EPERM);
    });
}

#[test]
fn sockets_are_those_of_a_gateway() {
    confined("sockets_are_those_of_a_gateway", |_| {
        let stream = libc::SOCK_STREAM as u64;
        for family in [libc::AF_ALG, libc::AF_VSOCK, libc::AF_KEY, libc::AF_TIPC] {
            refused(call(libc::SYS_socket, [family as u64, stream, 0, 0]), libc::EPERM);
        }
        for (family, kind) in [
            (libc::AF_UNIX, libc::SOCK_STREAM),
            (libc::AF_INET6, libc::SOCK_DGRAM),
            (libc::AF_NETLINK, libc::SOCK_RAW),
            (libc::AF_PACKET, libc::SOCK_RAW),
            (libc::AF_XDP, libc::SOCK_RAW),
        ] {
            let opened = call(libc::SYS_socket, [family as u64, kind as u64, 0, 0]);
            let socket = opened.unwrap_or_else(|error| panic!("family {family}: {error}"));
            call(libc::SYS_close, [socket as u64, 0, 0, 0]).unwrap();
        }
    });
}

#[test]
fn code_comes_from_the_binary_alone() {
    confined("code_comes_from_the_binary_alone", |_| {
        let (anonymous, length) = (libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, 4096);
        let map = |protection: i32| {
            // SAFETY: new memory, that nobody else has.
            let address =
                unsafe { libc::mmap(std::ptr::null_mut(), length, protection, anonymous, -1, 0) };
            if address == libc::MAP_FAILED { Err(io::Error::last_os_error()) } else { Ok(address) }
        };
        let writable = libc::PROT_READ | libc::PROT_WRITE;
        refused(map(writable | libc::PROT_EXEC), libc::EPERM);
        let memory = map(writable).unwrap();
        let executable = (libc::PROT_READ | libc::PROT_EXEC) as u64;
        let change = [memory as u64, length as u64, executable, 0];
        refused(call(libc::SYS_mprotect, change), libc::EPERM);
        // SAFETY: mapped above, and not used any more.
        unsafe { libc::munmap(memory, length) };
    });
}

#[cfg(target_arch = "x86_64")]
#[test]
fn other_numbers_for_the_same_calls_are_no_way_round() {
    confined("other_numbers_for_the_same_calls_are_no_way_round", |_| {
        let x32 = 0x4000_0000;
        refused(call(libc::SYS_getpid | x32, [0; 4]), libc::EPERM);
        refused(call(libc::SYS_unshare | x32, [0; 4]), libc::EPERM);
    });
}

//! A process whose changes to the kernel are counted, and which dies, or is refused one, at that
//! of a number.
//!
//! A seccomp filter, which the process inherits, stops it on its way into each system call that
//! may change something that outlives it; everything else runs as fast as ever. All of its
//! threads are followed. A process that is killed on its way into a change has made all of
//! those before and nothing of this one: killed anywhere between two, it would leave the same.
//!
//! What changes without a system call, by stores into tables that are mapped, is not counted. A
//! start stores into tables that nobody looks into yet; that a reload's stores are good one by
//! one is what the property tests of the controller's actions are about.

mod filter;
pub mod operation;

use std::fs::File;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use nix::errno::Errno;
use nix::libc;
use nix::sys::ptrace::{self, Options};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use overlay_testbed::{Cleanup, Scratch, patient};

use super::objects::Objects;
pub use operation::Operation;

/// What becomes of a process at one of its changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It is killed before it makes it.
    Kill,
    /// It is told that the kernel could not, and why.
    Refuse(Errno),
}

/// At which change, counted from 1, and what.
pub type At = (usize, Fault);

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// By itself, with this code.
    Code(i32),
    /// By a signal.
    Signal(Signal),
}

/// What the process and whoever watches it know of each other.
#[derive(Default)]
struct Shared {
    plan: Mutex<Plan>,
    changed: Condvar,
}

#[derive(Default)]
struct Plan {
    /// Whether changes are counted now.
    counts: bool,
    seen: Vec<Operation>,
    fault: Option<At>,
    hit: Option<Operation>,
    /// What it held when it was killed.
    held: Objects,
    end: Option<End>,
}

impl Shared {
    fn plan(&self) -> MutexGuard<'_, Plan> {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A process that is followed; dropping it kills it.
pub struct Traced {
    pid: Pid,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<Result<()>>>,
    log: std::path::PathBuf,
    cleanup: Option<Cleanup>,
    _scratch: Scratch,
}

impl Traced {
    /// Starts a command, whose changes are counted from its beginning.
    pub fn start(mut command: Command, fault: Option<At>) -> Result<Self> {
        let scratch = Scratch::new()?;
        let log = scratch.path().join("log");
        let out = File::create(&log).context("creating a log")?;
        command.stdin(Stdio::null()).stdout(out.try_clone()?).stderr(out).process_group(0);
        let filter = filter::compile()?;
        let prepare = move || {
            filter::install(&filter)?;
            ptrace::traceme().map_err(std::io::Error::from)
        };
        // SAFETY: between fork and exec there are system calls alone, on memory that was made
        // before.
        unsafe { command.pre_exec(prepare) };
        let shared = Arc::<Shared>::default();
        shared.plan().counts = true;
        shared.plan().fault = fault;
        let (told, started) = std::sync::mpsc::channel();
        let watched = Arc::clone(&shared);
        // Who starts a process follows it: each of its stops is told to this thread alone.
        let thread = std::thread::spawn(move || {
            let first = match begin(&mut command) {
                Ok(first) => first,
                Err(error) => return told.send(Err(error)).map_err(Into::into),
            };
            let _ = told.send(Ok(first));
            let followed = Follower { first, shared: &watched }.follow();
            let mut plan = watched.plan();
            // Whoever waits for the end must not wait for ever.
            plan.end.get_or_insert(End::Signal(Signal::SIGKILL));
            watched.changed.notify_all();
            followed
        });
        let pid = started.recv().context("the tracer ended")??;
        // SAFETY: no pointers are passed; the process is not reaped before it is resumed.
        let descriptor = unsafe { libc::syscall(libc::SYS_pidfd_open, pid.as_raw(), 0) };
        // SAFETY: a descriptor that is not negative was just made, for us.
        let descriptor =
            (descriptor >= 0).then(|| unsafe { OwnedFd::from_raw_fd(descriptor as libc::c_int) });
        let cleanup = Cleanup::new(move || {
            let Some(descriptor) = descriptor else { return };
            let (number, nothing) = (descriptor.as_raw_fd(), std::ptr::null::<libc::siginfo_t>());
            // SAFETY: the descriptor is open; no information goes with the signal.
            unsafe {
                libc::syscall(libc::SYS_pidfd_send_signal, number, libc::SIGKILL, nothing, 0)
            };
        });
        let thread = Some(thread);
        Ok(Self { pid, shared, thread, log, cleanup: Some(cleanup), _scratch: scratch })
    }

    /// Counts from 1 again, from now on.
    pub fn count_from_now(&self, fault: Option<At>) {
        let mut plan = self.shared.plan();
        plan.counts = true;
        plan.seen.clear();
        plan.fault = fault;
        plan.hit = None;
    }

    /// Counts no more, and returns what was counted.
    pub fn counted(&self) -> Vec<Operation> {
        let mut plan = self.shared.plan();
        plan.counts = false;
        std::mem::take(&mut plan.seen)
    }

    /// The change that was not made.
    pub fn hit(&self) -> Option<Operation> {
        self.shared.plan().hit.clone()
    }

    /// What it held of the kernel when it was killed; else what it holds now.
    pub fn objects(&self) -> Objects {
        let plan = self.shared.plan();
        if plan.end.is_some() { plan.held.clone() } else { Objects::held_by(self.pid) }
    }

    /// What it has printed.
    pub fn output(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// How it ended.
    pub fn end(&self) -> Option<End> {
        self.shared.plan().end
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let mut plan = self.shared.plan();
        ensure!(plan.end.is_none(), "it ended before:\n{}", self.output());
        if signal == Signal::SIGKILL {
            plan.held = Objects::held_by(self.pid);
        }
        // The plan is locked: who reaps it would have said so.
        kill(self.pid, signal).context("sending a signal")
    }

    /// Waits for its end.
    pub fn wait(&self, timeout: Duration) -> Result<End> {
        let until = Instant::now() + patient(timeout);
        let mut plan = self.shared.plan();
        loop {
            if let Some(end) = plan.end {
                return Ok(end);
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                drop(plan);
                bail!("process {} has not ended:\n{}", self.pid, self.output());
            }
            let waited = self.shared.changed.wait_timeout(plan, left);
            plan = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Drop for Traced {
    fn drop(&mut self) {
        // Kills it, unless it has ended.
        drop(self.cleanup.take());
        match self.thread.take().map(JoinHandle::join) {
            Some(Ok(Err(error))) => eprintln!("following a process: {error:#}"),
            Some(Err(_)) => eprintln!("the thread that followed a process panicked"),
            Some(Ok(Ok(()))) | None => {}
        }
    }
}

/// Starts the process, up to its first instruction.
fn begin(command: &mut Command) -> Result<Pid> {
    let child = command.spawn().with_context(|| format!("starting {command:?}"))?;
    let pid = Pid::from_raw(child.id().cast_signed());
    match waitpid(pid, None).context("waiting for its first stop")? {
        WaitStatus::Stopped(_, Signal::SIGTRAP) => {}
        other => bail!("instead of its first stop: {other:?}"),
    }
    let options = Options::PTRACE_O_TRACECLONE
        | Options::PTRACE_O_TRACEFORK
        | Options::PTRACE_O_TRACEVFORK
        | Options::PTRACE_O_TRACEEXEC
        | Options::PTRACE_O_TRACESECCOMP
        | Options::PTRACE_O_EXITKILL;
    ptrace::setoptions(pid, options).context("PTRACE_SETOPTIONS")?;
    Ok(pid)
}

struct Follower<'s> {
    first: Pid,
    shared: &'s Shared,
}

impl Follower<'_> {
    /// Until its last thread has ended.
    fn follow(&self) -> Result<()> {
        resume(self.first, None)?;
        loop {
            // Of this thread's children alone: others wait for their own.
            let whom = WaitPidFlag::__WALL | WaitPidFlag::__WNOTHREAD;
            match waitpid(None, Some(whom)) {
                Ok(WaitStatus::PtraceEvent(pid, _, event)) => {
                    if event == libc::PTRACE_EVENT_SECCOMP {
                        self.before_a_call(pid)?;
                    }
                    resume(pid, None)?;
                }
                Ok(WaitStatus::Stopped(pid, signal)) => {
                    // A new thread begins with a stop.
                    let to_it = !matches!(signal, Signal::SIGSTOP | Signal::SIGTRAP);
                    resume(pid, to_it.then_some(signal))?;
                }
                Ok(WaitStatus::Exited(pid, code)) => self.ended(pid, End::Code(code)),
                Ok(WaitStatus::Signaled(pid, signal, _)) => self.ended(pid, End::Signal(signal)),
                Ok(_) | Err(Errno::EINTR) => {}
                Err(Errno::ECHILD) => return Ok(()),
                Err(error) => return Err(error).context("waiting for a process that is followed"),
            }
        }
    }

    fn ended(&self, pid: Pid, end: End) {
        if pid == self.first {
            self.shared.plan().end = Some(end);
            self.shared.changed.notify_all();
        }
    }

    fn before_a_call(&self, pid: Pid) -> Result<()> {
        let info = match ptrace::syscall_info(pid) {
            Ok(info) => info,
            // Killed meanwhile.
            Err(Errno::ESRCH) => return Ok(()),
            Err(error) => return Err(error).context("PTRACE_GET_SYSCALL_INFO"),
        };
        ensure!(info.op == libc::PTRACE_SYSCALL_INFO_SECCOMP, "another stop: {}", info.op);
        // SAFETY: the kernel has said which member it wrote.
        let call = unsafe { info.u.seccomp };
        let Some(operation) = Operation::of(self.first, call.nr, call.args) else { return Ok(()) };
        let mut plan = self.shared.plan();
        if !plan.counts || plan.hit.is_some() {
            return Ok(());
        }
        plan.seen.push(operation.clone());
        let Some((_, fault)) = plan.fault.filter(|(number, _)| *number == plan.seen.len()) else {
            return Ok(());
        };
        plan.hit = Some(operation);
        match fault {
            Fault::Kill => {
                plan.held = Objects::held_by(self.first);
                kill(self.first, Signal::SIGKILL).context("killing it")
            }
            Fault::Refuse(errno) => refuse(pid, errno),
        }
    }
}

/// A process that was killed cannot be resumed, and needs not.
fn resume(pid: Pid, signal: Option<Signal>) -> Result<()> {
    match ptrace::cont(pid, signal) {
        Ok(()) | Err(Errno::ESRCH) => Ok(()),
        Err(error) => Err(error).context("PTRACE_CONT"),
    }
}

/// Has the call not be made, and return this.
#[cfg(target_arch = "x86_64")]
fn refuse(pid: Pid, errno: Errno) -> Result<()> {
    let mut registers = ptrace::getregs(pid).context("PTRACE_GETREGS")?;
    registers.orig_rax = u64::MAX;
    registers.rax = i64::from(-(errno as i32)).cast_unsigned();
    ptrace::setregs(pid, registers).context("PTRACE_SETREGS")
}

/// Has the call not be made, and return this.
#[cfg(not(target_arch = "x86_64"))]
fn refuse(_: Pid, _: Errno) -> Result<()> {
    bail!("refusing a system call is known for x86-64 alone")
}

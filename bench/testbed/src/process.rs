//! Child processes that end with their guard.

use std::fs::File;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::libc;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::cleanup::{Cleanup, is_at_work};
use crate::scratch::Scratch;
use crate::wait::patient;

/// How long a child has to end by itself.
const PATIENCE: Duration = Duration::from_secs(5);
const POLL: Duration = Duration::from_millis(10);

/// Runs a command to its end and returns its standard output. An exit code
/// other than 0 is an error that carries its standard error.
pub fn run(command: &mut Command) -> Result<String> {
    if is_at_work() {
        return run_whole(command);
    }
    let (child, cleanup) = Cleanup::making(
        || start(command),
        |child| kill_of(Pid::from_raw(child.id().cast_signed())),
    )?;
    let output = child.wait_with_output();
    cleanup.forget();
    judge(command, &output?)
}

/// The same for a command that must not be stopped halfway.
pub(crate) fn run_whole(command: &mut Command) -> Result<String> {
    let output = start(command)?.wait_with_output()?;
    judge(command, &output)
}

/// In a process group of its own, which Ctrl-C on the terminal does not reach.
fn start(command: &mut Command) -> Result<Child> {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
        .with_context(|| format!("starting {}", line_of(command)))
}

fn judge(command: &Command, output: &Output) -> Result<String> {
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() {
        let complaint = String::from_utf8_lossy(&output.stderr);
        bail!("{}: {}: {}{}", line_of(command), output.status, complaint.trim(), text.trim());
    }
    Ok(text)
}

/// Kills a process. A descriptor stands for it, so that nobody else is hit who
/// has its number by then.
fn kill_of(pid: Pid) -> impl FnOnce() + Send + 'static {
    // SAFETY: no pointers are passed.
    let descriptor = unsafe { libc::syscall(libc::SYS_pidfd_open, pid.as_raw(), 0) };
    // SAFETY: a descriptor that is not negative was just made, for us.
    let descriptor =
        (descriptor >= 0).then(|| unsafe { OwnedFd::from_raw_fd(descriptor as libc::c_int) });
    move || {
        let Some(descriptor) = descriptor else { return };
        let (number, nothing) = (descriptor.as_raw_fd(), std::ptr::null::<libc::siginfo_t>());
        // SAFETY: the descriptor is open; no information goes with the signal.
        unsafe { libc::syscall(libc::SYS_pidfd_send_signal, number, libc::SIGKILL, nothing, 0) };
    }
}

fn line_of(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

/// A child process: dropping it ends it (SIGTERM, then SIGKILL) and waits.
///
/// It leads a process group of its own, so that Ctrl-C on the terminal reaches
/// it through its guard, in order, and not by itself.
#[derive(Debug)]
pub struct Process {
    child: Arc<Mutex<Child>>,
    pid: u32,
    log: PathBuf,
    cleanup: Cleanup,
    // After `cleanup`, so that the log outlives the process.
    _scratch: Scratch,
}

impl Process {
    /// Starts a command (see [`Netns::command`](crate::Netns::command)) with
    /// standard output and error going to one file.
    pub fn spawn(command: &mut Command) -> Result<Self> {
        Self::spawn_ended_by(Signal::SIGTERM, command)
    }

    /// The same for a gateway, which leaves everything where it is at SIGTERM: a Ctrl-C ends it,
    /// and what it has made.
    pub fn spawn_gateway(command: &mut Command) -> Result<Self> {
        Self::spawn_ended_by(Signal::SIGINT, command)
    }

    fn spawn_ended_by(signal: Signal, command: &mut Command) -> Result<Self> {
        let scratch = Scratch::new()?;
        let log = scratch.path().join("log");
        let out = File::create(&log).with_context(|| format!("creating {}", log.display()))?;
        command.stdin(Stdio::null()).stdout(out.try_clone()?).stderr(out).process_group(0);
        let spawn = || {
            let child =
                command.spawn().with_context(|| format!("starting {}", line_of(command)))?;
            Ok(Arc::new(Mutex::new(child)))
        };
        let (child, cleanup) = Cleanup::making(spawn, |child| {
            let doomed = Arc::clone(child);
            move || end(&mut lock(&doomed), signal)
        })?;
        let pid = lock(&child).id();
        Ok(Self { child, pid, log, cleanup, _scratch: scratch })
    }

    /// The process identifier.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// The file with what it has printed.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// What it has printed so far, standard output and error as they came.
    pub fn output(&self) -> String {
        std::fs::read(&self.log)
            .map(|b| String::from_utf8_lossy(&b).into_owned())
            .unwrap_or_default()
    }

    /// Sends a signal, if it still runs.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let mut child = lock(&self.child);
        if child.try_wait()?.is_none() {
            // The lock is held: the identifier cannot have been reaped.
            kill(Pid::from_raw(self.pid.cast_signed()), signal)?;
        }
        Ok(())
    }

    /// Whether it still runs.
    pub fn is_running(&self) -> bool {
        matches!(lock(&self.child).try_wait(), Ok(None))
    }

    /// Waits for it to end; an error after `timeout` (see [`patient`]).
    pub fn wait(&self, timeout: Duration) -> Result<ExitStatus> {
        let timeout = patient(timeout);
        let deadline = Instant::now() + timeout;
        loop {
            if let Some(status) = lock(&self.child).try_wait()? {
                return Ok(status);
            }
            if Instant::now() >= deadline {
                bail!("process {} still runs after {timeout:?}:\n{}", self.pid, self.output());
            }
            std::thread::sleep(POLL);
        }
    }

    /// Leaves it running.
    pub fn keep(self) -> PathBuf {
        let Self { log, cleanup, _scratch, .. } = self;
        cleanup.forget();
        _scratch.keep();
        log
    }
}

fn lock(child: &Mutex<Child>) -> MutexGuard<'_, Child> {
    child.lock().unwrap_or_else(PoisonError::into_inner)
}

fn end(child: &mut Child, signal: Signal) {
    if !matches!(child.try_wait(), Ok(None)) {
        return;
    }
    let _ = kill(Pid::from_raw(child.id().cast_signed()), signal);
    let deadline = Instant::now() + patient(PATIENCE);
    while Instant::now() < deadline {
        if !matches!(child.try_wait(), Ok(None)) {
            return;
        }
        std::thread::sleep(POLL);
    }
    let _ = child.kill();
    let _ = child.wait();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_is_captured_and_the_exit_code_told() {
        let shell =
            Process::spawn(Command::new("sh").args(["-c", "echo out; echo err >&2; exit 3"]))
                .expect("a shell");
        let status = shell.wait(Duration::from_secs(5)).expect("its end");
        assert_eq!(status.code(), Some(3));
        assert_eq!(shell.output(), "out\nerr\n");
    }

    #[test]
    fn drop_ends_the_child() {
        let sleeper = Process::spawn(Command::new("sleep").arg("60")).expect("sleep");
        let pid = Pid::from_raw(sleeper.pid().cast_signed());
        assert!(sleeper.is_running());
        drop(sleeper);
        assert_eq!(kill(pid, None), Err(nix::errno::Errno::ESRCH));
    }
}

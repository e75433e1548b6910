//! What must be undone, also when Ctrl-C ends the process.
//!
//! Drop covers success and panics. For SIGINT, SIGTERM and SIGHUP a handler
//! writes one byte to a pipe; a thread that reads it undoes everything still
//! registered, newest first, and ends the process.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::os::fd::{AsRawFd, IntoRawFd};
use std::sync::atomic::{AtomicI32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, Once, OnceLock, PoisonError};
use std::thread::ThreadId;
use std::time::Duration;

use anyhow::Result;
use nix::libc;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};

type Undo = Box<dyn FnOnce() + Send>;

static PENDING: Mutex<BTreeMap<u64, Undo>> = Mutex::new(BTreeMap::new());
static NEXT: AtomicU64 = AtomicU64::new(0);
static HANDLERS: Once = Once::new();
static WAKE: AtomicI32 = AtomicI32::new(-1);
/// How many guards are making something, or undoing it.
static RUNNING: AtomicUsize = AtomicUsize::new(0);
/// The thread that undoes everything after a signal.
static ENDED_BY: OnceLock<ThreadId> = OnceLock::new();

thread_local! {
    /// How many things this thread is making or undoing, one within the other.
    static DEPTH: Cell<u32> = const { Cell::new(0) };
}

/// Runs a closure once: when dropped, or when a signal ends the process.
#[derive(Debug)]
pub struct Cleanup {
    id: u64,
}

impl Cleanup {
    /// Registers `undo`.
    pub fn new(undo: impl FnOnce() + Send + 'static) -> Self {
        HANDLERS.call_once(watch_signals);
        let cleanup = Self::register(undo);
        if DEPTH.get() == 0 && is_ending() {
            // What was made after the signal would outlive the process.
            drop(cleanup);
            wait_for_the_end();
        }
        cleanup
    }

    /// Makes something and registers how to undo it. A signal does not come
    /// between the two: the end of the process waits until both are done.
    pub fn making<T, U: FnOnce() + Send + 'static>(
        make: impl FnOnce() -> Result<T>,
        undo: impl FnOnce(&T) -> U,
    ) -> Result<(T, Self)> {
        HANDLERS.call_once(watch_signals);
        RUNNING.fetch_add(1, Ordering::SeqCst);
        if DEPTH.get() == 0 && is_ending() {
            RUNNING.fetch_sub(1, Ordering::SeqCst);
            wait_for_the_end();
        }
        DEPTH.set(DEPTH.get() + 1);
        let made = make().map(|made| {
            let cleanup = Self::register(undo(&made));
            (made, cleanup)
        });
        DEPTH.set(DEPTH.get() - 1);
        RUNNING.fetch_sub(1, Ordering::SeqCst);
        if DEPTH.get() == 0 && is_ending() {
            drop(made);
            wait_for_the_end();
        }
        made
    }

    fn register(undo: impl FnOnce() + Send + 'static) -> Self {
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        pending().insert(id, Box::new(undo));
        Self { id }
    }

    /// Leaves things as they are.
    pub fn forget(self) {
        pending().remove(&self.id);
    }
}

impl Drop for Cleanup {
    fn drop(&mut self) {
        // The lock is released before the closure runs: it may drop guards.
        let undo = {
            let mut pending = pending();
            let undo = pending.remove(&self.id);
            RUNNING.fetch_add(usize::from(undo.is_some()), Ordering::SeqCst);
            undo
        };
        if let Some(undo) = undo {
            DEPTH.set(DEPTH.get() + 1);
            undo();
            DEPTH.set(DEPTH.get() - 1);
            RUNNING.fetch_sub(1, Ordering::SeqCst);
        }
        if DEPTH.get() == 0 && is_ending() {
            wait_for_the_end();
        }
    }
}

/// Were a thread to go on while a signal ends the process, it could end the
/// process before everything is undone.
fn wait_for_the_end() -> ! {
    loop {
        std::thread::park();
    }
}

/// Whether this thread is making or undoing something, which must not be stopped
/// halfway.
pub(crate) fn is_at_work() -> bool {
    DEPTH.get() != 0
}

/// Whether a signal ends the process, and another thread is at it.
fn is_ending() -> bool {
    ENDED_BY.get().is_some_and(|thread| *thread != std::thread::current().id())
}

fn pending() -> MutexGuard<'static, BTreeMap<u64, Undo>> {
    PENDING.lock().unwrap_or_else(PoisonError::into_inner)
}

extern "C" fn on_signal(signal: libc::c_int) {
    let byte = signal as u8;
    // SAFETY: `write` is async-signal-safe and the byte outlives the call; a bad
    // descriptor only makes it fail.
    unsafe { libc::write(WAKE.load(Ordering::Relaxed), (&raw const byte).cast(), 1) };
}

fn watch_signals() {
    let Ok((read, write)) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC) else {
        return;
    };
    WAKE.store(write.into_raw_fd(), Ordering::Relaxed);
    let action =
        SigAction::new(SigHandler::Handler(on_signal), SaFlags::SA_RESTART, SigSet::empty());
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        // SAFETY: the handler only loads an atomic and writes to a pipe.
        let _ = unsafe { sigaction(signal, &action) };
    }
    std::thread::spawn(move || {
        let mut byte = [0_u8];
        // SAFETY: the buffer is one byte long and `read` stays open.
        while unsafe { libc::read(read.as_raw_fd(), byte.as_mut_ptr().cast(), 1) } != 1 {}
        undo_all();
        std::process::exit(128 + i32::from(byte[0]));
    });
}

fn undo_all() {
    let _ = ENDED_BY.set(std::thread::current().id());
    loop {
        // A statement of its own, so that the lock is released before the
        // closure runs.
        let newest = pending().pop_last();
        match newest {
            Some((_, undo)) => undo(),
            None if RUNNING.load(Ordering::SeqCst) == 0 => return,
            None => std::thread::sleep(Duration::from_millis(5)),
        }
    }
}

//! What only a start needs: `CAP_SYS_ADMIN`, for what is had by its number (the programs of
//! a former process, the BTF of the kernel).
//!
//! One thread keeps it until the start is over, and does nothing but this. It is a thread
//! because capabilities are a thread's: taking them from all threads at once, later, would
//! need a signal to each.

use std::io;
use std::sync::mpsc::{self, Sender};
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::{Context as _, Result};

type Work = Box<dyn FnOnce() + Send>;

static PRIVILEGED: Mutex<Option<Sender<Work>>> = Mutex::new(None);

/// Makes the thread, with what this thread may now.
pub(super) fn spawn() -> Result<()> {
    let (sender, work) = mpsc::channel::<Work>();
    let serve = move || work.iter().for_each(|work| work());
    std::thread::Builder::new()
        .name("start".to_owned())
        .spawn(serve)
        .context("cannot make a thread for the start")?;
    *lock() = Some(sender);
    Ok(())
}

/// Does `work` with the privileges that a start has; once it is [`over`], or where nothing
/// was taken away, with those of the caller.
///
/// # Errors
///
/// Those of `work`.
pub fn privileged<T, E>(work: impl FnOnce() -> Result<T, E> + Send + 'static) -> Result<T, E>
where
    T: Send + 'static,
    E: From<io::Error> + Send + 'static,
{
    let Some(sender) = lock().clone() else { return work() };
    let (done, result) = mpsc::channel();
    let work: Work = Box::new(move || drop(done.send(work())));
    match sender.send(work) {
        Ok(()) => {}
        // The thread is gone.
        Err(mpsc::SendError(work)) => work(),
    }
    result.recv().unwrap_or_else(|_| Err(io::Error::other("the start's thread ended").into()))
}

/// The start is over: nobody has more than [`super::confine`] left.
pub fn over() {
    *lock() = None;
}

fn lock() -> MutexGuard<'static, Option<Sender<Work>>> {
    PRIVILEGED.lock().unwrap_or_else(PoisonError::into_inner)
}

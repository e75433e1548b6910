//! Network namespaces under `/run/netns`, where `ip netns` sees them.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result, anyhow};
use nix::sched::{CloneFlags, setns};

use crate::cleanup::Cleanup;
use crate::process::{run, run_whole};

static COUNTER: AtomicU32 = AtomicU32::new(0);

/// A network namespace of our own; dropping it deletes it.
#[derive(Debug)]
pub struct Netns {
    name: String,
    handle: Arc<File>,
    cleanup: Cleanup,
}

impl Netns {
    /// Makes a namespace, with `lo` up. Its name is `ov<pid>-<number>-<label>`.
    pub fn new(label: &str) -> Result<Self> {
        let number = COUNTER.fetch_add(1, Ordering::Relaxed);
        Self::named(&format!("ov{}-{number}-{label}", std::process::id()))
    }

    /// Makes a namespace with exactly this name, with `lo` up.
    pub fn named(name: &str) -> Result<Self> {
        let doomed = name.to_owned();
        let ((), cleanup) = Cleanup::making(
            || run_whole(Command::new("ip").args(["netns", "add", name])).map(drop),
            |()| {
                move || {
                    let _ = run_whole(Command::new("ip").args(["netns", "del", &doomed]));
                }
            },
        )?;
        let path = PathBuf::from("/run/netns").join(name);
        let handle = File::open(&path).with_context(|| format!("opening {}", path.display()))?;
        let netns = Self { name: name.to_owned(), handle: Arc::new(handle), cleanup };
        netns.quiet_ipv6()?;
        netns.exec("ip link set lo up")?;
        Ok(netns)
    }

    /// Stops devices from speaking IPv6 by themselves, so that captures and
    /// counters hold only what a test sent.
    fn quiet_ipv6(&self) -> Result<()> {
        self.enter(|| {
            for scope in ["default", "all"] {
                // `/proc/sys/net` shows the namespace of the thread that opens it.
                let key = format!("/proc/sys/net/ipv6/conf/{scope}/disable_ipv6");
                if std::fs::exists(&key).unwrap_or(false) {
                    std::fs::write(&key, "1").with_context(|| format!("writing {key}"))?;
                }
            }
            Ok(())
        })?
    }

    /// The name, as in `ip netns`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A command that will run inside. Only its network namespace differs.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        let handle = Arc::clone(&self.handle);
        // SAFETY: between fork and exec the closure makes one system call on a
        // descriptor that the closure itself keeps open.
        unsafe { command.pre_exec(move || enter_descriptor(handle.as_raw_fd())) };
        command
    }

    /// Runs a command line (split at white space, no quoting) inside and returns
    /// what it printed; an error carries what it complained about.
    pub fn exec(&self, line: &str) -> Result<String> {
        let mut words = line.split_whitespace();
        let program = words.next().context("an empty command line")?;
        run(self.command(program).args(words))
            .with_context(|| format!("in namespace {}", self.name))
    }

    /// Writes a sysctl, such as `net.ipv4.ip_forward`.
    pub fn sysctl(&self, key: &str, value: &str) -> Result<()> {
        let path = format!("/proc/sys/{}", key.replace('.', "/"));
        self.enter(|| std::fs::write(&path, value))?.with_context(|| format!("writing {path}"))
    }

    /// Runs a closure inside, on a thread of its own. Sockets and BPF links
    /// that it makes stay in the namespace after it returns.
    pub fn enter<T: Send>(&self, body: impl FnOnce() -> T + Send) -> Result<T> {
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                enter_descriptor(self.handle.as_raw_fd())
                    .with_context(|| format!("entering namespace {}", self.name))?;
                Ok(body())
            });
            match thread.join() {
                Ok(result) => result,
                Err(panic) => std::panic::resume_unwind(panic),
            }
        })
    }

    /// The index of a device inside.
    pub fn ifindex(&self, interface: &str) -> Result<u32> {
        self.enter(|| nix::net::if_::if_nametoindex(interface))?
            .map_err(|error| anyhow!("{interface} in {}: {error}", self.name))
    }

    /// Leaves the namespace on the machine.
    pub fn keep(self) {
        self.cleanup.forget();
    }
}

fn enter_descriptor(descriptor: RawFd) -> io::Result<()> {
    // SAFETY: the caller keeps the descriptor open during the call.
    let descriptor = unsafe { std::os::fd::BorrowedFd::borrow_raw(descriptor) };
    setns(descriptor, CloneFlags::CLONE_NEWNET).map_err(io::Error::from)
}

/// The namespace that the calling thread is in, as an inode number.
#[cfg(test)]
fn current() -> u64 {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata("/proc/thread-self/ns/net").map_or(0, |m| m.ino())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::requirement::require_root;

    #[test]
    fn enter_touches_only_its_own_thread_and_drop_removes_the_name() {
        if !require_root("netns_guard") {
            return;
        }
        let outside = current();
        let netns = Netns::new("guard").expect("a namespace");
        let inside = netns.enter(current).expect("entered");
        assert_ne!(outside, inside);
        assert_eq!(outside, current());
        let path = PathBuf::from("/run/netns").join(netns.name());
        assert!(path.exists());
        assert!(netns.exec("ip -o link").expect("ip link").contains("LOOPBACK"));
        drop(netns);
        assert!(!path.exists());
    }

    #[test]
    fn a_failing_command_says_what_it_complained_about() {
        if !require_root("netns_exec_error") {
            return;
        }
        let netns = Netns::new("error").expect("a namespace");
        let error = netns.exec("ip link show nonesuch").expect_err("no such device");
        assert!(format!("{error:#}").contains("nonesuch"), "{error:#}");
    }
}

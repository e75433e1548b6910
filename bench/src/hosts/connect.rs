//! Connections opened, accepted and closed, as fast as that goes.

use std::io::Read as _;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd as _;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::clock::{Clock, join};
use super::pair::Pair;
use super::tcp::{self, PATIENCE};
use crate::results::{Metric, Reading};
use crate::scenario::Subject;

const CONNECTIONS: Metric = Metric::higher("connections", "1/s");
/// How many clients there are, each with one connection at a time.
const CLIENTS: usize = 4;
/// How often a server that waits looks whether it is over.
const LOOK: u16 = 100;

/// Connections from the first host to the second. The second closes first, so
/// that no port of the first is kept from being used again.
pub struct Connect {
    pair: Rc<Pair>,
    time: Duration,
}

impl Connect {
    /// For `time`.
    pub fn new(pair: &Rc<Pair>, time: Duration) -> Self {
        Self { pair: Rc::clone(pair), time }
    }
}

impl Subject for Connect {
    fn plane(&self) -> &str {
        self.pair.plane().name()
    }

    fn measure(&mut self) -> Result<Vec<Reading>> {
        let testbed = self.pair.testbed();
        let listen = || {
            let (listener, address) = tcp::listen(&testbed.host2)?;
            listener.set_nonblocking(true)?;
            Ok((listener, address))
        };
        let servers: Result<Vec<_>> = (0..CLIENTS).map(|_| listen()).collect();
        let servers = servers?;
        let gone = [const { AtomicBool::new(false) }; CLIENTS];
        let (clock, closed) = (&Clock::default(), &AtomicU64::new(0));
        let window = std::thread::scope(|scope| {
            let mut threads = Vec::new();
            for ((listener, address), gone) in servers.iter().zip(&gone) {
                threads.push(scope.spawn(move || accept(listener, gone)));
                let connect = move || connect(*address, clock, closed);
                threads.push(scope.spawn(move || {
                    let result = testbed.host1.enter(connect);
                    gone.store(true, Ordering::Relaxed);
                    result?
                }));
            }
            let window = clock.run(self.time, || closed.load(Ordering::Relaxed));
            join(threads).map(|_| window)
        })?;
        let count = window.after - window.before;
        Ok(vec![CONNECTIONS.reads(count as f64 / window.time.as_secs_f64())])
    }
}

fn connect(address: SocketAddr, clock: &Clock, closed: &AtomicU64) -> Result<()> {
    while !clock.is_over() {
        let mut stream =
            TcpStream::connect_timeout(&address, PATIENCE).context("connecting the hosts")?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.read(&mut [0]).context("waiting for the end of a connection")?;
        closed.fetch_add(1, Ordering::Relaxed);
    }
    Ok(())
}

/// Until the client is gone: one that connected in the last moment still waits for the
/// end of its connection.
fn accept(listener: &TcpListener, gone: &AtomicBool) -> Result<()> {
    while !gone.load(Ordering::Relaxed) {
        let mut waiting = [PollFd::new(listener.as_fd(), PollFlags::POLLIN)];
        poll(&mut waiting, PollTimeout::from(LOOK)).context("waiting for connections")?;
        while let Ok((stream, _)) = listener.accept() {
            drop(stream);
        }
    }
    Ok(())
}

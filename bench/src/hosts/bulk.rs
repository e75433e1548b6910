//! Streams that send as much as they can, one way.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result};

use super::clock::{Clock, join};
use super::cores::Cores;
use super::pair::Pair;
use super::tcp::{self, Connection};
use crate::results::{Case, Metric, Reading};
use crate::scenario::Subject;

const THROUGHPUT: Metric = Metric::higher("throughput", "bit/s");
const RETRANSMITS: Metric = Metric::lower("retransmits", "1/s");
/// What is written and read at once, as by iperf3.
const BLOCK: usize = 128 << 10;

/// TCP streams from the first host to the second.
pub struct Bulk {
    pair: Rc<Pair>,
    streams: usize,
    cores: Cores,
    time: Duration,
}

impl Bulk {
    /// `streams` streams for `time`.
    pub fn new(pair: &Rc<Pair>, streams: usize, cores: Cores, time: Duration) -> Self {
        Self { pair: Rc::clone(pair), streams, cores, time }
    }
}

impl Subject for Bulk {
    fn plane(&self) -> &str {
        self.pair.plane().name()
    }

    fn case(&self) -> Case {
        Case::from([
            ("streams".to_owned(), self.streams.to_string()),
            ("cores".to_owned(), self.cores.name()),
        ])
    }

    fn measure(&mut self) -> Result<Vec<Reading>> {
        let connections = tcp::connections(self.pair.testbed(), self.streams)?;
        let (clock, received) = (Clock::default(), AtomicU64::new(0));
        let window = std::thread::scope(|scope| {
            let mut threads = Vec::new();
            for (client, server) in &connections {
                threads.push(scope.spawn(|| self.cores.run(|| send(client, &clock))));
                threads.push(scope.spawn(|| self.cores.run(|| receive(server, &received))));
            }
            let read = || (received.load(Ordering::Relaxed), retransmits(&connections));
            let window = clock.run(self.time, read);
            join(threads).map(|_| window)
        })?;
        let seconds = window.time.as_secs_f64();
        let bytes = window.after.0 - window.before.0;
        let again = window.after.1? - window.before.1?;
        Ok(vec![
            THROUGHPUT.reads(bytes as f64 * 8.0 / seconds),
            RETRANSMITS.reads(again as f64 / seconds),
        ])
    }
}

fn retransmits(connections: &[Connection]) -> Result<u64> {
    connections.iter().map(|(client, _)| tcp::retransmits(client)).sum()
}

fn send(mut stream: &TcpStream, clock: &Clock) -> Result<()> {
    let block = vec![0x5a; BLOCK];
    while !clock.is_over() {
        stream.write_all(&block).context("a stream stalled")?;
    }
    stream.shutdown(Shutdown::Write).context("ending a stream")
}

fn receive(mut stream: &TcpStream, received: &AtomicU64) -> Result<()> {
    let mut block = vec![0; BLOCK];
    loop {
        match stream.read(&mut block) {
            Ok(0) => return Ok(()),
            Ok(count) => received.fetch_add(count as u64, Ordering::Relaxed),
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(error).context("a stream stalled"),
        };
    }
}

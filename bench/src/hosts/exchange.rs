//! A request and its response, again and again: how many a second, and how long
//! each takes.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, TcpStream, UdpSocket};
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use overlay_testbed::TwoGateways;

use super::clock::{Clock, join};
use super::cores::Cores;
use super::latency::Latencies;
use super::pair::Pair;
use super::tcp;
use crate::results::{Case, Metric, Reading};
use crate::scenario::Subject;

const TRANSACTIONS: Metric = Metric::higher("transactions", "1/s");
const LOST: Metric = Metric::lower("lost", "1");
/// Bytes of a request, and of its response.
const MESSAGE: usize = 64;
/// A datagram that is not answered by then is lost.
const LOST_AFTER: Duration = Duration::from_millis(200);

/// What carries the messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// Without Nagle's delay.
    Tcp,
    /// A datagram each.
    Udp,
}

/// Exchanges between the two hosts, on each connection one at a time.
pub struct Exchange {
    pair: Rc<Pair>,
    protocol: Protocol,
    connections: usize,
    cores: Cores,
    time: Duration,
}

/// What one client has seen.
struct Seen {
    latencies: Latencies,
    lost: u64,
}

impl Exchange {
    /// On `connections` connections at once, for `time`.
    pub fn new(
        pair: &Rc<Pair>,
        protocol: Protocol,
        connections: usize,
        cores: Cores,
        time: Duration,
    ) -> Self {
        Self { pair: Rc::clone(pair), protocol, connections, cores, time }
    }

    /// Runs a client and a server thread for each pair of sockets, and returns
    /// what the clients have seen in how much time.
    fn run<S: Sync>(
        &self,
        pairs: &[(S, S)],
        ask: fn(&S, &Clock) -> Result<Seen>,
        answer: fn(&S, &Clock) -> Result<()>,
    ) -> Result<(Vec<Seen>, Duration)> {
        let (clock, cores) = (&Clock::default(), self.cores);
        std::thread::scope(|scope| {
            let servers =
                pairs.iter().map(|(_, s)| scope.spawn(move || cores.run(|| answer(s, clock))));
            let servers = servers.collect();
            let clients =
                pairs.iter().map(|(c, _)| scope.spawn(move || cores.run(|| ask(c, clock))));
            let clients = clients.collect();
            let time = clock.run(self.time, || ()).time;
            let seen = join(clients);
            join(servers)?;
            Ok((seen?, time))
        })
    }

    fn over_tcp(&self) -> Result<(Vec<Seen>, Duration)> {
        let connections = tcp::connections(self.pair.testbed(), self.connections)?;
        for (client, server) in &connections {
            client.set_nodelay(true)?;
            server.set_nodelay(true)?;
        }
        self.run(&connections, ask_tcp, answer_tcp)
    }

    fn over_udp(&self) -> Result<(Vec<Seen>, Duration)> {
        let pair = || udp_pair(self.pair.testbed());
        let pairs: Result<Vec<_>> = (0..self.connections).map(|_| pair()).collect();
        self.run(&pairs?, ask_udp, answer_udp)
    }
}

impl Subject for Exchange {
    fn plane(&self) -> &str {
        self.pair.plane().name()
    }

    fn case(&self) -> Case {
        Case::from([
            ("connections".to_owned(), self.connections.to_string()),
            ("cores".to_owned(), self.cores.name()),
        ])
    }

    fn measure(&mut self) -> Result<Vec<Reading>> {
        let (seen, time) = match self.protocol {
            Protocol::Tcp => self.over_tcp()?,
            Protocol::Udp => self.over_udp()?,
        };
        let (mut all, mut lost) = (Latencies::new()?, 0);
        for client in &seen {
            all.add(&client.latencies)?;
            lost += client.lost;
        }
        ensure!(all.count() > 0, "no request was answered within {:?}", self.time);
        let mut readings = vec![TRANSACTIONS.reads(all.count() as f64 / time.as_secs_f64())];
        readings.extend(all.readings());
        if self.protocol == Protocol::Udp {
            readings.push(LOST.reads(lost as f64 / (all.count() + lost) as f64));
        }
        Ok(readings)
    }
}

fn ask_tcp(mut stream: &TcpStream, clock: &Clock) -> Result<Seen> {
    let mut latencies = Latencies::new()?;
    let mut message = [0x5a; MESSAGE];
    while !clock.is_over() {
        let (counts, start) = (clock.counts(), Instant::now());
        stream.write_all(&message).context("sending a request")?;
        stream.read_exact(&mut message).context("waiting for a response")?;
        if counts {
            latencies.record(start.elapsed());
        }
    }
    stream.shutdown(Shutdown::Write)?;
    Ok(Seen { latencies, lost: 0 })
}

/// Until the client hangs up.
fn answer_tcp(mut stream: &TcpStream, _clock: &Clock) -> Result<()> {
    let mut message = [0; MESSAGE];
    loop {
        match stream.read_exact(&mut message) {
            Ok(()) => stream.write_all(&message).context("sending a response")?,
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(()),
            Err(error) => return Err(error).context("waiting for a request"),
        }
    }
}

/// A client's socket, connected to a server's.
fn udp_pair(testbed: &TwoGateways) -> Result<(UdpSocket, UdpSocket)> {
    let bind = |address: &'static str| move || UdpSocket::bind((address, 0));
    let client = testbed.host1.enter(bind(TwoGateways::HOST1))?.context("the first host")?;
    let server = testbed.host2.enter(bind(TwoGateways::HOST2))?.context("the second host")?;
    client.connect(server.local_addr()?)?;
    for socket in [&client, &server] {
        socket.set_read_timeout(Some(LOST_AFTER))?;
    }
    Ok((client, server))
}

/// Each request has a number; the response to an earlier one, given up, is not
/// taken for this one's.
fn ask_udp(socket: &UdpSocket, clock: &Clock) -> Result<Seen> {
    let (mut latencies, mut lost) = (Latencies::new()?, 0);
    let (mut number, mut message) = (0_u64, [0; MESSAGE]);
    while !clock.is_over() {
        number += 1;
        let (counts, start) = (clock.counts(), Instant::now());
        message[..8].copy_from_slice(&number.to_be_bytes());
        socket.send(&message).context("sending a request")?;
        match response(socket, number)? {
            true if counts => latencies.record(start.elapsed()),
            false if counts => lost += 1,
            _ => {}
        }
    }
    Ok(Seen { latencies, lost })
}

/// Waits for the response to a request; false where it does not come.
fn response(socket: &UdpSocket, number: u64) -> Result<bool> {
    let mut message = [0; MESSAGE];
    loop {
        match socket.recv(&mut message) {
            Ok(_) if message[..8] == number.to_be_bytes() => return Ok(true),
            Ok(_) => {}
            Err(error) if is_timeout(&error) => return Ok(false),
            Err(error) => return Err(error).context("waiting for a response"),
        }
    }
}

fn answer_udp(socket: &UdpSocket, clock: &Clock) -> Result<()> {
    let mut message = [0; MESSAGE];
    while !clock.is_over() {
        match socket.recv_from(&mut message) {
            Ok((length, client)) => {
                socket.send_to(&message[..length], client).context("sending a response")?;
            }
            Err(error) if is_timeout(&error) => {}
            Err(error) => return Err(error).context("waiting for a request"),
        }
    }
    Ok(())
}

fn is_timeout(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

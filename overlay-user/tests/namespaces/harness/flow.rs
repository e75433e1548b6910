//! A steady flow of numbered frames from a host to another.

use std::net::UdpSocket;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;
use overlay_testbed::frame::{ethernet, ipv4_udp};
use overlay_testbed::{Netns, RawSocket, TwoGateways, mac_of};

use super::octets;

/// The IP packets have 600 bytes, and DF.
const PAYLOAD: usize = 572;
/// Behind the Ethernet, IPv4 and UDP headers: the number of the run, that of the frame.
const STAMP: usize = 14 + 20 + 8;
/// The number of the frame behind all others.
const LAST: u32 = u32::MAX;
/// A receiver that gets no time for so long loses nothing.
const ROOM: usize = 512 << 20;
const BREATH: Duration = Duration::from_millis(1);
/// Frames that are on their way when the last was sent.
const ON_THE_WAY: Duration = Duration::from_millis(200);
/// What can be called a load at all.
const LEAST: u32 = 5_000;

/// From one host of a testbed to the other, one flow of UDP.
pub struct Flow {
    from: RawSocket,
    to: RawSocket,
    /// Its port is open, and nobody reads what comes.
    _receiver: UdpSocket,
    frame: Vec<u8>,
    runs: u32,
}

/// What became of a run.
#[derive(Debug)]
pub struct Run {
    pub sent: u32,
    /// A second.
    pub rate: f64,
    pub lost: usize,
    pub twice: u32,
    /// Among the lost, those that the receiving socket had no room for.
    pub no_room: u32,
}

impl Flow {
    /// From the first host to the second.
    pub fn new(testbed: &TwoGateways) -> Result<Self> {
        let hosts = [(&testbed.host1, TwoGateways::HOST1), (&testbed.host2, TwoGateways::HOST2)];
        Self::between(hosts)
    }

    /// From the second to the first.
    pub fn back(testbed: &TwoGateways) -> Result<Self> {
        let hosts = [(&testbed.host2, TwoGateways::HOST2), (&testbed.host1, TwoGateways::HOST1)];
        Self::between(hosts)
    }

    fn between([(one, src), (two, dst)]: [(&Netns, &str); 2]) -> Result<Self> {
        let receiver = two.enter(|| UdpSocket::bind((dst, 0)))??;
        let ports = (4000, receiver.local_addr()?.port());
        let packet = ipv4_udp((octets(src), ports.0), (octets(dst), ports.1), &[0; PAYLOAD]);
        let frame = ethernet(mac_of(two, "eth0")?, mac_of(one, "eth0")?, 0x0800, &packet);
        let (from, to) = (RawSocket::open(one, "eth0")?, RawSocket::open(two, "eth0")?);
        to.set_room(ROOM)?;
        Ok(Self { from, to, _receiver: receiver, frame, runs: 0 })
    }

    /// The highest rate up to `rate` at which nothing is lost and the sender keeps up; on a
    /// machine that has no time for any, [`LEAST`].
    pub fn carried(&mut self, mut rate: u32) -> Result<(u32, Run)> {
        loop {
            let run = self.run(rate, Duration::from_millis(500))?;
            let keeps_up = run.rate > f64::from(rate) * 0.9 || rate == LEAST;
            if run.lost == 0 && keeps_up {
                return Ok((rate, run));
            }
            println!("{rate} a second are too many for this machine now: {run:?}");
            ensure!(rate > LEAST, "nothing gets through, and nobody does any harm");
            rate = LEAST.max(rate / 3 * 2);
        }
    }

    /// Sends so many frames a second for some time, from the first core, and counts what
    /// arrives. What was due while the core was busy otherwise is made up for.
    pub fn run(&mut self, rate: u32, time: Duration) -> Result<Run> {
        let count = (f64::from(rate) * time.as_secs_f64()) as u32;
        self.run_while(rate, |sent| sent < count)
    }

    /// The same for as long as `more` says so of the number of frames that were sent.
    pub fn run_while(&mut self, rate: u32, more: impl Fn(u32) -> bool + Sync) -> Result<Run> {
        self.runs += 1;
        let run = self.runs;
        self.to.missed()?;
        let ((sent, elapsed), (mut seen, twice)) = std::thread::scope(|scope| -> Result<_> {
            let receiver = scope.spawn(|| receive(&self.to, run));
            // On a thread of its own: what a thread starts has its core as well.
            let sender = scope.spawn(|| send(&self.from, &self.frame, (run, rate), &more));
            let sent = sender.join().ok().context("the sender")??;
            Ok((sent, receiver.join().ok().context("the receiver")??))
        })?;
        seen.resize(sent as usize, false);
        let lost = seen.iter().filter(|seen| !**seen).count();
        let rate = f64::from(sent) / elapsed.as_secs_f64();
        Ok(Run { sent, rate, lost, twice, no_room: self.to.missed()? })
    }
}

fn send(
    from: &RawSocket,
    frame: &[u8],
    (run, rate): (u32, u32),
    more: &impl Fn(u32) -> bool,
) -> Result<(u32, Duration)> {
    let mut frame = frame.to_vec();
    let mut send = |number: u32| {
        frame[STAMP..STAMP + 4].copy_from_slice(&run.to_be_bytes());
        frame[STAMP + 4..STAMP + 8].copy_from_slice(&number.to_be_bytes());
        from.send(&frame)
    };
    pin(Core::First)?;
    let (begin, mut sent) = (Instant::now(), 0);
    while more(sent) {
        let due = (begin.elapsed().as_secs_f64() * f64::from(rate)) as u32;
        while sent < due && more(sent) {
            send(sent)?;
            sent += 1;
        }
        std::thread::sleep(BREATH);
    }
    let elapsed = begin.elapsed();
    std::thread::sleep(ON_THE_WAY);
    send(LAST)?;
    Ok((sent, elapsed))
}

/// Which of the frames came, and how many came again.
fn receive(to: &RawSocket, run: u32) -> Result<(Vec<bool>, u32)> {
    let (mut seen, mut twice) = (Vec::new(), 0);
    // Whoever else sends there goes on for longer than the flow.
    to.each(10 * ON_THE_WAY, STAMP + 8, |frame| {
        let word = |at: usize| Some(u32::from_be_bytes(*frame.get(at..)?.first_chunk()?));
        if word(STAMP) != Some(run) {
            return true;
        }
        match word(STAMP + 4) {
            Some(LAST) => return false,
            Some(number) => {
                let number = number as usize;
                if seen.len() <= number {
                    seen.resize(number + 1, false);
                }
                if std::mem::replace(&mut seen[number], true) {
                    twice += 1;
                }
            }
            None => {}
        }
        true
    })?;
    Ok((seen, twice))
}

/// Where a sender is, with what its frames cause in the kernel.
#[derive(Clone, Copy, Debug)]
pub enum Core {
    First,
    Last,
}

/// Keeps the calling thread on a core. Each has a queue for what comes from local devices,
/// which is no gateway's: whoever overfills it has to have one of his own.
pub fn pin(core: Core) -> Result<()> {
    let ours = Pid::from_raw(0);
    let allowed = sched_getaffinity(ours)?;
    let mut cores = (0..CpuSet::count()).filter(|core| allowed.is_set(*core).unwrap_or(false));
    let chosen = match core {
        Core::First => cores.next(),
        Core::Last => cores.next_back(),
    };
    let mut set = CpuSet::new();
    set.set(chosen.context("no core")?)?;
    sched_setaffinity(ours, &set).context("choosing a core")
}

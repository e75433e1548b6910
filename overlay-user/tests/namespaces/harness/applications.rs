//! Applications between two hosts.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use overlay_testbed::{
    Netns, Process, Scratch, TwoGateways, is_emulated, mac_of, patient, run, wait_until,
};
use serde_json::Value;

use super::ping;

static MEASURING: Mutex<()> = Mutex::new(());

/// An accident with checksums or sizes leaves a thousandth of what TCP reaches on a machine
/// that has nothing else to do; other work on it, a tenth.
const LEAST_GIGABITS: f64 = 0.1;
/// Measurements, until one is fast enough.
const TRIES: usize = 3;

/// ARP, ping, UDP, TCP and HTTP, both ways between the hosts of a testbed.
pub fn between_hosts(testbed: &TwoGateways) -> Result<()> {
    let one = (&testbed.host1, TwoGateways::HOST1);
    let two = (&testbed.host2, TwoGateways::HOST2);
    for (from, to) in [(one, two), (two, one)] {
        arp(from.0, to.0, to.1)?;
        ping(from.0, to.1)?;
        udp_sizes(from.0, to)?;
    }
    http_download(one.0, two)?;
    http_download(two.0, one)?;
    tcp(one.0, two)
}

/// Neighbour discovery, ping, TCP and HTTP between the hosts over IPv6.
pub fn over_ipv6(testbed: &TwoGateways) -> Result<()> {
    let (one, two) = ("2001:db8::1", "2001:db8::2");
    for (host, address) in [(&testbed.host1, one), (&testbed.host2, two)] {
        host.sysctl("net.ipv6.conf.eth0.disable_ipv6", "0")?;
        host.exec(&format!("ip addr add {address}/64 dev eth0 nodad"))?;
    }
    ping(&testbed.host1, two)?;
    ping(&testbed.host2, one)?;
    tcp(&testbed.host1, (&testbed.host2, two))
}

/// The neighbour's MAC address is asked for and found.
pub fn arp(from: &Netns, to: &Netns, address: &str) -> Result<()> {
    from.exec("ip neigh flush all")?;
    ping(from, address)?;
    let mac = mac_of(to, "eth0")?.map(|byte| format!("{byte:02x}")).join(":");
    let known = from.exec(&format!("ip neigh show {address}"))?;
    ensure!(known.contains(&mac), "{address} should be at {mac}: {known}");
    Ok(())
}

/// Datagrams of 1 byte, of the largest size that fits, and of a size that the
/// sender fragments arrive as they were sent.
pub fn udp_sizes(from: &Netns, (to, address): (&Netns, &str)) -> Result<()> {
    let receiver = to.enter(|| UdpSocket::bind((address, 0)))??;
    receiver.set_read_timeout(Some(patient(Duration::from_secs(2))))?;
    let target = receiver.local_addr()?;
    let sender = from.enter(|| UdpSocket::bind("0.0.0.0:0"))??;
    // 1500 bytes of MTU, less IPv4 and UDP headers.
    for size in [1, 17, 1471, 1472, 4000] {
        let sent: Vec<u8> = (0..size).map(|i: usize| (i * 7 + size) as u8).collect();
        sender.send_to(&sent, target)?;
        let mut buffer = [0; 8192];
        let (length, _) = receiver
            .recv_from(&mut buffer)
            .with_context(|| format!("a datagram of {size} bytes to {address}"))?;
        ensure!(buffer[..length] == sent[..], "a datagram of {size} bytes was changed");
    }
    Ok(())
}

/// One measurement, or one test that loads the machine, at a time: they share the
/// cores.
pub fn alone() -> MutexGuard<'static, ()> {
    MEASURING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// TCP does not collapse, in either direction.
pub fn tcp(client: &Netns, server: (&Netns, &str)) -> Result<()> {
    let _alone = alone();
    for reverse in [false, true] {
        let mut rates = Vec::new();
        // Whatever else the machine does can only slow it down.
        let least = if is_emulated() { 0.0 } else { LEAST_GIGABITS };
        while rates.len() < TRIES && rates.iter().all(|rate| *rate <= least) {
            rates.push(iperf3(client, server, reverse)? / 1e9);
        }
        println!("TCP, reverse {reverse}: {rates:.2?} Gb/s");
        ensure!(rates.iter().any(|rate| *rate > least), "TCP at {rates:.2?} Gb/s");
    }
    Ok(())
}

fn iperf3(client: &Netns, (server, address): (&Netns, &str), reverse: bool) -> Result<f64> {
    let mut command = server.command("iperf3");
    let listener = Process::spawn(command.args(["-s", "-1", "--forceflush", "-B", address]))?;
    wait_for_words(&listener, "Server listening")?;
    let mut command = client.command("timeout");
    let limit = patient(Duration::from_secs(20)).as_secs().to_string();
    // An emulated machine needs no longer than it takes to see that it goes on.
    let seconds = if is_emulated() { "1" } else { "2" };
    command.args([&limit, "iperf3", "-c", address, "-t", seconds, "-J"]);
    if reverse {
        command.arg("-R");
    }
    let report: Value = serde_json::from_str(&run(&mut command)?)?;
    report["end"]["sum_received"]["bits_per_second"]
        .as_f64()
        .with_context(|| format!("no rate in iperf3's report: {report}"))
}

/// 10 MB over HTTP arrive unchanged; 1 MB where the machine is emulated.
pub fn http_download(client: &Netns, (server, address): (&Netns, &str)) -> Result<()> {
    let scratch = Scratch::new()?;
    let length = if is_emulated() { 1 << 20 } else { 10 << 20 };
    let sent: Vec<u8> =
        (0_u64..length).map(|i| (i.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8).collect();
    scratch.write("sent", &sent)?;
    let received = scratch.path().join("received");
    let mut command = server.command("python3");
    command.args(["-u", "-m", "http.server", "8000", "--bind", address, "--directory"]);
    let listener = Process::spawn(command.arg(scratch.path()))?;
    wait_for_words(&listener, "Serving HTTP")?;
    let mut command = client.command("curl");
    let limit = patient(Duration::from_secs(15)).as_secs().to_string();
    command.args(["--silent", "--show-error", "--fail", "--max-time", &limit, "--output"]);
    run(command.arg(&received).arg(format!("http://{address}:8000/sent")))?;
    // The whole contents, where a user would compare hashes.
    ensure!(std::fs::read(&received)? == sent, "the download differs from the file");
    Ok(())
}

/// Waits until a server says that it can be asked.
fn wait_for_words(server: &Process, words: &str) -> Result<()> {
    let said = || server.output().contains(words);
    // Whether it runs is asked first, so that its last words are not missed.
    let up = wait_until(words, Duration::from_secs(30), || {
        let running = server.is_running();
        (said() || !running).then(said)
    })
    .with_context(|| server.output())?;
    ensure!(up, "a server ended at once: {}", server.output());
    Ok(())
}

/// So many bytes over TCP, to an address and port, arrive as they were sent. It never rests
/// for longer than `limit` (see [`patient`]).
pub fn stream(from: &Netns, to: &Netns, address: &str, length: u32, limit: Duration) -> Result<()> {
    let limit = patient(limit);
    let address: SocketAddr = address.parse()?;
    let listener = to.enter(|| TcpListener::bind(address))??;
    let sent: Vec<u8> = (0..length).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let mut client = from.enter(|| TcpStream::connect_timeout(&address, limit))??;
    client.set_write_timeout(Some(limit))?;
    let (mut server, _) = listener.accept()?;
    server.set_read_timeout(Some(limit))?;
    std::thread::scope(|scope| {
        let sender = scope.spawn(|| -> Result<()> {
            client.write_all(&sent)?;
            drop(client);
            Ok(())
        });
        let mut received = Vec::new();
        server.read_to_end(&mut received)?;
        ensure!(received == sent, "TCP to {address}: {} bytes came", received.len());
        sender.join().expect("the sender does not panic")
    })
}

/// Datagrams that are echoed, one a hundredth of a second, for as long as it takes.
pub struct Echoes {
    state: Arc<State>,
    client: Option<JoinHandle<Result<()>>>,
}

#[derive(Default)]
struct State {
    /// How many were echoed.
    count: AtomicU32,
    client_done: AtomicBool,
    server_done: AtomicBool,
}

impl Echoes {
    /// Starts to send from a host to another, at an address.
    pub fn start(from: &Netns, (to, address): (&Netns, &str)) -> Result<Self> {
        let server = to.enter(|| UdpSocket::bind((address, 0)))??;
        let target = server.local_addr()?;
        let client = from.enter(|| UdpSocket::bind("0.0.0.0:0"))??;
        client.set_read_timeout(Some(patient(Duration::from_secs(2))))?;
        // How soon it sees that it is done.
        server.set_read_timeout(Some(Duration::from_millis(100)))?;
        let state = Arc::new(State::default());
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            let mut buffer = [0; 64];
            while !shared.server_done.load(Ordering::Relaxed) {
                if let Ok((length, sender)) = server.recv_from(&mut buffer) {
                    let _ = server.send_to(&buffer[..length], sender);
                }
            }
        });
        let shared = Arc::clone(&state);
        let client = std::thread::spawn(move || {
            while !shared.client_done.load(Ordering::Relaxed) {
                let count = shared.count.load(Ordering::Relaxed);
                client.send_to(&count.to_be_bytes(), target)?;
                let mut buffer = [0; 64];
                let (length, _) = client
                    .recv_from(&mut buffer)
                    .with_context(|| format!("echo {count} was lost"))?;
                ensure!(buffer[..length] == count.to_be_bytes(), "not echo {count}: {buffer:?}");
                shared.count.store(count + 1, Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(10));
            }
            Ok(())
        });
        Ok(Self { state, client: Some(client) })
    }

    /// Waits until so many more were echoed; one that is lost is an error.
    pub fn wait_for_more(&mut self, more: u32) -> Result<()> {
        let wanted = self.count() + more;
        let goes_on = wait_until(&format!("echo {wanted}"), Duration::from_secs(5), || {
            let ended = self.client.as_ref().is_none_or(JoinHandle::is_finished);
            (ended || self.count() >= wanted).then_some(!ended)
        })?;
        if !goes_on {
            self.join()?;
            bail!("nothing more was sent after {} echoes", self.count());
        }
        Ok(())
    }

    /// Ends it and returns how many were echoed: all, or it is an error.
    pub fn finish(mut self) -> Result<u32> {
        self.state.client_done.store(true, Ordering::Relaxed);
        self.join()?;
        Ok(self.count())
    }

    fn count(&self) -> u32 {
        self.state.count.load(Ordering::Relaxed)
    }

    fn join(&mut self) -> Result<()> {
        let Some(client) = self.client.take() else { return Ok(()) };
        client.join().map_err(|_| anyhow::anyhow!("the sender panicked"))?
    }
}

impl Drop for Echoes {
    fn drop(&mut self) {
        self.state.client_done.store(true, Ordering::Relaxed);
        self.state.server_done.store(true, Ordering::Relaxed);
    }
}

//! Applications between two hosts.

use std::net::UdpSocket;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use overlay_testbed::{Netns, Process, Scratch, TwoGateways, mac_of, run, wait_until};
use serde_json::Value;

static MEASURING: Mutex<()> = Mutex::new(());

/// TCP slower than this hides an accident with checksums or sizes.
const LEAST_GIGABITS: f64 = 1.0;
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

/// Ten of ten echo requests are answered.
pub fn ping(from: &Netns, address: &str) -> Result<()> {
    let report = from.exec(&format!("ping -n -q -c 10 -i 0.02 -W 2 {address}"))?;
    ensure!(report.contains(" 10 received"), "lost echoes: {report}");
    Ok(())
}

/// Datagrams of 1 byte, of the largest size that fits, and of a size that the
/// sender fragments arrive as they were sent.
pub fn udp_sizes(from: &Netns, (to, address): (&Netns, &str)) -> Result<()> {
    let receiver = to.enter(|| UdpSocket::bind((address, 0)))??;
    receiver.set_read_timeout(Some(Duration::from_secs(2)))?;
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

/// TCP runs at more than 1 Gb/s in both directions.
pub fn tcp(client: &Netns, server: (&Netns, &str)) -> Result<()> {
    let _alone = alone();
    for reverse in [false, true] {
        let mut rates = Vec::new();
        // Whatever else the machine does can only slow it down.
        while rates.len() < TRIES && rates.iter().all(|rate| *rate < LEAST_GIGABITS) {
            rates.push(iperf3(client, server, reverse)? / 1e9);
        }
        println!("TCP, reverse {reverse}: {rates:.2?} Gb/s");
        ensure!(rates.iter().any(|rate| *rate > LEAST_GIGABITS), "TCP at {rates:.2?} Gb/s");
    }
    Ok(())
}

fn iperf3(client: &Netns, (server, address): (&Netns, &str), reverse: bool) -> Result<f64> {
    let mut command = server.command("iperf3");
    let listener = Process::spawn(command.args(["-s", "-1", "--forceflush", "-B", address]))?;
    wait_until("iperf3 server", Duration::from_secs(5), || {
        listener.output().contains("Server listening").then_some(())
    })?;
    let mut command = client.command("timeout");
    command.args(["20", "iperf3", "-c", address, "-t", "2", "-J"]);
    if reverse {
        command.arg("-R");
    }
    let report: Value = serde_json::from_str(&run(&mut command)?)?;
    report["end"]["sum_received"]["bits_per_second"]
        .as_f64()
        .with_context(|| format!("no rate in iperf3's report: {report}"))
}

/// 10 MB over HTTP arrive unchanged.
pub fn http_download(client: &Netns, (server, address): (&Netns, &str)) -> Result<()> {
    let scratch = Scratch::new()?;
    let sent: Vec<u8> =
        (0_u64..10 << 20).map(|i| (i.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8).collect();
    scratch.write("sent", &sent)?;
    let received = scratch.path().join("received");
    let mut command = server.command("python3");
    command.args(["-u", "-m", "http.server", "8000", "--bind", address, "--directory"]);
    let listener = Process::spawn(command.arg(scratch.path()))?;
    wait_until("HTTP server", Duration::from_secs(10), || {
        listener.output().contains("Serving HTTP").then_some(())
    })?;
    let mut command = client.command("curl");
    command.args(["--silent", "--show-error", "--fail", "--max-time", "15", "--output"]);
    run(command.arg(&received).arg(format!("http://{address}:8000/sent")))?;
    // The whole contents, where a user would compare hashes.
    ensure!(std::fs::read(&received)? == sent, "the download differs from the file");
    Ok(())
}

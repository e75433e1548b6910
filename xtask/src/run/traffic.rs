//! What crosses the overlay: ARP, ping and TCP between the two hosts.

use std::fmt;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use overlay_testbed::{Process, TwoGateways, mac_of, wait_until};
use serde_json::Value;

const PINGS: u32 = 5;
/// How long iperf3 may take beyond its own time.
const GRACE: Duration = Duration::from_secs(10);

/// Pings the second host from the first; every reply must come.
pub fn ping(bed: &TwoGateways) -> Result<String> {
    let far = TwoGateways::HOST2;
    let command = format!("ping -n -c {PINGS} -i 0.2 -W 2 {far}");
    let text = bed.host1.exec(&command).context("ping across the overlay")?;
    let told = |word: &str| text.lines().find(|line| line.contains(word)).unwrap_or("").to_owned();
    let (counts, times) = (told("packets transmitted"), told("rtt "));
    if !counts.contains(&format!("{PINGS} received")) {
        bail!("pings were lost: {counts}");
    }
    Ok(format!("ping {far}: {counts}; {times}"))
}

/// Looks whether the first host found out the second one's own MAC address.
pub fn arp(bed: &TwoGateways) -> Result<String> {
    let far = TwoGateways::HOST2;
    let neighbour = bed.host1.exec(&format!("ip -4 neigh show {far} dev eth0"))?;
    let own = mac_of(&bed.host2, "eth0")?.map(|byte| format!("{byte:02x}")).join(":");
    if !neighbour.contains(&own) {
        bail!("host2 has {own}, but host1 resolved {far} to: {}", neighbour.trim());
    }
    Ok(format!("ARP: host1 knows {far} at {own}, host2's own address"))
}

/// A running TCP transfer from the first host to the second.
pub struct Stream {
    client: Process,
    // After the client: it ends second.
    _server: Process,
    length: Duration,
}

impl Stream {
    /// Starts iperf3 on both hosts, for `length`.
    pub fn start(bed: &TwoGateways, length: Duration) -> Result<Self> {
        let server = Process::spawn(bed.host2.command("iperf3").args(["--server", "--one-off"]))?;
        wait_until("iperf3 server", GRACE, || {
            let listening = bed.host2.exec("ss -Hltn sport = :5201").ok()?;
            (!listening.trim().is_empty()).then_some(())
        })?;
        let seconds = length.as_secs().to_string();
        let mut client = bed.host1.command("iperf3");
        client.args(["--client", TwoGateways::HOST2, "--time", &seconds, "--json"]);
        let client = Process::spawn(&mut client)?;
        Ok(Self { client, _server: server, length })
    }

    /// Waits for the end and returns what came through.
    pub fn finish(self) -> Result<Report> {
        let status = self.client.wait(self.length + GRACE)?;
        let text = self.client.output();
        let result: Value = serde_json::from_str(&text)
            .with_context(|| format!("iperf3 printed something unexpected: {text}"))?;
        if !status.success() {
            bail!("iperf3 failed: {}", result["error"].as_str().unwrap_or("no reason given"));
        }
        let end = &result["end"];
        let report = Report {
            bits_per_second: end["sum_received"]["bits_per_second"].as_f64().unwrap_or(0.0),
            bytes: end["sum_received"]["bytes"].as_u64().unwrap_or(0),
            retransmits: end["sum_sent"]["retransmits"].as_u64().unwrap_or(0),
        };
        if report.bytes == 0 {
            bail!("no byte of TCP crossed the overlay");
        }
        Ok(report)
    }
}

/// What a TCP transfer achieved.
pub struct Report {
    bits_per_second: f64,
    bytes: u64,
    retransmits: u64,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let gigabits = self.bits_per_second / 1e9;
        let mebibytes = self.bytes >> 20;
        let again = self.retransmits;
        write!(f, "TCP {gigabits:.2} Gb/s, {mebibytes} MiB, {again} retransmits")
    }
}

/// Pings in both directions until dropped.
pub fn background(bed: &TwoGateways) -> Result<[Process; 2]> {
    let ping = |mut command: std::process::Command, far| {
        Process::spawn(command.args(["-n", "-q", "-i", "0.1", far]))
    };
    Ok([
        ping(bed.host1.command("ping"), TwoGateways::HOST2)?,
        ping(bed.host2.command("ping"), TwoGateways::HOST1)?,
    ])
}

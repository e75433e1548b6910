//! Two gateways and what is around them:
//!
//! ```text
//!  host1 ── eth1                    eth1 ── host2       a steady flow, both ways
//!  crowd1 ─ eth2  gw1 eth0 ══ eth0 gw2  eth2 ─ crowd2   stations by the hundred
//!  third ── eth3                    eth3 ── third       devices that are deleted
//! ```
//!
//! The first gateway's daemon is restarted again and again; the second's runs from the beginning
//! to the end, since what leaks slowly shows in a process that lives.

use std::os::unix::net::UnixStream;
use std::time::Duration;

use anyhow::{Context, Result};
use overlay_testbed::{Gateway, Netns, Process, RawSocket, TwoGateways, veth, wait_until};
use proptest::prelude::Rng as _;
use proptest::test_runner::{RngAlgorithm, TestRng};

use crate::harness::{Modes, Overlay, answers, prepare_uplinks};

/// Uplink, and access port of the flow.
const MODES: [Modes; 2] = [("xdp", "tc"), ("tc", "tc")];
/// Of the stations' ports.
const CROWDS: [&str; 2] = ["tc", "user"];
/// Silent stations are forgotten after so many seconds, the fewest there may be.
pub const AGEING: u64 = 10;
const NODE: &str = "fdb_entries = 4096\nageing = 10\n";
const RECOVERY: Duration = Duration::from_secs(30);

/// The networks, without gateways.
pub struct Around {
    pub testbed: TwoGateways,
    crowds: [Netns; 2],
    pub third: Netns,
}

/// The gateways, and those who do things to them.
pub struct Bed<'a> {
    pub around: &'a Around,
    pub gateways: [Overlay<'a>; 2],
    /// Where stations speak from.
    pub crowds: [RawSocket; 2],
    pub random: TestRng,
    /// Goes up by one with each thing that needs a name of its own.
    number: u32,
    /// Connections that nobody closes yet.
    pub held: Vec<UnixStream>,
    /// Between the hosts, all the time.
    _echoes: [Process; 2],
}

impl Around {
    pub fn new() -> Result<Self> {
        let testbed = TwoGateways::new()?;
        let crowds = [Netns::new("crowd1")?, Netns::new("crowd2")?];
        let third = Netns::new("third")?;
        let around = Self { testbed, crowds, third };
        for (side, crowd) in around.crowds.iter().enumerate() {
            veth(&around.gateway(side).netns, "eth2", crowd, "eth0")?;
            around.make_third(side)?;
        }
        prepare_uplinks(&around.testbed, &MODES.map(|(uplink, _)| uplink))?;
        Ok(around)
    }

    pub fn gateway(&self, side: usize) -> &Gateway {
        [&self.testbed.gw1, &self.testbed.gw2][side]
    }

    pub fn host(&self, side: usize) -> &Netns {
        [&self.testbed.host1, &self.testbed.host2][side]
    }

    /// Makes a gateway's eth3, whose other end is in the third namespace.
    pub fn make_third(&self, side: usize) -> Result<()> {
        veth(&self.gateway(side).netns, "eth3", &self.third, &format!("eth{side}"))
    }
}

impl<'a> Bed<'a> {
    pub fn new(around: &'a Around, seed: u64) -> Result<Self> {
        let start = |side: usize| {
            let gateway = around.gateway(side);
            Overlay::start(&gateway.netns, &gateway.name, &config(gateway, side, "tc", "", ""))
        };
        let gateways = [start(0)?, start(1)?];
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        let random = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
        let crowd = |side: usize| RawSocket::open(&around.crowds[side], "eth0");
        let echo = |side: usize, address: &str| {
            let mut ping = around.host(side).command("ping");
            Process::spawn(ping.args(["-q", "-i", "0.1", address]))
        };
        let echoes = [echo(0, TwoGateways::HOST2)?, echo(1, TwoGateways::HOST1)?];
        let crowds = [crowd(0)?, crowd(1)?];
        let held = Vec::new();
        let bed = Self { around, gateways, crowds, random, number: 0, held, _echoes: echoes };
        bed.recover()?;
        Ok(bed)
    }

    pub fn names(&self) -> [&'a str; 2] {
        [0, 1].map(|side| self.around.gateway(side).name.as_str())
    }

    /// Less than `most`.
    pub fn below(&mut self, most: usize) -> usize {
        (self.random.next_u64() % most as u64) as usize
    }

    /// One of the gateways.
    pub fn side(&mut self) -> usize {
        self.below(2)
    }

    /// A number that no other has.
    pub fn next(&mut self) -> u32 {
        self.number += 1;
        self.number
    }

    /// The configuration of a gateway with a mode for eth3, more in its segment, and more behind
    /// everything.
    pub fn config(&self, side: usize, third: &str, inside: &str, behind: &str) -> String {
        config(self.around.gateway(side), side, third, inside, behind)
    }

    /// Has a gateway be as it was at the beginning.
    pub fn restore(&self, side: usize) -> Result<()> {
        self.gateways[side].reload(&self.config(side, "tc", "", "")).map(drop)
    }

    /// Waits until hosts reach each other again.
    pub fn recover(&self) -> Result<()> {
        for ours in &self.gateways {
            wait_until("way between the gateways", RECOVERY, || {
                let peers = ours.show("peers").ok()?;
                let other = peers.iter().find(|peer| peer["name"] == "other")?;
                (other["state"] == "ready").then_some(())
            })
            .with_context(|| format!("{:?}\n{}", ours.show("peers"), ours.log()))?;
        }
        let reach = || {
            let [one, two] = [0, 1].map(|side| self.around.host(side));
            answers(one, TwoGateways::HOST2) && answers(two, TwoGateways::HOST1)
        };
        wait_until("echoes between the hosts", RECOVERY, || reach().then_some(()))
    }
}

fn config(gateway: &Gateway, side: usize, third: &str, inside: &str, behind: &str) -> String {
    let (uplink, access) = MODES[side];
    let other = [TwoGateways::VTEP2, TwoGateways::VTEP1][side];
    let config = gateway.config(uplink, access, &[("other", other)]);
    let port = |name: &str, mode: &str| {
        format!("[[segment.port]]\ninterface = \"{name}\"\nmode = \"{mode}\"\n\n")
    };
    let ports = port("eth2", CROWDS[side]) + &port("eth3", third);
    let config = config.replacen("[node]\n", &format!("[node]\n{NODE}"), 1);
    config.replacen("[[peer]]", &format!("{ports}{inside}\n[[peer]]"), 1) + "\n" + behind
}

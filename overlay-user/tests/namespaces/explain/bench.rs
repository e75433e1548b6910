//! A gateway with a fault, and the words for it.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use overlay_testbed::frame::{ethernet, ipv4_udp};
use overlay_testbed::{Netns, RawSocket, wait_until};
use serde_json::Value;

use crate::harness::{Overlay, TwoPorts};

/// Behind eth1.
pub const HOST: [u8; 6] = TwoPorts::FIRST;
/// Another.
pub const OTHER: [u8; 6] = [2, 0, 0, 0, 0, 5];
/// Behind the peer.
pub const FAR: [u8; 6] = [2, 0, 0, 0, 0, 0x77];
pub const ADDRESS: [u8; 4] = [10, 0, 0, 1];
pub const OTHER_ADDRESS: [u8; 4] = [10, 0, 0, 2];

/// What a change needs to be taken in.
const PATIENCE: Duration = Duration::from_secs(10);

/// A UDP packet of a host.
pub fn packet(to: [u8; 6], from: [u8; 6], source: [u8; 4], target: [u8; 4], port: u16) -> Vec<u8> {
    ethernet(to, from, 0x0800, &ipv4_udp((source, 7), (target, port), b"a question"))
}

/// Text without what makes it fit a terminal.
pub fn words(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Whether a text has all of these.
pub fn has(text: &str, wanted: &[&str]) -> Result<()> {
    let missing: Vec<&&str> = wanted.iter().filter(|words| !text.contains(**words)).collect();
    ensure!(missing.is_empty(), "without {missing:#?}:\n{text}");
    Ok(())
}

/// What stands in a text between backquotes and begins like this: a command to be run.
pub fn command<'a>(text: &'a str, begins: &str) -> Result<&'a str> {
    let quoted = text.split('`').skip(1).step_by(2);
    let mut found = quoted.filter(|quoted| quoted.starts_with(begins));
    found.next().with_context(|| format!("no `{begins}...` in: {text}"))
}

/// A gateway, and what is at the far ends of its devices.
pub struct Bench {
    ports: TwoPorts,
    underlay: RawSocket,
}

impl Bench {
    pub fn new() -> Result<Self> {
        let ports = TwoPorts::new()?;
        let underlay = RawSocket::open(&ports.outside, "eth0")?;
        Ok(Self { ports, underlay })
    }

    pub fn gateway(&self) -> &Netns {
        &self.ports.gateway
    }

    /// The configuration as [`TwoPorts::config`] has it.
    pub fn config(&self, node: &str, first: &str, ports: &str, peers: &str) -> String {
        self.ports.config(node, first, ports, peers)
    }

    pub fn run(&self, config: &str) -> Result<Overlay<'_>> {
        self.ports.run(config)
    }

    /// Without waiting for peers that are not there.
    pub fn start(&self, config: &str) -> Result<Overlay<'_>> {
        Overlay::start(&self.ports.gateway, self.ports.gateway.name(), config)
    }

    /// A station behind the peer.
    pub fn known(&self) -> String {
        "[[segment.fdb]]\nmac = \"02:00:00:00:00:77\"\npeer = \"peer\"\n".to_owned()
    }

    /// The far end of eth1 or eth2.
    pub fn ends(&self, number: usize) -> &RawSocket {
        &self.ports.ends[number - 1]
    }

    /// What `overlay trace --simulate` says, as words and as JSON.
    pub fn told(
        &self,
        ours: &Overlay<'_>,
        frame: &[u8],
        interface: Option<&str>,
    ) -> Result<(String, Value)> {
        let digits: String = frame.iter().map(|byte| format!("{byte:02x}")).collect();
        let mut arguments = vec!["trace", "--simulate", &digits];
        arguments.extend(interface.into_iter().flat_map(|interface| ["--interface", interface]));
        let text = ours.run(&arguments)?;
        let wide = text.lines().find(|line| line.chars().count() > 80 && line.contains(' '));
        // A word that is longer than a line is left whole.
        let wraps = |line: &str| line.split_whitespace().count() > 2;
        ensure!(!wide.is_some_and(wraps), "more than 80 columns: {wide:?}");
        arguments.push("--json");
        let json = ours.run(&arguments)?;
        let list: Vec<Value> = serde_json::from_str(&json).with_context(|| json.clone())?;
        let first = list.into_iter().next().context("one frame")?;
        println!("{text}");
        Ok((words(&text), first))
    }

    /// Asserts that a frame ends so, and returns the words; the reason may be `null`.
    pub fn fault(
        &self,
        ours: &Overlay<'_>,
        frame: &[u8],
        interface: &str,
        verdict: &str,
        reason: &str,
    ) -> Result<String> {
        let (text, json) = self.told(ours, frame, Some(interface))?;
        let is_reason = json["reason"].as_str().unwrap_or("null") == reason;
        ensure!(json["verdict"] == verdict && is_reason, "{json:#}");
        let fix = json["fix"].as_str().context("no fix")?;
        ensure!(text.ends_with(&words(fix)), "the fix is not the last that is said: {text}");
        Ok(text)
    }

    /// Waits until a frame is said to be forwarded, with these words.
    pub fn forwarded(
        &self,
        ours: &Overlay<'_>,
        frame: &[u8],
        interface: &str,
        wanted: &str,
    ) -> Result<()> {
        let is_so = || {
            let (text, json) = self.told(ours, frame, Some(interface)).ok()?;
            let verdict = json["verdict"].as_str()?.to_owned();
            (matches!(&*verdict, "transmit" | "deliver") && text.contains(wanted)).then_some(())
        };
        wait_until("frame that is forwarded", PATIENCE, is_so)
            .with_context(|| format!("{:?}", self.told(ours, frame, Some(interface))))
    }

    /// Sends a frame from the underlay, or from behind a port, and waits until it is counted as
    /// dropped for this reason.
    pub fn is_dropped(
        &self,
        ours: &Overlay<'_>,
        end: usize,
        frame: &[u8],
        reason: &str,
    ) -> Result<()> {
        let before = ours.drops()?.get(reason).copied().unwrap_or(0);
        match end {
            0 => self.underlay.send(frame)?,
            end => self.ends(end).send(frame)?,
        }
        wait_until(&format!("drop for {reason}"), PATIENCE, || {
            (*ours.drops().ok()?.get(reason)? > before).then_some(())
        })
    }

    /// Everything that frames leave traces in.
    pub fn traces(&self, ours: &Overlay<'_>) -> Result<Vec<Vec<Value>>> {
        let without_age = |mut row: Value| {
            if let Some(row) = row.as_object_mut() {
                row.remove("age");
            }
            row
        };
        ["ports", "peers", "fdb", "neighbours", "acls", "drops"]
            .into_iter()
            .map(|what| Ok(ours.show(what)?.into_iter().map(without_age).collect()))
            .collect()
    }
}

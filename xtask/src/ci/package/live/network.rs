//! The networks around a machine, and frames that the gateway in it forwards.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use nix::sys::signal::Signal;
use overlay_testbed::{Netns, Process, set_mtu, veth};

/// The longest that an answer may take; late is not lost.
const LATE: &str = "10";
const PATIENCE: Duration = Duration::from_secs(20);

/// A gateway's network with the devices that the configurations name, and what is on the other
/// ends: two hosts of a segment, and the underlay with another gateway's address.
pub struct Network {
    /// That of the machine.
    pub machine: Netns,
    near: Netns,
    _far: Netns,
    underlay: Netns,
}

impl Network {
    /// Makes them.
    pub fn new() -> Result<Self> {
        let machine = Netns::new("machine")?;
        let (near, far) = (Netns::new("near")?, Netns::new("far")?);
        let underlay = Netns::new("underlay")?;
        for (uplink, ours, theirs) in [
            ("eth0", "192.0.2.1/24", "192.0.2.2/24"),
            ("eth3", "198.51.100.1/24", "198.51.100.2/24"),
        ] {
            veth(&machine, uplink, &underlay, uplink)?;
            // Room for the tunnel's headers: nothing is to be warned of.
            set_mtu(&machine, uplink, 1600)?;
            set_mtu(&underlay, uplink, 1600)?;
            machine.exec(&format!("ip addr add {ours} dev {uplink}"))?;
            underlay.exec(&format!("ip addr add {theirs} dev {uplink}"))?;
        }
        for (port, host, address) in [("eth1", &near, "10.0.0.1/24"), ("eth2", &far, "10.0.0.2/24")]
        {
            veth(&machine, port, host, "eth0")?;
            host.exec(&format!("ip addr add {address} dev eth0"))?;
        }
        veth(&machine, "eth4", &underlay, "eth4")?;
        Ok(Self { machine, near, _far: far, underlay })
    }

    /// Adds a device that was not there before.
    pub fn add(&self, name: &str) -> Result<()> {
        veth(&self.machine, name, &self.underlay, name)
    }

    /// Whether a host reaches the other, now.
    pub fn forwards(&self) -> bool {
        self.near.exec("ping -q -c 3 -i 0.1 -W 1 10.0.0.2").is_ok()
    }

    /// Begins to send twenty frames a second from one host to the other, and back.
    pub fn stream(&self) -> Result<Process> {
        let mut ping = self.near.command("ping");
        Process::spawn(ping.args(["-q", "-i", "0.05", "-W", LATE, "10.0.0.2"]))
    }
}

/// Ends what [`Network::stream`] began: every frame has to have come back.
pub fn all_came(stream: &Process) -> Result<()> {
    stream.signal(Signal::SIGINT)?;
    stream.wait(PATIENCE)?;
    let said = stream.output();
    let numbers = said.lines().find_map(counted).with_context(|| format!("ping said {said}"))?;
    ensure!(
        numbers.0 > 100 && numbers.0 - numbers.1 <= 1,
        "of {} frames, {} came back; the last alone may be under way:\n{said}",
        numbers.0,
        numbers.1
    );
    println!("    {} frames from one host to the other, none lost", numbers.0);
    Ok(())
}

/// How many were sent, and how many came back.
fn counted(line: &str) -> Option<(u32, u32)> {
    let (sent, rest) = line.split_once(" packets transmitted, ")?;
    let (received, _) = rest.split_once(" received")?;
    Some((sent.parse().ok()?, received.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ping_counts_is_understood() {
        let line = "120 packets transmitted, 119 received, +1 errors, 0.8% packet loss, time 6 ms";
        assert_eq!(counted(line), Some((120, 119)));
        assert_eq!(counted("--- 10.0.0.2 ping statistics ---"), None);
    }
}

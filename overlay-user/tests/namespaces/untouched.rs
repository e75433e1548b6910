//! What is right already is not touched: the kernel tells everybody who listens what is changed on
//! devices, and at a restart, or a reload of the same, there is nothing to tell.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;
use overlay_testbed::{Process, TwoGateways, require_root, require_tools, wait_until};

use crate::harness::{Overlay, ping, prepare_uplinks};

const TOOLS: &[&str] = &["tc", "bridge", "ping"];

/// Everything that is changed on devices from now on.
struct Ears<'t> {
    testbed: &'t TwoGateways,
    ears: [Process; 2],
    marks: u32,
}

impl<'t> Ears<'t> {
    fn new(testbed: &'t TwoGateways) -> Result<Self> {
        let netns = &testbed.gw1.netns;
        let mut links = netns.command("ip");
        links.args(["-o", "monitor", "link", "address", "route", "rule"]);
        let mut qdiscs = netns.command("tc");
        qdiscs.arg("monitor");
        let ears = [Process::spawn(&mut links)?, Process::spawn(&mut qdiscs)?];
        let mut new = Self { testbed, ears, marks: 0 };
        wait_until("somebody who listens", Duration::from_secs(5), || {
            new.heard().ok()?.iter().all(|text| text.contains("mark")).then_some(())
        })?;
        Ok(new)
    }

    /// What was heard since the last time; each ear hears a change of ours at the end.
    fn since(&mut self) -> Result<String> {
        let last = format!("mark{}", self.marks);
        let heard = self.heard()?;
        let new = heard.iter().flat_map(|text| {
            let behind = text.rsplit_once(last.as_str()).map_or("", |(_, behind)| behind);
            behind.lines().skip(1).filter(|line| !line.contains("mark") && !line.trim().is_empty())
        });
        Ok(new.map(|line| format!("{line}\n")).collect())
    }

    fn heard(&mut self) -> Result<Vec<String>> {
        self.marks += 1;
        let (netns, mark) = (&self.testbed.gw1.netns, format!("mark{}", self.marks));
        netns.exec(&format!("ip link add {mark} type bridge"))?;
        netns.exec(&format!("tc qdisc add dev {mark} root handle 1: pfifo"))?;
        wait_until("the mark", Duration::from_secs(5), || {
            self.ears.iter().all(|ear| ear.output().contains(&mark)).then_some(())
        })?;
        Ok(self.ears.iter().map(Process::output).collect())
    }
}

#[test]
fn what_is_right_already_is_not_touched() -> Result<()> {
    let name = "what_is_right_already_is_not_touched";
    if !require_root(name) || !require_tools(name, TOOLS) {
        return Ok(());
    }
    for modes in [("tc", "tc"), ("xdp", "tc"), ("user", "user")] {
        let testbed = TwoGateways::new()?;
        testbed.gw2.bridge_vxlan(TwoGateways::VNI, &[TwoGateways::VTEP1])?;
        prepare_uplinks(&testbed, &[modes.0])?;
        let gateway = &testbed.gw1;
        let peers = [("kernel", TwoGateways::VTEP2)];
        let config = gateway.config(modes.0, modes.1, &peers);
        // A device that the gateway makes promiscuous.
        gateway.netns.exec("ip link add br1 type bridge")?;
        gateway.netns.exec("ip link set br1 up")?;
        let more = "[[segment.port]]\ninterface = \"br1\"\n\n[[peer]]";
        let config = config.replacen("[[peer]]", more, 1);
        let mut ears = Ears::new(&testbed)?;
        let mut ours = Overlay::start(&gateway.netns, &gateway.name, &config)?;
        ours.wait_for_peers()?;
        ping(&testbed.host1, TwoGateways::HOST2)?;
        let first = ears.since()?;
        ensure!(first.contains("PROMISC"), "the first start is not heard: {first:?}");
        let another = format!(
            "{config}\n[[peer]]\nname = \"more\"\nvtep = \"192.0.2.9\"\nsegments = [\"blue\"]\n"
        );
        for what in ["reload", "a peer", "SIGTERM", "SIGKILL"] {
            match what {
                "reload" => drop(ours.reload(&config)?),
                "a peer" => {
                    ours.reload(&another)?;
                    ours.reload(&config)?;
                }
                "SIGTERM" => {
                    ours.end(Signal::SIGTERM)?;
                    ours.restart()?;
                }
                _ => {
                    ours.kill()?;
                    ours.restart()?;
                }
            }
            ours.wait_for_peers()?;
            ping(&testbed.host1, TwoGateways::HOST2)?;
            let heard = ears.since()?;
            ensure!(heard.is_empty(), "{modes:?}, {what}: touched:\n{heard}");
        }
        ours.down().with_context(|| format!("{modes:?}"))?;
    }
    Ok(())
}

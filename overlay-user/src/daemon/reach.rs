//! Whether redirected frames reach the far end of veths on XDP, followed while
//! the daemon runs: nothing reports that a far end switched GRO on, or lost its
//! XDP program.
//!
//! A port that reaches its far end is left alone as long as the device takes
//! frames, or none are sent: whoever is there sees a probe only when it is in
//! doubt. A probe that does not arrive is seen by nobody.

use overlay_common::abi::Egress;

use super::Daemon;
use super::ports::Evidence;
use crate::netlink::Link;
use crate::netlink::link::Kind;

impl Daemon {
    /// Looks again at veths on XDP, and probes those that are in doubt.
    pub(super) fn follow_reach(&mut self) {
        let followed: Vec<(String, Link, bool, Evidence)> = self
            .ports
            .iter()
            .filter_map(|(name, port)| {
                let live = port.live.as_ref().filter(|live| live.attached.hook.is_xdp())?;
                let link = self.links.get(&live.ifindex)?;
                let reached = live.flags & Egress::XDP != 0;
                matches!(link.kind, Kind::Veth { .. })
                    .then(|| (name.clone(), link.clone(), reached, live.evidence))
            })
            .collect();
        for (name, link, reached, before) in followed {
            let now = self.evidence(&name, &link);
            if reached && (now.sent == before.sent || now.taken > before.taken) {
                self.keep_evidence(&name, now);
            } else if let Err(error) = self.refresh_egress(&name) {
                tracing::error!(interface = name, "{error:#}");
            }
        }
    }

    fn keep_evidence(&mut self, name: &str, evidence: Evidence) {
        if let Some(live) = self.ports.get_mut(name).and_then(|port| port.live.as_mut()) {
            live.evidence = evidence;
        }
    }

    /// What was sent through a device so far, and what it took.
    pub(super) fn evidence(&self, name: &str, link: &Link) -> Evidence {
        if !matches!(link.kind, Kind::Veth { .. }) {
            return Evidence::default();
        }
        let tables = &self.dataplane.tables;
        let ports = self.controller.ports_on(name).map(|id| tables.port_counters(id.0));
        let peers = self.controller.peers_over(name).map(|id| tables.peer_counters(id.0));
        let sent = ports.chain(peers).map(|counters| counters.tx_packets).sum();
        let taken = self.dataplane.redirected(link).ok().flatten().unwrap_or_default();
        Evidence { sent, taken }
    }
}

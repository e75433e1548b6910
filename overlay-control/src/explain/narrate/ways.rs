//! The ways out: to one peer, or to one port.

use overlay_common::abi::{Peer, Port, Way};
use overlay_common::verdict::Verdict;
use overlay_common::wire::Ethernet;

use super::{Narrator, Stage};
use crate::controller::PeerState;
use crate::explain::event::Event;

impl Narrator<'_> {
    pub(super) fn peer(&mut self, index: u32, peer: &Peer) {
        // The peer that it comes from is looked at for what fits back to it.
        if self.place.peer == Some(index) && !self.place.is_routed {
            return;
        }
        let view = self.words.peer_view(index);
        let asked = self.words.peer_at(index);
        if !peer.is_ready() {
            let why = view.filter(|view| view.state == PeerState::Unresolved).and_then(|v| v.why);
            let why = why.unwrap_or_else(|| "no way to it is known".to_owned());
            self.end(Stage::Encap, asked, format!("not ready: {why}"));
            return;
        }
        let mtu = u32::from(peer.max_frame).saturating_sub(Ethernet::LEN as u32);
        let fits = format!("ready, takes IP packets of {mtu} bytes");
        self.step(Stage::Encap, asked, fits);
    }

    pub(super) fn way(&mut self, way: &Way) {
        let device = self.words.device(way.egress.ifindex);
        self.step(
            Stage::Encap,
            "one of several ways, by flow",
            format!("{device}, {}", way.next_hop),
        );
    }

    pub(super) fn port(&mut self, at: usize, index: u32, port: &Port) {
        if !self.is_way_out(at) {
            return;
        }
        self.opened();
        let asked = format!("port {}", self.words.port(index).trim_start_matches("port "));
        if port.egress.ifindex == 0 {
            let found = match self.words.port_view(index) {
                Some(view) if view.ifindex.is_none() => "does not exist",
                Some(view) if view.up => "has no program yet",
                Some(_) => "down",
                None => "has no device now",
            };
            self.end(Stage::Deliver, asked, found);
            return;
        }
        let mtu = port.max_frame.saturating_sub(Ethernet::LEN as u32);
        let tag = match port.vlan {
            0 => String::new(),
            vlan => format!(", tagged with {}", self.words.vlan(vlan)),
        };
        self.step(Stage::Deliver, asked, format!("up, takes IP packets of {mtu} bytes{tag}"));
    }

    /// Whether a port is asked for to send out of it, and not as where something came from: that is
    /// asked for an answer.
    fn is_way_out(&self, at: usize) -> bool {
        !matches!(self.pass.events.get(at + 1), Some(Event::MayTell(_)))
    }

    /// Out of its tunnel.
    pub(super) fn opened(&mut self) {
        let Some(index) = self.place.peer.filter(|_| !self.place.is_open) else { return };
        self.place.is_open = true;
        if self.pass.result == Ok(Verdict::Defer) {
            return;
        }
        let marks = ["no congestion mark", "ECT(1)", "ECT(0)", "congestion mark carried inwards"];
        let mark = marks.get(usize::from(self.frame.ecn)).copied().unwrap_or_default();
        let asked = format!("outer headers of {}", self.words.peer(index));
        self.step(Stage::Decap, asked, format!("removed; {mark}"));
    }

    pub(super) fn may_tell(&mut self, may: bool) {
        let found = if may { "its sender is told what fits" } else { "its sender was told enough" };
        self.step(Stage::Answer, "too long for its way", found);
    }
}

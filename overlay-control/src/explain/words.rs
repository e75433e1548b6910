//! Names for what the tables have numbers for.

use std::net::IpAddr;

use overlay_common::abi::{PolicerKey, Target, TunnelPorts};
use overlay_common::id::{PeerId, PortId, SegmentId, Vlan};
use overlay_common::tables::Tables as _;
use overlay_common::wire::{Mac, TagKind};

use super::Live;
use crate::config::{Limits, Prefix};
use crate::controller::{Controller, Origin, PeerView, PortView, RuleAt};

/// The configuration's words.
#[derive(Clone, Copy)]
pub struct Words<'a> {
    /// The tables and whose they are.
    pub live: &'a Live<'a>,
}

impl<'a> Words<'a> {
    /// Whose tables they are.
    pub const fn controller(&self) -> Option<&'a Controller> {
        self.live.controller
    }

    /// A device's name.
    pub fn device(&self, ifindex: u32) -> String {
        let link = self.controller().and_then(|controller| controller.link_by(ifindex));
        link.map_or_else(|| format!("device {ifindex}"), |link| link.name.clone())
    }

    /// A port.
    pub fn port_view(&self, index: u32) -> Option<PortView> {
        self.controller()?.port_by(PortId(index))
    }

    /// A port's name: its device and VLAN.
    pub fn port(&self, index: u32) -> String {
        match self.port_view(index) {
            Some(view) => match view.vlan {
                Some(vlan) => format!("{} vlan {vlan}", view.interface),
                None => view.interface,
            },
            None => format!("port {index}"),
        }
    }

    /// A port's device.
    pub fn interface(&self, index: u32) -> String {
        self.port_view(index).map_or_else(|| format!("port {index}"), |view| view.interface)
    }

    /// A segment's name.
    pub fn segment(&self, index: u16) -> String {
        let named = self.controller().and_then(|own| own.segment_by(SegmentId(index)));
        named.map_or_else(|| format!("segment {index}"), |(name, _)| name.to_owned())
    }

    /// A segment's VNI.
    pub fn vni(&self, index: u16) -> u32 {
        self.live.tables.segment(index).map_or(0, |segment| segment.vni)
    }

    /// A peer.
    pub fn peer_view(&self, index: u32) -> Option<PeerView> {
        self.controller()?.peer_by(PeerId(index))
    }

    /// A peer's name.
    pub fn peer(&self, index: u32) -> String {
        self.peer_view(index).map_or_else(|| format!("peer {index}"), |view| view.name)
    }

    /// A peer's name, and its VTEP.
    pub fn peer_at(&self, index: u32) -> String {
        match self.peer_view(index) {
            Some(view) => format!("peer {} ({})", view.name, view.vtep),
            None => format!("peer {index}"),
        }
    }

    /// A port, a peer or a router.
    pub fn target(&self, target: Target) -> String {
        if target.is_router() {
            "the segment's router".to_owned()
        } else if target.is_peer() {
            self.peer_at(target.index())
        } else {
            format!("port {}", self.port(target.index()).trim_start_matches("port "))
        }
    }

    /// A VRF's name.
    pub fn vrf(&self, index: u16) -> String {
        let named = self.controller().and_then(|own| own.vrf_by(index));
        named.map_or_else(|| format!("VRF {index}"), |name| format!("VRF {name}"))
    }

    /// A rule of an access list.
    pub fn rule(&self, index: u32) -> Option<RuleAt> {
        self.controller()?.rule_by(index)
    }

    /// What is configured as limits.
    pub fn limits(&self, key: &PolicerKey) -> Option<Limits> {
        self.controller()?.limits_of(key)
    }

    /// Whose limits.
    pub fn limited(&self, key: &PolicerKey) -> String {
        match u16::try_from(key.segment) {
            Ok(0) | Err(_) => self.target(key.source),
            Ok(segment) => format!("segment {}", self.segment(segment)),
        }
    }

    /// The node's own addresses of this family, for people.
    pub fn vtep(&self) -> String {
        match self.controller() {
            Some(controller) => controller.config().node.vtep.to_string(),
            None => "this node's VTEP".to_owned(),
        }
    }

    /// Where tunnels arrive.
    pub fn tunnel_ports(&self) -> TunnelPorts {
        self.live.tables.node().map(|node| node.ports).unwrap_or_default()
    }

    /// The segment with a VNI.
    pub fn named_vni(&self, vni: u32) -> Option<String> {
        let segments = self.controller()?.config().segments.iter();
        segments.into_iter().find(|spec| spec.vni.value() == vni).map(|spec| spec.name.clone())
    }

    /// The segments, each with its VNI.
    pub fn vnis(&self) -> String {
        let Some(controller) = self.controller() else { return "those of its segments".to_owned() };
        listed(controller.config().segments.iter().map(|s| format!("{} ({})", s.vni, s.name)))
    }

    /// The peers, each with its VTEP.
    pub fn vteps(&self) -> String {
        let Some(controller) = self.controller() else { return "those of its peers".to_owned() };
        listed(
            controller.config().peers.iter().map(|peer| format!("{} ({})", peer.vtep, peer.name)),
        )
    }

    /// A VLAN as table entries have it, in words.
    pub fn vlan(&self, word: u16) -> String {
        match Vlan::from_word(word) {
            None => "untagged".to_owned(),
            Some(vlan) if vlan.kind() == TagKind::Service => {
                format!("VLAN {} (802.1ad)", vlan.id())
            }
            Some(vlan) => format!("VLAN {}", vlan.id()),
        }
    }

    /// What is known of an FDB entry beside its place.
    pub const fn origin(&self, origin: Origin) -> &'static str {
        match origin {
            Origin::Learned => "learnt",
            Origin::Configured => "static",
            Origin::Loaded => "loaded",
        }
    }

    /// A prefix of a route.
    pub fn prefix(&self, (address, len): (IpAddr, u8)) -> String {
        Prefix { address, len }.to_string()
    }

    /// Why a station would not be learnt, and what would let it be.
    pub fn unlearnable(&self, mac: Mac, segment: u16, source: Target) -> Option<[String; 2]> {
        self.controller()?.unlearnable(mac, segment, source)
    }
}

/// The most names that are listed.
const LISTED: usize = 6;

/// Names with commas between them, not too many.
pub fn listed(names: impl Iterator<Item = String>) -> String {
    let names: Vec<String> = names.collect();
    match names.len() {
        0 => "none".to_owned(),
        more if more > LISTED => {
            format!("{} and {} more", names[..LISTED].join(", "), more - LISTED)
        }
        _ => names.join(", "),
    }
}

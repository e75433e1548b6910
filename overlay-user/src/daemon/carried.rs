//! Counters that go on where a former process's stood.
//!
//! The programs count under indices in maps that each start makes anew. What was counted before is
//! kept where user space counts, in the mirror of the tables and in what is known of ports that are
//! gone, so that whoever adds the programs' counts to those sees the whole. What user space has
//! counted is in turn kept in the map `CARRIED`, for the next process: before it is shown to
//! anybody, so that nobody sees a counter fall.

use std::collections::{BTreeMap, HashMap};
use std::sync::PoisonError;

use aws_lc_rs::digest::{SHA256, digest};
use overlay_common::abi::{Carried, CarriedKey, Counters, DropKey, RuleCount};
use overlay_common::id::{SegmentId, Vlan};
use overlay_control::action::Action;

use super::Daemon;
use super::devices::{FORGOTTEN, GONE};
use crate::dataplane::carried::{Counted, device, packets};

/// What the indices of counters are of.
#[derive(Debug, Default)]
pub struct Carrier {
    named: Vec<(CarriedKey, Carried)>,
    vnis: HashMap<SegmentId, u32>,
    /// An index may be of something else by now.
    is_stale: bool,
}

impl Carrier {
    /// Takes note of a change of tables.
    pub fn note(&mut self, action: &Action) {
        self.is_stale |= matches!(
            action,
            Action::PutPort(..)
                | Action::DelPort(_)
                | Action::PutSegment(..)
                | Action::DelSegment(_)
                | Action::DelPeer(_)
                | Action::PutVtep(..)
                | Action::PutVtep6(..)
                | Action::PutFilter(..)
                | Action::DelFilter(_)
                | Action::CarryRule { .. }
                | Action::DelRule(_)
        );
    }
}

impl Daemon {
    /// Says what the indices are of, before any program counts under them.
    pub(super) fn name_counters(&mut self) -> anyhow::Result<()> {
        self.dataplane.tables.put_head(false)?;
        self.carrier.is_stale = true;
        self.keep_counters();
        Ok(())
    }

    /// Goes on with what a former process's programs have counted, none of which is attached any
    /// more, and what it had counted itself.
    pub(super) fn carry_counters(&mut self) -> anyhow::Result<()> {
        let mut former = self.dataplane.former_counters();
        let places = self.take_over_devices(std::mem::take(&mut former.devices));
        self.keep_counters();
        let mirror = self.mirror.read().unwrap_or_else(PoisonError::into_inner);
        for (key, entry) in &self.carrier.named {
            let Some(counted) = former.take(*key, entry) else { continue };
            match key.kind {
                CarriedKey::PORT => mirror.carry_port(key.number, counted),
                CarriedKey::PEER => mirror.carry_peer(key.number, counted),
                CarriedKey::RULE => {
                    let Counters { rx_packets: packets, rx_bytes: bytes, .. } = counted;
                    mirror.carry_rule(key.number, RuleCount { packets, bytes });
                }
                _ => {}
            }
        }
        drop(mirror);
        let segments: HashMap<u32, SegmentId> =
            self.carrier.vnis.iter().map(|(id, vni)| (*vni, *id)).collect();
        for (counted, former) in former.counters {
            match counted {
                // The port is none any more; that its segment counted it stays true.
                Counted::Port { vni, .. } | Counted::Segment(vni) => {
                    if let Some(id) = segments.get(&vni) {
                        self.gone.carry(*id, former);
                    }
                }
                Counted::OtherPeers => self.gone.other_peers = self.gone.other_peers + former,
                Counted::Drop(key) => {
                    let ifindex = self.place_of_drop(key.ifindex, &places);
                    let dropped = self.gone.drops.entry(DropKey { ifindex, ..key }).or_default();
                    *dropped += former.rx_packets;
                }
                Counted::Peer(_) | Counted::Rule(_) => {}
            }
        }
        self.keep_counters();
        self.dataplane.tables.put_head(true)
    }

    /// Which devices' drop counters stand under which numbers from now on: a device that was made
    /// again has another.
    fn take_over_devices(&mut self, former: HashMap<u32, String>) -> HashMap<u32, u32> {
        let mut places = HashMap::new();
        let mut gone = 0;
        let most = self.controller.config().metrics.series as usize;
        for (ifindex, name) in former.into_iter().collect::<BTreeMap<_, _>>() {
            if let Some(heir) = self.link_named(&name) {
                places.insert(ifindex, heir.ifindex);
            } else if self.links.contains_key(&ifindex) {
                places.insert(ifindex, ifindex);
            } else if gone < GONE {
                gone += 1;
                self.devices.put(ifindex, &name);
                self.devices.leave(ifindex);
                places.insert(ifindex, ifindex);
            } else {
                continue;
            }
            if self.gone.devices.len() < most {
                self.gone.devices.insert(name);
            }
        }
        places
    }

    fn place_of_drop(&self, ifindex: u32, places: &HashMap<u32, u32>) -> u32 {
        if ifindex == 0 || ifindex == FORGOTTEN {
            return ifindex;
        }
        let is_there = self.links.contains_key(&ifindex).then_some(ifindex);
        places.get(&ifindex).copied().or(is_there).unwrap_or(FORGOTTEN)
    }

    /// Keeps what user space has counted for whoever comes next, whatever end this process comes
    /// to.
    pub(super) fn keep_counters(&mut self) {
        if std::mem::take(&mut self.carrier.is_stale) {
            self.find_names();
        }
        let mut entries = self.named_entries();
        let segments = self.gone.segments().filter_map(|(id, counters)| {
            let (key, entry) = Counted::Segment(*self.carrier.vnis.get(&id)?).entry(0);
            Some((key, entry.with(counters)))
        });
        entries.extend(segments);
        let (key, entry) = Counted::OtherPeers.entry(0);
        entries.push((key, entry.with(self.gone.other_peers)));
        for (key, dropped) in self.own_drops() {
            let (key, entry) = Counted::Drop(key).entry(0);
            entries.push((key, entry.with(packets(dropped))));
        }
        let mut places: Vec<u32> = self.drops().into_keys().map(|key| key.ifindex).collect();
        places.dedup();
        let named = |ifindex: u32| Some(device(ifindex, self.devices.name(ifindex)?));
        entries.extend(places.into_iter().filter_map(named));
        let refused = self.dataplane.tables.keep_counters(entries);
        if refused > 0 {
            tracing::debug!(refused, "counters find no room in CARRIED");
        }
    }

    /// Of ports, peers and rules what user space has counted, less what the programs had counted
    /// under their indices for others.
    fn named_entries(&self) -> Vec<(CarriedKey, Carried)> {
        let (kernel, by_user) = (&self.dataplane.tables, &self.user_ports);
        let mirror = self.mirror.read().unwrap_or_else(PoisonError::into_inner);
        let counters = |key: &CarriedKey| match key.kind {
            CarriedKey::PORT => {
                let own = mirror.port_counters(key.number) + by_user.port_counters(key.number);
                own.wrapping_sub(kernel.former_port(key.number))
            }
            CarriedKey::PEER => {
                let own = mirror.peer_counters(key.number) + by_user.peer_counters(key.number);
                own.wrapping_sub(kernel.former_peer(key.number))
            }
            _ => {
                let mut own = mirror.rule_count(key.number);
                own.add(kernel.former_rules(key.number));
                Counters { rx_bytes: own.bytes, ..packets(own.packets) }
            }
        };
        let entry = |(key, entry): &(CarriedKey, Carried)| (*key, entry.with(counters(key)));
        self.carrier.named.iter().map(entry).collect()
    }

    /// Finds out what each index is of.
    fn find_names(&mut self) {
        let config = self.controller.config();
        let vnis: HashMap<&str, u32> =
            config.segments.iter().map(|s| (s.name.as_str(), s.vni.value())).collect();
        let mut named = Vec::new();
        for view in self.controller.ports() {
            let Some(id) = view.id else { continue };
            let vni = view.segment.as_deref().and_then(|segment| vnis.get(segment).copied());
            let vlan = Vlan::word(view.vlan);
            let port =
                Counted::Port { interface: view.interface, vni: vni.unwrap_or_default(), vlan };
            named.push(port.entry(id.0));
        }
        let peers = self.controller.peer_briefs();
        named.extend(peers.filter_map(|peer| Some(Counted::Peer(peer.vtep).entry(peer.id?.0))));
        let mut equal: HashMap<[u8; 16], u32> = HashMap::new();
        for view in self.controller.acls() {
            let says = format!("{} {} {}", view.segment, view.direction, view.line.key());
            // A list may say the same twice.
            let times = equal.entry(short_digest(&says)).or_default();
            let name = short_digest(&format!("{says} {times}"));
            *times += 1;
            named.extend(view.indices.into_iter().map(|index| Counted::Rule(name).entry(index)));
        }
        let segments = self.controller.segments().into_iter();
        self.carrier.vnis = segments.filter_map(|view| Some((view.id?, view.vni))).collect();
        self.carrier.named = named;
    }
}

fn short_digest(text: &str) -> [u8; 16] {
    let mut short = [0; 16];
    let long = digest(&SHA256, text.as_bytes());
    short.iter_mut().zip(long.as_ref()).for_each(|(to, from)| *to = *from);
    short
}

//! Counters that go on where a former process's stood.
//!
//! The programs count under indices in maps that each start makes anew. What was counted before is
//! kept where user space counts, in the mirror of the tables and in what is known of ports that are
//! gone, so that whoever adds the programs' counts to those sees the whole. What user space has
//! counted is in turn kept in the map `CARRIED`, for the next process: before it is shown to
//! anybody, so that nobody sees a counter fall.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::PoisonError;

use aws_lc_rs::digest::{SHA256, digest};
use overlay_common::abi::{Carried, CarriedKey, Counters, DropKey, RuleCount};
use overlay_common::id::{SegmentId, Vlan};
use overlay_common::tables::Tables as _;
use overlay_control::action::Action;
use overlay_control::tables::TableSet;

use super::Daemon;
use super::devices::{FORGOTTEN, GONE};
use crate::dataplane::carried::{Counted, device, packets};

/// What the indices of counters are of, and what has to be written of that.
#[derive(Debug, Default)]
pub struct Carrier {
    /// Ports and peers.
    places: Vec<(CarriedKey, Carried)>,
    /// Rules, whose names are dear.
    rules: Vec<(CarriedKey, Carried)>,
    vnis: HashMap<SegmentId, u32>,
    /// Names have been written once: there is something to go on with.
    has_begun: bool,
    /// An index may be of another port or peer by now.
    places_stale: bool,
    /// The same of rules.
    rules_stale: bool,
    /// What the programs had counted is somewhere else by now: it must not wait.
    is_due: bool,
    /// As of the last time.
    state: State,
}

/// What is another one whenever there may be something to write.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct State {
    counted: (u64, RuleCount),
    devices: u64,
    decisions: usize,
}

impl Carrier {
    /// Takes note of a change of tables.
    pub fn note(&mut self, action: &Action) {
        self.places_stale |= matches!(
            action,
            Action::PutPort(..)
                | Action::DelPort(_)
                | Action::PutSegment(..)
                | Action::DelSegment(_)
                | Action::DelPeer(_)
                | Action::PutVtep(..)
                | Action::PutVtep6(..)
        );
        self.rules_stale |= matches!(
            action,
            Action::PutFilter(..)
                | Action::DelFilter(_)
                | Action::CarryRule { .. }
                | Action::DelRule(_)
        );
        self.is_due |= matches!(
            action,
            Action::DelPort(_) | Action::DelPeer(_) | Action::CarryRule { .. } | Action::DelRule(_)
        );
    }

    /// What the programs had counted has been taken from them.
    pub const fn hurry(&mut self) {
        self.is_due = true;
    }
}

impl Daemon {
    /// Says what the indices are of, before any program counts under them.
    pub(super) fn name_counters(&mut self) -> anyhow::Result<()> {
        self.dataplane.tables.put_head(false)?;
        (self.carrier.places_stale, self.carrier.rules_stale) = (true, true);
        self.carrier.has_begun = true;
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
        for (key, entry) in self.carrier.places.iter().chain(&self.carrier.rules) {
            if let Some(Counted::Peer(vtep)) = Counted::of(*key, entry)
                && former.hidden.contains(&vtep)
            {
                self.gone.peers.hide(key.number);
            }
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
        for (counted, counted_before) in former.counters {
            match counted {
                // The port is none any more; that its segment counted it stays true.
                Counted::Port { vni, .. } | Counted::Segment(vni) => {
                    if let Some(id) = segments.get(&vni) {
                        self.gone.carry(*id, counted_before);
                    }
                }
                Counted::OtherPeers => {
                    self.gone.other_peers = self.gone.other_peers + counted_before;
                }
                Counted::Drop(key) => {
                    let ifindex = self.place_of_drop(key.ifindex, &places);
                    let dropped = self.gone.drops.entry(DropKey { ifindex, ..key }).or_default();
                    *dropped += counted_before.rx_packets;
                }
                Counted::Peer(vtep) if former.hidden.contains(&vtep) => {
                    self.gone.other_peers = self.gone.other_peers + counted_before;
                }
                Counted::Peer(_) | Counted::Rule(_) => {}
            }
        }
        self.keep_all_counters();
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

    /// Keeps at once what must not wait for the next second: what the programs had counted, and is
    /// taken from them.
    pub(super) fn keep_counters_if_due(&mut self) {
        if self.carrier.has_begun && std::mem::take(&mut self.carrier.is_due) {
            self.keep_counters();
        }
    }

    /// Keeps what user space has counted for whoever comes next, whatever end this process comes
    /// to: of what has changed since the last time, or all where names have.
    pub(super) fn keep_counters(&mut self) {
        let mirror = self.mirror.read().unwrap_or_else(PoisonError::into_inner);
        let counted = mirror.counted_times();
        drop(mirror);
        let (devices, decisions) = (self.devices.changes(), self.gone.peers.decisions());
        let state = State { counted, devices, decisions };
        let before = std::mem::replace(&mut self.carrier.state, state);
        let is_stale = self.carrier.places_stale || self.carrier.rules_stale;
        let are_all = is_stale || State { counted: before.counted, ..state } != before;
        // Threads count without taking note of where.
        if are_all || self.user_ports.has_counted() {
            return self.keep_all_counters();
        }
        let mut entries = self.sums();
        if before.counted != state.counted {
            entries.extend(self.entries_that_count());
        }
        self.write_counters(entries, false);
    }

    fn keep_all_counters(&mut self) {
        if std::mem::take(&mut self.carrier.places_stale) {
            self.find_places();
        }
        if std::mem::take(&mut self.carrier.rules_stale) {
            self.find_rules();
        }
        let mut entries = self.sums();
        let names = self.devices.names();
        let (places, rules) = (&self.carrier.places, &self.carrier.rules);
        entries.reserve(places.len() + rules.len() + names.len());
        // Rules come last: of those there may be most.
        entries.extend(names.iter().map(|(ifindex, name)| device(*ifindex, name)));
        let mirror = self.mirror.read().unwrap_or_else(PoisonError::into_inner);
        let with = |(key, entry): &(CarriedKey, Carried)| self.counting(&mirror, *key, entry);
        entries.extend(places.iter().chain(rules).map(with));
        drop(mirror);
        self.write_counters(entries, true);
    }

    fn write_counters(&mut self, entries: Vec<(CarriedKey, Carried)>, are_all: bool) {
        let refused = self.dataplane.tables.keep_counters(entries, are_all);
        if refused > 0 {
            tracing::debug!(refused, "counters find no room in CARRIED");
        }
    }

    /// What is counted of no port, peer or rule that is there.
    fn sums(&self) -> Vec<(CarriedKey, Carried)> {
        let segments = self.gone.segments().filter_map(|(id, counters)| {
            let (key, entry) = Counted::Segment(*self.carrier.vnis.get(&id)?).entry(0);
            Some((key, entry.with(counters)))
        });
        let mut entries: Vec<_> = segments.collect();
        let (key, entry) = Counted::OtherPeers.entry(0);
        entries.push((key, entry.with(self.gone.other_peers)));
        for (key, dropped) in self.own_drops() {
            let (key, entry) = Counted::Drop(key).entry(0);
            entries.push((key, entry.with(packets(dropped))));
        }
        entries
    }

    /// The entries of ports, peers and rules at which user space has counted something.
    fn entries_that_count(&self) -> Vec<(CarriedKey, Carried)> {
        let mirror = self.mirror.read().unwrap_or_else(PoisonError::into_inner);
        let kinds = [CarriedKey::PORT, CarriedKey::PEER, CarriedKey::RULE];
        let counted: HashSet<CarriedKey> = kinds
            .into_iter()
            .zip(mirror.counted())
            .flat_map(|(kind, indices)| {
                indices.into_iter().map(move |index| CarriedKey::new(kind, index))
            })
            .collect();
        let all = self.carrier.places.iter().chain(&self.carrier.rules);
        let counted = all.filter(|(key, _)| counted.contains(key));
        counted.map(|(key, entry)| self.counting(&mirror, *key, entry)).collect()
    }

    /// An entry with what user space has counted, less what the programs had counted under its
    /// index for another.
    fn counting(
        &self,
        mirror: &TableSet,
        key: CarriedKey,
        entry: &Carried,
    ) -> (CarriedKey, Carried) {
        let (kernel, by_user, index) = (&self.dataplane.tables, &self.user_ports, key.number);
        let mut entry = *entry;
        let counters = match key.kind {
            CarriedKey::PORT => {
                let own = mirror.port_counters(index) + by_user.port_counters(index);
                own.wrapping_sub(kernel.former_port(index))
            }
            CarriedKey::PEER => {
                entry.hidden = u16::from(self.gone.peers.is_hidden(index));
                let own = mirror.peer_counters(index) + by_user.peer_counters(index);
                own.wrapping_sub(kernel.former_peer(index))
            }
            _ => {
                let mut own = mirror.rule_count(index);
                own.add(kernel.former_rules(index));
                Counters { rx_bytes: own.bytes, ..packets(own.packets) }
            }
        };
        (key, entry.with(counters))
    }

    /// Finds out what each index of ports and peers is of. One that the configuration has no more
    /// keeps its name until its index is free, since its frames are counted nowhere else till then.
    fn find_places(&mut self) {
        let config = self.controller.config();
        let vnis: HashMap<&str, u32> =
            config.segments.iter().map(|s| (s.name.as_str(), s.vni.value())).collect();
        let mut places = Vec::new();
        for view in self.controller.ports() {
            let Some(id) = view.id else { continue };
            let vni = view.segment.as_deref().and_then(|segment| vnis.get(segment).copied());
            let vlan = Vlan::word(view.vlan);
            let port =
                Counted::Port { interface: view.interface, vni: vni.unwrap_or_default(), vlan };
            places.push(port.entry(id.0));
        }
        let peers = self.controller.peer_briefs();
        places.extend(peers.filter_map(|peer| Some(Counted::Peer(peer.vtep).entry(peer.id?.0))));
        let named: HashSet<CarriedKey> = places.iter().map(|(key, _)| *key).collect();
        let mirror = self.mirror.read().unwrap_or_else(PoisonError::into_inner);
        let is_there = |key: CarriedKey| match key.kind {
            CarriedKey::PORT => mirror.port(key.number).is_some_and(|port| port.segment != 0),
            _ => mirror.peer(key.number).is_some(),
        };
        let former = std::mem::take(&mut self.carrier.places).into_iter();
        places.extend(former.filter(|(key, _)| !named.contains(key) && is_there(*key)));
        drop(mirror);
        let segments = self.controller.segments().into_iter();
        self.carrier.vnis = segments.filter_map(|view| Some((view.id?, view.vni))).collect();
        self.carrier.places = places;
    }

    /// The same of rules.
    fn find_rules(&mut self) {
        let mut rules = Vec::new();
        let mut equal: HashMap<[u8; 16], u32> = HashMap::new();
        for view in self.controller.acls() {
            let says = format!("{} {} {}", view.segment, view.direction, view.line.key());
            // A list may say the same twice.
            let times = equal.entry(short_digest(&says)).or_default();
            let name = short_digest(&format!("{says} {times}"));
            *times += 1;
            rules.extend(view.indices.into_iter().map(|index| Counted::Rule(name).entry(index)));
        }
        self.carrier.rules = rules;
    }
}

fn short_digest(text: &str) -> [u8; 16] {
    let mut short = [0; 16];
    let long = digest(&SHA256, text.as_bytes());
    short.iter_mut().zip(long.as_ref()).for_each(|(to, from)| *to = *from);
    short
}

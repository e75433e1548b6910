//! What would become of a frame, by the tables as they are.

use std::sync::PoisonError;

use overlay_common::abi::{Egress, Hook, Outcome, PolicerKey};
use overlay_common::id::PortId;
use overlay_common::tables::Tables as _;
use overlay_common::verdict::{DropReason, Verdict};
use overlay_common::wire::{Tag, TagKind};
use overlay_control::controller::Role;
use overlay_control::explain::{Capture, Explanation, Headers, Live, explain};
use overlay_control::tables::TableSet;

use super::Daemon;
use crate::api::problem::{Kind, Problem};
use crate::api::trace::{Explained, SimulatedFrame};
use crate::clock;
use crate::dataplane::hook;
use crate::watch::Observed;

impl Daemon {
    /// Explains a frame, and changes nothing.
    pub(super) fn simulate(&self, frame: &SimulatedFrame) -> Result<Explained, Problem> {
        let mirror = self.mirror.read().unwrap_or_else(PoisonError::into_inner);
        let (interface, assumed) = match &frame.interface {
            Some(interface) => (interface.clone(), None),
            None => {
                let (interface, why) = self.ingress_of(frame, &mirror)?;
                (interface, Some(why))
            }
        };
        let Some(port) = self.ports.get(&interface) else {
            return Err(self.no_such_port(&interface));
        };
        let Some(link) = self.link_named(&interface) else {
            let detail =
                format!("{interface} does not exist on this host, so nothing comes in by it");
            return Err(Problem::new(Kind::Conflict, detail));
        };
        let live = port.live.as_ref().map(|live| live.attached.hook);
        let hook = frame.hook.unwrap_or_else(|| where_the_path_runs(live));
        let capture = Capture {
            len: frame.len,
            ..Capture::new(&frame.bytes, link.ifindex, port.wanted.role, hook)
        };
        let mut told = Explained::from(&self.explained(&capture, &mirror));
        told.assumed = assumed;
        if live.is_none() {
            let why = port.why(Some(link));
            told.notes.push(format!(
                "no program is attached to {interface} now ({why}), so the host has its frames"
            ));
        }
        if !link.up {
            told.notes.push(format!("{interface} is down now, so nothing comes in by it"));
        }
        Ok(told)
    }

    /// Explains a frame that has passed, or has not; `None` where its device is no port, and of one
    /// that was out of its tunnel already when it was first told of: whose it was is gone then.
    pub(super) fn explain_observed(&self, observed: &Observed) -> Option<Explained> {
        let mirror = self.mirror.read().unwrap_or_else(PoisonError::into_inner);
        let name = self.devices.name(observed.ifindex)?;
        let role = self.ports.get(name)?.wanted.role;
        let before = &observed.before;
        if role == Role::Uplink && observed.was_late() && !self.is_tunnel(&before.captured, &mirror)
        {
            return None;
        }
        let capture = Capture {
            len: before.len,
            stripped_vlan: (before.vlan != 0).then(|| Tag::new(TagKind::Customer, before.vlan)),
            gso_size: u32::from(before.gso_size),
            said: said(observed),
            ..Capture::new(&before.captured, observed.ifindex, role, observed.hook?)
        };
        Some(Explained::from(&self.explained(&capture, &mirror)))
    }

    /// Explains a frame that came in so, or might, by the mirror and what the kernel alone knows.
    pub(super) fn explained(&self, capture: &Capture<'_>, mirror: &TableSet) -> Explanation {
        let in_kernel = |key: &PolicerKey| match capture.hook {
            Hook::User => None,
            Hook::Xdp | Hook::Tc => self.dataplane.tables.policer(*key),
        };
        let live = Live {
            tables: mirror,
            controller: Some(&self.controller),
            now: clock::now(),
            levels: &in_kernel,
        };
        explain(capture, &live)
    }

    /// Whether a frame is a tunnel's to this gateway.
    fn is_tunnel(&self, frame: &[u8], tables: &TableSet) -> bool {
        let headers = Headers::of(frame);
        let node = self.controller.config().node.vtep;
        let ports = tables.node().map(|node| node.ports).unwrap_or_default();
        let to_us = headers.ends.is_some_and(|[_, to]| node.iter().any(|own| own == to));
        to_us && ports.encap(headers.ports.map_or(0, |[_, to]| to)).is_some()
    }

    fn no_such_port(&self, interface: &str) -> Problem {
        let names: Vec<&str> = self.ports.keys().map(String::as_str).collect();
        let detail =
            format!("{interface} is no port of this gateway; its ports: {}", names.join(", "));
        Problem::new(Kind::Configuration, detail)
    }

    /// Where a frame must have come in, if only one device is possible, and why that.
    fn ingress_of(
        &self,
        frame: &SimulatedFrame,
        tables: &TableSet,
    ) -> Result<(String, String), Problem> {
        let of_role = |has: fn(Role) -> bool| {
            let ports = self.ports.iter().filter(move |(_, port)| has(port.wanted.role));
            ports.map(|(name, _)| name.clone()).collect::<Vec<_>>()
        };
        let headers = Headers::of(&frame.bytes);
        if self.is_tunnel(&frame.bytes, tables) {
            let why = "it is a tunnel to this gateway, and this the only uplink";
            return only(of_role(Role::has_uplink), why);
        }
        let source = headers.source();
        let behind = tables.fdb_entries().filter(|(key, entry)| {
            Some(key.station()) == source && !entry.target.is_peer() && !entry.target.is_router()
        });
        let mut known: Vec<String> = behind
            .filter_map(|(_, entry)| self.controller.port_by(PortId(entry.target.index())))
            .map(|view| view.interface)
            .collect();
        known.sort_unstable();
        known.dedup();
        if let [_] = &known[..] {
            let mac = source.map(|mac| mac.to_string()).unwrap_or_default();
            return only(known, &format!("the FDB has its source {mac} there"));
        }
        only(of_role(Role::has_access), "it is the only device with access ports")
    }
}

/// What became of a frame, as the path says it.
fn said(observed: &Observed) -> Option<Result<Verdict, DropReason>> {
    let egress = Egress { ifindex: observed.egress, flags: 0 };
    Some(match observed.outcome? {
        Outcome::Pass => Ok(Verdict::Pass),
        Outcome::Defer => Ok(Verdict::Defer),
        Outcome::Transmit => Ok(Verdict::Transmit(egress)),
        Outcome::Deliver => Ok(Verdict::Deliver(egress)),
        Outcome::Consumed => Ok(Verdict::Consumed),
        Outcome::Drop => Err(observed.reason?),
    })
}

fn only(mut candidates: Vec<String>, why: &str) -> Result<(String, String), Problem> {
    match candidates.len() {
        1 => Ok((candidates.remove(0), why.to_owned())),
        _ => {
            let names = candidates.join(", ");
            let detail = format!(
                "the frame may come in by several devices: say which with interface \
                 (--interface): {names}"
            );
            Err(Problem::new(Kind::Configuration, detail))
        }
    }
}

/// Where the path of a port runs. One without a program is taken for one on tc.
const fn where_the_path_runs(hook: Option<hook::Hook>) -> Hook {
    match hook {
        Some(hook::Hook::Xdp | hook::Hook::XdpGeneric) => Hook::Xdp,
        Some(hook::Hook::User | hook::Hook::UserXdp) => Hook::User,
        Some(hook::Hook::Tc) | None => Hook::Tc,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_several_devices_somebody_has_to_say_which() {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let (one, why) = only(names(&["eth1"]), "it is the only one").unwrap();
        assert_eq!((&*one, &*why), ("eth1", "it is the only one"));
        let refused = only(names(&["eth1", "eth2"]), "").unwrap_err();
        assert_eq!(
            refused.detail,
            "the frame may come in by several devices: say which with interface (--interface): \
             eth1, eth2"
        );
    }
}

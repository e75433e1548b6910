//! What is written down of devices before they are changed: whatever end a process comes
//! to, the next one knows what to take over, and what to undo.

use std::collections::BTreeMap;

use anyhow::Result;

use super::Daemon;
use crate::dataplane::features::Feature;
use crate::dataplane::filter::Filter;
use crate::dataplane::hook;
use crate::state::{DeviceState, FilterState, State, own_netns};

/// Devices that were changed, or are about to be.
#[derive(Debug, Default)]
pub struct Ledger {
    /// By their names.
    devices: BTreeMap<String, DeviceState>,
    /// Why it could not be written the last time.
    unwritten: Option<String>,
}

impl Ledger {
    /// What a former process wrote.
    pub fn of(state: State) -> Self {
        let named = state.devices.into_iter().map(|device| (device.interface.clone(), device));
        Self { devices: named.collect(), unwritten: None }
    }

    /// What was changed on a device.
    pub fn device(&self, name: &str, ifindex: u32) -> Option<&DeviceState> {
        self.devices.get(name).filter(|device| device.ifindex == ifindex)
    }

    /// Replaces what is known of a device.
    pub fn put(&mut self, device: DeviceState) {
        self.devices.insert(device.interface.clone(), device);
    }

    /// Forgets a device.
    pub fn remove(&mut self, name: &str) -> Option<DeviceState> {
        self.devices.remove(name)
    }

    /// Takes out the devices that are not `wanted`.
    pub fn take_others(&mut self, wanted: impl Fn(&DeviceState) -> bool) -> Vec<DeviceState> {
        let (ours, others) =
            std::mem::take(&mut self.devices).into_iter().partition(|(_, device)| wanted(device));
        self.devices = ours;
        others.into_values().collect()
    }

    /// A device is gone, and what was attached to it: with what else was changed on it, it may
    /// come back from another network namespace.
    pub fn gone(&mut self, name: &str) {
        if let Some(device) = self.devices.get_mut(name) {
            device.filter = None;
            if !device.made_promiscuous {
                self.devices.remove(name);
            }
        }
    }

    /// Why what is on the disk is another than this.
    pub fn unwritten(&self) -> Option<&str> {
        self.unwritten.as_deref()
    }

    fn state(&self) -> State {
        State { netns: own_netns(), devices: self.devices.values().cloned().collect() }
    }
}

impl Daemon {
    /// Writes down what is about to be changed on ports' devices, and returns what was
    /// changed there before. What cannot be written down is not intended.
    pub(super) async fn intend(
        &mut self,
        names: &[String],
    ) -> Result<BTreeMap<String, DeviceState>> {
        let clsacts = if self.uses_filters() { Some(self.netlink.clsacts().await?) } else { None };
        let mut before = BTreeMap::new();
        let unchanged = self.ledger.devices.clone();
        for name in names {
            let (Some(link), Some(port)) = (self.link_named(name).cloned(), self.ports.get(name))
            else {
                continue;
            };
            let former = self.ledger.device(name, link.ifindex).cloned();
            let known = former.as_ref().and_then(|former| former.filter);
            let filter = clsacts
                .as_ref()
                .map(|clsacts| intended_filter(known, !clsacts.contains(&link.ifindex)));
            // The hook of a former process is what its pins go by until it is changed.
            let hook = hook::choose(port.wanted.mode, link.kind).hook.name().to_owned();
            let was_made = former.as_ref().is_some_and(|former| former.made_promiscuous);
            self.ledger.put(DeviceState {
                interface: name.clone(),
                ifindex: link.ifindex,
                mac: Some(link.mac),
                hook: former.as_ref().map_or(hook, |former| former.hook.clone()),
                made_promiscuous: was_made || link.must_become_promiscuous(port.wanted.role),
                filter: filter.or(known),
            });
            before.extend(former.map(|former| (name.clone(), former)));
        }
        if let Err(error) = self.write_ledger() {
            self.ledger.devices = unchanged;
            return Err(error);
        }
        Ok(before)
    }

    /// Writes down what is changed now.
    pub(super) fn write_ledger(&self) -> Result<()> {
        self.ledger.state().write(&self.instance.state())
    }

    /// The same, where what was done stays done: the tick tries again, and the health says so until
    /// then.
    pub(super) fn keep_ledger(&mut self) {
        let failure = self.write_ledger().err().map(|error| format!("{error:#}"));
        if let Some(failure) = failure.as_ref().filter(|_| self.ledger.unwritten != failure) {
            tracing::error!("{failure}");
        }
        self.ledger.unwritten = failure;
    }

    /// Whether tc programs are filters, for want of tcx.
    pub(super) fn uses_filters(&self) -> bool {
        !self.dataplane.features().has(Feature::Tcx)
    }
}

fn intended_filter(known: Option<FilterState>, makes_clsact: bool) -> FilterState {
    match known {
        Some(known) => FilterState { made_clsact: known.made_clsact || makes_clsact, ..known },
        None => Filter::intended(makes_clsact).into(),
    }
}

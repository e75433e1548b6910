//! What is written down of devices before they are changed: whatever end a process comes
//! to, the next one knows what to take over, and what to undo.

use std::collections::BTreeMap;

use anyhow::Result;

use super::Daemon;
use crate::dataplane::features::Feature;
use crate::dataplane::filter::Filter;
use crate::dataplane::hook;
use crate::state::{DeviceState, FilterState, State, own_netns};

/// Devices that were changed, or are about to be, by their names.
#[derive(Debug, Default)]
pub struct Ledger(BTreeMap<String, DeviceState>);

impl Ledger {
    /// What a former process wrote.
    pub fn of(state: State) -> Self {
        Self(state.devices.into_iter().map(|device| (device.interface.clone(), device)).collect())
    }

    /// What was changed on a device.
    pub fn device(&self, name: &str, ifindex: u32) -> Option<&DeviceState> {
        self.0.get(name).filter(|device| device.ifindex == ifindex)
    }

    /// Replaces what is known of a device.
    pub fn put(&mut self, device: DeviceState) {
        self.0.insert(device.interface.clone(), device);
    }

    /// Forgets a device.
    pub fn remove(&mut self, name: &str) -> Option<DeviceState> {
        self.0.remove(name)
    }

    /// Takes out the devices that are not `wanted`.
    pub fn take_others(&mut self, wanted: impl Fn(&DeviceState) -> bool) -> Vec<DeviceState> {
        let (ours, others) =
            std::mem::take(&mut self.0).into_iter().partition(|(_, device)| wanted(device));
        self.0 = ours;
        others.into_values().collect()
    }

    /// A device is gone, and what was attached to it: with what else was changed on it, it may
    /// come back from another network namespace.
    pub fn gone(&mut self, name: &str) {
        if let Some(device) = self.0.get_mut(name) {
            device.filter = None;
            if !device.made_promiscuous {
                self.0.remove(name);
            }
        }
    }

    fn state(&self) -> State {
        State { netns: own_netns(), devices: self.0.values().cloned().collect() }
    }
}

impl Daemon {
    /// Writes down what is about to be changed on ports' devices, and returns what was
    /// changed there before.
    pub(super) async fn intend(
        &mut self,
        names: &[String],
    ) -> Result<BTreeMap<String, DeviceState>> {
        let clsacts = if self.uses_filters() { Some(self.netlink.clsacts().await?) } else { None };
        let mut before = BTreeMap::new();
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
        self.write_ledger()?;
        Ok(before)
    }

    /// Writes down what is changed now.
    pub(super) fn write_ledger(&self) -> Result<()> {
        self.ledger.state().write(&self.instance.state())
    }

    /// The same, where there is nobody to tell but the log.
    pub(super) fn keep_ledger(&self) {
        if let Err(error) = self.write_ledger() {
            tracing::error!("{error:#}");
        }
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

//! Leaving nothing behind.

use anyhow::{Context as _, Result};

use super::Daemon;
use crate::dataplane::attach::FormerFilter;
use crate::dataplane::pins::Pins;
use crate::dataplane::{bpffs, filter};
use crate::instance::Instance;
use crate::learnt;
use crate::netlink::filter::BpfFilter;
use crate::netlink::{Lost, Netlink};
use crate::state::{DeviceState, FilterState, State, own_netns};

impl Daemon {
    /// Detaches and unpins everything, and says what. Uplinks go first, so that
    /// nothing arrives for ports that are gone.
    pub(super) async fn remove(mut self) -> Result<Vec<String>> {
        let mut ports: Vec<_> = std::mem::take(&mut self.ports).into_iter().collect();
        ports.sort_by_key(|(_, port)| !port.wanted.role.has_uplink());
        let mut changes = Vec::new();
        for (name, port) in ports {
            if let Some(live) = port.live {
                self.detach(&name, &live).await;
                changes.push(format!("detached {} from {name}", live.attached.hook.name()));
            }
        }
        for device in self.ledger.take_others(|_| false) {
            restore(&self.netlink, &device).await;
        }
        self.readers = None;
        self.datagrams = None;
        self.forget_learnt().await;
        let removed = self.dataplane.remove();
        State::remove(&self.instance.state());
        let _ = std::fs::remove_file(self.instance.socket());
        removed.map(|()| changes)
    }

    /// Gives a failed start up without ending what a former process left: its
    /// programs take their places again, and only then go the maps and the readers
    /// of the new ones. What is new is detached.
    pub(super) async fn retreat(mut self, left: &State) {
        let ports = std::mem::take(&mut self.ports);
        for device in &left.devices {
            self.stop_user(device.ifindex);
        }
        let back = self.dataplane.go_back();
        for device in left.devices.iter().filter(|device| back.contains(&device.ifindex)) {
            self.is_back(device).await;
        }
        for (name, port) in ports {
            let Some(live) = port.live else { continue };
            if left.device(&name, live.ifindex).is_none() {
                self.detach(&name, &live).await;
            }
        }
        if let Err(error) = self.dataplane.discard_new_maps() {
            tracing::error!("{error:#}");
        }
        self.keep_ledger();
        self.readers = None;
        self.datagrams = None;
        let _ = std::fs::remove_file(self.instance.socket());
        tracing::warn!(
            "what a former process of {0} attached forwards on; overlay down --name {0} removes it",
            self.instance.name
        );
    }

    /// A device has its former programs again: undoes what else was changed, and no more.
    async fn is_back(&mut self, former: &DeviceState) {
        if let Some(changed) = self.ledger.remove(&former.interface) {
            let changed = DeviceState {
                made_promiscuous: changed.made_promiscuous && !former.made_promiscuous,
                filter: changed.filter.filter(|_| former.filter.is_none()),
                ..changed
            };
            undo(&self.netlink, &changed).await;
        }
        self.ledger.put(former.clone());
    }
}

/// Removes what a dead daemon left, and says what. The caller holds the
/// instance's lock.
pub async fn of_dead(instance: &Instance) -> Result<Vec<String>> {
    let mut changes = Vec::new();
    let state = State::read(&instance.state());
    let pins = bpffs::find().map(|bpffs| Pins::new(&bpffs, &instance.name));
    if let Some(pins) = pins.filter(Pins::exist) {
        pins.remove()?;
        changes.push(format!("detached and unpinned the programs of {}", instance.name));
    }
    if let Some(state) = state {
        let netlink = Netlink::open()?;
        let here = state.netns == own_netns();
        for device in state.devices.iter().filter(|device| needs_restoring(device)) {
            if here {
                if restore(&netlink, device).await {
                    changes.push(format!("restored the settings of {}", device.interface));
                }
            } else {
                changes.push(format!(
                    "left as it is: {} in another network namespace ({}); run this there",
                    device.interface, state.netns
                ));
            }
        }
    }
    learnt::write::remove(&instance.learnt());
    let (written, socket) = (instance.state(), instance.socket());
    let files =
        [(State::remove(&written), written), (std::fs::remove_file(&socket).is_ok(), socket)];
    for (_, file) in files.iter().filter(|(was_there, _)| *was_there) {
        changes.push(format!("removed {}", file.display()));
    }
    Ok(changes)
}

fn needs_restoring(device: &DeviceState) -> bool {
    device.made_promiscuous || device.filter.is_some()
}

/// Undoes what a former process changed on a device beside its links, and says whether it is
/// there. It may be gone, and another may have its index by now, or have another name; its filter
/// may be gone, and another may have its place.
pub async fn restore(netlink: &Netlink, device: &DeviceState) -> bool {
    let found = match netlink.link(device.ifindex).await {
        // The next question goes over another socket.
        Err(Lost) => netlink.link(device.ifindex).await,
        found => found,
    };
    let Ok(Some(link)) = found else { return false };
    if link.name != device.interface && device.mac != Some(link.mac) {
        return false;
    }
    if let Some(place) = device.filter
        && has_filter(netlink, device.ifindex, place).await.unwrap_or(false)
    {
        filter::remove(&link.name, place.into());
    }
    undo(netlink, device).await;
    true
}

/// Undoes the rest, once the programs are detached.
pub async fn undo(netlink: &Netlink, device: &DeviceState) {
    if device.filter.is_some_and(|filter| filter.made_clsact) {
        let _ = netlink.remove_idle_clsact(device.ifindex).await;
    }
    if device.made_promiscuous {
        let _ = netlink.set_promiscuous(device.ifindex, false).await;
    }
}

/// Whether a gateway's filter is at a place.
pub async fn has_filter(netlink: &Netlink, ifindex: u32, place: FilterState) -> Result<bool> {
    Ok(at(netlink, ifindex, place).await?.is_some())
}

/// The gateway's filter at a place, to be put back there.
pub async fn found(
    netlink: &Netlink,
    ifindex: u32,
    place: FilterState,
) -> Result<Option<FormerFilter>> {
    let Some(found) = at(netlink, ifindex, place).await? else { return Ok(None) };
    let program = found.program.context("the kernel does not tell a filter's program")?;
    Ok(Some(FormerFilter { place: place.into(), name: found.name, program }))
}

async fn at(netlink: &Netlink, ifindex: u32, place: FilterState) -> Result<Option<BpfFilter>> {
    let filters = netlink.ingress_filters(ifindex).await?;
    Ok(filters.into_iter().find(|found| {
        (found.priority, found.handle) == (place.priority, place.handle)
            && filter::is_ours(&found.name)
    }))
}

//! From a configuration file to attached programs.
//!
//! The tables are complete before the first program is attached or replaced, so
//! that no frame meets half of them, and what a former process left keeps
//! forwarding until then.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;
use std::sync::{Arc, RwLock};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail};
use overlay_control::controller::Controller;
use overlay_control::tables::TableSet;
use serde_json::json;

use super::carried::Carrier;
use super::counted::Gone;
use super::devices::Devices;
use super::keeper::Keeper;
use super::ledger::Ledger;
use super::ports::{Port, wanted};
use super::refusals::Refusals;
use super::sight::Sight;
use super::{Daemon, Signals, memory, removal};
use crate::api::client;
use crate::api::configuration::running::Running;
use crate::api::server::Server;
use crate::cli::{CommandFailure, check};
use crate::dataplane::features::release;
use crate::dataplane::hook::Hook;
use crate::dataplane::pins::Pins;
use crate::dataplane::{Dataplane, bpffs};
use crate::events::Kind;
use crate::forwarder::{Forwarder, Queues};
use crate::instance::Instance;
use crate::learnt::restore::{Found, restore};
use crate::netlink::{Event, Monitor, Netlink, NextHops};
use crate::privileges;
use crate::state::{DeviceState, FilterState, State, own_netns};
use crate::user_ports::UserPorts;
use crate::watch::Hub;

/// How long the start waits for peers that do not answer.
const RESOLVE: Duration = Duration::from_millis(300);

/// So many addresses of a former process are taken over at once: their actions
/// wait in memory.
const RESTORED_AT_ONCE: usize = 1 << 16;

/// What a former process of this instance left.
#[derive(Default)]
struct Former {
    state: State,
    learnt: Found,
}

impl Daemon {
    /// Reads the configuration, loads the programs, fills the tables and
    /// attaches. Says on standard output what it attached and that it is ready.
    pub async fn start(file: &Path, name: Option<String>) -> Result<Self, CommandFailure> {
        memory::prepare();
        let netlink = Netlink::open()?;
        // Subscribing comes before reading, so that no change is missed.
        let monitor = Monitor::open()?;
        let check::Loaded { config, warnings, text } =
            check::load(file, &netlink, BTreeSet::new()).await?;

        let instance = Instance::new(name.clone().unwrap_or_else(|| config.node.name.clone()));
        let lock = instance.lock(async || client::answers(&instance).await).await?;
        let lock = lock.ok_or_else(|| {
            anyhow!(
                "an instance named {0} runs already; end it with: overlay down --name {0}",
                instance.name
            )
        })?;

        let signals = Signals::take().context("cannot take signals")?;
        let bpffs = bpffs::locate()?;
        let pins = Pins::new(&bpffs, &instance.name);
        let former = take_over(&instance, &pins)?;
        let had_pins = pins.exist();
        // Nothing is attached yet.
        let give_up = |error: anyhow::Error| -> CommandFailure {
            let _ = if had_pins { pins.discard_new_maps() } else { pins.remove() };
            // The lock is ours, and so is a socket that nobody listens on.
            let _ = std::fs::remove_file(instance.socket());
            error.into()
        };
        let dataplane = Dataplane::load_pinned(config.node.fdb_entries, pins.clone());
        let dataplane = match dataplane {
            Ok(dataplane) => dataplane,
            Err(error) => return Err(give_up(error)),
        };

        for warning in &warnings {
            tracing::warn!("{warning}");
        }
        for about in dataplane.features().missing() {
            let instead = about.without.unwrap_or_default();
            tracing::info!(kernel = release(), "no {}: {instead}", about.name);
        }

        let (queues, learnt, work) = Queues::new();
        let hub = Arc::<Hub>::default();
        let mirror = Arc::new(RwLock::new(TableSet::default()));
        let user_ports = UserPorts::new(Arc::clone(&mirror), queues.clone(), Arc::clone(&hub));
        let forwarder =
            Forwarder::start(work, Arc::clone(&mirror), queues.clone(), Arc::clone(&hub));
        let both =
            forwarder.and_then(|forwarder| Ok((forwarder, Server::start(&instance.socket())?)));
        let (forwarder, (server, requests)) = match both {
            Ok(both) => both,
            Err(error) => return Err(give_up(error)),
        };
        let series = config.metrics.series as usize;
        let ports = wanted(&config).into_iter().map(|(name, w)| (name, Port::new(w)));
        let mut daemon = Self {
            named: name.is_some(),
            running: Running::of_file(
                std::path::absolute(file).unwrap_or_else(|_| file.to_owned()),
                text,
            ),
            started: Instant::now(),
            netlink,
            monitor,
            unread: None,
            links: HashMap::new(),
            devices: Devices::default(),
            next_hops: NextHops::default(),
            told: HashMap::new(),
            routes_due: None,
            routes_asked: Instant::now(),
            routes_cost: Duration::ZERO,
            ports: ports.collect::<BTreeMap<_, _>>(),
            user_ports,
            ledger: Ledger::of(former.state.clone()),
            keeper: Keeper::default(),
            datagrams: None,
            controller: Controller::new(config, Duration::ZERO),
            dataplane,
            mirror,
            gone: Gone::new(series),
            carrier: Carrier::default(),
            sight: Sight::new(),
            refusals: Refusals::default(),
            bpffs,
            ticks: 0,
            queues,
            learnt,
            readers: None,
            hub,
            samples: None,
            forwarder,
            signals,
            server: Some(server),
            web: None,
            web_problem: None,
            requests,
            _lock: lock,
            instance,
        };
        let left = (had_pins || !former.state.devices.is_empty()).then(|| former.state.clone());
        let version = env!("CARGO_PKG_VERSION");
        let text = format!("version {version}, configuration {}", daemon.running.file.display());
        let fields = json!({ "version": version, "pid": std::process::id() });
        daemon.tell(Kind::Started, String::new(), text, fields);
        if let Err(error) = daemon.bring_up(former).await {
            let server = daemon.server.take();
            match left {
                Some(left) => daemon.retreat(&left).await,
                None => drop(daemon.remove().await),
            }
            if let Some(server) = server {
                server.stop().await;
            }
            return Err(error.into());
        }
        privileges::start::over();
        daemon.announce();
        Ok(daemon)
    }

    async fn bring_up(&mut self, former: Former) -> Result<()> {
        let secure = self.prepare_api(self.controller.config().api.as_ref()).await?;
        self.read_host().await?;
        let deferred = self.await_next_hops().await;
        let (aged, learnt) = (former.learnt.ageing(), former.learnt.former);
        for part in learnt.stations.chunks(RESTORED_AT_ONCE) {
            self.controller.handle_restored(part.iter().map(|one| aged(*one)), self.now());
            self.flush();
        }
        for part in learnt.neighbours.chunks(RESTORED_AT_ONCE) {
            self.controller.handle_restored_neighbours(part.iter().copied(), self.now());
            self.flush();
        }
        let queues = self.queues.clone();
        self.readers = Some(self.dataplane.read_punts(move |punted| queues.put(punted))?);
        self.open_datagrams();
        if self.uses_filters() {
            self.monitor.follow_filters()?;
        }
        let wanted = self.ports.iter().map(|(name, port)| (name.clone(), port.wanted)).collect();
        self.prepare(&wanted)?;
        self.name_counters()?;
        self.restore_renamed().await;
        let names = self.port_names();
        let mut before = self.intend(&names).await?;
        for former in before.values() {
            self.remember(former).await;
        }
        for name in names {
            // One that is not there is attached when it comes.
            if self.link_named(&name).is_none() {
                continue;
            }
            let former = before.remove(&name);
            self.attach_intended(&name, former).await?;
        }
        if let Some(refusal) = self.refusals.told() {
            bail!("{refusal}");
        }
        self.restore_abandoned().await;
        self.dataplane.detach_others();
        self.carry_counters()?;
        self.dataplane.commit().context("cannot pin the new maps")?;
        self.adopt_api(secure);
        self.write_ledger()?;
        self.open_web();
        for event in deferred {
            self.handle_event(event).await;
        }
        self.flush();
        self.keep_learnt().await;
        memory::release();
        Ok(())
    }

    /// Takes note of what a former process attached, should the start fail.
    async fn remember(&mut self, former: &DeviceState) {
        let Some(hook) = Hook::from_name(&former.hook) else { return };
        let filter = match former.filter {
            Some(place) => removal::found(&self.netlink, former.ifindex, place).await,
            None => Ok(None),
        };
        let device = (former.interface.as_str(), former.ifindex);
        let kept = filter.and_then(|filter| self.dataplane.remember(device, hook, filter));
        if let Err(error) = kept {
            tracing::info!("should this start fail, its programs stay: {error:#}");
        }
    }

    /// Gives address resolution a moment, so that the first frames of local
    /// hosts find peers that answer. Returns what else happened meanwhile.
    async fn await_next_hops(&mut self) -> Vec<Event> {
        let until = Instant::now() + RESOLVE;
        let mut deferred = Vec::new();
        while self.next_hops.any_unresolved(Instant::now()) {
            match tokio::time::timeout_at(until.into(), self.monitor.next()).await {
                Ok(Some(event @ Event::Neighbour(_))) => self.handle_event(event).await,
                Ok(Some(event)) => deferred.push(event),
                Ok(None) | Err(_) => break,
            }
        }
        deferred
    }

    /// What a former process changed on devices that are no ports any more.
    async fn restore_abandoned(&mut self) {
        let ports = &self.ports;
        for device in self.ledger.take_others(|device| ports.contains_key(&device.interface)) {
            removal::restore(&self.netlink, &device).await;
        }
    }

    /// The same for devices that were renamed meanwhile: what is written down under their names
    /// is about to be replaced.
    async fn restore_renamed(&mut self) {
        let links = &self.links;
        let is_same = |device: &DeviceState| {
            links.get(&device.ifindex).is_none_or(|link| link.name == device.interface)
        };
        for device in self.ledger.take_others(is_same) {
            removal::restore(&self.netlink, &device).await;
        }
    }

    fn announce(&mut self) {
        for (name, port) in &self.ports {
            if let Some(live) = &port.live {
                let link = self.links.get(&live.ifindex);
                println!(
                    "overlay: {} {name} on {}: {}",
                    port.wanted.role.name(),
                    live.attached.hook.name(),
                    port.why(link)
                );
            }
        }
        self.see_to_exposition();
        self.see_to_health();
        self.tell(Kind::Ready, String::new(), "the gateway forwards", json!({}));
        println!("overlay: {} ready", self.instance.name);
        let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
    }
}

/// Reads what a former process left. Its links are of use only in the network
/// namespace that they were made in; elsewhere an index means another device.
fn take_over(instance: &Instance, pins: &Pins) -> Result<Former> {
    let written = State::read(&instance.state());
    if written.is_none() && pins.pinned_links().is_empty() {
        // Killed before it attached anything, which is written down before.
        if pins.exist() {
            pins.remove()?;
        }
        return Ok(Former::default());
    }
    let state = written.unwrap_or_default();
    if !pins.exist() && state.devices.is_empty() {
        return Ok(Former::default());
    }
    if state.netns != own_netns() {
        for warning in left_elsewhere(&instance.name, &state) {
            tracing::warn!("{warning}");
        }
        pins.remove()?;
        return Ok(Former::default());
    }
    tracing::info!("taking over from a former process of {}", instance.name);
    let learnt = match pins.exist() {
        true => restore(pins, &instance.learnt()),
        false => Found::default(),
    };
    Ok(Former { state, learnt })
}

/// What becomes of what a former process attached in another network namespace, in sentences.
fn left_elsewhere(name: &str, state: &State) -> Vec<String> {
    let detached = format!("{name} ran in another network namespace; its links there are detached");
    let filters = state.devices.iter().filter_map(|device| {
        let FilterState { priority, .. } = device.filter?;
        Some(format!(
            "its filter on {0} stays there ({1}); to remove it, in that namespace: tc filter del \
             dev {0} ingress pref {priority}",
            device.interface, state.netns
        ))
    });
    std::iter::once(detached).chain(filters).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stays_in_another_namespace_comes_with_the_command_that_removes_it() {
        let device = |interface: &str, filter| DeviceState {
            interface: interface.to_owned(),
            ifindex: 4,
            mac: None,
            hook: "tc".to_owned(),
            made_promiscuous: false,
            filter,
        };
        let filter = FilterState { priority: 4789, handle: 1, made_clsact: true };
        let devices = vec![device("eth0", None), device("eth1", Some(filter))];
        let state = State { netns: "net:[4026531840]".to_owned(), devices };
        assert_eq!(
            left_elsewhere("gw1", &state),
            [
                "gw1 ran in another network namespace; its links there are detached",
                "its filter on eth1 stays there (net:[4026531840]); to remove it, in that \
                 namespace: tc filter del dev eth1 ingress pref 4789",
            ]
        );
    }
}

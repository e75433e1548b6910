//! Another configuration: what is new is attached first, so that a port that
//! refuses leaves everything as it was.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;

use anyhow::Context as _;
use overlay_control::config::{Config, Encap, Peer, Segment, Vrf};

use super::ports::{Port, Wanted, wanted};
use super::{Daemon, change, memory};
use crate::api::configuration::running::Running;
use crate::api::{Answer, Done, Problem};
use crate::cli::check;

impl Daemon {
    /// Applies the configuration file again.
    pub(super) async fn reload(&mut self) -> Result<Answer, Problem> {
        let outcome = self.apply_file().await;
        self.reload_ended(&outcome);
        outcome.map(|changes| Answer::Done(Done { changes }))
    }

    async fn apply_file(&mut self) -> Result<Vec<String>, Problem> {
        let loaded = check::load(&self.running.file, &self.netlink, self.known()).await;
        let check::Loaded { config, warnings, text } = loaded.map_err(change::refusal)?;
        self.keeps_its_name(&config)?;
        let mut changes = differences(self.controller.config(), &config);
        self.change_to(config).await.map_err(|error| Problem::from(&error))?;
        let dropped = std::mem::take(&mut self.running.ephemeral);
        changes.extend(dropped.iter().map(|change| format!("undone, not in the file: {change}")));
        self.running = Running::of_file(self.running.file.clone(), text);
        for change in &changes {
            tracing::info!("reload: {change}");
        }
        for warning in warnings {
            tracing::warn!("reload: {warning}");
        }
        Ok(changes)
    }

    /// The devices that are used, or waited for: that one of them is missing is nobody's mistake.
    pub(super) fn known(&self) -> BTreeSet<String> {
        self.ports.keys().cloned().collect()
    }

    /// The same on SIGHUP, where nobody waits for the answer.
    pub(super) async fn reload_and_log(&mut self) {
        if let Err(Problem { detail: error, details, .. }) = self.reload().await {
            for detail in details {
                tracing::error!("reload: {detail}");
            }
            tracing::error!("reload: {error}");
        }
    }

    /// Has another configuration take effect, or leaves everything as it was.
    pub(super) async fn change_to(&mut self, config: Config) -> anyhow::Result<()> {
        let new = wanted(&config);
        self.prepare(&new).context("nothing was changed")?;
        let secure = self.prepare_api(config.api.as_ref()).await.context("nothing was changed")?;
        let old: BTreeMap<String, Wanted> =
            self.ports.iter().map(|(name, port)| (name.clone(), port.wanted)).collect();
        let mut touched = Vec::new();
        for (name, wanted) in &new {
            if old.get(name) == Some(wanted) {
                continue;
            }
            touched.push(name.clone());
            let port = self.ports.entry(name.clone()).or_insert_with(|| Port::new(*wanted));
            port.wanted = *wanted;
            // One that is not there is attached when it comes.
            if self.link_named(name).is_none() {
                continue;
            }
            if let Err(error) = self.attach(name).await {
                self.undo(&touched, &old).await;
                return Err(error.context("nothing was changed"));
            }
        }
        self.controller.handle_config(config, self.now());
        self.adopt_api(secure);
        self.open_datagrams();
        self.open_web();
        self.track_peers();
        self.refresh_routes().await;
        self.flush();
        for name in old.keys().filter(|name| !new.contains_key(*name)) {
            self.drop_port(name).await;
        }
        // The new configuration's ports are known to the controller only now.
        for name in touched {
            let flags = self.ports.get(&name).and_then(|p| Some(p.live.as_ref()?.flags));
            if let Some(flags) = flags {
                self.controller.handle_attached(&name, flags, self.now());
            }
        }
        self.flush();
        memory::release();
        self.keep_ledger();
        Ok(())
    }

    /// Puts ports back to what they were.
    async fn undo(&mut self, touched: &[String], old: &BTreeMap<String, Wanted>) {
        for name in touched {
            match (old.get(name), self.ports.get_mut(name)) {
                (Some(wanted), Some(port)) => {
                    port.wanted = *wanted;
                    if self.links.values().all(|link| link.name != *name) {
                        continue;
                    }
                    if let Err(error) = self.attach(name).await {
                        tracing::error!(interface = name, "{error:#}");
                    }
                }
                _ => self.drop_port(name).await,
            }
        }
    }

    async fn drop_port(&mut self, name: &str) {
        if let Some(live) = self.ports.remove(name).and_then(|port| port.live) {
            self.detach(name, &live).await;
        }
        self.keep_ledger();
    }
}

/// What is different in a new configuration, a line each.
pub(super) fn differences(old: &Config, new: &Config) -> Vec<String> {
    let mut changes = Vec::new();
    let mut value = |what: &str, old: String, new: String| {
        if old != new {
            changes.push(format!("node.{what}: {old} → {new}"));
        }
    };
    value("vtep", old.node.vtep.to_string(), new.node.vtep.to_string());
    let port = |config: &Config, encap| config.node.ports.of(encap).to_string();
    for encap in Encap::ALL {
        value(&format!("{}_port", encap.name()), port(old, encap), port(new, encap));
    }
    value("mss_clamp", old.node.mss_clamp.to_string(), new.node.mss_clamp.to_string());
    value("router_mac", old.node.router_mac.to_string(), new.node.router_mac.to_string());
    value("wait_for_interfaces", old.node.waits.to_string(), new.node.waits.to_string());
    value("ageing", old.node.ageing.to_string(), new.node.ageing.to_string());
    if old.node.fdb_entries != new.node.fdb_entries {
        changes.push(format!(
            "node.fdb_entries: {} → {}, from the next start on",
            old.node.fdb_entries, new.node.fdb_entries
        ));
    }
    let page = |config: &Config| {
        config.web.as_ref().map_or_else(|| "off".to_owned(), |web| web.listen.to_string())
    };
    match (page(old), page(new)) {
        (before, after) if before != after => changes.push(format!("web: {before} → {after}")),
        _ if old.web != new.web => changes.push("web: changed".to_owned()),
        _ => {}
    }
    compare(&mut changes, "port", &wanted(old), &wanted(new));
    compare(&mut changes, "segment", &segments(old), &segments(new));
    compare(&mut changes, "peer", &peers(old), &peers(new));
    compare(&mut changes, "vrf", &vrfs(old), &vrfs(new));
    if old.api != new.api {
        changes.push("api: changed".to_owned());
    }
    if changes.is_empty() {
        changes.push("nothing has changed".to_owned());
    }
    changes
}

fn segments(config: &Config) -> BTreeMap<&str, &Segment> {
    config.segments.iter().map(|segment| (segment.name.as_str(), segment)).collect()
}

fn peers(config: &Config) -> BTreeMap<&str, &Peer> {
    config.peers.iter().map(|peer| (peer.name.as_str(), peer)).collect()
}

fn vrfs(config: &Config) -> BTreeMap<&str, &Vrf> {
    config.vrfs.iter().map(|vrf| (vrf.name.as_str(), vrf)).collect()
}

fn compare<N: Ord + Display, T: PartialEq>(
    changes: &mut Vec<String>,
    what: &str,
    old: &BTreeMap<N, T>,
    new: &BTreeMap<N, T>,
) {
    for (name, value) in new {
        match old.get(name) {
            None => changes.push(format!("{what} {name}: added")),
            Some(before) if before != value => changes.push(format!("{what} {name}: changed")),
            Some(_) => {}
        }
    }
    for name in old.keys().filter(|name| !new.contains_key(*name)) {
        changes.push(format!("{what} {name}: removed"));
    }
}

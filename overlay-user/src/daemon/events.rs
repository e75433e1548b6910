//! What the host reports, and what is done every second.

use std::collections::HashSet;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use anyhow::Result;
use overlay_common::wire::Mac;
use overlay_control::controller::{LinkInfo, NextHop};
use serde_json::json;

use super::{Daemon, TICK, removal};
use crate::events::Kind;
use crate::netlink::next_hops::Way;
use crate::netlink::{Event, Link, Lost, Monitor};

/// Routes change in bursts; they are asked for again once a burst is over.
const ROUTES_SETTLE: Duration = Duration::from_millis(50);
/// A burst that does not end is not waited for.
const ROUTES_AT_MOST: Duration = Duration::from_millis(500);
/// With thousands of peers, asking takes time: no more than one part in so many
/// of it is spent on it however fast routes change.
const ROUTES_SHARE: u32 = 10;

impl Daemon {
    /// Reads everything about the host, as at the start.
    pub(super) async fn read_host(&mut self) -> Result<()> {
        let links = self.netlink.links().await?;
        let present: HashSet<u32> = links.iter().map(|link| link.ifindex).collect();
        let gone: Vec<Link> =
            self.links.values().filter(|link| !present.contains(&link.ifindex)).cloned().collect();
        for link in gone {
            self.link_gone(&link);
        }
        for link in links {
            self.put_link(link).await;
        }
        let neighbours = self.netlink.neighbours().await?;
        self.next_hops.reset_neighbours(neighbours, Instant::now());
        self.track_peers();
        self.refresh_routes().await;
        let lives = self.ports.values().filter_map(|port| port.live.as_ref());
        let with_filters = lives.filter(|live| live.attached.filter.is_some());
        for ifindex in with_filters.map(|live| live.ifindex).collect::<Vec<_>>() {
            self.see_to_filter(ifindex).await;
        }
        Ok(())
    }

    /// Has the ways to the configured peers followed, and to no others.
    pub(super) fn track_peers(&mut self) {
        let vteps: HashSet<IpAddr> =
            self.controller.config().peers.iter().map(|peer| peer.vtep).collect();
        self.told.retain(|vtep, _| vteps.contains(vtep));
        self.next_hops.track(vteps);
    }

    pub(super) async fn handle_event(&mut self, event: Event) {
        match event {
            Event::Link(link) => {
                if self.links.get(&link.ifindex).is_none_or(|old| *old != link) {
                    // Routes disappear with a link without a message each.
                    self.routes_soon();
                }
                self.attach_if_wanted(link).await;
            }
            Event::LinkGone(link) => {
                self.link_gone(&link);
                self.routes_soon();
            }
            Event::Neighbour(neighbour) => {
                if self.next_hops.put_neighbour(neighbour, Instant::now()) {
                    self.tell_next_hops();
                }
            }
            Event::NeighbourGone(neighbour) => {
                self.next_hops.remove_neighbour(&neighbour);
                self.tell_next_hops();
            }
            Event::FilterGone(ifindex) => self.see_to_filter(ifindex).await,
            Event::Routes => self.routes_soon(),
            // What waits there is older than what is read now, and what would correct it
            // again is lost.
            Event::Overrun => self.reopen_monitor().await,
        }
    }

    pub(super) async fn reopen_monitor(&mut self) {
        tracing::warn!("netlink messages were lost; reading everything again");
        self.read_again().await;
    }

    /// Follows the host anew. What fails may go well over the socket that is opened next; where it
    /// does not, the tick tries again, and the same failure is not logged every second.
    async fn read_again(&mut self) {
        let former = self.unread.take();
        if self.follow_anew().await.is_err() {
            self.unread = None;
            if let Err(error) = self.follow_anew().await {
                let failure = format!("{error:#}");
                if former.as_ref() != Some(&failure) {
                    tracing::error!("{failure}");
                }
                self.unread = Some(failure);
            }
        }
    }

    async fn follow_anew(&mut self) -> Result<()> {
        self.monitor = Monitor::open()?;
        if self.uses_filters() {
            self.monitor.follow_filters()?;
        }
        self.read_host().await?;
        self.follow_links().await;
        Ok(())
    }

    /// Attaches what is there now and was not, and has what changed unseen take effect.
    async fn follow_links(&mut self) {
        for name in self.port_names() {
            let Some(port) = self.ports.get(&name) else { continue };
            match (port.live.is_some(), self.link_named(&name).is_some()) {
                (false, true) => self.try_attach(&name).await,
                (true, true) => self.see_to_egress(&name),
                (_, false) => {}
            }
        }
    }

    fn see_to_egress(&mut self, name: &str) {
        if let Err(error) = self.refresh_egress(name) {
            tracing::error!(interface = name, "{error:#}");
        }
    }

    /// Asks again for what could not be asked for. Not at once: there may be no memory, or no
    /// descriptor, for another socket. A change of routes comes first.
    fn routes_again(&mut self) {
        self.routes_asked = Instant::now();
        self.routes_due = Some(self.routes_asked + TICK);
    }

    fn routes_soon(&mut self) {
        let now = Instant::now();
        let settle = ROUTES_SETTLE.max(self.routes_cost * ROUTES_SHARE);
        let settled = now + settle;
        self.routes_due = match self.routes_due {
            None => {
                self.routes_asked = now;
                Some(settled)
            }
            Some(_) => Some(settled.min(self.routes_asked + ROUTES_AT_MOST.max(settle))),
        };
    }

    pub(super) async fn refresh_routes(&mut self) {
        self.routes_due = None;
        let own = self.controller.config().node.vtep;
        let begun = Instant::now();
        let asked = self.next_hops.refresh_routes(&self.netlink, |vtep| own.like(vtep)).await;
        self.routes_cost = begun.elapsed();
        if let Err(lost) = asked {
            tracing::warn!("{lost}");
            self.routes_again();
        }
        self.tell_next_hops();
        self.prod().await;
    }

    /// Tells the controller of ways that changed.
    fn tell_next_hops(&mut self) {
        let now = self.now();
        for (vtep, ways) in self.next_hops.ways(Instant::now()) {
            if self.told.get(&vtep) == Some(&ways) {
                continue;
            }
            let next_hop = |way: &Way| NextHop {
                ifindex: way.route.ifindex,
                gateway: way.route.next_hop,
                mac: way.mac.map(Mac),
                mtu: way.route.mtu,
            };
            self.controller.handle_next_hops(vtep, ways.iter().map(next_hop).collect(), now);
            self.told.insert(vtep, ways);
        }
    }

    async fn prod(&mut self) {
        for (ifindex, address, prod) in self.next_hops.prods(Instant::now()) {
            if let Err(error) = self.netlink.prod(ifindex, address, prod).await {
                // The next tick asks again.
                if error.is::<Lost>() {
                    tracing::warn!("{error:#}");
                } else {
                    // A link that is down resolves nothing.
                    tracing::debug!("{error:#}");
                }
            }
        }
    }

    async fn put_link(&mut self, link: Link) {
        let info = LinkInfo {
            name: link.name.clone(),
            ifindex: link.ifindex,
            mac: Mac(link.mac),
            mtu: link.mtu,
            up: link.up,
        };
        self.devices.put(link.ifindex, &link.name);
        let former = self.links.insert(link.ifindex, link.clone());
        self.tell_link(former.as_ref(), &link);
        if let Some(former) = former.filter(|former| former.name != link.name) {
            self.leave(&former, &link.name).await;
        }
        self.controller.handle_link(info, self.now());
    }

    /// Tells what is different at a port's device.
    fn tell_link(&self, former: Option<&Link>, link: &Link) {
        let name = &link.name;
        let renamed = former.filter(|former| former.name != *name);
        let were_port = renamed.is_some_and(|former| self.ports.contains_key(&former.name));
        if let Some(former) = renamed.filter(|_| were_port || self.ports.contains_key(name)) {
            let text = format!("{} is {name} now", former.name);
            let fields = json!({ "interface": name, "former": former.name });
            self.tell(Kind::PortRenamed, subject(&former.name), text, fields);
        }
        if !self.ports.contains_key(name) {
            return;
        }
        let Some(former) = former.filter(|former| former.name == *name) else {
            let fields = json!({ "interface": name, "ifindex": link.ifindex, "mtu": link.mtu });
            self.tell(Kind::PortAppeared, subject(name), "the interface is there", fields);
            return;
        };
        if former.up != link.up {
            let (kind, text) =
                if link.up { (Kind::PortUp, "it is up") } else { (Kind::PortDown, "it is down") };
            self.tell(kind, subject(name), text, json!({ "interface": name }));
        }
        if former.mtu != link.mtu {
            let text = format!("MTU {} → {}", former.mtu, link.mtu);
            let fields = json!({ "interface": name, "mtu": link.mtu, "former": former.mtu });
            self.tell(Kind::PortMtu, subject(name), text, fields);
        }
        if former.mac != link.mac {
            let (former, mac) = (Mac(former.mac).to_string(), Mac(link.mac).to_string());
            let text = format!("MAC {former} → {mac}");
            let fields = json!({ "interface": name, "mac": mac, "former": former });
            self.tell(Kind::PortMac, subject(name), text, fields);
        }
    }

    async fn attach_if_wanted(&mut self, link: Link) {
        let (name, ifindex) = (link.name.clone(), link.ifindex);
        let replaced = self
            .ports
            .get(&name)
            .and_then(|port| port.live.as_ref())
            .is_some_and(|live| live.ifindex != ifindex);
        if replaced {
            // The message that the former device is gone is still to come.
            self.forget_port(&name);
        }
        // Where a veth's far end is, and whether it is there at all.
        let reach_changed =
            self.links.get(&ifindex).is_some_and(|old| old.kind != link.kind || old.up != link.up);
        let outgrown = self.links.get(&ifindex).is_some_and(|old| self.outgrows(&name, old, &link));
        self.put_link(link).await;
        match self.ports.get(&name).map(|port| port.live.is_some()) {
            Some(false) => self.try_attach(&name).await,
            Some(true) if outgrown => self.attach_again(&name).await,
            Some(true) if reach_changed => self.see_to_egress(&name),
            _ => {}
        }
    }

    /// Attaches a port that appeared, or tries again. The same failure is not
    /// logged every second.
    async fn try_attach(&mut self, name: &str) {
        let known = self.ports.get(name).and_then(|port| port.failure.clone());
        if let Err(error) = self.attach(name).await {
            let failure = format!("{error:#}");
            if known.as_ref() != Some(&failure) {
                tracing::error!(interface = name, "{failure}");
            }
        }
    }

    fn link_gone(&mut self, link: &Link) {
        self.links.remove(&link.ifindex);
        self.next_hops.remove_device(link.ifindex);
        self.device_left(link.ifindex);
        let is_its = |port: &super::Port| {
            port.live.as_ref().is_some_and(|live| live.ifindex == link.ifindex)
        };
        if self.ports.contains_key(&link.name) {
            let fields = json!({ "interface": link.name, "ifindex": link.ifindex });
            self.tell(Kind::PortVanished, subject(&link.name), "the interface is gone", fields);
        }
        if self.ports.get(&link.name).is_some_and(is_its) {
            tracing::warn!(interface = link.name, "the interface is gone");
            self.forget_port(&link.name);
        }
        // A device of the same name may have come before this one went.
        if self.link_named(&link.name).is_none() {
            if let Some(port) = self.ports.get_mut(&link.name) {
                port.failure = None;
            }
            self.controller.handle_link_gone(&link.name, self.now());
        }
    }

    /// Drops what is known of a port's attachment to a device that is gone.
    fn forget_port(&mut self, name: &str) {
        let Some(port) = self.ports.get_mut(name) else { return };
        port.failure = None;
        if let Some(live) = port.live.take() {
            let fields = json!({ "interface": name });
            self.tell(Kind::PortDetached, subject(name), "its device is gone", fields);
            self.stop_user(live.ifindex);
            self.dataplane.forget(live.ifindex);
            let _ = self.dataplane.tables.set_redirected(live.ifindex, false);
        }
        self.ledger.gone(name);
        self.keep_ledger();
    }

    /// Detaches a port whose device was given another name. The port may be another device's by
    /// now.
    async fn leave(&mut self, former: &Link, now: &str) {
        let name = &former.name;
        let is_another = self.link_named(name).is_some();
        let Some(port) = self.ports.get_mut(name) else { return };
        if !is_another {
            port.failure = Some(format!("the interface does not exist; it is named {now} now"));
        }
        if let Some(live) = port.live.take_if(|live| live.ifindex == former.ifindex) {
            tracing::warn!(interface = name, now, "the interface was renamed");
            self.detach(name, &live).await;
            self.keep_ledger();
        }
    }

    /// Adds a port's filter again where somebody removed it: frames would pass the gateway
    /// by, and nobody would see why.
    async fn see_to_filter(&mut self, ifindex: u32) {
        let is_its = |port: &super::Port| {
            let live = port.live.as_ref().filter(|live| live.ifindex == ifindex);
            live.is_some_and(|live| live.attached.filter.is_some())
        };
        let Some(name) = self.ports.iter().find(|(_, p)| is_its(p)).map(|(n, _)| n.clone()) else {
            return;
        };
        let Some(place) = self.ledger.device(&name, ifindex).and_then(|device| device.filter)
        else {
            return;
        };
        // Filters also go with their device, which has a message of its own.
        if matches!(self.netlink.link(ifindex).await, Ok(None)) {
            return;
        }
        match removal::has_filter(&self.netlink, ifindex, place).await {
            Ok(false) => {}
            Ok(true) => return,
            Err(error) => {
                // It may be missing; the tick looks again.
                if error.is::<Lost>() {
                    self.unread = Some(format!("{error:#}"));
                }
                return;
            }
        }
        tracing::warn!(interface = name, "its tc filter was removed by somebody; adding it again");
        self.attach_again(&name).await;
    }

    /// Attaches a port that is attached, for something has changed; a second later it is tried
    /// again.
    async fn attach_again(&mut self, name: &str) {
        if let Err(error) = self.attach(name).await {
            tracing::error!(interface = name, "{error:#}");
            let Some(port) = self.ports.get_mut(name) else { return };
            port.failure = Some(format!("{error:#}"));
            if let Some(live) = port.live.take() {
                self.detach(name, &live).await;
                self.keep_ledger();
            }
        }
    }

    /// What is done every second.
    pub(super) async fn tick(&mut self) {
        self.ticks += 1;
        self.tend_watch();
        if self.unread.is_some() {
            self.read_again().await;
        }
        if self.ledger.unwritten().is_some() {
            self.keep_ledger();
        }
        self.prod().await;
        self.keep_learnt().await;
        self.keep_counters();
        // A MAC that is kept for a while after it was lost runs out.
        self.tell_next_hops();
        let detached: Vec<String> = self
            .ports
            .iter()
            .filter(|(name, port)| port.live.is_none() && self.link_named(name).is_some())
            .map(|(name, _)| name.clone())
            .collect();
        for name in detached {
            self.try_attach(&name).await;
        }
        if self.ticks.is_multiple_of(2) {
            self.open_datagrams();
            self.open_web();
            self.follow_reach();
            self.see_to_exposition();
            self.see_to_health();
        }
        self.sight.log.tick(self.now());
    }
}

fn subject(port: &str) -> String {
    format!("port {port}")
}

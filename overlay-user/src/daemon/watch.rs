//! Those who watch frames: what their words mean here, and which programs are attached while
//! there are any.

use std::net::IpAddr;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use overlay_common::wire::Mac;
use overlay_control::config::Encap;
use overlay_control::watch::Term;
use overlay_control::watch::kernel::Outer;
use overlay_control::watch::parse::{Known, parse};

use super::Daemon;
use crate::api::Problem;
use crate::api::watch::{WatchOrder, Watching};
use crate::dataplane::attach::{Device, Inherited};
use crate::dataplane::hook::Choice;
use crate::watch::Wanted;

impl Daemon {
    /// Has somebody watch.
    pub(super) fn watch(&mut self, order: &WatchOrder) -> Result<Watching, Problem> {
        let filter = parse(&order.filter, self)
            .map_err(|error| Problem::configuration(error.to_string(), Vec::new()))?;
        let wanted = Wanted {
            filter,
            frames: !order.drops_only,
            per_second: order.per_second,
            captured: order.bytes,
        };
        let subscription = self.hub.add(wanted, self.outer());
        if let Err(error) = self.follow_watch() {
            drop(subscription);
            self.hub.prune();
            return Err(Problem::from(&error.context("frames cannot be watched")));
        }
        Ok(Watching { subscription, names: self.devices.names().clone() })
    }

    /// Takes note of those who are gone.
    pub(super) fn tend_watch(&mut self) {
        if self.hub.prune()
            && let Err(error) = self.follow_watch()
        {
            tracing::error!("{error:#}");
        }
    }

    /// Attaches the programs that tell of frames while somebody watches, else the others.
    fn follow_watch(&mut self) -> Result<()> {
        match (self.hub.watch(), self.dataplane.is_watched()) {
            (Some(what), true) => self.dataplane.watch_instead(what),
            (Some(what), false) => {
                let hub = Arc::clone(&self.hub);
                let readers = self.dataplane.watch(what, move |told| hub.take(told))?;
                if let Err(error) = self.exchange_programs() {
                    drop(self.dataplane.watch_no_more());
                    self.exchange_programs().context("cannot put programs back")?;
                    return Err(error);
                }
                self.samples = Some(readers);
                tracing::info!("frames are watched");
                Ok(())
            }
            (None, true) => {
                let watched = self.dataplane.watch_no_more();
                let exchanged = self.exchange_programs();
                self.samples = None;
                drop(watched);
                tracing::info!("frames are watched no more");
                exchanged
            }
            (None, false) => Ok(()),
        }
    }

    /// Puts programs of the kind that is wanted now in the places of those of the other, on every
    /// device that has any: each in one step, so that no frame meets none.
    fn exchange_programs(&mut self) -> Result<()> {
        let wanted = self.ports.iter().map(|(name, port)| (name.clone(), port.wanted)).collect();
        self.prepare(&wanted)?;
        for (name, port) in &self.ports {
            let Some(live) = &port.live else { continue };
            let hook = live.attached.hook;
            if hook.is_user() {
                continue;
            }
            let choice = Choice { hook, why: live.attached.why.clone(), or_next: false };
            let inherited = Inherited { hook, filter: live.attached.filter };
            self.dataplane.attach(&Device {
                name,
                ifindex: live.ifindex,
                role: port.wanted.role,
                choice,
                inherited: Some(inherited),
            })?;
        }
        Ok(())
    }

    /// What stands in outer headers.
    fn outer(&self) -> Outer {
        let config = self.controller.config();
        let peers = self.controller.peers();
        let ways = peers.iter().flat_map(|peer| &peer.ways).filter_map(|way| way.mac);
        let links = self.links.values().map(|link| Mac(link.mac));
        let port = |encap| config.node.ports.of(encap);
        Outer {
            addresses: config.node.vtep.iter().chain(config.peers.iter().map(|p| p.vtep)).collect(),
            macs: links.chain(ways).collect(),
            ports: [port(Encap::Vxlan), port(Encap::Geneve)],
            routes: config.segments.iter().any(|segment| !segment.router.is_empty()),
        }
    }
}

impl Known for Daemon {
    fn segment(&self, name: &str) -> Option<Term> {
        let segment = self.controller.config().segments.iter().find(|s| s.name == name)?;
        let place = |port: &overlay_control::config::AccessPort| {
            let link = self.link_named(&port.interface)?;
            Some((link.ifindex, port.vlan.map_or(0, |vlan| vlan.id())))
        };
        let ports = segment.ports.iter().filter_map(place).collect();
        Some(Term::Segment { vni: segment.vni.value(), ports })
    }

    fn peer(&self, name: &str) -> Option<IpAddr> {
        let peers = &self.controller.config().peers;
        peers.iter().find(|peer| peer.name == name).map(|peer| peer.vtep)
    }

    fn interface(&self, name: &str) -> Option<u32> {
        self.link_named(name).map(|link| link.ifindex)
    }

    fn names(&self, kind: &str) -> Vec<String> {
        let config = self.controller.config();
        match kind {
            "segment" => config.segments.iter().map(|segment| segment.name.clone()).collect(),
            "peer" => config.peers.iter().map(|peer| peer.name.clone()).collect(),
            _ => self.ports.keys().cloned().collect(),
        }
    }
}

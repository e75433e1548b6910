//! Attaching programs to the configured ports, and finding out what their
//! devices can do.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, bail};
use overlay_common::abi::{Egress, Queue};
use overlay_control::config::{Config, Mode};
use overlay_control::controller::Role;
use serde_json::json;

use super::{Daemon, removal};
use crate::dataplane::attach::{Attached, Device};
use crate::dataplane::hook::{self, Choice, Hook};
use crate::events;
use crate::netlink::Link;
use crate::netlink::link::{Kind, name_now};
use crate::state::DeviceState;
use crate::user_ports::Prepared;
use crate::user_ports::xsk::frame_for;

/// How a device is to be used. VLANs of one device share its programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Its role.
    pub role: Role,
    /// The hook asked for.
    pub mode: Mode,
}

/// A configured device.
#[derive(Debug)]
pub struct Port {
    /// How it is to be used.
    pub wanted: Wanted,
    /// What is attached, while something is.
    pub live: Option<Live>,
    /// Why nothing is attached.
    pub failure: Option<String>,
}

/// What is attached to a device.
#[derive(Clone, Debug)]
pub struct Live {
    /// The device.
    pub ifindex: u32,
    /// Hook and reason.
    pub attached: Attached,
    /// [`Egress`] flags.
    pub flags: u32,
    /// What its far end was last known to take.
    pub evidence: Evidence,
}

/// What shows whether redirected frames arrive, without sending any.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Evidence {
    /// Overlay packets that were to leave through the device.
    pub sent: u64,
    /// Redirected frames that the device has taken.
    pub taken: u64,
}

impl Port {
    /// A port that nothing is attached to yet.
    pub fn new(wanted: Wanted) -> Self {
        Self { wanted, live: None, failure: None }
    }

    /// Why this hook, or why none, with what follows from it.
    pub fn why(&self, link: Option<&Link>) -> String {
        match (&self.live, &self.failure) {
            (Some(live), _) => {
                let note = match link.map(|link| link.kind) {
                    Some(Kind::Veth { .. })
                        if live.attached.hook.is_xdp() && live.flags & Egress::XDP == 0 =>
                    {
                        "; its far end takes no redirected frames (no GRO, no XDP program), \
                         so tc sends to it"
                    }
                    _ => "",
                };
                format!("{}{note}", live.attached.why)
            }
            (None, Some(failure)) => failure.clone(),
            (None, None) => "the interface does not exist".to_owned(),
        }
    }
}

/// The devices that a configuration names.
pub fn wanted(config: &Config) -> BTreeMap<String, Wanted> {
    let mut wanted: BTreeMap<_, _> = config
        .uplinks
        .iter()
        .map(|uplink| (uplink.interface.clone(), Wanted { role: Role::Uplink, mode: uplink.mode }))
        .collect();
    for port in config.segments.iter().flat_map(|segment| &segment.ports) {
        let role = match wanted.get(&port.interface) {
            Some(device) if device.role.has_uplink() => Role::OneArmed,
            _ => Role::Access,
        };
        wanted.insert(port.interface.clone(), Wanted { role, mode: port.mode });
    }
    wanted
}

impl Daemon {
    /// The configured devices, access ports first: what they send belongs to the
    /// overlay from the moment on that there is one.
    pub(super) fn port_names(&self) -> Vec<String> {
        let mut names: Vec<_> =
            self.ports.iter().map(|(name, port)| (port.wanted.role, name.clone())).collect();
        names.sort_by(|a, b| b.cmp(a));
        names.into_iter().map(|(_, name)| name).collect()
    }

    pub(super) fn link_named(&self, name: &str) -> Option<&Link> {
        self.links.values().find(|link| link.name == name)
    }

    /// Loads the programs of all devices, so that one that is refused changes none of them.
    pub(super) fn prepare(&mut self, devices: &BTreeMap<String, Wanted>) -> Result<()> {
        let choice = |(name, wanted): (&String, &Wanted)| {
            let link = self.link_named(name)?;
            Some((wanted.role, hook::choose(wanted.mode, link.kind).hook))
        };
        let devices: Vec<_> = devices.iter().filter_map(choice).collect();
        self.dataplane.prepare(devices)
    }

    /// Attaches the programs of a port, or moves them to the hook now wanted.
    pub(super) async fn attach(&mut self, name: &str) -> Result<()> {
        if let Some(link) = self.link_named(name) {
            is_still_named(link)?;
        }
        let mut before = self.intend(&[name.to_owned()]).await?;
        let attached = self.attach_intended(name, before.remove(name)).await;
        self.keep_ledger();
        attached
    }

    /// The same for a port whose change is written down. The caller writes down what came
    /// of it; `former` is what was changed on the device before.
    pub(super) async fn attach_intended(
        &mut self,
        name: &str,
        former: Option<DeviceState>,
    ) -> Result<()> {
        let link = self
            .link_named(name)
            .cloned()
            .with_context(|| format!("interface {name} does not exist"))?;
        let Some(wanted) = self.ports.get(name).map(|port| port.wanted) else { return Ok(()) };

        // The tables come first, with what holds on every hook.
        let flags = base_flags(&link);
        self.set_egress(name, link.ifindex, flags)?;
        let device = Device {
            name,
            ifindex: link.ifindex,
            role: wanted.role,
            choice: hook::choose(wanted.mode, link.kind),
            inherited: former.as_ref().and_then(DeviceState::inherited),
        };
        let attached = match self.attach_device(&device, &link) {
            Ok(attached) => attached,
            Err(error) => {
                self.refused(&link, former).await;
                if let Some(port) = self.ports.get_mut(name).filter(|port| port.live.is_none()) {
                    port.failure = Some(format!("{error:#}"));
                }
                return Err(error);
            }
        };
        let made_promiscuous = self.make_promiscuous(wanted.role, &link).await
            || former.as_ref().is_some_and(|former| former.made_promiscuous);
        tracing::info!(
            interface = name,
            hook = attached.hook.name(),
            why = attached.why,
            "attached"
        );
        let text = format!("{}: {}", attached.hook.name(), attached.why);
        let fields = json!({ "interface": name, "hook": attached.hook.name() });
        self.tell(events::Kind::PortAttached, format!("port {name}"), text, fields);
        self.ledger.put(DeviceState {
            interface: name.to_owned(),
            ifindex: link.ifindex,
            mac: Some(link.mac),
            hook: attached.hook.name().to_owned(),
            made_promiscuous,
            filter: attached.filter.map(Into::into),
        });
        if let Some(former) = former.filter(|former| former.filter.is_some()) {
            self.leave_filter(former, &attached).await;
        }
        if let Some(port) = self.ports.get_mut(name) {
            let ifindex = link.ifindex;
            port.live = Some(Live { ifindex, attached, flags, evidence: Evidence::default() });
            port.failure = None;
        }
        self.refresh_egress(name)
    }

    /// Attaches programs, or a guard and threads.
    fn attach_device(&mut self, device: &Device<'_>, link: &Link) -> Result<Attached> {
        let context = || format!("interface {}: user space cannot carry its frames", device.name);
        match device.choice.hook {
            Hook::User => self.attach_user(device, link).with_context(context),
            Hook::UserXdp => match self.attach_user(device, link) {
                Err(refusal) if device.choice.or_next => {
                    let why = format!("{}; over AF_PACKET: {refusal:#}", device.choice.why);
                    let choice = Choice { hook: Hook::User, why, or_next: false };
                    let device = Device { choice, ..device.clone() };
                    self.attach_user(&device, link).with_context(context)
                }
                attached => attached.with_context(context),
            },
            Hook::Xdp | Hook::XdpGeneric | Hook::Tc => {
                self.stop_user(link.ifindex);
                self.dataplane.attach(device)
            }
        }
    }

    /// The guard comes before the threads take frames: what both a program and a thread carry
    /// would arrive twice.
    fn attach_user(&mut self, device: &Device<'_>, link: &Link) -> Result<Attached> {
        let Link { ifindex, mtu, queues, .. } = *link;
        let prepared = if device.choice.hook == Hook::UserXdp {
            // A queue has one socket.
            self.stop_user(ifindex);
            Prepared::xdp(ifindex, mtu, queues)?
        } else {
            Prepared::packet(ifindex, mtu, queues)?
        };
        let mut attached = self.dataplane.attach(device)?;
        let how = prepared.describe();
        if !attached.why.contains(&how) {
            attached.why = format!("{}; {how}", attached.why);
        }
        self.dataplane.sockets.remove(ifindex);
        for (number, socket) in prepared.sockets() {
            self.dataplane.sockets.put(Queue { ifindex, number }, socket)?;
        }
        self.user_ports.start(ifindex, device.role, prepared)?;
        Ok(attached)
    }

    /// Whether a port's packets, which become as long as that, want sockets of another kind or
    /// with other frames.
    pub(super) fn outgrows(&self, name: &str, old: &Link, new: &Link) -> bool {
        let over_xdp = |port: &Port| hook::choose(port.wanted.mode, new.kind).hook == Hook::UserXdp;
        frame_for(old.mtu) != frame_for(new.mtu) && self.ports.get(name).is_some_and(over_xdp)
    }

    /// Has no thread carry a device.
    pub(super) fn stop_user(&mut self, ifindex: u32) {
        self.dataplane.sockets.remove(ifindex);
        self.user_ports.stop(ifindex);
    }

    /// A device has refused its programs: what was there before still is, and what was only
    /// intended is not.
    async fn refused(&mut self, link: &Link, former: Option<DeviceState>) {
        let filter = self.dataplane.filter(link.ifindex).map(Into::into);
        match former {
            Some(former) => {
                let filter = filter.or(former.filter);
                self.ledger.put(DeviceState { filter, ..former });
            }
            None => {
                if let Some(intended) = self.ledger.remove(&link.name) {
                    removal::undo(&self.netlink, &intended).await;
                }
            }
        }
    }

    /// A former process's filter goes where tcx took its place.
    async fn leave_filter(&self, former: DeviceState, attached: &Attached) {
        if attached.filter.is_none() {
            let former = DeviceState { made_promiscuous: false, ..former };
            removal::restore(&self.netlink, &former).await;
        }
    }

    /// A hardware device discards frames for other MACs unless told not to; an
    /// access port takes frames for whatever is behind the overlay.
    async fn make_promiscuous(&self, role: Role, link: &Link) -> bool {
        if !link.must_become_promiscuous(role) {
            return false;
        }
        let made = self.netlink.set_promiscuous(link.ifindex, true).await;
        if let Err(error) = &made {
            tracing::warn!(
                interface = link.name,
                "only frames for the device's own address may arrive: {error:#}"
            );
        }
        made.is_ok()
    }

    /// Detaches the programs of a device and undoes what was changed on it.
    pub(super) async fn detach(&mut self, name: &str, live: &Live) {
        let _ = self.dataplane.tables.set_redirected(live.ifindex, false);
        let fields = json!({ "interface": name, "hook": live.attached.hook.name() });
        self.tell(
            events::Kind::PortDetached,
            format!("port {name}"),
            "its programs are detached",
            fields,
        );
        self.stop_user(live.ifindex);
        self.dataplane.detach(live.ifindex);
        let changed = self.ledger.remove(name);
        if let Some(changed) = changed.filter(|_| self.links.contains_key(&live.ifindex)) {
            removal::undo(&self.netlink, &changed).await;
        }
    }

    /// Finds out how frames can leave through a port.
    pub(super) fn refresh_egress(&mut self, name: &str) -> Result<()> {
        let Some(link) = self.link_named(name).cloned() else { return Ok(()) };
        let Some(live) = self.ports.get(name).and_then(|port| port.live.clone()) else {
            return Ok(());
        };
        let flags = base_flags(&link) | self.xdp_flags(&link, live.attached.hook);
        if flags != live.flags {
            self.set_egress(name, link.ifindex, flags)?;
        }
        let evidence = self.evidence(name, &link);
        if let Some(live) = self.ports.get_mut(name).and_then(|port| port.live.as_mut()) {
            live.flags = flags;
            live.evidence = evidence;
        }
        Ok(())
    }

    fn xdp_flags(&mut self, link: &Link, hook: Hook) -> u32 {
        let takes = match (link.kind, hook) {
            (_, Hook::Tc | Hook::User | Hook::UserXdp) => false,
            (Kind::Veth { .. }, _) => match self.dataplane.takes_redirected(link) {
                Ok(takes) => takes == Some(true),
                Err(error) => {
                    tracing::debug!(interface = link.name, "{error:#}");
                    false
                }
            },
            (_, Hook::Xdp) => true,
            (_, Hook::XdpGeneric) => false,
        };
        if !takes {
            return 0;
        }
        let back = if matches!(link.kind, Kind::Veth { .. }) { 0 } else { Egress::TX };
        let several = match self.dataplane.takes_several_buffers(link) {
            Ok(true) => Egress::FRAGS,
            Ok(false) => 0,
            Err(error) => {
                tracing::debug!(interface = link.name, "{error:#}");
                0
            }
        };
        Egress::XDP | back | several
    }

    /// Tells programs and controller how frames can leave through a device; the
    /// map of devices holds whatever a flag promises.
    fn set_egress(&mut self, name: &str, ifindex: u32, flags: u32) -> Result<()> {
        let redirected = flags & Egress::XDP != 0;
        if redirected {
            self.dataplane.tables.set_redirected(ifindex, true)?;
        }
        self.controller.handle_attached(name, flags, self.now());
        self.flush();
        if !redirected {
            self.dataplane.tables.set_redirected(ifindex, false)?;
        }
        Ok(())
    }
}

impl Link {
    /// Whether a port on this device needs promiscuous mode, which it has not.
    pub(super) fn must_become_promiscuous(&self, role: Role) -> bool {
        role.has_access()
            && matches!(self.kind, Kind::Physical | Kind::Virtual)
            && !self.promiscuous
    }
}

/// Programs are attached by name. While devices change theirs, that may be another one's by now,
/// and the message about it is under way.
fn is_still_named(link: &Link) -> Result<()> {
    match name_now(link.ifindex) {
        Some(name) if name == link.name => Ok(()),
        Some(name) => bail!("interface {} is named {name} now", link.name),
        None => bail!("interface {} is gone", link.name),
    }
}

fn base_flags(link: &Link) -> u32 {
    match link.kind {
        Kind::Veth { far_end_elsewhere: true } => Egress::PEER,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_with_another_name_by_now_gets_no_programs() {
        let loopback = nix::net::if_::if_nametoindex("lo").unwrap();
        let link = |ifindex, name: &str| Link {
            name: name.to_owned(),
            ifindex,
            ethernet: true,
            mac: [2; 6],
            mtu: 1500,
            up: true,
            queues: 1,
            promiscuous: false,
            kind: Kind::Physical,
        };
        let said = |link: Link| is_still_named(&link).map_err(|error| error.to_string());
        assert_eq!(said(link(loopback, "lo")), Ok(()));
        assert_eq!(said(link(loopback, "eth1")), Err("interface eth1 is named lo now".to_owned()));
        assert_eq!(said(link(i32::MAX as u32, "eth1")), Err("interface eth1 is gone".to_owned()));
    }
}

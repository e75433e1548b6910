//! Attaching programs to devices, and taking over what a former process left.
//!
//! Every port gets the tc program, or one that keeps the host from what user space carries.
//! A port on XDP gets the XDP program as well,
//! which leaves to tc what it cannot do itself (floods, devices that take no
//! redirected frames). tc comes first and goes last, so that at no time a frame
//! that XDP defers finds nobody.

mod before;

use std::collections::HashMap;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use aya::Ebpf;
use aya::programs::links::{FdLink, PinnedLink};
use aya::programs::tc::TcAttachOptions;
use aya::programs::{LinkOrder, SchedClassifier, TcAttachType, Xdp, XdpMode};
use overlay_control::controller::Role;

use super::features::{Feature, Features};
use super::filter::{self, Filter};
use super::hook::{Choice, Hook};
use super::link;
use super::pins::{LinkKind, Pins};
use super::programs::OfDevice;

use before::Before;
pub use before::FormerFilter;

/// A device that programs are to be attached to.
#[derive(Clone, Debug)]
pub struct Device<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its index.
    pub ifindex: u32,
    /// Its role.
    pub role: Role,
    /// The hook wanted.
    pub choice: Choice,
    /// What a former process left here, where known.
    pub inherited: Option<Inherited>,
}

/// What a former process has attached to a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Inherited {
    /// The hook.
    pub hook: Hook,
    /// The filter, on kernels without tcx.
    pub filter: Option<Filter>,
}

/// What was attached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attached {
    /// The hook in use.
    pub hook: Hook,
    /// Why this one.
    pub why: String,
    /// The filter, on kernels without tcx.
    pub filter: Option<Filter>,
}

enum TcLink {
    /// Held so that the link lives even if its pin is removed by others.
    Tcx(#[expect(dead_code, reason = "held, not read")] FdLink),
    Filter(filter::Held),
}

impl TcLink {
    fn filter(&self) -> Option<Filter> {
        match self {
            Self::Filter(held) => Some(held.filter),
            Self::Tcx(_) => None,
        }
    }
}

struct Links {
    tc: TcLink,
    xdp: Option<FdLink>,
}

/// The programs' attachments.
pub struct Attachments {
    pins: Pins,
    features: Features,
    links: HashMap<u32, Links>,
    /// What was there before, while it can be put back.
    before: HashMap<u32, Before>,
}

impl Attachments {
    /// No attachments yet.
    pub fn new(pins: Pins, features: Features) -> Self {
        Self { pins, features, links: HashMap::new(), before: HashMap::new() }
    }

    /// Attaches the programs of a device's role, or moves what is attached to
    /// the hook now wanted.
    ///
    /// # Errors
    ///
    /// Says what the kernel refused. Where nothing was attached before, nothing
    /// stays attached then; else the caller may attach as before again.
    pub fn attach(&mut self, ebpf: &mut Ebpf, device: &Device<'_>) -> Result<Attached> {
        let was_attached = self.contains(device.ifindex) || device.inherited.is_some();
        let attached = self.try_attach(ebpf, device);
        if attached.is_err() && !was_attached {
            self.detach(device.ifindex);
        }
        attached
    }

    fn try_attach(&mut self, ebpf: &mut Ebpf, device: &Device<'_>) -> Result<Attached> {
        if device.choice.hook == Hook::XdpGeneric && !self.features.has(Feature::GenericRedirect) {
            bail!(
                "interface {}: this kernel has no generic-redirect (Linux 5.15), which {} needs; \
                 mode = \"tc\" would do",
                device.name,
                device.choice.hook.name()
            );
        }
        if device.choice.hook == Hook::UserXdp && !self.features.has(Feature::XdpSockets) {
            bail!("this kernel has no AF_XDP (XDP_SOCKETS)");
        }
        let names = OfDevice::new(self.features, device.role, device.choice.hook);
        names.require(ebpf, self.features)?;
        // A link of this process is adopted through its pin like a former one's. A filter
        // has no pin, and what the caller knows of it is older than a refused change.
        let former = self.filter(device.ifindex);
        let former = former.or(device.inherited.and_then(|former| former.filter));
        let tc = self.attach_tc(program(ebpf, names.tc)?, device, former)?;
        let filter = tc.filter();
        let links = Links { tc, xdp: None };
        let links = self.links.entry(device.ifindex).insert_entry(links).into_mut();

        let Choice { hook, why, or_next } = &device.choice;
        let path = self.pins.link(LinkKind::Xdp, device.ifindex);
        let Some(xdp) = names.xdp else {
            // A former process, or a former configuration, may have had XDP here.
            link::remove(&path);
            return Ok(Attached { hook: *hook, why: why.clone(), filter });
        };
        let is_generic = |hook| hook == Hook::XdpGeneric;
        if device.inherited.is_none_or(|former| is_generic(former.hook) != is_generic(*hook)) {
            // Generic and native XDP exclude each other on a device.
            link::remove(&path);
        }
        match attach_xdp(program(ebpf, xdp)?, device.ifindex, *hook, &path) {
            Ok(link) => {
                links.xdp = Some(link);
                Ok(Attached { hook: *hook, why: why.clone(), filter })
            }
            Err(refusal) if *or_next && *hook == Hook::Xdp => {
                let why = format!("auto: {} takes no XDP program: {refusal:#}", device.name);
                Ok(Attached { hook: Hook::Tc, why, filter })
            }
            Err(refusal) if *hook == Hook::UserXdp => {
                Err(refusal.context(format!("{} takes no XDP program", device.name)))
            }
            Err(refusal) => Err(refusal.context(format!(
                "interface {} takes no {} program; mode = \"auto\" or \"tc\" would do",
                device.name,
                hook.name()
            ))),
        }
    }

    fn attach_tc(
        &self,
        program: &mut SchedClassifier,
        device: &Device<'_>,
        former: Option<Filter>,
    ) -> Result<TcLink> {
        if self.features.has(Feature::Tcx) {
            let link = self.attach_tcx(program, device.name, device.ifindex);
            return link.map(TcLink::Tcx).with_context(|| {
                format!("cannot attach to tc ingress of interface {}", device.name)
            });
        }
        let held = filter::attach(program, device.name, former).with_context(|| {
            format!("cannot add a tc filter at ingress of interface {}", device.name)
        })?;
        // A former process may have used tcx.
        link::remove(&self.pins.link(LinkKind::Tc, device.ifindex));
        Ok(TcLink::Filter(held))
    }

    fn attach_tcx(
        &self,
        program: &mut SchedClassifier,
        interface: &str,
        ifindex: u32,
    ) -> Result<FdLink> {
        let path = self.pins.link(LinkKind::Tc, ifindex);
        if let Ok(old) = PinnedLink::from_pin(&path) {
            let adopted = FdLink::from(old)
                .try_into()
                .map_err(anyhow::Error::from)
                .and_then(|link| Ok(program.attach_to_link(link)?));
            if let Ok(id) = adopted {
                return Ok(program.take_link(id)?.try_into()?);
            }
            // The device it was on is gone: this is another one with its index.
            link::remove(&path);
        }
        let id = program.attach_with_options(
            interface,
            TcAttachType::Ingress,
            TcAttachOptions::TcxOrder(LinkOrder::first()),
        )?;
        let link: FdLink = program.take_link(id)?.try_into()?;
        Ok(link.pin(&path).context("cannot pin a link")?.into())
    }

    /// Whether programs are attached to a device.
    pub fn contains(&self, ifindex: u32) -> bool {
        self.links.contains_key(&ifindex)
    }

    /// A device's filter, on kernels without tcx.
    pub fn filter(&self, ifindex: u32) -> Option<Filter> {
        self.links.get(&ifindex)?.tc.filter()
    }

    /// The devices that programs are attached to.
    pub fn devices(&self) -> Vec<u32> {
        self.links.keys().copied().collect()
    }

    /// Detaches everything from a device.
    pub fn detach(&mut self, ifindex: u32) {
        for kind in [LinkKind::Xdp, LinkKind::Tc] {
            link::remove(&self.pins.link(kind, ifindex));
        }
        if let Some(links) = self.links.remove(&ifindex) {
            drop(links.xdp);
            if let TcLink::Filter(held) = links.tc {
                held.remove();
            }
        }
    }

    /// Forgets a device that is gone, or in another network namespace: the kernel leaves XDP
    /// programs on what moves there.
    pub fn forget(&mut self, ifindex: u32) {
        for kind in [LinkKind::Xdp, LinkKind::Tc] {
            link::remove(&self.pins.link(kind, ifindex));
        }
        self.links.remove(&ifindex);
    }
}

fn program<'a, T>(ebpf: &'a mut Ebpf, name: &str) -> Result<&'a mut T>
where
    &'a mut T: TryFrom<&'a mut aya::programs::Program, Error = aya::programs::ProgramError>,
{
    let program =
        ebpf.program_mut(name).with_context(|| format!("the BPF object has no program {name}"))?;
    Ok(program.try_into()?)
}

fn attach_xdp(program: &mut Xdp, ifindex: u32, hook: Hook, path: &Path) -> Result<FdLink> {
    if let Ok(old) = PinnedLink::from_pin(path) {
        let adopted = FdLink::from(old)
            .try_into()
            .map_err(anyhow::Error::from)
            .and_then(|link| Ok(program.attach_to_link(link)?));
        if let Ok(id) = adopted {
            return Ok(program.take_link(id)?.try_into()?);
        }
        link::remove(path);
    }
    let mode = match hook {
        Hook::Xdp | Hook::UserXdp => XdpMode::Driver,
        Hook::XdpGeneric => XdpMode::Skb,
        Hook::Tc | Hook::User => bail!("{} is not an XDP hook", hook.name()),
    };
    let id = match program.attach_to_if_index(ifindex, mode) {
        Ok(id) => id,
        Err(error) => return Err(explain(error.into())),
    };
    let link: FdLink = program.take_link(id)?.try_into()?;
    Ok(link.pin(path).context("cannot pin a link")?.into())
}

/// What the kernel's error number for an XDP program usually means.
fn explain(error: anyhow::Error) -> anyhow::Error {
    let hint = match os_error(&error) {
        Some(libc::EOPNOTSUPP) => "the driver has no XDP",
        Some(libc::EBUSY | libc::EEXIST) => "another XDP program is attached",
        Some(libc::EINVAL | libc::ERANGE) => "the driver refuses XDP with these settings (MTU?)",
        _ => return error,
    };
    anyhow::anyhow!("{hint} ({})", error.root_cause())
}

pub(super) fn os_error(error: &anyhow::Error) -> Option<i32> {
    error
        .chain()
        .find_map(|cause| cause.downcast_ref::<std::io::Error>())
        .and_then(std::io::Error::raw_os_error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_numbers_are_put_into_words() {
        for (number, sentence) in [
            (libc::EOPNOTSUPP, "the driver has no XDP"),
            (libc::EBUSY, "another XDP program is attached"),
            (libc::EEXIST, "another XDP program is attached"),
            (libc::EINVAL, "the driver refuses XDP with these settings (MTU?)"),
            (libc::ERANGE, "the driver refuses XDP with these settings (MTU?)"),
        ] {
            let error = std::io::Error::from_raw_os_error(number);
            let said = explain(anyhow::Error::new(error).context("attach")).to_string();
            let cause = std::io::Error::from_raw_os_error(number);
            assert_eq!(said, format!("{sentence} ({cause})"));
        }
    }
}

//! What a former process attached to a device, for a start that fails to put back: the new
//! programs lose their tail calls with the process that loaded them.

use anyhow::{Context as _, Result};
use aya::programs::links::{FdLink, PinnedLink};
use aya::programs::{ProgramInfo, SchedClassifier, Xdp, loaded_programs};
use aya_obj::programs::XdpAttachType;

use super::{Attachments, Hook, LinkKind, attach_xdp, filter, link};
use crate::dataplane::filter::Filter;
use crate::privileges::start;

/// A former process's filter, on kernels without tcx.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FormerFilter {
    /// Its place.
    pub place: Filter,
    /// Its name, which is that of its program.
    pub name: String,
    /// The number of its program.
    pub program: u32,
}

/// What was attached to a device before this process changed anything.
pub struct Before {
    interface: String,
    tc: Option<Tc>,
    xdp: Option<XdpBefore>,
}

enum Tc {
    Tcx(SchedClassifier),
    Filter(SchedClassifier, Filter),
}

struct XdpBefore {
    program: Xdp,
    hook: Hook,
    /// The number of its link.
    link: u32,
}

impl Before {
    /// Holds on to the programs.
    ///
    /// # Errors
    ///
    /// A program is there, and the kernel does not hand it out, for which it wants
    /// `CAP_SYS_ADMIN`.
    fn find(
        attachments: &Attachments,
        (interface, ifindex): (&str, u32),
        hook: Hook,
        filter: Option<FormerFilter>,
    ) -> Result<Self> {
        let pinned = |kind| PinnedLink::from_pin(attachments.pins.link(kind, ifindex)).ok();
        let tc = match (pinned(LinkKind::Tc), filter) {
            (Some(pin), _) => {
                let info = FdLink::from(pin).info().context("cannot ask about a link")?;
                Some(Tc::Tcx(tc_program(info.program_id(), String::new())?))
            }
            (None, Some(former)) => {
                Some(Tc::Filter(tc_program(former.program, former.name)?, former.place))
            }
            (None, None) => None,
        };
        let xdp = pinned(LinkKind::Xdp).map(|pin| -> Result<_> {
            let info = FdLink::from(pin).info().context("cannot ask about a link")?;
            let program = numbered(info.program_id(), |program| {
                Ok(Xdp::from_program_info(program, "".into(), XdpAttachType::Interface)?)
            })?;
            let hook = if hook == Hook::XdpGeneric { hook } else { Hook::Xdp };
            Ok(XdpBefore { program, hook, link: info.id() })
        });
        Ok(Self { interface: interface.to_owned(), tc, xdp: xdp.transpose()? })
    }

    /// tc comes first, as it does in attaching.
    fn put_back(self, attachments: &mut Attachments, ifindex: u32) -> Result<()> {
        let path = attachments.pins.link(LinkKind::Tc, ifindex);
        let new = attachments.filter(ifindex);
        match self.tc {
            Some(Tc::Tcx(mut program)) => {
                // The pin keeps it.
                drop(attachments.attach_tcx(&mut program, &self.interface, ifindex)?);
                if let Some(place) = new {
                    filter::remove(&self.interface, place);
                }
            }
            Some(Tc::Filter(mut program, place)) => {
                filter::attach(&mut program, &self.interface, Some(place))?;
                link::remove(&path);
            }
            None => {
                link::remove(&path);
                if let Some(place) = new {
                    filter::remove(&self.interface, place);
                }
            }
        }

        let path = attachments.pins.link(LinkKind::Xdp, ifindex);
        let now = PinnedLink::from_pin(&path).ok().and_then(|pin| FdLink::from(pin).info().ok());
        let was = self.xdp.as_ref().map(|xdp| xdp.link);
        if now.map(|now| now.id()) != was {
            // It may be of the other mode.
            link::remove(&path);
        }
        if let Some(mut xdp) = self.xdp {
            drop(attach_xdp(&mut xdp.program, ifindex, xdp.hook, &path)?);
        }
        attachments.links.remove(&ifindex);
        Ok(())
    }
}

impl Attachments {
    /// Takes note of what a former process has attached to a device, before it is changed.
    ///
    /// # Errors
    ///
    /// The kernel does not tell. [`go_back`](Self::go_back) will leave the device as it is.
    pub fn remember(
        &mut self,
        (interface, ifindex): (&str, u32),
        hook: Hook,
        filter: Option<FormerFilter>,
    ) -> Result<()> {
        let before = Before::find(self, (interface, ifindex), hook, filter)
            .with_context(|| format!("interface {interface}: cannot get at its programs"))?;
        self.before.insert(ifindex, before);
        Ok(())
    }

    /// Puts back what was there before, and returns the devices on which it is.
    pub fn go_back(&mut self) -> Vec<u32> {
        let mut back = Vec::new();
        for (ifindex, before) in std::mem::take(&mut self.before) {
            let interface = before.interface.clone();
            match before.put_back(self, ifindex) {
                Ok(()) => back.push(ifindex),
                Err(error) => tracing::error!(interface, "cannot put back its programs: {error:#}"),
            }
        }
        back
    }

    /// There is no way back any more.
    pub fn settle(&mut self) {
        self.before.clear();
    }
}

fn tc_program(id: u32, name: String) -> Result<SchedClassifier> {
    numbered(id, |program| Ok(SchedClassifier::from_program_info(program, name.into())?))
}

/// The program of this number, as `convert` makes it; both ask the kernel for it.
fn numbered<T: Send + 'static>(
    id: u32,
    convert: impl FnOnce(ProgramInfo) -> Result<T> + Send + 'static,
) -> Result<T> {
    start::privileged(move || {
        // Others may be unloaded meanwhile.
        let found = loaded_programs().flatten().find(|program| program.id() == id);
        convert(found.with_context(|| format!("the kernel does not hand out its program {id}"))?)
    })
}

//! Classic tc filters, on kernels without tcx.
//!
//! A filter has no descriptor: it outlives every process until it is removed by its
//! place, a priority and a handle. It is put into a place of its own, so that it can be
//! written down before it is there, and its program is replaced where it is: at no time
//! does a frame meet two programs, or none.

use std::mem::ManuallyDrop;

use anyhow::{Context as _, Result};
use aya::programs::tc::{self, NlOptions, SchedClassifierLink, TcAttachOptions, TcError, TcHandle};
use aya::programs::{SchedClassifier, TcAttachType};
use overlay_common::abi::programs;

use super::attach::os_error;

/// In front of filters that leave their priority to the kernel (from 0x8000 on), and
/// hardly anybody else's: the port of VXLAN.
const PRIORITY: u16 = 4789;
const HANDLE: u32 = 1;

/// A filter's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Filter {
    /// Its priority.
    pub priority: u16,
    /// Its handle.
    pub handle: u32,
    /// Whether the clsact qdisc was made for it.
    pub made_clsact: bool,
}

impl Filter {
    /// The place of a filter that is to come.
    pub fn intended(made_clsact: bool) -> Self {
        Self { priority: PRIORITY, handle: HANDLE, made_clsact }
    }
}

/// Whether a filter with this name is a gateway's.
pub fn is_ours(name: &str) -> bool {
    // The kernel's name for the filter is that of its program.
    programs::TC.contains(&name)
}

/// A filter of this process, which stays when the process dies.
pub struct Held {
    /// Its place.
    pub filter: Filter,
    link: ManuallyDrop<SchedClassifierLink>,
}

impl Held {
    fn new(link: SchedClassifierLink, made_clsact: bool) -> Result<Self> {
        let link = ManuallyDrop::new(link);
        let filter =
            Filter { priority: link.priority()?, handle: link.handle()?.into(), made_clsact };
        Ok(Self { filter, link })
    }

    /// Takes the filter away; a device that is gone has none.
    pub fn remove(self) {
        drop(ManuallyDrop::into_inner(self.link));
    }
}

/// Removes a filter by its place; a device that is gone has none.
pub fn remove(interface: &str, filter: Filter) {
    let handle = TcHandle::from(filter.handle);
    let ingress = TcAttachType::Ingress;
    // Dropping the link detaches it.
    drop(SchedClassifierLink::attached(interface, ingress, filter.priority, handle, None));
}

/// Puts a program into the place of a former filter, or into a new one where that was
/// removed or never was.
pub fn attach(
    program: &mut SchedClassifier,
    interface: &str,
    former: Option<Filter>,
) -> Result<Held> {
    // One that is there already is somebody's: others', or a former process's.
    let made_now = add_clsact(interface)?;
    let made_clsact = made_now || former.is_some_and(|former| former.made_clsact);
    if let Some(former) = former.filter(|_| !made_now) {
        match replace(program, interface, former) {
            Err(error) if os_error(&error) == Some(libc::ENOENT) => {}
            result => return result.map_err(|error| explain(error, interface)),
        }
    }
    let options = NlOptions { priority: PRIORITY, handle: HANDLE.into(), ..NlOptions::default() };
    let id = program
        .attach_with_options(interface, TcAttachType::Ingress, TcAttachOptions::Netlink(options))
        .map_err(|error| explain(error.into(), interface))?;
    Held::new(program.take_link(id)?, made_clsact)
}

/// `ENOENT` where there is no such filter.
fn replace(program: &mut SchedClassifier, interface: &str, former: Filter) -> Result<Held> {
    let handle = TcHandle::from(former.handle);
    let ingress = TcAttachType::Ingress;
    let link = SchedClassifierLink::attached(interface, ingress, former.priority, handle, None)?;
    let id = program.attach_to_link(link)?;
    Held::new(program.take_link(id)?, former.made_clsact)
}

/// Whether it was made now.
fn add_clsact(interface: &str) -> Result<bool> {
    match tc::qdisc_add_clsact(interface) {
        Ok(()) => Ok(true),
        Err(TcError::NetlinkError(error)) if error.raw_os_error() == Some(libc::EEXIST) => {
            Ok(false)
        }
        Err(error) => {
            Err(error).context("the kernel makes no clsact qdisc (CONFIG_NET_SCH_INGRESS)")
        }
    }
}

fn explain(error: anyhow::Error, interface: &str) -> anyhow::Error {
    let hint = match os_error(&error) {
        Some(libc::EEXIST) => "a filter that is not this gateway's has",
        Some(libc::EINVAL) => "filters of another kind may have",
        _ => return error,
    };
    error.context(format!(
        "{hint} the priority {PRIORITY}; `tc filter show dev {interface} ingress` shows it"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_has_the_place_is_told_apart() {
        let said = |code| {
            let error = anyhow::Error::new(std::io::Error::from_raw_os_error(code));
            format!("{:#}", explain(error, "eth1"))
        };
        assert_eq!(
            said(libc::EEXIST),
            "a filter that is not this gateway's has the priority 4789; `tc filter show dev eth1 \
             ingress` shows it: File exists (os error 17)"
        );
        assert_eq!(
            said(libc::EINVAL),
            "filters of another kind may have the priority 4789; `tc filter show dev eth1 \
             ingress` shows it: Invalid argument (os error 22)"
        );
        assert_eq!(said(libc::EPERM), "Operation not permitted (os error 1)");
    }
}

//! The data planes under test, and how each is set up in a gateway's namespace.

mod kernel;
mod overlay;
mod ovs;
mod redirect;
mod sight;

use std::path::Path;

use anyhow::{Result, bail};
use overlay_testbed::{Gateway, Netns};

use super::bpf::Object;
use super::population::Population;
pub use sight::Sight;

/// The gateway's uplink.
pub const UPLINK: &str = "eth0";
/// The gateway's access port.
pub const ACCESS: &str = "eth1";

/// A way to carry frames through a gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plane {
    /// `redirect_map` in XDP, frames untouched: the limit.
    Redirect,
    /// This project with every port on XDP.
    OverlayXdp,
    /// This project with every port on tc.
    OverlayTc,
    /// This project with every port in user space, over AF_PACKET.
    OverlayUser,
    /// The same over AF_XDP.
    OverlayAfXdp,
    /// The kernel's bridge and vxlan device.
    Kernel,
    /// Open vSwitch's userspace datapath.
    Ovs,
}

/// What a plane is set up with.
pub struct Site<'a> {
    /// The gateway.
    pub gateway: &'a Gateway,
    /// Who is around it.
    pub population: &'a Population,
    /// The `overlay` binary.
    pub overlay: &'a Path,
    /// Whether this project's gateway does more than by default.
    pub features: bool,
    /// The core for what runs as a process.
    pub cpu: usize,
    /// MAC addresses of the gateway's uplink and of the next hop.
    pub macs: ([u8; 6], [u8; 6]),
}

/// A data plane that runs; dropping it ends it.
pub trait Running {
    /// Frames that it says it has dropped so far, where it says so.
    fn dropped(&self, _gateway: &Gateway) -> Result<Option<u64>> {
        Ok(None)
    }

    /// Has a trace run; returns once it does.
    fn see(&self, gateway: &Gateway) -> Result<Sight> {
        bail!("{} has neither a trace nor metrics", gateway.name)
    }

    /// Ends that; returns once nothing is left of it.
    fn see_no_more(&self, sight: Sight) -> Result<()> {
        sight.end()
    }
}

impl Plane {
    /// Every plane that this machine can run.
    pub fn available() -> Vec<Self> {
        let mut planes = vec![
            Self::Redirect,
            Self::OverlayXdp,
            Self::OverlayTc,
            Self::OverlayUser,
            Self::OverlayAfXdp,
            Self::Kernel,
        ];
        if overlay_testbed::ovs::is_installed() {
            planes.push(Self::Ovs);
        }
        planes
    }

    /// The name in the results.
    pub fn name(self) -> &'static str {
        match self {
            Self::Redirect => "redirect",
            Self::OverlayXdp => "overlay-xdp",
            Self::OverlayTc => "overlay-tc",
            Self::OverlayUser => "overlay-user",
            Self::OverlayAfXdp => "overlay-af-xdp",
            Self::Kernel => "kernel",
            Self::Ovs => "ovs",
        }
    }

    /// Whether frames leave the gateway by an XDP redirect, and not as socket
    /// buffers.
    pub fn is_xdp(self) -> bool {
        matches!(self, Self::Redirect | Self::OverlayXdp)
    }

    /// How many frames the generator makes at once.
    pub fn batch(self) -> u32 {
        if self == Self::Ovs { ovs::BATCH } else { 64 }
    }

    /// Whether frames leave the gateway as they came.
    pub fn is_untouched(self) -> bool {
        self == Self::Redirect
    }

    /// Sets the plane up in a gateway's namespace.
    pub fn start(self, site: &Site<'_>) -> Result<Box<dyn Running>> {
        Ok(match self {
            Self::Redirect => Box::new(redirect::start(&site.gateway.netns)?),
            Self::OverlayXdp => Box::new(overlay::start(site, "xdp")?),
            Self::OverlayTc => {
                let pass = pass(&site.gateway.netns)?;
                Box::new(overlay::start(site, "tc")?.with(pass))
            }
            Self::OverlayUser => {
                let pass = pass(&site.gateway.netns)?;
                Box::new(overlay::start(site, "user-packet")?.in_front_on(site.cpu)?.with(pass))
            }
            Self::OverlayAfXdp => {
                Box::new(overlay::start(site, "user-xdp")?.in_front_on(site.cpu)?)
            }
            Self::Kernel => Box::new(kernel::start(site)?),
            Self::Ovs => Box::new(ovs::start(site)?),
        })
    }
}

/// Makes the gateway's ports take the generator's frames, which veths do only with
/// an XDP program or with GRO, of which the program costs less.
fn pass(netns: &Netns) -> Result<Vec<Object>> {
    let attach = |port: &str| -> Result<Object> {
        let mut object = Object::new(&[])?;
        object.attach_xdp("pass", netns, port)?;
        Ok(object)
    };
    Ok(vec![attach(UPLINK)?, attach(ACCESS)?])
}

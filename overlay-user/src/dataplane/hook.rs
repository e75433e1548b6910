//! Which hook a port gets, and why.

use overlay_control::config::Mode;

use crate::netlink::link::Kind;

/// Where a port's program runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hook {
    /// In the driver, before the kernel allocates anything.
    Xdp,
    /// XDP's programs in the network stack, for any device.
    XdpGeneric,
    /// tc ingress.
    Tc,
    /// None: user space carries every frame. A guard at tc ingress keeps what it takes from
    /// the host's own stack.
    User,
}

impl Hook {
    /// The name in configuration and commands.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Xdp => "xdp",
            Self::XdpGeneric => "xdp-generic",
            Self::Tc => "tc",
            Self::User => "user",
        }
    }

    /// Whether an XDP program carries the port, which is all that redirected frames and
    /// their far ends are about.
    pub const fn is_xdp(self) -> bool {
        matches!(self, Self::Xdp | Self::XdpGeneric)
    }

    /// The hook with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Xdp, Self::XdpGeneric, Self::Tc, Self::User]
            .into_iter()
            .find(|hook| hook.name() == name)
    }
}

/// A choice of hook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// The hook to try.
    pub hook: Hook,
    /// Why this one.
    pub why: String,
    /// Whether tc will do where the device refuses.
    pub or_tc: bool,
}

/// Chooses the hook of a port that asks for `mode` on a device of `kind`.
pub fn choose(mode: Mode, kind: Kind) -> Choice {
    let asked = || format!("mode = \"{}\" asks for it", mode.name());
    match (mode, kind) {
        (Mode::Xdp, _) => Choice { hook: Hook::Xdp, why: asked(), or_tc: false },
        (Mode::XdpGeneric, _) => Choice { hook: Hook::XdpGeneric, why: asked(), or_tc: false },
        (Mode::Tc, _) => Choice { hook: Hook::Tc, why: asked(), or_tc: false },
        (Mode::User, _) => Choice { hook: Hook::User, why: asked(), or_tc: false },
        (Mode::Auto, Kind::Veth { .. }) => local_workload("veth"),
        (Mode::Auto, Kind::Tun) => local_workload("tun/tap"),
        (Mode::Auto, Kind::Physical | Kind::Virtual) => Choice {
            hook: Hook::Xdp,
            why: "auto: the device faces a wire and its driver runs XDP".to_owned(),
            or_tc: true,
        },
    }
}

fn local_workload(kind: &str) -> Choice {
    Choice {
        hook: Hook::Tc,
        why: format!(
            "auto: {kind} faces a local workload; tc keeps its super-frames and checksum offload"
        ),
        or_tc: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn auto_takes_tc_where_workloads_are_local_and_xdp_on_wires() {
        let veth = Kind::Veth { far_end_elsewhere: true };
        assert_eq!(choose(Mode::Auto, veth).hook, Hook::Tc);
        assert_eq!(choose(Mode::Auto, Kind::Tun).hook, Hook::Tc);
        let nic = choose(Mode::Auto, Kind::Physical);
        assert_eq!((nic.hook, nic.or_tc), (Hook::Xdp, true));
    }

    #[test]
    fn a_hook_that_is_asked_for_is_not_replaced() {
        let choice = choose(Mode::Xdp, Kind::Veth { far_end_elsewhere: false });
        assert_eq!((choice.hook, choice.or_tc), (Hook::Xdp, false));
    }
}

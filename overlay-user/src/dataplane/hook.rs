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
    /// None: user space carries every frame, which it has over AF_PACKET. A guard at tc
    /// ingress keeps what it takes from the host's own stack.
    User,
    /// The same over AF_XDP: a program in the driver hands it frames. The guard is for those
    /// that find no socket.
    UserXdp,
}

impl Hook {
    /// The name in configuration and commands.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Xdp => "xdp",
            Self::XdpGeneric => "xdp-generic",
            Self::Tc => "tc",
            Self::User | Self::UserXdp => "user",
        }
    }

    /// Whether user space carries the port.
    pub const fn is_user(self) -> bool {
        matches!(self, Self::User | Self::UserXdp)
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
    /// Whether the next best will do where the device refuses: tc for XDP, AF_PACKET for
    /// AF_XDP.
    pub or_next: bool,
}

/// Chooses the hook of a port that asks for `mode` on a device of `kind`.
pub fn choose(mode: Mode, kind: Kind) -> Choice {
    let asked = |hook| {
        let why = format!("mode = \"{}\" asks for it", mode.name());
        Choice { hook, why, or_next: false }
    };
    let over_packets = |why: &str| {
        let asked = asked(Hook::User);
        Choice { why: format!("{}; over AF_PACKET: {why}", asked.why), ..asked }
    };
    match (mode, kind) {
        (Mode::Xdp, _) => asked(Hook::Xdp),
        (Mode::XdpGeneric, _) => asked(Hook::XdpGeneric),
        (Mode::Tc, _) => asked(Hook::Tc),
        (Mode::UserXdp, _) => asked(Hook::UserXdp),
        (Mode::UserPacket, _) => over_packets("that is what it asks for"),
        (Mode::User, Kind::Physical) => Choice { or_next: true, ..asked(Hook::UserXdp) },
        (Mode::User, Kind::Virtual) => over_packets("its frames come through other devices"),
        (Mode::User, Kind::Veth { .. } | Kind::Tun) => over_packets(
            "a local workload's super-frames and unfinished checksums, which AF_XDP would break",
        ),
        (Mode::Auto, Kind::Veth { .. }) => local_workload("veth"),
        (Mode::Auto, Kind::Tun) => local_workload("tun/tap"),
        (Mode::Auto, Kind::Physical | Kind::Virtual) => Choice {
            hook: Hook::Xdp,
            why: "auto: the device faces a wire and its driver runs XDP".to_owned(),
            or_next: true,
        },
    }
}

fn local_workload(kind: &str) -> Choice {
    Choice {
        hook: Hook::Tc,
        why: format!(
            "auto: {kind} faces a local workload; tc keeps its super-frames and checksum offload"
        ),
        or_next: false,
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
        assert_eq!((nic.hook, nic.or_next), (Hook::Xdp, true));
    }

    #[test]
    fn user_space_has_the_frames_of_wires_over_af_xdp() {
        let nic = choose(Mode::User, Kind::Physical);
        assert_eq!((nic.hook, nic.or_next), (Hook::UserXdp, true));
        for kind in [Kind::Veth { far_end_elsewhere: true }, Kind::Tun, Kind::Virtual] {
            let choice = choose(Mode::User, kind);
            assert_eq!(choice.hook, Hook::User);
            assert!(choice.why.contains("AF_PACKET: "), "{}", choice.why);
            assert_eq!(choose(Mode::UserXdp, kind).hook, Hook::UserXdp);
        }
        assert_eq!(choose(Mode::UserPacket, Kind::Physical).hook, Hook::User);
    }

    #[test]
    fn a_hook_that_is_asked_for_is_not_replaced() {
        let choice = choose(Mode::Xdp, Kind::Veth { far_end_elsewhere: false });
        assert_eq!((choice.hook, choice.or_next), (Hook::Xdp, false));
    }
}

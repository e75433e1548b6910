//! What may be wrong with a gateway. The names are labels of metrics, and part of the interface.

/// How bad something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Worth knowing; nothing is wrong.
    Note,
    /// Something works less well than it should, or will fail.
    Warning,
    /// Frames are lost that should arrive.
    Error,
}

impl Severity {
    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// Declares [`Code`] with name, severity, meaning and usual fix of each in one place.
macro_rules! codes {
    ($($variant:ident = $name:literal, $severity:ident, $about:literal, $fix:literal;)*) => {
        /// What kind of thing is wrong.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Code {
            $(#[doc = $about] $variant,)*
        }

        impl Code {
            /// Every code.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// Its name.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// How bad it is.
            pub const fn severity(self) -> Severity {
                match self { $(Self::$variant => Severity::$severity,)* }
            }

            /// What it means.
            pub const fn about(self) -> &'static str {
                match self { $(Self::$variant => $about,)* }
            }

            /// What to do, as far as that is the same each time.
            pub const fn fix(self) -> &'static str {
                match self { $(Self::$variant => $fix,)* }
            }
        }
    };
}

codes! {
    NoUplink = "no-uplink", Error, "No uplink is up: no frame reaches any peer.", "set an uplink's device up, and look at its cable or switch";
    PortMissing = "port-missing", Error, "A port's device does not exist.", "make or rename the device, or take it out of the configuration; the port is attached as soon as it is there";
    PortRefused = "port-refused", Error, "A port's device takes no programs.", "the message says why; it is tried again every second";
    PortDown = "port-down", Error, "A port's device is down or has no carrier.", "set it up with `ip link set dev DEVICE up`, and look at its far end";
    PeerUnresolved = "peer-unresolved", Error, "Frames cannot be sent to a peer.", "give the host a route to its VTEP over an uplink, and have its next hop answer";
    TableFull = "table-full", Error, "A table takes no more entries.", "raise `node.fdb_entries` and restart, or have fewer";
    TableNearlyFull = "table-nearly-full", Warning, "A table is more than nine tenths full.", "raise `node.fdb_entries` and restart, or have fewer";
    AddressLimit = "address-limit", Warning, "A port, peer or segment has as many learnt addresses as it may have.", "raise its `limit.macs`, or find who sends from so many";
    TableRefused = "table-refused", Error, "The kernel refused changes of tables.", "the log names the entries; `overlay reload` does not mend it, a restart does";
    StateFile = "state-file", Error, "What is changed on devices cannot be written down.", "make room on the file system of `/run/overlay`; it is tried again every second";
    PuntsLost = "punts-lost", Warning, "User space is too slow for what the programs hand to it.", "look for a flood of unknown addresses or a host without CPU time";
    PuntsLimited = "punts-limited", Warning, "More is handed to user space than its limits let pass.", "find who sends it; `show drops` names the interface";
    SocketLosses = "socket-losses", Warning, "A port in user space loses frames.", "use a mode with a program (`auto`), or give the host more CPU time";
    MtuUnderlay = "mtu-underlay", Warning, "An uplink is too narrow for full frames of the access ports.", "raise the uplink's MTU, or lower that of the hosts";
    MtuIpv6 = "mtu-ipv6", Warning, "A peer takes less than the 1280 bytes that IPv6 needs.", "raise the MTU of the way to it";
    FloodWidth = "flood-width", Warning, "A segment is wider than floods reach on this kernel.", "use a newer kernel, or fewer peers and ports in the segment";
    DropsRising = "drops-rising", Warning, "Packets are dropped for a reason that points to a fault.", "the page of the reason says what to check";
    TunnelSocket = "tunnel-socket", Warning, "A socket for what the programs leave to the kernel's stack cannot be opened.", "end the other program or device that uses the tunnel's UDP port";
    WebListener = "web-listener", Warning, "The web page cannot be served where `web.listen` says.", "free the address or choose another one";
    MetricsListener = "metrics-listener", Warning, "Metrics cannot be served where `metrics.listen` says.", "free the address or choose another one";
    ConfigurationRefused = "configuration-refused", Warning, "The last configuration was refused; the one before is in force.", "`overlay check` says what is wrong; then `overlay reload`";
    KernelFeature = "kernel-feature", Note, "The kernel lacks something that Overlay would use.", "`overlay doctor` says what is done instead";
    Ephemeral = "ephemeral", Note, "Something is in force that is not in the configuration file.", "write it into the file if it is to outlive the gateway";
}

impl Code {
    /// The code of a name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|code| code.name() == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_book_has_every_code() {
        let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/src/monitoring.md");
        let text = std::fs::read_to_string(page).unwrap();
        for code in Code::ALL {
            assert_eq!(Code::from_name(code.name()), Some(*code));
            let (name, severity) = (code.name(), code.severity().name());
            let row = format!("| `{name}` | {severity} | {} | {} |", code.about(), code.fix());
            assert!(text.contains(&row), "docs/src/monitoring.md lacks: {row}");
        }
    }
}

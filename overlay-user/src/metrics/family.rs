//! Every metric: its name, kind, labels, and what it says. Names and labels are part of the
//! interface. Labels are never addresses, and their values are bounded ([`shown`](super::shown)).

/// What a metric is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Rises, for as long as the daemon lives.
    Counter,
    /// Rises and falls.
    Gauge,
}

impl Kind {
    /// Its name in the text.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
        }
    }
}

/// Declares [`Family`] with everything about each metric in one place.
macro_rules! families {
    ($($variant:ident = $name:literal, $kind:ident, [$($label:literal),*], $help:literal;)*) => {
        /// A metric.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Family {
            $(#[doc = $help] $variant,)*
        }

        impl Family {
            /// Every metric, in the order in which they are written.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// Its name.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// What it is.
            pub const fn kind(self) -> Kind {
                match self { $(Self::$variant => Kind::$kind,)* }
            }

            /// The names of its labels.
            pub const fn labels(self) -> &'static [&'static str] {
                match self { $(Self::$variant => &[$($label),*],)* }
            }

            /// What it says.
            pub const fn help(self) -> &'static str {
                match self { $(Self::$variant => $help,)* }
            }
        }
    };
}

families! {
    BuildInfo = "overlay_build_info", Gauge, ["name", "version", "tables", "kernel"], "Which gateway this is, and which version.";
    Healthy = "overlay_healthy", Gauge, [], "1 while nothing is wrong.";
    Problems = "overlay_problems", Gauge, ["code", "severity"], "Problems that there are now, by code.";
    PortUp = "overlay_port_up", Gauge, ["interface", "role"], "1 while the device of a port is up and has a carrier.";
    PortAttached = "overlay_port_attached", Gauge, ["interface", "role", "hook"], "1 while the frames of a device are taken.";
    PortMtu = "overlay_port_mtu_bytes", Gauge, ["interface"], "The MTU of the device of a port.";
    PortRxPackets = "overlay_port_receive_packets_total", Counter, ["interface", "vlan", "segment"], "Frames taken in from access ports.";
    PortRxBytes = "overlay_port_receive_bytes_total", Counter, ["interface", "vlan", "segment"], "Their bytes.";
    PortTxPackets = "overlay_port_transmit_packets_total", Counter, ["interface", "vlan", "segment"], "Frames sent out of access ports.";
    PortTxBytes = "overlay_port_transmit_bytes_total", Counter, ["interface", "vlan", "segment"], "Their bytes.";
    SegmentInfo = "overlay_segment_info", Gauge, ["segment", "vni"], "The segments and their VNIs.";
    SegmentAddresses = "overlay_segment_addresses", Gauge, ["segment"], "MAC addresses that are known in a segment.";
    SegmentRxPackets = "overlay_segment_receive_packets_total", Counter, ["segment"], "Frames taken in from a segment's ports here.";
    SegmentRxBytes = "overlay_segment_receive_bytes_total", Counter, ["segment"], "Their bytes.";
    SegmentTxPackets = "overlay_segment_transmit_packets_total", Counter, ["segment"], "Frames sent out of a segment's ports here.";
    SegmentTxBytes = "overlay_segment_transmit_bytes_total", Counter, ["segment"], "Their bytes.";
    Peers = "overlay_peers", Gauge, ["state"], "Peers that can be sent to, and that cannot.";
    PeerReady = "overlay_peer_ready", Gauge, ["peer"], "1 while a peer can be sent to.";
    PeerRxPackets = "overlay_peer_receive_packets_total", Counter, ["peer"], "Inner frames from a peer; `other` is those that have no series of their own.";
    PeerRxBytes = "overlay_peer_receive_bytes_total", Counter, ["peer"], "Their bytes.";
    PeerTxPackets = "overlay_peer_transmit_packets_total", Counter, ["peer"], "Inner frames to a peer; `other` is those that have no series of their own.";
    PeerTxBytes = "overlay_peer_transmit_bytes_total", Counter, ["peer"], "Their bytes.";
    Drops = "overlay_drops_total", Counter, ["reason", "interface", "hook"], "Packets dropped, by reason.";
    Punts = "overlay_punts_total", Counter, ["reason"], "Frames and news that the programs handed to user space.";
    PuntsLost = "overlay_punts_lost_total", Counter, [], "Of those, what found no room between the programs and user space.";
    QueueDepth = "overlay_queue_entries", Gauge, ["queue"], "What waits in the queues of user space.";
    QueueCapacity = "overlay_queue_capacity_entries", Gauge, ["queue"], "What may wait there.";
    TableEntries = "overlay_table_entries", Gauge, ["table"], "Entries in a table.";
    TableCapacity = "overlay_table_capacity_entries", Gauge, ["table"], "Entries that a table takes.";
    TableRefusals = "overlay_table_refusals_total", Counter, [], "Changes of tables that the kernel refused.";
    FdbEntries = "overlay_fdb_entries", Gauge, ["origin"], "MAC addresses in the FDB, by why they are there.";
    FdbChanges = "overlay_fdb_changes_total", Counter, ["change"], "MAC addresses that were learnt, moved, and so on.";
    NeighbourChanges = "overlay_neighbour_changes_total", Counter, ["change"], "IP addresses that were learnt, moved or refused.";
    AclPackets = "overlay_acl_packets_total", Counter, ["segment", "direction", "position", "action"], "Packets that a rule of an access list was the first for.";
    AclBytes = "overlay_acl_bytes_total", Counter, ["segment", "direction", "position", "action"], "Their bytes.";
    Unreported = "overlay_unreported_series", Gauge, ["kind"], "Ports, segments, peers and rules without series of their own (metrics.series).";
    Reloads = "overlay_reloads_total", Counter, ["result"], "Configurations applied, refused, and failed.";
    ReloadSuccess = "overlay_last_reload_successful", Gauge, [], "1 while the last configuration is in force.";
    ReloadTime = "overlay_last_reload_success_timestamp_seconds", Gauge, [], "When a configuration last came into force.";
    KernelFeature = "overlay_kernel_feature", Gauge, ["feature"], "1 for what this kernel has, 0 for what it lacks.";
    Events = "overlay_events_total", Counter, ["kind"], "Events written down.";
    Scrapes = "overlay_scrapes_total", Counter, [], "How often these numbers were gathered.";
    ScrapeDuration = "overlay_scrape_duration_seconds", Gauge, [], "How long gathering these numbers held up the daemon.";
    ProcessCpu = "process_cpu_seconds_total", Counter, [], "CPU time of the daemon.";
    ProcessResident = "process_resident_memory_bytes", Gauge, [], "Memory of the daemon.";
    ProcessVirtual = "process_virtual_memory_bytes", Gauge, [], "Address space of the daemon.";
    ProcessFds = "process_open_fds", Gauge, [], "File descriptors of the daemon.";
    ProcessMaxFds = "process_max_fds", Gauge, [], "File descriptors that it may have.";
    ProcessStart = "process_start_time_seconds", Gauge, [], "When the daemon was started.";
    ProcessThreads = "process_threads", Gauge, [], "Threads of the daemon.";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_conventions() {
        let mut seen = std::collections::BTreeSet::new();
        for family in Family::ALL {
            let name = family.name();
            assert!(seen.insert(name), "{name} is there twice");
            assert_eq!(family.kind() == Kind::Counter, name.ends_with("_total"), "{name}");
            assert!(family.help().ends_with('.'), "{name}");
            for label in family.labels() {
                assert!(!["mac", "ip", "address", "le", "quantile"].contains(label), "{name}");
            }
        }
    }

    #[test]
    fn the_book_has_every_metric() {
        let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/src/monitoring.md");
        let text = std::fs::read_to_string(page).unwrap();
        for family in Family::ALL {
            let labels: Vec<_> = family.labels().iter().map(|label| format!("`{label}`")).collect();
            let labels = labels.join(", ");
            let row = format!("| `{}` | {labels} | {} |", family.name(), family.help());
            assert!(text.contains(&row), "docs/src/monitoring.md lacks: {row}");
        }
    }

    #[test]
    fn dashboard_and_alerts_name_what_there_is() {
        let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/monitoring");
        let known: std::collections::BTreeSet<&str> =
            Family::ALL.iter().map(|f| f.name()).collect();
        for file in ["overlay-dashboard.json", "overlay-alerts.yml", "overlay-alerts-test.yml"] {
            let text = std::fs::read_to_string(format!("{directory}/{file}")).unwrap();
            let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
            let named: Vec<&str> = words
                .filter(|word| word.starts_with("overlay_") || word.starts_with("process_"))
                .collect();
            assert!(named.len() > 10, "{file} names {} metrics", named.len());
            for name in named {
                assert!(known.contains(name), "{file} names {name}, which there is not");
            }
        }
    }
}

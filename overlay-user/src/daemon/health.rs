//! What is wrong now. Everything that may be is looked at here, and nowhere else.

use std::collections::BTreeMap;
use std::time::Duration;

use overlay_common::abi::BOUNDED_COPIES;
use overlay_common::verdict::DropReason;
use overlay_common::wire::Family;
use overlay_control::controller::{Fill, Origin, PeerView, Role, WayView};
use serde_json::json;

use super::Daemon;
use super::devices::FORGOTTEN;
use super::sight::DropName;
use crate::dataplane::features::{About, Feature};
use crate::events::Kind;
use crate::health::{Code, Fault};
use crate::netlink::Link;

/// What every link of IPv6 carries (RFC 8200, section 5).
const LEAST_IPV6: u32 = 1280;
/// With more peers the MTU of the way to each is not looked at every second.
const FEW_PEERS: usize = 512;

impl Daemon {
    /// Everything that is wrong.
    pub(super) fn faults(&mut self) -> Vec<Fault> {
        let mut faults = self.port_faults();
        faults.extend(self.peer_faults());
        faults.extend(self.table_faults());
        faults.extend(self.mtu_faults());
        faults.extend(self.flood_faults());
        faults.extend(self.drop_faults());
        faults.extend(self.other_faults());
        faults
    }

    fn port_faults(&self) -> Vec<Fault> {
        let mut faults = Vec::new();
        let mut uplinks_up = 0;
        for (name, port) in &self.ports {
            let (subject, link) = (format!("port {name}"), self.link_named(name));
            let fault = |code: Code, what, fix| Some(Fault::new(code, &*subject, what, fix));
            let found = match (link, &port.live) {
                (None, _) => {
                    let what = format!("port {name}: {}", port.why(None));
                    fault(Code::PortMissing, what, Code::PortMissing.fix().to_owned())
                }
                (Some(link), None) => {
                    let what = format!("port {name}: {}", port.why(Some(link)));
                    fault(Code::PortRefused, what, Code::PortRefused.fix().to_owned())
                }
                (Some(link), Some(_)) if !link.up => {
                    let fix = format!("ip link set dev {name} up; if it is, look at its far end");
                    fault(Code::PortDown, format!("port {name} is down"), fix)
                }
                (Some(_), Some(_)) => {
                    uplinks_up += usize::from(port.wanted.role.has_uplink());
                    None
                }
            };
            faults.extend(found);
        }
        if uplinks_up == 0 && !self.controller.config().peers.is_empty() {
            let names: Vec<&str> = self
                .ports
                .iter()
                .filter(|(_, p)| p.wanted.role.has_uplink())
                .map(|(n, _)| &**n)
                .collect();
            let what = format!("no uplink is up ({}); no peer can be reached", names.join(", "));
            faults.push(Fault::new(Code::NoUplink, "", what, Code::NoUplink.fix()));
        }
        faults
    }

    fn peer_faults(&self) -> Vec<Fault> {
        let fault = |(name, why): (&str, String)| {
            let what = format!("peer {name}: {why}");
            let fix = "overlay show peers tells what is missing; give the host a route to its \
                       VTEP over an uplink, and have the next hop answer";
            Fault::new(Code::PeerUnresolved, format!("peer {name}"), what, fix)
        };
        self.controller.unresolved().map(fault).collect()
    }

    fn table_faults(&self) -> Vec<Fault> {
        let mut faults = Vec::new();
        faults.extend(self.controller.fills().into_iter().filter_map(crowded));
        for full in self.controller.limited() {
            let what = format!(
                "{} has {} learnt addresses, and limit.macs is {}",
                full.subject, full.learned, full.most
            );
            faults.push(Fault::new(
                Code::AddressLimit,
                full.subject,
                what,
                Code::AddressLimit.fix(),
            ));
        }
        if let Some(what) = self.refusals.told() {
            faults.push(Fault::new(Code::TableRefused, "", what, Code::TableRefused.fix()));
        }
        faults
    }

    /// Segments that are wider than floods reach on this kernel.
    fn flood_faults(&self) -> Vec<Fault> {
        if self.dataplane.features().has(Feature::Loop) {
            return Vec::new();
        }
        let segments = self.controller.config().segments.iter();
        segments.filter_map(|segment| too_wide(&segment.name, segment.ports.len())).collect()
    }

    fn of_role(&self, is_right: fn(Role) -> bool) -> impl Iterator<Item = &Link> {
        let ports = self.ports.iter().filter(move |(_, port)| is_right(port.wanted.role));
        ports.filter_map(|(name, _)| self.link_named(name))
    }

    /// Uplinks that cannot carry the longest frames of the access ports, and peers that take less
    /// than IPv6 needs.
    fn mtu_faults(&self) -> Vec<Fault> {
        // Whose frames come tagged into a device that is the uplink as well, has an MTU of its
        // own.
        let longest = self.of_role(|role| role == Role::Access).max_by_key(|link| link.mtu);
        let Some(longest) = longest else { return Vec::new() };
        let few = self.controller.config().peers.len() <= FEW_PEERS;
        let peers = if few { self.controller.peers() } else { Vec::new() };
        // Inner Ethernet header, IP, UDP and the tunnel's own header.
        let needed = |uplink: &Link| {
            let leads = |way: &WayView| way.interface.as_ref() == Some(&uplink.name);
            let over = |peer: &&PeerView| peer.ways.iter().any(leads);
            let is_v6 = peers.iter().filter(over).any(|peer| peer.vtep.is_ipv6());
            let family = if is_v6 { Family::V6 } else { Family::V4 };
            longest.mtu.saturating_add(family.tunnel_len() as u32)
        };
        let narrow = peers.iter().filter(|peer| peer.mtu.is_some_and(|mtu| mtu < LEAST_IPV6));
        let narrow = narrow.map(|peer| {
            let (name, mtu) = (&peer.name, peer.mtu.unwrap_or(0));
            let what =
                format!("peer {name} takes IP packets of {mtu} bytes, and IPv6 needs {LEAST_IPV6}");
            Fault::new(Code::MtuIpv6, format!("peer {name}"), what, Code::MtuIpv6.fix())
        });
        self.of_role(Role::has_uplink)
            .filter(|uplink| uplink.mtu < needed(uplink))
            .map(|uplink| {
                let needed = needed(uplink);
                let what = format!(
                    "uplink {} has MTU {}; full frames of port {} (MTU {}) need {needed}, so their \
                     senders are told to send less: raise the one or lower the other",
                    uplink.name, uplink.mtu, longest.name, longest.mtu,
                );
                let fix = format!(
                    "ip link set dev {} mtu {needed}, and the same on its way to the peers",
                    uplink.name
                );
                Fault::new(Code::MtuUnderlay, format!("port {}", uplink.name), what, fix)
            })
            .chain(narrow)
            .collect()
    }

    /// Drops that rise for reasons that point to a fault.
    fn drop_faults(&mut self) -> Vec<Fault> {
        let now = self.now();
        let mut sums: BTreeMap<DropName, u64> = BTreeMap::new();
        // What was dropped long ago is added up one day, which is no rise.
        for (key, packets) in self.drops().into_iter().filter(|(key, _)| key.ifindex != FORGOTTEN) {
            *sums.entry((key.reason, self.devices.place(key.ifindex))).or_default() += packets;
        }
        let had_looked = std::mem::replace(&mut self.sight.has_looked, true);
        self.sight.drops.handle(sums, had_looked, now);
        let mut faults = Vec::new();
        let mut limited = Vec::new();
        for ((number, place), packets, since) in self.sight.drops.rising(now) {
            let Some(reason) = DropReason::from_u8(*number) else { continue };
            if matches!(reason, DropReason::Storm | DropReason::Policed) {
                limited.push(((*number, place.clone()), packets));
                continue;
            }
            let port = self.ports.get(place).and_then(|port| port.live.as_ref());
            let by_user = port.is_some_and(|live| live.attached.hook.is_user());
            faults.extend(dropped((reason, place), by_user, packets, since));
        }
        self.tell_limits(limited);
        faults
    }

    /// Tells of limits that begin to hold something back.
    fn tell_limits(&mut self, limited: Vec<(DropName, u64)>) {
        for ((number, place), packets) in &limited {
            let reason = DropReason::from_u8(*number).map_or("", DropReason::name);
            if self.sight.limited.contains(&(*number, place.clone())) {
                continue;
            }
            let text = format!("frames from {place} are over their limit, and dropped as {reason}");
            let fields = json!({ "reason": reason, "interface": place, "packets": packets });
            self.tell(Kind::Limited, format!("port {place}"), text, fields);
        }
        self.sight.limited = limited.into_iter().map(|(name, _)| name).collect();
    }

    fn other_faults(&self) -> Vec<Fault> {
        let mut faults = Vec::new();
        for problem in self.datagrams.iter().flat_map(|datagrams| &datagrams.problems) {
            let subject = problem.split(':').next().unwrap_or_default();
            faults.push(Fault::new(Code::TunnelSocket, subject, problem, Code::TunnelSocket.fix()));
        }
        if let Some(why) = self.ledger.unwritten() {
            faults.push(Fault::new(Code::StateFile, "", why, Code::StateFile.fix()));
        }
        if let Some(why) = self.sight.exposition.problem() {
            faults.push(Fault::new(Code::MetricsListener, "", why, Code::MetricsListener.fix()));
        }
        if let Some(why) = &self.web_problem {
            faults.push(Fault::new(Code::WebListener, "", why, Code::WebListener.fix()));
        }
        if let Some(why) = &self.sight.reloads.refusal {
            let what = format!("the last configuration was refused: {why}");
            let fix = format!(
                "overlay check --config {}; then overlay reload",
                self.running.file.display()
            );
            faults.push(Fault::new(Code::ConfigurationRefused, "", what, fix));
        }
        let loaded = self.controller.fdb_len(Origin::Loaded);
        if loaded > 0 {
            let what = format!("{loaded} addresses were loaded, and are not in the configuration");
            let fix = "write them as [[segment.fdb]], or load them after each start; overlay fdb \
                       flush removes them";
            faults.push(Fault::new(Code::Ephemeral, "", what, fix));
        }
        faults.extend(self.dataplane.features().missing().map(lacking));
        faults
    }
}

/// A table that is full, or nearly.
fn crowded(Fill { table, entries, capacity }: Fill) -> Option<Fault> {
    let code = if entries >= capacity {
        Code::TableFull
    } else if entries > capacity / 10 * 9 && capacity >= 100 {
        Code::TableNearlyFull
    } else {
        return None;
    };
    let what = format!("table {table} holds {entries} of {capacity} entries");
    let fix = match table {
        "fdb" | "neighbours" => {
            "raise node.fdb_entries and restart, set limit.macs, or lower node.ageing"
        }
        _ => "have fewer of them on this gateway, or spread them over several",
    };
    Some(Fault::new(code, format!("table {table}"), what, fix))
}

/// A segment of so many ports that floods do not reach all, on a kernel without `loop`.
fn too_wide(segment: &str, ports: usize) -> Option<Fault> {
    let what = format!(
        "segment {segment} has {ports} ports; without the kernel's `loop` (Linux 5.17) floods \
         reach {BOUNDED_COPIES}"
    );
    let subject = format!("segment {segment}");
    let fault = Fault::new(Code::FloodWidth, subject, what, Code::FloodWidth.fix());
    (ports > BOUNDED_COPIES as usize).then_some(fault)
}

/// A feature that the kernel does not have.
fn lacking(about: &About) -> Fault {
    let what = format!("this kernel has no {}: {}", about.name, about.without.unwrap_or_default());
    let fix = format!("use Linux {} or newer, where it matters", about.since);
    Fault::new(Code::KernelFeature, about.name, what, fix)
}

/// Drops that have risen, where that is a problem.
fn dropped(
    (reason, place): (DropReason, &str),
    by_user: bool,
    packets: u64,
    since: Duration,
) -> Option<Fault> {
    let (code, fix) = judged(reason, by_user)?;
    let reason = reason.name();
    let what =
        format!("{packets} packets were dropped as {reason} on {place} within {}", span(since));
    let fix = format!("{fix}; overlay trace --drops says more");
    Some(Fault::new(code, format!("{reason} on {place}"), what, fix))
}

fn span(since: Duration) -> String {
    match since.as_secs() {
        0 => "the last second".to_owned(),
        seconds @ 1..=119 => format!("{seconds} s"),
        seconds => format!("{} min", seconds / 60),
    }
}

/// Whether drops for this reason are a problem, and what to do about it. What limits and access
/// lists drop is what they are for; what a host sends wrong is the host's.
fn judged(reason: DropReason, by_user: bool) -> Option<(Code, &'static str)> {
    use DropReason as R;
    Some(match reason {
        R::PuntQueueFull | R::CopyFailed if by_user => {
            (Code::SocketLosses, Code::SocketLosses.fix())
        }
        R::PuntQueueFull => (Code::PuntsLost, Code::PuntsLost.fix()),
        R::PuntLimited => (Code::PuntsLimited, Code::PuntsLimited.fix()),
        R::UnknownVtep => (
            Code::DropsRising,
            "tcpdump -ni DEVICE udp port 4789 shows who sends; add it as a [[peer]], or have it stop",
        ),
        R::VniNotPermitted => {
            (Code::DropsRising, "add the segment to the peer's segments, or have the peer stop")
        }
        R::UnknownVni => {
            (Code::DropsRising, "correct the VNI here or at the peer, or add the [[segment]]")
        }
        R::EncapMismatch => (Code::DropsRising, "make the peer's encap the same on both sides"),
        R::UnknownVlan => {
            (Code::DropsRising, "add a [[segment.port]] with that vlan, or have it stop")
        }
        R::TooBig => {
            (Code::DropsRising, "raise the underlay's MTU; overlay show peers has what fits")
        }
        R::BadChecksum | R::BadLength | R::Truncated | R::InnerTruncated => (
            Code::DropsRising,
            "something on the way, or the sender's offloads, damages packets: ethtool -K DEVICE tx off there",
        ),
        R::NoVniFlag | R::GeneveVersion | R::GeneveCritical | R::GeneveProtocol => {
            (Code::DropsRising, "the peer speaks another dialect; correct its tunnel's settings")
        }
        R::ResizeFailed | R::TableInconsistent => (
            Code::DropsRising,
            "overlay doctor; if it finds nothing, restart the daemon and report it",
        ),
        R::CopyFailed => (Code::DropsRising, "a device's queue is full: look at what is behind it"),
        R::SourceGuard => (
            Code::DropsRising,
            "a host uses an address that is not its own; correct it, or add it as [[segment.port.host]]",
        ),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataplane::features;

    #[test]
    fn drops_that_point_to_a_fault_come_with_what_to_do() {
        use DropReason as R;
        let damaged = "something on the way, or the sender's offloads, damages packets: ethtool \
                       -K DEVICE tx off there";
        let dialect = "the peer speaks another dialect; correct its tunnel's settings";
        let restart = "overlay doctor; if it finds nothing, restart the daemon and report it";
        for (reason, fix) in [
            (
                R::UnknownVtep,
                "tcpdump -ni DEVICE udp port 4789 shows who sends; add it as a [[peer]], or have \
                 it stop",
            ),
            (R::VniNotPermitted, "add the segment to the peer's segments, or have the peer stop"),
            (R::UnknownVni, "correct the VNI here or at the peer, or add the [[segment]]"),
            (R::EncapMismatch, "make the peer's encap the same on both sides"),
            (R::UnknownVlan, "add a [[segment.port]] with that vlan, or have it stop"),
            (R::TooBig, "raise the underlay's MTU; overlay show peers has what fits"),
            (R::BadChecksum, damaged),
            (R::BadLength, damaged),
            (R::Truncated, damaged),
            (R::InnerTruncated, damaged),
            (R::NoVniFlag, dialect),
            (R::GeneveVersion, dialect),
            (R::GeneveCritical, dialect),
            (R::GeneveProtocol, dialect),
            (R::ResizeFailed, restart),
            (R::TableInconsistent, restart),
            (R::CopyFailed, "a device's queue is full: look at what is behind it"),
            (
                R::SourceGuard,
                "a host uses an address that is not its own; correct it, or add it as \
                 [[segment.port.host]]",
            ),
        ] {
            assert_eq!(judged(reason, false), Some((Code::DropsRising, fix)), "{reason:?}");
        }
        for (reason, by_user, code) in [
            (R::PuntQueueFull, true, Code::SocketLosses),
            (R::CopyFailed, true, Code::SocketLosses),
            (R::PuntQueueFull, false, Code::PuntsLost),
            (R::PuntLimited, false, Code::PuntsLimited),
        ] {
            assert_eq!(judged(reason, by_user), Some((code, code.fix())), "{reason:?}");
        }
        assert_eq!(judged(R::Storm, false), None, "what limits hold back is no fault");
    }

    fn said(fault: Option<Fault>) -> Option<(Code, String, String, String)> {
        fault.map(|Fault { code, subject, what, fix }| (code, subject, what, fix))
    }

    #[test]
    fn a_full_table_says_what_would_make_room() {
        let of = |table, entries, capacity| said(crowded(Fill { table, entries, capacity }));
        assert_eq!(of("peers", 90, 100), None);
        assert_eq!(of("ports", 9, 10), None, "one more is no news in a small table");
        let full = |code, table: &str, entries, fix: &str| {
            let what = format!("table {table} holds {entries} of 100 entries");
            Some((code, format!("table {table}"), what, fix.to_owned()))
        };
        let fewer = "have fewer of them on this gateway, or spread them over several";
        let raise = "raise node.fdb_entries and restart, set limit.macs, or lower node.ageing";
        assert_eq!(of("peers", 91, 100), full(Code::TableNearlyFull, "peers", 91, fewer));
        assert_eq!(of("ports", 100, 100), full(Code::TableFull, "ports", 100, fewer));
        assert_eq!(of("fdb", 100, 100), full(Code::TableFull, "fdb", 100, raise));
    }

    #[test]
    fn a_segment_is_too_wide_from_one_port_more_than_floods_reach() {
        assert_eq!(too_wide("blue", 64), None);
        let what = "segment blue has 65 ports; without the kernel's `loop` (Linux 5.17) floods \
                    reach 64";
        let (subject, fix) = ("segment blue".to_owned(), Code::FloodWidth.fix().to_owned());
        let expected = Some((Code::FloodWidth, subject, what.to_owned(), fix));
        assert_eq!(said(too_wide("blue", 65)), expected);
    }

    #[test]
    fn what_the_kernel_lacks_comes_with_what_is_done_without() {
        let about = features::ALL.iter().find(|about| about.name == "encap-l2-eth").unwrap();
        let Fault { code, subject, what, fix } = lacking(about);
        assert_eq!((code, &*subject), (Code::KernelFeature, "encap-l2-eth"));
        let words = "this kernel has no encap-l2-eth: the kernel segments them, at a cost in CPU";
        assert_eq!((&*what, &*fix), (words, "use Linux 5.13 or newer, where it matters"));
    }

    #[test]
    fn rising_drops_name_their_place_their_reason_and_the_time() {
        let seconds = Duration::from_secs(3);
        let fault = dropped((DropReason::EncapMismatch, "eth0"), false, 12, seconds);
        let what = "12 packets were dropped as encap-mismatch on eth0 within 3 s";
        let fix = "make the peer's encap the same on both sides; overlay trace --drops says more";
        let subject = "encap-mismatch on eth0".to_owned();
        let expected = (Code::DropsRising, subject, what.to_owned(), fix.to_owned());
        assert_eq!(said(fault), Some(expected));
        assert_eq!(dropped((DropReason::Storm, "eth0"), false, 12, seconds), None);
    }

    #[test]
    fn times_are_short() {
        let said = |seconds| span(Duration::from_secs(seconds));
        assert_eq!(said(0), "the last second");
        assert_eq!((said(119), said(120)), ("119 s".to_owned(), "2 min".to_owned()));
    }
}

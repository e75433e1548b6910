//! The host's network: routes' filters, firewalls, tunnels of its own, neighbour tables.

use super::{Facts, Findings, Severity};

/// What follows for the host's network.
pub fn examine(facts: &Facts, to: &mut Findings) {
    tunnels(facts, to);
    firewall(facts, to);
    rp_filter(facts, to);
    neighbours(facts, to);
    if facts.conntrack && facts.blocked.is_some() {
        to.note(
            "conntrack",
            "",
            "connections may be tracked here: packets of tunnels that go through the host's own \
             stack (fragments, UDP checksums) cost an entry each",
        );
    }
    if facts.ip_forward == Some(true) {
        to.note(
            "ip-forward",
            "",
            "this host forwards IP packets: what is no tunnel's goes from one device to another \
             by its own routes, which Overlay does not need",
        );
    }
}

fn tunnels(facts: &Facts, to: &mut Findings) {
    let mut clear = true;
    for (name, port) in facts.tunnels.iter().filter(|(_, p)| facts.tunnel_ports.contains(p)) {
        clear = false;
        to.bad(
            ("kernel-tunnel", Severity::Warning),
            name,
            format!("the kernel's tunnel device {name} takes UDP port {port}"),
            "fragments of tunnels, and others that the programs leave to the host's stack, go there",
            format!("ip link set dev {name} down"),
        );
    }
    if clear && !facts.tunnel_ports.is_empty() {
        to.ok("kernel-tunnel", "", "no tunnel device of the kernel uses the same UDP port");
    }
}

fn firewall(facts: &Facts, to: &mut Findings) {
    let Some(blocked) = &facts.blocked else {
        to.note(
            "firewall",
            "",
            "the firewall's rules are not to be read (nft is missing, or refuses)",
        );
        return;
    };
    for blocked in blocked {
        to.bad(
            ("firewall", Severity::Warning),
            "",
            format!("{} drops UDP port {}", blocked.chain(), blocked.port),
            "programs take tunnels in front of it, but fragments, and ports in user space that are \
             away, meet it",
            format!("nft insert rule {} udp dport {} accept", blocked.chain(), blocked.port),
        );
    }
    if blocked.is_empty() {
        to.ok("firewall", "", "no rule at input drops tunnels");
    }
}

/// Strict reverse path filtering drops what arrives on one uplink and would be answered through
/// another one.
fn rp_filter(facts: &Facts, to: &mut Findings) {
    let uplinks: Vec<_> = facts.devices.iter().filter(|device| device.uplink).collect();
    let Some(all) = facts.rp_filter else { return };
    for device in &uplinks {
        let Some(own) = device.rp_filter else { continue };
        let name = &device.name;
        if all.max(own) == 1 && uplinks.len() > 1 {
            to.bad(
                ("rp-filter", Severity::Warning),
                name,
                format!("reverse path filtering is strict on uplink {name}"),
                "with several uplinks, what the programs leave to the host's stack is dropped \
                 where it comes in on another one than answers leave by",
                format!("sysctl -w net.ipv4.conf.{}.rp_filter=2", name.replace('.', "/")),
            );
        } else {
            to.ok("rp-filter", name, format!("reverse path filtering does no harm on {name}"));
        }
    }
}

fn neighbours(facts: &Facts, to: &mut Findings) {
    let families = [("ipv4", 0), ("ipv6", 1)];
    for (family, at) in families {
        let (Some(most), peers) = (facts.neighbours[at], facts.peers[at]) else { continue };
        // Others have neighbours, too.
        let wanted = peers as u32 * 2;
        if most < wanted {
            to.bad(
                ("neighbour-table", Severity::Error),
                "",
                format!("the kernel keeps {most} {family} neighbours, and there are {peers} peers"),
                "where peers are on the link, next hops are forgotten and asked for all the time",
                format!(
                    "sysctl -w net.{family}.neigh.default.gc_thresh3={}",
                    wanted.next_power_of_two()
                ),
            );
        } else {
            to.ok("neighbour-table", "", format!("the kernel keeps {most} {family} neighbours"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{examine, facts::Device, firewall::Blocked};
    use super::*;

    fn bad(facts: &Facts) -> Vec<(&'static str, String)> {
        let hurts = |f: &super::super::Finding| {
            f.severity > Severity::Note && f.code != "bpffs" && f.code != "open-files"
        };
        let found = examine(facts).into_iter().filter(hurts);
        found.map(|finding| (finding.code, finding.fix.unwrap_or_default())).collect()
    }

    fn uplink(name: &str, rp_filter: u32) -> Device {
        Device {
            name: name.to_owned(),
            uplink: true,
            exists: true,
            up: true,
            mtu: 9000,
            rp_filter: Some(rp_filter),
            ..Device::default()
        }
    }

    fn usual() -> Facts {
        Facts { memcg_accounting: true, tunnel_ports: vec![4789], ..Facts::default() }
    }

    #[test]
    fn strict_filters_hurt_where_there_are_several_uplinks() {
        let mut facts = Facts { rp_filter: Some(0), devices: vec![uplink("eth0", 1)], ..usual() };
        assert_eq!(bad(&facts), []);
        facts.devices.push(uplink("eth3.5", 1));
        let fix = "sysctl -w net.ipv4.conf.eth3/5.rp_filter=2".to_owned();
        assert_eq!(bad(&facts).len(), 2);
        assert!(bad(&facts).contains(&("rp-filter", fix)));
        facts.rp_filter = Some(2);
        assert_eq!(bad(&facts), [], "the looser of both holds");
    }

    #[test]
    fn tunnels_and_rules_in_the_way_are_named() {
        let mut facts = usual();
        facts.tunnels = vec![("vx0".to_owned(), 4789), ("vx1".to_owned(), 8472)];
        assert_eq!(bad(&facts), [("kernel-tunnel", "ip link set dev vx0 down".to_owned())]);
        facts.tunnels.clear();
        let (family, table, chain) = ("inet".to_owned(), "filter".to_owned(), "input".to_owned());
        facts.blocked = Some(vec![Blocked { family, table, chain, port: 4789 }]);
        let fix = "nft insert rule inet filter input udp dport 4789 accept".to_owned();
        assert_eq!(bad(&facts), [("firewall", fix)]);
    }

    #[test]
    fn thousands_of_peers_want_a_larger_neighbour_table() {
        let facts = Facts { neighbours: [Some(1024), Some(1024)], peers: [3000, 500], ..usual() };
        let fix = "sysctl -w net.ipv4.neigh.default.gc_thresh3=8192".to_owned();
        assert_eq!(bad(&facts), [("neighbour-table", fix)]);
    }
}

//! Routing between segments: on one gateway, from router to router through a VRF's VNI, across a
//! stretched segment, and what routers say by themselves.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use overlay_testbed::{Netns, TwoGateways, require_root, require_tools, set_mtu, veth, wait_until};

use crate::harness::{Answers, Overlay, answers, ping, stream, tcp};

const SOON: Duration = Duration::from_secs(3);

/// Segments by their colour and number: their networks are 10.N.0.0/24 and fd00:N::/64, the
/// router is host 1 of each.
const BLUE: Segment = Segment { name: "blue", number: 1 };
const GREEN: Segment = Segment { name: "green", number: 2 };
const GOLD: Segment = Segment { name: "gold", number: 3 };

#[derive(Clone, Copy)]
struct Segment {
    name: &'static str,
    number: u8,
}

impl Segment {
    fn v4(self, host: u8) -> String {
        format!("10.{}.0.{host}", self.number)
    }

    fn v6(self, host: u8) -> String {
        format!("fd00:{}::{host:x}", self.number)
    }

    /// As the file has it, with one port.
    fn written(self, interface: &str, access: &str) -> String {
        let (name, number) = (self.name, self.number);
        format!(
            "\n[[segment]]\nname = \"{name}\"\nvni = {number}00\nvrf = \"red\"\n\
             router = [\"{}/24\", \"{}/64\"]\n\
             [[segment.port]]\ninterface = \"{interface}\"\nmode = \"{access}\"\n",
            self.v4(1),
            self.v6(1)
        )
    }
}

/// A host in a segment, whose default router is the segment's.
struct Host {
    netns: Netns,
    segment: Segment,
    number: u8,
}

impl Host {
    /// Behind a device of a gateway.
    fn new(gateway: &Netns, device: &str, segment: Segment, number: u8) -> Result<Self> {
        let netns = Netns::new(&format!("{}{number}", segment.name))?;
        veth(gateway, device, &netns, "eth0")?;
        netns.sysctl("net.ipv6.conf.eth0.disable_ipv6", "0")?;
        for line in [
            format!("ip addr add {}/24 dev eth0", segment.v4(number)),
            format!("ip addr add {}/64 dev eth0 nodad", segment.v6(number)),
            format!("ip route add default via {}", segment.v4(1)),
            format!("ip -6 route add default via {}", segment.v6(1)),
        ] {
            netns.exec(&line)?;
        }
        Ok(Self { netns, segment, number })
    }

    fn v4(&self) -> String {
        self.segment.v4(self.number)
    }

    fn v6(&self) -> String {
        self.segment.v6(self.number)
    }

    /// One echo request with options, and what ping says of it.
    fn ping_with(&self, options: &str, to: &str) -> Result<String> {
        let mut ping = self.netns.command("ping");
        ping.args(["-n", "-c", "1", "-W", "5"]).args(options.split_whitespace()).arg(to);
        Ok(Answers::to(&mut ping)?.report)
    }
}

/// Two gateways; `blue` is stretched across both, `green` is at the first and `gold` at the
/// second, each with one host.
struct Site {
    underlay: TwoGateways,
    blue1: Host,
    blue2: Host,
    green: Host,
    gold: Host,
}

impl Site {
    fn new() -> Result<Self> {
        let underlay = TwoGateways::new()?;
        let (gw1, gw2) = (&underlay.gw1.netns, &underlay.gw2.netns);
        Ok(Self {
            blue1: Host::new(gw1, "blue", BLUE, 11)?,
            green: Host::new(gw1, "green", GREEN, 21)?,
            blue2: Host::new(gw2, "blue", BLUE, 12)?,
            gold: Host::new(gw2, "gold", GOLD, 31)?,
            underlay,
        })
    }

    /// Both gateways; `more` is written behind the first's VRF.
    fn start(&self, uplink: &str, access: &str, more: &str) -> Result<[Overlay<'_>; 2]> {
        let both = [self.config(0, uplink, access) + more, self.config(1, uplink, access)];
        let gateways = [&self.underlay.gw1, &self.underlay.gw2];
        let start = |at: usize| {
            let gateway = gateways[at];
            Overlay::start(&gateway.netns, &gateway.name, &both[at])
        };
        let running = [start(0)?, start(1)?];
        running.iter().try_for_each(Overlay::wait_for_peers)?;
        Ok(running)
    }

    fn config(&self, at: usize, uplink: &str, access: &str) -> String {
        let (gw1, gw2) = (&self.underlay.gw1, &self.underlay.gw2);
        let (own, other, local, remote) =
            if at == 0 { (gw1, gw2, GREEN, GOLD) } else { (gw2, gw1, GOLD, GREEN) };
        format!(
            "[node]\nname = \"{}\"\nvtep = \"{}\"\n\
             [[uplink]]\ninterface = \"eth0\"\nmode = \"{uplink}\"\n\
             {}{}\n\
             [[peer]]\nname = \"other\"\nvtep = \"{}\"\nsegments = [\"blue\"]\nvrfs = [\"red\"]\n\
             [[vrf]]\nname = \"red\"\nvni = 5000\n\
             [[vrf.route]]\nprefix = \"10.{}.0.0/24\"\npeer = \"other\"\n\
             [[vrf.route]]\nprefix = \"fd00:{}::/64\"\npeer = \"other\"\n",
            own.name,
            own.vtep,
            BLUE.written("blue", access),
            local.written(local.name, access),
            other.vtep,
            remote.number,
            remote.number
        )
    }
}

/// What both gateways say of themselves, for those who look into a failure.
fn why(gateways: &[Overlay<'_>; 2]) -> String {
    let of = |gateway: &Overlay<'_>| {
        let shown = ["routes", "neighbours", "fdb", "drops"]
            .map(|what| gateway.run(&["show", what]).unwrap_or_else(|error| format!("{error:#}")));
        format!("{}\n{}", shown.join("\n"), gateway.log())
    };
    gateways.iter().map(of).collect::<Vec<_>>().join("\n----\n")
}

const HOOKS: [(&str, &str); 3] = [("tc", "tc"), ("xdp", "auto"), ("user", "user")];

#[test]
fn hosts_of_several_segments_reach_each_other() -> Result<()> {
    let name = "hosts_of_several_segments_reach_each_other";
    if !require_root(name) || !require_tools(name, &["ping", "iperf3"]) {
        return Ok(());
    }
    for (uplink, access) in HOOKS {
        let site = Site::new()?;
        let gateways = site.start(uplink, access, "")?;
        let (blue1, blue2, green, gold) = (&site.blue1, &site.blue2, &site.green, &site.gold);
        // With the hop limit of the answers: each router on their way takes one.
        for (from, to, ttl) in [
            (blue1, green, 63),
            (green, gold, 62),
            (gold, blue1, 62),
            (blue2, green, 63),
            (blue1, blue2, 64),
        ] {
            for address in [to.v4(), to.v6()] {
                let what = || format!("{uplink}: {} to {address}\n{}", from.v4(), why(&gateways));
                ping(&from.netns, &address).with_context(what)?;
                let report = from.ping_with("", &address)?;
                ensure!(report.contains(&format!("ttl={ttl} ")), "{ttl}: {report}{}", what());
            }
        }
        tcp(&green.netns, (&gold.netns, &gold.v4()))?;
        tcp(&blue1.netns, (&green.netns, &green.v6()))?;
        let drops = gateways[0].drops()?;
        // What hosts say to groups of a segment that has nobody else.
        ensure!(drops.keys().all(|why| why == "no-receiver"), "{uplink}: {drops:?}");
    }
    Ok(())
}

#[test]
fn routers_answer_and_say_why_packets_go_nowhere() -> Result<()> {
    let name = "routers_answer_and_say_why_packets_go_nowhere";
    if !require_root(name) || !require_tools(name, &["ping"]) {
        return Ok(());
    }
    for (uplink, access) in HOOKS {
        let site = Site::new()?;
        let more = "[[vrf.route]]\nprefix = \"10.7.0.0/16\"\nkind = \"unreachable\"\n\
                    [[vrf.route]]\nprefix = \"10.8.0.0/16\"\nkind = \"blackhole\"\n";
        let gateways = site.start(uplink, access, more)?;
        let (blue1, green, gold) = (&site.blue1, &site.green, &site.gold);
        for router in [BLUE.v4(1), GREEN.v4(1), BLUE.v6(1), GREEN.v6(1)] {
            ping(&blue1.netns, &router)
                .with_context(|| format!("{uplink}: {router}\n{}", why(&gateways)))?;
        }
        // From behind a peer: the router that is next to it answers.
        ping(&gold.netns, &GREEN.v4(1)).with_context(|| why(&gateways))?;
        ping(&green.netns, &GOLD.v6(1)).with_context(|| why(&gateways))?;

        for (options, to, from, words) in [
            ("-t 1", green.v4(), BLUE.v4(1), "Time to live exceeded"),
            ("-t 1", green.v6(), BLUE.v6(1), "Time exceeded: Hop limit"),
            ("", "10.99.0.1".to_owned(), BLUE.v4(1), "Destination Net Unreachable"),
            ("", "fd99::1".to_owned(), BLUE.v6(1), "Destination unreachable: No route"),
            ("", "10.7.0.1".to_owned(), BLUE.v4(1), "Destination Net Unreachable"),
            ("", GREEN.v4(99), BLUE.v4(1), "Destination Host Unreachable"),
            ("", GREEN.v6(0x99), BLUE.v6(1), "Destination unreachable: Address unreachable"),
        ] {
            let report = blue1.ping_with(options, &to)?;
            let said = format!("{uplink}: {to}: {report}\n{}", why(&gateways));
            ensure!(report.contains(words) && report.contains(&from), "no {words:?}: {said}");
        }
        ensure!(!answers(&blue1.netns, "10.8.0.1"));
        // The second router on the way.
        let report = green.ping_with("-t 2", &gold.v4())?;
        ensure!(report.contains("Time to live exceeded"), "{uplink}: {report}");
        ensure!(report.contains(&GOLD.v4(1)) || report.contains(&BLUE.v4(1)), "{report}");
        let drops = gateways[0].drops()?;
        for (reason, least) in [("ttl-exceeded", 2), ("no-route", 4), ("neighbour-unresolved", 2)] {
            let count = drops.get(reason).copied().unwrap_or(0);
            ensure!(count >= least, "{uplink}: {reason} {count}: {drops:?}");
        }
    }
    Ok(())
}

#[test]
fn what_is_too_big_for_the_way_on_is_told_or_cut_up() -> Result<()> {
    let name = "what_is_too_big_for_the_way_on_is_told_or_cut_up";
    if !require_root(name) || !require_tools(name, &["ping"]) {
        return Ok(());
    }
    for (uplink, access) in HOOKS {
        let site = Site::new()?;
        for gateway in [&site.underlay.gw1, &site.underlay.gw2] {
            set_mtu(&gateway.netns, "eth0", 1400)?;
        }
        let gateways = site.start(uplink, access, "")?;
        let (green, gold) = (&site.green, &site.gold);
        ping(&green.netns, &gold.v4()).with_context(|| why(&gateways))?;
        for (to, router) in [(gold.v4(), GREEN.v4(1)), (gold.v6(), GREEN.v6(1))] {
            let report = green.ping_with("-M do -s 1400", &to)?;
            let is_told = ["mtu = 1350", "mtu=1350"].iter().any(|words| report.contains(words));
            ensure!(is_told && report.contains(&router), "{uplink}: {report}\n{}", why(&gateways));
        }
        let report = green.ping_with("-M dont -s 3000", &gold.v4())?;
        ensure!(report.contains(" 0% packet loss"), "{uplink}: {report}\n{}", why(&gateways));
        // TCP is told what fits.
        let address = format!("{}:5001", gold.v4());
        stream(&green.netns, &gold.netns, &address, 4 << 20, SOON)
            .with_context(|| why(&gateways))?;
    }
    Ok(())
}

/// Another VRF with the very same networks, and a router behind an access port.
#[test]
fn vrfs_are_apart_and_routers_behind_ports_are_used() -> Result<()> {
    let name = "vrfs_are_apart_and_routers_behind_ports_are_used";
    if !require_root(name) || !require_tools(name, &["ping"]) {
        return Ok(());
    }
    let site = Site::new()?;
    let gw1 = &site.underlay.gw1.netns;
    let other_blue = Host::new(gw1, "oblue", BLUE, 11)?;
    let other_green = Host::new(gw1, "ogreen", GREEN, 22)?;
    // A network behind a host of green.
    site.green.netns.exec("ip addr add 10.50.0.1/24 dev lo")?;
    let twice = |segment: Segment, interface: &str| {
        let text = segment.written(interface, "tc");
        text.replace(&format!("{}00", segment.number), &format!("9{}00", segment.number))
            .replace("name = \"", "name = \"other-")
            .replace("vrf = \"red\"", "vrf = \"purple\"")
    };
    let more = format!(
        "[[vrf.route]]\nprefix = \"10.50.0.0/24\"\nvia = \"{}\"\n\
         [[vrf]]\nname = \"purple\"\n{}{}",
        site.green.v4(),
        twice(BLUE, "oblue"),
        twice(GREEN, "ogreen"),
    );
    let gateways = site.start("tc", "tc", &more)?;
    let show = || why(&gateways);
    ping(&site.blue1.netns, "10.50.0.1").with_context(show)?;
    ping(&other_blue.netns, &other_green.v4()).with_context(show)?;
    ping(&site.blue1.netns, &site.green.v4()).with_context(show)?;
    for (from, to) in [
        (&site.blue1, other_green.v4()),
        (&other_blue, site.green.v4()),
        (&other_blue, site.gold.v4()),
        (&other_blue, "10.50.0.1".to_owned()),
    ] {
        ensure!(!answers(&from.netns, &to), "{to} is of another VRF\n{}", show());
    }
    let routes = gateways[0].show("routes")?;
    let of = |vrf: &str| routes.iter().filter(|row| row["vrf"] == vrf).count();
    ensure!(of("red") > of("purple") && of("purple") > 4, "{routes:#?}");
    let static_route = routes.iter().find(|row| row["prefix"] == "10.50.0.0/24");
    let row = static_route.context("a static route")?;
    ensure!(row["kind"] == "static" && row["via"] == site.green.v4(), "{row}");
    ensure!(row["mac"].is_string(), "{row}");

    // A reload takes a VRF away, and nothing of the others.
    let config = site.config(0, "tc", "tc");
    gateways[0].reload(&config)?;
    ping(&site.blue1.netns, &site.green.v4()).with_context(show)?;
    let rows = gateways[0].show("routes")?;
    ensure!(rows.iter().all(|row| row["vrf"] == "red"), "{rows:#?}");
    ensure!(!answers(&site.blue1.netns, "10.50.0.1"));
    Ok(())
}

#[test]
fn routing_outlives_a_killed_daemon() -> Result<()> {
    let name = "routing_outlives_a_killed_daemon";
    if !require_root(name) || !require_tools(name, &["ping"]) {
        return Ok(());
    }
    let site = Site::new()?;
    let [mut first, second] = site.start("tc", "tc", "")?;
    ping(&site.green.netns, &site.gold.v4())?;
    ping(&site.blue1.netns, &site.green.v4())?;
    first.kill()?;
    ping(&site.green.netns, &site.gold.v4())?;
    ping(&site.blue1.netns, &site.green.v6()).or_else(|_| {
        // Its neighbour may not have been heard of before the daemon died.
        ping(&site.blue1.netns, &site.green.v4())
    })?;
    first.restart()?;
    first.wait_for_peers()?;
    wait_until("routing", SOON, || answers(&site.green.netns, &site.gold.v4()).then_some(()))?;
    drop(second);
    Ok(())
}

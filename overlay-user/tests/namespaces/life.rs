//! Daemons that die, come back, leave, and live side by side.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;
use overlay_testbed::{
    Netns, Process, RawSocket, Scratch, TwoGateways, require_root, require_tools, run, veth,
    wait_until,
};

use crate::harness::{Echoes, Overlay, answers, attached, binary, has_mark, marked, overlay, ping};

const TOOLS: &[&str] = &["bpftool", "tc", "bridge", "ping"];
const RECOVERY: Duration = Duration::from_secs(5);
const SOON: Duration = Duration::from_secs(2);
const QUIET: Duration = Duration::from_millis(300);
const INSIDE: [u8; 6] = [2, 0, 0, 0, 7, 7];

/// Everything in a namespace that an instance may change.
fn footprint(netns: &Netns, name: &str) -> Result<String> {
    let listed = netns.exec("bpftool net show")?;
    let mut programs = String::new();
    for line in netns.exec("ip -o link")?.lines() {
        let name = line.split_whitespace().nth(1).context("a device without a name")?;
        let interface = name.split(['@', ':']).next().unwrap_or(name);
        programs += &format!("{interface}: {:?}\n", attached(netns, interface)?);
    }
    let qdiscs = netns.exec("tc qdisc show")?;
    let links: String = netns
        .exec("ip -d -o link")?
        .split_whitespace()
        .filter(|word| matches!(*word, "promiscuity" | "1" | "2" | "0") || word.contains("PROMISC"))
        .collect();
    let files = ["/sys/fs/bpf/overlay", "/run/overlay"]
        .map(|directory| entries_of(directory, name))
        .concat();
    Ok(format!("{listed}\n{programs}{qdiscs}\n{links}\n{files:?}"))
}

/// What lies in a directory under the name of an instance.
fn entries_of(directory: &str, name: &str) -> Vec<String> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    let ours = |entry: &String| {
        !name.is_empty()
            && entry.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    names.filter(ours).collect()
}

/// Ours against the kernel's, with the hooks asked for.
fn start<'n>(testbed: &'n TwoGateways, uplink: &str, access: &str) -> Result<Overlay<'n>> {
    let gateway = &testbed.gw1;
    let config = gateway.config(uplink, access, &[("kernel", TwoGateways::VTEP2)]);
    let ours = Overlay::start(&gateway.netns, &gateway.name, &config)?;
    ours.wait_for_peers()?;
    Ok(ours)
}

fn against_kernel() -> Result<TwoGateways> {
    let testbed = TwoGateways::new()?;
    testbed.gw2.bridge_vxlan(TwoGateways::VNI, &[TwoGateways::VTEP1])?;
    Ok(testbed)
}

#[test]
fn killed_daemon_leaves_forwarding_and_starts_again() -> Result<()> {
    killed_and_restarted("killed_daemon_leaves_forwarding_and_starts_again", "auto", "auto")
}

#[test]
fn so_does_one_that_is_killed_on_xdp() -> Result<()> {
    killed_and_restarted("so_does_one_that_is_killed_on_xdp", "xdp", "tc")
}

fn killed_and_restarted(name: &str, uplink: &str, access: &str) -> Result<()> {
    if !require_root(name) || !require_tools(name, TOOLS) {
        return Ok(());
    }
    let testbed = against_kernel()?;
    let gateway = &testbed.gw1;
    let before = footprint(&gateway.netns, &gateway.name)?;
    let mut ours = start(&testbed, uplink, access)?;
    ping(&testbed.host1, TwoGateways::HOST2)?;
    let mut echoes = Echoes::start(&testbed.host1, (&testbed.host2, TwoGateways::HOST2))?;
    echoes.wait_for_more(20)?;
    ours.kill()?;
    echoes.wait_for_more(20).context("without a daemon")?;
    ours.restart()?;
    ours.wait_for_peers()?;
    echoes.wait_for_more(20).context("after the restart")?;
    println!("{} echoes, none lost", echoes.finish()?);

    // Again, at once, and then end it for good.
    ours.kill()?;
    ours.restart()?;
    ours.wait_for_peers()?;
    ping(&testbed.host1, TwoGateways::HOST2)?;
    ensure!(ours.run(&["show", "ports"])?.contains("eth1"));
    ours.down()?;
    let after = footprint(&gateway.netns, &gateway.name)?;
    ensure!(before == after, "before:\n{before}\nafter:\n{after}");
    Ok(())
}

#[test]
fn down_leaves_nothing_behind() -> Result<()> {
    let name = "down_leaves_nothing_behind";
    if !require_root(name) || !require_tools(name, TOOLS) {
        return Ok(());
    }
    for (uplink, access) in [
        ("auto", "auto"),
        ("xdp", "xdp"),
        ("xdp-generic", "tc"),
        ("user", "user"),
        ("user-xdp", "user-xdp"),
    ] {
        let testbed = against_kernel()?;
        let gateway = &testbed.gw1;
        let before = footprint(&gateway.netns, &gateway.name)?;
        let check = |what: &str| -> Result<()> {
            let after = footprint(&gateway.netns, &gateway.name)?;
            ensure!(before == after, "{what}, {uplink}: before:\n{before}\nafter:\n{after}");
            Ok(())
        };
        let mut ours = start(&testbed, uplink, access)?;
        ensure!(before != footprint(&gateway.netns, &gateway.name)?, "nothing was attached");
        ours.down()?;
        check("down with a daemon")?;

        ours.restart()?;
        ours.kill()?;
        ensure!(before != footprint(&gateway.netns, &gateway.name)?, "the kernel forgot it");
        ours.down()?;
        check("down without a daemon")?;

        ours.restart()?;
        let code = ours.end(Signal::SIGINT)?;
        ensure!(code == Some(0), "exit code {code:?}");
        check("Ctrl-C")?;

        ours.restart()?;
        let running = footprint(&gateway.netns, &gateway.name)?;
        let code = ours.end(Signal::SIGTERM)?;
        ensure!(code == Some(0), "exit code {code:?}");
        let left = footprint(&gateway.netns, &gateway.name)?;
        let programs = |print: &str| print.lines().next().map(str::to_owned);
        ensure!(before != left && programs(&running) == programs(&left), "{running}\n{left}");
        ours.down()?;
        check("SIGTERM, and down without a daemon")?;
    }
    Ok(())
}

#[test]
fn a_foreign_qdisc_and_program_survive() -> Result<()> {
    let name = "a_foreign_qdisc_and_program_survive";
    if !require_root(name) || !require_tools(name, TOOLS) {
        return Ok(());
    }
    let testbed = against_kernel()?;
    let gateway = &testbed.gw1;
    gateway.netns.exec("tc qdisc add dev eth0 clsact")?;
    gateway.netns.exec("tc filter add dev eth0 ingress pref 7 protocol ip u32 match u32 0 0")?;
    let filters = || gateway.netns.exec("tc filter show dev eth0 ingress");
    let before = (footprint(&gateway.netns, &gateway.name)?, filters()?);
    let mut ours = start(&testbed, "tc", "tc")?;
    ping(&testbed.host1, TwoGateways::HOST2)?;
    ours.down()?;
    let after = (footprint(&gateway.netns, &gateway.name)?, filters()?);
    ensure!(before == after, "before:\n{before:?}\nafter:\n{after:?}");
    Ok(())
}

/// A namespace with two gateways in it: `eth0` and `eth1` belong to the first,
/// `eth2` and `eth3` to the second.
struct Shared {
    gateway: Netns,
    outside: Netns,
    hosts: Netns,
}

impl Shared {
    fn new() -> Result<Self> {
        let shared = Self {
            gateway: Netns::new("two")?,
            outside: Netns::new("outside")?,
            hosts: Netns::new("hosts")?,
        };
        for (device, number) in [("eth0", 1), ("eth2", 2)] {
            veth(&shared.gateway, device, &shared.outside, device)?;
            let (ours, theirs) = (format!("192.0.{number}.1"), format!("192.0.{number}.2"));
            shared.gateway.exec(&format!("ip addr add {ours}/24 dev {device}"))?;
            shared.outside.exec(&format!("ip addr add {theirs}/24 dev {device}"))?;
        }
        for device in ["eth1", "eth3", "eth4", "eth5"] {
            veth(&shared.gateway, device, &shared.hosts, device)?;
        }
        Ok(shared)
    }

    /// An instance with two access ports, so that frames can be seen to pass.
    fn start(&self, number: u8, uplink: &str, ports: [&str; 2]) -> Result<Overlay<'_>> {
        self.start_as(&format!("{}-{number}", self.gateway.name()), number, uplink, ports)
    }

    fn start_as(
        &self,
        name: &str,
        number: u8,
        uplink: &str,
        ports: [&str; 2],
    ) -> Result<Overlay<'_>> {
        let config = format!(
            "[node]\nname = \"{name}\"\nvtep = \"192.0.{number}.1\"\n\
             [[uplink]]\ninterface = \"{uplink}\"\n\
             [[segment]]\nname = \"blue\"\nvni = 100\n\
             [[segment.port]]\ninterface = \"{}\"\n\
             [[segment.port]]\ninterface = \"{}\"\n\
             [[peer]]\nname = \"other\"\nvtep = \"192.0.{number}.2\"\nsegments = [\"blue\"]\n",
            ports[0], ports[1]
        );
        Overlay::start(&self.gateway, name, &config)
    }

    /// Whether a frame passes from one access port to another, as it should.
    fn passes(&self, from: &str, to: &str, mark: &str) -> Result<bool> {
        let end = self.send(from, to, mark)?;
        Ok(end.find(SOON, |frame| has_mark(frame, mark))?.is_some())
    }

    /// Whether none does.
    fn is_cut_off(&self, from: &str, to: &str, mark: &str) -> Result<bool> {
        let end = self.send(from, to, mark)?;
        Ok(end.collect(QUIET, |frame| has_mark(frame, mark))?.is_empty())
    }

    /// Sends a frame to everyone and returns the end where it may arrive.
    fn send(&self, from: &str, to: &str, mark: &str) -> Result<RawSocket> {
        let end = RawSocket::open(&self.hosts, to)?;
        RawSocket::open(&self.hosts, from)?.send(&marked([0xff; 6], INSIDE, mark))?;
        Ok(end)
    }
}

#[test]
fn two_instances_do_not_disturb_each_other() -> Result<()> {
    let name = "two_instances_do_not_disturb_each_other";
    if !require_root(name) || !require_tools(name, TOOLS) {
        return Ok(());
    }
    let shared = Shared::new()?;
    let mut first = shared.start(1, "eth0", ["eth1", "eth4"])?;
    let second_name = format!("{}-2", shared.gateway.name());
    let alone = footprint(&shared.gateway, &second_name)?;
    let mut second = shared.start(2, "eth2", ["eth3", "eth5"])?;
    ensure!(shared.passes("eth1", "eth4", "first")?);
    ensure!(shared.passes("eth3", "eth5", "second")?);
    let is_apart = shared.is_cut_off("eth1", "eth5", "first to second")?;
    ensure!(is_apart, "segments of two instances mix");
    ensure!(first.show("ports")?.len() == 3 && second.show("ports")?.len() == 3);

    second.down()?;
    ensure!(alone == footprint(&shared.gateway, &second_name)?, "down took more than its own");
    ensure!(shared.passes("eth1", "eth4", "first alone")?);
    ensure!(shared.is_cut_off("eth3", "eth5", "second is gone")?);

    second.restart()?;
    first.kill()?;
    ensure!(shared.passes("eth3", "eth5", "second alone")?);
    ensure!(shared.passes("eth1", "eth4", "first without its daemon")?);
    first.restart()?;
    first.down()?;
    ensure!(shared.passes("eth3", "eth5", "second at last")?);
    Ok(())
}

#[test]
fn one_name_runs_once() -> Result<()> {
    if !require_root("one_name_runs_once") {
        return Ok(());
    }
    let shared = Shared::new()?;
    let first = shared.start(1, "eth0", ["eth1", "eth4"])?;
    let mut again = overlay(&shared.gateway);
    let again = Process::spawn_gateway(again.arg("run").arg("--config").arg(first.config()))?;
    let status = again.wait(RECOVERY)?;
    ensure!(status.code() == Some(1), "{status}: {}", again.output());
    ensure!(first.is_running() && first.run(&["status"]).is_ok(), "the first one suffered");
    ensure!(shared.passes("eth1", "eth4", "still there")?);
    Ok(())
}

/// The kernel's bridge behind `eth1` comes and goes, and so does the uplink.
#[test]
fn links_that_flap_come_back() -> Result<()> {
    let name = "links_that_flap_come_back";
    if !require_root(name) || !require_tools(name, TOOLS) {
        return Ok(());
    }
    for uplink in ["tc", "xdp"] {
        let testbed = against_kernel()?;
        let ours = start(&testbed, uplink, "tc")?;
        ping(&testbed.host1, TwoGateways::HOST2)?;
        for device in ["eth0", "eth1"] {
            testbed.gw1.netns.exec(&format!("ip link set {device} down"))?;
            std::thread::sleep(Duration::from_millis(200));
            testbed.gw1.netns.exec(&format!("ip link set {device} up"))?;
            recovers(&testbed).with_context(|| format!("{device} on {uplink}\n{}", ours.log()))?;
        }
        // Gone, and made again with another index and address.
        testbed.gw1.netns.exec("ip link del eth1")?;
        std::thread::sleep(Duration::from_millis(200));
        ensure!(ours.is_running(), "the daemon followed its port:\n{}", ours.log());
        veth(&testbed.gw1.netns, "eth1", &testbed.host1, "eth0")?;
        testbed.host1.exec(&format!("ip addr add {}/24 dev eth0", TwoGateways::HOST1))?;
        recovers(&testbed).with_context(|| format!("a new eth1 on {uplink}\n{}", ours.log()))?;
    }
    Ok(())
}

fn recovers(testbed: &TwoGateways) -> Result<()> {
    let target = TwoGateways::HOST2;
    wait_until("recovery", RECOVERY, || answers(&testbed.host1, target).then_some(()))?;
    ping(&testbed.host1, target)
}

/// The namespace has gone, and with it everything that was attached; what is
/// pinned has not.
#[test]
fn down_after_the_namespace_is_gone() -> Result<()> {
    let name = "down_after_the_namespace_is_gone";
    if !require_root(name) || !require_tools(name, TOOLS) {
        return Ok(());
    }
    let elsewhere = Netns::new("elsewhere")?;
    let testbed = against_kernel()?;
    let instance = testbed.gw1.name.clone();
    let mut ours = start(&testbed, "auto", "auto")?;
    ours.kill()?;
    // Nothing but our own guard still refers to the namespace. It is forgotten,
    // so its folder is removed by hand.
    std::fs::remove_dir_all(ours.config().parent().context("a folder")?)?;
    std::mem::forget(ours);
    drop(testbed);
    let mut command = overlay(&elsewhere);
    run(command.args(["down", "--name", &instance]))?;
    for directory in ["/sys/fs/bpf/overlay", "/run/overlay"] {
        let left = entries_of(directory, &instance);
        ensure!(left.is_empty(), "{directory}: {left:?}");
    }
    Ok(())
}

/// `ip netns exec` gives a command a mount namespace with a `/sys` of its own.
#[test]
fn started_by_ip_netns_exec() -> Result<()> {
    let name = "started_by_ip_netns_exec";
    if !require_root(name) || !require_tools(name, TOOLS) {
        return Ok(());
    }
    let testbed = against_kernel()?;
    let gateway = &testbed.gw1;
    let before = footprint(&gateway.netns, &gateway.name)?;
    let scratch = Scratch::new()?;
    let config = gateway.config("auto", "auto", &[("kernel", TwoGateways::VTEP2)]);
    let config = scratch.write("overlay.toml", config)?;
    let mut command = std::process::Command::new("ip");
    command.args(["netns", "exec", gateway.netns.name(), &binary(), "run", "--config"]);
    let daemon = Process::spawn_gateway(command.arg(config))?;
    let ask = |arguments: &[&str]| {
        run(overlay(&testbed.host1).args(arguments).args(["--name", &gateway.name]))
    };
    wait_until("a ready peer", RECOVERY, || {
        ask(&["show", "peers", "--json"]).ok()?.contains("\"ready\"").then_some(())
    })
    .with_context(|| daemon.output())?;
    ping(&testbed.host1, TwoGateways::HOST2)?;
    ensure!(!entries_of("/sys/fs/bpf/overlay", &gateway.name).is_empty(), "pinned elsewhere");
    daemon.signal(Signal::SIGKILL)?;
    daemon.wait(RECOVERY)?;
    ping(&testbed.host1, TwoGateways::HOST2)?;
    ask(&["down"])?;
    let after = footprint(&gateway.netns, &gateway.name)?;
    ensure!(before == after, "before:\n{before}\nafter:\n{after}");
    Ok(())
}

/// Device indexes repeat from one namespace to the next: what the dead daemon
/// left in the first must not be taken for the second's.
#[test]
fn a_name_that_moves_to_another_namespace() -> Result<()> {
    let name = "a_name_that_moves_to_another_namespace";
    if !require_root(name) || !require_tools(name, TOOLS) {
        return Ok(());
    }
    let (former, later) = (Shared::new()?, Shared::new()?);
    let instance = format!("{}-1", former.gateway.name());
    let before = footprint(&former.gateway, "")?;
    let mut first = former.start_as(&instance, 1, "eth0", ["eth1", "eth4"])?;
    ensure!(former.passes("eth1", "eth4", "former")?);
    first.kill()?;
    let mut second = later.start_as(&instance, 1, "eth0", ["eth1", "eth4"])?;
    ensure!(later.passes("eth1", "eth4", "later")?, "{}", second.log());
    let words =
        format!("{instance} ran in another network namespace; its links there are detached");
    ensure!(second.log().contains(&words), "{}", second.log());
    let has_ended = former.is_cut_off("eth1", "eth4", "former still")?;
    ensure!(has_ended, "the former place still forwards");
    second.down()?;
    ensure!(later.is_cut_off("eth1", "eth4", "after down")?);
    ensure!(before == footprint(&former.gateway, "")?, "the former namespace is not clean");
    Ok(())
}

/// Whatever a start has done when it is killed, the next one copes with it, also
/// where the hooks differ.
#[test]
fn killed_at_any_moment_of_its_start() -> Result<()> {
    let name = "killed_at_any_moment_of_its_start";
    if !require_root(name) || !require_tools(name, TOOLS) {
        return Ok(());
    }
    let testbed = against_kernel()?;
    let gateway = &testbed.gw1;
    let before = footprint(&gateway.netns, &gateway.name)?;
    let peers = [("kernel", TwoGateways::VTEP2)];
    let scratch = Scratch::new()?;
    for moment in 0..16 {
        let mode = ["tc", "xdp", "xdp-generic"][moment % 3];
        let config = scratch.write("overlay.toml", gateway.config(mode, mode, &peers))?;
        let mut command = overlay(&gateway.netns);
        let daemon = Process::spawn_gateway(command.arg("run").arg("--config").arg(config))?;
        std::thread::sleep(Duration::from_millis(moment as u64 * 25));
        daemon.signal(Signal::SIGKILL)?;
        daemon.wait(RECOVERY)?;
    }
    let mut ours = start(&testbed, "xdp", "tc")?;
    ping(&testbed.host1, TwoGateways::HOST2)?;
    ours.down()?;
    let after = footprint(&gateway.netns, &gateway.name)?;
    ensure!(before == after, "before:\n{before}\nafter:\n{after}");
    Ok(())
}

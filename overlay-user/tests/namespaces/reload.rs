//! Configurations that change under a running gateway.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use overlay_testbed::frame::{self, BROADCAST};
use overlay_testbed::{Netns, RawSocket, TwoGateways, require_root, require_tools, veth};

use crate::harness::{Echoes, Overlay, attached, has_mark, marked, ping};

const INSIDE: [u8; 6] = [2, 0, 0, 0, 0, 1];
const SOON: Duration = Duration::from_secs(2);
const TOOLS: &[&str] = &["tc", "bridge", "ping"];

#[test]
fn a_reload_changes_only_what_changed() -> Result<()> {
    let name = "a_reload_changes_only_what_changed";
    if !require_root(name) || !require_tools(name, TOOLS) {
        return Ok(());
    }
    let testbed = TwoGateways::new()?;
    testbed.gw2.bridge_vxlan(TwoGateways::VNI, &[TwoGateways::VTEP1])?;
    let gateway = &testbed.gw1;
    let good = gateway.config("auto", "auto", &[("kernel", TwoGateways::VTEP2)]);
    let ours = Overlay::start(&gateway.netns, &gateway.name, &good)?;
    ours.wait_for_peers()?;
    let mut echoes = Echoes::start(&testbed.host1, (&testbed.host2, TwoGateways::HOST2))?;
    echoes.wait_for_more(20)?;
    let more = format!("{good}\n[[segment]]\nname = \"red\"\nvni = 200\n");
    ours.reload(&more)?;
    ensure!(ours.show("segments")?.len() == 2);
    // A bad file changes nothing.
    let bad = more.replace("vni = 200", "vni = 0");
    let refused = ours.reload(&bad).err().context("a bad file was taken")?;
    ensure!(format!("{refused:#}").contains("vni"), "{refused:#}");
    ensure!(ours.show("segments")?.len() == 2);
    ours.reload(&good)?;
    ensure!(ours.show("segments")?.len() == 1);
    echoes.wait_for_more(20)?;
    println!("{} echoes, none lost", echoes.finish()?);
    // Without the peer nothing crosses any more.
    ours.reload(&gateway.config("auto", "auto", &[]))?;
    let lost = testbed.host1.exec(&format!("ping -n -q -c 2 -W 1 {}", TwoGateways::HOST2));
    ensure!(lost.is_err(), "a removed peer still takes part");
    ensure!(Path::new("/sys/fs/bpf/overlay").join(&gateway.name).exists());
    Ok(())
}

/// A gateway with three interfaces for access ports.
struct Ports {
    gateway: Netns,
    _outside: Netns,
    ends: [RawSocket; 3],
}

impl Ports {
    fn new() -> Result<Self> {
        let gateway = Netns::new("gw")?;
        let outside = Netns::new("outside")?;
        veth(&gateway, "eth0", &outside, "eth0")?;
        gateway.exec("ip addr add 192.0.2.1/24 dev eth0")?;
        for device in ["eth1", "eth2", "eth3"] {
            veth(&gateway, device, &outside, device)?;
        }
        let ends = [
            RawSocket::open(&outside, "eth1")?,
            RawSocket::open(&outside, "eth2")?,
            RawSocket::open(&outside, "eth3")?,
        ];
        Ok(Self { gateway, _outside: outside, ends })
    }

    /// A configuration with these ports, as (interface, segment, mode, VLAN).
    fn config(&self, uplink: &str, ports: &[(&str, &str, &str, u16)]) -> String {
        let mut text = format!(
            "[node]\nname = \"{}\"\nvtep = \"192.0.2.1\"\n\
             [[uplink]]\ninterface = \"eth0\"\nmode = \"{uplink}\"\n",
            self.gateway.name()
        );
        for (segment, vni) in [("blue", 100), ("red", 200)] {
            text += &format!("[[segment]]\nname = \"{segment}\"\nvni = {vni}\n");
            for (interface, _, mode, vlan) in ports.iter().filter(|port| port.1 == segment) {
                text +=
                    &format!("[[segment.port]]\ninterface = \"{interface}\"\nmode = \"{mode}\"\n");
                if *vlan != 0 {
                    text += &format!("vlan = {vlan}\n");
                }
            }
        }
        text
    }

    /// Fails unless these of the three interfaces get a frame that is sent into the first.
    fn reaches(&self, mark: &str, vlan: u16, wanted: [bool; 3]) -> Result<()> {
        let plain = marked(BROADCAST, INSIDE, mark);
        let sent = if vlan == 0 { plain } else { frame::tagged(&plain, vlan) };
        self.ends[0].send(&sent)?;
        let mut order = [0, 1, 2];
        // Where nothing should come is looked at once the others have theirs.
        order.sort_by_key(|i| !wanted[*i]);
        for i in order {
            let count = usize::from(wanted[i]);
            let came = self.ends[i].expect(count, SOON, |frame| has_mark(frame, mark))?.len();
            ensure!(came == count, "{mark}: {came} frames at the end of port {}", i + 1);
        }
        Ok(())
    }
}

#[test]
fn ports_come_go_and_change() -> Result<()> {
    let name = "ports_come_go_and_change";
    if !require_root(name) || !require_tools(name, TOOLS) {
        return Ok(());
    }
    let bed = Ports::new()?;
    let start = [("eth1", "blue", "tc", 0), ("eth2", "blue", "tc", 0)];
    let ours = Overlay::start(&bed.gateway, bed.gateway.name(), &bed.config("tc", &start))?;
    bed.reaches("two", 0, [false, true, false])?;

    let three = [start[0], start[1], ("eth3", "blue", "tc", 0)];
    ours.reload(&bed.config("tc", &three))?;
    bed.reaches("three", 0, [false, true, true]).context("a new port")?;

    let moved = [start[0], start[1], ("eth3", "red", "tc", 0)];
    ours.reload(&bed.config("tc", &moved))?;
    bed.reaches("moved", 0, [false, true, false]).context("a port in another segment")?;

    let tagged = [("eth1", "red", "tc", 7), start[0], start[1], ("eth3", "red", "tc", 0)];
    ours.reload(&bed.config("tc", &tagged))?;
    bed.reaches("tagged", 7, [false, false, true]).context("a VLAN of a port")?;
    bed.reaches("untagged", 0, [false, true, false]).context("the port itself")?;

    let on_xdp = [("eth1", "blue", "xdp", 0), ("eth2", "blue", "xdp", 0)];
    ours.reload(&bed.config("xdp", &on_xdp))?;
    for interface in ["eth0", "eth1", "eth2"] {
        ensure!(ours.hook(interface)? == "xdp", "{:?}", ours.show("ports")?);
    }
    bed.reaches("on XDP", 0, [false, true, false])?;
    ensure!(attached(&bed.gateway, "eth3")?.is_empty(), "a removed port keeps its program");

    ours.reload(&bed.config("tc", &start))?;
    for interface in ["eth0", "eth1", "eth2"] {
        ensure!(ours.hook(interface)? == "tc", "{:?}", ours.show("ports")?);
        let programs = attached(&bed.gateway, interface)?;
        ensure!(programs.len() == 1, "{interface}: {programs:?}");
    }
    bed.reaches("on tc again", 0, [false, true, false])?;
    Ok(())
}

#[test]
fn a_port_that_is_removed_is_the_hosts_again() -> Result<()> {
    let name = "a_port_that_is_removed_is_the_hosts_again";
    if !require_root(name) || !require_tools(name, TOOLS) {
        return Ok(());
    }
    let testbed = TwoGateways::new()?;
    let gateway = &testbed.gw1;
    gateway.netns.exec("ip addr add 10.0.0.254/24 dev eth1")?;
    let with = gateway.config("auto", "auto", &[]);
    let ours = Overlay::start(&gateway.netns, &gateway.name, &with)?;
    ensure!(testbed.host1.exec("ping -n -q -c 1 -W 1 10.0.0.254").is_err(), "it is the overlay's");
    let without = with.split("[[segment.port]]").next().context("a segment")?;
    ours.reload(without)?;
    ping(&testbed.host1, "10.0.0.254")
}

#[test]
fn the_name_and_the_vtep_in_a_reload() -> Result<()> {
    let name = "the_name_and_the_vtep_in_a_reload";
    if !require_root(name) || !require_tools(name, TOOLS) {
        return Ok(());
    }
    let testbed = TwoGateways::new()?;
    // The kernel's gateway sends to the address that ours will have.
    testbed.gw2.bridge_vxlan(TwoGateways::VNI, &["192.0.2.11"])?;
    let gateway = &testbed.gw1;
    gateway.netns.exec("ip addr add 192.0.2.11/24 dev eth0")?;
    let config = gateway.config("auto", "auto", &[("kernel", TwoGateways::VTEP2)]);
    let ours = Overlay::start(&gateway.netns, &gateway.name, &config)?;
    ours.wait_for_peers()?;
    ours.reload(&config.replace("\"192.0.2.1\"", "\"192.0.2.11\""))?;
    ours.wait_for_peers()?;
    ping(&testbed.host1, TwoGateways::HOST2)?;
    // The name is in paths: it stays, or the reload is refused; never half of it.
    let renamed = config.replace(&gateway.name, "another-name");
    let _ = ours.reload(&renamed);
    ensure!(ours.run(&["status"]).is_ok(), "the instance is lost:\n{}", ours.log());
    Ok(())
}

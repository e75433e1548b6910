//! Access ports: local switching, VLANs, and no way into the host's own stack.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use overlay_common::id::Vlan;
use overlay_testbed::frame::{self, BROADCAST, Tunnel};
use overlay_testbed::{Netns, RawSocket, mac_of, require_root, veth, wait_until};

use crate::harness::{Overlay, has_mark, marked, octets};

const MAC_1: [u8; 6] = [2, 0, 0, 0, 0, 1];
const MAC_2: [u8; 6] = [2, 0, 0, 0, 0, 2];
const SOON: Duration = Duration::from_secs(2);
const QUIET: Duration = Duration::from_millis(150);

/// A segment of the configuration: name, VNI, ports (interface, VLAN as [`Vlan::word`] has it).
pub type SegmentOf<'a> = (&'a str, u32, &'a [(&'a str, u16)]);

/// A gateway with three access interfaces, and one uplink.
pub struct Switch {
    pub gateway: Netns,
    pub outside: Netns,
    _hosts: Netns,
    pub ends: [RawSocket; 3],
    pub underlay: RawSocket,
}

impl Switch {
    fn new() -> Result<Self> {
        let gateway = Netns::new("gw")?;
        let outside = Netns::new("outside")?;
        let hosts = Netns::new("hosts")?;
        veth(&gateway, "eth0", &outside, "eth0")?;
        gateway.exec("ip addr add 192.0.2.1/24 dev eth0")?;
        outside.exec("ip addr add 192.0.2.2/24 dev eth0")?;
        for device in ["eth1", "eth2", "eth3"] {
            veth(&gateway, device, &hosts, device)?;
            // Frames that XDP redirects arrive only where the far end polls.
            hosts.exec(&format!("ethtool -K {device} gro on"))?;
        }
        outside.exec("ethtool -K eth0 gro on")?;
        let ends = [
            RawSocket::open(&hosts, "eth1")?,
            RawSocket::open(&hosts, "eth2")?,
            RawSocket::open(&hosts, "eth3")?,
        ];
        let underlay = RawSocket::open(&outside, "eth0")?;
        Ok(Self { gateway, outside, _hosts: hosts, ends, underlay })
    }

    /// Starts a gateway with these segments.
    pub fn start(&self, mode: &str, segments: &[SegmentOf<'_>]) -> Result<Overlay<'_>> {
        let name = self.gateway.name();
        let mut config = format!(
            "[node]\nname = \"{name}\"\nvtep = \"192.0.2.1\"\n\
             [[uplink]]\ninterface = \"eth0\"\nmode = \"{mode}\"\n"
        );
        for (segment, vni, ports) in segments {
            config += &format!("[[segment]]\nname = \"{segment}\"\nvni = {vni}\n");
            for (interface, vlan) in *ports {
                config +=
                    &format!("[[segment.port]]\ninterface = \"{interface}\"\nmode = \"{mode}\"\n");
                if let Some(vlan) = Vlan::from_word(*vlan) {
                    let (id, protocol) = (vlan.id(), vlan.kind().name());
                    config += &format!("vlan = {id}\nprotocol = \"{protocol}\"\n");
                }
            }
        }
        let names: Vec<_> = segments.iter().map(|segment| format!("\"{}\"", segment.0)).collect();
        config += &format!(
            "[[peer]]\nname = \"peer\"\nvtep = \"192.0.2.2\"\nsegments = [{}]\n",
            names.join(", ")
        );
        let ours = Overlay::start(&self.gateway, name, &config)?;
        ours.wait_for_peers()?;
        Ok(ours)
    }

    /// Who gets a frame with this mark, and how it looks there. So many frames should come
    /// to each end.
    pub fn seen(&self, mark: &str, counts: [usize; 3]) -> Result<[Vec<Vec<u8>>; 3]> {
        let mut seen = [const { Vec::new() }; 3];
        // Where nothing should come is looked at once the others have theirs.
        let mut order = [0, 1, 2];
        order.sort_by_key(|i| counts[*i] == 0);
        for i in order {
            seen[i] = self.ends[i].expect(counts[i], SOON, |frame| has_mark(frame, mark))?;
        }
        Ok(seen)
    }
}

/// Waits until exactly these are counted.
pub fn wait_for_drops(ours: &Overlay<'_>, wanted: &BTreeMap<String, u64>) -> Result<()> {
    wait_until("count of drops", SOON, || (ours.drops().ok()? == *wanted).then_some(()))
        .with_context(|| format!("wanted {wanted:?}, got {:?}", ours.drops()))
}

pub fn on_each_hook(name: &str, check: impl Fn(&Switch, &str) -> Result<()>) -> Result<()> {
    if !require_root(name) {
        return Ok(());
    }
    for mode in ["tc", "xdp", "user", "user-xdp"] {
        check(&Switch::new()?, mode).with_context(|| format!("ports on {mode}"))?;
    }
    Ok(())
}

#[test]
fn ports_of_a_segment_switch_locally() -> Result<()> {
    on_each_hook("ports_of_a_segment_switch_locally", |switch, mode| {
        let ours =
            switch.start(mode, &[("blue", 100, &[("eth1", 0), ("eth2", 0), ("eth3", 0)])])?;
        let hello = marked(BROADCAST, MAC_2, "hello");
        switch.ends[1].send(&hello)?;
        ensure!(switch.seen("hello", [1, 0, 1])? == [vec![hello.clone()], vec![], vec![hello]]);
        ours.wait_for_mac("blue", MAC_2, "eth2")?;
        let tunnelled = switch.underlay.find(SOON, |frame| has_mark(frame, "hello"))?;
        ensure!(tunnelled.is_some(), "the peer's copy of a flooded frame");

        let direct = marked(MAC_2, MAC_1, "direct");
        switch.ends[0].send(&direct)?;
        ensure!(switch.seen("direct", [0, 1, 0])? == [vec![], vec![direct], vec![]]);
        let tunnelled = switch.underlay.collect(QUIET, |frame| has_mark(frame, "direct"))?;
        ensure!(tunnelled.is_empty(), "local traffic left the gateway");

        // The host moves from one port to another.
        switch.ends[2].send(&marked(MAC_1, MAC_2, "moved"))?;
        ours.wait_for_mac("blue", MAC_2, "eth3")?;
        let direct = marked(MAC_2, MAC_1, "to the new place");
        switch.ends[0].send(&direct)?;
        ensure!(switch.seen("to the new place", [0, 0, 1])? == [vec![], vec![], vec![direct]]);

        // To whom is on the same port: the frame has already been there.
        switch.ends[0].send(&marked(MAC_1, [2, 0, 0, 0, 0, 9], "to a neighbour"))?;
        wait_for_drops(&ours, &BTreeMap::from([("same-port".to_owned(), 1)]))?;
        ensure!(switch.seen("to a neighbour", [0; 3])?.iter().all(Vec::is_empty));
        Ok(())
    })
}

#[test]
fn vlans_of_a_port_belong_to_their_segments() -> Result<()> {
    on_each_hook("vlans_of_a_port_belong_to_their_segments", |switch, mode| {
        let ours = switch.start(
            mode,
            &[
                ("blue", 100, &[("eth1", 10), ("eth2", 0)]),
                ("red", 200, &[("eth1", 20), ("eth3", 30)]),
            ],
        )?;
        let plain = marked(BROADCAST, MAC_1, "ten");
        switch.ends[0].send(&frame::tagged(&plain, 10))?;
        ensure!(
            switch.seen("ten", [0, 1, 0])? == [vec![], vec![plain.clone()], vec![]],
            "10 to untagged"
        );
        let tunnelled = switch.underlay.find(SOON, |frame| has_mark(frame, "ten"))?;
        let tunnelled = tunnelled.context("nothing on the underlay")?;
        ensure!(Tunnel::unwrap(&tunnelled) == Some((100, &plain[..])), "{tunnelled:02x?}");

        let plain = marked(MAC_1, MAC_2, "back to ten");
        ours.wait_for_mac("blue", MAC_1, "eth1")?;
        switch.ends[1].send(&plain)?;
        let wanted = frame::tagged(&plain, 10);
        ensure!(
            switch.seen("back to ten", [1, 0, 0])? == [vec![wanted], vec![], vec![]],
            "untagged to 10"
        );

        let plain = marked(BROADCAST, MAC_1, "twenty");
        switch.ends[0].send(&frame::tagged(&plain, 20))?;
        let wanted = frame::tagged(&plain, 30);
        let seen = switch.seen("twenty", [0, 0, 1])?;
        ensure!(seen == [vec![], vec![], vec![wanted]], "20 to 30: {seen:02x?}");

        // Priority-tagged (VLAN 0) is untagged.
        let plain = marked(BROADCAST, MAC_2, "priority");
        switch.ends[1].send(&frame::tagged(&plain, 5 << 13))?;
        let seen = switch.seen("priority", [1, 0, 0])?;
        let vlans = |frames: &[Vec<u8>]| -> Vec<Vec<u8>> {
            frames.iter().map(|frame| frame[12..16].to_vec()).collect()
        };
        ensure!(vlans(&seen[0]) == [[0x81, 0, 0, 10]] && seen[2].is_empty(), "{seen:02x?}");

        // A tunnel's frame gets the port's tag.
        let tunnel = Tunnel {
            macs: (mac_of(&switch.gateway, "eth0")?, mac_of(&switch.outside, "eth0")?),
            src: octets("192.0.2.2"),
            dst: octets("192.0.2.1"),
            vni: 200,
        };
        let plain = marked(BROADCAST, [2, 0, 0, 0, 0, 3], "from afar");
        switch.underlay.send(&tunnel.wrap(&plain))?;
        let (on_20, on_30) = (frame::tagged(&plain, 20), frame::tagged(&plain, 30));
        let seen = switch.seen("from afar", [1, 0, 1])?;
        ensure!(seen == [vec![on_20], vec![], vec![on_30]], "{seen:02x?}");

        let before = ours.drops()?;
        switch.ends[0].send(&frame::tagged(&marked(BROADCAST, MAC_1, "nobody's"), 99))?;
        switch.ends[0].send(&marked(BROADCAST, MAC_1, "nobody's"))?;
        let mut wanted = before;
        *wanted.entry("unknown-vlan".into()).or_default() += 2;
        wait_for_drops(&ours, &wanted)?;
        ensure!(switch.seen("nobody's", [0; 3])?.iter().all(Vec::is_empty));
        Ok(())
    })
}

#[test]
fn access_frames_never_reach_the_hosts_stack() -> Result<()> {
    on_each_hook("access_frames_never_reach_the_hosts_stack", |switch, mode| {
        switch.gateway.exec("ip addr add 10.9.9.1/24 dev eth1")?;
        let ours = switch.start(mode, &[("blue", 100, &[("eth1", 0), ("eth2", 0)])])?;
        let own = mac_of(&switch.gateway, "eth1")?;
        // Datagrams that were delivered to the host, with a socket or without.
        let received = || -> Result<u64> {
            let snmp = "/proc/thread-self/net/snmp";
            let text = switch.gateway.enter(|| std::fs::read_to_string(snmp))??;
            let values = text.lines().filter(|line| line.starts_with("Udp:")).nth(1);
            let values = values.context("no UDP counters")?.split_whitespace().skip(1).take(2);
            values.map(|value| Ok(value.parse::<u64>()?)).sum()
        };
        let before = received()?;
        let datagram = frame::ipv4_udp(([10, 9, 9, 2], 9), ([10, 9, 9, 1], 9), b"to the host");
        switch.ends[0].send(&frame::ethernet(own, MAC_1, 0x0800, &datagram))?;
        switch.ends[0].send(&frame::ethernet(BROADCAST, MAC_1, 0x0800, &datagram))?;
        switch.ends[0].send(&frame::arp_request(MAC_1, [10, 9, 9, 2], [10, 9, 9, 1]))?;
        // The daemon asks the far end of a veth on XDP, once, whether redirected
        // frames arrive; that probe is of the EtherType for local experiments.
        let is_answer = |frame: &[u8]| frame[6..12] == own && frame[12..14] != [0x88, 0xb5];
        let answer = switch.ends[0].collect(Duration::from_millis(300), is_answer)?;
        ensure!(answer.is_empty(), "the host answered: {answer:02x?}");
        ensure!(received()? == before, "the host got datagrams of an access port");
        let neighbours = switch.gateway.exec("ip neigh show dev eth1")?;
        ensure!(neighbours.is_empty(), "the host learnt a neighbour: {neighbours}");
        // The overlay took them: they went to the other port.
        wait_until("the overlay's own count", SOON, || {
            let ports = ours.show("ports").ok()?;
            let port = ports.iter().find(|port| port["interface"] == "eth1")?;
            (port["rx_packets"].as_u64()? >= 3).then_some(())
        })
        .with_context(|| format!("{:?}", ours.show("ports")))
    })
}

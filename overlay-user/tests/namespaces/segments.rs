//! Three gateways, two segments with the same MAC and IP addresses in each.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use overlay_testbed::frame::{self, BROADCAST, Tunnel};
use overlay_testbed::{Netns, RawSocket, patient, require_root, set_mtu, veth};

use crate::harness::{Overlay, has_mark, marked};

const BLUE: u32 = 100;
const RED: u32 = 200;
const MAC_1: [u8; 6] = [2, 0, 0, 0, 0, 1];
const MAC_2: [u8; 6] = [2, 0, 0, 0, 0, 2];
const QUIET: Duration = Duration::from_millis(100);
const SOON: Duration = Duration::from_secs(2);

/// Three gateways on one switch. Each has an access port in `blue` (`eth1`) and
/// one in `red` (`eth2`).
struct Fabric {
    switch: Netns,
    hosts: Netns,
    gateways: [Netns; 3],
}

/// The far ends of a gateway's ports.
struct Ends {
    blue: RawSocket,
    red: RawSocket,
    underlay: RawSocket,
}

impl Fabric {
    fn new() -> Result<Self> {
        let switch = Netns::new("switch")?;
        let hosts = Netns::new("hosts")?;
        let gateways = [Netns::new("gw1")?, Netns::new("gw2")?, Netns::new("gw3")?];
        switch.exec("ip link add br0 type bridge")?;
        switch.exec("ip link set br0 up")?;
        for (gateway, number) in gateways.iter().zip(1..) {
            veth(gateway, "eth0", &switch, &format!("gw{number}"))?;
            set_mtu(gateway, "eth0", 1600)?;
            set_mtu(&switch, &format!("gw{number}"), 1600)?;
            switch.exec(&format!("ip link set gw{number} master br0"))?;
            gateway.exec(&format!("ip addr add 192.0.2.{number}/24 dev eth0"))?;
            veth(gateway, "eth1", &hosts, &format!("blue{number}"))?;
            veth(gateway, "eth2", &hosts, &format!("red{number}"))?;
        }
        Ok(Self { switch, hosts, gateways })
    }

    fn ends(&self) -> Result<[Ends; 3]> {
        Ok([self.ends_of(1)?, self.ends_of(2)?, self.ends_of(3)?])
    }

    fn ends_of(&self, number: u32) -> Result<Ends> {
        Ok(Ends {
            blue: RawSocket::open(&self.hosts, &format!("blue{number}"))?,
            red: RawSocket::open(&self.hosts, &format!("red{number}"))?,
            underlay: RawSocket::open(&self.switch, &format!("gw{number}"))?,
        })
    }

    /// Starts the three gateways. `extra` goes behind the segment of that name.
    fn start(&self, mode: &str, red: &str) -> Result<Vec<Overlay<'_>>> {
        let instances = self
            .gateways
            .iter()
            .zip(1..)
            .map(|(gateway, number)| {
                Overlay::start(gateway, gateway.name(), &config(gateway.name(), number, mode, red))
            })
            .collect::<Result<Vec<_>>>()?;
        instances.iter().try_for_each(Overlay::wait_for_peers)?;
        Ok(instances)
    }
}

fn config(name: &str, number: u32, mode: &str, red: &str) -> String {
    let mut text = format!(
        "[node]\nname = \"{name}\"\nvtep = \"192.0.2.{number}\"\n\
         [[uplink]]\ninterface = \"eth0\"\nmode = \"{mode}\"\n\
         [[segment]]\nname = \"blue\"\nvni = {BLUE}\nlearning = true\n\
         [[segment.port]]\ninterface = \"eth1\"\nmode = \"{mode}\"\n\
         [[segment]]\nname = \"red\"\nvni = {RED}\n\
         {red}\n\
         [[segment.port]]\ninterface = \"eth2\"\nmode = \"{mode}\"\n"
    );
    for peer in (1..=3).filter(|peer| *peer != number) {
        text += &format!(
            "[[peer]]\nname = \"gw{peer}\"\nvtep = \"192.0.2.{peer}\"\n\
             segments = [\"blue\", \"red\"]\n"
        );
    }
    text
}

/// Fails unless so many frames with this mark come to the hosts of each gateway in `blue`,
/// and in `red`.
fn expect(ends: &[Ends; 3], mark: &str, blue: [usize; 3], red: [usize; 3]) -> Result<()> {
    let sockets = ends.iter().map(|e| &e.blue).chain(ends.iter().map(|e| &e.red));
    let mut sockets: Vec<_> = sockets.zip(blue.into_iter().chain(red)).enumerate().collect();
    // Where nothing should come is looked at once the others have theirs.
    sockets.sort_by_key(|(_, (_, wanted))| *wanted == 0);
    let mut came = [0; 6];
    for (index, (socket, wanted)) in sockets {
        came[index] = socket.expect(wanted, SOON, |frame| has_mark(frame, mark))?.len();
    }
    ensure!(came[..3] == blue && came[3..] == red, "{mark}: {came:?}, not {blue:?} {red:?}");
    Ok(())
}

/// Copies of a frame in tunnels, of which two should come.
fn tunnels(underlay: &RawSocket, mark: &str) -> Result<Vec<Vec<u8>>> {
    let is_copy = |frame: &[u8]| Tunnel::unwrap(frame).is_some_and(|(_, i)| has_mark(i, mark));
    underlay.expect(2, SOON, is_copy)
}

#[test]
fn floods_reach_each_other_gateway_exactly_once() -> Result<()> {
    if !require_root("floods_reach_each_other_gateway_exactly_once") {
        return Ok(());
    }
    for mode in ["tc", "xdp"] {
        let fabric = Fabric::new()?;
        let ends = fabric.ends()?;
        let _instances = fabric.start(mode, "learning = true")?;
        let multicast = [1, 0, 0x5e, 0, 0, 251];
        let unknown = [2, 0, 0, 0, 9, 9];
        for (dst, mark) in
            [(BROADCAST, "broadcast"), (multicast, "multicast"), (unknown, "unknown")]
        {
            ends[0].blue.send(&marked(dst, MAC_1, mark))?;
            let tunnels = tunnels(&ends[0].underlay, mark)?;
            ensure!(tunnels.len() == 2, "{mode} {mark}: {} copies on the wire", tunnels.len());
            ensure!(tunnels.iter().all(|f| Tunnel::unwrap(f).is_some_and(|t| t.0 == BLUE)));
            expect(&ends, mark, [0, 1, 1], [0; 3]).with_context(|| mode.to_owned())?;
            for end in &ends[1..] {
                let relayed = end.underlay.collect(QUIET, |frame| has_mark(frame, mark))?;
                ensure!(relayed.is_empty(), "{mode} {mark}: split horizon is broken");
            }
        }
    }
    Ok(())
}

#[test]
fn nothing_leaks_between_segments() -> Result<()> {
    if !require_root("nothing_leaks_between_segments") {
        return Ok(());
    }
    for mode in ["tc", "xdp"] {
        let fabric = Fabric::new()?;
        let ends = fabric.ends()?;
        let instances = fabric.start(mode, "learning = true")?;
        let [first, second, third] = &instances[..] else { bail!("three gateways") };
        // The same two addresses in both segments; the second one lives behind
        // different gateways.
        let request = |wanted| frame::arp_request(MAC_2, [10, 0, 0, 2], wanted);
        ends[1].blue.send(&request([10, 0, 0, 1]))?;
        ends[2].red.send(&request([10, 0, 0, 1]))?;
        first.wait_for_mac("blue", MAC_2, "gw2")?;
        first.wait_for_mac("red", MAC_2, "gw3")?;

        ends[0].blue.send(&marked(MAC_2, MAC_1, "in blue"))?;
        expect(&ends, "in blue", [0, 1, 0], [0; 3]).with_context(|| mode.to_owned())?;

        ends[0].red.send(&marked(MAC_2, MAC_1, "in red"))?;
        expect(&ends, "in red", [0; 3], [0, 0, 1]).with_context(|| mode.to_owned())?;

        // And back, to the address that both segments have behind gateway 1.
        first.wait_for_mac("blue", MAC_1, "eth1")?;
        first.wait_for_mac("red", MAC_1, "eth2")?;
        second.wait_for_mac("blue", MAC_1, "gw1")?;
        third.wait_for_mac("red", MAC_1, "gw1")?;
        ends[1].blue.send(&marked(MAC_1, MAC_2, "blue back"))?;
        expect(&ends, "blue back", [1, 0, 0], [0; 3]).with_context(|| mode.to_owned())?;
        ends[2].red.send(&marked(MAC_1, MAC_2, "red back"))?;
        expect(&ends, "red back", [0; 3], [1, 0, 0]).with_context(|| mode.to_owned())?;
    }
    Ok(())
}

#[test]
fn moved_host_is_found_within_a_second() -> Result<()> {
    if !require_root("moved_host_is_found_within_a_second") {
        return Ok(());
    }
    for mode in ["tc", "xdp"] {
        let fabric = Fabric::new()?;
        let ends = fabric.ends()?;
        let instances = fabric.start(mode, "learning = true")?;
        let first = instances.first().context("three gateways")?;
        ends[0].blue.send(&marked(BROADCAST, MAC_1, "here I am"))?;
        for (place, first_frame) in [
            (1, marked(BROADCAST, MAC_2, "announced")),
            (2, marked(BROADCAST, MAC_2, "moved, announced")),
            (1, marked(MAC_1, MAC_2, "moved, one frame to one host")),
            // From a peer to a port of the asking gateway itself, and away.
            (2, marked(MAC_1, MAC_2, "moved again")),
        ] {
            ends[place].blue.send(&first_frame)?;
            let spent = time_until_found(&ends[0].blue, &ends[place].blue)
                .with_context(|| format!("{mode}: {:?}", first.show("fdb")))?;
            println!("{mode}: found behind gateway {} after {spent:?}", place + 1);
            let limit = patient(Duration::from_secs(1));
            ensure!(spent < limit, "{mode}: found only after {spent:?}");
        }
    }
    Ok(())
}

/// Sends to the second address until a frame arrives at `end`.
fn time_until_found(asker: &RawSocket, end: &RawSocket) -> Result<Duration> {
    let start = Instant::now();
    while start.elapsed() < patient(SOON) {
        asker.send(&marked(MAC_2, MAC_1, "where are you"))?;
        let found = end.collect(Duration::from_millis(10), |f| has_mark(f, "where are you"))?;
        if !found.is_empty() {
            return Ok(start.elapsed());
        }
    }
    bail!("never found")
}

#[test]
fn without_learning_only_static_entries_count() -> Result<()> {
    if !require_root("without_learning_only_static_entries_count") {
        return Ok(());
    }
    let fabric = Fabric::new()?;
    let ends = fabric.ends()?;
    let name = fabric.gateways[0].name();
    let fixed = "[[segment.fdb]]\nmac = \"02:00:00:00:00:07\"\npeer = \"gw3\"\n";
    let red = format!("learning = false\n{fixed}");
    let first = Overlay::start(&fabric.gateways[0], name, &config(name, 1, "tc", &red))?;
    let name = fabric.gateways[1].name();
    let second = config(name, 2, "tc", "learning = false");
    let second = Overlay::start(&fabric.gateways[1], name, &second)?;
    let name = fabric.gateways[2].name();
    let third = config(name, 3, "tc", "learning = false");
    let third = Overlay::start(&fabric.gateways[2], name, &third)?;
    for gateway in [&first, &second, &third] {
        gateway.wait_for_peers()?;
    }
    // A frame from gateway 2 teaches gateway 1 nothing.
    ends[1].red.send(&marked(BROADCAST, MAC_2, "hello"))?;
    ensure!(ends[0].red.find(SOON, |frame| has_mark(frame, "hello"))?.is_some());
    std::thread::sleep(QUIET);
    ensure!(first.place_of("red", MAC_2)?.is_none(), "{:?}", first.show("fdb")?);
    ends[0].red.send(&marked(MAC_2, MAC_1, "flooded"))?;
    expect(&ends, "flooded", [0; 3], [0, 1, 1])?;
    // The configured address goes to its peer alone.
    ends[0].red.send(&marked([2, 0, 0, 0, 0, 7], MAC_1, "directed"))?;
    expect(&ends, "directed", [0; 3], [0, 0, 1])
}

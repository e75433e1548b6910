//! An uplink still is the host's: what is not the overlay's passes untouched.

use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use overlay_testbed::frame::{BROADCAST, Tunnel};
use overlay_testbed::{Netns, RawSocket, mac_of, patient, require_root, veth};

use crate::harness::{Overlay, marked, octets, ping, stream};

const SOON: Duration = Duration::from_secs(2);

#[test]
fn what_is_not_the_overlays_passes() -> Result<()> {
    if !require_root("what_is_not_the_overlays_passes") {
        return Ok(());
    }
    for mode in ["auto", "tc", "xdp", "xdp-generic", "user", "user-xdp"] {
        passes(mode).with_context(|| format!("uplink on {mode}"))?;
    }
    Ok(())
}

fn passes(mode: &str) -> Result<()> {
    let gateway = Netns::new("gw")?;
    let outside = Netns::new("outside")?;
    let inside = Netns::new("inside")?;
    veth(&gateway, "eth0", &outside, "eth0")?;
    veth(&gateway, "eth1", &inside, "eth0")?;
    gateway.exec("ip addr add 192.0.2.1/24 dev eth0")?;
    gateway.exec("ip addr add 192.0.2.11/24 dev eth0")?;
    outside.exec("ip addr add 192.0.2.2/24 dev eth0")?;
    for netns in [&gateway, &outside] {
        netns.sysctl("net.ipv6.conf.eth0.disable_ipv6", "0")?;
    }
    gateway.exec("ip addr add 2001:db8::1/64 dev eth0 nodad")?;
    outside.exec("ip addr add 2001:db8::2/64 dev eth0 nodad")?;
    let name = gateway.name();
    let config = format!(
        "[node]\nname = \"{name}\"\nvtep = \"192.0.2.1\"\n\
         [[uplink]]\ninterface = \"eth0\"\nmode = \"{mode}\"\n\
         [[segment]]\nname = \"blue\"\nvni = 100\n\
         [[segment.port]]\ninterface = \"eth1\"\n\
         [[peer]]\nname = \"peer\"\nvtep = \"192.0.2.2\"\nsegments = [\"blue\"]\n"
    );
    let ours = Overlay::start(&gateway, name, &config)?;

    ping(&outside, "192.0.2.1")?;
    ping(&gateway, "192.0.2.2")?;
    ping(&outside, "2001:db8::1")?;
    outside.exec("ping -n -q -c 2 -i 0.02 -s 8000 192.0.2.1").context("fragments")?;
    for (from, to) in [(&outside, &gateway), (&gateway, &outside)] {
        let address = if std::ptr::eq(to, &gateway) { "192.0.2.1" } else { "192.0.2.2" };
        // VXLAN's port is VXLAN's on UDP only.
        stream(from, to, &format!("{address}:4789"), 4 << 20, 2 * SOON)?;
        datagram(from, to, &format!("{address}:4790"))?;
    }
    datagram(&outside, &gateway, "[2001:db8::1]:4789")?;
    // Geneve's port is the overlay's where a peer has it.
    datagram(&outside, &gateway, "192.0.2.1:6081")?;
    // The same port at an address that is not the VTEP.
    datagram(&outside, &gateway, "192.0.2.11:4789")?;
    ensure!(ours.drops()?.is_empty(), "dropped: {:?}", ours.drops()?);

    // What is the overlay's does not reach the host's stack, dropped or not: not even the
    // daemon's own socket, which is for what comes in pieces.
    let before = udp_received(&gateway)?;
    let macs = (mac_of(&gateway, "eth0")?, mac_of(&outside, "eth0")?);
    let (src, dst) = (octets("192.0.2.2"), octets("192.0.2.1"));
    let raw = RawSocket::open(&outside, "eth0")?;
    for vni in [100, 101] {
        let tunnel = Tunnel { macs, src, dst, vni };
        raw.send(&tunnel.wrap(&marked(BROADCAST, [2, 0, 0, 0, 0, 5], "inner")))?;
    }
    // Behind those.
    datagram(&outside, &gateway, "192.0.2.1:4790")?;
    let received = udp_received(&gateway)? - before;
    ensure!(received == 1, "{received} datagrams reached the host, of which one was for it");
    Ok(())
}

/// UDP datagrams that a namespace's stack took, for whomever.
fn udp_received(netns: &Netns) -> Result<u64> {
    let text = netns.exec("cat /proc/net/snmp")?;
    let mut lines = text.lines().filter(|line| line.starts_with("Udp:"));
    let (names, values) = lines.next().zip(lines.next()).context("no UDP counters")?;
    let fields = names.split_whitespace().zip(values.split_whitespace());
    let wanted = ["InDatagrams", "NoPorts", "InErrors"];
    fields
        .filter(|(name, _)| wanted.contains(name))
        .map(|(_, value)| Ok(value.parse::<u64>()?))
        .sum()
}

fn datagram(from: &Netns, to: &Netns, address: &str) -> Result<()> {
    let address: SocketAddr = address.parse()?;
    let receiver = to.enter(|| UdpSocket::bind(address))??;
    receiver.set_read_timeout(Some(patient(SOON)))?;
    let any = if address.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let sender = from.enter(|| UdpSocket::bind(any))??;
    sender.send_to(b"to the host", address)?;
    let mut buffer = [0; 64];
    let (length, _) =
        receiver.recv_from(&mut buffer).with_context(|| format!("UDP to {address}"))?;
    ensure!(&buffer[..length] == b"to the host");
    Ok(())
}

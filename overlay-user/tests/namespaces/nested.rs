//! What a tunnel carries stays in it, where the underlay is the kernel's own stack
//! in another namespace: also a tunnel within, and what no kernel can read.

use std::io::ErrorKind;
use std::net::UdpSocket;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use overlay_testbed::frame::{ethernet, ipv4_udp};
use overlay_testbed::{Netns, RawSocket, TwoGateways, mac_of, patient, require_root};

use crate::harness::{Overlay, marked};

const FAR: [u8; 6] = [2, 0, 0, 0, 0, 2];
const IPV4: u16 = 0x0800;
const IPV6: u16 = 0x86dd;
const SOON: Duration = Duration::from_secs(2);

/// A host, our gateway on tc, and the peer's VTEP as a socket.
struct Underlay {
    testbed: TwoGateways,
    vtep: UdpSocket,
}

impl Underlay {
    fn new() -> Result<Self> {
        let testbed = TwoGateways::new()?;
        let address = (TwoGateways::VTEP2, 4789);
        let vtep = testbed.gw2.netns.enter(|| UdpSocket::bind(address))??;
        vtep.set_read_timeout(Some(patient(SOON)))?;
        Ok(Self { testbed, vtep })
    }

    /// A gateway that knows the far host.
    fn start(&self) -> Result<Overlay<'_>> {
        let gateway = &self.testbed.gw1;
        let config = gateway.config("tc", "tc", &[("peer", TwoGateways::VTEP2)]);
        let ours = Overlay::start(&gateway.netns, &gateway.name, &config)?;
        ours.wait_for_peers()?;
        ours.run(&["fdb", "add", "blue", "02:00:00:00:00:02", "peer", "peer"])?;
        Ok(ours)
    }

    /// The next inner frame that arrives in a tunnel.
    fn next(&self) -> Result<Option<Vec<u8>>> {
        let mut datagram = [0; 2048];
        match self.vtep.recv(&mut datagram) {
            Ok(len) => Ok(Some(datagram[8..len].to_vec())),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error).context("receiving as the peer's VTEP"),
        }
    }
}

#[test]
fn what_no_kernel_can_read_stays_in_its_tunnel() -> Result<()> {
    if !require_root("what_no_kernel_can_read_stays_in_its_tunnel") {
        return Ok(());
    }
    let underlay = Underlay::new()?;
    let host = &underlay.testbed.host1;
    let (from, mac) = (RawSocket::open(host, "eth0")?, mac_of(host, "eth0")?);
    let _ours = underlay.start()?;

    let plain = ipv4_udp(([10, 0, 0, 1], 7), ([10, 0, 0, 2], 7), b"an ordinary datagram");
    let fifth_version = [&[0x55], &[7; 59][..]].concat();
    let half_a_header = [0x45; 10];
    let frames = [
        ("plain", ethernet(FAR, mac, IPV4, &plain)),
        ("IPv4 of another version", ethernet(FAR, mac, IPV4, &fifth_version)),
        ("IPv4 cut short", ethernet(FAR, mac, IPV4, &half_a_header)),
        ("IPv6 of another version", ethernet(FAR, mac, IPV6, &fifth_version)),
        ("not IP", marked(FAR, mac, "not IP")),
    ];
    for (what, frame) in frames {
        from.send(&frame)?;
        let inner = underlay.next()?;
        ensure!(inner.as_deref() == Some(&frame[..]), "{what}: {inner:?}");
    }
    Ok(())
}

#[test]
fn a_tunnel_stays_in_its_tunnel() -> Result<()> {
    if !require_root("a_tunnel_stays_in_its_tunnel") {
        return Ok(());
    }
    let underlay = Underlay::new()?;
    let host = &underlay.testbed.host1;
    nest(host)?;
    let _ours = underlay.start()?;

    let socket = host.enter(|| UdpSocket::bind("10.9.0.1:0"))??;
    socket.send_to(b"deep inside", "10.9.0.2:7")?;
    let inner = underlay.next()?.context("nothing came out of the tunnel")?;
    ensure!(inner[..6] == FAR, "{inner:?}");
    ensure!(inner[36..38] == 8472_u16.to_be_bytes(), "the inner tunnel's port: {inner:?}");
    ensure!(inner.ends_with(b"deep inside"), "{inner:?}");
    Ok(())
}

/// Gives the host a tunnel of its own to the far one.
fn nest(host: &Netns) -> Result<()> {
    for command in [
        "ip neigh replace 10.0.0.2 lladdr 02:00:00:00:00:02 dev eth0 nud permanent",
        "ip link add vx9 type vxlan id 9 remote 10.0.0.2 dev eth0 dstport 8472",
        "ip addr add 10.9.0.1/24 dev vx9",
        "ip link set vx9 up",
        "ip neigh replace 10.9.0.2 lladdr 02:00:00:00:09:02 dev vx9 nud permanent",
    ] {
        host.exec(command)?;
    }
    Ok(())
}

//! Devices other than veth, super-frames, large frames.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::net::UdpSocket;
use std::os::fd::AsRawFd as _;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::libc;
use overlay_testbed::frame::{self, BROADCAST};
use overlay_testbed::{
    Netns, RawSocket, TwoGateways, mac_of, patient, require_root, require_tools, set_mtu, veth,
};

use crate::harness::{
    Overlay, between_hosts, has_mark, hook_of, marked, octets, over_ipv6, ping, tcp,
};

const SOON: Duration = Duration::from_secs(2);
const TOOLS: &[&str] = &["bridge", "ping", "iperf3"];
const VM: [u8; 6] = [2, 0, 0, 0, 0, 1];
const HOST: [u8; 6] = [2, 0, 0, 0, 0, 2];

/// Super-frames with unfinished checksums, from a VLAN of a port and from a port
/// without one, to a peer and to another port.
#[test]
fn super_frames_of_tagged_ports() -> Result<()> {
    if !require_root("super_frames_of_tagged_ports")
        || !require_tools("super_frames_of_tagged_ports", TOOLS)
    {
        return Ok(());
    }
    let modes = [("tc", "tc"), ("xdp", "tc"), ("user", "user")];
    for ((uplink, access), vlan) in modes.into_iter().flat_map(|m| [(m, 0), (m, 10)]) {
        let testbed = TwoGateways::new()?;
        testbed.gw2.bridge_vxlan(TwoGateways::VNI, &[TwoGateways::VTEP1])?;
        let gateway = &testbed.gw1;
        let local = Netns::new("host3")?;
        veth(&gateway.netns, "eth2", &local, "eth0")?;
        local.exec("ip addr add 10.0.0.3/24 dev eth0")?;
        let mut config = gateway.config(uplink, access, &[("kernel", TwoGateways::VTEP2)]);
        if vlan != 0 {
            let tagged = format!("interface = \"eth1\"\nvlan = {vlan}");
            config = config.replacen("interface = \"eth1\"", &tagged, 1);
        }
        let port =
            format!("[[segment.port]]\ninterface = \"eth2\"\nmode = \"{access}\"\n\n[[peer]]");
        let config = config.replacen("[[peer]]", &port, 1);
        let ours = Overlay::start(&gateway.netns, &gateway.name, &config)?;
        ours.wait_for_peers()?;
        let sender = RawSocket::open_offloading(&testbed.host1, "eth0")?;
        for (host, address) in [(&testbed.host2, TwoGateways::HOST2), (&local, "10.0.0.3")] {
            super_frame_arrives(&sender, vlan, host, address).with_context(|| {
                format!("uplink {uplink}, VLAN {vlan}, to {address}: {:?}", ours.drops())
            })?;
        }
    }
    Ok(())
}

/// Sends one super-frame and expects every datagram that it is made of.
fn super_frame_arrives(sender: &RawSocket, vlan: u16, host: &Netns, address: &str) -> Result<()> {
    const SEGMENT: usize = 1000;
    const LENGTH: usize = 7 * SEGMENT + 123;
    let receiver = host.enter(|| UdpSocket::bind((address, 6000)))??;
    receiver.set_read_timeout(Some(patient(SOON)))?;
    let (src, dst) = (octets(TwoGateways::HOST1), octets(address));
    let payload: Vec<u8> = (0..LENGTH).map(|i| (i * 31 / 7) as u8).collect();
    let mut packet = frame::ipv4_udp((src, 5000), (dst, 6000), &payload);
    let pseudo = [&src[..], &dst, &[0, 17], &((LENGTH + 8) as u16).to_be_bytes()].concat();
    let partial = !frame::ipv4_checksum(&pseudo);
    packet[26..28].copy_from_slice(&partial.to_be_bytes());
    let plain = frame::ethernet(mac_of(host, "eth0")?, VM, 0x0800, &packet);
    match vlan {
        0 => sender.send_super(&plain, 14 + 20, SEGMENT)?,
        _ => sender.send_super(&frame::tagged(&plain, vlan), 18 + 20, SEGMENT)?,
    }
    for wanted in payload.chunks(SEGMENT) {
        let mut buffer = [0; 2 * SEGMENT];
        let (length, _) = receiver.recv_from(&mut buffer).context("a datagram is missing")?;
        ensure!(&buffer[..length] == wanted, "a datagram of {length} bytes was changed");
    }
    Ok(())
}

/// Devices that can neither cut super-frames nor finish checksums, as a wire's
/// may be: the kernel does it in software, from what we said about the headers.
#[test]
fn segmentation_in_software() -> Result<()> {
    if !require_root("segmentation_in_software")
        || !require_tools("segmentation_in_software", TOOLS)
    {
        return Ok(());
    }
    let testbed = TwoGateways::new()?;
    let near = &testbed.gw1.netns;
    testbed.gw2.bridge_vxlan(TwoGateways::VNI, &[TwoGateways::VTEP1])?;
    // Ports whose far ends are in the same namespace, so that frames leave through
    // the devices' own transmit paths, as on a wire.
    for (port, far_end, bridge, device) in
        [("port", "behind", "br0", "eth1"), ("uplink", "wire", "br1", "eth0")]
    {
        veth(near, port, near, far_end)?;
        near.exec(&format!("ip link add {bridge} type bridge"))?;
        for member in [device, far_end] {
            near.exec(&format!("ip link set {member} master {bridge}"))?;
        }
        near.exec(&format!("ip link set {bridge} up"))?;
        near.exec(&format!("ethtool -K {port} tx off tso off gso off"))?;
    }
    for device in ["uplink", "wire"] {
        set_mtu(near, device, TwoGateways::UNDERLAY_MTU)?;
    }
    near.exec(&format!("ip addr del {}/24 dev eth0", TwoGateways::VTEP1))?;
    near.exec(&format!("ip addr add {}/24 dev uplink", TwoGateways::VTEP1))?;
    let config = testbed.gw1.config("tc", "tc", &[("kernel", TwoGateways::VTEP2)]);
    let config = config.replacen("\"eth1\"", "\"port\"", 1).replacen("\"eth0\"", "\"uplink\"", 1);
    let ours = Overlay::start(near, &testbed.gw1.name, &config)?;
    ours.wait_for_peers()?;
    between_hosts(&testbed).with_context(|| format!("{:?}", ours.drops()))?;
    over_ipv6(&testbed).with_context(|| format!("IPv6: {:?}", ours.drops()))?;
    Ok(())
}

#[test]
fn jumbo_frames() -> Result<()> {
    if !require_root("jumbo_frames") || !require_tools("jumbo_frames", TOOLS) {
        return Ok(());
    }
    for (uplink, access) in [("tc", "tc"), ("xdp", "tc"), ("user", "user")] {
        let testbed = TwoGateways::new()?;
        for gateway in [&testbed.gw1, &testbed.gw2] {
            // On XDP so that a frame is in one buffer on any kernel.
            let mtu = if uplink == "xdp" { 3000 } else { 9000 };
            set_mtu(&gateway.netns, "eth0", mtu)?;
            set_mtu(&gateway.netns, "eth1", mtu - 50)?;
        }
        for host in [&testbed.host1, &testbed.host2] {
            set_mtu(host, "eth0", if uplink == "xdp" { 2950 } else { 8950 })?;
        }
        testbed.gw2.bridge_vxlan(TwoGateways::VNI, &[TwoGateways::VTEP1])?;
        let config = testbed.gw1.config(uplink, access, &[("kernel", TwoGateways::VTEP2)]);
        let ours = Overlay::start(&testbed.gw1.netns, &testbed.gw1.name, &config)?;
        ours.wait_for_peers()?;
        let largest = if uplink == "xdp" { 2950 } else { 8950 } - 28;
        let target = TwoGateways::HOST2;
        testbed
            .host1
            .exec(&format!("ping -n -q -M do -c 2 -i 0.05 -W 1 -s {largest} {target}"))
            .with_context(|| format!("{uplink}: {:?}", ours.show("drops")))?;
        tcp(&testbed.host1, (&testbed.host2, target))?;
    }
    Ok(())
}

/// A tap device: frames that a virtual machine would send and receive.
pub struct Tap(pub File);

impl Tap {
    pub fn new(netns: &Netns, name: &str) -> Result<Self> {
        netns.exec(&format!("ip tuntap add dev {name} mode tap"))?;
        let file = netns.enter(|| -> Result<File> {
            let file = OpenOptions::new().read(true).write(true).open("/dev/net/tun")?;
            // SAFETY: all zeros is a valid `ifreq`.
            let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
            for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
                *to = from.cast_signed();
            }
            request.ifr_ifru.ifru_flags = (libc::IFF_TAP | libc::IFF_NO_PI) as i16;
            // SAFETY: the request is initialised and outlives the call.
            let set = unsafe { libc::ioctl(file.as_raw_fd(), libc::TUNSETIFF, &raw mut request) };
            nix::errno::Errno::result(set).context("TUNSETIFF")?;
            Ok(file)
        })??;
        netns.exec(&format!("ip link set {name} up"))?;
        Ok(Self(file))
    }

    /// Whether a frame with this mark comes.
    fn find(&mut self, mark: &str) -> Result<bool> {
        Ok(self.receive(mark)?.is_some())
    }

    /// The first frame with this mark.
    pub fn receive(&mut self, mark: &str) -> Result<Option<Vec<u8>>> {
        let mut buffer = [0; 2048];
        let deadline = std::time::Instant::now() + patient(SOON);
        loop {
            let left = deadline.saturating_duration_since(std::time::Instant::now());
            let mut wanted =
                libc::pollfd { fd: self.0.as_raw_fd(), events: libc::POLLIN, revents: 0 };
            // SAFETY: one initialised `pollfd`, as the count says.
            let ready = unsafe { libc::poll(&raw mut wanted, 1, left.as_millis() as i32) };
            if ready <= 0 {
                return Ok(None);
            }
            let length = self.0.read(&mut buffer)?;
            if has_mark(&buffer[..length], mark) {
                return Ok(Some(buffer[..length].to_vec()));
            }
        }
    }
}

#[test]
fn a_tap_as_access_port() -> Result<()> {
    if !require_root("a_tap_as_access_port") {
        return Ok(());
    }
    let named = ["tc", "xdp", "xdp-generic", "user", "user-xdp"].map(|mode| (mode, hook_of(mode)));
    for (mode, hook) in [("auto", "tc")].into_iter().chain(named) {
        let testbed = TwoGateways::new()?;
        let gateway = &testbed.gw1;
        let mut tap = Tap::new(&gateway.netns, "tap0")?;
        let port = format!("[[segment.port]]\ninterface = \"tap0\"\nmode = \"{mode}\"\n");
        let config = format!("{}{port}", gateway.config("auto", mode, &[]));
        testbed.host1.exec("ethtool -K eth0 gro on")?;
        let ours = Overlay::start(&gateway.netns, &gateway.name, &config)?;
        ensure!(ours.hook("tap0")? == hook, "{:?}", ours.show("ports")?);
        let host = RawSocket::open(&testbed.host1, "eth0")?;
        tap.0.write_all(&marked(BROADCAST, VM, "from the machine"))?;
        let found = host.find(SOON, |frame| has_mark(frame, "from the machine"))?;
        ensure!(found.is_some(), "{mode}: nothing came out of the tap");
        ours.wait_for_mac("blue", VM, "tap0")?;
        host.send(&marked(VM, HOST, "to the machine"))?;
        ensure!(tap.find("to the machine")?, "{mode}: nothing went into the tap");
        ours.wait_for_mac("blue", HOST, "eth1")?;
        tap.0.write_all(&marked(HOST, VM, "to the host"))?;
        let found = host.find(SOON, |frame| has_mark(frame, "to the host"))?;
        ensure!(found.is_some(), "{mode}: {:?}", ours.drops());
        host.send(&marked(VM, HOST, "and back"))?;
        ensure!(tap.find("and back")?, "{mode}: {:?}", ours.drops());
    }
    Ok(())
}

/// A device whose driver has no native XDP.
#[test]
fn an_uplink_without_native_xdp_falls_back() -> Result<()> {
    let name = "an_uplink_without_native_xdp_falls_back";
    if !require_root(name) || !require_tools(name, TOOLS) {
        return Ok(());
    }
    let testbed = TwoGateways::new()?;
    testbed.gw2.bridge_vxlan(TwoGateways::VNI, &[TwoGateways::VTEP1])?;
    let near = &testbed.gw1.netns;
    near.exec("ip addr flush dev eth0")?;
    // Or both devices answer for the address, and whichever is first is believed.
    near.sysctl("net.ipv4.conf.all.arp_ignore", "1")?;
    near.exec("ip link add link eth0 name up0 type macvlan mode bridge")?;
    near.exec("ip link set up0 up")?;
    near.exec(&format!("ip addr add {}/24 dev up0", TwoGateways::VTEP1))?;
    let config = testbed.gw1.config("auto", "auto", &[("kernel", TwoGateways::VTEP2)]);
    let config = config.replacen("\"eth0\"", "\"up0\"", 1);
    let ours = Overlay::start(near, &testbed.gw1.name, &config)?;
    ours.wait_for_peers()?;
    ensure!(ours.hook("up0")? == "tc", "{:?}", ours.show("ports")?);
    ping(&testbed.host1, TwoGateways::HOST2)?;
    tcp(&testbed.host1, (&testbed.host2, TwoGateways::HOST2))?;

    // Asked for by name it is an error, and says so.
    drop(ours);
    let refused = Overlay::start(near, &testbed.gw1.name, &config.replacen("auto", "xdp", 1));
    let refused = refused.err().context("a macvlan has no native XDP")?;
    let text = format!("{refused:#}");
    ensure!(text.contains("up0") && text.contains("xdp"), "{text}");
    Ok(())
}

/// Two hosts of one gateway, in bulk.
#[test]
fn tcp_between_local_ports() -> Result<()> {
    if !require_root("tcp_between_local_ports") || !require_tools("tcp_between_local_ports", TOOLS)
    {
        return Ok(());
    }
    let testbed = TwoGateways::new()?;
    let gateway = &testbed.gw1;
    let third = Netns::new("host3")?;
    veth(&gateway.netns, "eth2", &third, "eth0")?;
    third.exec("ip addr add 10.0.0.3/24 dev eth0")?;
    let config = gateway.config("auto", "auto", &[]);
    let config = format!("{config}[[segment.port]]\ninterface = \"eth2\"\n");
    let _ours = Overlay::start(&gateway.netns, &gateway.name, &config)?;
    ping(&testbed.host1, "10.0.0.3")?;
    tcp(&testbed.host1, (&third, "10.0.0.3"))
}

//! Every kind of tunnel: VXLAN and Geneve, over IPv4 and IPv6, whole and in pieces.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::net::IpAddr;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use overlay_testbed::frame::BROADCAST;
use overlay_testbed::ovs::{self, Switch};
use overlay_testbed::{
    Netns, Offloads, RawSocket, TwoGateways, mac_of, require_root, require_tools, set_mtu,
    set_offloads, veth, wait_until,
};

use crate::harness::{
    Capture, Overlay, between_hosts, has_mark, http_download, marked, ping, suit, udp_sizes,
};

const TOOLS: &[&str] = &["iperf3", "curl", "python3", "bridge", "ping"];
const SOON: Duration = Duration::from_secs(3);
const INSIDE: [u8; 6] = [2, 0, 0, 0, 0, 1];

#[test]
fn ours_against_kernel_over_ipv6() -> Result<()> {
    let name = "ours_against_kernel_over_ipv6";
    if !require_root(name) || !require_tools(name, TOOLS) {
        return Ok(());
    }
    let modes = [("tc", "tc"), ("xdp", "tc"), ("user", "user"), ("user-xdp", "user-xdp")];
    for (uplink, access) in modes {
        let testbed = TwoGateways::over_ipv6()?;
        suit(uplink, &testbed)?;
        testbed.gw2.bridge_vxlan(TwoGateways::VNI, &[TwoGateways::VTEP1_V6])?;
        let config = testbed.gw1.config(uplink, access, &[("kernel", TwoGateways::VTEP2_V6)]);
        let ours = Overlay::start(&testbed.gw1.netns, &testbed.gw1.name, &config)?;
        ours.wait_for_peers()?;
        between_hosts(&testbed).with_context(|| format!("{uplink}: {:?}", ours.drops()))?;
    }
    Ok(())
}

#[test]
fn ours_against_ours_with_geneve() -> Result<()> {
    let name = "ours_against_ours_with_geneve";
    if !require_root(name) || !require_tools(name, TOOLS) {
        return Ok(());
    }
    for (testbed, mode) in [
        (TwoGateways::new()?, "tc"),
        (TwoGateways::over_ipv6()?, "xdp"),
        (TwoGateways::over_ipv6()?, "user"),
        (TwoGateways::over_ipv6()?, "user-xdp"),
    ] {
        suit(mode, &testbed)?;
        let (gw1, gw2) = (&testbed.gw1, &testbed.gw2);
        let geneve = |text: String| text.replace("\"vxlan\"", "\"geneve\"");
        // tc sends past the driver of a veth's far end, and past what is for AF_XDP there.
        let access = if mode == "user-xdp" { "user" } else { "auto" };
        let first = geneve(gw1.config(mode, access, &[("second", gw2.vtep)]));
        let second = geneve(gw2.config(mode, access, &[("first", gw1.vtep)]));
        let first = Overlay::start(&gw1.netns, &gw1.name, &first)?;
        let second = Overlay::start(&gw2.netns, &gw2.name, &second)?;
        first.wait_for_peers()?;
        second.wait_for_peers()?;
        between_hosts(&testbed).with_context(|| format!("{mode}: {:?}", first.drops()))?;
    }
    Ok(())
}

/// Open vSwitch with its userspace datapath, over both families.
#[test]
fn ours_against_open_vswitch_with_geneve() -> Result<()> {
    let name = "ours_against_open_vswitch_with_geneve";
    if !require_root(name) || !require_tools(name, TOOLS) || !require_tools(name, ovs::PROGRAMS) {
        return Ok(());
    }
    for (testbed, uplink) in [(TwoGateways::new()?, "tc"), (TwoGateways::over_ipv6()?, "xdp")] {
        let (gw1, gw2) = (&testbed.gw1, &testbed.gw2);
        // It takes what a device would finish for finished.
        let off = Offloads { tx: Some(false), tso: Some(false), gro: None };
        for host in [&testbed.host1, &testbed.host2] {
            set_offloads(host, "eth0", off)?;
        }
        let switch = Switch::start(&gw2.netns, None)?;
        let datapath = "datapath_type=netdev";
        // The host answers for the address on any device, with that device's own.
        let mac = mac_of(&gw2.netns, "eth0")?.map(|byte| format!("{byte:02x}")).join(":");
        switch.configure(&format!(
            "add-br underlay -- set bridge underlay {datapath} other-config:hwaddr={mac} \
             -- add-port underlay eth0"
        ))?;
        switch.configure(&format!(
            "add-br segment -- set bridge segment {datapath} -- add-port segment eth1 \
             -- add-port segment gnv0 -- set interface gnv0 type=geneve options:key={} \
             options:local_ip={} options:remote_ip={}",
            TwoGateways::VNI,
            gw2.vtep,
            gw1.vtep
        ))?;
        gw2.netns.exec("ip addr flush dev eth0")?;
        gw2.netns.exec("ip link set underlay mtu 1570 up")?;
        gw2.add_address("underlay")?;
        let config = gw1.config(uplink, "tc", &[("switch", gw2.vtep)]);
        let config = config.replace("\"vxlan\"", "\"geneve\"");
        let ours = Overlay::start(&gw1.netns, &gw1.name, &config)?;
        ours.wait_for_peers()?;
        let why = || format!("{uplink} {}: {:?}\n{}", gw1.vtep, ours.drops(), ours.log());
        for (from, to) in
            [(&testbed.host1, TwoGateways::HOST2), (&testbed.host2, TwoGateways::HOST1)]
        {
            ping(from, to).with_context(why)?;
        }
        udp_sizes(&testbed.host1, (&testbed.host2, TwoGateways::HOST2)).with_context(why)?;
        http_download(&testbed.host1, (&testbed.host2, TwoGateways::HOST2)).with_context(why)?;
        http_download(&testbed.host2, (&testbed.host1, TwoGateways::HOST1)).with_context(why)?;
    }
    Ok(())
}

/// Every kind of frame that we send, as tshark sees it.
#[test]
fn tshark_finds_nothing_malformed_in_any_tunnel() -> Result<()> {
    let name = "tshark_finds_nothing_malformed_in_any_tunnel";
    let has_tools = require_tools(name, TOOLS) && require_tools(name, &["tcpdump", "tshark"]);
    if !require_root(name) || !has_tools {
        return Ok(());
    }
    for (testbed, encap, ip) in [
        (TwoGateways::new()?, "geneve", "ip"),
        (TwoGateways::over_ipv6()?, "vxlan", "ipv6"),
        (TwoGateways::over_ipv6()?, "geneve", "ipv6"),
    ] {
        let (gw1, gw2) = (&testbed.gw1, &testbed.gw2);
        let of = |text: String| text.replace("\"vxlan\"", &format!("\"{encap}\""));
        let first = of(gw1.config("tc", "auto", &[("second", gw2.vtep)]));
        let second = of(gw2.config("tc", "auto", &[("first", gw1.vtep)]));
        let first = Overlay::start(&gw1.netns, &gw1.name, &first)?;
        let second = Overlay::start(&gw2.netns, &gw2.name, &second)?;
        first.wait_for_peers()?;
        second.wait_for_peers()?;
        let capture = Capture::start(&gw2.netns, "eth0")?;
        ping(&testbed.host1, TwoGateways::HOST2)?;
        http_download(&testbed.host2, (&testbed.host1, TwoGateways::HOST1))?;
        let recording = capture.stop()?;
        let bad =
            recording.fields("_ws.malformed || _ws.short", &["frame.number", "_ws.col.Info"])?;
        ensure!(bad.is_empty(), "{encap} over {ip}: tshark calls these malformed: {bad:#?}");
        let sent = format!("{encap} && {ip}.src == {}", gw1.vtep);
        let vnis = recording.fields(&sent, &[&format!("{encap}.vni")])?;
        ensure!(!vnis.is_empty(), "no {encap} over {ip} from {}", gw1.vtep);
        let is_ours = |vni: &String| vni == "100" || vni.contains("64");
        ensure!(vnis.iter().all(is_ours), "{encap} over {ip}: {vnis:?}");
    }
    Ok(())
}

/// One broadcast reaches every peer, over both families and with both encapsulations, and
/// beyond the number that the kernel sends to.
#[test]
fn floods_reach_every_peer_of_every_kind() -> Result<()> {
    if !require_root("floods_reach_every_peer_of_every_kind") {
        return Ok(());
    }
    const V4: u16 = 70;
    const V6: u16 = 20;
    let gateway = Netns::new("gw")?;
    let outside = Netns::new("outside")?;
    let host = Netns::new("host")?;
    veth(&gateway, "eth0", &outside, "eth0")?;
    veth(&gateway, "eth1", &host, "eth0")?;
    gateway.exec("ip addr add 192.0.2.1/24 dev eth0")?;
    gateway.sysctl("net.ipv6.conf.eth0.disable_ipv6", "0")?;
    gateway.exec("ip addr add 2001:db8::1/64 dev eth0 nodad")?;
    let far = mac_of(&outside, "eth0")?.map(|byte| format!("{byte:02x}")).join(":");
    let name = gateway.name();
    let mut config = format!(
        "[node]\nname = \"{name}\"\nvtep = [\"192.0.2.1\", \"2001:db8::1\"]\n\
         [[uplink]]\ninterface = \"eth0\"\n\
         [[segment]]\nname = \"blue\"\nvni = 100\n[[segment.port]]\ninterface = \"eth1\"\n"
    );
    let v4 = (0..V4).map(|i| IpAddr::from([192, 0, 2, 100 + i as u8]));
    let v6 = (0..V6).map(|i| IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 1, i]));
    let peers: BTreeSet<IpAddr> = v4.chain(v6).collect();
    for (number, vtep) in peers.iter().enumerate() {
        gateway.exec(&format!("ip neigh add {vtep} lladdr {far} dev eth0 nud permanent"))?;
        let encap = if number % 2 == 0 { "vxlan" } else { "geneve" };
        let _ = write!(
            config,
            "[[peer]]\nname = \"p{number}\"\nvtep = \"{vtep}\"\nencap = \"{encap}\"\n\
             segments = [\"blue\"]\n"
        );
    }
    let ours = Overlay::start(&gateway, name, &config)?;
    ours.wait_for_peers()?;
    let wire = RawSocket::open(&outside, "eth0")?;
    RawSocket::open(&host, "eth0")?.send(&marked(BROADCAST, INSIDE, "everyone"))?;
    let copies = wire.expect(peers.len(), SOON, |frame| has_mark(frame, "everyone"))?;
    let reached: Vec<IpAddr> = copies.iter().filter_map(|frame| destination(frame)).collect();
    ensure!(reached.len() == peers.len(), "{} copies: {:?}", reached.len(), ours.drops()?);
    ensure!(reached.iter().copied().collect::<BTreeSet<_>>() == peers, "{reached:?}");
    let shown = ours.show("peers")?;
    let sent: Vec<u64> = shown.iter().filter_map(|peer| peer["tx_packets"].as_u64()).collect();
    ensure!(sent == vec![1; peers.len()], "each peer is sent one: {sent:?}");
    ensure!(ours.drops()?.is_empty(), "{:?}", ours.drops()?);
    Ok(())
}

/// A super-frame of TCP for an unknown station reaches the peers that user space sends to as
/// the segments that it stands for; one of UDP may be a tunnel, and does not.
#[test]
fn a_flooded_super_frame_is_taken_apart_for_the_second_family() -> Result<()> {
    let name = "a_flooded_super_frame_is_taken_apart_for_the_second_family";
    if !require_root(name) {
        return Ok(());
    }
    let gateway = Netns::new("gw")?;
    let outside = Netns::new("outside")?;
    let host = Netns::new("host")?;
    veth(&gateway, "eth0", &outside, "eth0")?;
    veth(&gateway, "eth1", &host, "eth0")?;
    set_mtu(&gateway, "eth0", 1570)?;
    set_mtu(&outside, "eth0", 1570)?;
    gateway.exec("ip addr add 192.0.2.1/24 dev eth0")?;
    gateway.sysctl("net.ipv6.conf.eth0.disable_ipv6", "0")?;
    gateway.exec("ip addr add 2001:db8::1/64 dev eth0 nodad")?;
    let far = mac_of(&outside, "eth0")?.map(|byte| format!("{byte:02x}")).join(":");
    for vtep in ["192.0.2.2", "2001:db8::2"] {
        gateway.exec(&format!("ip neigh add {vtep} lladdr {far} dev eth0 nud permanent"))?;
    }
    let name = gateway.name();
    let config = format!(
        "[node]\nname = \"{name}\"\nvtep = [\"192.0.2.1\", \"2001:db8::1\"]\n\
         [[uplink]]\ninterface = \"eth0\"\n\
         [[segment]]\nname = \"blue\"\nvni = 100\n[[segment.port]]\ninterface = \"eth1\"\n\
         [[peer]]\nname = \"four\"\nvtep = \"192.0.2.2\"\nsegments = [\"blue\"]\n\
         [[peer]]\nname = \"six\"\nvtep = \"2001:db8::2\"\nsegments = [\"blue\"]\n"
    );
    let ours = Overlay::start(&gateway, name, &config)?;
    ours.wait_for_peers()?;
    let wire = RawSocket::open(&outside, "eth0")?;
    let host = RawSocket::open_offloading(&host, "eth0")?;
    let payload: Vec<u8> = (0..2501).map(|i| (i % 251) as u8).collect();
    host.send_super(&udp_to_everybody(3000), 34, 1000)?;
    host.send(&[tcp_offload(1000), super_tcp(&payload)].concat())?;
    // VXLAN over IPv6 to the peer, not what the host itself says there.
    let is_tunnel = |frame: &[u8]| {
        destination(frame) == "2001:db8::2".parse().ok() && frame.get(20) == Some(&17)
    };
    let mut parts = wire.expect(3, SOON, is_tunnel)?;
    parts.sort_by_key(|frame| frame.get(108..112).map(<[u8]>::to_vec));
    let of_parts: Vec<&[u8]> = parts.iter().filter_map(|frame| frame.get(124..)).collect();
    ensure!(of_parts.concat() == payload, "{of_parts:02x?}, {:?}", ours.drops()?);
    ensure!(of_parts.iter().map(|part| part.len()).eq([1000, 1000, 501]), "{of_parts:02x?}");
    let counted = || (ours.drops().ok()?.get("resize-failed") == Some(&1)).then_some(());
    wait_until("count of what is no TCP", SOON, counted)
        .with_context(|| format!("{:?}", ours.drops()))
}

/// `struct virtio_net_hdr` of a TCP super-frame over IPv4, in the machine's byte order.
fn tcp_offload(segment: u16) -> Vec<u8> {
    let (needs_checksum, tcp4, headers, start, offset) = (1, 1, 54_u16, 34_u16, 16_u16);
    let mut header = vec![needs_checksum, tcp4];
    for field in [headers, segment, start, offset] {
        header.extend(field.to_ne_bytes());
    }
    header
}

/// TCP from 10.0.0.1 to 10.0.0.2 and a station that nobody knows; its checksum is that of the
/// pseudo header.
fn super_tcp(payload: &[u8]) -> Vec<u8> {
    use overlay_common::wire::checksum;
    let tcp_len = (20 + payload.len()) as u16;
    let mut ip = vec![0x45, 0];
    ip.extend((20 + tcp_len).to_be_bytes());
    ip.extend([0, 1, 0x40, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
    let sum = checksum::full(&ip);
    ip[10..12].copy_from_slice(&sum.to_be_bytes());
    let mut pseudo = ip[12..20].to_vec();
    pseudo.extend([0, 6]);
    pseudo.extend(tcp_len.to_be_bytes());
    let mut tcp = vec![0, 80, 0x10, 0, 0, 0, 0, 1, 0, 0, 0, 2, 0x50, 0x18, 1, 0];
    tcp.extend((!checksum::full(&pseudo)).to_be_bytes());
    tcp.extend([0, 0]);
    tcp.extend(payload);
    overlay_testbed::frame::ethernet([2, 0, 0, 0, 0, 9], INSIDE, 0x0800, &[ip, tcp].concat())
}

/// A UDP datagram from 10.0.0.1 to 255.255.255.255 whose checksum is that of its pseudo
/// header.
fn udp_to_everybody(payload: usize) -> Vec<u8> {
    use overlay_common::wire::checksum;
    let udp_len = (8 + payload) as u16;
    let mut ip = vec![0x45, 0];
    ip.extend((20 + udp_len).to_be_bytes());
    ip.extend([0, 1, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 255, 255, 255, 255]);
    let sum = checksum::full(&ip);
    ip[10..12].copy_from_slice(&sum.to_be_bytes());
    let mut pseudo = ip[12..20].to_vec();
    pseudo.extend([0, 17]);
    pseudo.extend(udp_len.to_be_bytes());
    let mut udp = vec![0x10, 0, 0x20, 0];
    udp.extend(udp_len.to_be_bytes());
    udp.extend((!checksum::full(&pseudo)).to_be_bytes());
    udp.resize(usize::from(udp_len), 0x5a);
    overlay_testbed::frame::ethernet(BROADCAST, INSIDE, 0x0800, &[ip, udp].concat())
}

/// The outer destination.
fn destination(frame: &[u8]) -> Option<IpAddr> {
    match frame.get(12..14)? {
        [0x08, 0x00] => Some(IpAddr::from(<[u8; 4]>::try_from(frame.get(30..34)?).ok()?)),
        [0x86, 0xdd] => Some(IpAddr::from(<[u8; 16]>::try_from(frame.get(38..54)?).ok()?)),
        _ => None,
    }
}

/// A peer whose own network is narrower sends its tunnels in pieces.
#[test]
fn tunnels_in_pieces_are_put_together() -> Result<()> {
    let name = "tunnels_in_pieces_are_put_together";
    if !require_root(name) || !require_tools(name, TOOLS) || !require_tools(name, &["nstat"]) {
        return Ok(());
    }
    for uplink in ["tc", "xdp", "user", "user-xdp"] {
        let testbed = TwoGateways::new()?;
        suit(uplink, &testbed)?;
        let (gw1, gw2) = (&testbed.gw1, &testbed.gw2);
        gw2.bridge_vxlan(TwoGateways::VNI, &[gw1.vtep])?;
        // So narrow that the kernel does not tell its host of it.
        gw2.netns.exec(&format!("ip route add {} dev eth0 mtu lock 600", gw1.vtep))?;
        let config = gw1.config(uplink, "tc", &[("kernel", gw2.vtep)]);
        let ours = Overlay::start(&gw1.netns, &gw1.name, &config)?;
        ours.wait_for_peers()?;
        ping(&testbed.host1, TwoGateways::HOST2)?;
        let large = format!("ping -M dont -c 3 -i 0.2 -W 3 -s 1472 {}", TwoGateways::HOST1);
        let why = || format!("{uplink}: {:?}\n{}", ours.drops(), ours.log());
        testbed.host2.exec(&large).with_context(why)?;
        http_download(&testbed.host1, (&testbed.host2, TwoGateways::HOST2)).with_context(why)?;
        let reassembled = gw1.netns.exec("nstat -az IpReasmOKs")?;
        let count = |line: &str| line.split_whitespace().nth(1)?.parse::<u64>().ok();
        let put_together: u64 = reassembled.lines().filter_map(count).sum();
        ensure!(put_together >= 3, "nothing came in pieces: {reassembled}");
    }
    Ok(())
}

/// Over IPv6 the pieces, and what has other extension headers, are made by hand.
#[test]
fn ipv6_extension_headers_are_taken_from_peers_alone() -> Result<()> {
    if !require_root("ipv6_extension_headers_are_taken_from_peers_alone") {
        return Ok(());
    }
    for uplink in ["tc", "xdp"] {
        let testbed = TwoGateways::over_ipv6()?;
        let gw1 = &testbed.gw1;
        let config = gw1.config(uplink, "tc", &[("peer", TwoGateways::VTEP2_V6)]);
        let ours = Overlay::start(&gw1.netns, &gw1.name, &config)?;
        ours.wait_for_peers()?;
        let macs = (mac_of(&gw1.netns, "eth0")?, mac_of(&testbed.gw2.netns, "eth0")?);
        let wire = RawSocket::open(&testbed.gw2.netns, "eth0")?;
        let host = RawSocket::open(&testbed.host1, "eth0")?;
        let mut id = 0;
        for (extension, is_fragmented) in [("options", false), ("fragments", true)] {
            for (last, who) in [(0x77, "stranger"), (2, "peer")] {
                id += 1;
                let mark = format!("{extension} of a {who}");
                let datagram = tunnel_of(&marked(BROADCAST, INSIDE, &mark));
                let payloads = match is_fragmented {
                    // No operation for the destination: padding of four bytes.
                    false => vec![[&[17, 0, 1, 4, 0, 0, 0, 0], &datagram[..]].concat()],
                    true => pieces(&datagram, id),
                };
                for payload in payloads {
                    let header = if is_fragmented { 44 } else { 60 };
                    wire.send(&ipv6(macs, last, header, &payload))?;
                }
            }
            let theirs = |frame: &[u8]| has_mark(frame, &format!("{extension} of a peer"));
            let strangers = |frame: &[u8]| has_mark(frame, &format!("{extension} of a stranger"));
            let seen = host.find(SOON, |frame| theirs(frame) || strangers(frame))?;
            let why = || format!("{uplink}, {extension}: {:?}\n{}", ours.drops(), ours.log());
            ensure!(theirs(&seen.with_context(why)?), "{uplink}: a stranger's {extension}");
        }
        let drops = ours.drops()?;
        ensure!(drops.get("unknown-vtep") == Some(&2), "{uplink}: {drops:?}");
    }
    Ok(())
}

/// VXLAN, without a UDP checksum.
fn tunnel_of(inner: &[u8]) -> Vec<u8> {
    let mut udp = vec![0xc0, 0, 0x12, 0xb5];
    udp.extend(((inner.len() + 16) as u16).to_be_bytes());
    udp.extend([0, 0, 8, 0, 0, 0, 0, 0, 100, 0]);
    udp.extend(inner);
    udp
}

/// Two fragments of a datagram, each behind its header (RFC 8200, 4.5).
fn pieces(datagram: &[u8], id: u8) -> Vec<Vec<u8>> {
    let (first, second) = datagram.split_at(48);
    let header = |offset: u8, more: u8| [17, 0, 0, offset | more, 0, 0, 0, id];
    vec![[&header(0, 1), first].concat(), [&header(48, 0), second].concat()]
}

/// IPv6 to 2001:db8::1 from 2001:db8:: and a last byte.
fn ipv6((to, from): ([u8; 6], [u8; 6]), last: u8, header: u8, payload: &[u8]) -> Vec<u8> {
    let address = |last| [0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last];
    let mut ip = vec![0x60, 0, 0, 0];
    ip.extend((payload.len() as u16).to_be_bytes());
    ip.extend([header, 64]);
    ip.extend(address(last));
    ip.extend(address(1));
    ip.extend(payload);
    overlay_testbed::frame::ethernet(to, from, 0x86dd, &ip)
}

/// IPv4 options go the same way, and what a stranger sends so goes nowhere.
#[test]
fn ip_options_are_taken_from_peers_alone() -> Result<()> {
    if !require_root("ip_options_are_taken_from_peers_alone") {
        return Ok(());
    }
    for uplink in ["tc", "xdp"] {
        let testbed = TwoGateways::new()?;
        let gw1 = &testbed.gw1;
        let config = gw1.config(uplink, "tc", &[("peer", TwoGateways::VTEP2)]);
        let ours = Overlay::start(&gw1.netns, &gw1.name, &config)?;
        ours.wait_for_peers()?;
        let macs = (mac_of(&gw1.netns, "eth0")?, mac_of(&testbed.gw2.netns, "eth0")?);
        let wire = RawSocket::open(&testbed.gw2.netns, "eth0")?;
        let host = RawSocket::open(&testbed.host1, "eth0")?;
        let send = |from: [u8; 4], mark: &str| {
            wire.send(&with_options(macs, from, &marked(BROADCAST, INSIDE, mark)))
        };
        send([192, 0, 2, 77], "stranger")?;
        send([192, 0, 2, 2], "peer")?;
        let seen =
            host.find(SOON, |frame| has_mark(frame, "peer") || has_mark(frame, "stranger"))?;
        let seen = seen.with_context(|| format!("{uplink}: {:?}\n{}", ours.drops(), ours.log()))?;
        ensure!(has_mark(&seen, "peer"), "{uplink}: a stranger's frame was delivered");
        let drops = ours.drops()?;
        ensure!(drops.get("unknown-vtep") == Some(&1), "{uplink}: {drops:?}");
        ours.wait_for_mac("blue", INSIDE, "peer")?;
    }
    Ok(())
}

/// VXLAN to 192.0.2.1 behind an IPv4 header with four bytes of options.
fn with_options((to, from): ([u8; 6], [u8; 6]), source: [u8; 4], inner: &[u8]) -> Vec<u8> {
    use overlay_common::wire::checksum;
    let udp = tunnel_of(inner);
    let mut ip = vec![0x46, 0];
    ip.extend((udp.len() as u16 + 24).to_be_bytes());
    ip.extend([0, 0, 0, 0, 64, 17, 0, 0]);
    ip.extend(source);
    // No operation, three times, and the list's end.
    ip.extend([192, 0, 2, 1, 1, 1, 1, 0]);
    let sum = checksum::full(&ip);
    ip[10..12].copy_from_slice(&sum.to_be_bytes());
    overlay_testbed::frame::ethernet(to, from, 0x0800, &[ip, udp].concat())
}

//! Packets that do not fit: TCP is told when it connects, everybody else by a PTB, and what may
//! be cut up is.

use std::net::UdpSocket;
use std::os::fd::AsRawFd as _;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::libc;
use overlay_testbed::frame::{ethernet, ipv4_header};
use overlay_testbed::{
    Netns, RawSocket, Scratch, TwoGateways, is_emulated, mac_of, require_root, require_tools,
    set_mtu, wait_until,
};
use serde_json::Value;

use crate::harness::{Capture, Overlay, octets, overlay, ping, stream};

const ONE: &str = TwoGateways::HOST1;
const TWO: &str = TwoGateways::HOST2;
const V6: [&str; 2] = ["2001:db8:1::1", "2001:db8:1::2"];
/// The underlay of the issue: an inner IPv4 packet has 1230 bytes.
const NARROW: u32 = 1280;
const SOON: Duration = Duration::from_secs(2);

/// Two gateways of ours over an underlay of this MTU, hosts of 1500.
fn narrow(mtu: u32) -> Result<TwoGateways> {
    let testbed = TwoGateways::new()?;
    for gateway in [&testbed.gw1, &testbed.gw2] {
        set_mtu(&gateway.netns, "eth0", mtu)?;
    }
    for (host, address) in [&testbed.host1, &testbed.host2].into_iter().zip(V6) {
        host.sysctl("net.ipv6.conf.eth0.disable_ipv6", "0")?;
        host.exec(&format!("ip addr add {address}/64 dev eth0 nodad"))?;
    }
    Ok(testbed)
}

/// Both gateways, with more in `[node]`.
fn start<'n>(testbed: &'n TwoGateways, uplink: &str, node: &str) -> Result<[Overlay<'n>; 2]> {
    let (gw1, gw2) = (&testbed.gw1, &testbed.gw2);
    let start = |gateway: &'n overlay_testbed::Gateway, peer: &str, vtep: &str| {
        let config = gateway.config(uplink, "auto", &[(peer, vtep)]);
        let config = config.replace("\n\n[[uplink]]", &format!("\n{node}\n\n[[uplink]]"));
        let ours = Overlay::start(&gateway.netns, &gateway.name, &config)?;
        ours.wait_for_peers()?;
        Ok::<_, anyhow::Error>(ours)
    };
    let both = [start(gw1, "second", gw2.vtep)?, start(gw2, "first", gw1.vtep)?];
    ping(&testbed.host1, TWO)?;
    ping(&testbed.host1, V6[1])?;
    Ok(both)
}

/// 100 MB each way.
fn downloads(testbed: &TwoGateways, addresses: [&str; 2]) -> Result<()> {
    let length = if is_emulated() { 4 << 20 } else { 100 << 20 };
    let limit = Duration::from_secs(10);
    let port = |address: &str| match address.contains(':') {
        true => format!("[{address}]:5001"),
        false => format!("{address}:5001"),
    };
    let [one, two] = [&testbed.host1, &testbed.host2];
    stream(two, one, &port(addresses[0]), length, limit).context("a download")?;
    // A receiver that has learnt of the path says so when it is connected to.
    for host in [one, two] {
        host.exec("ip route flush cache")?;
        host.exec("ip -6 route flush cache")?;
    }
    stream(one, two, &port(addresses[1]), length, limit).context("an upload")
}

fn too_big(ours: &[Overlay<'_>; 2]) -> Result<u64> {
    let mut sum = 0;
    for ours in ours {
        sum += ours.drops()?.get("too-big").copied().unwrap_or(0);
    }
    Ok(sum)
}

/// What a host has learnt of a path.
fn learnt(host: &Netns, address: &str) -> Result<Option<u32>> {
    let route = host.exec(&format!("ip -json route get {address}"))?;
    let route: Value = serde_json::from_str(&route)?;
    Ok(route[0]["metrics"][0]["mtu"].as_u64().map(|mtu| mtu as u32))
}

#[test]
fn downloads_complete_on_a_narrow_underlay_since_tcp_is_told_what_fits() -> Result<()> {
    let name = "downloads_complete_on_a_narrow_underlay_since_tcp_is_told_what_fits";
    if !require_root(name) || !require_tools(name, &["ping"]) {
        return Ok(());
    }
    for uplink in ["tc", "xdp"] {
        let testbed = narrow(NARROW)?;
        let ours = start(&testbed, uplink, "")?;
        // IPv6 does not do with packets of 1230 bytes, but its TCP does.
        for addresses in [[ONE, TWO], V6] {
            downloads(&testbed, addresses)
                .with_context(|| format!("{uplink}, {addresses:?}: {:?}", ours[0].drops()))?;
        }
        ensure!(too_big(&ours)? == 0, "{uplink}: clamped, and too big: {:?}", ours[0].drops()?);
    }
    Ok(())
}

#[test]
fn downloads_complete_on_a_narrow_underlay_by_ptb_alone() -> Result<()> {
    let name = "downloads_complete_on_a_narrow_underlay_by_ptb_alone";
    if !require_root(name) || !require_tools(name, &["ping"]) {
        return Ok(());
    }
    // IPv6 has no packets of less than 1280 bytes, so its underlay is a little wider.
    for (uplink, mtu, addresses) in [
        ("tc", NARROW, [ONE, TWO]),
        ("xdp", NARROW, [ONE, TWO]),
        ("tc", 1330, V6),
        ("xdp", 1400, V6),
    ] {
        let testbed = narrow(mtu)?;
        let ours = start(&testbed, uplink, "mss_clamp = false")?;
        downloads(&testbed, addresses)
            .with_context(|| format!("{uplink}, {addresses:?}: {:?}", ours[0].drops()))?;
        for ours in &ours {
            let drops = ours.drops()?;
            ensure!(drops.get("too-big").is_some_and(|n| *n > 0), "{uplink}: {drops:?}");
        }
        let learnt = learnt(&testbed.host1, addresses[1])?;
        ensure!(learnt == Some(mtu - 50), "{uplink}: {learnt:?}");
        println!("{uplink}, underlay of {mtu}: too big {:?}", too_big(&ours)?);
    }
    Ok(())
}

#[test]
fn hosts_are_told_what_fits_and_tshark_agrees() -> Result<()> {
    let name = "hosts_are_told_what_fits_and_tshark_agrees";
    if !require_root(name) || !require_tools(name, &["ping", "tcpdump", "tshark"]) {
        return Ok(());
    }
    let testbed = narrow(1400)?;
    let ours = start(&testbed, "auto", "")?;
    let capture = Capture::start(&testbed.host1, "eth0")?;
    for (address, fits) in [(TWO, 1350 - 28), (V6[1], 1350 - 48)] {
        let sized = |size: u32| {
            testbed.host1.exec(&format!("ping -n -q -M do -c 1 -W 1 -s {size} {address}"))
        };
        sized(fits).with_context(|| format!("{address}: the largest that fits"))?;
        ensure!(sized(fits + 1).is_err(), "{address}: a packet too big got through");
        wait_until("what a host has learnt", SOON, || {
            (learnt(&testbed.host1, address).ok()? == Some(1350)).then_some(())
        })?;
    }
    // A socket that forbids fragmentation hears of it, and sends no more.
    let socket = testbed.host1.enter(|| UdpSocket::bind((ONE, 0)))??;
    forbid_fragments(&socket)?;
    testbed.host1.exec("ip route flush cache")?;
    socket.connect((TWO, 9))?;
    ensure!(socket.send(&[7; 1323]).is_ok(), "the first goes out");
    wait_until("EMSGSIZE", SOON, || {
        let error = socket.send(&[7; 1323]).err()?;
        (error.raw_os_error() == Some(libc::EMSGSIZE)).then_some(())
    })?;

    // The kernel hands captured frames over when a block of them is full, or a second old.
    std::thread::sleep(Duration::from_millis(1200));
    let recording = capture.stop()?;
    let bad = recording.fields("_ws.malformed", &["frame.number", "_ws.col.Info"])?;
    ensure!(bad.is_empty(), "tshark calls these malformed: {bad:#?}");
    let v4 = recording.fields(
        "icmp.type == 3 && icmp.code == 4",
        &[
            "ip.src",
            "ip.dst",
            "icmp.mtu",
            "icmp.checksum.status",
            "ip.checksum.status",
            "frame.len",
        ],
    )?;
    ensure!(v4.len() >= 2, "{v4:#?}");
    let expected = format!("{TWO}\t{ONE}\t1350\t1\t");
    ensure!(v4.iter().all(|l| l.starts_with(&expected) && l.ends_with("\t590")), "{v4:#?}");
    let v6 = recording.fields(
        "icmpv6.type == 2",
        &["ipv6.src", "ipv6.dst", "icmpv6.mtu", "icmpv6.checksum.status", "frame.len"],
    )?;
    let expected = format!("{}\t{}\t1350\t1\t1294", V6[1], V6[0]);
    ensure!(v6 == [expected], "{v6:#?}");
    ensure!(too_big(&ours)? as usize == v4.len() + v6.len(), "{:?}", ours[0].drops()?);
    Ok(())
}

/// `IP_MTU_DISCOVER`, `IP_PMTUDISC_DO`.
fn forbid_fragments(socket: &UdpSocket) -> Result<()> {
    let value = libc::IP_PMTUDISC_DO;
    // SAFETY: the value outlives the call, and its length is its own.
    let code = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_IP,
            libc::IP_MTU_DISCOVER,
            (&raw const value).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        )
    };
    ensure!(code == 0, "IP_MTU_DISCOVER: {}", std::io::Error::last_os_error());
    Ok(())
}

#[test]
fn what_may_be_cut_up_is() -> Result<()> {
    let name = "what_may_be_cut_up_is";
    if !require_root(name) || !require_tools(name, &["ping", "nstat"]) {
        return Ok(());
    }
    for uplink in ["tc", "xdp"] {
        let testbed = narrow(NARROW)?;
        let ours = start(&testbed, uplink, "")?;
        let why = || format!("{uplink}: {:?} {:?}", ours[0].drops(), ours[1].drops());
        // Both the requests and the answers do not fit.
        for size in [1202, 1203, 1472, 4000] {
            let large = format!("ping -n -q -M dont -c 5 -i 0.05 -W 3 -s {size} {TWO}");
            let report = testbed.host1.exec(&large).with_context(why)?;
            ensure!(report.contains(" 0% packet loss"), "{size}: {report}\n{}", why());
        }
        let reassembled = testbed.host2.exec("nstat -az IpReasmOKs")?;
        let count = |line: &str| line.split_whitespace().nth(1)?.parse::<u64>().ok();
        let put_together: u64 = reassembled.lines().filter_map(count).sum();
        ensure!(put_together == 15, "{uplink}: {reassembled}");
        for ours in &ours {
            ensure!(ours.drops()?.is_empty(), "{}", why());
        }
    }
    Ok(())
}

/// Answers are limited in their rate; what gets none is dropped and counted like the rest.
#[test]
fn answers_are_limited() -> Result<()> {
    if !require_root("answers_are_limited") {
        return Ok(());
    }
    const SENT: usize = 20_000;
    let testbed = narrow(NARROW)?;
    let ours = start(&testbed, "tc", "")?;
    let (from, to) = (mac_of(&testbed.host1, "eth0")?, mac_of(&testbed.host2, "eth0")?);
    let packet = [&ipv4_header(octets(ONE), octets(TWO), &[], 17, 1480)[..], &[0; 1480]].concat();
    let frame = ethernet(to, from, 0x0800, &packet);
    let host = RawSocket::open(&testbed.host1, "eth0")?;
    let before = std::time::Instant::now();
    let is_answer = |frame: &[u8]| frame.get(23) == Some(&1) && frame.get(34..36) == Some(&[3, 4]);
    let mut answers = 0;
    for number in 0..SENT {
        host.send(&frame)?;
        // Before the socket's buffer is full.
        while number % 16 == 0
            && let Some(frame) = host.receive(Duration::ZERO)?
        {
            answers += usize::from(is_answer(&frame.bytes));
        }
    }
    let drops = wait_until("drops of everything", SOON, || {
        let drops = too_big(&ours).ok()?;
        (drops >= SENT as u64).then_some(drops)
    })?;
    let took = before.elapsed();
    ensure!(drops == SENT as u64, "{drops} of {SENT}");
    answers += host.collect(Duration::from_millis(200), is_answer)?.len();
    let cpus = std::thread::available_parallelism()?.get();
    let most = cpus as f64 * (100.0 + 1000.0 * took.as_secs_f64());
    println!("{answers} answers to {SENT} packets in {took:?}, at most {most:.0}");
    ensure!(answers >= 100 && answers as f64 <= most, "{answers} answers");
    Ok(())
}

/// Whoever says to the gateway that a path takes next to nothing is not believed.
#[test]
fn forged_answers_change_nothing() -> Result<()> {
    let name = "forged_answers_change_nothing";
    if !require_root(name) || !require_tools(name, &["ping"]) {
        return Ok(());
    }
    let testbed = narrow(NARROW)?;
    let ours = start(&testbed, "tc", "")?;
    let mtu = || -> Result<Value> { Ok(ours[0].show("peers")?[0]["mtu"].clone()) };
    ensure!(mtu()? == 1230, "{:?}", ours[0].show("peers")?);
    // From a router of the underlay, and from a host of the segment; about a tunnel as the
    // gateway sends it, and about what its socket could have sent.
    for (netns, device, of) in [
        (&testbed.gw2.netns, "eth0", mac_of(&testbed.gw1.netns, "eth0")?),
        (&testbed.host1, "eth0", mac_of(&testbed.gw1.netns, "eth1")?),
        (&testbed.host1, "eth0", mac_of(&testbed.host2, "eth0")?),
    ] {
        let socket = RawSocket::open(netns, device)?;
        for port in [4789_u16, 50_000] {
            socket.send(&ethernet(of, mac_of(netns, device)?, 0x0800, &forged(port, 68)))?;
            socket.send(&ethernet(of, mac_of(netns, device)?, 0x0800, &forged(port, 600)))?;
        }
    }
    // Any change of the routes makes the daemon ask again.
    let route = "198.51.100.0/24 dev eth0";
    testbed.gw1.netns.exec(&format!("ip route add {route}"))?;
    std::thread::sleep(Duration::from_secs(2));
    let kernels = learnt(&testbed.gw1.netns, TwoGateways::VTEP2)?;
    println!("the gateway's kernel believes in {kernels:?}");
    ensure!(mtu()? == 1230, "{:?}", ours[0].show("peers")?);
    stream(&testbed.host1, &testbed.host2, &format!("{TWO}:5001"), 1 << 20, SOON)?;
    ensure!(too_big(&ours)? == 0, "{:?}", ours[0].drops()?);

    // What the operator says is believed.
    let vtep = TwoGateways::VTEP2;
    testbed.gw1.netns.exec(&format!("ip route add {vtep} dev eth0 mtu 1200"))?;
    wait_until("the route's MTU", Duration::from_secs(5), || (mtu().ok()? == 1150).then_some(()))?;
    Ok(())
}

/// A PTB from the second gateway about a tunnel's packet from the first, with this source port.
fn forged(port: u16, mtu: u16) -> Vec<u8> {
    let (one, two) = (octets(TwoGateways::VTEP1), octets(TwoGateways::VTEP2));
    let udp = [&port.to_be_bytes()[..], &4789_u16.to_be_bytes(), &[5, 0, 0, 0]].concat();
    let quoted = [&ipv4_header(one, two, &[], 17, 1260)[..], &udp].concat();
    let mut message = [&[3, 4, 0, 0, 0, 0][..], &mtu.to_be_bytes(), &quoted].concat();
    let sum = overlay_common::wire::checksum::full(&message);
    message[2..4].copy_from_slice(&sum.to_be_bytes());
    [&ipv4_header(two, one, &[], 1, message.len() as u16)[..], &message].concat()
}

#[test]
fn what_does_not_fit_is_warned_of_by_name() -> Result<()> {
    if !require_root("what_does_not_fit_is_warned_of_by_name") {
        return Ok(());
    }
    let testbed = narrow(NARROW)?;
    let gw1 = &testbed.gw1;
    let config = gw1.config("tc", "tc", &[("second", TwoGateways::VTEP2)]);
    let scratch = Scratch::new()?;
    let file = scratch.write("overlay.toml", &config)?;
    let checked = overlay(&gw1.netns).arg("check").arg("--config").arg(&file).output()?;
    let said = String::from_utf8_lossy(&checked.stderr).into_owned();
    ensure!(checked.status.success(), "{said}");
    for words in [
        "warning: ",
        "port eth1 of segment blue has MTU 1500, and peer second takes IP packets of 1230 bytes",
        "raise the MTU of uplink eth0 from 1280 to 1550",
        "IPv6 needs 1280",
    ] {
        ensure!(said.contains(words), "no {words:?} in {said}");
    }
    set_mtu(&gw1.netns, "eth0", 1550)?;
    let checked = overlay(&gw1.netns).arg("check").arg("--config").arg(&file).output()?;
    ensure!(checked.status.success() && checked.stderr.is_empty(), "{checked:?}");
    set_mtu(&gw1.netns, "eth0", 100)?;
    let checked = overlay(&gw1.netns).arg("check").arg("--config").arg(&file).output()?;
    let said = String::from_utf8_lossy(&checked.stderr).into_owned();
    ensure!(checked.status.code() == Some(2), "{checked:?}");
    ensure!(said.contains("uplink eth0 has MTU 100, too little for any tunnel"), "{said}");
    set_mtu(&gw1.netns, "eth0", NARROW)?;
    let ours = Overlay::start(&gw1.netns, &gw1.name, &config)?;
    ensure!(ours.log().contains("peer second takes IP packets of 1230 bytes"), "{}", ours.log());
    let status = ours.run(&["status"])?;
    ensure!(status.contains("and IPv6 needs 1280"), "{status}");
    Ok(())
}

//! What is neither TCP nor fits into a frame: protocols of IP that a gateway knows nothing of,
//! and datagrams that their sender has cut up. Real sockets on both sides.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::errno::Errno;
use nix::libc;
use nix::sys::socket::{SockaddrStorage, bind};
use overlay_testbed::{Netns, TwoGateways, patient, require_root, require_tools, wait_until};

use crate::harness::{EVERY_HOOK, Overlay, both_ours, ping};

const V6: [&str; 2] = ["2001:db8::1", "2001:db8::2"];
const V4: [&str; 2] = [TwoGateways::HOST1, TwoGateways::HOST2];
const LIMIT: Duration = Duration::from_secs(5);

/// Numbers that IANA gave to GRE, ESP and SCTP.
const PROTOCOLS: [i32; 3] = [47, 50, 132];
/// RFC 3828.
const UDP_LITE: i32 = 136;
/// The largest is some forty frames of the hosts' MTU.
const LARGEST: usize = 60_000;
const EACH_WAY: usize = 3;

/// Two hosts of both families behind two gateways of ours, on every hook.
fn on_every_hook(
    name: &str,
    check: impl Fn(&TwoGateways, &[Overlay<'_>; 2]) -> Result<()>,
) -> Result<()> {
    if !require_root(name) || !require_tools(name, &["ping"]) {
        return Ok(());
    }
    for modes in EVERY_HOOK {
        let testbed = TwoGateways::new()?;
        let ours = both_ours(&testbed, modes, modes)?;
        for (host, address) in [&testbed.host1, &testbed.host2].into_iter().zip(V6) {
            host.sysctl("net.ipv6.conf.eth0.disable_ipv6", "0")?;
            host.exec(&format!("ip addr add {address}/64 dev eth0 nodad"))?;
        }
        ping(&testbed.host1, V4[1])?;
        ping(&testbed.host1, V6[1])?;
        let drops = || ours.each_ref().map(|gateway| gateway.drops().unwrap_or_default());
        check(&testbed, &ours).with_context(|| format!("{modes:?}: {:?}", drops()))?;
        ensure!(drops().iter().all(|drops| drops.is_empty()), "{modes:?}: {:?}", drops());
    }
    Ok(())
}

#[test]
fn datagrams_of_sixty_thousand_bytes_arrive_whole() -> Result<()> {
    on_every_hook("datagrams_of_sixty_thousand_bytes_arrive_whole", |testbed, ours| {
        // What of a packet is in a fragment, which is a multiple of 8 bytes.
        for (addresses, part) in [(V4, 1480), (V6, 1448)] {
            let before = sent(&ours[0])?;
            let [one, two] = sockets(testbed, addresses, libc::SOCK_DGRAM, libc::IPPROTO_UDP)?;
            let mut fragments = 0;
            for size in [2_000, LARGEST / 2, LARGEST] {
                exchange([&one, &two], size, 0).with_context(|| addresses[1].to_owned())?;
                fragments += EACH_WAY * (size + 8).div_ceil(part);
            }
            // Each was a frame of its own for the gateway.
            wait_until("fragments", LIMIT, || {
                (sent(&ours[0]).ok()? - before >= fragments as u64).then_some(())
            })
            .with_context(|| format!("{fragments} behind {before}: {:?}", ours[0].show("peers")))?;
        }
        Ok(())
    })
}

#[test]
fn protocols_without_ports_cross() -> Result<()> {
    on_every_hook("protocols_without_ports_cross", |testbed, _| {
        for addresses in [V4, V6] {
            for protocol in PROTOCOLS {
                let [one, two] = sockets(testbed, addresses, libc::SOCK_RAW, protocol)?;
                // What IPv4's raw sockets receive begins with the packet's header.
                let before = if addresses == V4 { 20 } else { 0 };
                for size in [1, 1400, 20_000] {
                    exchange([&one, &two], size, before)
                        .with_context(|| format!("protocol {protocol} to {}", addresses[1]))?;
                }
            }
        }
        Ok(())
    })
}

/// The kernel's own, with its checksums: what a gateway must not take for UDP.
#[test]
fn udp_lite_crosses() -> Result<()> {
    on_every_hook("udp_lite_crosses", |testbed, _| {
        for addresses in [V4, V6] {
            let [one, two] = match sockets(testbed, addresses, libc::SOCK_DGRAM, UDP_LITE) {
                Ok(sockets) => sockets,
                Err(error) if error.downcast_ref() == Some(&Errno::EPROTONOSUPPORT) => {
                    println!("SAME AS protocols_without_ports_cross: this kernel has no UDP-Lite");
                    return Ok(());
                }
                Err(error) => return Err(error),
            };
            for size in [1, 1400, 20_000] {
                exchange([&one, &two], size, 0).with_context(|| addresses[1].to_owned())?;
            }
        }
        Ok(())
    })
}

/// A socket of a protocol on each host, connected to one another. What they send and receive
/// with is UDP's interface, which any protocol of datagrams has.
fn sockets(
    testbed: &TwoGateways,
    addresses: [&str; 2],
    kind: i32,
    protocol: i32,
) -> Result<[UdpSocket; 2]> {
    let open = |host: &Netns, address: &str| host.enter(|| socket(address, kind, protocol))?;
    let [one, two] = [
        open(&testbed.host1, addresses[0]).context("the first host")?,
        open(&testbed.host2, addresses[1]).context("the second host")?,
    ];
    one.connect(two.local_addr()?)?;
    two.connect(one.local_addr()?)?;
    Ok([one, two])
}

fn socket(address: &str, kind: i32, protocol: i32) -> Result<UdpSocket> {
    let address: IpAddr = address.parse()?;
    let family = if address.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 };
    // SAFETY: no pointers are passed.
    let socket = unsafe { libc::socket(family, kind | libc::SOCK_CLOEXEC, protocol) };
    let socket = Errno::result(socket)?;
    // SAFETY: the descriptor was just made and nobody else owns it.
    let socket = unsafe { OwnedFd::from_raw_fd(socket) };
    // Raw sockets have no ports; the others are given one.
    bind(socket.as_raw_fd(), &SockaddrStorage::from(SocketAddr::new(address, 0)))?;
    let socket = UdpSocket::from(socket);
    socket.set_read_timeout(Some(patient(LIMIT)))?;
    Ok(socket)
}

/// What a gateway has sent to its peer.
fn sent(ours: &Overlay<'_>) -> Result<u64> {
    ours.show("peers")?[0]["tx_packets"].as_u64().context("no tx_packets")
}

/// Datagrams in turn, of which each has contents of its own.
fn exchange([one, two]: [&UdpSocket; 2], size: usize, before: usize) -> Result<()> {
    for (number, (from, to)) in
        [(one, two), (two, one)].into_iter().cycle().take(2 * EACH_WAY).enumerate()
    {
        let sent: Vec<u8> = (0..size).map(|i| (i * 7 / 3 + size + number) as u8).collect();
        from.send(&sent)?;
        let mut buffer = vec![0; LARGEST + before + 1];
        let length = to.recv(&mut buffer).with_context(|| format!("{size} bytes"))?;
        let received = buffer.get(before..length).context("no contents")?;
        ensure!(received == sent, "{size} bytes became {}, or were changed", received.len());
    }
    Ok(())
}

//! Tunnels' packets that the programs leave to the kernel's own stack: fragments, IPv4
//! headers with options, IPv6 headers with extensions. The stack puts them together and
//! hands them to the sockets here, one for each VTEP address and tunnel port.
//!
//! What a socket receives from a peer, on an uplink, is made a plain packet again, with the
//! addresses, ports and congestion mark that it came with, and goes to the forwarder. What
//! strangers send is counted and goes nowhere. Nothing is answered.

use std::io::IoSliceMut;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::sync::{Arc, PoisonError, RwLock};
use std::thread::JoinHandle;

use anyhow::{Context as _, Result};
use bytes::Bytes;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::socket::{
    AddressFamily, ControlMessageOwned, MsgFlags, SockFlag, SockType, SockaddrStorage, bind,
    recvmsg, setsockopt, socket, sockopt,
};
use overlay_common::abi::{Vtep6Key, VtepKey};
use overlay_common::tables::Tables as _;
use overlay_common::verdict::DropReason;
use overlay_common::wire::{Ethernet, Ipv4, Ipv6, Mac, Udp, bytes_of, ethertype, protocol};
use overlay_control::tables::TableSet;

use super::{Assembled, Queues};

/// The longest payload of a UDP datagram.
const LONGEST: usize = 65_535;
/// So many packets of one socket are taken before the others, and the order to stop, get
/// their turn.
const AT_ONCE: usize = 64;

/// The sockets, and the thread that reads them.
pub struct Datagrams {
    /// What they were opened for.
    addresses: Vec<SocketAddr>,
    /// Those that could not be opened.
    shut: Vec<SocketAddr>,
    /// The same, in sentences.
    pub problems: Vec<String>,
    stop: Arc<EventFd>,
    thread: Option<JoinHandle<()>>,
}

impl Datagrams {
    /// Opens a socket for each address. One that cannot be opened is a problem, not an end:
    /// everything but the packets that it is for is forwarded without it.
    ///
    /// # Errors
    ///
    /// There is no thread, or no event, to be had.
    pub fn start(
        addresses: Vec<SocketAddr>,
        tables: Arc<RwLock<TableSet>>,
        queues: Queues,
    ) -> Result<Self> {
        let stop = EventFd::from_flags(EfdFlags::EFD_CLOEXEC).context("cannot make an eventfd")?;
        let stop = Arc::new(stop);
        let (mut sockets, mut shut, mut problems) = (Vec::new(), Vec::new(), Vec::new());
        for address in &addresses {
            match open(*address) {
                Ok(socket) => sockets.push((*address, socket)),
                Err(error) => {
                    shut.push(*address);
                    problems.push(problem(*address, error));
                }
            }
        }
        let wake = Arc::clone(&stop);
        let thread = std::thread::Builder::new()
            .name("datagrams".to_owned())
            .spawn(move || read(&sockets, &wake, &tables, &queues))
            .context("cannot start a thread")?;
        Ok(Self { addresses, shut, problems, stop, thread: Some(thread) })
    }

    /// Whether these are the sockets for those addresses, as far as they can be had now.
    pub fn are(&self, addresses: &[SocketAddr]) -> bool {
        self.addresses == addresses && self.shut.iter().all(|address| open(*address).is_err())
    }
}

impl Drop for Datagrams {
    fn drop(&mut self) {
        let _ = self.stop.write(1);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// What does not work without a socket, and what to do about it.
fn problem(address: SocketAddr, error: Errno) -> String {
    let help = match error {
        Errno::EADDRINUSE => {
            "; a program or a vxlan or geneve device has that port: end it, or \
                              give it or this gateway another (vxlan_port, geneve_port)"
        }
        Errno::EADDRNOTAVAIL => "; the address is not usable yet; it is tried again",
        _ => "",
    };
    format!(
        "tunnels' packets that come in pieces, or with IP options, are not taken: UDP {address}: \
         {}{help}",
        error.desc()
    )
}

/// A socket that tells the device, the destination and the traffic class of what it
/// receives.
fn open(address: SocketAddr) -> Result<OwnedFd, Errno> {
    let family = match address {
        SocketAddr::V4(_) => AddressFamily::Inet,
        SocketAddr::V6(_) => AddressFamily::Inet6,
    };
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let socket = socket(family, SockType::Datagram, flags, None)?;
    match address {
        SocketAddr::V4(_) => {
            setsockopt(&socket, sockopt::Ipv4PacketInfo, &true)?;
            setsockopt(&socket, sockopt::IpRecvTos, &true)?;
        }
        SocketAddr::V6(_) => {
            setsockopt(&socket, sockopt::Ipv6V6Only, &true)?;
            setsockopt(&socket, sockopt::Ipv6RecvPacketInfo, &true)?;
            setsockopt(&socket, sockopt::Ipv6RecvTClass, &true)?;
            accept_without_checksum(&socket)?;
        }
    }
    bind(socket.as_raw_fd(), &SockaddrStorage::from(address))?;
    Ok(socket)
}

/// Over IPv6 a tunnel's checksum is zero (RFC 6935), which the kernel takes for a mistake
/// unless it is told (Linux 3.16, commit 1c19448c9ba6).
fn accept_without_checksum(socket: &OwnedFd) -> Result<(), Errno> {
    const UDP_NO_CHECK6_RX: libc::c_int = 102;
    let one: libc::c_int = 1;
    // SAFETY: a live socket, and an option of the length that is given.
    let code = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_UDP,
            UDP_NO_CHECK6_RX,
            (&raw const one).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        )
    };
    Errno::result(code).map(drop)
}

fn read(
    sockets: &[(SocketAddr, OwnedFd)],
    stop: &EventFd,
    tables: &RwLock<TableSet>,
    queues: &Queues,
) {
    let mut buffer = vec![0; LONGEST];
    loop {
        let mut ready = vec![PollFd::new(stop.as_fd(), PollFlags::POLLIN)];
        ready.extend(sockets.iter().map(|(_, s)| PollFd::new(s.as_fd(), PollFlags::POLLIN)));
        match poll(&mut ready, PollTimeout::NONE) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => {
                tracing::error!(%error, "cannot wait for packets that came in pieces");
                return;
            }
        }
        let is_ready = |fd: &PollFd<'_>| fd.revents().is_some_and(|events| !events.is_empty());
        if is_ready(&ready[0]) {
            return;
        }
        for ((local, socket), _) in sockets.iter().zip(&ready[1..]).filter(|(_, r)| is_ready(r)) {
            for _ in 0..AT_ONCE {
                let Some(packet) = receive(socket, *local, &mut buffer) else { break };
                let tables = tables.read().unwrap_or_else(PoisonError::into_inner);
                if packet.is_admitted(&tables)
                    && let Some(frame) = packet.to_plain(*local)
                {
                    drop(tables);
                    queues.put_assembled(Assembled { ifindex: packet.ifindex, frame });
                }
            }
        }
    }
}

/// A datagram.
struct Datagram<'a> {
    ifindex: u32,
    source: SocketAddr,
    /// Type of service or traffic class.
    class: u8,
    payload: &'a [u8],
}

impl Datagram<'_> {
    /// Whether it came from a peer on an uplink. Strangers are counted; what came in elsewhere
    /// never was the programs' business.
    fn is_admitted(&self, tables: &TableSet) -> bool {
        if !tables.is_uplink(self.ifindex) {
            return false;
        }
        let vtep = match self.source.ip() {
            IpAddr::V4(v4) => tables.vtep(&VtepKey(v4.octets())),
            IpAddr::V6(v6) => tables.vtep6(&Vtep6Key(v6.octets())),
        };
        if vtep.is_none() {
            tables.record_drop(self.ifindex, DropReason::UnknownVtep);
        }
        vtep.is_some()
    }

    fn to_plain(&self, local: SocketAddr) -> Option<Bytes> {
        plain(self.source, local, self.class, self.payload)
    }
}

/// The next datagram; `None` where none waits.
fn receive<'a>(socket: &OwnedFd, local: SocketAddr, buffer: &'a mut [u8]) -> Option<Datagram<'a>> {
    let mut space = nix::cmsg_space!(libc::in6_pktinfo, libc::c_int);
    let (len, source, ifindex, class) = {
        let mut parts = [IoSliceMut::new(buffer)];
        let message = recvmsg::<SockaddrStorage>(
            socket.as_raw_fd(),
            &mut parts,
            Some(&mut space),
            MsgFlags::empty(),
        );
        let message = match message {
            Ok(message) => message,
            Err(Errno::EAGAIN | Errno::EINTR) => return None,
            Err(error) => {
                tracing::debug!(%error, %local, "a packet could not be received");
                return None;
            }
        };
        let (mut ifindex, mut class) = (0, 0);
        for control in message.cmsgs().ok()? {
            match control {
                ControlMessageOwned::Ipv4PacketInfo(info) => {
                    ifindex = info.ipi_ifindex.cast_unsigned();
                }
                ControlMessageOwned::Ipv6PacketInfo(info) => ifindex = info.ipi6_ifindex,
                ControlMessageOwned::Ipv4Tos(tos) => class = tos,
                ControlMessageOwned::Ipv6TClass(tclass) => class = tclass as u8,
                _ => {}
            }
        }
        (message.bytes, address(message.address.as_ref()?)?, ifindex, class)
    };
    Some(Datagram { ifindex, source, class, payload: buffer.get(..len)? })
}

fn address(address: &SockaddrStorage) -> Option<SocketAddr> {
    if let Some(v4) = address.as_sockaddr_in() {
        return Some(SocketAddr::from((v4.ip(), v4.port())));
    }
    let v6 = address.as_sockaddr_in6()?;
    Some(SocketAddr::from((v6.ip(), v6.port())))
}

/// The packet as it would have been without pieces, options or extensions. `None` where the
/// two ends are of two families.
fn plain(source: SocketAddr, local: SocketAddr, class: u8, payload: &[u8]) -> Option<Bytes> {
    let udp_len = u16::try_from(payload.len() + Udp::LEN).ok()?;
    let udp = Udp::new(source.port(), local.port(), udp_len);
    let none = Mac([0; 6]);
    let mut frame = Vec::with_capacity(Ethernet::LEN + Ipv6::LEN + usize::from(udp_len));
    match (source.ip(), local.ip()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            let mut ip = Ipv4::new(from.octets(), to.octets(), protocol::UDP, 64);
            ip.set_total_len(udp_len.checked_add(Ipv4::LEN as u16)?);
            ip.set_tos(class);
            ip.seal();
            frame.extend_from_slice(bytes_of(&Ethernet::new(none, none, ethertype::IPV4)));
            frame.extend_from_slice(bytes_of(&ip));
        }
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            let mut ip = Ipv6::new(from.octets(), to.octets(), protocol::UDP, udp_len);
            ip.set_ecn(class);
            frame.extend_from_slice(bytes_of(&Ethernet::new(none, none, ethertype::IPV6)));
            frame.extend_from_slice(bytes_of(&ip));
        }
        _ => return None,
    }
    frame.extend_from_slice(bytes_of(&udp));
    frame.extend_from_slice(payload);
    Some(Bytes::from(frame))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_against_a_socket_is_said() {
        let address = "192.0.2.1:4789".parse().unwrap();
        let head = "tunnels' packets that come in pieces, or with IP options, are not taken: UDP \
                    192.0.2.1:4789: ";
        for (error, sentence) in [
            (
                Errno::EADDRINUSE,
                "Address already in use; a program or a vxlan or geneve device has that port: \
                 end it, or give it or this gateway another (vxlan_port, geneve_port)",
            ),
            (
                Errno::EADDRNOTAVAIL,
                "Cannot assign requested address; the address is not usable yet; it is tried \
                 again",
            ),
            (Errno::EPERM, "Operation not permitted"),
        ] {
            assert_eq!(problem(address, error), format!("{head}{sentence}"));
        }
    }
    use std::net::UdpSocket;
    use std::time::Duration;

    use overlay_common::abi::{Egress, Port, Vtep};
    use overlay_common::id::PortId;
    use overlay_common::wire::Encap;
    use overlay_control::action::Action;

    /// The loopback device as uplink, and peers on it.
    fn tables(peers: &[IpAddr]) -> Arc<RwLock<TableSet>> {
        let mut tables = TableSet::default();
        let egress = Egress { ifindex: 1, flags: 0 };
        tables.apply(&Action::PutPort(PortId(1), Port { egress, ..Port::default() }));
        for peer in peers {
            let vtep = Vtep::new(1, Encap::Vxlan, 1);
            tables.apply(&match peer {
                IpAddr::V4(v4) => Action::PutVtep(VtepKey(v4.octets()), vtep),
                IpAddr::V6(v6) => Action::PutVtep6(Vtep6Key(v6.octets()), vtep),
            });
        }
        Arc::new(RwLock::new(tables))
    }

    #[test]
    fn a_peers_datagram_becomes_a_plain_packet_with_what_it_came_with() {
        for host in ["127.0.0.1", "::1"] {
            let sender = UdpSocket::bind((host, 0)).expect("IPv4 and IPv6 on the loopback device");
            let local = UdpSocket::bind((host, 0)).unwrap().local_addr().unwrap();
            let (queues, _learnt, work) = Queues::new();
            let tables = tables(&[sender.local_addr().unwrap().ip()]);
            let datagrams = Datagrams::start(vec![local], tables, queues).unwrap();
            assert_eq!(datagrams.problems, Vec::<String>::new());
            assert!(datagrams.are(&[local]) && !datagrams.are(&[]));
            // Congestion experienced.
            match local {
                SocketAddr::V4(_) => setsockopt(&sender, sockopt::Ipv4Tos, &3).unwrap(),
                SocketAddr::V6(_) => setsockopt(&sender, sockopt::Ipv6TClass, &3).unwrap(),
            }
            sender.send_to(b"hello", local).unwrap();
            let packet = work.assembled.recv_timeout(Duration::from_secs(10)).unwrap();
            assert_eq!(packet.ifindex, 1, "the loopback device");
            let expected = plain(sender.local_addr().unwrap(), local, 3, b"hello").unwrap();
            assert_eq!(packet.frame, expected);
        }
    }

    #[test]
    fn a_strangers_datagram_is_counted_and_goes_nowhere() {
        let local = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let (queues, _learnt, work) = Queues::new();
        let tables = tables(&["127.0.0.2".parse().unwrap()]);
        let _datagrams = Datagrams::start(vec![local], Arc::clone(&tables), queues).unwrap();
        UdpSocket::bind("127.0.0.1:0").unwrap().send_to(b"stranger", local).unwrap();
        UdpSocket::bind("127.0.0.2:0").unwrap().send_to(b"peer", local).unwrap();
        let packet = work.assembled.recv_timeout(Duration::from_secs(10)).unwrap();
        assert!(packet.frame.ends_with(b"peer"));
        let drops = tables.read().unwrap().drops();
        let drops: Vec<_> = drops.into_iter().map(|(key, n)| (key.reason, n)).collect();
        assert_eq!(drops, [(DropReason::UnknownVtep as u8, 1)]);
    }

    #[test]
    fn a_port_that_somebody_has_is_a_problem_and_no_end() {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        assert!(open(address).is_err_and(|error| error == Errno::EADDRINUSE));
        let (queues, _learnt, _work) = Queues::new();
        let datagrams = Datagrams::start(vec![address], tables(&[]), queues).unwrap();
        assert!(datagrams.problems[0].contains(&address.to_string()), "{:?}", datagrams.problems);
        assert!(datagrams.problems[0].contains("vxlan_port"), "{:?}", datagrams.problems);
        assert!(datagrams.are(&[address]), "nothing is to be had by another try");
        drop(socket);
        assert!(!datagrams.are(&[address]), "now there is");
    }
}

//! What changes in the kernel's tables.

use std::collections::VecDeque;
use std::io;

use anyhow::{Context as _, Result};
use bytes::BytesMut;
use nix::sys::socket::setsockopt;
use nix::sys::socket::sockopt::{RcvBuf, RcvBufForce};
use rtnetlink::MulticastGroup;
use rtnetlink::packet_core::{NetlinkBuffer, NetlinkMessage, NetlinkPayload};
use rtnetlink::packet_route::{AddressFamily, RouteNetlinkMessage};
use rtnetlink::sys::protocols::NETLINK_ROUTE;
use rtnetlink::sys::{AsyncSocket as _, AsyncSocketExt as _, SocketAddr, TokioSocket};

use super::{Link, Neighbour};

/// Room for bursts: a route server's table flap arrives as one message a route.
const RECEIVE_BUFFER: usize = 4 << 20;
/// The longest datagram that the kernel sends.
const DATAGRAM: usize = 64 << 10;

/// Message types of next-hop objects (linux/rtnetlink.h), of which nothing needs
/// to be read.
const RTM_NEWNEXTHOP: u16 = 104;
const RTM_DELNEXTHOP: u16 = 105;

/// Where the device's index is in a message about a filter or qdisc, of which nothing else
/// needs to be read: behind `struct nlmsghdr` and four bytes of `struct tcmsg`.
const TCM_IFINDEX: std::ops::Range<usize> = 20..24;

/// A change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A device appeared or changed.
    Link(Link),
    /// A device disappeared.
    LinkGone(Link),
    /// A neighbour appeared or changed.
    Neighbour(Neighbour),
    /// A neighbour was forgotten.
    NeighbourGone(Neighbour),
    /// A tc filter or qdisc of the device with this index was removed.
    FilterGone(u32),
    /// A route, rule or address changed: every way must be asked for again.
    Routes,
    /// The kernel had more news than room: everything must be read again, and what is still to
    /// come is older than that.
    Overrun,
}

/// A subscription to changes.
pub struct Monitor {
    socket: TokioSocket,
    datagram: BytesMut,
    /// Events of a datagram that were not asked for yet.
    events: VecDeque<Event>,
    is_over: bool,
}

impl Monitor {
    /// Subscribes. Changes are kept from here on, so what is read afterwards
    /// misses none.
    pub fn open() -> Result<Self> {
        let groups = [
            MulticastGroup::Link,
            MulticastGroup::Neigh,
            MulticastGroup::Ipv4Ifaddr,
            MulticastGroup::Ipv4Route,
            MulticastGroup::Ipv4Rule,
            MulticastGroup::Ipv6Ifaddr,
            MulticastGroup::Ipv6Route,
            MulticastGroup::Ipv6Rule,
            // With nexthop_compat_mode = 0 a next-hop object changes without a
            // message for each route that uses it.
            MulticastGroup::Nexthop,
        ];
        let subscribe = || -> io::Result<TokioSocket> {
            let mut socket = TokioSocket::new(NETLINK_ROUTE)?;
            socket.socket_mut().bind(&SocketAddr::new(0, 0))?;
            for group in groups {
                socket.socket_mut().add_membership(group as u32)?;
            }
            // Without the privilege for a large buffer the largest that everybody may have has
            // to do; overruns are noticed and made good.
            let open = socket.socket_mut();
            if setsockopt(open, RcvBufForce, &RECEIVE_BUFFER).is_err() {
                let _ = setsockopt(open, RcvBuf, &RECEIVE_BUFFER);
            }
            Ok(socket)
        };
        let socket = subscribe().context("cannot follow changes over netlink")?;
        let datagram = BytesMut::with_capacity(DATAGRAM);
        Ok(Self { socket, datagram, events: VecDeque::new(), is_over: false })
    }

    /// Follows tc filters and qdiscs as well.
    pub fn follow_filters(&mut self) -> Result<()> {
        let joined = self.socket.socket_mut().add_membership(MulticastGroup::Tc as u32);
        joined.context("cannot follow tc filters over netlink")
    }

    /// Waits for the next change. `None` when the subscription was lost, which is told once:
    /// afterwards nothing comes any more. May be dropped while it waits, without loss.
    pub async fn next(&mut self) -> Option<Event> {
        if self.is_over {
            return std::future::pending().await;
        }
        loop {
            if let Some(event) = self.events.pop_front() {
                return Some(event);
            }
            self.datagram.clear();
            self.datagram.reserve(DATAGRAM);
            match self.socket.recv(&mut self.datagram).await {
                Ok(()) => self.events.extend(Messages(&self.datagram).filter_map(event)),
                Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => {
                    return Some(Event::Overrun);
                }
                Err(error) => {
                    tracing::warn!(%error, "the netlink subscription is lost");
                    self.is_over = true;
                    return None;
                }
            }
        }
    }
}

/// The messages of a datagram.
struct Messages<'a>(&'a [u8]);

impl<'a> Iterator for Messages<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        // Refuses a length that is shorter than a header or reaches further than
        // the datagram.
        let length = NetlinkBuffer::new_checked(self.0).ok()?.length() as usize;
        let message = self.0.get(..length)?;
        self.0 = self.0.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(message)
    }
}

fn event(bytes: &[u8]) -> Option<Event> {
    use RouteNetlinkMessage as M;
    let kind = NetlinkBuffer::new_checked(bytes).ok()?.message_type();
    if matches!(kind, RTM_NEWNEXTHOP | RTM_DELNEXTHOP) {
        return Some(Event::Routes);
    }
    if matches!(kind, libc::RTM_DELTFILTER | libc::RTM_DELQDISC) {
        return bytes
            .get(TCM_IFINDEX)
            .and_then(|index| index.try_into().ok())
            .map(|index| Event::FilterGone(u32::from_ne_bytes(index)));
    }
    let message = match NetlinkMessage::<M>::deserialize(bytes) {
        Ok(message) => message,
        Err(error) => {
            tracing::debug!(kind, %error, "a netlink message is not understood");
            return matches!(kind, libc::RTM_NEWROUTE | libc::RTM_DELROUTE)
                .then_some(Event::Routes);
        }
    };
    let NetlinkPayload::InnerMessage(message) = message.payload else { return None };
    match message {
        // A bridge reports its ports with messages of its own family.
        M::NewLink(m) | M::DelLink(m) if m.header.interface_family != AddressFamily::Unspec => None,
        M::NewLink(m) => Link::from_message(&m).map(Event::Link),
        M::DelLink(m) => Link::from_message(&m).map(Event::LinkGone),
        M::NewNeighbour(m) => Neighbour::from_message(&m).map(Event::Neighbour),
        M::DelNeighbour(m) => Neighbour::from_message(&m).map(Event::NeighbourGone),
        M::NewRoute(_) | M::DelRoute(_) | M::NewRule(_) | M::DelRule(_) => Some(Event::Routes),
        M::NewAddress(_) | M::DelAddress(_) => Some(Event::Routes),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd as _;
    use std::time::Duration;

    use super::*;

    /// Whoever waits for changes must not be kept busy by there being none to come.
    #[tokio::test]
    async fn the_end_is_told_once() {
        let mut monitor = Monitor::open().unwrap();
        // It is known that something waits to be read, which something else never has: an answer
        // to NLMSG_NOOP with NLM_F_REQUEST and NLM_F_ACK.
        let mut question = 16u32.to_ne_bytes().to_vec();
        question.extend([1u16, 5].map(u16::to_ne_bytes).as_flattened());
        question.extend([0; 8]);
        assert_eq!(monitor.socket.send(&question).await.unwrap(), 16);
        tokio::time::sleep(Duration::from_millis(1)).await;
        let null = std::fs::File::open("/dev/null").unwrap();
        let open = monitor.socket.socket_mut().as_raw_fd();
        // SAFETY: both descriptors are open, and the monitor goes on to own the second.
        assert_eq!(unsafe { libc::dup2(null.as_raw_fd(), open) }, open);
        assert_eq!(monitor.next().await, None);
        let more = tokio::time::timeout(Duration::from_millis(10), monitor.next()).await;
        assert!(more.is_err(), "{more:?}");
    }

    /// A message of 20 bytes: a header and four bytes of payload.
    fn message(kind: u16) -> Vec<u8> {
        let mut bytes = 20u32.to_ne_bytes().to_vec();
        bytes.extend(kind.to_ne_bytes());
        bytes.extend([0; 14]);
        bytes
    }

    #[test]
    fn changes_that_cannot_be_read_still_count() {
        for kind in [RTM_NEWNEXTHOP, RTM_DELNEXTHOP, libc::RTM_NEWROUTE, libc::RTM_DELROUTE] {
            assert_eq!(event(&message(kind)), Some(Event::Routes), "{kind}");
        }
        assert_eq!(event(&message(9999)), None);
    }

    #[test]
    fn a_filter_that_is_gone_names_its_device() {
        for kind in [libc::RTM_DELTFILTER, libc::RTM_DELQDISC] {
            let mut bytes = message(kind);
            assert_eq!(event(&bytes), None, "cut short");
            bytes[0] = 36;
            bytes.extend(7u32.to_ne_bytes());
            bytes.extend([0; 12]);
            assert_eq!(event(&bytes), Some(Event::FilterGone(7)));
        }
    }

    #[test]
    fn a_datagram_holds_several_messages_and_may_be_cut_short() {
        let two = [message(RTM_NEWNEXTHOP), message(RTM_DELNEXTHOP)].concat();
        assert_eq!(Messages(&two).count(), 2);
        for end in 0..two.len() {
            assert_eq!(Messages(&two[..end]).count(), end / 20, "{end}");
        }
    }
}

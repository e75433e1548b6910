//! What changes in the kernel's tables.

use anyhow::{Context as _, Result};
use futures_util::StreamExt as _;
use rtnetlink::MulticastGroup;
use rtnetlink::packet_core::{NetlinkMessage, NetlinkPayload};
use rtnetlink::packet_route::{AddressFamily, RouteNetlinkMessage};
use rtnetlink::sys::{AsyncSocket as _, SocketAddr};

use super::{Link, Neighbour};

/// Room for bursts: a route server's table flap arrives as one message a route.
const RECEIVE_BUFFER: libc::c_int = 4 << 20;

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
    /// A route, rule or address changed: every way must be asked for again.
    Routes,
    /// The kernel had more news than room: everything must be read again.
    Overrun,
}

/// A subscription to changes.
pub struct Monitor {
    messages: futures_util::stream::BoxStream<'static, NetlinkMessage<RouteNetlinkMessage>>,
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
            // The kernel sends no route messages when a next-hop object changes.
            MulticastGroup::Nexthop,
        ];
        let (mut connection, _, messages) = rtnetlink::new_multicast_connection(&groups)
            .context("cannot follow changes over netlink")?;
        let socket = connection.socket_mut().socket_mut();
        // Without the privilege for a large buffer the usual one has to do;
        // overruns are noticed and made good.
        let _ = socket.set_rx_buf_sz(RECEIVE_BUFFER);
        tokio::spawn(connection);
        let messages = messages.map(|(message, _): (_, SocketAddr)| message).boxed();
        Ok(Self { messages })
    }

    /// Waits for the next change. `None` when the connection was lost.
    pub async fn next(&mut self) -> Option<Event> {
        loop {
            let message = self.messages.next().await?;
            if let Some(event) = event(message.payload) {
                return Some(event);
            }
        }
    }
}

fn event(payload: NetlinkPayload<RouteNetlinkMessage>) -> Option<Event> {
    use RouteNetlinkMessage as M;
    let message = match payload {
        NetlinkPayload::InnerMessage(message) => message,
        NetlinkPayload::Overrun(_) => return Some(Event::Overrun),
        _ => return None,
    };
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

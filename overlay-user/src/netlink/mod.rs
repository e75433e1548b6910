//! The kernel's own tables: links, addresses, routes and neighbours, read and
//! followed over netlink.
//!
//! - [`link`]: network devices.
//! - [`filter`]: tc filters.
//! - [`neighbour`]: address resolution, and asking the kernel to do it.
//! - [`route`]: the way to an address.
//! - `survey`: what others have on devices.
//! - [`monitor`]: what changes.
//! - [`next_hops`]: the three together, for each peer.
//! - `socket`: what all of it is asked over.

pub mod filter;
pub mod link;
pub mod monitor;
pub mod neighbour;
pub mod next_hops;
pub mod route;
mod socket;
mod survey;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, Result};
use futures_util::TryStreamExt as _;
use rtnetlink::packet_route::address::AddressAttribute;

pub use link::Link;
pub use monitor::{Event, Monitor};
pub use neighbour::{Neighbour, Prod, Reachability};
pub use next_hops::NextHops;
pub use route::Route;
pub use socket::Lost;
use socket::Socket;

/// A connection to the kernel's routing tables in this network namespace.
#[derive(Clone)]
pub struct Netlink {
    socket: Arc<Mutex<Socket>>,
}

impl Netlink {
    /// Opens the connection; it is served by a task of its own.
    pub fn open() -> Result<Self> {
        Socket::open().map(Self::over)
    }

    fn over(socket: Socket) -> Self {
        Self { socket: Arc::new(Mutex::new(socket)) }
    }

    /// The socket, or another where that one has failed.
    fn socket(&self) -> Socket {
        let mut socket = self.socket.lock().unwrap_or_else(PoisonError::into_inner);
        if socket.is_lost() {
            match Socket::open() {
                Ok(another) => *socket = another,
                // What is asked for over the one that failed says so.
                Err(error) => tracing::warn!("{error:#}"),
            }
        }
        socket.clone()
    }

    /// Every address of this host.
    pub async fn addresses(&self) -> Result<BTreeSet<IpAddr>> {
        let socket = self.socket();
        let mut stream = std::pin::pin!(socket.handle.address().get().execute());
        let mut addresses = BTreeSet::new();
        while let Some(message) = stream.try_next().await.context("cannot list addresses")? {
            // On a point-to-point link, "address" is the far end's.
            let local = message.attributes.iter().find_map(|a| match a {
                AddressAttribute::Local(ip) => Some(*ip),
                _ => None,
            });
            let address = message.attributes.iter().find_map(|a| match a {
                AddressAttribute::Address(ip) => Some(*ip),
                _ => None,
            });
            addresses.extend(local.or(address));
        }
        socket.is_whole().context("cannot list addresses")?;
        Ok(addresses)
    }
}

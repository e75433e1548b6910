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

pub mod filter;
pub mod link;
pub mod monitor;
pub mod neighbour;
pub mod next_hops;
pub mod route;
mod survey;

use std::collections::BTreeSet;
use std::net::IpAddr;

use anyhow::{Context as _, Result};
use futures_util::TryStreamExt as _;
use rtnetlink::packet_route::address::AddressAttribute;

pub use link::Link;
pub use monitor::{Event, Monitor};
pub use neighbour::{Neighbour, Prod, Reachability};
pub use next_hops::NextHops;
pub use route::Route;

/// A connection to the kernel's routing tables in this network namespace.
#[derive(Clone)]
pub struct Netlink {
    handle: rtnetlink::Handle,
}

impl Netlink {
    /// Opens the connection; it is served by a task of its own.
    pub fn open() -> Result<Self> {
        let (connection, handle, _) =
            rtnetlink::new_connection().context("cannot open a netlink socket")?;
        tokio::spawn(connection);
        Ok(Self { handle })
    }

    /// Every address of this host.
    pub async fn addresses(&self) -> Result<BTreeSet<IpAddr>> {
        let mut stream = std::pin::pin!(self.handle.address().get().execute());
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
        Ok(addresses)
    }
}

//! Address resolution: what the kernel knows, and asking it to find out.

use std::net::IpAddr;

use anyhow::{Context as _, Result};
use futures_util::TryStreamExt as _;
use rtnetlink::packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourFlags, NeighbourMessage, NeighbourState,
};

use super::Netlink;
use super::link::name_now;

/// How much the kernel trusts a neighbour's MAC address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reachability {
    /// Asked for, or given up: there is no MAC address.
    Unknown,
    /// Confirmed a short time ago.
    Reachable,
    /// Not confirmed for a while.
    Stale,
    /// Being confirmed now.
    Probed,
    /// Set by an administrator, or a device without address resolution.
    Fixed,
}

/// A neighbour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Neighbour {
    /// The device it is behind.
    pub ifindex: u32,
    /// Its IP address.
    pub address: IpAddr,
    /// Its MAC address, where known.
    pub mac: Option<[u8; 6]>,
    /// How much the kernel trusts that.
    pub reachability: Reachability,
}

impl Neighbour {
    /// The neighbour of a netlink message, or `None` where the message is about
    /// something else (a bridge's FDB, a proxy entry).
    pub fn from_message(message: &NeighbourMessage) -> Option<Self> {
        if message.header.flags.contains(NeighbourFlags::Proxy) {
            return None;
        }
        let mut address = None;
        let mut mac = None;
        for attribute in &message.attributes {
            match attribute {
                NeighbourAttribute::Destination(NeighbourAddress::Inet(ip)) => {
                    address = Some(IpAddr::V4(*ip));
                }
                NeighbourAttribute::Destination(NeighbourAddress::Inet6(ip)) => {
                    address = Some(IpAddr::V6(*ip));
                }
                NeighbourAttribute::LinkLayerAddress(bytes) => {
                    mac = bytes.as_slice().try_into().ok();
                }
                _ => {}
            }
        }
        let reachability = match message.header.state {
            NeighbourState::Reachable => Reachability::Reachable,
            NeighbourState::Stale => Reachability::Stale,
            NeighbourState::Delay | NeighbourState::Probe => Reachability::Probed,
            NeighbourState::Permanent | NeighbourState::Noarp => Reachability::Fixed,
            _ => Reachability::Unknown,
        };
        if reachability == Reachability::Unknown {
            mac = None;
        }
        Some(Self { ifindex: message.header.ifindex, address: address?, mac, reachability })
    }
}

/// What the kernel is asked to do about a neighbour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prod {
    /// Resolve it as if a packet waited for it.
    Resolve,
    /// Confirm the MAC address that it has.
    Confirm,
    /// Forget the MAC address, then resolve.
    Renew,
}

impl Netlink {
    /// Every neighbour of this network namespace.
    pub async fn neighbours(&self) -> Result<Vec<Neighbour>> {
        let socket = self.socket();
        let mut stream = std::pin::pin!(socket.handle.neighbours().get().execute());
        let mut neighbours = Vec::new();
        while let Some(message) = stream.try_next().await.context("cannot list neighbours")? {
            neighbours.extend(Neighbour::from_message(&message));
        }
        socket.is_whole().context("cannot list neighbours")?;
        Ok(neighbours)
    }

    /// Has the kernel resolve or confirm a neighbour.
    pub async fn prod(&self, ifindex: u32, address: IpAddr, prod: Prod) -> Result<()> {
        match prod {
            Prod::Resolve => self.change(ifindex, address, None).await,
            Prod::Confirm => self.change(ifindex, address, Some(NeighbourState::Probe)).await,
            Prod::Renew => {
                self.change(ifindex, address, Some(NeighbourState::Failed)).await?;
                self.change(ifindex, address, None).await
            }
        }
    }

    /// Sets a neighbour's state; without one, uses it (`NTF_USE`), which is how
    /// the kernel is told that a packet waits.
    async fn change(
        &self,
        ifindex: u32,
        address: IpAddr,
        state: Option<NeighbourState>,
    ) -> Result<()> {
        let socket = self.socket();
        let request = socket.handle.neighbours().add(ifindex, address).replace();
        let request = match state {
            Some(state) => request.state(state),
            None => request.state(NeighbourState::None).flags(NeighbourFlags::Use),
        };
        let done = request.execute().await.map_err(anyhow::Error::from);
        done.and_then(|()| Ok(socket.is_whole()?)).with_context(|| {
            let name = name_now(ifindex).unwrap_or_else(|| ifindex.to_string());
            format!("cannot resolve {address} on interface {name}")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(state: NeighbourState, flags: NeighbourFlags) -> NeighbourMessage {
        let mut message = NeighbourMessage::default();
        message.header.ifindex = 4;
        message.header.state = state;
        message.header.flags = flags;
        message.attributes = vec![
            NeighbourAttribute::Destination(NeighbourAddress::Inet([192, 0, 2, 2].into())),
            NeighbourAttribute::LinkLayerAddress(vec![2, 0, 0, 0, 0, 2]),
        ];
        message
    }

    #[test]
    fn a_failed_neighbours_old_mac_is_not_used() {
        let failed = message(NeighbourState::Failed, NeighbourFlags::empty());
        let neighbour = Neighbour::from_message(&failed).unwrap();
        assert_eq!((neighbour.mac, neighbour.reachability), (None, Reachability::Unknown));
    }

    #[test]
    fn a_neighbour_being_confirmed_keeps_its_mac() {
        let probed = message(NeighbourState::Probe, NeighbourFlags::empty());
        let neighbour = Neighbour::from_message(&probed).unwrap();
        assert_eq!(neighbour.mac, Some([2, 0, 0, 0, 0, 2]));
    }

    #[test]
    fn proxy_entries_are_no_neighbours() {
        let proxy = message(NeighbourState::Permanent, NeighbourFlags::Proxy);
        assert_eq!(Neighbour::from_message(&proxy), None);
    }
}

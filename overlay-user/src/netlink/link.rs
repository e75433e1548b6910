//! Devices, as netlink describes them.

use anyhow::{Context as _, Result};
use futures_util::TryStreamExt as _;
use rtnetlink::LinkUnspec;
use rtnetlink::packet_route::link::{
    InfoKind, LinkAttribute, LinkFlags, LinkInfo, LinkLayerType, LinkMessage,
};

use super::{Lost, Netlink};

/// What a device is, as far as the choice of a hook goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A virtual cable's end; traffic may carry unfinished checksums.
    Veth {
        /// Whether the far end is in another network namespace.
        far_end_elsewhere: bool,
    },
    /// tun or tap: a local process or virtual machine is behind it.
    Tun,
    /// Another software device: bridge, macvlan, …
    Virtual,
    /// A device without a link kind: hardware, or a hypervisor's.
    Physical,
}

/// A device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Its name.
    pub name: String,
    /// Its index.
    pub ifindex: u32,
    /// Whether it carries Ethernet frames.
    pub ethernet: bool,
    /// Its MAC address; zero where it has none.
    pub mac: [u8; 6],
    /// The longest IP packet it takes.
    pub mtu: u32,
    /// Whether it is set up and has a carrier.
    pub up: bool,
    /// How many queues it may receive through.
    pub queues: u32,
    /// Whether `IFF_PROMISC` is set on it.
    pub promiscuous: bool,
    /// What it is.
    pub kind: Kind,
}

impl Link {
    /// The device of a netlink message, or `None` where that names no device.
    pub fn from_message(message: &LinkMessage) -> Option<Self> {
        let mut link = Self {
            name: String::new(),
            ifindex: message.header.index,
            ethernet: message.header.link_layer_type == LinkLayerType::Ether,
            mac: [0; 6],
            mtu: 0,
            queues: 1,
            up: message.header.flags.contains(LinkFlags::Up | LinkFlags::LowerUp),
            promiscuous: message.header.flags.contains(LinkFlags::Promisc),
            kind: Kind::Physical,
        };
        let mut far_end_elsewhere = false;
        for attribute in &message.attributes {
            match attribute {
                LinkAttribute::IfName(name) => link.name.clone_from(name),
                LinkAttribute::Address(mac) => {
                    link.mac = mac.as_slice().try_into().unwrap_or_default();
                }
                LinkAttribute::Mtu(mtu) => link.mtu = *mtu,
                LinkAttribute::NumRxQueues(queues) => link.queues = *queues,
                LinkAttribute::LinkNetNsId(_) => far_end_elsewhere = true,
                LinkAttribute::LinkInfo(infos) => {
                    for info in infos {
                        if let LinkInfo::Kind(kind) = info {
                            link.kind = match kind {
                                InfoKind::Veth => Kind::Veth { far_end_elsewhere: false },
                                InfoKind::Tun => Kind::Tun,
                                _ => Kind::Virtual,
                            };
                        }
                    }
                }
                _ => {}
            }
        }
        if let Kind::Veth { far_end_elsewhere: elsewhere } = &mut link.kind {
            *elsewhere = far_end_elsewhere;
        }
        (!link.name.is_empty()).then_some(link)
    }
}

/// The name that a device has now; `None` where there is no device of this index.
pub fn name_now(ifindex: u32) -> Option<String> {
    // nix takes it for a success that there is none.
    let name = nix::net::if_::if_indextoname(ifindex).ok().filter(|name| !name.is_empty())?;
    Some(name.to_string_lossy().into_owned())
}

impl Netlink {
    /// Every device of this network namespace.
    pub async fn links(&self) -> Result<Vec<Link>> {
        let socket = self.socket();
        let mut stream = std::pin::pin!(socket.handle.link().get().execute());
        let mut links = Vec::new();
        while let Some(message) = stream.try_next().await.context("cannot list interfaces")? {
            links.extend(Link::from_message(&message));
        }
        socket.is_whole().context("cannot list interfaces")?;
        Ok(links)
    }

    /// One device, or `None` where there is no such index.
    ///
    /// # Errors
    ///
    /// [`Lost`]: whether there is one was not told.
    pub async fn link(&self, ifindex: u32) -> Result<Option<Link>, Lost> {
        let socket = self.socket();
        let mut stream = std::pin::pin!(socket.handle.link().get().match_index(ifindex).execute());
        let Ok(Some(message)) = stream.try_next().await else {
            return socket.is_whole().map(|()| None);
        };
        Ok(Link::from_message(&message))
    }

    /// Puts a device into promiscuous mode, or takes it out again.
    pub async fn set_promiscuous(&self, ifindex: u32, on: bool) -> Result<()> {
        let socket = self.socket();
        let change = LinkUnspec::new_with_index(ifindex).promiscuous(on).build();
        let done = socket.handle.link().set(change).execute().await.map_err(anyhow::Error::from);
        done.and_then(|()| Ok(socket.is_whole()?)).context("cannot change promiscuous mode")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::netlink::socket::tests::broken;

    #[tokio::test]
    async fn a_device_is_not_gone_because_the_socket_is() {
        let loopback = nix::net::if_::if_nametoindex("lo").unwrap();
        let netlink = Netlink::over(broken().await);
        assert!(netlink.link(loopback).await.is_err());
        assert_eq!(netlink.link(loopback).await.unwrap().unwrap().name, "lo");
        assert_eq!(netlink.link(i32::MAX.cast_unsigned()).await.unwrap(), None);
    }
}

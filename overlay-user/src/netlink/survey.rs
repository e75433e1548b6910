//! What others have on this host's devices: tunnels of the kernel, and XDP programs.

use anyhow::{Context as _, Result};
use futures_util::TryStreamExt as _;
use rtnetlink::packet_route::link::{
    InfoData, InfoVxlan, LinkAttribute, LinkFlags, LinkInfo, LinkMessage, LinkXdp,
};

use super::{Link, Netlink};

impl Netlink {
    /// The kernel's vxlan devices that are up: name and UDP port.
    pub async fn tunnels(&self) -> Result<Vec<(String, u16)>> {
        let mut found = Vec::new();
        for message in self.link_messages().await? {
            if !message.header.flags.contains(LinkFlags::Up) {
                continue;
            }
            let infos = message.attributes.iter().filter_map(|attribute| match attribute {
                LinkAttribute::LinkInfo(infos) => Some(infos),
                _ => None,
            });
            let port = infos.flatten().find_map(|info| match info {
                LinkInfo::Data(InfoData::Vxlan(data)) => {
                    data.iter().find_map(|datum| match datum {
                        InfoVxlan::Port(port) => Some(*port),
                        _ => None,
                    })
                }
                _ => None,
            });
            let link = Link::from_message(&message);
            found.extend(link.zip(port).map(|(link, port)| (link.name, port)));
        }
        Ok(found)
    }

    /// The XDP programs on devices: the device's index and the program's number.
    pub async fn xdp_programs(&self) -> Result<Vec<(u32, u32)>> {
        let mut found = Vec::new();
        for message in self.link_messages().await? {
            for attribute in &message.attributes {
                let LinkAttribute::Xdp(parts) = attribute else { continue };
                let program = parts.iter().find_map(|part| match part {
                    LinkXdp::ProgId(id) if *id != 0 => Some(*id),
                    _ => None,
                });
                found.extend(program.map(|program| (message.header.index, program)));
            }
        }
        Ok(found)
    }

    async fn link_messages(&self) -> Result<Vec<LinkMessage>> {
        let socket = self.socket();
        let stream = socket.handle.link().get().execute();
        let links = stream.try_collect().await.context("cannot list interfaces")?;
        socket.is_whole().context("cannot list interfaces")?;
        Ok(links)
    }
}

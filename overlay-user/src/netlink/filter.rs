//! Classic tc filters at ingress, and the qdisc that they hang on.

use std::collections::HashSet;

use anyhow::{Context as _, Result};
use futures_util::TryStreamExt as _;
use rtnetlink::packet_route::tc::{
    TcAttribute, TcFilterBpf, TcFilterBpfOption, TcHandle, TcMessage, TcOption,
};

use super::Netlink;

/// The qdisc that has filters at ingress and egress.
const CLSACT: &str = "clsact";

/// A BPF filter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BpfFilter {
    /// Its priority.
    pub priority: u16,
    /// Its handle.
    pub handle: u32,
    /// What its maker called it.
    pub name: String,
    /// The number of its program.
    pub program: Option<u32>,
}

impl BpfFilter {
    /// The filter of a netlink message; `None` where it is of another kind, or stands for
    /// all filters of a priority.
    fn from_message(message: &TcMessage) -> Option<Self> {
        let is_bpf = |a: &TcAttribute| matches!(a, TcAttribute::Kind(k) if k == TcFilterBpf::KIND);
        message.attributes.iter().find(|attribute| is_bpf(attribute))?;
        let options = message.attributes.iter().find_map(|attribute| match attribute {
            TcAttribute::Options(options) => Some(options),
            _ => None,
        })?;
        let name = options.iter().find_map(|option| match option {
            TcOption::Bpf(TcFilterBpfOption::ProgName(name)) => Some(name.clone()),
            _ => None,
        });
        let program = options.iter().find_map(|option| match option {
            TcOption::Bpf(TcFilterBpfOption::ProgId(id)) => Some(*id),
            _ => None,
        });
        Some(Self {
            program,
            priority: (message.header.info >> 16) as u16,
            handle: message.header.handle.into(),
            name: name.unwrap_or_default(),
        })
    }
}

impl Netlink {
    /// The BPF filters at a device's ingress.
    pub async fn ingress_filters(&self, ifindex: u32) -> Result<Vec<BpfFilter>> {
        let socket = self.socket();
        let request = socket.handle.traffic_filter(ifindex.cast_signed()).get().ingress();
        let mut stream = std::pin::pin!(request.execute());
        let mut filters = Vec::new();
        while let Some(message) = stream.try_next().await.context("cannot list tc filters")? {
            filters.extend(BpfFilter::from_message(&message));
        }
        socket.is_whole().context("cannot list tc filters")?;
        Ok(filters)
    }

    /// The devices that have a clsact qdisc.
    pub async fn clsacts(&self) -> Result<HashSet<u32>> {
        let socket = self.socket();
        let mut stream = std::pin::pin!(socket.handle.qdisc().get().execute());
        let mut found = HashSet::new();
        let is_clsact = |a: &TcAttribute| matches!(a, TcAttribute::Kind(kind) if kind == CLSACT);
        while let Some(message) = stream.try_next().await.context("cannot list qdiscs")? {
            if message.attributes.iter().any(is_clsact) {
                found.insert(message.header.index.cast_unsigned());
            }
        }
        socket.is_whole().context("cannot list qdiscs")?;
        Ok(found)
    }

    /// Removes a device's clsact qdisc, unless somebody has filters there.
    pub async fn remove_idle_clsact(&self, ifindex: u32) -> Result<()> {
        let socket = self.socket();
        let filters = || socket.handle.traffic_filter(ifindex.cast_signed()).get();
        for request in [filters().ingress(), filters().egress()] {
            let mut stream = std::pin::pin!(request.execute());
            if stream.try_next().await.context("cannot list tc filters")?.is_some() {
                return Ok(());
            }
        }
        socket.is_whole().context("cannot list tc filters")?;
        let mut request = socket.handle.qdisc().del(ifindex.cast_signed());
        let message = request.message_mut();
        message.header.parent = TcHandle::CLSACT;
        message.header.handle = TcHandle { major: 0xffff, minor: 0 };
        let done = request.execute().await.map_err(anyhow::Error::from);
        done.and_then(|()| Ok(socket.is_whole()?)).context("cannot remove the clsact qdisc")
    }
}

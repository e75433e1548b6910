//! The ways to an address, as the kernel has them.

use std::net::IpAddr;

use futures_util::TryStreamExt as _;
use overlay_common::abi::Way;
use rtnetlink::RouteMessageBuilder;
use rtnetlink::packet_route::route::{
    RouteAddress, RouteAttribute, RouteFlags, RouteMessage, RouteMetric, RouteNextHop, RouteType,
    RouteVia,
};

use super::{Lost, Netlink};

/// More next hops than a group has entries are of no use.
const MOST_WAYS: usize = Way::BUCKETS as usize;

/// A way to an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    /// The device.
    pub ifindex: u32,
    /// Whose MAC address frames are sent to: the gateway, or the destination
    /// where it is on the link.
    pub next_hop: IpAddr,
    /// The longest packet that it takes, where whoever made it said so. What the kernel was
    /// told by routers, or by somebody who says that he is one, does not count.
    pub mtu: Option<u32>,
}

impl Netlink {
    /// The next hops of the route to `destination` for packets from `source`, in the route's
    /// order; none where the kernel has no route, or one that does not leave the host.
    ///
    /// # Errors
    ///
    /// [`Lost`]: the kernel's answer is not known.
    pub async fn routes_to(&self, destination: IpAddr, source: IpAddr) -> Result<Vec<Route>, Lost> {
        // Policy rules may choose by source. The kernel refuses a source that is
        // not (or not yet) its own, so the second question leaves it out.
        match self.ask_routes(destination, Some(source)).await? {
            Some(routes) => Ok(routes),
            None => Ok(self.ask_routes(destination, None).await?.unwrap_or_default()),
        }
    }

    async fn ask_routes(
        &self,
        destination: IpAddr,
        source: Option<IpAddr>,
    ) -> Result<Option<Vec<Route>>, Lost> {
        let Some(question) = question(destination, source) else { return Ok(None) };
        let socket = self.socket();
        let mut stream = std::pin::pin!(socket.handle.route().get(question).execute());
        let Ok(Some(message)) = stream.try_next().await else {
            return socket.is_whole().map(|()| None);
        };
        Ok(from_message(&message, destination))
    }
}

fn question(destination: IpAddr, source: Option<IpAddr>) -> Option<RouteMessage> {
    let length = if destination.is_ipv4() { 32 } else { 128 };
    let mut builder =
        RouteMessageBuilder::<IpAddr>::new().destination_prefix(destination, length).ok()?;
    // The builder makes messages for adding routes; a question names neither
    // table nor origin.
    let message = builder.get_mut();
    message.header.table = 0;
    message.header.kind = RouteType::Unspec;
    message.header.protocol = 0.into();
    message.header.scope = 0.into();
    // The route itself, all its next hops, and not the one that the kernel would take
    // (Linux 4.13, commits b61798130f1b and 18c3a61c4264).
    message.header.flags |= RouteFlags::FibMatch;
    if let Some(source) = source {
        message.header.source_prefix_length = length;
        message.attributes.push(RouteAttribute::Source(source.into()));
    }
    Some(builder.build())
}

fn from_message(message: &RouteMessage, destination: IpAddr) -> Option<Vec<Route>> {
    if message.header.kind != RouteType::Unicast {
        return None;
    }
    let several = message.attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::MultiPath(hops) => Some(hops),
        _ => None,
    });
    let mut routes: Vec<Route> = match several {
        Some(hops) => {
            let route = |hop: &RouteNextHop| {
                from_attributes(&hop.attributes, Some(hop.interface_index), destination)
            };
            hops.iter().filter_map(route).take(MOST_WAYS).collect()
        }
        None => vec![from_attributes(&message.attributes, None, destination)?],
    };
    let mtu = mtu_of_all(&message.attributes);
    routes.iter_mut().for_each(|route| route.mtu = mtu);
    Some(routes)
}

fn from_attributes(
    attributes: &[RouteAttribute],
    mut ifindex: Option<u32>,
    destination: IpAddr,
) -> Option<Route> {
    let mut gateway = None;
    for attribute in attributes {
        match attribute {
            RouteAttribute::Oif(index) => ifindex = Some(*index),
            RouteAttribute::Gateway(RouteAddress::Inet(ip)) => gateway = Some(IpAddr::V4(*ip)),
            RouteAttribute::Gateway(RouteAddress::Inet6(ip)) => gateway = Some(IpAddr::V6(*ip)),
            // An IPv4 route through an IPv6 router (RFC 5549).
            RouteAttribute::Via(RouteVia::Inet(ip)) => gateway = Some(IpAddr::V4(*ip)),
            RouteAttribute::Via(RouteVia::Inet6(ip)) => gateway = Some(IpAddr::V6(*ip)),
            _ => {}
        }
    }
    Some(Route { ifindex: ifindex?, next_hop: gateway.unwrap_or(destination), mtu: None })
}

/// The MTU that somebody gave a route, whichever of its next hops is taken. One that was learnt
/// expires.
fn mtu_of_all(attributes: &[RouteAttribute]) -> Option<u32> {
    let mut mtu = None;
    let mut expires = false;
    for attribute in attributes {
        match attribute {
            RouteAttribute::Metrics(metrics) => mtu = metrics.iter().find_map(mtu_of),
            RouteAttribute::CacheInfo(info) => expires = info.expires != 0,
            _ => {}
        }
    }
    mtu.filter(|_| !expires)
}

fn mtu_of(metric: &RouteMetric) -> Option<u32> {
    match metric {
        RouteMetric::Mtu(mtu) => Some(*mtu),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rtnetlink::packet_route::route::RouteCacheInfo;
    use std::net::Ipv4Addr;

    fn message(attributes: Vec<RouteAttribute>) -> RouteMessage {
        let mut message = RouteMessage::default();
        message.header.kind = RouteType::Unicast;
        message.attributes = attributes;
        message
    }

    const VTEP: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2));

    #[test]
    fn on_link_the_destination_is_its_own_next_hop() {
        let route = from_message(&message(vec![RouteAttribute::Oif(3)]), VTEP);
        assert_eq!(route, Some(vec![Route { ifindex: 3, next_hop: VTEP, mtu: None }]));
    }

    #[test]
    fn a_gateway_of_either_family_is_the_next_hop() {
        let v6: std::net::Ipv6Addr = "fe80::1".parse().unwrap();
        let route = from_message(
            &message(vec![RouteAttribute::Oif(3), RouteAttribute::Via(RouteVia::Inet6(v6))]),
            VTEP,
        );
        assert_eq!(route, Some(vec![Route { ifindex: 3, next_hop: v6.into(), mtu: None }]));
    }

    #[test]
    fn each_next_hop_of_a_route_is_a_way() {
        let routers = [Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(10, 0, 1, 1)];
        let hops = (3..).zip(routers).map(|(ifindex, router)| {
            let mut hop = RouteNextHop::default();
            hop.interface_index = ifindex;
            hop.attributes = vec![RouteAttribute::Gateway(RouteAddress::Inet(router))];
            hop
        });
        let metrics = RouteAttribute::Metrics(vec![RouteMetric::Mtu(1400)]);
        let attributes = vec![RouteAttribute::MultiPath(hops.collect()), metrics];
        let routes = from_message(&message(attributes), VTEP);
        let wanted = (3..).zip(routers).map(|(ifindex, ip)| Route {
            ifindex,
            next_hop: ip.into(),
            mtu: Some(1400),
        });
        assert_eq!(routes, Some(wanted.collect()));
    }

    #[test]
    fn an_mtu_counts_that_somebody_gave_the_route_and_not_one_that_was_learnt() {
        let metrics =
            RouteAttribute::Metrics(vec![RouteMetric::Hoplimit(9), RouteMetric::Mtu(1400)]);
        let given = message(vec![RouteAttribute::Oif(3), metrics.clone()]);
        assert_eq!(from_message(&given, VTEP).unwrap()[0].mtu, Some(1400));
        for (expires, mtu) in [(0, Some(1400)), (600, None)] {
            // struct rta_cacheinfo.
            let words = [0, 0, expires, 0, 0, 0, 0, 0_u32].map(u32::to_ne_bytes);
            let info = RouteCacheInfo::parse(words.as_flattened()).unwrap();
            let cached = RouteAttribute::CacheInfo(info);
            let learnt = message(vec![RouteAttribute::Oif(3), metrics.clone(), cached]);
            assert_eq!(from_message(&learnt, VTEP).unwrap()[0].mtu, mtu);
        }
    }

    #[test]
    fn a_local_or_blackhole_route_leads_nowhere() {
        let mut local = message(vec![RouteAttribute::Oif(1)]);
        local.header.kind = RouteType::Local;
        assert_eq!(from_message(&local, VTEP), None);
    }
}

//! Single values: what each key accepts, and what to say where it does not.

use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;

use overlay_common::abi::NeighbourKey;
use overlay_common::id::Vni;
use overlay_common::wire::Mac;
use toml::de::DeValue;

use super::acl::Direction;
use super::api::Access;
use super::document::{Wrong, type_name};
use super::mtu::LEAST_OVER_IPV4;
use super::nearest::nearest;
use super::read::Nowhere;
use super::source::At;
use super::{Dscp, Encap, Mode, Prefix, TagKind, Vteps};
use crate::acl::Protocol;

/// The longest name of a node, segment or peer.
const NAME_MAX: usize = 64;
/// Linux's IFNAMSIZ, less the terminating zero.
const INTERFACE_MAX: usize = 15;
const MAC_HELP: &str = "six pairs of hexadecimal digits, such as \"02:00:00:00:02:02\"";

/// The name of a node, a segment or a peer.
pub fn name(value: &DeValue) -> Result<String, Wrong> {
    let name = string(value, "a name in quotes")?;
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let help = "use 1 to 64 letters, digits, dots, underscores and dashes, a letter or digit first";
    if name.is_empty() {
        return Err(Wrong::new("is empty", help));
    }
    if let Some(bad) = name.chars().find(|c| !legal(*c)) {
        return Err(Wrong::new(format!("{name:?} holds {bad:?}"), help));
    }
    if !name.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        return Err(Wrong::new(format!("{name:?} begins with a sign"), help));
    }
    if name.len() > NAME_MAX {
        return Err(Wrong::new(format!("has {} characters", name.len()), help));
    }
    Ok(name.to_owned())
}

/// The name of a network device.
pub fn interface(value: &DeValue) -> Result<String, Wrong> {
    let name = string(value, "the name of a network device in quotes")?;
    let help = "Linux device names have 1 to 15 characters, no slash and no space (see: ip link)";
    if name.is_empty() {
        return Err(Wrong::new("is empty", help));
    }
    if name.len() > INTERFACE_MAX {
        return Err(Wrong::new(format!("{name:?} has {} characters", name.len()), help));
    }
    let illegal = |c: char| c == '/' || c == ':' || c.is_whitespace() || c.is_control();
    if let Some(bad) = name.chars().find(|c| illegal(*c)) {
        return Err(Wrong::new(format!("{name:?} holds {bad:?}"), help));
    }
    if name == "." || name == ".." {
        return Err(Wrong::new(format!("{name:?} is no device name"), help));
    }
    Ok(name.to_owned())
}

const VTEP_HELP: &str = "an address such as \"192.0.2.1\" or \"2001:db8::1\"";

/// This node's VTEP: one address, or a list of one of each family.
pub fn vteps(value: &DeValue) -> Result<Vteps, Wrong> {
    let DeValue::Array(items) = value else {
        return Ok(one(vtep(value)?));
    };
    let help = "one IPv4 address and one IPv6 address: [\"192.0.2.1\", \"2001:db8::1\"]";
    if items.is_empty() {
        return Err(Wrong::new("is empty", help));
    }
    let mut vteps = Vteps::default();
    for item in items.iter() {
        let address = vtep(item.get_ref())?;
        vteps = vteps.with(address).map_err(|own| {
            Wrong::new(format!("has two addresses of one family, {own} and {address}"), help)
        })?;
    }
    Ok(vteps)
}

fn one(address: IpAddr) -> Vteps {
    Vteps::default().with(address).unwrap_or_default()
}

/// A VTEP's address.
pub fn vtep(value: &DeValue) -> Result<IpAddr, Wrong> {
    let text = string(value, VTEP_HELP)?;
    if let Some((address, _)) = text.split_once('/')
        && address.parse::<IpAddr>().is_ok()
    {
        return Err(Wrong::new(
            format!("{text:?} has a prefix length"),
            format!("only the address: \"{address}\""),
        ));
    }
    let address = text
        .parse::<IpAddr>()
        .map_err(|_| Wrong::new(format!("{text:?} is no IP address"), VTEP_HELP))?;
    let kind = if address.is_unspecified() {
        "the unspecified address"
    } else if address.is_loopback() {
        "a loopback address"
    } else if address.is_multicast() {
        "a multicast address"
    } else {
        match address {
            IpAddr::V4(v4) if v4.is_broadcast() => "the broadcast address",
            IpAddr::V6(v6) if v6.is_unicast_link_local() => {
                "a link-local address, which means another host on each link"
            }
            IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some() => "an IPv4 address in IPv6's clothes",
            _ => return Ok(address),
        }
    };
    Err(Wrong::new(
        format!("{text:?} is {kind}"),
        "the unicast address of one gateway on the underlay, such as \"192.0.2.1\"",
    ))
}

/// An address that a host in a segment can have.
pub fn host(value: &DeValue) -> Result<IpAddr, Wrong> {
    let help = "the address of one host, such as \"10.0.0.5\" or \"2001:db8::5\"";
    let text = string(value, help)?;
    let address =
        text.parse().map_err(|_| Wrong::new(format!("{text:?} is no IP address"), help))?;
    match NeighbourKey::of(address, 0) {
        Some(_) => Ok(address),
        None => Err(Wrong::new(format!("{text:?} is no address that a host can have"), help)),
    }
}

/// The addresses of a host, each with its place.
pub fn hosts(value: &DeValue) -> Result<Vec<At<IpAddr>>, Wrong> {
    let help = "the host's addresses, such as [\"10.0.0.5\", \"2001:db8::5\"]";
    let DeValue::Array(items) = value else {
        return Err(Wrong::new(format!("is {}, not a list", type_name(value)), help));
    };
    let read =
        |item: &toml::Spanned<DeValue>| Ok(At { value: host(item.get_ref())?, span: item.span() });
    items.iter().map(read).collect()
}

/// The addresses of a segment's router, each with its place.
pub fn router(value: &DeValue) -> Result<Vec<At<Prefix>>, Wrong> {
    let help = "the router's addresses, such as [\"10.1.0.1/24\", \"fd00:1::1/64\"]";
    let DeValue::Array(items) = value else {
        return Err(Wrong::new(format!("is {}, not a list", type_name(value)), help));
    };
    if items.is_empty() {
        return Err(Wrong::new("is empty", help));
    }
    let read = |item: &toml::Spanned<DeValue>| {
        let value = address_of_router(prefix(item.get_ref(), help)?, help)?;
        Ok(At { value, span: item.span() })
    };
    items.iter().map(read).collect()
}

fn address_of_router(prefix: Prefix, help: &str) -> Result<Prefix, Wrong> {
    let is_whole = prefix.address.is_ipv4() && prefix.len < 31 || prefix.address.is_ipv6();
    let is_end = prefix.network().address == prefix.address && is_whole && prefix.len < 127
        || prefix.address.is_ipv4() && prefix.last() == prefix.address && is_whole;
    if is_end {
        return Err(Wrong::new(format!("{prefix} is the network itself, not a host in it"), help));
    }
    if prefix.len == 0 || NeighbourKey::of(prefix.address, 0).is_none() {
        return Err(Wrong::new(format!("{prefix} is no address that a router can have"), help));
    }
    match prefix.address {
        IpAddr::V6(v6) if v6.is_unicast_link_local() => Err(Wrong::new(
            format!("{prefix} is a link-local address, of which the router has one anyway"),
            help,
        )),
        _ => Ok(prefix),
    }
}

/// A route's prefix.
pub fn network(value: &DeValue) -> Result<Prefix, Wrong> {
    let help = "a network such as \"10.9.0.0/16\" or \"fd00:9::/48\"; \"0.0.0.0/0\" is all of IPv4";
    let prefix = prefix(value, help)?;
    if prefix.network() != prefix {
        let meant = format!("did you mean \"{}\"?", prefix.network());
        return Err(Wrong::new(format!("\"{prefix}\" has bits behind its length"), meant));
    }
    Ok(prefix)
}

fn prefix(value: &DeValue, help: &str) -> Result<Prefix, Wrong> {
    let text = string(value, help)?;
    Prefix::parse(text)
        .ok_or_else(|| Wrong::new(format!("{text:?} is no address with a length"), help))
}

/// How a route leads nowhere.
pub fn nowhere(value: &DeValue) -> Result<Nowhere, Wrong> {
    let choice = "\"unreachable\" or \"blackhole\"";
    match string(value, choice)? {
        "unreachable" => Ok(Nowhere::Unreachable),
        "blackhole" => Ok(Nowhere::Blackhole),
        text => {
            let all = ["unreachable", "blackhole"];
            Err(Wrong::new(format!("{text:?} does not exist"), suggest(text, all, choice)))
        }
    }
}

/// The DSCP of tunnels.
pub fn dscp(value: &DeValue) -> Result<Dscp, Wrong> {
    let help = "\"copy\", or a number from 0 to 63: 46 is expedited forwarding";
    match value {
        DeValue::String(text) if text == "copy" => Ok(Dscp::Copy),
        DeValue::String(text) => Err(Wrong::new(format!("{text:?} does not exist"), help)),
        value => {
            Ok(Dscp::Set(integer(value, 0..=63, "or \"copy\", that of the packet inside")? as u8))
        }
    }
}

/// Whether packets pass.
pub fn permits(value: &DeValue) -> Result<bool, Wrong> {
    let choice = "\"permit\" or \"deny\"";
    match string(value, choice)? {
        "permit" => Ok(true),
        "deny" => Ok(false),
        text => Err(Wrong::new(
            format!("{text:?} does not exist"),
            suggest(text, ["permit", "deny"], choice),
        )),
    }
}

/// What an access list is for.
pub fn direction(value: &DeValue) -> Result<Direction, Wrong> {
    let choice = "\"in\", what hosts send, or \"out\", what is sent to them";
    match string(value, choice)? {
        "in" => Ok(Direction::In),
        "out" => Ok(Direction::Out),
        text => Err(Wrong::new(format!("{text:?} does not exist"), choice)),
    }
}

/// A protocol, or any.
pub fn protocol(value: &DeValue) -> Result<Option<u8>, Wrong> {
    let choice =
        "\"any\", \"tcp\", \"udp\", \"sctp\", \"icmp\", \"icmpv6\" or a number from 0 to 255";
    match value {
        DeValue::String(text) if text == "any" => Ok(None),
        DeValue::String(text) => {
            let known = Protocol::NAMED.iter().find(|(name, _)| name == text);
            let names = Protocol::NAMED.iter().map(|(name, _)| *name);
            known.map(|(_, number)| Some(*number)).ok_or_else(|| {
                Wrong::new(format!("{text:?} does not exist"), suggest(text, names, choice))
            })
        }
        value => Ok(Some(integer(value, 0..=255, "a protocol's, or its name: \"tcp\"")? as u8)),
    }
}

/// The addresses that a rule is for: a network, or one host.
pub fn addresses(value: &DeValue) -> Result<Prefix, Wrong> {
    let text = string(value, "a network such as \"10.9.0.0/16\", or an address")?;
    match text.parse() {
        Ok(address) => Ok(Prefix::host(address)),
        Err(_) => network(value),
    }
}

/// A port, or a range of them.
pub fn ports(value: &DeValue) -> Result<(u16, u16), Wrong> {
    let help = "a port such as 443, or a range such as \"1024-65535\"";
    let DeValue::String(text) = value else {
        let port = integer(value, 0..=65_535, "a port, or a range such as \"1024-65535\"")? as u16;
        return Ok((port, port));
    };
    let range = text
        .split_once('-')
        .and_then(|(from, to)| Some((from.trim().parse().ok()?, to.trim().parse().ok()?)));
    range
        .filter(|(from, to): &(u16, u16)| from <= to)
        .ok_or_else(|| Wrong::new(format!("{text:?} is no range of ports"), help))
}

/// ICMP's type.
pub fn icmp_type(value: &DeValue) -> Result<u8, Wrong> {
    Ok(integer(value, 0..=255, "8 is an echo request, of ICMPv6 128")? as u8)
}

/// A UDP port.
pub fn udp_port(value: &DeValue) -> Result<u16, Wrong> {
    Ok(integer(value, 1..=65_535, "a UDP port; VXLAN's is 4789, Geneve's 6081")? as u16)
}

/// The longest packet of an underlay: at least a tunnel over IPv4 with the shortest packet in
/// it that every link carries (RFC 791).
pub fn mtu(value: &DeValue) -> Result<u16, Wrong> {
    let help = "bytes of the underlay's IP packets; 1500 is what Ethernet has";
    Ok(integer(value, u64::from(LEAST_OVER_IPV4)..=65_535, help)? as u16)
}

/// A segment's VNI.
pub fn vni(value: &DeValue) -> Result<Vni, Wrong> {
    let number = integer(value, 1..=u64::from(Vni::MAX), "a VNI has 24 bits and is not 0")?;
    Ok(Vni::new(number as u32).expect("the range is that of a VNI"))
}

/// A VLAN identifier.
pub fn vlan(value: &DeValue) -> Result<u16, Wrong> {
    let help = "0 and 4095 are reserved (IEEE 802.1Q); leave vlan out for untagged frames";
    Ok(integer(value, 1..=4094, help)? as u16)
}

/// The kind of a VLAN's tags.
pub fn tag_kind(value: &DeValue) -> Result<TagKind, Wrong> {
    let choice = "\"802.1q\" or \"802.1ad\"";
    let text = string(value, choice)?;
    let all = TagKind::ALL.map(TagKind::name);
    TagKind::ALL
        .into_iter()
        .find(|kind| kind.name() == text)
        .ok_or_else(|| Wrong::new(format!("{text:?} does not exist"), suggest(text, all, choice)))
}

/// Seconds until a silent address is forgotten.
pub fn ageing(value: &DeValue) -> Result<u32, Wrong> {
    Ok(integer(value, 10..=1_000_000, "seconds; 300 is usual")? as u32)
}

/// The FDB's size.
pub fn fdb_entries(value: &DeValue) -> Result<u32, Wrong> {
    Ok(integer(value, 1..=16_777_216, "addresses; 1048576 is the default")? as u32)
}

/// Bits a second.
pub fn bits(value: &DeValue) -> Result<u64, Wrong> {
    integer(value, 8_000..=1_000_000_000_000, "bits a second; 1000000000 are 1 Gbit/s")
}

/// Packets a second.
pub fn packets(value: &DeValue) -> Result<u64, Wrong> {
    integer(value, 1..=1_000_000_000, "packets a second; leave it out for no limit")
}

/// Learnt addresses.
pub fn macs(value: &DeValue) -> Result<u32, Wrong> {
    Ok(integer(value, 0..=16_777_216, "addresses; leave it out for no limit")? as u32)
}

/// Where a server listens.
pub fn listen(value: &DeValue) -> Result<SocketAddr, Wrong> {
    let help = "an address of this host and a TCP port, such as \"192.0.2.1:8443\" or \
                \"[2001:db8::1]:8443\"";
    let text = string(value, help)?;
    let address: SocketAddr = text
        .parse()
        .map_err(|_| Wrong::new(format!("{text:?} is no address with a port"), help))?;
    if address.port() == 0 {
        return Err(Wrong::new("has port 0", help));
    }
    if address.ip().is_multicast() {
        return Err(Wrong::new(format!("{text:?} is a multicast address"), help));
    }
    Ok(address)
}

/// The longest name of a file that Linux takes (PATH_MAX), without the terminating zero.
const PATH_MAX: usize = 4095;

/// The name of a file.
pub fn path(value: &DeValue) -> Result<String, Wrong> {
    let help = "the name of a file; a relative one begins at the configuration file";
    let text = string(value, help)?;
    if text.is_empty() || text.contains('\0') || text.len() > PATH_MAX {
        return Err(Wrong::new("is no name of a file", help));
    }
    Ok(text.to_owned())
}

/// What clients may do.
pub fn access(value: &DeValue) -> Result<Access, Wrong> {
    let choice = "\"read\" or \"write\"";
    let text = string(value, choice)?;
    let all = Access::ALL.map(Access::name);
    Access::ALL
        .into_iter()
        .find(|access| access.name() == text)
        .ok_or_else(|| Wrong::new(format!("{text:?} does not exist"), suggest(text, all, choice)))
}

/// A switch.
pub fn boolean(value: &DeValue) -> Result<bool, Wrong> {
    match value {
        DeValue::Boolean(value) => Ok(*value),
        other => Err(Wrong::new(
            format!("is {}, not a boolean", type_name(other)),
            "true or false, without quotes",
        )),
    }
}

/// A station's address.
pub fn mac(value: &DeValue) -> Result<Mac, Wrong> {
    station(string(value, MAC_HELP)?)
}

/// A station's address, as text.
pub fn station(text: &str) -> Result<Mac, Wrong> {
    let mac = parse_mac(text.as_bytes())
        .ok_or_else(|| Wrong::new(format!("{text:?} is no MAC"), MAC_HELP))?;
    if mac.is_group() {
        return Err(Wrong::new(
            format!("{text:?} is a broadcast or multicast address"),
            "the address of one station: the first pair is even",
        ));
    }
    if !mac.is_source() {
        return Err(Wrong::new(
            format!("{text:?} is the zero address"),
            "the address of one station, such as \"02:00:00:00:02:02\"",
        ));
    }
    Ok(mac)
}

/// The hook that a port asks for.
pub fn mode(value: &DeValue) -> Result<Mode, Wrong> {
    let all = Mode::ALL.map(Mode::name);
    let choice = "\"auto\", \"xdp\", \"xdp-generic\", \"tc\", \"user\", \
                  \"user-xdp\" or \"user-packet\"";
    let text = string(value, choice)?;
    Mode::ALL
        .into_iter()
        .find(|mode| mode.name() == text)
        .ok_or_else(|| Wrong::new(format!("{text:?} does not exist"), suggest(text, all, choice)))
}

/// A tunnel encapsulation.
pub fn encap(value: &DeValue) -> Result<Encap, Wrong> {
    let choice = "\"vxlan\" or \"geneve\"";
    let text = string(value, choice)?;
    let all = Encap::ALL.map(Encap::name);
    Encap::ALL
        .into_iter()
        .find(|encap| encap.name() == text)
        .ok_or_else(|| Wrong::new(format!("{text:?} does not exist"), suggest(text, all, choice)))
}

/// A list of segments' names, each with its place.
pub fn segments(value: &DeValue) -> Result<Vec<At<String>>, Wrong> {
    names(value, "a list of segment names, such as [\"blue\"]")
}

/// The same of VRFs.
pub fn vrfs(value: &DeValue) -> Result<Vec<At<String>>, Wrong> {
    names(value, "a list of VRF names, such as [\"red\"]")
}

fn names(value: &DeValue, help: &str) -> Result<Vec<At<String>>, Wrong> {
    let DeValue::Array(items) = value else {
        return Err(Wrong::new(format!("is {}, not a list", type_name(value)), help));
    };
    let read = |item: &toml::Spanned<DeValue>| match item.get_ref() {
        DeValue::String(text) => Ok(At { value: text.to_string(), span: item.span() }),
        other => Err(Wrong::new(format!("holds {}", type_name(other)), help)),
    };
    items.iter().map(read).collect()
}

/// Text.
pub fn string<'a>(value: &'a DeValue, help: &str) -> Result<&'a str, Wrong> {
    let message = || format!("is {}, not a string", type_name(value));
    value.as_str().ok_or_else(|| Wrong::new(message(), help))
}

/// A number in this range.
pub fn integer(value: &DeValue, range: RangeInclusive<u64>, why: &str) -> Result<u64, Wrong> {
    let help = format!("a number from {} to {}: {why}", range.start(), range.end());
    let DeValue::Integer(integer) = value else {
        return Err(Wrong::new(format!("is {}, not an integer", type_name(value)), help));
    };
    // What does not even fit 64 bits is out of every range.
    u64::from_str_radix(integer.as_str(), integer.radix())
        .ok()
        .filter(|number| range.contains(number))
        .ok_or_else(|| Wrong::new(format!("is {integer}: out of range"), help))
}

/// Pairs of digits with a separator between each two. Lists of addresses have
/// millions of these, so there is no splitting and searching.
pub fn parse_mac(text: &[u8]) -> Option<Mac> {
    let text: &[u8; 17] = text.try_into().ok()?;
    let mut bytes = [0; 6];
    for (i, byte) in bytes.iter_mut().enumerate() {
        *byte = digit(text[3 * i])? << 4 | digit(text[3 * i + 1])?;
    }
    let separated = (0..5).all(|i| matches!(text[3 * i + 2], b':' | b'-'));
    separated.then_some(Mac(bytes))
}

fn digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

fn suggest<'a>(typed: &str, words: impl IntoIterator<Item = &'a str>, choice: &str) -> String {
    match nearest(typed, words) {
        Some(meant) => format!("did you mean \"{meant}\"? It takes {choice}"),
        None => choice.to_owned(),
    }
}

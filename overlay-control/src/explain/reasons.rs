//! Why a frame is dropped, and what would let it pass: one place for every reason.

mod access;
mod facts;
mod limits;
mod tunnel;
mod way;

use overlay_common::abi::NeighbourKey;
use overlay_common::verdict::DropReason;

use super::Stage;
use super::headers::Headers;

pub use facts::Facts;
pub use way::{learn_full, waits_for_neighbour, waits_for_peer};

/// What is the matter, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advice {
    /// What happened, with the names and values that decided.
    pub cause: String,
    /// What would let the frame pass.
    pub fix: String,
}

impl Advice {
    fn new(cause: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { cause: cause.into(), fix: fix.into() }
    }
}

/// What is the matter with a frame that is dropped for this reason.
pub fn advice(reason: DropReason, facts: &Facts<'_>) -> Advice {
    use DropReason as R;
    match reason {
        R::TableInconsistent => way::inconsistent(facts),
        R::Truncated => tunnel::truncated(facts),
        R::BadLength => tunnel::bad_length(facts),
        R::BadChecksum => tunnel::bad_checksum(facts),
        R::OuterOptions | R::OuterFragment => tunnel::retired(facts, reason),
        R::NoVniFlag => tunnel::no_vni_flag(facts),
        R::UnknownVtep => tunnel::unknown_vtep(facts),
        R::UnknownVni => tunnel::unknown_vni(facts),
        R::VniNotPermitted => tunnel::vni_not_permitted(facts),
        R::InnerTruncated => tunnel::inner_truncated(facts),
        R::EcnNotCapable => tunnel::ecn_not_capable(facts),
        R::SplitHorizon => tunnel::split_horizon(facts),
        R::EncapMismatch => tunnel::encap_mismatch(facts),
        R::GeneveVersion => tunnel::geneve_version(facts),
        R::GeneveCritical => tunnel::geneve_critical(facts),
        R::GeneveProtocol => tunnel::geneve_protocol(facts),
        R::InvalidSource => access::invalid_source(facts),
        R::InnerVlan => access::inner_vlan(facts),
        R::LinkLocalGroup => access::link_local_group(facts),
        R::UnknownVlan => access::unknown_vlan(facts),
        R::SamePort => access::same_port(facts),
        R::SourceGuard => access::source_guard(facts),
        R::AclDenied => access::acl_denied(facts),
        R::PeerUnresolved => way::peer_unresolved(facts),
        R::TooBig => way::too_big(facts),
        R::ResizeFailed => way::resize_failed(facts),
        R::CopyFailed => way::copy_failed(facts),
        R::NoReceiver => way::no_receiver(facts),
        R::PortDown => way::port_down(facts),
        R::NotRoutable => way::not_routable(facts),
        R::NoRoute => way::no_route(facts),
        R::TtlExceeded => way::ttl_exceeded(facts),
        R::NeighbourUnresolved => way::neighbour_unresolved(facts),
        R::PuntLimited => limits::punt_limited(facts),
        R::PuntQueueFull => limits::punt_queue_full(facts),
        R::Storm | R::Policed => limits::policed(facts, reason),
    }
}

/// The stage at which a frame is dropped for a reason that no look-up tells.
pub const fn stage_of(reason: DropReason, is_from_peer: bool) -> Stage {
    use DropReason as R;
    match reason {
        R::Truncated
        | R::BadLength
        | R::BadChecksum
        | R::OuterOptions
        | R::OuterFragment
        | R::NoVniFlag
        | R::UnknownVtep
        | R::UnknownVlan
        | R::EncapMismatch
        | R::GeneveVersion
        | R::GeneveCritical
        | R::GeneveProtocol => Stage::Classify,
        R::UnknownVni
        | R::VniNotPermitted
        | R::InnerTruncated
        | R::InvalidSource
        | R::LinkLocalGroup
        | R::SourceGuard => Stage::Admit,
        R::InnerVlan if is_from_peer => Stage::Admit,
        R::InnerVlan => Stage::Classify,
        R::SamePort | R::SplitHorizon => Stage::Resolve,
        R::EcnNotCapable => Stage::Decap,
        R::ResizeFailed if is_from_peer => Stage::Decap,
        R::ResizeFailed | R::PeerUnresolved => Stage::Encap,
        R::TooBig | R::Storm | R::Policed | R::AclDenied => Stage::Police,
        R::NotRoutable | R::NoRoute | R::TtlExceeded | R::NeighbourUnresolved => Stage::Route,
        R::CopyFailed | R::NoReceiver => Stage::Flood,
        R::PuntLimited | R::PuntQueueFull => Stage::Punt,
        R::PortDown | R::TableInconsistent => Stage::Deliver,
    }
}

/// What was looked at then.
pub fn looked_at(reason: DropReason, frame: &Headers) -> String {
    use DropReason as R;
    match reason {
        R::BadChecksum => "outer IPv4 header".to_owned(),
        R::Truncated | R::BadLength => "lengths of the outer headers".to_owned(),
        R::InvalidSource => {
            frame.source().map_or_else(|| "source".to_owned(), |mac| format!("source {mac}"))
        }
        R::LinkLocalGroup | R::SamePort | R::SplitHorizon => frame
            .destination()
            .map_or_else(|| "destination".to_owned(), |mac| format!("destination {mac}")),
        R::TooBig => format!("its length, {} bytes", frame.len),
        R::InnerVlan => "VLAN tags".to_owned(),
        R::TtlExceeded => format!("TTL {}", frame.ttl.unwrap_or(0)),
        R::EcnNotCapable => "congestion mark of the tunnel".to_owned(),
        R::NoVniFlag => "flags of the VXLAN header".to_owned(),
        R::GeneveVersion | R::GeneveCritical | R::GeneveProtocol => "Geneve header".to_owned(),
        R::EncapMismatch => "encapsulation".to_owned(),
        R::InnerTruncated => "inner Ethernet header".to_owned(),
        R::SourceGuard => "address of the sender".to_owned(),
        R::NotRoutable => "IP header".to_owned(),
        _ => "the frame".to_owned(),
    }
}

/// The address of a next hop.
fn address(key: &NeighbourKey) -> String {
    key.ip().to_string()
}

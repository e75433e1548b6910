//! The keys of the configuration's tables, for the description of the API. A test holds them
//! against what the file's parser takes.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

macro_rules! tables {
    ($($(#[$doc:meta])* $name:ident { $($(#[$key_doc:meta])* $key:ident: $kind:ty,)* })*) => {
        $(
            $(#[$doc])*
            #[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
            #[allow(missing_docs)]
            pub struct $name { $($(#[$key_doc])* pub $key: $kind,)* }
        )*
    };
}

tables! {
    /// The whole file.
    File {
        node: Node,
        api: Option<Api>,
        metrics: Option<Metrics>,
        web: Option<Web>,
        uplink: Vec<Uplink>,
        segment: Option<Vec<Segment>>,
        vrf: Option<Vec<Vrf>>,
        peer: Option<Vec<Peer>>,
    }
    /// `[node]`.
    Node {
        name: String,
        /// An address, or a list of one of each family.
        #[schema(value_type = Object)]
        vtep: serde_json::Value,
        vxlan_port: Option<u16>,
        geneve_port: Option<u16>,
        ageing: Option<u32>,
        fdb_entries: Option<u32>,
        mss_clamp: Option<bool>,
        /// `"copy"`, or 0 to 63.
        #[schema(value_type = Option<Object>)]
        dscp: Option<serde_json::Value>,
        router_mac: Option<String>,
        wait_for_interfaces: Option<bool>,
    }
    /// `[api]`.
    Api {
        listen: String,
        certificate: String,
        key: String,
        client_ca: String,
        /// `read` or `write`.
        access: Option<String>,
    }
    /// `[metrics]`.
    Metrics {
        /// An address and a port.
        listen: Option<String>,
        allow_remote: Option<bool>,
        series: Option<u32>,
    }
    /// `[web]`.
    Web {
        /// An address and a port.
        listen: String,
        allow_remote: Option<bool>,
        hosts: Option<Vec<String>>,
    }
    /// `[[uplink]]`.
    Uplink {
        interface: String,
        mode: Option<String>,
    }
    /// `[[segment]]`.
    Segment {
        name: String,
        vni: u32,
        learning: Option<bool>,
        limit: Option<Limit>,
        suppression: Option<bool>,
        port: Option<Vec<SegmentPort>>,
        fdb: Option<Vec<SegmentFdb>>,
        neighbour: Option<Vec<SegmentNeighbour>>,
        acl: Option<Vec<SegmentAcl>>,
        acl_default: Option<SegmentAclDefault>,
        vrf: Option<String>,
        router: Option<Vec<String>>,
    }
    /// `[[segment.port]]`.
    SegmentPort {
        interface: String,
        vlan: Option<u16>,
        protocol: Option<String>,
        mode: Option<String>,
        sticky: Option<bool>,
        limit: Option<Limit>,
        host: Option<Vec<SegmentPortHost>>,
    }
    /// `[[segment.port.host]]`.
    SegmentPortHost {
        mac: String,
        ip: Option<Vec<String>>,
    }
    /// `[[segment.fdb]]`: behind a peer, or behind a port of the segment.
    SegmentFdb {
        mac: String,
        peer: Option<String>,
        interface: Option<String>,
        vlan: Option<u16>,
        protocol: Option<String>,
    }
    /// `[[segment.neighbour]]`.
    SegmentNeighbour {
        ip: String,
        mac: String,
        router: Option<bool>,
    }
    /// `[[segment.acl]]`.
    SegmentAcl {
        /// `in` or `out`.
        direction: String,
        /// `permit` or `deny`.
        action: String,
        /// A name, or a number from 0 to 255.
        #[schema(value_type = Option<Object>)]
        protocol: Option<serde_json::Value>,
        source: Option<String>,
        destination: Option<String>,
        /// A port, or a range: `"1024-65535"`.
        #[schema(value_type = Option<Object>)]
        source_port: Option<serde_json::Value>,
        /// A port, or a range: `"1024-65535"`.
        #[schema(value_type = Option<Object>)]
        destination_port: Option<serde_json::Value>,
        icmp_type: Option<u8>,
    }
    /// `[segment.acl_default]`.
    SegmentAclDefault {
        r#in: Option<String>,
        out: Option<String>,
    }
    /// `limit` of a segment, a port or a peer.
    Limit {
        bits: Option<u64>,
        packets: Option<u64>,
        floods: Option<u64>,
        macs: Option<u32>,
    }
    /// `[[vrf]]`.
    Vrf {
        name: String,
        vni: Option<u32>,
        route: Option<Vec<VrfRoute>>,
    }
    /// `[[vrf.route]]`.
    VrfRoute {
        prefix: String,
        peer: Option<String>,
        via: Option<String>,
        segment: Option<String>,
        kind: Option<String>,
    }
    /// `[[peer]]`.
    Peer {
        name: String,
        vtep: String,
        encap: Option<String>,
        port: Option<u16>,
        mtu: Option<u16>,
        segments: Vec<String>,
        vrfs: Option<Vec<String>>,
        dscp: Option<serde_json::Value>,
        router_mac: Option<String>,
        limit: Option<Limit>,
    }
}

//! `[api]`: the control API over TCP.

use std::net::SocketAddr;

use super::document::Section;
use super::source::{At, Problems};
use super::values;

/// `[api]`: where the control API is to be had beside the control socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Api {
    /// The address and TCP port.
    pub listen: SocketAddr,
    /// The file with this gateway's certificate, and what leads from it to a root (PEM).
    pub certificate: String,
    /// The file with the certificate's key (PEM).
    pub key: String,
    /// The file with the certificates that clients' own are signed by (PEM).
    pub client_ca: String,
    /// What clients may do.
    pub access: Access,
}

impl Api {
    /// Its files, each with the key that names it.
    pub fn files(&self) -> [(&'static str, &str); 3] {
        [("certificate", &self.certificate), ("key", &self.key), ("client_ca", &self.client_ca)]
    }
}

/// What clients over TCP may do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Access {
    /// To look.
    #[default]
    Read,
    /// To change everything as well.
    Write,
}

impl Access {
    /// Every kind.
    pub const ALL: [Self; 2] = [Self::Read, Self::Write];

    /// The name in the configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
        }
    }
}

pub struct DraftApi {
    pub listen: Option<At<SocketAddr>>,
    pub certificate: Option<At<String>>,
    pub key: Option<At<String>>,
    pub client_ca: Option<At<String>>,
    pub access: Option<At<Access>>,
}

impl DraftApi {
    /// What names something of the host.
    pub fn named(&self) -> [(&'static str, Option<&At<String>>); 3] {
        [
            ("certificate", self.certificate.as_ref()),
            ("key", self.key.as_ref()),
            ("client_ca", self.client_ca.as_ref()),
        ]
    }
}

pub fn read(mut s: Section, p: &mut Problems) -> DraftApi {
    let listen = "add listen = \"192.0.2.1:8443\": an address of this host, and a TCP port";
    let certificate = "add certificate = \"tls/gw1.pem\": this gateway's, in PEM";
    let client_ca = "add client_ca = \"tls/clients.pem\": whoever may ask has a certificate of it";
    let api = DraftApi {
        listen: s.required(p, "listen", values::listen, listen),
        certificate: s.required(p, "certificate", values::path, certificate),
        key: s.required(p, "key", values::path, "add key = \"tls/gw1.key\", in PEM"),
        client_ca: s.required(p, "client_ca", values::path, client_ca),
        access: s.optional(p, "access", values::access),
    };
    s.finish(p);
    api
}

/// `None` where a required value is missing, which was reported.
pub fn finish(draft: DraftApi) -> Option<Api> {
    Some(Api {
        listen: draft.listen?.value,
        certificate: draft.certificate?.value,
        key: draft.key?.value,
        client_ca: draft.client_ca?.value,
        access: draft.access.map(|at| at.value).unwrap_or_default(),
    })
}

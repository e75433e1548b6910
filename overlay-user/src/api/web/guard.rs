//! Who is let in, and what every answer forbids the browser.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, HOST, HeaderName, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use axum::http::request::Parts;
use axum::http::{HeaderValue, Method};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use crate::api::problem::{Kind, Problem};

/// Nothing but what this server itself serves, and no script in the page's text.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
                      connect-src 'self'; base-uri 'none'; form-action 'none'; \
                      frame-ancestors 'none'";

const HEADERS: [(HeaderName, &str); 6] = [
    (CONTENT_SECURITY_POLICY, POLICY),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (X_FRAME_OPTIONS, "DENY"),
    (REFERRER_POLICY, "no-referrer"),
    (CACHE_CONTROL, "no-store"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

/// The names by which this server may be called.
///
/// Whoever makes a browser believe that a name of theirs is this machine's address could read
/// the answers with a page of theirs (DNS rebinding). Of an address nobody can be made to
/// believe anything, and `localhost` is no name that others give.
#[derive(Debug, Default)]
pub struct Guard {
    hosts: Vec<String>,
}

impl Guard {
    /// With the names of `web.hosts` beside.
    pub fn new(hosts: &[String]) -> Self {
        Self { hosts: hosts.to_vec() }
    }

    /// Why a request is refused.
    fn refusal(&self, request: &Parts) -> Option<Problem> {
        if !matches!(request.method, Method::GET | Method::HEAD) {
            let detail = format!("this page is to be looked at; {} is not served", request.method);
            return Some(Problem::new(Kind::Method, detail));
        }
        let mut hosts = request.headers.get_all(HOST).iter();
        let (host, more) = (hosts.next(), hosts.next());
        let host = host.and_then(|host| host.to_str().ok());
        let Some(host) = host.filter(|_| more.is_none()) else {
            return Some(Problem::new(Kind::Request, "the request has not one Host"));
        };
        // Where the target is an address of its own, that is the host (RFC 9112, section 3.2.2).
        let asked = request.uri.authority().map_or(host, |authority| authority.as_str());
        (!self.knows(host) || !self.knows(asked)).then(|| {
            let detail = "this is no name of this page; call it by address or localhost, or add \
                          the name to web.hosts";
            Problem::new(Kind::Forbidden, detail)
        })
    }

    /// Whatever the port: it may have been forwarded from another.
    fn knows(&self, authority: &str) -> bool {
        let (host, port) = match authority.strip_prefix('[') {
            Some(v6) => {
                let Some((address, port)) = v6.split_once(']') else { return false };
                (address, port.strip_prefix(':').or(port.is_empty().then_some("")))
            }
            None => match authority.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (authority, Some("")),
            },
        };
        let is_port = port.is_some_and(|port| port.is_empty() || port.parse::<u16>().is_ok());
        let is_address = host.parse::<IpAddr>().is_ok();
        let named = |name: &str| name.eq_ignore_ascii_case(host);
        is_port && (is_address || named("localhost") || self.hosts.iter().any(|name| named(name)))
    }
}

/// Lets a request pass, or not; and has the browser be strict with every answer.
pub async fn pass(State(guard): State<Arc<Guard>>, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let mut response = match guard.refusal(&parts) {
        Some(problem) => problem.into_response(),
        None => next.run(Request::from_parts(parts, body)).await,
    };
    if response.status() == 405 {
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
    }
    for (name, value) in HEADERS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_others_can_give_are_not_known() {
        let guard = Guard::new(&["gw1.example".to_owned()]);
        let known = [
            "127.0.0.1",
            "127.0.0.1:8080",
            "[::1]:8080",
            "[::1]",
            "localhost",
            "LOCALHOST:1",
            "192.0.2.1:80",
            "gw1.example",
            "GW1.example:8080",
        ];
        let unknown = [
            "",
            ":8080",
            "evil.example",
            "evil.example:8080",
            "localhost.evil.example",
            "gw1.example.evil",
            "127.0.0.1.nip.example",
            "localhost:8080:1",
            "localhost:x",
            "localhost:99999",
            "[::1",
            "[::1]x",
            "[evil.example]",
            "evil@127.0.0.1",
            "127.0.0.1 ",
        ];
        for host in known {
            assert!(guard.knows(host), "{host}");
        }
        for host in unknown {
            assert!(!guard.knows(host), "{host}");
        }
        assert!(!Guard::default().knows("gw1.example"));
    }
}

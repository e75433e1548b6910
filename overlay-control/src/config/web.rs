//! `[web]`: the page that shows a gateway, and who may see it.

use std::net::SocketAddr;

use toml::de::DeValue;

use super::document::{Section, Wrong, type_name};
use super::source::{At, Problems};
use super::values;

/// `[web]`: a page to look at, which changes nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Web {
    /// Where it is served; a loopback address unless `allow_remote` says otherwise.
    pub listen: SocketAddr,
    /// Whether other machines may see it.
    pub allow_remote: bool,
    /// Names by which browsers may call it, beside addresses and `localhost`; in small letters.
    pub hosts: Vec<String>,
}

pub struct DraftWeb {
    listen: Option<At<SocketAddr>>,
    allow_remote: Option<At<bool>>,
    hosts: Option<At<Vec<String>>>,
}

/// The most names that may be given.
const HOSTS_MAX: usize = 32;
const LISTEN_HELP: &str = "an address and a port, such as \"127.0.0.1:8080\" or \"[::1]:8080\"";

pub fn read(mut s: Section, p: &mut Problems) -> DraftWeb {
    let web = DraftWeb {
        listen: s.required(p, "listen", listen, "add listen = \"127.0.0.1:8080\""),
        allow_remote: s.optional(p, "allow_remote", values::boolean),
        hosts: s.optional(p, "hosts", hosts),
    };
    let may_be_remote = web.allow_remote.as_ref().is_some_and(|at| at.value);
    if let Some(At { value, span }) = &web.listen
        && !value.ip().is_loopback()
        && !may_be_remote
    {
        let port = value.port();
        let help = format!(
            "write \"127.0.0.1:{port}\" and come by ssh -L {port}:127.0.0.1:{port}, or add \
             allow_remote = true: whoever reaches it sees everything, without a password"
        );
        p.add(span, format!("listen {value} can be reached from other machines"), help);
    }
    s.finish(p);
    web
}

/// `None` where a required value is missing, which was reported.
pub fn finish(draft: DraftWeb) -> Option<Web> {
    Some(Web {
        listen: draft.listen?.value,
        allow_remote: draft.allow_remote.is_some_and(|at| at.value),
        hosts: draft.hosts.map(|at| at.value).unwrap_or_default(),
    })
}

fn listen(value: &DeValue) -> Result<SocketAddr, Wrong> {
    let DeValue::String(text) = value else {
        return Err(Wrong::new(format!("is {}, not a string", type_name(value)), LISTEN_HELP));
    };
    let address: SocketAddr = text
        .parse()
        .map_err(|_| Wrong::new(format!("{text:?} is no address with a port"), LISTEN_HELP))?;
    match address.port() {
        0 => {
            Err(Wrong::new(format!("{text:?} has port 0, which is another each time"), LISTEN_HELP))
        }
        _ => Ok(address),
    }
}

fn hosts(value: &DeValue) -> Result<Vec<String>, Wrong> {
    let help = "names of this machine, without port, such as [\"gw1.example.org\"]";
    let DeValue::Array(items) = value else {
        return Err(Wrong::new(format!("is {}, not a list", type_name(value)), help));
    };
    if items.len() > HOSTS_MAX {
        return Err(Wrong::new(format!("has {} names, more than {HOSTS_MAX}", items.len()), help));
    }
    items.iter().map(|item| host(item.get_ref(), help)).collect()
}

fn host(value: &DeValue, help: &str) -> Result<String, Wrong> {
    let DeValue::String(name) = value else {
        return Err(Wrong::new(format!("holds {}", type_name(value)), help));
    };
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    if name.is_empty() || name.len() > 253 || !name.chars().all(legal) {
        return Err(Wrong::new(format!("holds {name:?}, which is no host's name"), help));
    }
    Ok(name.to_ascii_lowercase())
}

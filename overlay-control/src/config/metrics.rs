//! `[metrics]`: where the node's numbers are to be had beside the control socket.

use std::net::SocketAddr;

use toml::de::DeValue;

use super::document::{Section, Wrong};
use super::source::{At, Problems};
use super::values;

/// `metrics.series` where the file does not say.
pub const SERIES: u32 = 1000;

/// `[metrics]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metrics {
    /// Where `/metrics` is served over plain HTTP; `None`: on the control socket alone.
    pub listen: Option<SocketAddr>,
    /// Whether that may be an address that others than this host reach.
    pub allow_remote: bool,
    /// How many peers, segments, ports and rules have time series of their own, each.
    pub series: u32,
}

impl Default for Metrics {
    fn default() -> Self {
        Self { listen: None, allow_remote: false, series: SERIES }
    }
}

/// `[metrics]`, as it is written.
#[derive(Default)]
pub struct DraftMetrics {
    listen: Option<At<SocketAddr>>,
    allow_remote: Option<At<bool>>,
    series: Option<At<u32>>,
}

impl DraftMetrics {
    /// Reads the section. An address that others reach has to be allowed.
    pub fn read(mut s: Section, p: &mut Problems) -> Self {
        let draft = Self {
            listen: s.optional(p, "listen", listen),
            allow_remote: s.optional(p, "allow_remote", values::boolean),
            series: s.optional(p, "series", series),
        };
        s.finish(p);
        let allowed = draft.allow_remote.as_ref().is_some_and(|at| at.value);
        if let Some(at) = draft.listen.as_ref().filter(|at| !at.value.ip().is_loopback())
            && !allowed
        {
            let message = format!("listen = \"{}\" is no loopback address", at.value);
            let help = "metrics go over plain HTTP, to whoever asks: use \"127.0.0.1:9477\", or add \
                        allow_remote = true where the network in front of it is trusted";
            p.add(&at.span, message, help);
        }
        draft
    }

    /// With what the file leaves out.
    pub fn finish(&self) -> Metrics {
        let usual = Metrics::default();
        Metrics {
            listen: self.listen.as_ref().map(|at| at.value),
            allow_remote: self.allow_remote.as_ref().map_or(usual.allow_remote, |at| at.value),
            series: self.series.as_ref().map_or(usual.series, |at| at.value),
        }
    }
}

fn listen(value: &DeValue) -> Result<SocketAddr, Wrong> {
    const HELP: &str = "an address and a port, such as \"127.0.0.1:9477\" or \"[::1]:9477\"";
    let text = values::string(value, HELP)?;
    let address: SocketAddr =
        text.parse().map_err(|_| Wrong::new(format!("= {text:?} is no address and port"), HELP))?;
    match address.port() {
        0 => Err(Wrong::new("has port 0, which is none", HELP)),
        _ => Ok(address),
    }
}

fn series(value: &DeValue) -> Result<u32, Wrong> {
    let what = "peers, segments, ports and rules, each; 1000 is the default";
    Ok(values::integer(value, 0..=100_000, what)? as u32)
}

//! What Prometheus reads.
//!
//! - [`family`]: every metric there is.
//! - [`snapshot`]: their values at one moment.
//! - [`page`]: the same as text, in either of the formats that Prometheus takes.
//! - [`shown`]: who has time series of its own, where there are too many.
//! - [`process`]: what the kernel says of the daemon's process.
//!
//! The text is written here and not by a library: `prometheus-client` keeps counters of its own in
//! a registry, and writes OpenMetrics alone. Here nearly every value is one that the programs and
//! tables hold already, and older scrapers want the format that came before OpenMetrics.

pub mod family;
pub mod page;
pub mod process;
pub mod shown;
pub mod snapshot;

pub use family::{Family, Kind};
pub use page::Format;
pub use snapshot::Snapshot;

//! The control API: HTTP/1.1 and JSON over a Unix socket, and over TCP with mutual TLS.
//!
//! - [`model`]: what is asked and answered.
//! - [`problem`]: what is answered where that fails.
//! - [`server`]: the daemon's end.
//! - `connection`, `body`, `patience`: what a client may take, in bytes and in time.
//! - `secure`, [`tls`]: the same over TCP.
//! - [`router`]: every resource; `queries` and `orders` are its parts.
//! - [`configuration`]: the configuration, and changes to it.
//! - [`document`]: the OpenAPI document.
//! - [`sight`]: metrics and events.
//! - [`fdb`]: the FDB on its way out.
//! - [`lists`]: lists of addresses on their way in.
//! - [`trace`]: what becomes of a frame.
//! - [`web`]: the page to look at.
//! - [`client`]: the commands' end.

mod body;
pub mod client;
pub mod configuration;
mod connection;
pub mod document;
pub mod fdb;
pub mod lists;
pub mod model;
mod orders;
mod patience;
pub mod problem;
mod queries;
pub mod router;
mod secure;
pub mod server;
pub mod sight;
pub mod tls;
pub mod trace;
pub mod watch;
pub mod web;

pub use model::{
    AclRow, Answer, Done, DropRow, FdbRow, ListOrder, NeighbourRow, PeerRow, PortRow, ProblemRow,
    Question, RouteRow, SegmentRow, Status,
};
pub use problem::Problem;

//! The control socket: HTTP/1.1 and JSON over a Unix socket.
//!
//! - [`model`]: what is asked and answered.
//! - [`problem`]: what is answered where that fails.
//! - [`server`]: the daemon's end.
//! - [`router`]: every resource; `queries` and `orders` are its parts.
//! - [`document`]: the OpenAPI document.
//! - [`sight`]: metrics and events.
//! - [`fdb`]: the FDB on its way out.
//! - [`lists`]: lists of addresses on their way in.
//! - [`client`]: the commands' end.

pub mod client;
pub mod document;
pub mod fdb;
pub mod lists;
pub mod model;
mod orders;
pub mod problem;
mod queries;
pub mod router;
pub mod server;
pub mod sight;
pub mod watch;

pub use model::{
    AclRow, Answer, Done, DropRow, FdbRow, ListOrder, NeighbourRow, PeerRow, PortRow, ProblemRow,
    Question, RouteRow, SegmentRow, Status,
};
pub use problem::Problem;

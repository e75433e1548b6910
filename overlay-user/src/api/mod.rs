//! The control socket: HTTP/1.1 and JSON over a Unix socket.
//!
//! - [`model`]: what is asked and answered.
//! - [`server`]: the daemon's end.
//! - [`fdb`]: the FDB on its way out.
//! - [`lists`]: lists of addresses on their way in.
//! - [`client`]: the commands' end.

pub mod client;
pub mod fdb;
pub mod lists;
pub mod model;
pub mod server;

pub use model::{
    AclRow, Answer, Done, DropRow, Failure, FdbRow, ListOrder, NeighbourRow, PeerRow, PortRow,
    Question, RouteRow, SegmentRow, Status,
};

//! What the node believes and decides, without I/O.
//!
//! Everything here is plain state: inputs go in together with the time
//! (`handle_*(input, now)`), table changes come out (`poll_action`). The time is
//! a [`Duration`](core::time::Duration) since an arbitrary start, so that tests
//! run days in milliseconds. Sockets, maps and clocks belong to the caller.
//!
//! - [`addresses`]: lists of addresses to be loaded, read line by line.
//! - [`config`]: the configuration file, checked completely, with the place of
//!   each error.
//! - [`controller`]: from configuration, links, next hops and learnt addresses to
//!   table actions.
//! - [`action`]: one change of one table.
//! - [`tables`]: a mirror of the kernel's tables in memory; the packet path runs
//!   on it in user space and in tests.
//! - [`router`]: what a router answers, tells and asks by itself.
//! - [`frame`]: a packet buffer in memory, for the same purpose.
//! - [`fragments`]: cutting up what is too big.
//! - [`explain`]: what becomes of a frame, and why, in words.
//! - `sample` (a feature of its own): a small node's tables to run the path on.

pub mod acl;
pub mod action;
pub mod addresses;
pub mod config;
pub mod controller;
pub mod explain;
pub mod fragments;
pub mod frame;
mod quick;
pub mod router;
mod routes;
#[cfg(feature = "sample")]
pub mod sample;
pub mod tables;
pub mod watch;

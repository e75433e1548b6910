//! The I/O around `overlay-control`: what the binary `overlay` is made of.
//!
//! - [`cli`]: the commands.
//! - [`daemon`]: the loop in which everything below meets the controller.
//! - [`netlink`]: links, addresses, routes and neighbours of the host.
//! - [`dataplane`]: the kernel programs and their tables.
//! - [`forwarder`]: frames that the fast path handed up.
//! - [`user_ports`]: ports that no program carries.
//! - [`watch`]: frames on their way to those who watch.
//! - [`api`]: the control socket, both ends.
//! - [`show`]: answers as tables for people.
//! - `config_file`: writing the configuration file.
//! - [`events`], [`health`], [`metrics`]: what happened, what is wrong, and the numbers.
//! - [`doctor`]: what in this machine would hurt.
//! - [`privileges`]: what the daemon may still do once it runs.
//! - [`top`]: rates, live.
//! - [`learnt`]: what was learnt, for successors with other tables.
//! - [`instance`], [`state`]: where an instance is found, and what it leaves
//!   for whoever has to clean up after it.

pub mod api;
pub mod cli;
mod clock;
mod config_file;
pub mod daemon;
pub mod dataplane;
pub mod doctor;
pub mod events;
pub mod forwarder;
pub mod health;
pub mod instance;
pub mod learnt;
pub mod metrics;
pub mod netlink;
pub mod privileges;
pub mod show;
pub mod state;
pub mod top;
pub mod user_ports;
pub mod watch;

//! The control API, apart from a gateway: a server whose daemon is a few lines.

mod configuration;
mod document;
mod harness;
mod limits;
mod problems;
mod sentences;
mod tls;

//! The control API, apart from a gateway: a server whose daemon is a few lines.

mod document;
mod harness;
mod problems;

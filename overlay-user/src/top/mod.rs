//! `overlay top`: what passes a gateway, live.
//!
//! - [`sample`]: what is asked of the daemon, and its answers as rows that count.
//! - [`model`]: from samples to rates; what is shown, in which order. Pure.
//! - [`keys`]: what a key does to the model. Pure.
//! - [`view`]: the model on a screen of any size. Pure.
//! - [`text`]: the model for scripts: plain text and JSON. Pure.
//! - [`screen`]: the terminal, which is left as it was found on every way out.
//! - [`watch`]: the loops in which these meet.

pub mod keys;
pub mod model;
pub mod sample;
mod screen;
pub mod text;
pub mod view;
mod watch;

pub use model::{Sort, Tab};
pub use watch::{Output, Wanted, run};

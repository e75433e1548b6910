//! Which frames somebody wants to see, in the words of a filter such as
//! `host 10.0.0.5 and tcp port 443`.
//!
//! - [`mod@parse`]: from words to a [`Filter`].
//! - [`mod@filter`]: whether a filter takes a frame.
//! - [`seen`]: what it looks at, of the frame and of the frame in a tunnel.
//! - [`kernel`]: the part of it that programs look at before they tell of a frame.

pub mod filter;
pub mod kernel;
pub mod parse;
pub mod seen;

pub use filter::{End, Fate, Filter, Term};
pub use kernel::prefilter;
pub use parse::{FilterError, Known, parse};
pub use seen::{Layer, Seen};

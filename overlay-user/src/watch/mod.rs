//! Frames on their way to those who watch.
//!
//! - [`hub`]: from the programs' records to whoever's filter takes them.
//! - [`observed`]: what is known of one frame.

pub mod hub;
pub mod observed;

pub use hub::{Hub, Subscription, Wanted};
pub use observed::{Bytes, Observed};

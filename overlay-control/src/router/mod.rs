//! What a router says by itself: it answers who asks for it, tells senders why their packets went
//! nowhere, and asks for next hops.
//!
//! Frames are plain here, from their Ethernet header on.

mod answer;
mod asked;
mod pending;
mod question;

pub use answer::{echo, error};
pub use pending::{Asks, Pending};
pub use question::question;

//! What a router says by itself: answers are right in every byte, nothing is said where nothing
//! may be, and what waits for a next hop is bounded.

mod echo;
mod errors;
mod packets;
mod pending;
mod questions;
mod silence;

//! Packets per second of this gateway beside other data planes.
//!
//! A [`Chain`](chain::Chain) is three namespaces: a generator (frames of 64
//! bytes from `BPF_PROG_TEST_RUN`), a gateway under test, and a sink that counts.
//! All of it runs on one core, so a rate includes the generator's own cost, which
//! is the same for all. Only ratios of one run mean anything.

pub mod chain;
mod ends;
mod frames;
pub mod hosts;
mod measure;
mod plane;
mod report;
pub mod results;
pub mod run;
pub mod scenario;

pub use measure::{Plan, compare};
pub use plane::{Direction, Plane};
pub use report::{Report, Row};

//! What a run consists of: scenarios that are set up one after the other, each
//! when its turn comes.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;

use crate::scenario::Scenario;

/// What every scenario needs to be set up.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The `overlay` binary.
    pub overlay: PathBuf,
    /// The core that generator, gateway and sink share where a scenario keeps to
    /// one.
    pub cpu: usize,
    /// Whether to leave out what a first impression can do without.
    pub quick: bool,
    /// Whether this project's gateways do more than by default ([`features`](crate::features)).
    pub features: bool,
    /// How long each measurement takes, about.
    pub time: Duration,
}

/// Sets a scenario up.
pub type Build = Box<dyn FnOnce(&Setup) -> Result<Scenario>>;

/// A scenario that is yet to be set up: one with a million entries must not stand
/// beside the others.
pub struct Planned {
    /// [`Scenario::name`].
    pub name: &'static str,
    /// The name and the case, for the progress and for `--only`.
    pub title: String,
    /// How often each subject is measured.
    pub rounds: usize,
    /// Sets it up.
    pub build: Build,
}

impl Planned {
    /// A scenario that `build` sets up.
    pub fn new(
        name: &'static str,
        title: impl Into<String>,
        rounds: usize,
        build: impl FnOnce(&Setup) -> Result<Scenario> + 'static,
    ) -> Self {
        Self { name, title: title.into(), rounds, build: Box::new(build) }
    }
}

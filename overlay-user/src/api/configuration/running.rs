//! The configuration that is in effect, as text, and the file that it came from.

use std::path::PathBuf;
use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use overlay_control::config::Config;

use crate::config_file::Staged;

/// What is in effect. Copies share their texts.
#[derive(Clone, Debug)]
pub struct Running {
    /// The file.
    pub file: PathBuf,
    /// The text that is in effect.
    pub text: Arc<str>,
    /// The file's text when it was last read or written.
    pub file_text: Arc<str>,
    /// The changes that are in effect and not in the file.
    pub ephemeral: Vec<String>,
}

impl Running {
    /// What was read from a file.
    pub fn of_file(file: PathBuf, text: String) -> Self {
        let text: Arc<str> = text.into();
        Self { file, file_text: Arc::clone(&text), text, ephemeral: Vec::new() }
    }

    /// The version of what is in effect: equal where the text is.
    pub fn version(&self) -> String {
        version(&self.text)
    }

    /// The file's name, as errors have it.
    pub fn name(&self) -> String {
        self.file.display().to_string()
    }
}

/// The version of a text: the beginning of its SHA-256.
pub fn version(text: &str) -> String {
    let hash = digest(&SHA256, text.as_bytes());
    hash.as_ref().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

/// Another configuration, checked as far as that goes without the host.
#[derive(Debug)]
pub struct Plan {
    /// The text that it was made from, which has to be in effect still.
    pub base: Arc<str>,
    /// What is to be in effect.
    pub running: Running,
    /// The same, read.
    pub config: Config,
    /// What is to be in the file, where it is another text.
    pub file: Option<Planned>,
    /// Whether only to say what would change.
    pub dry_run: bool,
}

/// A file's text to be.
#[derive(Debug)]
pub struct Planned {
    /// What it says, where that is not what is to be in effect.
    pub config: Option<Config>,
    /// The text, on the disk already; `None`: in a dry run.
    pub staged: Option<Staged>,
}

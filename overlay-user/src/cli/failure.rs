//! Why a command failed, as its exit code and text.

use std::fmt;
use std::process::ExitCode;

use overlay_control::config::ConfigError;

/// A failed command.
#[derive(Debug)]
pub enum CommandFailure {
    /// The machine, the kernel or a daemon refused: exit code 1.
    Refused(anyhow::Error),
    /// The configuration file is wrong, in these places: exit code 2.
    Configuration(Vec<ConfigError>),
    /// The configuration file does not fit this host, in these places: exit code 2.
    Host(Vec<ConfigError>),
    /// The configuration file cannot be read: exit code 2.
    Unread(String),
    /// The command line or the configuration is wrong: exit code 2.
    Wrong(String),
}

impl CommandFailure {
    /// The exit code.
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::Refused(_) => ExitCode::from(1),
            Self::Configuration(_) | Self::Host(_) | Self::Unread(_) | Self::Wrong(_) => {
                ExitCode::from(2)
            }
        }
    }
}

impl fmt::Display for CommandFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(error) => write!(f, "overlay: {error:#}"),
            Self::Unread(message) | Self::Wrong(message) => write!(f, "overlay: {message}"),
            Self::Configuration(errors) | Self::Host(errors) => {
                for error in errors {
                    writeln!(f, "{error}")?;
                }
                let count = errors.len();
                write!(f, "overlay: {count} error{}", if count == 1 { "" } else { "s" })
            }
        }
    }
}

impl From<anyhow::Error> for CommandFailure {
    fn from(error: anyhow::Error) -> Self {
        Self::Refused(error)
    }
}

//! The commands as users type them: exit codes and whole sentences.

mod daemons;
mod harness;
mod inputs;
mod usage;

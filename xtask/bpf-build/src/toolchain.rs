//! Finds a compiler together with the source of its own core library, which is
//! compiled along because no BPF target is shipped precompiled.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Error;

/// Debian's compiler, the way out where rustup cannot fetch `rust-src`.
const DEBIAN_RUSTC: &str = "/usr/bin/rustc";
/// Debian's cargo.
const DEBIAN_CARGO: &str = "/usr/bin/cargo";
/// The least minor version of Debian's compiler (1.N) that builds this project.
const DEBIAN_MINOR: u32 = 95;

/// Variables of an outer cargo that would leak its compiler, wrapper (clippy) or
/// flags into the nested one.
const OUTER: &[&str] = &[
    "CARGO_BUILD_RUSTC",
    "CARGO_BUILD_RUSTC_WRAPPER",
    "CARGO_BUILD_RUSTC_WORKSPACE_WRAPPER",
    "CARGO_BUILD_TARGET",
    "CARGO_ENCODED_RUSTFLAGS",
    "CARGO_MAKEFLAGS",
    "CARGO_TARGET_DIR",
    "CLIPPY_ARGS",
    "MAKEFLAGS",
    "MFLAGS",
    "RUSTC_WORKSPACE_WRAPPER",
    "RUSTC_WRAPPER",
    "RUSTDOC",
    "RUSTFLAGS",
    "TARGET",
];

/// Where a [`Toolchain`] comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The pinned toolchain, with the `rust-src` component.
    Pinned,
    /// Debian's `rustc-web`, `cargo-web` and `rust-web-src`.
    Debian,
}

/// A compiler, its cargo, and the source of its library.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Toolchain {
    /// Where it comes from.
    pub origin: Origin,
    cargo: PathBuf,
    rustc: PathBuf,
}

impl Toolchain {
    /// Finds the pinned toolchain with `rust-src`, or else Debian's.
    pub fn find() -> Result<Self, Error> {
        Self::pinned().or_else(Self::debian).ok_or_else(|| {
            Error::new(
                "the BPF programs need the source of the Rust core library (`rust-src`), \
                 and it is not installed\n  \
                 help: run `cargo xtask setup`, which adds the rustup component, or installs \
                 Debian's matched compiler and source where rustup cannot fetch it",
            )
        })
    }

    /// The compiler that builds everything else, if it has its source.
    fn pinned() -> Option<Self> {
        let rustc = variable("RUSTC").unwrap_or_else(|| "rustc".into());
        let cargo = variable("CARGO").unwrap_or_else(|| "cargo".into());
        let found = Self { origin: Origin::Pinned, cargo, rustc };
        found.has_source().then_some(found)
    }

    fn debian() -> Option<Self> {
        let (cargo, rustc) = (PathBuf::from(DEBIAN_CARGO), PathBuf::from(DEBIAN_RUSTC));
        let found = Self { origin: Origin::Debian, cargo, rustc };
        (found.cargo.is_file() && found.has_source() && found.is_recent()).then_some(found)
    }

    fn has_source(&self) -> bool {
        self.library_source().is_some()
    }

    /// The folder that has the source of the library in it.
    pub fn library_source(&self) -> Option<PathBuf> {
        let sysroot = stdout(Command::new(&self.rustc).args(["--print", "sysroot"]))?;
        let folder = Path::new(&sysroot).join("lib/rustlib/src/rust");
        folder.join("library/core/src/lib.rs").is_file().then_some(folder)
    }

    /// Debian also has older compilers under the same names.
    fn is_recent(&self) -> bool {
        stdout(Command::new(&self.rustc).arg("--version"))
            .and_then(|version| minor_version(&version))
            .is_some_and(|minor| minor >= DEBIAN_MINOR)
    }

    /// A cargo of this toolchain that nothing of an outer cargo leaks into.
    pub fn cargo(&self) -> Command {
        let mut command = Command::new(&self.cargo);
        for name in OUTER {
            command.env_remove(name);
        }
        command.env("RUSTC", &self.rustc);
        if self.origin == Origin::Debian {
            command.env_remove("RUSTUP_TOOLCHAIN").env_remove("CARGO");
        }
        command
    }
}

fn variable(name: &str) -> Option<PathBuf> {
    std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from)
}

/// What a command prints, trimmed, where it succeeds.
fn stdout(command: &mut Command) -> Option<String> {
    let output = command.output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8(output.stdout).ok()?.trim().to_owned())
}

/// 95 of `rustc 1.95.0 (…)`.
fn minor_version(version: &str) -> Option<u32> {
    version.split_whitespace().nth(1)?.split('.').nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn minor_version_of_what_compilers_print() {
        assert_eq!(minor_version("rustc 1.95.0 (59807616e 2026-04-14)"), Some(95));
        assert_eq!(minor_version("rustc 1.96.0 (built from a source tarball)"), Some(96));
        assert_eq!(minor_version("gcc"), None);
    }
}

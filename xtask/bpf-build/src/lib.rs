//! Builds BPF objects: the gateway's from `overlay-ebpf`, the benchmark's from
//! `overlay-bench-ebpf`.
//!
//! Each is embedded in a binary, so this crate is called from that binary's build
//! script; `cargo xtask` calls it too. It finds a compiler
//! with matching library source ([`Toolchain`]), a linker ([`find_linker`]), and
//! runs a nested cargo with them. What is missing is an [`Error`] that says what
//! to do about it. Nothing is installed here: that is `cargo xtask setup`.

mod remap;
mod toolchain;

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

pub use remap::Remap;
pub use toolchain::{Origin, Toolchain};

/// The crate that holds the gateway's BPF programs; its binary has the same name.
pub const GATEWAY: &str = "overlay-ebpf";

/// The crate that holds the benchmark's BPF programs; its binary has the same
/// name.
pub const BENCH: &str = "overlay-bench-ebpf";

/// The target that the programs are compiled for.
pub const TARGET: &str = "bpfel-unknown-none";

/// The cargo profile in the workspace's manifest.
pub const PROFILE: &str = "bpf";

/// The linker that `TARGET` asks for.
pub const LINKER: &str = "bpf-linker";

/// Compiler flags: BTF makes the maps typed and the programs' listings readable,
/// and is made from debug information.
pub const RUSTFLAGS: &[&str] = &["-Cdebuginfo=2", "-Clink-arg=--btf"];

/// Why the object could not be built, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error(String);

impl Error {
    fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Error {}

/// Builds the object of a package ([`GATEWAY`], [`BENCH`]) of the workspace at
/// `workspace`, with `target_dir` for what the nested cargo keeps and these of the package's
/// features, and returns the object's path.
///
/// What the compiler says goes to standard error.
pub fn build(
    workspace: &Path,
    package: &str,
    target_dir: &Path,
    features: &[&str],
) -> Result<PathBuf, Error> {
    let status = command(workspace, package, target_dir, "build")?
        .args(features.iter().flat_map(|feature| ["--features", feature]))
        .stdout(Stdio::null())
        .status()
        .map_err(|e| Error::new(format!("cannot start cargo for the BPF programs: {e}")))?;
    if !status.success() {
        return Err(Error::new(format!("the BPF programs do not build ({package}, see above)")));
    }
    let object = target_dir.join(TARGET).join(PROFILE).join(package);
    if object.is_file() {
        Ok(object)
    } else {
        Err(Error::new(format!("cargo built no BPF object at {}", object.display())))
    }
}

/// A cargo command (`build`, `clippy`, …) for a package of BPF programs; arguments
/// that follow cargo's own may be appended.
pub fn command(
    workspace: &Path,
    package: &str,
    target_dir: &Path,
    subcommand: &str,
) -> Result<Command, Error> {
    let toolchain = Toolchain::find()?;
    let linker = find_linker()?;
    let mut command = toolchain.cargo();
    command
        .arg(subcommand)
        .arg("--manifest-path")
        .arg(workspace.join("Cargo.toml"))
        .args(["--package", package, "--profile", PROFILE, "--target", TARGET])
        .args(["-Z", "build-std=core", "--locked"])
        .arg("--target-dir")
        .arg(target_dir)
        // `-Z` flags on the pinned stable compiler, for this build alone.
        .env("RUSTC_BOOTSTRAP", "1")
        .env("CARGO_ENCODED_RUSTFLAGS", rustflags(workspace, target_dir, &toolchain))
        .env("PATH", search_path(&toolchain, &linker));
    Ok(command)
}

/// The flags, parted as cargo wants them. Line information in the object names files, and
/// must not depend on where those are.
fn rustflags(workspace: &Path, target_dir: &Path, toolchain: &Toolchain) -> String {
    let remap = Remap::of(workspace, target_dir, toolchain.library_source().as_deref());
    let flags = RUSTFLAGS.iter().map(|flag| (*flag).to_owned()).chain(remap.flags());
    flags.collect::<Vec<_>>().join("\u{1f}")
}

/// Where the nested cargo of a build script keeps its files: under the outer
/// cargo's target directory, so that every profile shares one BPF build. It must
/// not be that directory itself, which the outer cargo has locked.
pub fn target_dir_for(out_dir: &Path) -> PathBuf {
    shared_dir(out_dir, std::env::var_os("TARGET").as_deref()).join("bpf-build")
}

/// The target directory of `TARGET/[TRIPLE/]PROFILE/build/PACKAGE-HASH/out`.
fn shared_dir<'a>(out_dir: &'a Path, triple: Option<&OsStr>) -> &'a Path {
    let Some(dir) = out_dir.ancestors().nth(4) else {
        return out_dir;
    };
    if dir.file_name() == triple { dir.parent().unwrap_or(dir) } else { dir }
}

/// Finds bpf-linker on `PATH` or where `cargo install` puts it.
pub fn find_linker() -> Result<PathBuf, Error> {
    let on_path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&on_path)
        .chain(cargo_bin())
        .map(|dir| dir.join(LINKER))
        .find(|file| file.is_file())
        .ok_or_else(|| {
            Error::new(format!(
                "{LINKER} is not installed, and the BPF programs cannot be linked without it\n  \
                 help: run `cargo xtask setup`, which installs it"
            ))
        })
}

/// Where `cargo install` puts programs.
fn cargo_bin() -> Option<PathBuf> {
    Some(cargo_home()?.join("bin"))
}

/// Where cargo keeps what is the user's.
fn cargo_home() -> Option<PathBuf> {
    let home = std::env::var_os("CARGO_HOME").filter(|value| !value.is_empty());
    let home = home.map(PathBuf::from);
    home.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cargo")))
}

/// `PATH` as the nested cargo needs it: Debian's programs in front of rustup's
/// proxies where its toolchain is used, so that subcommands match; and the
/// linker's directory at the end.
fn search_path(toolchain: &Toolchain, linker: &Path) -> OsString {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let system = (toolchain.origin == Origin::Debian).then(|| PathBuf::from("/usr/bin"));
    let linker = linker.parent().map(Path::to_path_buf);
    let dirs = system.into_iter().chain(std::env::split_paths(&path)).chain(linker);
    std::env::join_paths(dirs).unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn profiles_and_targets_share_one_directory() {
        let triple = Some(OsStr::new("x86_64-unknown-linux-gnu"));
        let expected = Path::new("/p/target");
        for out_dir in [
            "/p/target/debug/build/overlay-user-1f/out",
            "/p/target/release/build/overlay-user-1f/out",
            "/p/target/x86_64-unknown-linux-gnu/release/build/overlay-user-1f/out",
        ] {
            assert_eq!(shared_dir(Path::new(out_dir), triple), expected, "{out_dir}");
        }
    }
}

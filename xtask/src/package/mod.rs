//! `cargo xtask package`: a .deb and an .rpm, the same bit by bit wherever they are built.
//!
//! - `source`: which version, and of when.
//! - `build`: the binary, stripped, and its debug information.
//! - `manual`: `overlay.toml(5)`, from the book's page.
//! - `tree`: every file of a package, with its mode.
//! - `deb`, `rpm`: what makes packages of such a tree, the distributions' own tools.
//! - `twice`: whether two builds in two places are the same.

pub mod build;
pub mod deb;
mod manual;
pub mod rpm;
pub mod source;
pub mod tree;
pub mod twice;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use clap::ValueEnum;

use crate::setup::{self, Scope};
use crate::step::step;
use crate::tools::PACKAGING;
use crate::workspace::Workspace;
use build::{Built, Profile};
use source::Source;

/// Arguments of the command.
#[derive(clap::Args)]
pub struct Args {
    /// Only these formats, with commas between them; both where none is named.
    #[arg(long, value_enum, value_delimiter = ',')]
    format: Vec<Format>,
    /// Build everything once more, elsewhere, and fail unless it is the same.
    #[arg(long)]
    check: bool,
}

/// A package's format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Debian's.
    Deb,
    /// Fedora's, and its relatives'.
    Rpm,
}

/// Both.
pub const FORMATS: &[Format] = &[Format::Deb, Format::Rpm];

/// Sets up, builds, and says where the packages are and what their hashes are.
pub fn run(workspace: &Workspace, args: &Args) -> Result<()> {
    setup::run(Scope::Build)?;
    setup::also(PACKAGING)?;
    let formats = if args.format.is_empty() { FORMATS } else { &args.format };
    let source = Source::of(workspace)?;
    let folder = workspace.target.join("package");
    let built = build::overlay(workspace, Profile::Packaged, &folder)?;
    let made = make(workspace, &built, &source, formats, &folder)?;
    if args.check {
        twice::compare(workspace, Profile::Packaged, &source, formats, &made)?;
    }
    for package in &made {
        println!("{}  {}", source::hash(package)?, package.display());
    }
    Ok(())
}

/// Makes the packages of what was built, in `folder`.
pub fn make(
    workspace: &Workspace,
    built: &Built,
    source: &Source,
    formats: &[Format],
    folder: &Path,
) -> Result<Vec<PathBuf>> {
    let mut made = Vec::new();
    for format in formats {
        let packages = match format {
            Format::Deb => {
                step("make the .deb packages", || deb::make(workspace, built, source, folder))
            }
            Format::Rpm => {
                step("make the .rpm package", || rpm::make(workspace, built, source, folder))
            }
        };
        made.extend(packages.context("no package")?);
    }
    Ok(made)
}

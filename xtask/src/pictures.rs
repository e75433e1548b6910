//! `cargo xtask pictures`: the pictures of the book, from real runs.
//!
//! The tests that look at `overlay top` and at the web page keep what they have seen, where they
//! are told a folder. Numbers in a picture are those of that run.

use anyhow::Result;

use crate::setup::{self, Scope};
use crate::step::{execute, step};
use crate::workspace::Workspace;

/// Where the tests keep pictures.
const FOLDER: &str = "OVERLAY_PICTURES";

/// The tests that see something worth keeping.
const TESTS: [&str; 2] = ["top::it_is_drawn", "web::the_page_shows"];

/// Runs the tests, as root, and keeps what they see.
pub fn run(workspace: &Workspace) -> Result<()> {
    setup::run(Scope::Test)?;
    let folder = workspace.root.join("docs/src/pictures");
    step("make the pictures of the book", || {
        std::fs::create_dir_all(&folder)?;
        let mut command = workspace.cargo("test");
        command.args(["--locked", "--package", "overlay-user", "--test", "namespaces", "--"]);
        // Nobody would see that a test was skipped.
        execute(command.args(TESTS).env(FOLDER, &folder).env("CI", "true"))
    })?;
    println!("the pictures are in {}", folder.display());
    Ok(())
}

//! `overlay generate`: man pages and completions, from the same definition that the command
//! line is parsed by.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use clap::Command;
use clap_complete::Shell;
use clap_mangen::Man;

/// The shells that completions are made for.
const SHELLS: &[Shell] = &[Shell::Bash, Shell::Zsh, Shell::Fish];
/// What the pages are a part of.
const MANUAL: &str = "Overlay";

/// Writes `man/overlay.1`, a page for each command (`man/overlay-show.1`), and
/// `completions/` for each shell.
pub fn write(mut command: Command, folder: &Path) -> Result<()> {
    let (pages, completions) = (folder.join("man"), folder.join("completions"));
    for folder in [&pages, &completions] {
        fs::create_dir_all(folder)
            .with_context(|| format!("cannot create {}", folder.display()))?;
    }
    let name = command.get_name().to_owned();
    for shell in SHELLS {
        clap_complete::generate_to(*shell, &mut command, &name, &completions)
            .with_context(|| format!("cannot write to {}", completions.display()))?;
    }
    write_pages(command, &pages).with_context(|| format!("cannot write to {}", pages.display()))
}

/// Writes the page of a command, and those of what is below it.
fn write_pages(mut command: Command, folder: &Path) -> Result<()> {
    command.build();
    let version = command.get_version().unwrap_or(env!("CARGO_PKG_VERSION")).to_owned();
    let below: Vec<Command> = command
        .get_subcommands()
        .filter(|c| !c.is_hide_set() && c.get_name() != "help")
        .cloned()
        .collect();
    let name = command.get_display_name().unwrap_or(command.get_name()).to_owned();
    let page = Man::new(command).manual(MANUAL).source(format!("overlay {version}"));
    page.generate_to(folder).with_context(|| format!("the page of {name}"))?;
    below.into_iter().try_for_each(|command| write_pages(command, folder))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::super::Cli;
    use super::*;

    fn files(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap().flatten();
        let mut names: Vec<String> =
            entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    #[test]
    fn every_command_has_a_page_and_hidden_ones_have_none() {
        let folder = tempfile::tempdir().unwrap();
        write(Cli::command(), folder.path()).unwrap();
        let pages = files(&folder.path().join("man"));
        for command in Cli::command().get_subcommands() {
            let page = format!("overlay-{}.1", command.get_name());
            assert_eq!(pages.contains(&page), !command.is_hide_set(), "{page} of {pages:?}");
        }
        assert!(!pages.iter().any(|page| page.contains("help")), "{pages:?}");
        for page in ["overlay.1", "overlay-fdb-load.1"] {
            assert!(pages.iter().any(|name| name == page), "{page} of {pages:?}");
        }
        let shells = files(&folder.path().join("completions"));
        assert_eq!(shells, ["_overlay", "overlay.bash", "overlay.fish"]);
    }

    #[test]
    fn a_page_says_what_help_says() {
        let folder = tempfile::tempdir().unwrap();
        write(Cli::command(), folder.path()).unwrap();
        let page = fs::read_to_string(folder.path().join("man/overlay-run.1")).unwrap();
        for words in ["Run a gateway in the foreground", "/etc/overlay/overlay.toml"] {
            assert!(page.contains(words), "{words}: {page}");
        }
    }
}

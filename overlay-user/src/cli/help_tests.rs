//! Every command and option says what it is for: in its help, its man page, and the shells'
//! completions.

use std::fs;

use clap::{Arg, ArgAction, Command, CommandFactory as _};

use super::Cli;

/// The commands, hidden ones too, each with its words behind `overlay`; not clap's own `help`.
fn commands() -> Vec<(String, Command)> {
    fn walk(command: &Command, words: &str, all: &mut Vec<(String, Command)>) {
        all.push((words.to_owned(), command.clone()));
        for below in command.get_subcommands().filter(|below| below.get_name() != "help") {
            let words = format!("{words} {}", below.get_name());
            walk(below, words.trim(), all);
        }
    }
    let mut root = Cli::command();
    root.build();
    let mut all = Vec::new();
    walk(&root, "", &mut all);
    assert!(all.len() > 20, "{} commands", all.len());
    all
}

/// The arguments that are the project's own.
fn arguments(command: &Command) -> impl Iterator<Item = &Arg> {
    let is_claps = |arg: &Arg| matches!(arg.get_id().as_str(), "help" | "version");
    command.get_arguments().filter(move |arg| !is_claps(arg))
}

fn is_sentence(help: &str) -> bool {
    let begins = help.chars().next().is_some_and(|first| !first.is_lowercase());
    begins && help.split(' ').count() > 1
}

#[test]
fn every_command_and_argument_has_help() {
    for (words, command) in commands() {
        let about = command.get_about().map(ToString::to_string).unwrap_or_default();
        assert!(is_sentence(&about), "overlay {words}: its help is {about:?}");
        for arg in arguments(&command) {
            let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
            let place = format!("overlay {words}: {}", arg.get_id());
            assert!(is_sentence(&help) || help == "Segments", "{place}: its help is {help:?}");
            // clap takes the full stop of a first paragraph away.
            assert!(!help.ends_with([' ', '.', ',', ':']), "{place}: {help:?} ends wrongly");
            let takes_value = matches!(arg.get_action(), ArgAction::Set | ArgAction::Append);
            let named = arg.get_value_names().is_some_and(|names| !names.is_empty());
            assert!(!takes_value || named, "{place}: its value has no name");
            for value in arg.get_possible_values().iter().filter(|value| !value.is_hide_set()) {
                let is_switch = matches!(value.get_name(), "true" | "false");
                let help = value.get_help().map(ToString::to_string).unwrap_or_default();
                assert!(is_switch || !help.is_empty(), "{place}: {} has none", value.get_name());
            }
        }
    }
}

#[test]
fn every_command_has_a_page_that_names_its_options() {
    let folder = tempfile::tempdir().unwrap();
    super::generate::write(Cli::command(), folder.path()).unwrap();
    for (words, command) in commands().iter().filter(|(_, command)| !command.is_hide_set()) {
        let name = format!("overlay {words}").trim().replace(' ', "-");
        let page = folder.path().join("man").join(format!("{name}.1"));
        let text = fs::read_to_string(&page).unwrap_or_else(|error| panic!("{name}.1: {error}"));
        // The page escapes dashes.
        let text = text.replace("\\-", "-");
        for arg in arguments(command) {
            let long = arg.get_long().map(|long| format!("--{long}"));
            let shown = long.unwrap_or_else(|| arg.get_value_names().unwrap()[0].to_string());
            assert!(text.contains(&shown), "{name}.1 lacks {shown}");
        }
    }
}

#[test]
fn the_shells_complete_every_command_and_option() {
    let folder = tempfile::tempdir().unwrap();
    super::generate::write(Cli::command(), folder.path()).unwrap();
    for shell in ["_overlay", "overlay.bash", "overlay.fish"] {
        let text = fs::read_to_string(folder.path().join("completions").join(shell)).unwrap();
        for (words, command) in commands().iter().filter(|(_, command)| !command.is_hide_set()) {
            let last = words.rsplit(' ').next().unwrap_or_default();
            assert!(text.contains(last), "{shell} lacks {words}");
            for long in arguments(command).filter_map(Arg::get_long) {
                // fish writes `-l name`.
                let option = if shell.ends_with("fish") { "-l " } else { "--" };
                let option = format!("{option}{long}");
                assert!(text.contains(&option), "{shell} lacks {option} of {words}");
            }
        }
    }
}

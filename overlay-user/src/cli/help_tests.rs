//! Every command and option says what it is for: in its help, its man page, and the shells'
//! completions.

use std::fs;

use clap::builder::PossibleValue;
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
    let mut wrong = Vec::new();
    for (words, command) in commands() {
        let about = command.get_about().map(ToString::to_string).unwrap_or_default();
        if !is_sentence(&about) {
            wrong.push(format!("overlay {words}: its help is {about:?}"));
        }
        for arg in arguments(&command) {
            wrong.extend(
                wrong_with(arg).map(|why| format!("overlay {words}: {}: {why}", arg.get_id())),
            );
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn help_fits_a_terminal_of_80_columns() {
    let mut wrong = Vec::new();
    for (words, mut command) in commands() {
        for text in [command.render_help(), command.render_long_help()] {
            let text = text.to_string();
            let wide = text.lines().filter(|line| line.chars().count() > 80);
            wrong.extend(wide.map(|line| format!("overlay {words}: {line}")));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn wrong_with(arg: &Arg) -> Option<String> {
    let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
    // clap takes the full stop of a first paragraph away.
    if !is_sentence(&help) || help.ends_with([' ', '.', ',', ':']) {
        return Some(format!("its help is {help:?}"));
    }
    let takes_value = matches!(arg.get_action(), ArgAction::Set | ArgAction::Append);
    if takes_value && arg.get_value_names().is_none_or(<[_]>::is_empty) {
        return Some("its value has no name".to_owned());
    }
    let values = arg.get_possible_values();
    // What a value is for, it says itself or the argument does.
    let is_bare = |value: &&PossibleValue| {
        let name = value.get_name();
        !matches!(name, "true" | "false") && value.get_help().is_none() && !help.contains(name)
    };
    let bare = values.iter().find(is_bare);
    bare.map(|value| format!("its value {} has no help", value.get_name()))
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

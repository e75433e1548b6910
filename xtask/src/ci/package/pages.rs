//! Man pages without a warning, and completions that shells take and that complete.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::step::{capture, line};

/// Checks those of an unpacked package.
pub fn check(tree: &Path) -> Result<()> {
    let mut pages = 0;
    for section in ["man1", "man5"] {
        for page in fs::read_dir(tree.join("usr/share/man").join(section))? {
            rendered(&page?.path())?;
            pages += 1;
        }
    }
    ensure!(pages > 10, "{pages} man pages");
    println!("    {pages} man pages, no warning");
    let share = tree.join("usr/share");
    let bash = share.join("bash-completion/completions/overlay");
    let script = "source \"$1\"; complete -p overlay; COMP_WORDS=(overlay sta); COMP_CWORD=1
        _overlay overlay sta overlay; echo \"${COMPREPLY[@]}\"";
    completes(Command::new("bash").args(["--norc", "-c", script, "-"]).arg(&bash))?;
    let fish = share.join("fish/vendor_completions.d/overlay.fish");
    let script = "source $argv[1]; complete --do-complete 'overlay sta'";
    completes(Command::new("fish").args(["--no-config", "-c", script]).arg(&fish))?;
    let zsh = share.join("zsh/vendor-completions");
    // What a completion adds is shown by a function in place of zsh's own.
    let script = "fpath=($1 $fpath); autoload -Uz compinit; compinit -D -u
        [[ ${_comps[overlay]} = _overlay ]] || exit 3
        source $1/_overlay; _describe() { print -l ${(P)4} }
        _overlay_commands";
    completes(Command::new("zsh").args(["-f", "-c", script, "-"]).arg(&zsh))
}

/// Formats a page as `man` does, and fails where it has anything to say.
fn rendered(page: &Path) -> Result<()> {
    let mut man = Command::new("man");
    man.args(["--warnings", "-E", "UTF-8", "-l", "-Tutf8"]).arg(page);
    man.env("LC_ALL", "C.UTF-8").env("MANROFFSEQ", "").env("MANWIDTH", "80");
    let output = man.output().with_context(|| format!("cannot start {}", line(&man)))?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success() && said.is_empty(), "{}: {said}", page.display());
    ensure!(output.stdout.len() > 300, "{} is empty", page.display());
    Ok(())
}

fn completes(shell: &mut Command) -> Result<()> {
    let said = capture(shell)?;
    let found =
        said.split_whitespace().any(|word| word.trim_end_matches(':').starts_with("status"));
    ensure!(found, "{} does not complete `overlay sta`: {said}", line(shell));
    Ok(())
}

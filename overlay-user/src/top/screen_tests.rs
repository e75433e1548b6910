use std::fs::File;
use std::io::Read as _;
use std::process::{Command, Stdio};

use nix::pty::openpty;
use nix::sys::termios::{LocalFlags, tcgetattr};

use super::*;

/// Says to the test below that it is the process that panics.
const CHILD: &str = "OVERLAY_TEST_PANICS";

/// Runs itself in a pseudo-terminal: there it takes the terminal and panics.
#[test]
fn a_panic_gives_the_terminal_back_and_is_read() {
    if std::env::var_os(CHILD).is_some() {
        let _screen = Screen::enter().unwrap();
        panic!("on purpose");
    }
    let pty = openpty(None, None).unwrap();
    let before = tcgetattr(&pty.slave).unwrap();
    let end = || Stdio::from(pty.slave.try_clone().unwrap());
    let status = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "top::screen::tests::a_panic_gives_the_terminal_back_and_is_read"])
        .args(["--nocapture", "--test-threads=1"])
        .env(CHILD, "1")
        .env("TERM", "xterm")
        .stdin(end())
        .stdout(end())
        .stderr(end())
        .status()
        .unwrap();
    assert_eq!(status.code(), Some(101), "the panic is the test's failure");
    let after = tcgetattr(&pty.slave).unwrap();
    assert!(after.local_flags.contains(LocalFlags::ECHO | LocalFlags::ICANON));
    assert_eq!(after, before);
    drop(pty.slave);
    let mut output = Vec::new();
    // The terminal without anybody at its other end is an error on Linux.
    let _ = File::from(pty.master).read_to_end(&mut output);
    let output = String::from_utf8_lossy(&output);
    let at = |text: &str| output.find(text).unwrap_or_else(|| panic!("no {text:?} in {output:?}"));
    assert!(at("\x1b[?1049h") < at("\x1b[?1049l"), "{output:?}");
    assert!(at("\x1b[?1049l") < at("on purpose"), "its words come after the screen: {output:?}");
}

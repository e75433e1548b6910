//! Commands in a mount namespace of their own, in which `/run/overlay` is a folder of the test's:
//! no instance of this machine is seen, and none sees the test's.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use overlay_testbed::Scratch;

/// What a command said, and how it ended.
#[derive(Debug, PartialEq, Eq)]
pub struct Said {
    /// The exit code.
    pub code: i32,
    /// Standard error, and standard output where that is a terminal.
    pub words: String,
}

/// A folder that stands for `/run/overlay`.
pub struct Host(pub Scratch);

impl Host {
    /// An empty one.
    pub fn new() -> Self {
        Self(Scratch::new().unwrap())
    }

    /// A file in it.
    pub fn file(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Runs `overlay` with these arguments.
    pub fn overlay(&self, arguments: &[&str]) -> Said {
        self.with(&["exec", "\"$0\"", "\"$@\""], arguments, "")
    }

    /// The same, with this on standard input.
    pub fn given(&self, arguments: &[&str], input: &str) -> Said {
        self.with(&["exec", "\"$0\"", "\"$@\""], arguments, input)
    }

    /// The same through words of a shell, in which `"$0" "$@"` is the command.
    pub fn with(&self, words: &[&str], arguments: &[&str], input: &str) -> Said {
        let script = format!(
            "mkdir -p /run/overlay && mount --bind {} /run/overlay && {}",
            self.0.path().display(),
            words.join(" ")
        );
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-c", &script, env!("CARGO_BIN_EXE_overlay")]);
        command.args(arguments).env("TERM", "xterm");
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // A command that does not read is no failure of the test.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        let output = child.wait_with_output().unwrap();
        let words = String::from_utf8_lossy(&output.stderr).trim_end().to_owned();
        Said { code: output.status.code().unwrap_or(-1), words }
    }

    /// A daemon of this name that gives every request the same answer, until the test ends.
    pub fn daemon(&self, name: &str, answer: &'static str) {
        let listener = UnixListener::bind(self.file(&format!("{name}.sock"))).unwrap();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { return };
                let mut head = [0; 4096];
                let _ = stream.read(&mut head);
                let _ = stream.write_all(answer.as_bytes());
            }
        });
    }
}

/// An answer with a JSON body.
#[macro_export]
macro_rules! answer {
    ($status:literal, $body:literal) => {
        concat!(
            "HTTP/1.1 ",
            $status,
            "\r\ncontent-type: application/json\r\nconnection: close\r\n\r\n",
            $body
        )
    };
}

/// Expects each command to end so.
#[track_caller]
pub fn each(host: &Host, rows: &[(&[&str], i32, &str)]) {
    for (arguments, code, words) in rows {
        let said = host.overlay(arguments);
        let expected = Said { code: *code, words: (*words).to_owned() };
        assert_eq!(said, expected, "overlay {}", arguments.join(" "));
    }
}

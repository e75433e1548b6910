//! A pseudo-terminal with somebody who reads what is drawn on it and presses keys.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use nix::libc;
use nix::pty::{Winsize, openpty};
use nix::sys::signal::{Signal, kill};
use nix::sys::termios::{Termios, tcgetattr};
use nix::unistd::{Pid, setsid};
use overlay_testbed::wait_until;

const LIMIT: Duration = Duration::from_secs(20);

/// A terminal, and the program on it.
pub struct Terminal {
    keyboard: File,
    /// Kept open, so that the terminal outlives the program.
    line: OwnedFd,
    before: Termios,
    screen: Arc<Mutex<vt100::Parser>>,
    child: Option<Child>,
}

fn size(columns: u16, lines: u16) -> Winsize {
    Winsize { ws_row: lines, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 }
}

impl Terminal {
    /// A terminal of this size.
    pub fn new(columns: u16, lines: u16) -> Result<Self> {
        let pty = openpty(Some(&size(columns, lines)), None)?;
        let before = tcgetattr(&pty.slave)?;
        let screen = Arc::new(Mutex::new(vt100::Parser::new(lines, columns, 0)));
        let mut drawn = File::from(pty.master.try_clone()?);
        let shown = Arc::clone(&screen);
        std::thread::spawn(move || {
            let mut piece = [0; 4096];
            while let Ok(len @ 1..) = drawn.read(&mut piece) {
                shown.lock().unwrap_or_else(PoisonError::into_inner).process(&piece[..len]);
            }
        });
        Ok(Self { keyboard: pty.master.into(), line: pty.slave, before, screen, child: None })
    }

    /// Starts a program on it, as its controlling terminal.
    pub fn start(&mut self, command: &mut Command) -> Result<()> {
        let end = || Ok::<_, std::io::Error>(Stdio::from(self.line.try_clone()?));
        command.env("TERM", "xterm-256color").stdin(end()?).stdout(end()?).stderr(end()?);
        // SAFETY: two system calls between fork and exec, on the standard input.
        unsafe {
            command.pre_exec(|| {
                setsid()?;
                match libc::ioctl(0, libc::TIOCSCTTY, 0) {
                    0 => Ok(()),
                    _ => Err(std::io::Error::last_os_error()),
                }
            });
        }
        self.child = Some(command.spawn().context("starting a program on a terminal")?);
        Ok(())
    }

    fn screen(&self) -> MutexGuard<'_, vt100::Parser> {
        self.screen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is on the screen now, line by line.
    pub fn lines(&self) -> Vec<String> {
        self.screen().screen().contents().lines().map(|line| line.trim_end().to_owned()).collect()
    }

    /// The screen as it is now, with colours.
    pub fn look<T>(&self, look: impl FnOnce(&vt100::Screen) -> T) -> T {
        look(self.screen().screen())
    }

    /// Waits until the screen is as it should be.
    pub fn wait_for(
        &self,
        what: &str,
        is_right: impl Fn(&[String]) -> bool,
    ) -> Result<Vec<String>> {
        wait_until(what, LIMIT, || Some(self.lines()).filter(|lines| is_right(lines)))
            .with_context(|| format!("on the screen:\n{}", self.lines().join("\n")))
    }

    /// Presses keys.
    pub fn press(&mut self, keys: &str) -> Result<()> {
        Ok(self.keyboard.write_all(keys.as_bytes())?)
    }

    /// Makes the terminal larger or smaller.
    pub fn resize(&self, columns: u16, lines: u16) -> Result<()> {
        self.screen().screen_mut().set_size(lines, columns);
        let size = size(columns, lines);
        // SAFETY: the descriptor is open, and the size outlives the call.
        let set =
            unsafe { libc::ioctl(self.keyboard.as_raw_fd(), libc::TIOCSWINSZ, &raw const size) };
        ensure!(set == 0, "the terminal keeps its size");
        Ok(())
    }

    /// Sends the program a signal.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let child = self.child.as_ref().context("no program")?;
        Ok(kill(Pid::from_raw(child.id().cast_signed()), signal)?)
    }

    /// The state of the program's process, as a letter.
    pub fn state(&self) -> Option<char> {
        let child = self.child.as_ref()?;
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", child.id())).ok()?;
        stat.rsplit_once(") ")?.1.chars().next()
    }

    /// Waits for the program's end.
    pub fn end(&mut self) -> Result<ExitStatus> {
        let mut child = self.child.take().context("no program")?;
        let ended = wait_until("end of the program", LIMIT, || child.try_wait().ok().flatten());
        if ended.is_err() {
            let _ = child.kill();
            let _ = child.wait();
        }
        ended.with_context(|| self.lines().join("\n"))
    }

    /// Fails unless the terminal is as it was: its settings, its main screen, its cursor.
    pub fn check_restored(&self) -> Result<()> {
        ensure!(tcgetattr(&self.line)? == self.before, "its settings are others");
        let restored = || {
            self.look(|screen| !screen.alternate_screen() && !screen.hide_cursor()).then_some(())
        };
        // The program's last words may still be on their way.
        wait_until("main screen and cursor", LIMIT, restored)
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

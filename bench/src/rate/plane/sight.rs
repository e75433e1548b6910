//! What is on where somebody looks: a trace, and a reader of metrics.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use overlay_testbed::Process;

const PATIENCE: Duration = Duration::from_secs(10);
const REQUEST: &[u8] = b"GET /metrics HTTP/1.1\r\nhost: localhost\r\n\
    accept: application/openmetrics-text; version=1.0.0\r\nconnection: close\r\n\r\n";
/// The last line of every page of OpenMetrics.
const END: &str = "# EOF\n";

/// A trace that runs, and metrics that can be read. Dropping it ends the trace.
pub struct Sight {
    trace: Process,
    socket: PathBuf,
}

impl Sight {
    /// Beside a trace, the metrics at a control socket.
    pub fn new(trace: Process, socket: PathBuf) -> Self {
        Self { trace, socket }
    }

    /// Does something while another thread reads all metrics, once.
    pub fn beside<T>(&self, act: impl FnOnce() -> Result<T>) -> Result<T> {
        std::thread::scope(|scope| {
            let page = scope.spawn(|| scrape(&self.socket));
            let done = act();
            page.join().map_err(|_| anyhow!("the reader of metrics panicked"))??;
            done
        })
    }

    /// Ends the trace, and sees that it told of frames.
    pub fn end(self) -> Result<()> {
        let told = self.trace.output();
        ensure!(self.trace.is_running(), "the trace ended:\n{told}");
        ensure!(!told.is_empty(), "the trace told of no frame");
        Ok(())
    }
}

fn scrape(socket: &Path) -> Result<()> {
    let mut stream = UnixStream::connect(socket).with_context(|| socket.display().to_string())?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(REQUEST)?;
    let mut page = String::new();
    stream.read_to_string(&mut page).context("reading the metrics")?;
    // In chunks, the last of which is empty.
    ensure!(page.contains(END), "a page of metrics without its end:\n{page}");
    Ok(())
}

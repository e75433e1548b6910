//! What is on where somebody looks: a trace, and a reader of metrics.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use overlay_testbed::Process;

/// Between two readings of the metrics: a hundred times as often as Prometheus reads them.
const EVERY: Duration = Duration::from_millis(100);
const PATIENCE: Duration = Duration::from_secs(10);
const REQUEST: &[u8] = b"GET /metrics HTTP/1.1\r\nhost: localhost\r\n\
    accept: application/openmetrics-text; version=1.0.0\r\nconnection: close\r\n\r\n";
/// The last line of every page of OpenMetrics.
const END: &str = "# EOF\n";

/// A trace that runs, and metrics that are read. Dropping it ends both.
pub struct Sight {
    trace: Process,
    scrapes: Scrapes,
}

impl Sight {
    /// Reads metrics from now on, beside a trace.
    pub fn new(trace: Process, socket: PathBuf) -> Result<Self> {
        Ok(Self { trace, scrapes: Scrapes::start(socket)? })
    }

    /// Ends both, and sees that the trace told of frames and that every page was whole.
    pub fn end(self) -> Result<()> {
        let Self { trace, scrapes } = self;
        scrapes.end()?;
        let told = trace.output();
        ensure!(trace.is_running(), "the trace ended:\n{told}");
        ensure!(!told.is_empty(), "the trace told of no frame");
        Ok(())
    }
}

struct Scrapes {
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<Result<()>>>,
}

impl Scrapes {
    /// The first page is read before this returns.
    fn start(socket: PathBuf) -> Result<Self> {
        scrape(&socket)?;
        let over = Arc::new(AtomicBool::new(false));
        let is_over = Arc::clone(&over);
        let thread = std::thread::spawn(move || {
            while !is_over.load(Ordering::Relaxed) {
                std::thread::sleep(EVERY);
                scrape(&socket)?;
            }
            Ok(())
        });
        Ok(Self { over, thread: Some(thread) })
    }

    fn end(mut self) -> Result<()> {
        self.over.store(true, Ordering::Relaxed);
        let thread = self.thread.take().context("ended before")?;
        thread.join().map_err(|_| anyhow::anyhow!("the reader of metrics panicked"))?
    }
}

impl Drop for Scrapes {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
    }
}

fn scrape(socket: &PathBuf) -> Result<()> {
    let mut stream = UnixStream::connect(socket).with_context(|| socket.display().to_string())?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(REQUEST)?;
    let mut page = String::new();
    stream.read_to_string(&mut page).context("reading the metrics")?;
    // In chunks, the last of which is empty.
    ensure!(page.contains(END), "a page of metrics without its end:\n{page}");
    Ok(())
}

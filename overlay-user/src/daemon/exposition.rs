//! Metrics over TCP, for a Prometheus that does not read Unix sockets.

use std::net::{SocketAddr, TcpListener as Bound};

use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::Daemon;
use crate::api::sight;

/// The listener, as far as there is one.
#[derive(Default)]
pub struct Exposition {
    listen: Option<SocketAddr>,
    task: Option<JoinHandle<()>>,
    problem: Option<String>,
}

impl Exposition {
    /// Why metrics are not served where they should be.
    pub fn problem(&self) -> Option<&str> {
        self.problem.as_deref()
    }

    fn stop(&mut self) {
        if let Some(task) = self.task.take() {
            task.abort();
        }
    }
}

impl Drop for Exposition {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Daemon {
    /// Listens where the configuration says, and nowhere else. What cannot be had is tried again
    /// later.
    pub(super) fn see_to_exposition(&mut self) {
        let Some(requests) = self.server.as_ref().map(|server| server.requests()) else { return };
        let wanted = self.controller.config().metrics.listen;
        let exposition = &mut self.sight.exposition;
        if exposition.listen != wanted {
            exposition.stop();
            (exposition.listen, exposition.problem) = (wanted, None);
        }
        let Some(address) = wanted.filter(|_| exposition.task.is_none()) else { return };
        let bound = Bound::bind(address).and_then(|listener| {
            listener.set_nonblocking(true)?;
            TcpListener::from_std(listener)
        });
        match bound {
            Ok(listener) => {
                exposition.problem = None;
                exposition.task = Some(tokio::spawn(sight::serve_metrics(listener, requests)));
                tracing::info!(%address, "metrics are served");
            }
            Err(error) => {
                exposition.problem =
                    Some(format!("metrics cannot be served on {address}: {error}"));
            }
        }
    }
}

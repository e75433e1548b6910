//! The daemon's end of the control socket.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use overlay_control::addresses::List;
use overlay_control::controller::Names;
use tokio::net::UnixListener;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use super::fdb::FdbDump;
use super::model::{Answer, ListOrder, Question};
use super::problem::Problem;
use super::router;
use super::watch::{WatchOrder, Watching};
use crate::events::Log;
use crate::metrics::Snapshot;

/// Where an answer goes.
pub type Reply = oneshot::Sender<Result<Answer, Problem>>;

/// The way to the daemon's loop.
pub type Requests = mpsc::Sender<Request>;

/// The same for those who do not keep it open.
pub type WeakRequests = mpsc::WeakSender<Request>;

/// What is on its way to the daemon's loop.
pub enum Request {
    /// A question.
    Question {
        /// What is asked.
        question: Question,
        /// Where the answer goes.
        reply: Reply,
    },
    /// The log of events.
    Events {
        /// Where it goes.
        reply: oneshot::Sender<Arc<Log>>,
    },
    /// All numbers.
    Metrics {
        /// Where they go.
        reply: oneshot::Sender<Snapshot>,
    },
    /// What names mean now, to read a list of addresses with.
    Names {
        /// Where they go.
        reply: oneshot::Sender<Names>,
    },
    /// The whole FDB.
    Fdb {
        /// Where it goes.
        reply: oneshot::Sender<FdbDump>,
    },
    /// To watch frames.
    Watch {
        /// Which.
        order: WatchOrder,
        /// Where they come from.
        reply: oneshot::Sender<Result<Watching, Problem>>,
    },
    /// A list of addresses.
    List {
        /// What is to be done with it.
        order: ListOrder,
        /// The addresses.
        list: List,
        /// Where the answer goes.
        reply: Reply,
    },
}

/// The running server.
pub struct Server {
    /// Weak, so that the daemon notices when nobody asks it any more.
    requests: WeakRequests,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Server {
    /// Listens on a socket that only its owner may use; one that a dead daemon
    /// left is replaced, so the caller must hold the instance's lock.
    pub fn start(path: &Path) -> Result<(Self, mpsc::Receiver<Request>)> {
        let _ = std::fs::remove_file(path);
        let listener = UnixListener::bind(path)
            .with_context(|| format!("cannot listen on {}", path.display()))?;
        std::fs::set_permissions(path, Permissions::from_mode(0o600))
            .with_context(|| format!("cannot set the mode of {}", path.display()))?;
        let (requests, receiver) = mpsc::channel(16);
        let (stop, stopped) = oneshot::channel::<()>();
        let (weak, asked) = (requests.downgrade(), requests);
        let task = tokio::spawn(async move {
            let served =
                axum::serve(listener, router::router(asked)).with_graceful_shutdown(async {
                    let _ = stopped.await;
                });
            if let Err(error) = served.await {
                tracing::error!(%error, "the control socket failed");
            }
        });
        Ok((Self { requests: weak, stop, task }, receiver))
    }

    /// The way to the daemon's loop, for others who answer.
    pub fn requests(&self) -> WeakRequests {
        self.requests.clone()
    }

    /// Ends the server once the answers that are under way are out.
    pub async fn stop(self) {
        let _ = self.stop.send(());
        let _ = tokio::time::timeout(std::time::Duration::from_secs(1), self.task).await;
    }
}

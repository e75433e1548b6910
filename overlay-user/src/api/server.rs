//! The daemon's end of the control socket, and of TCP where the configuration says so.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use axum::Router;
use overlay_control::addresses::List;
use overlay_control::config::{Access, Api};
use overlay_control::controller::Names;
use tokio::net::UnixListener;
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tokio::task::JoinHandle;

use super::configuration::plan::{Applied, Refused};
use super::configuration::running::{Plan, Running};
use super::fdb::FdbDump;
use super::model::{Answer, ListOrder, Question};
use super::problem::Problem;
pub use super::secure::Prepared;
use super::secure::Secure;
use super::watch::{WatchOrder, Watching};
use super::{connection, router};
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
    /// The configuration that is in effect.
    Running {
        /// Where it goes.
        reply: oneshot::Sender<Running>,
    },
    /// Another configuration.
    Apply {
        /// What is to be in effect.
        plan: Box<Plan>,
        /// Where the answer goes.
        reply: oneshot::Sender<Result<Applied, Refused>>,
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

/// How long nobody is let in where the system lets nobody in.
pub const PAUSE: Duration = Duration::from_millis(100);

/// The most connections over the socket at once.
pub const CONNECTIONS: usize = 128;

/// The running server.
pub struct Server {
    /// Weak: the router alone keeps the way open.
    requests: WeakRequests,
    stop: watch::Sender<bool>,
    socket: JoinHandle<()>,
    secure: Option<Secure>,
    router: Router,
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
        let weak = requests.downgrade();
        let router = router::router(requests);
        let (stop, stopped) = watch::channel(false);
        let socket = tokio::spawn(accept(listener, router.clone(), stopped));
        Ok((Self { requests: weak, stop, socket, secure: None, router }, receiver))
    }

    /// Gets ready to listen over TCP as a configuration says; `file` is where that stands.
    /// Nothing has changed before [`Self::adopt`].
    pub async fn prepare(&self, api: Option<&Api>, file: &Path) -> Result<Option<Prepared>> {
        let Some(api) = api else { return Ok(None) };
        let open = self.secure.as_ref().map(Secure::address);
        Prepared::new(api, file, open).await.map(Some)
    }

    /// Listens over TCP as was prepared, or no longer. Connections that were let in by other
    /// rules end with the answer that is under way.
    pub fn adopt(&mut self, prepared: Option<Prepared>) {
        self.secure = match (prepared, self.secure.take()) {
            (None, _) => None,
            (Some(prepared), before) => Some(Secure::adopt(prepared, before, &self.router)),
        };
    }

    /// The way to the daemon's loop, for others who answer.
    pub fn requests(&self) -> WeakRequests {
        self.requests.clone()
    }

    /// Ends the server once the answers that are under way are out.
    pub async fn stop(mut self) {
        self.secure = None;
        let _ = self.stop.send(true);
        let _ = tokio::time::timeout(Duration::from_secs(1), self.socket).await;
    }
}

/// Takes connections until the server stops, and waits for those that are there.
async fn accept(listener: UnixListener, router: Router, mut stopped: watch::Receiver<bool>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stopped.wait_for(|stopped| *stopped) => break,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                // No descriptors are left, for one: some may be soon.
                tracing::warn!("the control socket takes no connection: {error}");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
            connection::turn_away(stream).await;
            continue;
        };
        let (router, mut stopped) = (router.clone(), stopped.clone());
        tokio::spawn(async move {
            let stop = async move {
                let _ = stopped.wait_for(|stopped| *stopped).await;
            };
            connection::serve(stream, router, Access::Write, stop).await;
            drop(place);
        });
    }
    let _ = places.acquire_many(CONNECTIONS as u32).await;
}

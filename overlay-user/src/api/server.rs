//! The daemon's end of the control socket.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use anyhow::{Context as _, Result};
use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use overlay_control::addresses::List;
use overlay_control::controller::Names;
use tokio::net::UnixListener;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use super::fdb::FdbDump;
use super::lists;
use super::model::{Answer, FDB_PATH, Failure, ListOrder, Question};

/// Where an answer goes.
pub type Reply = oneshot::Sender<Result<Answer, Failure>>;

/// What is on its way to the daemon's loop.
pub enum Request {
    /// A question.
    Question {
        /// What is asked.
        question: Question,
        /// Where the answer goes.
        reply: Reply,
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
        let task = tokio::spawn(async move {
            let served = axum::serve(listener, router(requests)).with_graceful_shutdown(async {
                let _ = stopped.await;
            });
            if let Err(error) = served.await {
                tracing::error!(%error, "the control socket failed");
            }
        });
        Ok((Self { stop, task }, receiver))
    }

    /// Ends the server once the answers that are under way are out.
    pub async fn stop(self) {
        let _ = self.stop.send(());
        let _ = tokio::time::timeout(std::time::Duration::from_secs(1), self.task).await;
    }
}

fn router(requests: mpsc::Sender<Request>) -> Router {
    let mut router = Router::new();
    for question in Question::ALL {
        let handler = move |State(requests): State<mpsc::Sender<Request>>| async move {
            respond(ask(question, &requests).await)
        };
        let method = if question.is_order() { post(handler) } else { get(handler) };
        router = router.route(question.path(), method);
    }
    let fdb = |State(requests): State<mpsc::Sender<Request>>| async move { fdb(&requests).await };
    router = router.route(FDB_PATH, get(fdb));
    for order in ListOrder::ALL {
        let handler = move |State(requests): State<mpsc::Sender<Request>>, body: Body| async move {
            respond(lists::carry_out(order, body, &requests).await)
        };
        router = router.route(order.path(), post(handler));
    }
    router.with_state(requests)
}

async fn fdb(requests: &mpsc::Sender<Request>) -> Response {
    let (reply, dump) = oneshot::channel();
    if requests.send(Request::Fdb { reply }).await.is_err() {
        return ending();
    }
    match dump.await {
        Ok(dump) => dump.into_response(),
        Err(_) => ending(),
    }
}

/// `None`: the daemon is ending.
async fn ask(
    question: Question,
    requests: &mpsc::Sender<Request>,
) -> Option<Result<Answer, Failure>> {
    let (reply, answer) = oneshot::channel();
    requests.send(Request::Question { question, reply }).await.ok()?;
    answer.await.ok()
}

fn respond(answer: Option<Result<Answer, Failure>>) -> Response {
    match answer {
        Some(Ok(answer)) => Json(answer).into_response(),
        Some(Err(failure)) => {
            let status = if failure.is_configuration {
                StatusCode::UNPROCESSABLE_ENTITY
            } else {
                StatusCode::INTERNAL_SERVER_ERROR
            };
            (status, Json(failure)).into_response()
        }
        None => ending(),
    }
}

fn ending() -> Response {
    let failure = Failure { error: "the daemon is ending".to_owned(), ..Failure::default() };
    (StatusCode::SERVICE_UNAVAILABLE, Json(failure)).into_response()
}

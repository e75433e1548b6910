//! The commands' end of the control socket.

use std::io;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Bytes;
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;

use super::model::{Failure, Question};
use crate::instance::Instance;

/// How long an answer may take; a full FDB is large.
const PATIENCE: Duration = Duration::from_secs(30);

/// Whether a daemon answers on an instance's socket.
pub async fn is_alive(instance: &Instance) -> bool {
    UnixStream::connect(instance.socket()).await.is_ok()
}

/// Whether a daemon answers a question, which one that is dying does not.
pub async fn answers(instance: &Instance) -> bool {
    let asked = tokio::time::timeout(Duration::from_secs(1), ask(instance, Question::Status));
    matches!(asked.await, Ok(Ok(Outcome::Answered(_))))
}

/// What came of a question.
#[derive(Debug)]
pub enum Outcome {
    /// The answer, as JSON.
    Answered(Bytes),
    /// The daemon refuses.
    Refused(Failure),
    /// No daemon of this name runs.
    NoDaemon,
}

/// Asks an instance's daemon.
pub async fn ask(instance: &Instance, question: Question) -> Result<Outcome> {
    let stream = match UnixStream::connect(instance.socket()).await {
        Ok(stream) => stream,
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused
            ) =>
        {
            return Ok(Outcome::NoDaemon);
        }
        Err(error) => {
            return Err(error)
                .with_context(|| format!("cannot connect to {}", instance.socket().display()));
        }
    };
    tokio::time::timeout(PATIENCE, exchange(stream, question))
        .await
        .map_err(|_| anyhow!("the daemon of {} does not answer", instance.name))?
        .with_context(|| format!("cannot talk to the daemon of {}", instance.name))
}

async fn exchange(stream: UnixStream, question: Question) -> Result<Outcome> {
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let method = if question.is_order() { Method::POST } else { Method::GET };
    let request = Request::builder()
        .method(method)
        .uri(question.path())
        .header(hyper::header::HOST, "overlay")
        .body(Empty::<Bytes>::new())?;
    let response = sender.send_request(request).await?;
    let status = response.status();
    let body = response.into_body().collect().await?.to_bytes();
    if status == StatusCode::OK {
        return Ok(Outcome::Answered(body));
    }
    let failure = serde_json::from_slice(&body)
        .unwrap_or_else(|_| Failure { error: format!("HTTP {status}"), ..Failure::default() });
    Ok(Outcome::Refused(failure))
}

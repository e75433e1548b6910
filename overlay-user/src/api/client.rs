//! The commands' end of the control socket.

use std::io::{self, Read};
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use http_body_util::{BodyExt as _, Empty, Full, StreamBody};
use hyper::body::{Body, Bytes, Frame, Incoming};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;

use super::model::{FDB_PATH, ListOrder, Question};
use super::problem::Problem;
use super::trace::{SIMULATE_PATH, Simulate};
use super::watch::{WATCH_PATH, WatchOrder};
use crate::instance::Instance;

/// How long an answer may take; a full FDB is large.
const PATIENCE: Duration = Duration::from_secs(30);

/// A list goes out in pieces of so many bytes.
const PIECE: usize = 256 * 1024;

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
    Refused(Problem),
    /// No daemon of this name runs.
    NoDaemon,
}

/// Asks an instance's daemon.
pub async fn ask(instance: &Instance, question: Question) -> Result<Outcome> {
    let Some(stream) = connect(instance).await? else { return Ok(Outcome::NoDaemon) };
    let method = if question.is_order() { Method::POST } else { Method::GET };
    let asked = exchange(stream, method, question.path(), Empty::<Bytes>::new());
    within(PATIENCE, instance, asked).await
}

/// Asks for the FDB, whose rows stand one on each line, and hands every line to
/// `line` as it comes; the answer is then empty.
pub async fn follow(instance: &Instance, line: impl FnMut(&[u8]) -> Result<()>) -> Result<Outcome> {
    lines(instance, FDB_PATH, false, line).await
}

/// Asks for anything of which the answer is lines, and hands every one to `line` as it comes; the
/// answer is then empty. One that goes `on` may be silent for any time.
pub async fn lines(
    instance: &Instance,
    path: &str,
    on: bool,
    mut line: impl FnMut(&[u8]) -> Result<()>,
) -> Result<Outcome> {
    let Some(stream) = connect(instance).await? else { return Ok(Outcome::NoDaemon) };
    let asked = send(stream, Method::GET, path, Empty::<Bytes>::new());
    let response = within(PATIENCE, instance, asked).await?;
    if response.status() != StatusCode::OK {
        return outcome(response).await;
    }
    let mut body = response.into_body();
    let mut begun = Vec::new();
    let patience = if on { Duration::MAX } else { PATIENCE };
    while let Some(frame) =
        within(patience, instance, async { Ok(body.frame().await.transpose()?) }).await?
    {
        let Ok(piece) = frame.into_data() else { continue };
        begun.extend_from_slice(&piece);
        let end = begun.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        begun[..end].split_inclusive(|byte| *byte == b'\n').try_for_each(&mut line)?;
        begun.drain(..end);
    }
    Ok(Outcome::Answered(Bytes::new()))
}

/// Watches frames, and hands every line that comes to `line`, until that has seen enough
/// (`false`) or the daemon ends. However long nothing comes is waited for.
pub async fn watch(
    instance: &Instance,
    order: &WatchOrder,
    mut line: impl FnMut(&[u8]) -> Result<bool>,
) -> Result<Outcome> {
    let Some(stream) = connect(instance).await? else { return Ok(Outcome::NoDaemon) };
    let order = Full::new(Bytes::from(serde_json::to_vec(order)?));
    let request = request(Method::POST, WATCH_PATH)
        .header(hyper::header::CONTENT_TYPE, "application/json")
        .body(order)?;
    let response = within(Duration::MAX, instance, give(stream, request)).await?;
    if response.status() != StatusCode::OK {
        return outcome(response).await;
    }
    let mut body = response.into_body();
    let mut begun = Vec::new();
    // A daemon that is killed says nothing of the end.
    while let Some(Ok(frame)) = body.frame().await {
        let Ok(piece) = frame.into_data() else { continue };
        begun.extend_from_slice(&piece);
        let end = begun.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        for text in begun[..end].split_inclusive(|byte| *byte == b'\n') {
            if !line(text)? {
                return Ok(Outcome::Answered(Bytes::new()));
            }
        }
        begun.drain(..end);
    }
    Ok(Outcome::Answered(Bytes::new()))
}

/// Sends a list of addresses to an instance's daemon. However long its source
/// takes is waited for.
pub async fn send_list(
    instance: &Instance,
    order: ListOrder,
    list: impl Read + Send + 'static,
) -> Result<Outcome> {
    let Some(stream) = connect(instance).await? else { return Ok(Outcome::NoDaemon) };
    let body = StreamBody::new(futures_util::stream::iter(pieces(list)));
    within(Duration::MAX, instance, exchange(stream, Method::POST, order.path(), body)).await
}

/// Asks an instance's daemon what would become of a frame.
pub async fn simulate(instance: &Instance, frame: &Simulate) -> Result<Outcome> {
    let (body, json) = (serde_json::to_vec(frame)?, "application/json");
    send_body(instance, Method::POST, SIMULATE_PATH, json, json, body).await
}

/// What is read, piece by piece, up to its end or the first error.
fn pieces(mut source: impl Read) -> impl Iterator<Item = io::Result<Frame<Bytes>>> {
    let mut ended = false;
    std::iter::from_fn(move || {
        if ended {
            return None;
        }
        let mut piece = vec![0; PIECE];
        let read = source.read(&mut piece);
        ended = !matches!(read, Ok(1..));
        match read {
            Ok(0) => None,
            Ok(len) => {
                piece.truncate(len);
                Some(Ok(Frame::data(piece.into())))
            }
            Err(error) => Some(Err(error)),
        }
    })
}

/// Sends a request with a body, or without one where its type is empty; `accept` is the type of
/// answer that is wanted.
pub async fn send_body(
    instance: &Instance,
    method: Method,
    path: &str,
    kind: &'static str,
    accept: &'static str,
    body: impl Into<Bytes>,
) -> Result<Outcome> {
    let Some(stream) = connect(instance).await? else { return Ok(Outcome::NoDaemon) };
    let mut request = request(method, path);
    if !kind.is_empty() {
        request = request.header(hyper::header::CONTENT_TYPE, kind);
    }
    request = request.header(hyper::header::ACCEPT, accept);
    let asked = async { outcome(give(stream, request.body(Full::new(body.into()))?).await?).await };
    within(PATIENCE, instance, asked).await
}

/// Waits for a daemon, so long and no longer.
async fn within<T>(
    patience: Duration,
    instance: &Instance,
    asked: impl Future<Output = Result<T>>,
) -> Result<T> {
    tokio::time::timeout(patience, asked)
        .await
        .map_err(|_| anyhow!("the daemon of {} does not answer", instance.name))?
        .with_context(|| format!("cannot talk to the daemon of {}", instance.name))
}

async fn connect(instance: &Instance) -> Result<Option<UnixStream>> {
    match UnixStream::connect(instance.socket()).await {
        Ok(stream) => Ok(Some(stream)),
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused
            ) =>
        {
            Ok(None)
        }
        Err(error) => {
            Err(error).with_context(|| format!("cannot connect to {}", instance.socket().display()))
        }
    }
}

async fn exchange<B>(stream: UnixStream, method: Method, path: &str, body: B) -> Result<Outcome>
where
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    outcome(send(stream, method, path, body).await?).await
}

async fn send<B>(
    stream: UnixStream,
    method: Method,
    path: &str,
    body: B,
) -> Result<Response<Incoming>>
where
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    give(stream, request(method, path).body(body)?).await
}

fn request(method: Method, path: &str) -> hyper::http::request::Builder {
    Request::builder().method(method).uri(path).header(hyper::header::HOST, "overlay")
}

async fn give<B>(stream: UnixStream, request: Request<B>) -> Result<Response<Incoming>>
where
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    Ok(sender.send_request(request).await?)
}

async fn outcome(response: Response<Incoming>) -> Result<Outcome> {
    let status = response.status();
    let body = response.into_body().collect().await?.to_bytes();
    if status.is_success() {
        return Ok(Outcome::Answered(body));
    }
    let problem = serde_json::from_slice(&body)
        .unwrap_or_else(|_| Problem::machine(format!("the daemon answers with HTTP {status}")));
    Ok(Outcome::Refused(problem))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_daemon_that_says_nothing_is_not_waited_for() {
        let (gw1, soon) = (Instance::new("gw1"), Duration::from_millis(10));
        let silent = within::<()>(soon, &gw1, std::future::pending()).await.unwrap_err();
        assert_eq!(silent.to_string(), "the daemon of gw1 does not answer");
        let broken = within::<()>(soon, &gw1, async { Err(anyhow!("reset")) }).await.unwrap_err();
        assert_eq!(format!("{broken:#}"), "cannot talk to the daemon of gw1: reset");
    }

    #[tokio::test]
    async fn an_answer_that_is_no_problem_document_is_told_by_its_status() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let daemon = tokio::spawn(async move {
            use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
            let mut stream = theirs;
            let mut head = [0; 1024];
            let _ = stream.read(&mut head).await;
            let answer = b"HTTP/1.1 502 Bad Gateway\r\ncontent-length: 1\r\n\r\nx";
            let _ = stream.write_all(answer).await;
        });
        let asked = exchange(ours, Method::GET, "/", Empty::<Bytes>::new()).await.unwrap();
        daemon.await.unwrap();
        let Outcome::Refused(problem) = asked else { panic!("{asked:?}") };
        assert_eq!(problem.detail, "the daemon answers with HTTP 502 Bad Gateway");
    }
}

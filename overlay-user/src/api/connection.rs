//! One connection: HTTP/1.1, with a bound on everything that the other end decides.

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use overlay_control::config::Access;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::time::timeout;
use tower::ServiceExt as _;

use super::patience::{PATIENCE, Patient};

/// How long the head of a request may take, from the end of the answer before.
pub const HEAD: Duration = Duration::from_secs(10);

/// How long the last answer may take.
const LAST: Duration = Duration::from_secs(5);

/// The longest head of a request, in bytes.
pub const LONGEST_HEAD: usize = 16 * 1024;

/// The most header fields.
const FIELDS: usize = 64;

/// Answers requests until the other end has no more, or `stop` says that this one is the last.
pub async fn serve<S>(stream: S, router: Router, access: Access, stop: impl Future<Output = ()>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(access);
        router.clone().oneshot(request)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_buf_size(LONGEST_HEAD)
        .max_headers(FIELDS)
        .serve_connection(TokioIo::new(Patient::new(stream, PATIENCE)), service);
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop => {
            connection.as_mut().graceful_shutdown();
            match timeout(LAST, connection).await {
                Ok(ended) => ended,
                // An answer without an end.
                Err(_) => return,
            }
        }
    };
    if let Err(error) = ended {
        // The other end's doing: it went away, or was too slow.
        tracing::debug!("a connection to the control API ended: {error}");
    }
}

/// Says that there are too many connections, and listens no further.
pub async fn turn_away(mut stream: impl AsyncWrite + Unpin) {
    let body = r#"{"type":"/v1/problems/busy","title":"the daemon cannot answer now","status":503,"detail":"there are too many connections","details":[]}"#;
    let text = format!(
        "HTTP/1.1 503 Service Unavailable\r\ncontent-type: {}\r\nretry-after: 1\r\n\
         content-length: {}\r\nconnection: close\r\n\r\n{body}",
        super::problem::MEDIA_TYPE,
        body.len()
    );
    let _ = timeout(Duration::from_secs(1), stream.write_all(text.as_bytes())).await;
}

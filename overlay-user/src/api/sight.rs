//! Metrics, and the stream of events.

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Query, State};
use axum::http::HeaderMap;
use axum::http::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::Deserialize;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::problem::{Kind, Problem};
use super::queries::{awaited, put};
use super::server::{Request, Requests, WeakRequests};
use crate::events::reader::FOLLOWERS;
use crate::events::{Event, Reader};
use crate::metrics::Format;

/// The path of the events.
pub const EVENTS_PATH: &str = "/v1/events";
/// The path of the metrics, where Prometheus looks for them.
pub const METRICS_PATH: &str = "/metrics";
/// The media type of JSON lines.
const LINES: &str = "application/x-ndjson";
/// How long a connection over TCP may take, for all that it asks.
const CONNECTION: Duration = Duration::from_secs(60);
/// Connections over TCP at the same time.
const CONNECTIONS: usize = 16;

/// The resources.
pub fn router() -> OpenApiRouter<Requests> {
    OpenApiRouter::new().routes(routes!(metrics)).routes(routes!(events))
}

/// Everything that Prometheus may want to know: OpenMetrics, or Prometheus' own text, as `Accept`
/// says.
#[utoipa::path(
    get,
    path = "/metrics",
    tag = "sight",
    responses(
        (status = 200, description = "The metrics", body = String,
         content_type = "application/openmetrics-text"),
        (status = "default", description = "Whatever goes wrong", body = Problem,
         content_type = "application/problem+json")
    )
)]
async fn metrics(
    State(requests): State<Requests>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    page(&requests, &headers).await
}

/// The same over TCP.
async fn scraped(
    State(requests): State<WeakRequests>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    page(&requests.upgrade().ok_or_else(Problem::ending)?, &headers).await
}

async fn page(requests: &Requests, headers: &HeaderMap) -> Result<Response, Problem> {
    let accept = headers.get(ACCEPT).and_then(|value| value.to_str().ok());
    let format = Format::accepted(accept);
    let (reply, snapshot) = oneshot::channel();
    put(requests, Request::Metrics { reply }).await?;
    let text = format.write(&awaited(snapshot).await?);
    Ok(([(CONTENT_TYPE, format.media_type())], text).into_response())
}

/// Which events are wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Wanted {
    /// Those after the one with this number.
    #[serde(default)]
    since: u64,
    /// Whether the answer goes on as more happens.
    #[serde(default)]
    follow: bool,
}

/// What happened: one JSON object on each line, in the order in which it did. A reader that is too
/// slow misses events; a line of the kind `lost` stands in their place.
#[utoipa::path(
    get,
    path = "/v1/events",
    tag = "sight",
    params(Wanted),
    responses(
        (status = 200, description = "The events, one on each line", body = Event,
         content_type = "application/x-ndjson"),
        (status = "default", description = "Whatever goes wrong", body = Problem,
         content_type = "application/problem+json")
    )
)]
async fn events(
    State(requests): State<Requests>,
    wanted: Result<Query<Wanted>, axum::extract::rejection::QueryRejection>,
) -> Result<Response, Problem> {
    let Query(Wanted { since, follow }) = wanted.map_err(|error| {
        let detail = format!("{}; it takes since=NUMBER and follow=true", error.body_text());
        Problem::new(Kind::Request, detail)
    })?;
    let (reply, log) = oneshot::channel();
    put(&requests, Request::Events { reply }).await?;
    let reader = Reader::new(&awaited(log).await?, since, follow).ok_or_else(|| {
        let detail = format!("{FOLLOWERS} readers follow the events already; end one of them");
        Problem::new(Kind::Busy, detail)
    })?;
    let lines = futures_util::stream::unfold(reader, async |mut reader| {
        let lines = reader.lines().await?;
        Some((Ok::<_, std::convert::Infallible>(lines), reader))
    });
    let headers = [(CONTENT_TYPE, LINES), (CACHE_CONTROL, "no-store")];
    Ok((headers, Body::from_stream(lines)).into_response())
}

/// Serves the metrics over plain HTTP, and nothing else.
pub async fn serve_metrics(listener: TcpListener, requests: WeakRequests) {
    let app = Router::new().route(METRICS_PATH, get(scraped)).with_state(requests);
    let connections = std::sync::Arc::new(tokio::sync::Semaphore::new(CONNECTIONS));
    loop {
        let Ok(permit) = std::sync::Arc::clone(&connections).acquire_owned().await else { return };
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::debug!(%error, "a scraper's connection failed");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let service = hyper_util::service::TowerToHyperService::new(app.clone());
        let serve = hyper::server::conn::http1::Builder::new()
            .timer(hyper_util::rt::TokioTimer::new())
            .header_read_timeout(Duration::from_secs(10))
            .serve_connection(hyper_util::rt::TokioIo::new(stream), service);
        tokio::spawn(async move {
            let _ = tokio::time::timeout(CONNECTION, serve).await;
            drop(permit);
        });
    }
}

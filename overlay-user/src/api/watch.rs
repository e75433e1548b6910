//! Frames as they pass, for those who watch: one line each, for as long as the connection is there.

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use axum::body::Body;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream;
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::body::JsonBody;
use super::problem::{Kind, Problem};
use super::queries::{awaited, put};
use super::server::{Request, Requests};
use super::trace::{Explained, hex};
use crate::clock;
use crate::watch::{Observed, Subscription, observed};

/// The path of the resource.
pub const WATCH_PATH: &str = "/v1/watch";
/// The media type of lines of JSON.
pub const LINES: &str = "application/x-ndjson";

/// The most bytes of a frame that programs tell.
pub const MOST_BYTES: u32 = 16_384;
/// The most frames a second.
const MOST_PER_SECOND: u32 = 100_000;
/// How often somebody who sees nothing hears that there is nothing, so that the end of a connection
/// shows.
const SILENCE: Duration = Duration::from_secs(1);

/// What somebody wants to see.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct WatchOrder {
    /// Which frames: a filter such as `host 10.0.0.5 and tcp port 443`; empty: all.
    pub filter: String,
    /// Whether frames that are not dropped are left out.
    pub drops_only: bool,
    /// The most frames a second, on each CPU, 1 to 100000.
    pub per_second: u32,
    /// The most bytes of each frame, 14 to 16384.
    pub bytes: u32,
    /// Whether each frame is explained, stage by stage.
    pub explain: bool,
}

impl Default for WatchOrder {
    fn default() -> Self {
        Self {
            filter: String::new(),
            drops_only: false,
            per_second: 1000,
            bytes: 256,
            explain: false,
        }
    }
}

impl WatchOrder {
    fn check(&self) -> Result<(), Problem> {
        let wrong = |what: String| Err(Problem::new(Kind::Request, what));
        if !(1..=MOST_PER_SECOND).contains(&self.per_second) {
            return wrong(format!("per_second is {}, not 1 to {MOST_PER_SECOND}", self.per_second));
        }
        if !(14..=MOST_BYTES).contains(&self.bytes) {
            return wrong(format!("bytes is {}, not 14 to {MOST_BYTES}", self.bytes));
        }
        Ok(())
    }
}

/// A frame that passed, or did not.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FrameRow {
    /// When it came in, in ns since 1970.
    pub time: u64,
    /// ns until it was clear what becomes of it, where that is known.
    pub took: Option<u64>,
    /// The CPU that carried it.
    pub cpu: Option<u32>,
    /// `xdp`, `tc` or `user`.
    pub hook: String,
    /// The device that it came in by.
    pub interface: String,
    /// The device that it left by; of several, none is named.
    pub egress: Option<String>,
    /// `passed`, `deferred`, `transmitted`, `delivered`, `consumed`, `dropped` or `unknown`.
    pub verdict: String,
    /// Why it was dropped.
    pub reason: Option<String>,
    /// Its bytes as it came in, or as it was dropped.
    pub before: BytesRow,
    /// Its bytes as it leaves, by the one device that it leaves by.
    pub after: Option<BytesRow>,
    /// What each stage did, by the tables as they are now, where that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub explained: Option<Explained>,
}

/// A frame's bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BytesRow {
    /// The first of them, in hexadecimal.
    pub hex: String,
    /// How many there were.
    pub length: u32,
    /// Control information of the tag that the device had taken off, 0 for none.
    pub tag: u16,
    /// The payload of each segment of a super-frame, else 0.
    pub gso_size: u16,
}

/// A line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum WatchLine {
    /// A frame.
    Frame(Box<FrameRow>),
    /// So many frames were not told, since whoever watches is slower than they came.
    Missed {
        /// How many.
        frames: u64,
    },
    /// There is nothing to be seen.
    Nothing,
}

/// What the daemon answers to somebody who wants to watch.
pub struct Watching {
    /// The frames.
    pub subscription: Subscription,
    /// The devices' names.
    pub names: HashMap<u32, String>,
}

/// The resource.
pub fn router() -> OpenApiRouter<Requests> {
    OpenApiRouter::new().routes(routes!(watch))
}

/// Shows frames as they pass, and what becomes of each. While nobody does, programs that tell
/// nothing are attached.
#[utoipa::path(
    post,
    path = "/v1/watch",
    tag = "watch",
    request_body = WatchOrder,
    responses(
        (status = 200, description = "A line for each frame, until the connection ends",
         body = WatchLine, content_type = "application/x-ndjson"),
        (status = "default", description = "Whatever goes wrong", body = Problem,
         content_type = "application/problem+json")
    )
)]
async fn watch(
    State(requests): State<Requests>,
    JsonBody(order): JsonBody<WatchOrder>,
) -> Result<Response, Problem> {
    order.check()?;
    let explain = order.explain;
    let (reply, answer) = oneshot::channel();
    put(&requests, Request::Watch { order, reply }).await?;
    let watching = awaited(answer).await??;
    let explain = explain.then_some(requests);
    let lines = stream::unfold((watching, explain), |(mut watching, explain)| async move {
        let line = next(&mut watching, explain.as_ref()).await?;
        let mut text = serde_json::to_vec(&line).ok()?;
        text.push(b'\n');
        Some((Ok::<_, std::convert::Infallible>(Bytes::from(text)), (watching, explain)))
    });
    Ok(([(CONTENT_TYPE, LINES)], Body::from_stream(lines)).into_response())
}

/// `None`: the daemon is ending.
async fn next(watching: &mut Watching, explain: Option<&Requests>) -> Option<WatchLine> {
    match watching.subscription.take_missed() {
        0 => {}
        frames => return Some(WatchLine::Missed { frames }),
    }
    match tokio::time::timeout(SILENCE, watching.subscription.frames.recv()).await {
        Ok(observed) => {
            let observed = observed?;
            let mut row = row(&observed, &watching.names);
            if let Some(requests) = explain {
                let (reply, answer) = oneshot::channel();
                let observed = Box::new(observed);
                requests.send(Request::Explain { observed, reply }).await.ok()?;
                row.explained = answer.await.ok()?;
            }
            Some(WatchLine::Frame(Box::new(row)))
        }
        Err(_) => Some(WatchLine::Nothing),
    }
}

fn row(observed: &Observed, names: &HashMap<u32, String>) -> FrameRow {
    let name =
        |ifindex: u32| names.get(&ifindex).cloned().unwrap_or_else(|| format!("ifindex-{ifindex}"));
    FrameRow {
        time: wall_clock(observed.time),
        took: observed.took,
        cpu: observed.cpu,
        hook: observed.hook.map_or("-", |hook| hook.name()).to_owned(),
        interface: name(observed.ifindex),
        egress: (observed.egress != 0).then(|| name(observed.egress)),
        verdict: observed.outcome.map_or("unknown", |outcome| outcome.name()).to_owned(),
        reason: observed.reason.map(|reason| reason.name().to_owned()),
        before: bytes_row(&observed.before),
        after: observed.after.as_ref().map(bytes_row),
        explained: None,
    }
}

fn bytes_row(bytes: &observed::Bytes) -> BytesRow {
    let hex = hex(&bytes.captured);
    BytesRow { hex, length: bytes.len, tag: bytes.vlan, gso_size: bytes.gso_size }
}

/// ns since 1970 for a moment of the monotonic clock.
fn wall_clock(time: u64) -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    (now.as_nanos() as u64).saturating_sub(clock::now().saturating_sub(time))
}

//! Bodies on their way in: bounded in length and in time.

use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody as _};
use axum::extract::{FromRequest, Request};
use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;
use http_body_util::BodyExt as _;
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use super::problem::{Kind, Problem};

/// The longest body of a request that changes tables, in bytes.
pub const LONGEST: usize = 1 << 20;

/// How long a body may take.
pub const SLOWEST: Duration = Duration::from_secs(10);

/// How long one is listened to that is refused whatever it holds.
const MOMENT: Duration = Duration::from_secs(1);

/// A JSON body.
#[derive(Debug)]
pub struct JsonBody<T>(pub T);

impl<S: Sync, T: DeserializeOwned> FromRequest<S> for JsonBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let types = ["application/json", "application/merge-patch+json"];
        expect(request.headers(), &types)?;
        let body = collect(request.into_body(), LONGEST).await?;
        serde_json::from_slice(&body).map(Self).map_err(|error| {
            Problem::new(Kind::Request, format!("the body is not what is expected: {error}"))
        })
    }
}

/// Refuses a body that says it is in another form.
pub fn expect(headers: &HeaderMap, types: &[&str]) -> Result<(), Problem> {
    let given = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = given.split(';').next().unwrap_or_default().trim();
    if types.iter().any(|other| other.eq_ignore_ascii_case(essence)) {
        return Ok(());
    }
    let types = types.join(" or ");
    let detail = format!("the body is {given:?}; add the header Content-Type: {types}");
    Err(Problem::new(Kind::MediaType, detail))
}

/// The whole of a body.
pub async fn collect(mut body: Body, longest: usize) -> Result<Bytes, Problem> {
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    let limit = if announced > longest { MOMENT } else { SLOWEST };
    match timeout(limit, gathered(&mut body, longest)).await {
        Ok(Ok(Some(gathered))) => Ok(gathered),
        Ok(Err(problem)) if announced <= longest => Err(problem),
        Err(_) if announced <= longest => {
            let seconds = SLOWEST.as_secs();
            Err(Problem::new(Kind::TooSlow, format!("the body took longer than {seconds} s")))
        }
        _ => {
            let detail = format!("the body is longer than {longest} bytes");
            Err(Problem::new(Kind::TooLong, detail))
        }
    }
}

/// `None`: it is longer than that.
async fn gathered(body: &mut Body, longest: usize) -> Result<Option<Bytes>, Problem> {
    let (mut gathered, mut len) = (Vec::new(), 0_usize);
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| {
            Problem::new(Kind::Request, format!("the body has no end: {error}"))
        })?;
        let Ok(piece) = frame.into_data() else { continue };
        len = len.saturating_add(piece.len());
        if len <= longest {
            gathered.extend_from_slice(&piece);
        }
        // Whoever is still sending does not hear an answer, so a little more is listened to.
        if len > longest.saturating_mul(4) {
            break;
        }
    }
    Ok((len <= longest).then(|| gathered.into()))
}

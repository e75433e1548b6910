//! Bodies on their way in: bounded in length and in time.

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{FromRequest, Request};
use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use super::problem::{Kind, Problem};

/// The longest body of a request that changes tables, in bytes.
pub const LONGEST: usize = 1 << 20;

/// How long a body may take.
pub const SLOWEST: Duration = Duration::from_secs(10);

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
pub async fn collect(body: Body, longest: usize) -> Result<Bytes, Problem> {
    let collected = timeout(SLOWEST, Limited::new(body, longest).collect()).await;
    let collected = collected.map_err(|_| {
        let seconds = SLOWEST.as_secs();
        Problem::new(Kind::TooSlow, format!("the body took longer than {seconds} s"))
    })?;
    match collected {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => {
            let detail = format!("the body is longer than {longest} bytes");
            Err(Problem::new(Kind::TooLong, detail))
        }
        Err(error) => Err(Problem::new(Kind::Request, format!("the body has no end: {error}"))),
    }
}

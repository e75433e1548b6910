//! What an answer says where a request fails: a problem document (RFC 9457).

use axum::Json;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The media type of problem documents.
pub const MEDIA_TYPE: &str = "application/problem+json";

/// Where the kinds of problems are described.
pub const KINDS_PATH: &str = "/v1/problems";

/// The kinds of problems. A kind's address is its name under [`KINDS_PATH`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    /// The configuration, a change to it, or a list is wrong.
    Configuration,
    /// The request cannot be understood.
    Request,
    /// There is no such resource.
    NotFound,
    /// The resource takes other methods.
    Method,
    /// The client may only read.
    Forbidden,
    /// The body is in a form that the resource does not take.
    MediaType,
    /// Something else has changed meanwhile, or stands against it.
    Conflict,
    /// The configuration is not the one that the request is for (`If-Match`).
    Outdated,
    /// The body is too long.
    TooLong,
    /// The body came too slowly.
    TooSlow,
    /// The machine or the kernel refused.
    #[default]
    Machine,
    /// The daemon has more to do than it takes on, or is ending.
    Busy,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 12] = [
        Self::Configuration,
        Self::Request,
        Self::NotFound,
        Self::Method,
        Self::Forbidden,
        Self::MediaType,
        Self::Conflict,
        Self::Outdated,
        Self::TooLong,
        Self::TooSlow,
        Self::Machine,
        Self::Busy,
    ];

    /// Its name, the status of answers, and what it is, in a few words.
    const fn about(self) -> (&'static str, u16, &'static str) {
        match self {
            Self::Configuration => ("configuration", 422, "what was sent or read is wrong"),
            Self::Request => ("request", 400, "the request is not understood"),
            Self::NotFound => ("not-found", 404, "there is no such resource"),
            Self::Method => ("method", 405, "the resource takes other methods"),
            Self::Forbidden => ("forbidden", 403, "this client may only read"),
            Self::MediaType => ("media-type", 415, "the body is in another form"),
            Self::Conflict => ("conflict", 409, "something else stands against it"),
            Self::Outdated => ("outdated", 412, "the configuration is another one by now"),
            Self::TooLong => ("too-long", 413, "the body is too long"),
            Self::TooSlow => ("too-slow", 408, "the body came too slowly"),
            Self::Machine => ("machine", 500, "the machine or the kernel refused"),
            Self::Busy => ("busy", 503, "the daemon cannot answer now"),
        }
    }

    /// Its name.
    pub const fn name(self) -> &'static str {
        self.about().0
    }

    /// The status of answers.
    pub const fn status(self) -> u16 {
        self.about().1
    }

    /// What it is, the same for every problem of the kind.
    pub const fn title(self) -> &'static str {
        self.about().2
    }

    fn address(self) -> String {
        format!("{KINDS_PATH}/{}", self.name())
    }
}

/// Why a request failed (RFC 9457).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// The kind, a path on this server.
    #[serde(rename = "type")]
    #[schema(value_type = String)]
    pub kind: Box<str>,
    /// What the kind is.
    #[schema(value_type = String)]
    pub title: Box<str>,
    /// The status of the answer.
    pub status: u16,
    /// What was refused, and why.
    pub detail: String,
    /// The path of the request.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub instance: String,
    /// Each thing that is wrong: of a configuration with its place in the file, of a list of
    /// addresses with line and column.
    #[serde(default)]
    pub details: Vec<String>,
}

impl Problem {
    /// A problem of a kind.
    pub fn new(kind: Kind, detail: impl Into<String>) -> Self {
        Self {
            kind: kind.address().into(),
            title: kind.title().into(),
            status: kind.status(),
            detail: detail.into(),
            instance: String::new(),
            details: Vec::new(),
        }
    }

    /// One that is the machine's.
    pub fn machine(detail: impl Into<String>) -> Self {
        Self::new(Kind::Machine, detail)
    }

    /// One that is that of what was sent or read.
    pub fn configuration(detail: impl Into<String>, details: Vec<String>) -> Self {
        Self::new(Kind::Configuration, detail).with(details)
    }

    /// The daemon is ending.
    pub fn ending() -> Self {
        Self::new(Kind::Busy, "the daemon is ending")
    }

    /// With what is wrong one by one.
    #[must_use]
    pub fn with(mut self, details: Vec<String>) -> Self {
        self.details = details;
        self
    }

    /// Whether what was sent or read is at fault: the same request would fail again on any
    /// machine.
    pub const fn is_callers(&self) -> bool {
        matches!(self.status, 400 | 404 | 405 | 413 | 415 | 422)
    }
}

impl From<&anyhow::Error> for Problem {
    fn from(error: &anyhow::Error) -> Self {
        Self::machine(format!("{error:#}"))
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, Json(&self)).into_response();
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
        // Kept for whoever adds the request's path to it.
        response.extensions_mut().insert(self);
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_have_names_of_their_own() {
        let names: std::collections::BTreeSet<_> = Kind::ALL.map(Kind::name).into();
        assert_eq!(names.len(), Kind::ALL.len());
        for kind in Kind::ALL {
            assert!((400..600).contains(&kind.status()), "{kind:?}");
            assert!(!kind.title().is_empty());
        }
    }

    #[test]
    fn a_problem_survives_its_form() {
        let problem = Problem::configuration("nothing was changed", vec!["f:1:2: x".to_owned()]);
        let text = serde_json::to_string(&problem).unwrap();
        assert!(text.contains(r#""type":"/v1/problems/configuration""#), "{text}");
        assert_eq!(serde_json::from_str::<Problem>(&text).unwrap(), problem);
        assert!(problem.is_callers() && !Problem::machine("x").is_callers());
    }
}

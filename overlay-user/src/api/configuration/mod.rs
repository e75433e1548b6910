//! The configuration as a resource: what is in effect, changed as a whole, by lists of changes,
//! or table by table.
//!
//! - `request`: changes as they are sent.
//! - `options`: what a request says beside its body.
//! - `plan`: from changes to a configuration.
//! - `running`: the configuration that is in effect.
//! - `tables`: the description of each table's resource; `schema` is of their keys.

mod options;
pub mod plan;
pub mod request;
pub mod running;
mod schema;
mod tables;

use axum::Json;
use axum::body::Body;
use axum::extract::{Path as UrlPath, State};
use axum::http::header::{ACCEPT, CONTENT_TYPE, ETAG};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use overlay_control::config::edit::{self, Path, Verb};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::body::{JsonBody, collect, expect};
use super::problem::{Kind, Problem};
use super::server::Requests;
use options::Options;
use plan::{Applied, Edit, carry_out, running};
use request::Changes;
use running::Running;

/// Where the configuration is.
pub const PATH: &str = "/v1/configuration";

/// The longest text that is taken as a whole, in bytes.
const LONGEST_TEXT: usize = 16 << 20;

const TOML: &str = "application/toml";

/// The resources.
pub fn router() -> OpenApiRouter<Requests> {
    let table = get(table).put(put_table).patch(patch_table).delete(remove_table);
    OpenApiRouter::with_openapi(tables::described())
        .routes(routes!(whole, put_whole, change))
        .routes(routes!(save))
        // Described by `tables`: one path for each kind of table.
        .route("/v1/configuration/{*path}", table)
}

/// The configuration that is in effect.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct InEffect {
    /// The file that it came from.
    pub file: String,
    /// Its version, which is also its entity tag.
    pub version: String,
    /// The changes that are in effect and not in the file.
    pub ephemeral: Vec<String>,
    /// The configuration, in its own words.
    #[schema(value_type = schema::File)]
    pub configuration: Value,
}

/// What a change has changed.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct Changed {
    /// One line a change.
    pub changes: Vec<String>,
    /// What works, and not as well as it could.
    pub warnings: Vec<String>,
    /// Whether it is in the file as well.
    pub persisted: bool,
    /// Whether nothing was changed in fact.
    pub dry_run: bool,
    /// The version of what is (or would be) in effect, which is also its entity tag.
    pub version: String,
    /// The changes that are (or would be) in effect and not in the file.
    pub ephemeral: Vec<String>,
}

/// The configuration that is in effect.
///
/// As JSON, or with `Accept: application/toml` as the text that it is.
#[utoipa::path(
    get,
    path = "/v1/configuration",
    tag = "configuration",
    responses(
        (status = 200, description = "What is in effect", headers(("etag" = String)),
         content((InEffect = "application/json"), (String = "application/toml"))),
        (status = "default", description = "Whatever goes wrong", body = Problem,
         content_type = "application/problem+json")
    )
)]
async fn whole(State(requests): State<Requests>, headers: HeaderMap) -> Result<Response, Problem> {
    let running = running(&requests).await?;
    let accept = headers.get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if accept.contains(TOML) {
        let head = [(CONTENT_TYPE, TOML.to_owned()), (ETAG, tag(&running))];
        return Ok((head, running.text.to_string()).into_response());
    }
    let configuration = json_at(&running, None)?;
    let body = InEffect {
        file: running.name(),
        version: running.version(),
        ephemeral: running.ephemeral.clone(),
        configuration,
    };
    Ok(([(ETAG, tag(&running))], Json(body)).into_response())
}

/// Replaces the configuration by another text.
#[utoipa::path(
    put,
    path = "/v1/configuration",
    tag = "configuration",
    params(
        ("persist" = Option<bool>, Query, description = "Write it to the file as well"),
        ("dry_run" = Option<bool>, Query, description = "Only say what would change"),
        ("if-match" = Option<String>, Header, description = "The version that it may replace")
    ),
    request_body(content = String, content_type = "application/toml"),
    responses(
        (status = 200, description = "What has changed", body = Changed),
        (status = "default", description = "Whatever goes wrong", body = Problem,
         content_type = "application/problem+json")
    )
)]
async fn put_whole(
    State(requests): State<Requests>,
    options: Options,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    expect(&headers, &[TOML])?;
    let text = String::from_utf8(collect(body, LONGEST_TEXT).await?.to_vec())
        .map_err(|_| Problem::new(Kind::Request, "the body is not UTF-8"))?;
    made(&requests, options, Edit::Whole(text.into()), None).await
}

/// Makes changes, all of them or none.
#[utoipa::path(
    patch,
    path = "/v1/configuration",
    tag = "configuration",
    params(
        ("persist" = Option<bool>, Query, description = "Write them to the file as well"),
        ("dry_run" = Option<bool>, Query, description = "Only say what would change"),
        ("if-match" = Option<String>, Header, description = "The version that they may change")
    ),
    request_body = Changes,
    responses(
        (status = 200, description = "What has changed", body = Changed),
        (status = "default", description = "Whatever goes wrong", body = Problem,
         content_type = "application/problem+json")
    )
)]
async fn change(
    State(requests): State<Requests>,
    options: Options,
    JsonBody(changes): JsonBody<Changes>,
) -> Result<Response, Problem> {
    let changes = request::read(changes)
        .map_err(|wrong| Problem::configuration("nothing was changed", wrong))?;
    made(&requests, options, Edit::Changes(changes), None).await
}

/// Writes what is in effect to the file.
#[utoipa::path(
    post,
    path = "/v1/configuration/save",
    tag = "configuration",
    params(
        ("dry_run" = Option<bool>, Query, description = "Only say whether it would be written"),
        ("if-match" = Option<String>, Header, description = "The version that may be written")
    ),
    responses(
        (status = 200, description = "It is in the file", body = Changed),
        (status = "default", description = "Whatever goes wrong", body = Problem,
         content_type = "application/problem+json")
    )
)]
async fn save(State(requests): State<Requests>, options: Options) -> Result<Response, Problem> {
    made(&requests, Options { persist: true, ..options }, Edit::Save, None).await
}

async fn table(
    State(requests): State<Requests>,
    UrlPath(path): UrlPath<String>,
) -> Result<Response, Problem> {
    let running = running(&requests).await?;
    let value = json_at(&running, Some(&way(&path)?))?;
    Ok(([(ETAG, tag(&running))], Json(value)).into_response())
}

async fn put_table(
    State(requests): State<Requests>,
    UrlPath(path): UrlPath<String>,
    options: Options,
    JsonBody(value): JsonBody<Map<String, Value>>,
) -> Result<Response, Problem> {
    change_table(&requests, options, Verb::Put, &path, value).await
}

async fn patch_table(
    State(requests): State<Requests>,
    UrlPath(path): UrlPath<String>,
    options: Options,
    JsonBody(value): JsonBody<Map<String, Value>>,
) -> Result<Response, Problem> {
    change_table(&requests, options, Verb::Patch, &path, value).await
}

async fn remove_table(
    State(requests): State<Requests>,
    UrlPath(path): UrlPath<String>,
    options: Options,
) -> Result<Response, Problem> {
    change_table(&requests, options, Verb::Remove, &path, Map::new()).await
}

async fn change_table(
    requests: &Requests,
    options: Options,
    verb: Verb,
    path: &str,
    value: Map<String, Value>,
) -> Result<Response, Problem> {
    let path = way(path)?;
    let change = request::change(verb, path.clone(), value)
        .map_err(|wrong| Problem::configuration("nothing was changed", vec![wrong]))?;
    made(requests, options, Edit::Changes(vec![change]), Some(path)).await
}

/// Puts an edit into effect; `path` is that of the one table that it is about.
async fn made(
    requests: &Requests,
    options: Options,
    edit: Edit,
    path: Option<Path>,
) -> Result<Response, Problem> {
    let (before, after, Applied { changes, warnings }) =
        carry_out(requests, &options, edit).await?;
    let is_new = path.is_some_and(|path| {
        edit::find(&before.text, &path).is_err() && edit::find(&after.text, &path).is_ok()
    });
    let status = if is_new && !options.dry_run { StatusCode::CREATED } else { StatusCode::OK };
    let body = Changed {
        changes,
        warnings,
        persisted: options.persist && !options.dry_run,
        dry_run: options.dry_run,
        version: after.version(),
        ephemeral: after.ephemeral.clone(),
    };
    Ok((status, [(ETAG, tag(&after))], Json(body)).into_response())
}

fn way(path: &str) -> Result<Path, Problem> {
    Path::parse(path).map_err(|fault| {
        Problem::new(Kind::NotFound, "no table has this path").with(vec![fault.to_string()])
    })
}

fn json_at(running: &Running, path: Option<&Path>) -> Result<Value, Problem> {
    let table = match path {
        Some(path) => edit::find(&running.text, path),
        None => edit::whole(&running.text),
    };
    table.map(|table| request::json(&table)).map_err(|fault| {
        Problem::new(Kind::NotFound, "the configuration has no such table")
            .with(vec![fault.to_string()])
    })
}

fn tag(running: &Running) -> String {
    format!("\"{}\"", running.version())
}

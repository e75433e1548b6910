//! The OpenAPI document, made from the code.

use axum::Json;
use utoipa::openapi::{Info, License, OpenApi, OpenApiBuilder, Server};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::problem::{Kind, Problem};
use super::router;
use super::server::Requests;

/// Where the document is.
pub const PATH: &str = "/v1/openapi.json";

/// The document's beginning.
pub fn begun() -> OpenApiRouter<Requests> {
    let mut info = Info::new("Overlay", env!("CARGO_PKG_VERSION"));
    info.description = Some(
        "The control API of an Overlay gateway. It is served on the unix socket \
         /run/overlay/NAME.sock and, where [api] says so, over TCP with mutual TLS."
            .to_owned(),
    );
    info.license = Some(License::new("MIT OR Apache-2.0"));
    let servers = vec![Server::new("/")];
    OpenApiRouter::with_openapi(OpenApiBuilder::new().info(info).servers(Some(servers)).build())
}

/// Its own resource, and that of the kinds of problems.
pub fn router() -> OpenApiRouter<Requests> {
    OpenApiRouter::new().routes(routes!(document)).routes(routes!(problem))
}

/// This document.
#[utoipa::path(
    get,
    path = "/v1/openapi.json",
    tag = "about",
    responses((status = 200, description = "An OpenAPI 3.1 document", body = Object))
)]
async fn document() -> Json<OpenApi> {
    Json(router::openapi())
}

/// What a kind of problem is: the `type` of a problem leads here.
#[utoipa::path(
    get,
    path = "/v1/problems/{kind}",
    tag = "about",
    params(("kind" = String, Path, description = "The kind's name")),
    responses(
        (status = 200, description = "What all problems of the kind have", body = Problem),
        (status = "default", description = "Whatever goes wrong", body = Problem,
         content_type = "application/problem+json")
    )
)]
async fn problem(
    axum::extract::Path(name): axum::extract::Path<String>,
) -> Result<Json<Problem>, Problem> {
    let kind = Kind::ALL.into_iter().find(|kind| kind.name() == name);
    match kind {
        Some(kind) => Ok(Json(Problem::new(kind, kind.title()))),
        None => {
            let names = Kind::ALL.map(Kind::name).join(", ");
            let detail = format!("there is no kind {name:?} of problems; there are {names}");
            Err(Problem::new(Kind::NotFound, detail))
        }
    }
}

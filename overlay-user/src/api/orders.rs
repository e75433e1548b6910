//! What is ordered.

use axum::body::Body;
use axum::extract::State;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::lists;
use super::model::{Done, ListOrder, Question};
use super::problem::Problem;
use super::queries::{Answered, ask};
use super::server::Requests;

/// The orders.
pub fn router() -> OpenApiRouter<Requests> {
    OpenApiRouter::new()
        .routes(routes!(reload))
        .routes(routes!(down))
        .routes(routes!(flush))
        .routes(routes!(load))
        .routes(routes!(unload))
}

/// Applies the configuration file again.
#[utoipa::path(
    post,
    path = "/v1/reload",
    tag = "orders",
    responses(
        (status = 200, description = "What has changed", body = Done),
        (status = "default", description = "Whatever goes wrong", body = Problem,
         content_type = "application/problem+json")
    )
)]
async fn reload(State(requests): State<Requests>) -> Answered {
    ask(&requests, Question::Reload).await
}

/// Detaches everything and ends the daemon.
#[utoipa::path(
    post,
    path = "/v1/down",
    tag = "orders",
    responses(
        (status = 200, description = "What has changed", body = Done),
        (status = "default", description = "Whatever goes wrong", body = Problem,
         content_type = "application/problem+json")
    )
)]
async fn down(State(requests): State<Requests>) -> Answered {
    ask(&requests, Question::Down).await
}

/// Removes every address that was loaded.
#[utoipa::path(
    post,
    path = "/v1/fdb/flush",
    tag = "orders",
    responses(
        (status = 200, description = "What has changed", body = Done),
        (status = "default", description = "Whatever goes wrong", body = Problem,
         content_type = "application/problem+json")
    )
)]
async fn flush(State(requests): State<Requests>) -> Answered {
    ask(&requests, Question::FdbFlush).await
}

/// Loads the static addresses of a list, one a line, all of them or none.
#[utoipa::path(
    post,
    path = "/v1/fdb/load",
    tag = "orders",
    request_body(
        content = String,
        content_type = "text/plain",
        description = "SEGMENT MAC peer NAME, or SEGMENT MAC interface DEVICE [vlan ID [protocol \
                       802.1ad]], one on each line; what follows a # is skipped",
    ),
    responses(
        (status = 200, description = "What has changed", body = Done),
        (status = "default", description = "Whatever goes wrong", body = Problem,
         content_type = "application/problem+json")
    )
)]
async fn load(State(requests): State<Requests>, body: Body) -> Answered {
    lists::carry_out(ListOrder::Load, body, &requests).await
}

/// Removes the addresses of a list, which were loaded, all of them or none.
#[utoipa::path(
    post,
    path = "/v1/fdb/unload",
    tag = "orders",
    request_body(
        content = String,
        content_type = "text/plain",
        description = "SEGMENT MAC peer NAME, or SEGMENT MAC interface DEVICE [vlan ID [protocol \
                       802.1ad]], one on each line; what follows a # is skipped",
    ),
    responses(
        (status = 200, description = "What has changed", body = Done),
        (status = "default", description = "Whatever goes wrong", body = Problem,
         content_type = "application/problem+json")
    )
)]
async fn unload(State(requests): State<Requests>, body: Body) -> Answered {
    lists::carry_out(ListOrder::Unload, body, &requests).await
}

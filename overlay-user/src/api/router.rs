//! Every resource of the control socket, and what is the same for all of them.

use axum::Router;
use axum::extract::Request;
use axum::http::{Method, Uri};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;

use super::problem::{Kind, Problem};
use super::server::Requests;
use super::{document, orders, queries, sight, watch};

/// The resources, and the document that describes them. Each line is a file's.
pub fn resources() -> OpenApiRouter<Requests> {
    document::begun()
        .merge(queries::router())
        .merge(orders::router())
        .merge(watch::router())
        .merge(sight::router())
        .merge(document::router())
}

/// The document that describes the resources.
pub fn openapi() -> OpenApi {
    resources().into_openapi()
}

/// What answers requests.
pub fn router(requests: Requests) -> Router {
    let (router, _) = resources().split_for_parts();
    router
        .fallback(nothing_there)
        .method_not_allowed_fallback(another_method)
        .layer(middleware::from_fn(finished))
        .with_state(requests)
}

async fn nothing_there(uri: Uri) -> Problem {
    let detail = format!("there is no {}; {} lists what there is", uri.path(), document::PATH);
    Problem::new(Kind::NotFound, detail)
}

async fn another_method(method: Method, uri: Uri) -> Problem {
    Problem::new(Kind::Method, format!("{} does not take {method}", uri.path()))
}

/// Whatever goes wrong is a problem document, and says on which resource.
async fn finished(request: Request, next: Next) -> Response {
    let path = request.uri().path().to_owned();
    let mut response = next.run(request).await;
    if let Some(mut problem) = response.extensions_mut().remove::<Problem>() {
        problem.instance = path;
        let mut made = problem.into_response();
        // What a method's refusal allows instead, and the like.
        for (name, value) in response.headers() {
            if !made.headers().contains_key(name) {
                made.headers_mut().insert(name.clone(), value.clone());
            }
        }
        return made;
    }
    response
}

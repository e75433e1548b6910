//! Every resource of the control socket, and what is the same for all of them.

use axum::Router;
use axum::extract::Request;
use axum::http::header::{HOST, ORIGIN};
use axum::http::{HeaderMap, Method, Uri};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use overlay_control::config::Access;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;

use super::problem::{Kind, Problem};
use super::server::Requests;
use super::{configuration, document, orders, queries, sight, trace, watch};

/// The resources, and the document that describes them. Each line is a file's.
pub fn resources() -> OpenApiRouter<Requests> {
    document::begun()
        .merge(queries::router())
        .merge(orders::router())
        .merge(configuration::router())
        .merge(watch::router())
        .merge(trace::router())
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
        .layer(middleware::from_fn(permitted))
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

/// A client that may only read asks for no more. Who it is, its connection says. A browser that
/// holds a certificate does not lend it to another site's page.
async fn permitted(request: Request, next: Next) -> Response {
    let may = request.extensions().get::<Access>().copied().unwrap_or_default();
    let method = request.method();
    if matches!(*method, Method::GET | Method::HEAD) {
        return next.run(request).await;
    }
    if is_of_another_site(request.headers()) {
        let detail = format!("{method} comes from the page of another site (Origin)");
        return Problem::new(Kind::Forbidden, detail).into_response();
    }
    if may == Access::Write {
        return next.run(request).await;
    }
    let detail = format!("{method} changes something; [api] has access = \"{}\"", may.name());
    Problem::new(Kind::Forbidden, detail).into_response()
}

fn is_of_another_site(headers: &HeaderMap) -> bool {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let site = text(ORIGIN).split_once("://").map(|(_, site)| site);
    headers.contains_key(ORIGIN) && site != Some(text(HOST))
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

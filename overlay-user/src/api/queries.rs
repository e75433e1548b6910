//! What is asked: one resource for each of the tables that commands show.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use tokio::sync::{Semaphore, SemaphorePermit, oneshot};
use tokio::time::timeout;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::model::{
    AclRow, Answer, DropRow, FdbRow, NeighbourRow, PeerRow, PortRow, Question, RouteRow,
    SegmentRow, Status,
};
use super::problem::{Kind, Problem};
use super::server::{Request, Requests};

/// How long the daemon's loop may take for an answer; a reload of ten thousand peers takes some
/// seconds.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// How long a place is waited for.
const QUEUE: Duration = Duration::from_secs(10);

/// Those who read the FDB at once: each holds a copy, of 28 bytes an address.
static DUMPS: Semaphore = Semaphore::const_new(4);

/// The tables.
pub fn router() -> OpenApiRouter<Requests> {
    OpenApiRouter::new()
        .routes(routes!(status))
        .routes(routes!(ports))
        .routes(routes!(segments))
        .routes(routes!(peers))
        .routes(routes!(neighbours))
        .routes(routes!(routes))
        .routes(routes!(acls))
        .routes(routes!(drops))
        .routes(routes!(fdb))
}

/// What an answer is, or why there is none.
pub type Answered = Result<Json<Answer>, Problem>;

/// Has the daemon answer a question or carry out an order.
pub async fn ask(requests: &Requests, question: Question) -> Answered {
    let (reply, answer) = oneshot::channel();
    put(requests, Request::Question { question, reply }).await?;
    awaited(answer).await?.map(Json)
}

/// Hands a request to the daemon's loop.
pub async fn put(requests: &Requests, request: Request) -> Result<(), Problem> {
    put_within(PATIENCE, requests, request).await
}

async fn put_within(
    patience: Duration,
    requests: &Requests,
    request: Request,
) -> Result<(), Problem> {
    match timeout(patience, requests.send(request)).await {
        Ok(sent) => sent.map_err(|_| Problem::ending()),
        Err(_) => Err(Problem::new(Kind::Busy, "the daemon has more to do than it can; try again")),
    }
}

/// Waits for what the daemon's loop says.
pub async fn awaited<T>(answer: oneshot::Receiver<T>) -> Result<T, Problem> {
    awaited_within(PATIENCE, answer).await
}

async fn awaited_within<T>(patience: Duration, answer: oneshot::Receiver<T>) -> Result<T, Problem> {
    match timeout(patience, answer).await {
        Ok(answered) => answered.map_err(|_| Problem::ending()),
        Err(_) => {
            let detail = "the daemon takes too long; what was asked for may still be done";
            Err(Problem::new(Kind::Busy, detail))
        }
    }
}

/// How the instance is.
#[utoipa::path(
    get,
    path = "/v1/status",
    tag = "state",
    responses(
        (status = 200, description = "How the instance is", body = Status),
        (status = "default", description = "Whatever goes wrong", body = Problem,
         content_type = "application/problem+json")
    )
)]
async fn status(State(requests): State<Requests>) -> Answered {
    ask(&requests, Question::Status).await
}

/// Its ports, uplinks first.
#[utoipa::path(
    get,
    path = "/v1/ports",
    tag = "state",
    responses(
        (status = 200, description = "Its ports, uplinks first", body = Vec<PortRow>),
        (status = "default", description = "Whatever goes wrong", body = Problem,
         content_type = "application/problem+json")
    )
)]
async fn ports(State(requests): State<Requests>) -> Answered {
    ask(&requests, Question::Ports).await
}

/// Its segments.
#[utoipa::path(
    get,
    path = "/v1/segments",
    tag = "state",
    responses(
        (status = 200, description = "Its segments", body = Vec<SegmentRow>),
        (status = "default", description = "Whatever goes wrong", body = Problem,
         content_type = "application/problem+json")
    )
)]
async fn segments(State(requests): State<Requests>) -> Answered {
    ask(&requests, Question::Segments).await
}

/// Its peers and the ways to them.
#[utoipa::path(
    get,
    path = "/v1/peers",
    tag = "state",
    responses(
        (status = 200, description = "Its peers and the ways to them", body = Vec<PeerRow>),
        (status = "default", description = "Whatever goes wrong", body = Problem,
         content_type = "application/problem+json")
    )
)]
async fn peers(State(requests): State<Requests>) -> Answered {
    ask(&requests, Question::Peers).await
}

/// Whose the IP addresses are.
#[utoipa::path(
    get,
    path = "/v1/neighbours",
    tag = "state",
    responses(
        (status = 200, description = "Whose the IP addresses are", body = Vec<NeighbourRow>),
        (status = "default", description = "Whatever goes wrong", body = Problem,
         content_type = "application/problem+json")
    )
)]
async fn neighbours(State(requests): State<Requests>) -> Answered {
    ask(&requests, Question::Neighbours).await
}

/// Where packets are routed.
#[utoipa::path(
    get,
    path = "/v1/routes",
    tag = "state",
    responses(
        (status = 200, description = "Where packets are routed", body = Vec<RouteRow>),
        (status = "default", description = "Whatever goes wrong", body = Problem,
         content_type = "application/problem+json")
    )
)]
async fn routes(State(requests): State<Requests>) -> Answered {
    ask(&requests, Question::Routes).await
}

/// The access lists, and what their rules have held.
#[utoipa::path(
    get,
    path = "/v1/acls",
    tag = "state",
    responses(
        (status = 200, description = "The access lists, and what their rules have held", body = Vec<AclRow>),
        (status = "default", description = "Whatever goes wrong", body = Problem,
         content_type = "application/problem+json")
    )
)]
async fn acls(State(requests): State<Requests>) -> Answered {
    ask(&requests, Question::Acls).await
}

/// What was dropped, where and why.
#[utoipa::path(
    get,
    path = "/v1/drops",
    tag = "state",
    responses(
        (status = 200, description = "What was dropped, where and why", body = Vec<DropRow>),
        (status = "default", description = "Whatever goes wrong", body = Problem,
         content_type = "application/problem+json")
    )
)]
async fn drops(State(requests): State<Requests>) -> Answered {
    ask(&requests, Question::Drops).await
}

/// The FDB: one row on each line, for there may be millions.
#[utoipa::path(
    get,
    path = "/v1/fdb",
    tag = "state",
    responses(
        (status = 200, description = "Which MAC address is where", body = Vec<FdbRow>),
        (status = "default", description = "Whatever goes wrong", body = Problem,
         content_type = "application/problem+json")
    )
)]
async fn fdb(State(requests): State<Requests>) -> Result<Response, Problem> {
    let place = place(&DUMPS).await?;
    let (reply, dump) = oneshot::channel();
    put(&requests, Request::Fdb { reply }).await?;
    Ok(awaited(dump).await?.respond(place))
}

/// A place among those who hold a copy of a large table.
pub async fn place(places: &'static Semaphore) -> Result<SemaphorePermit<'static>, Problem> {
    place_within(QUEUE, places).await
}

async fn place_within(
    patience: Duration,
    places: &'static Semaphore,
) -> Result<SemaphorePermit<'static>, Problem> {
    match timeout(patience, places.acquire()).await {
        Ok(place) => place.map_err(|_| Problem::ending()),
        Err(_) => {
            let detail = "others read or send large tables at this moment; try again";
            Err(Problem::new(Kind::Busy, detail))
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc;

    use super::*;

    const SHORT: Duration = Duration::from_millis(20);

    fn request() -> (Request, oneshot::Receiver<Result<Answer, Problem>>) {
        let (reply, answer) = oneshot::channel();
        (Request::Question { question: Question::Status, reply }, answer)
    }

    #[tokio::test]
    async fn a_daemon_that_is_too_slow_is_told_of() {
        static NONE: Semaphore = Semaphore::const_new(0);
        let said = |problem: Problem| (problem.status, problem.detail);
        let (requests, mut asked) = mpsc::channel(1);
        let (first, answer) = request();
        put_within(SHORT, &requests, first).await.unwrap();
        let full = put_within(SHORT, &requests, request().0).await.unwrap_err();
        let sentence = "the daemon has more to do than it can; try again";
        assert_eq!(said(full), (503, sentence.to_owned()));
        let late = awaited_within(SHORT, answer).await.unwrap_err();
        let sentence = "the daemon takes too long; what was asked for may still be done";
        assert_eq!(said(late), (503, sentence.to_owned()));
        let crowded = place_within(SHORT, &NONE).await.unwrap_err();
        let sentence = "others read or send large tables at this moment; try again";
        assert_eq!(said(crowded), (503, sentence.to_owned()));
        asked.close();
        let ending = put_within(SHORT, &requests, request().0).await.unwrap_err();
        assert_eq!(said(ending), (503, "the daemon is ending".to_owned()));
    }

    #[tokio::test]
    async fn who_finds_no_place_is_told_and_a_place_is_given_back() {
        static PLACES: Semaphore = Semaphore::const_new(2);
        let short = Duration::from_millis(20);
        let first = place_within(short, &PLACES).await.expect("the first place");
        let _second = place_within(short, &PLACES).await.expect("the second place");
        let problem = place_within(short, &PLACES).await.expect_err("a third place");
        assert_eq!(problem.status, 503, "{problem:?}");
        // Whoever waits gets the place that becomes free.
        let waits = tokio::spawn(place_within(Duration::from_secs(60), &PLACES));
        tokio::task::yield_now().await;
        drop(first);
        drop(waits.await.expect("it ended").expect("the place that is free"));
    }

    #[test]
    fn there_are_as_many_places_as_the_book_says() {
        let book = include_str!("../../../docs/src/api.md");
        let row = format!(
            "| FDBs that are read at once, lists that are sent at once | {}, {} | 503 after {} s |",
            DUMPS.available_permits(),
            super::super::lists::LISTS.available_permits(),
            QUEUE.as_secs()
        );
        assert!(book.contains(&row), "docs/src/api.md lacks: {row}");
        let row = format!(
            "| client that takes nothing of its answer | {} s |",
            super::super::patience::PATIENCE.as_secs()
        );
        assert!(book.contains(&row), "docs/src/api.md lacks: {row}");
    }
}

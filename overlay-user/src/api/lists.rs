//! Lists of addresses on their way in: read as they come, beside the daemon's
//! loop, which gets them as a whole or not at all.

use axum::Json;
use axum::body::Body;
use futures_util::StreamExt as _;
use overlay_control::addresses::{LineError, List, Reader};
use tokio::sync::{Semaphore, oneshot};

use super::model::ListOrder;
use super::problem::{Kind, Problem};
use super::queries::{Answered, awaited, place, put};
use super::server::{Request, Requests};

/// Lists that are read at once: each takes 16 bytes an address.
pub static LISTS: Semaphore = Semaphore::const_new(8);

/// Reads a request's body and has the daemon carry the order out.
pub async fn carry_out(order: ListOrder, body: Body, requests: &Requests) -> Answered {
    let _place = place(&LISTS).await?;
    let (reply, names) = oneshot::channel();
    put(requests, Request::Names { reply }).await?;
    let list = read(Reader::new(awaited(names).await?, order.purpose()), body).await?;
    let (reply, answer) = oneshot::channel();
    put(requests, Request::List { order, list, reply }).await?;
    awaited(answer).await?.map(Json)
}

/// A list with errors is read to its end as well: whoever sends it listens only
/// then.
async fn read(mut reader: Reader, body: Body) -> Result<List, Problem> {
    let mut pieces = body.into_data_stream();
    while let Some(piece) = pieces.next().await {
        let piece = piece.map_err(|error| {
            let detail = format!("the list has no end: {error}; nothing was changed");
            Problem::new(Kind::Request, detail)
        })?;
        reader.push(&piece);
    }
    reader.finish().map_err(refused)
}

/// A failure that is the list's.
pub fn refused(errors: Vec<LineError>) -> Problem {
    let details = errors.iter().map(ToString::to_string).collect();
    Problem::configuration("nothing was changed", details)
}

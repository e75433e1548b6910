//! Lists of addresses on their way in: read as they come, beside the daemon's
//! loop, which gets them as a whole or not at all.

use axum::body::Body;
use futures_util::StreamExt as _;
use overlay_control::addresses::{LineError, List, Reader};
use tokio::sync::{mpsc, oneshot};

use super::model::{Answer, Failure, ListOrder};
use super::server::Request;

/// Reads a request's body and has the daemon carry the order out. `None`: the
/// daemon is ending.
pub async fn carry_out(
    order: ListOrder,
    body: Body,
    requests: &mpsc::Sender<Request>,
) -> Option<Result<Answer, Failure>> {
    let (reply, names) = oneshot::channel();
    requests.send(Request::Names { reply }).await.ok()?;
    let list = match read(Reader::new(names.await.ok()?, order.purpose()), body).await {
        Ok(list) => list,
        Err(failure) => return Some(Err(failure)),
    };
    let (reply, answer) = oneshot::channel();
    requests.send(Request::List { order, list, reply }).await.ok()?;
    answer.await.ok()
}

/// A list with errors is read to its end as well: whoever sends it listens only
/// then.
async fn read(mut reader: Reader, body: Body) -> Result<List, Failure> {
    let mut pieces = body.into_data_stream();
    while let Some(piece) = pieces.next().await {
        let piece = piece.map_err(|error| Failure {
            error: format!("the list has no end: {error}; nothing was changed"),
            ..Failure::default()
        })?;
        reader.push(&piece);
    }
    reader.finish().map_err(refused)
}

/// A failure that is the list's.
pub fn refused(errors: Vec<LineError>) -> Failure {
    Failure {
        error: "nothing was changed".to_owned(),
        details: errors.iter().map(ToString::to_string).collect(),
        is_configuration: true,
    }
}

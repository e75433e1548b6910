//! Answers of the daemon, kept for a moment. However many look at the page, the daemon's loop is
//! asked each question once in that time.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use axum::body::Bytes;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse as _, Response};
use tokio::sync::Mutex;
use tokio::sync::mpsc::WeakSender;

use super::QUESTIONS;
use crate::api::model::Question;
use crate::api::problem::Problem;
use crate::api::queries::ask;
use crate::api::server::Request;

/// How old an answer may be.
const AGE: Duration = Duration::from_millis(900);

/// An answer and when it was asked for.
type Answer = Mutex<Option<(Instant, Bytes)>>;

/// The answers.
pub struct Kept {
    requests: WeakSender<Request>,
    answers: HashMap<&'static str, Answer>,
}

impl Kept {
    /// None yet.
    pub fn new(requests: WeakSender<Request>) -> Self {
        let answers = QUESTIONS.map(|question| (question.path(), Mutex::default()));
        Self { requests, answers: HashMap::from(answers) }
    }

    /// The answer to a question, or why there is none.
    pub async fn answer(&self, question: Question) -> Response {
        match self.bytes(question).await {
            Ok(bytes) => ([(CONTENT_TYPE, "application/json")], bytes).into_response(),
            Err(problem) => problem.into_response(),
        }
    }

    /// Whoever asks while somebody else does waits for that answer.
    async fn bytes(&self, question: Question) -> Result<Bytes, Problem> {
        let Some(kept) = self.answers.get(question.path()) else { return Err(Problem::ending()) };
        let mut kept = kept.lock().await;
        if let Some((_, bytes)) = kept.as_ref().filter(|(asked, _)| asked.elapsed() < AGE) {
            return Ok(bytes.clone());
        }
        let requests = self.requests.upgrade().ok_or_else(Problem::ending)?;
        let asked = Instant::now();
        let answer = ask(&requests, question).await?.0;
        let bytes = serde_json::to_vec(&answer)
            .map_err(|error| Problem::machine(format!("the answer cannot be written: {error}")))?;
        let bytes = Bytes::from(bytes);
        *kept = Some((asked, bytes.clone()));
        Ok(bytes)
    }
}

//! The web page: the gateway as a picture and in tables, to look at.
//!
//! Off unless `[web]` is configured. It is a server of its own beside the control socket: plain
//! HTTP, of which only reading is served, and only what the page needs.
//!
//! - [`guard`]: who is let in: methods, and names against DNS rebinding; what every answer
//!   forbids the browser.
//! - [`kept`]: answers of the daemon, kept for a moment, so that many viewers cost no more than
//!   one.
//! - [`listener`]: connections: how many, and how long they may take.

pub mod guard;
mod kept;
mod listener;

use std::sync::Arc;

use anyhow::{Context as _, Result};
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::{Router, middleware};
use overlay_control::config;
use tokio::sync::mpsc::WeakSender;
use tokio::task::JoinHandle;

use super::model::Question;
use super::problem::{Kind, Problem};
use super::server::Request;
use guard::Guard;
use kept::Kept;

/// What the page consists of: path, media type, text.
const FILES: [(&str, &str, &str); 4] = [
    ("/", "text/html; charset=utf-8", include_str!("page.html")),
    ("/page.css", "text/css; charset=utf-8", include_str!("page.css")),
    ("/page.js", "text/javascript; charset=utf-8", include_str!("page.js")),
    ("/icon.svg", "image/svg+xml", include_str!("icon.svg")),
];

/// What the page asks.
const QUESTIONS: [Question; 5] =
    [Question::Status, Question::Ports, Question::Segments, Question::Peers, Question::Drops];

/// The running server; dropping it ends it.
pub struct Web {
    /// What it was started for.
    pub config: config::Web,
    task: JoinHandle<()>,
}

impl Web {
    /// Serves the page. It asks over `requests` for as long as somebody else holds those.
    ///
    /// # Errors
    ///
    /// The address cannot be listened on.
    pub fn start(config: config::Web, requests: WeakSender<Request>) -> Result<Self> {
        let listening = listener::open(config.listen)
            .with_context(|| format!("the web page cannot be served on {}", config.listen))?;
        let router = router(Guard::new(&config.hosts), requests);
        Ok(Self { config, task: tokio::spawn(listener::serve(listening, router)) })
    }
}

impl Drop for Web {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What answers requests.
pub fn router(guard: Guard, requests: WeakSender<Request>) -> Router {
    let mut router = Router::new();
    for (path, media_type, text) in FILES {
        let file = move || async move { file(media_type, text) };
        router = router.route(path, get(file));
    }
    for question in QUESTIONS {
        let read = move |State(kept): State<Arc<Kept>>| async move { kept.answer(question).await };
        router = router.route(question.path(), get(read));
    }
    router
        .fallback(async || Problem::new(Kind::NotFound, "there is no such page"))
        .layer(middleware::from_fn_with_state(Arc::new(guard), guard::pass))
        .with_state(Arc::new(Kept::new(requests)))
}

fn file(media_type: &'static str, text: &'static str) -> Response {
    ([(CONTENT_TYPE, media_type)], text).into_response()
}

#[cfg(test)]
mod tests;

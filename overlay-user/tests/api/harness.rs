//! A server in a directory of its own, and a client that sees every byte.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result};
use overlay_user::api::server::{Request, Server};
use overlay_user::api::{Answer, Problem, Status};
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::sync::mpsc;

/// A server with a daemon that knows its name and nothing else.
pub struct Api {
    pub socket: PathBuf,
    _directory: TempDir,
    _server: Server,
}

impl Api {
    pub fn start() -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let socket = directory.path().join("gw1.sock");
        let (server, requests) = Server::start(&socket)?;
        tokio::spawn(daemon(requests));
        Ok(Self { socket, _directory: directory, _server: server })
    }

    /// Sends a request as it stands and reads to the end of the connection.
    pub async fn exchange(&self, request: &str) -> Result<Answered> {
        let mut stream = UnixStream::connect(&self.socket).await?;
        stream.write_all(request.as_bytes()).await?;
        let mut text = Vec::new();
        let read = stream.read_to_end(&mut text);
        tokio::time::timeout(Duration::from_secs(20), read).await.context("no end")??;
        Answered::parse(&String::from_utf8(text)?)
    }

    /// A request without a body.
    pub async fn ask(&self, method: &str, path: &str) -> Result<Answered> {
        self.exchange(&format!("{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"))
            .await
    }
}

async fn daemon(mut requests: mpsc::Receiver<Request>) {
    while let Some(request) = requests.recv().await {
        if let Request::Question { reply, .. } = request {
            let status = Status { name: "gw1".to_owned(), ..Status::default() };
            let _ = reply.send(Ok::<_, Problem>(Answer::Status(Box::new(status))));
        }
    }
}

/// An answer.
#[derive(Debug)]
pub struct Answered {
    pub status: u16,
    pub headers: BTreeMap<String, String>,
    pub body: String,
}

impl Answered {
    fn parse(text: &str) -> Result<Self> {
        let (head, body) = text.split_once("\r\n\r\n").with_context(|| text.to_owned())?;
        let mut lines = head.lines();
        let status = lines.next().and_then(|line| line.split(' ').nth(1)).context("a status")?;
        let headers = lines
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
            .collect();
        Ok(Self { status: status.parse()?, headers, body: body.to_owned() })
    }

    pub fn json(&self) -> Result<Value> {
        serde_json::from_str(&self.body).with_context(|| self.body.clone())
    }
}

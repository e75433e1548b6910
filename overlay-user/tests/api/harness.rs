//! A server in a directory of its own, and a client that sees every byte.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use overlay_user::api::configuration::plan::{Applied, Refused};
use overlay_user::api::configuration::running::{Plan, Running};
use overlay_user::api::server::{Request, Server};
use overlay_user::api::{Answer, Problem, Status};
use overlay_user::events::Log;
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::sync::mpsc;

/// What the daemon's file says.
pub const FILE: &str = r#"[node]
name = "gw1"
vtep = "192.0.2.1"   # eth0's

[[uplink]]
interface = "eth0"

[[segment]]
name = "blue"
vni = 100

[[peer]]
name = "gw2"
vtep = "192.0.2.2"
segments = ["blue"]
"#;

/// A server with a daemon that has a configuration and nothing else.
pub struct Api {
    pub socket: PathBuf,
    pub file: PathBuf,
    pub server: Server,
    pub directory: TempDir,
}

impl Api {
    pub fn start() -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let socket = directory.path().join("gw1.sock");
        let file = directory.path().join("overlay.toml");
        std::fs::write(&file, FILE)?;
        let (server, requests) = Server::start(&socket)?;
        tokio::spawn(daemon(requests, Running::of_file(file.clone(), FILE.to_owned())));
        Ok(Self { socket, file, server, directory })
    }

    pub async fn connect(&self) -> Result<UnixStream> {
        Ok(UnixStream::connect(&self.socket).await?)
    }

    /// Sends a request as it stands and reads to the end of the connection.
    pub async fn exchange(&self, request: &str) -> Result<Answered> {
        let mut stream = self.connect().await?;
        stream.write_all(request.as_bytes()).await?;
        answer(&mut stream).await
    }

    /// A request without a body.
    pub async fn ask(&self, method: &str, path: &str) -> Result<Answered> {
        self.send(method, path, "", "").await
    }

    /// A request with these header lines and this body.
    pub async fn send(
        &self,
        method: &str,
        path: &str,
        headers: &str,
        body: &str,
    ) -> Result<Answered> {
        self.exchange(&format!(
            "{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{headers}\
             content-length: {}\r\n\r\n{body}",
            body.len()
        ))
        .await
    }

    /// A request with a JSON body.
    pub async fn json(&self, method: &str, path: &str, body: &Value) -> Result<Answered> {
        let headers = "content-type: application/json\r\n";
        self.send(method, path, headers, &body.to_string()).await
    }
}

/// Reads an answer to the end of its connection.
pub async fn answer(stream: &mut UnixStream) -> Result<Answered> {
    let mut text = Vec::new();
    let read = stream.read_to_end(&mut text);
    match tokio::time::timeout(Duration::from_secs(60), read).await.context("no end")? {
        // What was sent and not read is thrown away, which says so once the answer is read.
        Err(error) if error.kind() != ErrorKind::ConnectionReset => return Err(error.into()),
        _ => {}
    }
    Answered::parse(&String::from_utf8(text)?)
}

async fn daemon(mut requests: mpsc::Receiver<Request>, mut running: Running) {
    let log = Arc::new(Log::default());
    while let Some(request) = requests.recv().await {
        match request {
            Request::Question { reply, .. } => {
                let status = Status { name: "gw1".to_owned(), ..Status::default() };
                let _ = reply.send(Ok::<_, Problem>(Answer::Status(Box::new(status))));
            }
            Request::Events { reply } => {
                let _ = reply.send(Arc::clone(&log));
            }
            Request::Running { reply } => {
                let _ = reply.send(running.clone());
            }
            Request::Apply { plan, reply } => {
                let _ = reply.send(apply(*plan, &mut running));
            }
            _ => {}
        }
    }
}

fn apply(plan: Plan, running: &mut Running) -> Result<Applied, Refused> {
    if plan.base != running.text {
        return Err(Refused::Moved);
    }
    if !plan.dry_run {
        if let Some(staged) = plan.file.and_then(|planned| planned.staged) {
            let edited = |_| Problem::machine("the file was edited");
            staged.check().map_err(edited)?;
            staged.commit().map_err(|error| Problem::from(&error))?;
        }
        *running = plan.running;
    }
    Ok(Applied::default())
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

//! Those who ask a gateway over its control socket: well, badly, halfway, and without listening.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use overlay_testbed::patient;

const PATIENCE: Duration = Duration::from_secs(20);

/// Requests that are no good, and how the answer may begin; nothing at all for those that are
/// not worth one.
const BAD: [(&str, &[&str]); 13] = [
    ("GET /v1/nonesuch HTTP/1.1\r\nhost: x\r\n", &["404"]),
    ("PUT /v1/status HTTP/1.1\r\nhost: x\r\n", &["405"]),
    ("BREW /v1/status HTTP/1.1\r\nhost: x\r\n", &["405"]),
    ("GET /v1/../../etc/passwd HTTP/1.1\r\nhost: x\r\n", &["404"]),
    ("DELETE /v1/configuration/peer/nobody HTTP/1.1\r\nhost: x\r\n", &["404"]),
    ("GET /v1/configuration/segment HTTP/1.1\r\nhost: x\r\n", &["400", "404"]),
    ("GET /v1/events?since=soon HTTP/1.1\r\nhost: x\r\n", &["400", "422"]),
    ("PATCH /v1/configuration HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\n", &["415"]),
    (
        "PUT /v1/configuration/peer/x HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n\
         content-length: 0\r\n",
        &["400", "422"],
    ),
    ("POST /v1/watch HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n", &["400", "415", "422"]),
    ("GET / SPDY/9\r\n", &["400"]),
    ("\0\0\0\u{1}\u{7f}", &["400"]),
    ("GET /v1/status HTTP/1.1\r\nhost: x\r\ncontent-length: -7\r\n", &["400"]),
];

/// What a reader asks for that never takes it.
const UNREAD: [&str; 4] = [
    "GET /v1/events?follow=true HTTP/1.1\r\nhost: x\r\n\r\n",
    "GET /v1/fdb HTTP/1.1\r\nhost: x\r\n\r\n",
    "GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n",
    "GET /v1/openapi.json HTTP/1.1\r\nhost: x\r\n\r\n",
];

/// Beginnings of requests.
const HALVES: [&str; 4] = [
    "",
    "GET /v1/sta",
    "PATCH /v1/configuration HTTP/1.1\r\nhost: x\r\n",
    "POST /v1/fdb/load HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\nblue 02:",
];

fn connect(name: &str) -> Result<UnixStream> {
    let path = format!("/run/overlay/{name}.sock");
    let stream = UnixStream::connect(&path).with_context(|| format!("connecting to {path}"))?;
    stream.set_read_timeout(Some(patient(PATIENCE)))?;
    stream.set_write_timeout(Some(patient(PATIENCE)))?;
    Ok(stream)
}

/// The body of what a resource answers.
pub fn get(name: &str, path: &str) -> Result<String> {
    let mut stream = connect(name)?;
    let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut text = String::new();
    stream.read_to_string(&mut text).with_context(|| format!("reading {path}"))?;
    let (head, body) = text.split_once("\r\n\r\n").context("an answer without a head")?;
    ensure!(head.starts_with("HTTP/1.1 200"), "{path}: {head}");
    Ok(body.to_owned())
}

/// Sends every request that is no good, each of which is refused.
pub fn ask_badly(name: &str) -> Result<()> {
    for (request, wanted) in BAD {
        let mut stream = connect(name)?;
        let _ = stream.write_all(format!("{request}connection: close\r\n\r\n").as_bytes());
        let mut answer = Vec::new();
        // Where more was sent than is read, the end is a reset.
        let _ = stream.take(1 << 16).read_to_end(&mut answer);
        let answer = String::from_utf8_lossy(&answer);
        let status = answer.split(' ').nth(1).unwrap_or_default();
        ensure!(wanted.contains(&status), "{request:?}: {status:?}, not {wanted:?}: {answer}");
    }
    Ok(())
}

/// Connections on which a request has begun and goes no further.
pub fn half_open(name: &str, count: usize) -> Result<Vec<UnixStream>> {
    let open = |number: usize| {
        let mut stream = connect(name)?;
        stream.write_all(HALVES[number % HALVES.len()].as_bytes())?;
        Ok(stream)
    };
    (0..count).map(open).collect()
}

/// Connections on which nobody reads what is answered.
pub fn deaf(name: &str, count: usize) -> Result<Vec<UnixStream>> {
    let open = |number: usize| {
        let mut stream = connect(name)?;
        stream.write_all(UNREAD[number % UNREAD.len()].as_bytes())?;
        Ok(stream)
    };
    (0..count).map(open).collect()
}

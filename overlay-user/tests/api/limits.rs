//! What a client may take: bytes, time, and connections. Others are answered meanwhile.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use overlay_user::api::server::CONNECTIONS;
use overlay_user::events::reader::FOLLOWERS;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::harness::{Api, answer};
use crate::problems::expect;

/// Longer than any limit of time, shorter than for ever.
const LONG: Duration = Duration::from_secs(60);

async fn is_answered(api: &Api) -> Result<()> {
    let begun = Instant::now();
    let status = api.ask("GET", "/v1/status").await?;
    ensure!(status.status == 200, "{status:?}");
    ensure!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    Ok(())
}

#[tokio::test]
async fn a_head_that_drips_in_is_not_waited_for() -> Result<()> {
    let api = Api::start()?;
    let mut slow = Vec::new();
    for _ in 0..20 {
        slow.push(api.connect().await?);
    }
    let begun = Instant::now();
    let mut ended = 0;
    while begun.elapsed() < LONG && ended < slow.len() {
        ended = 0;
        for stream in &mut slow {
            let gone = stream.write_all(b"GET /v1/status HTTP/1.1\r\nx: y\r\n").await.is_err();
            ended += usize::from(gone);
        }
        is_answered(&api).await?;
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    ensure!(ended == slow.len(), "{ended} of {} connections ended", slow.len());
    Ok(())
}

#[tokio::test]
async fn a_silent_connection_ends() -> Result<()> {
    let api = Api::start()?;
    let mut stream = api.connect().await?;
    let mut rest = Vec::new();
    let read = tokio::time::timeout(LONG, stream.read_to_end(&mut rest)).await;
    ensure!(read.is_ok(), "it is kept for ever");
    // The same between two requests of one connection.
    let mut stream = api.connect().await?;
    stream.write_all(b"GET /v1/status HTTP/1.1\r\nhost: x\r\n\r\n").await?;
    let read = tokio::time::timeout(LONG, stream.read_to_end(&mut rest)).await;
    ensure!(read.is_ok() && rest.starts_with(b"HTTP/1.1 200"), "it is kept for ever");
    Ok(())
}

#[tokio::test]
async fn a_body_that_drips_in_is_not_waited_for() -> Result<()> {
    let api = Api::start()?;
    let mut stream = api.connect().await?;
    let head = "PATCH /v1/configuration HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\
                content-type: application/json\r\ncontent-length: 100000\r\n\r\n{";
    stream.write_all(head.as_bytes()).await?;
    let (mut reading, mut writing) = stream.into_split();
    let drip = tokio::spawn(async move {
        while writing.write_all(b" ").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    });
    let mut text = vec![0; 4096];
    let read = tokio::time::timeout(LONG, reading.read(&mut text)).await??;
    drip.abort();
    let text = String::from_utf8_lossy(&text[..read]).into_owned();
    ensure!(text.starts_with("HTTP/1.1 408"), "{text}");
    ensure!(text.contains("the body took longer than 10 s"), "{text}");
    is_answered(&api).await
}

#[tokio::test]
async fn what_is_too_long_is_refused() -> Result<()> {
    let api = Api::start()?;
    let body = "x".repeat((1 << 20) + 1);
    let headers = "content-type: application/json\r\n";
    let path = "/v1/configuration";
    let mut stream = api.connect().await?;
    let head = format!(
        "PATCH {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{headers}content-length: {}\r\n\r\n",
        body.len()
    );
    // It may be refused before all of it is out.
    let _ = stream.write_all(head.as_bytes()).await;
    let _ = stream.write_all(body.as_bytes()).await;
    expect(&answer(&mut stream).await?, 413, "too-long", path)?;
    let head = format!("x: {}\r\n", "y".repeat(20_000));
    let answered = api.send("GET", "/v1/status", &head, "").await?;
    ensure!(answered.status == 431, "{answered:?}");
    let fields = "x: y\r\n".repeat(100);
    let answered = api.send("GET", "/v1/status", &fields, "").await?;
    ensure!(answered.status == 431, "{answered:?}");
    is_answered(&api).await
}

#[tokio::test]
async fn what_says_that_it_is_too_long_is_not_waited_for() -> Result<()> {
    let api = Api::start()?;
    let mut stream = api.connect().await?;
    let path = "/v1/configuration";
    let head = format!(
        "PATCH {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\
         content-type: application/json\r\ncontent-length: 1048577\r\n\r\n{{"
    );
    stream.write_all(head.as_bytes()).await?;
    // Whoever waits for the rest says after ten seconds that it came too slowly.
    expect(&answer(&mut stream).await?, 413, "too-long", path)?;
    is_answered(&api).await
}

#[tokio::test]
async fn there_are_so_many_connections_and_no_more() -> Result<()> {
    let api = Api::start()?;
    let mut held = Vec::new();
    for _ in 0..CONNECTIONS {
        held.push(api.connect().await?);
    }
    let mut more = api.connect().await?;
    let answered = answer(&mut more).await?;
    ensure!(answered.status == 503 && answered.headers["retry-after"] == "1", "{answered:?}");
    ensure!(answered.json()?["type"] == "/v1/problems/busy");
    held.clear();
    let begun = Instant::now();
    while is_answered(&api).await.is_err() {
        ensure!(begun.elapsed() < LONG, "places are not given back");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}

#[tokio::test]
async fn so_many_follow_the_events_and_no_more() -> Result<()> {
    let api = Api::start()?;
    let path = "/v1/events?follow=true";
    let mut followers = Vec::new();
    for _ in 0..FOLLOWERS {
        let mut stream = api.connect().await?;
        stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n").as_bytes()).await?;
        let mut head = [0; 12];
        tokio::time::timeout(LONG, stream.read_exact(&mut head)).await??;
        ensure!(&head == b"HTTP/1.1 200", "{}", String::from_utf8_lossy(&head));
        followers.push(stream);
    }
    let answered = api.ask("GET", path).await?;
    let said = answered.json()?["detail"].clone();
    ensure!(answered.status == 503, "{answered:?}");
    ensure!(said == "64 readers follow the events already; end one of them", "{said}");
    let once = api.ask("GET", "/v1/events").await?;
    ensure!(once.status == 200, "whoever does not follow takes no place: {once:?}");
    Ok(())
}

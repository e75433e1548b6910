//! What each problem says, in its whole sentence.

use anyhow::{Result, ensure};
use overlay_control::config::edit::MAX_CHANGES;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;

use crate::harness::{Answered, Api, answer};

const JSON: &str = "content-type: application/json\r\n";
const TOML: &str = "content-type: application/toml\r\n";
const PATH: &str = "/v1/configuration";

/// The detail and the details of a problem, one on each line.
fn said(answered: &Answered) -> Result<String> {
    let problem = answered.json()?;
    let details = problem["details"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let detail = problem["detail"].as_str().unwrap_or_default();
    Ok(std::iter::once(detail).chain(details).collect::<Vec<_>>().join("\n"))
}

/// Each row: method, path, header lines, body, and what the answer says.
type Row<'a> = (&'a str, &'a str, &'a str, &'a str, u16, &'a str);

async fn each(rows: &[Row<'_>]) -> Result<()> {
    let api = Api::start()?;
    for (method, path, headers, body, status, sentence) in rows {
        let answered = api.send(method, path, headers, body).await?;
        let said = said(&answered)?;
        ensure!(answered.status == *status && said == *sentence, "{method} {path}: {answered:?}");
    }
    Ok(())
}

#[tokio::test]
async fn of_resources_and_methods() -> Result<()> {
    each(&[
        ("GET", "/x", "", "", 404, "there is no /x; /v1/openapi.json lists what there is"),
        ("POST", "/v1/status", "", "", 405, "/v1/status does not take POST"),
        (
            "POST",
            "/v1/reload",
            "origin: https://evil.example\r\n",
            "",
            403,
            "POST comes from the page of another site (Origin)",
        ),
        (
            "GET",
            "/v1/problems/x",
            "",
            "",
            404,
            "there is no kind \"x\" of problems; there are configuration, request, not-found, \
             method, forbidden, media-type, conflict, outdated, too-long, too-slow, machine, busy",
        ),
        (
            "GET",
            "/v1/events?since=first",
            "",
            "",
            400,
            "Failed to deserialize query string: since: invalid digit found in string; it takes \
             since=NUMBER and follow=true",
        ),
    ])
    .await
}

#[tokio::test]
async fn of_bodies() -> Result<()> {
    let long = "x".repeat((1 << 20) + 1);
    each(&[
        (
            "PATCH",
            PATH,
            "",
            "{}",
            415,
            "the body is \"\"; add the header Content-Type: application/json or \
             application/merge-patch+json",
        ),
        (
            "PATCH",
            PATH,
            JSON,
            "{}",
            400,
            "the body is not what is expected: missing field `changes` at line 1 column 2",
        ),
        ("PATCH", PATH, JSON, &long, 413, "the body is longer than 1048576 bytes"),
    ])
    .await?;
    let api = Api::start()?;
    let mut stream = api.connect().await?;
    let head = format!(
        "PUT {PATH} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{TOML}content-length: 2\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(b"\xff\xfe").await?;
    let sentence = said(&answer(&mut stream).await?)?;
    ensure!(sentence == "the body is not UTF-8", "{sentence}");

    // Chunks whose lengths are none.
    let mut stream = api.connect().await?;
    let head = head.replace("content-length: 2", "transfer-encoding: chunked");
    stream.write_all(format!("{head}x\r\n").as_bytes()).await?;
    let sentence = said(&answer(&mut stream).await?)?;
    ensure!(sentence.starts_with("the body has no end: "), "{sentence}");
    Ok(())
}

#[tokio::test]
async fn of_options_and_paths() -> Result<()> {
    let delete = |query: &str| format!("{PATH}/peer/gw2?{query}");
    let (yes, presist) = (delete("persist=yes"), delete("presist"));
    let (nowhere, nobody) = (format!("{PATH}/peers/gw2"), format!("{PATH}/peer/gw9"));
    each(&[
        (
            "DELETE",
            &yes,
            "",
            "",
            400,
            "persist=\"yes\" is neither true nor false; there are persist=true and dry_run=true",
        ),
        (
            "DELETE",
            &presist,
            "",
            "",
            400,
            "unknown parameter \"presist\"; there are persist=true and dry_run=true",
        ),
        (
            "GET",
            &nowhere,
            "",
            "",
            404,
            "no table has this path\nthere is no \"peers\" in a configuration\n  help: did you \
             mean peer? a configuration has node, api, metrics, web, uplink/INTERFACE, \
             segment/NAME, vrf/NAME, peer/NAME",
        ),
        (
            "GET",
            &nobody,
            "",
            "",
            404,
            "the configuration has no such table\nthere is no peer/gw9 in the configuration\n  \
             help: the configuration has peer gw2",
        ),
    ])
    .await
}

#[tokio::test]
async fn of_changes() -> Result<()> {
    let put = |value: Value| json!({"put": "peer/gw2", "value": value});
    let many: Vec<Value> = (0..=MAX_CHANGES).map(|_| json!({"remove": "peer/gw2"})).collect();
    for (changes, sentence) in [
        (
            vec![],
            "nothing was changed\nthere is no change: add { \"put\": \"peer/gw2\", \"value\": … }",
        ),
        (many, "nothing was changed\nthese are more than 4096 changes; send several requests"),
        (
            vec![json!({"put": "peer/gw2", "remove": "peer/gw2"})],
            "nothing was changed\nchange 1: it needs one of put, patch, insert and remove",
        ),
        (
            vec![put(json!({"mtu": null}))],
            "nothing was changed\nchange 1: peer/gw2: mtu is null; leave it out, or patch the \
             table it is in",
        ),
        (
            vec![put(json!({"mtu": 1.5}))],
            "nothing was changed\nchange 1: peer/gw2: mtu is 1.5, no integer of 64 bits",
        ),
    ] {
        let api = Api::start()?;
        let answered = api.json("PATCH", PATH, &json!({ "changes": changes })).await?;
        let said = said(&answered)?;
        ensure!(answered.status == 422 && said == sentence, "{answered:?}");
    }
    Ok(())
}

#[tokio::test]
async fn of_what_cannot_be_written_to_the_file() -> Result<()> {
    let api = Api::start()?;
    let green = json!({"changes": [{"put": "segment/green", "value": {"vni": 200}}]});
    ensure!(api.json("PATCH", PATH, &green).await?.status == 200);
    let port = json!({
        "changes": [{"put": "segment/green/port/eth1", "value": {}}]
    });
    let answered = api.json("PATCH", &format!("{PATH}?persist"), &port).await?;
    let sentence = said(&answered)?;
    let end = format!(
        "; it cannot be written to {} without the changes that are in effect and not in the file \
         (put segment/green): save those first, or leave persist out",
        api.file.display()
    );
    let first = sentence.lines().next().unwrap_or_default();
    ensure!(first.ends_with(&end), "{answered:?}");
    Ok(())
}

#[tokio::test]
async fn of_frames() -> Result<()> {
    let rows = [
        (json!({"frame": "0g"}), 400, "frame: 'g' is no hexadecimal digit"),
        (json!({"frame": "020"}), 400, "frame: 3 hexadecimal digits are no whole bytes"),
        (json!({"frame": ""}), 400, "frame: the frame is empty; an Ethernet header has 14 bytes"),
        (
            json!({"frame": "00", "length": 262_145}),
            413,
            "a frame of 262145 bytes; the longest that a hook sees has 262144",
        ),
        (
            json!({"frame": "00", "hook": "nic"}),
            400,
            "there is no hook \"nic\"; there are xdp, tc and user",
        ),
    ];
    let api = Api::start()?;
    for (body, status, sentence) in rows {
        let answered = api.json("POST", "/v1/trace/simulate", &body).await?;
        ensure!(answered.status == status && said(&answered)? == sentence, "{answered:?}");
    }
    Ok(())
}

#[tokio::test]
async fn of_a_socket_that_cannot_be_made() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let taken = folder.path().join("gw1.sock");
    std::fs::create_dir(&taken)?;
    let error = overlay_user::api::server::Server::start(&taken).err();
    let said = format!("{:#}", error.expect("a folder is in the way"));
    let sentence = format!("cannot listen on {}: Address already in use", taken.display());
    ensure!(said.starts_with(&sentence), "{said}");
    Ok(())
}

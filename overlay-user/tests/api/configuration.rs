//! The configuration as a resource.

use std::fs;

use anyhow::{Context as _, Result, ensure};
use serde_json::json;

use crate::harness::{Api, FILE};
use crate::problems::expect;

const PATH: &str = "/v1/configuration";

async fn text(api: &Api) -> Result<String> {
    let answered = api.send("GET", PATH, "accept: application/toml\r\n", "").await?;
    ensure!(answered.status == 200, "{answered:?}");
    ensure!(answered.headers["content-type"] == "application/toml", "{answered:?}");
    Ok(answered.body)
}

#[tokio::test]
async fn it_is_read_as_text_as_json_and_table_by_table() -> Result<()> {
    let api = Api::start()?;
    ensure!(text(&api).await? == FILE);
    let whole = api.ask("GET", PATH).await?;
    let value = whole.json()?;
    ensure!(whole.headers["etag"] == format!("\"{}\"", value["version"].as_str().unwrap_or("")));
    ensure!(value["configuration"]["peer"][0]["vtep"] == "192.0.2.2", "{value}");
    let peer = api.ask("GET", "/v1/configuration/peer/gw2").await?;
    ensure!(peer.json()? == value["configuration"]["peer"][0], "{peer:?}");
    ensure!(peer.headers["etag"] == whole.headers["etag"]);
    let missing = api.ask("GET", "/v1/configuration/peer/gw4").await?;
    expect(&missing, 404, "not-found", "/v1/configuration/peer/gw4")
}

#[tokio::test]
async fn put_makes_and_is_idempotent_and_delete_undoes() -> Result<()> {
    let api = Api::start()?;
    let path = "/v1/configuration/peer/gw3";
    let peer = json!({ "vtep": "192.0.2.3", "segments": ["blue"] });
    let made = api.json("PUT", path, &peer).await?;
    ensure!(made.status == 201, "{made:?}");
    let changed = made.json()?;
    ensure!(changed["ephemeral"] == json!(["put peer/gw3"]), "{changed}");
    let with = text(&api).await?;
    let again = api.json("PUT", path, &peer).await?;
    ensure!(again.status == 200 && again.headers["etag"] == made.headers["etag"], "{again:?}");
    ensure!(text(&api).await? == with && fs::read_to_string(&api.file)? == FILE);
    ensure!(api.ask("DELETE", path).await?.status == 200);
    ensure!(text(&api).await? == FILE);
    expect(&api.ask("DELETE", path).await?, 404, "not-found", path)
}

#[tokio::test]
async fn a_list_of_changes_is_made_as_a_whole_or_not_at_all() -> Result<()> {
    let api = Api::start()?;
    let mut changes = json!({ "changes": [
        { "put": "segment/red", "value": { "vni": 200 } },
        { "patch": "peer/gw2", "value": { "segments": ["blue", "red"], "limit": { "packets": 5 } } },
        { "put": "peer/gw3", "value": { "vtep": "192.0.2.3", "segments": ["green"] } },
    ] });
    let refused = api.json("PATCH", PATH, &changes).await?;
    expect(&refused, 422, "configuration", PATH)?;
    let problem = refused.json()?;
    let detail = problem["details"][0].as_str().context("a detail")?;
    ensure!(detail.starts_with("change 3, put peer/gw3: "), "{detail}");
    ensure!(detail.contains("overlay.toml:") && detail.contains("\"green\""), "{detail}");
    ensure!(detail.contains("segments = [\"green\"]"), "the line itself: {detail}");
    ensure!(text(&api).await? == FILE);
    changes["changes"][2]["value"]["segments"] = json!([]);
    let dry = api.json("PATCH", "/v1/configuration?dry_run=true", &changes).await?;
    ensure!(dry.status == 200 && dry.json()?["dry_run"] == true && text(&api).await? == FILE);
    let made = api.json("PATCH", PATH, &changes).await?;
    ensure!(made.status == 200, "{made:?}");
    ensure!(made.json()?["version"] == dry.json()?["version"]);
    let now = text(&api).await?;
    ensure!(now.contains("vtep = \"192.0.2.1\"   # eth0's") && now.contains("gw3"), "{now}");
    Ok(())
}

#[tokio::test]
async fn what_is_persisted_is_in_the_file_and_what_is_not_is_not() -> Result<()> {
    let api = Api::start()?;
    let put = async |path: &str, persist: &str, value| {
        api.json("PUT", &format!("{PATH}/{path}{persist}"), &value).await
    };
    put("segment/red", "", json!({ "vni": 200 })).await?;
    let green = put("segment/green", "?persist=true", json!({ "vni": 300 })).await?;
    ensure!(green.json()?["ephemeral"] == json!(["put segment/red"]), "{green:?}");
    let file = fs::read_to_string(&api.file)?;
    ensure!(file.contains("green") && !file.contains("red"), "{file}");
    ensure!(text(&api).await?.contains("red"));
    // What stands on something that is not in the file cannot be written alone.
    let peer = json!({ "vtep": "192.0.2.3", "segments": ["red"] });
    let refused = put("peer/gw3", "?persist=true", peer.clone()).await?;
    ensure!(refused.status == 422, "{refused:?}");
    ensure!(
        refused.json()?["detail"].as_str().is_some_and(|text| text.contains("put segment/red"))
    );
    ensure!(!text(&api).await?.contains("gw3") && fs::read_to_string(&api.file)? == file);
    ensure!(put("peer/gw3", "", peer).await?.status == 201);
    let saved = api.ask("POST", "/v1/configuration/save").await?;
    ensure!(saved.status == 200 && saved.json()?["ephemeral"] == json!([]), "{saved:?}");
    ensure!(fs::read_to_string(&api.file)? == text(&api).await?);
    let left: Vec<_> = fs::read_dir(api.directory.path())?.collect();
    ensure!(left.len() == 2, "{left:?}");
    // A file that somebody edits meanwhile is left alone.
    fs::write(&api.file, "# mine")?;
    let refused = put("segment/green", "?persist=true", json!({ "vni": 301 })).await?;
    ensure!(refused.status >= 400, "{refused:?}");
    ensure!(fs::read_to_string(&api.file)? == "# mine" && !text(&api).await?.contains("301"));
    Ok(())
}

#[tokio::test]
async fn two_writers_do_not_overwrite_each_other() -> Result<()> {
    let api = Api::start()?;
    let tag = api.ask("GET", PATH).await?.headers["etag"].clone();
    let path = "/v1/configuration/segment/red";
    let headers = format!("content-type: application/json\r\nif-match: {tag}\r\n");
    let first = api.send("PUT", path, &headers, r#"{"vni":200}"#).await?;
    ensure!(first.status == 201, "{first:?}");
    let second = api.send("PUT", path, &headers, r#"{"vni":201}"#).await?;
    expect(&second, 412, "outdated", path)?;
    ensure!(text(&api).await?.contains("200"));
    // Without a version, changes at the same time are all made.
    let put = async |i: u32| {
        let path = format!("/v1/configuration/segment/s{i}");
        api.json("PUT", &path, &json!({ "vni": 1000 + i })).await
    };
    let made = tokio::try_join!(put(1), put(2), put(3), put(4))?;
    ensure!([made.0.status, made.1.status, made.2.status, made.3.status] == [201; 4]);
    let now = text(&api).await?;
    ensure!((1..=4).all(|i| now.contains(&format!("\"s{i}\""))), "{now}");
    Ok(())
}

#[tokio::test]
async fn the_whole_text_is_replaced() -> Result<()> {
    let api = Api::start()?;
    let headers = "content-type: application/toml\r\n";
    let other = FILE.replace("100", "101");
    let put = api.send("PUT", "/v1/configuration", headers, &other).await?;
    ensure!(put.status == 200 && text(&api).await? == other, "{put:?}");
    let back = api.send("PUT", "/v1/configuration", headers, FILE).await?;
    ensure!(back.json()?["ephemeral"] == json!([]), "{back:?}");
    let bad = api.send("PUT", PATH, headers, "[node]\nname = 1").await?;
    expect(&bad, 422, "configuration", PATH)
}

#[tokio::test]
async fn requests_that_are_not_understood_are_problems() -> Result<()> {
    let api = Api::start()?;
    let json = "content-type: application/json\r\n";
    for (path, headers, body, status, kind) in [
        (PATH, "", "{}", 415, "media-type"),
        (PATH, json, "{", 400, "request"),
        (PATH, json, r#"{"changes":1}"#, 400, "request"),
        (PATH, json, r#"{"changes":[],"x":1}"#, 400, "request"),
        (PATH, json, r#"{"changes":[]}"#, 422, "configuration"),
        (PATH, json, r#"{"changes":[{"value":{}}]}"#, 422, "configuration"),
        (PATH, json, r#"{"changes":[{"put":"peer/a","patch":"peer/a"}]}"#, 422, "configuration"),
        (PATH, json, r#"{"changes":[{"put":"x/y"}]}"#, 422, "configuration"),
        (PATH, json, r#"{"changes":[{"put":"node","value":{"a":1.5}}]}"#, 422, "configuration"),
        ("/v1/configuration/peers/x", json, "{}", 404, "not-found"),
        ("/v1/configuration/node", json, r#"{"name":null,"vtep":null}"#, 422, "configuration"),
    ] {
        let answered = api.send("PATCH", path, headers, body).await?;
        expect(&answered, status, kind, path).with_context(|| body.to_owned())?;
    }
    let answered = api.json("PATCH", "/v1/configuration?persist=1", &json!({})).await?;
    expect(&answered, 400, "request", PATH)
}

//! The OpenAPI document: what is committed is what is served, and what is served is what there
//! is.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use overlay_user::api::router;
use serde_json::Value;

use crate::harness::Api;

/// Set to have the file written anew.
const RENEW: &str = "OVERLAY_RENEW_OPENAPI";

#[test]
fn the_committed_document_is_up_to_date() -> Result<()> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/openapi.json");
    let made = router::openapi().to_pretty_json()? + "\n";
    if std::env::var_os(RENEW).is_some() {
        std::fs::write(&file, &made)?;
    }
    let committed = std::fs::read_to_string(&file).unwrap_or_default();
    ensure!(
        committed == made,
        "docs/openapi.json is not what the code says; to renew it: {RENEW}=1 cargo test -p \
         overlay-user --test api document"
    );
    Ok(())
}

#[tokio::test]
async fn every_path_of_the_document_is_there() -> Result<()> {
    let api = Api::start()?;
    let document = api.ask("GET", "/v1/openapi.json").await?.json()?;
    let paths = document["paths"].as_object().context("paths")?;
    ensure!(paths.len() >= 15, "{} paths", paths.len());
    for path in paths.keys() {
        ensure!(path.starts_with("/v1/") || path == "/metrics", "{path} has no version");
        // A method that no resource takes: what is there refuses it.
        let concrete = path.replace(['{', '}'], "");
        let answered = api.ask("TRACE", &concrete).await?;
        ensure!(answered.status == 405, "{path}: {answered:?}");
        let allowed = &answered.headers["allow"];
        let item = paths[path].as_object().context("an item")?;
        for method in item.keys() {
            let method = method.to_ascii_uppercase();
            ensure!(allowed.split(',').any(|other| other == method), "{method} {path}: {allowed}");
        }
        for method in allowed.split(',').filter(|method| *method != "HEAD") {
            let named = item.contains_key(&method.to_ascii_lowercase());
            ensure!(named, "{method} {path} is not in the document");
        }
    }
    Ok(())
}

/// Each table's schema has the keys that the parser takes, and no others.
#[test]
fn the_schemas_are_of_the_configuration() -> Result<()> {
    let document: Value = serde_json::from_str(&router::openapi().to_json()?)?;
    let schemas = &document["components"]["schemas"];
    let good = "[node]\nname = \"gw1\"\nvtep = \"192.0.2.1\"\n[[uplink]]\ninterface = \"eth0\"\n";
    for (schema, header) in [
        ("File", ""),
        ("Node", "[node]"),
        ("Api", "[api]"),
        ("Metrics", "[metrics]"),
        ("Web", "[web]"),
        ("Uplink", "[[uplink]]"),
        ("Segment", "[[segment]]"),
        ("SegmentPort", "[[segment]]\n[[segment.port]]"),
        ("SegmentPortHost", "[[segment]]\n[[segment.port]]\n[[segment.port.host]]"),
        ("SegmentFdb", "[[segment]]\n[[segment.fdb]]"),
        ("SegmentNeighbour", "[[segment]]\n[[segment.neighbour]]"),
        ("SegmentAcl", "[[segment]]\n[[segment.acl]]"),
        ("SegmentAclDefault", "[[segment]]\n[segment.acl_default]"),
        ("Limit", "[[peer]]\n[peer.limit]"),
        ("Vrf", "[[vrf]]"),
        ("VrfRoute", "[[vrf]]\n[[vrf.route]]"),
        ("Peer", "[[peer]]"),
    ] {
        let text = match header {
            "" => format!("nonesuch = 1\n{good}"),
            "[node]" => good.replace("[node]", "[node]\nnonesuch = 1"),
            header => format!("{good}{header}\nnonesuch = 1\n"),
        };
        let errors = overlay_control::config::Config::parse(&text, "f").err().context("taken")?;
        let unknown = errors.iter().find(|error| error.message.contains("unknown key nonesuch"));
        let help = &unknown.with_context(|| format!("{errors:?}"))?.help;
        let taken = help.rsplit_once(" takes ").context("takes")?.1.split(", ");
        let mut taken: Vec<&str> = taken.collect();
        let known = schemas[schema]["properties"].as_object().with_context(|| schema.to_owned())?;
        let mut known: Vec<&str> = known.keys().map(String::as_str).collect();
        taken.sort_unstable();
        known.sort_unstable();
        ensure!(taken == known, "{schema}: the parser takes {taken:?}, the schema has {known:?}");
    }
    Ok(())
}

/// The book's page names each resource; those of single tables it has as paths of tables.
#[test]
fn the_book_has_every_resource() -> Result<()> {
    let book = include_str!("../../../docs/src/api.md");
    let openapi = router::openapi();
    let paths = openapi.paths.paths.keys();
    let missing: Vec<_> = paths
        .filter(|path| !path.starts_with("/v1/configuration/"))
        .filter(|path| !book.contains(&format!("`{path}`")))
        .collect();
    ensure!(missing.is_empty(), "docs/src/api.md does not mention {missing:?}");
    Ok(())
}

/// Whatever it refers to is there, operations have names of their own, and the parameters of a
/// path are those that it has.
#[test]
fn the_document_holds_together() -> Result<()> {
    let document: Value = serde_json::from_str(&router::openapi().to_json()?)?;
    let mut references = Vec::new();
    referred(&document, &mut references);
    ensure!(references.len() > 100, "{} references", references.len());
    for reference in references {
        let place = document.pointer(reference.trim_start_matches('#'));
        ensure!(place.is_some(), "{reference} leads nowhere");
    }
    let mut ids = BTreeSet::new();
    for (path, item) in document["paths"].as_object().context("paths")? {
        for (method, operation) in item.as_object().context("an item")? {
            let id = operation["operationId"].as_str().context("an operation without a name")?;
            ensure!(ids.insert(id.to_owned()), "{id} is twice");
            ensure!(
                operation["responses"]["default"].is_object() || path.ends_with(".json"),
                "{id}"
            );
            let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
            let named: BTreeSet<String> = parameters
                .iter()
                .filter(|parameter| parameter["in"] == "path")
                .filter_map(|parameter| {
                    parameter["name"].as_str().map(|name| format!("{{{name}}}"))
                })
                .collect();
            let had: BTreeSet<String> =
                path.split('/').filter(|part| part.starts_with('{')).map(str::to_owned).collect();
            ensure!(named == had, "{method} {path}: {named:?}");
        }
    }
    Ok(())
}

fn referred(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            found.extend(map.get("$ref").and_then(Value::as_str).map(str::to_owned));
            map.values().for_each(|inner| referred(inner, found));
        }
        Value::Array(items) => items.iter().for_each(|inner| referred(inner, found)),
        _ => {}
    }
}

//! The OpenAPI document: what is committed is what is served, and what is served is what there
//! is.

use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use overlay_user::api::router;

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

//! Whatever goes wrong is a problem document.

use anyhow::{Result, ensure};

use crate::harness::{Answered, Api};

pub fn expect(answered: &Answered, status: u16, kind: &str, instance: &str) -> Result<()> {
    ensure!(answered.status == status, "{answered:?}");
    ensure!(answered.headers["content-type"] == "application/problem+json", "{answered:?}");
    let problem = answered.json()?;
    ensure!(problem["type"] == format!("/v1/problems/{kind}"), "{problem}");
    ensure!(problem["status"] == status && problem["instance"] == instance, "{problem}");
    ensure!(problem["title"].is_string() && problem["detail"].is_string(), "{problem}");
    ensure!(problem["details"].is_array(), "{problem}");
    Ok(())
}

#[tokio::test]
async fn what_is_not_there_is_a_problem() -> Result<()> {
    let api = Api::start()?;
    for path in ["/nonesuch", "/status", "/v2/status", "/v1/status/x"] {
        expect(&api.ask("GET", path).await?, 404, "not-found", path)?;
    }
    Ok(())
}

#[tokio::test]
async fn another_method_is_a_problem_that_says_which_would_do() -> Result<()> {
    let api = Api::start()?;
    let answered = api.ask("POST", "/v1/status").await?;
    expect(&answered, 405, "method", "/v1/status")?;
    ensure!(answered.headers["allow"] == "GET,HEAD", "{answered:?}");
    let answered = api.ask("GET", "/v1/reload").await?;
    expect(&answered, 405, "method", "/v1/reload")?;
    ensure!(answered.headers["allow"] == "POST", "{answered:?}");
    Ok(())
}

#[tokio::test]
async fn the_type_of_a_problem_leads_to_what_it_is() -> Result<()> {
    let api = Api::start()?;
    let problem = api.ask("GET", "/nonesuch").await?.json()?;
    let kind = problem["type"].as_str().unwrap_or_default().to_owned();
    let about = api.ask("GET", &kind).await?;
    ensure!(about.status == 200 && about.json()?["title"] == problem["title"], "{about:?}");
    expect(&api.ask("GET", "/v1/problems/x").await?, 404, "not-found", "/v1/problems/x")
}

#[tokio::test]
async fn answers_come_through() -> Result<()> {
    let api = Api::start()?;
    let status = api.ask("GET", "/v1/status").await?;
    ensure!(status.status == 200 && status.json()?["name"] == "gw1", "{status:?}");
    let head = api.ask("HEAD", "/v1/status").await?;
    ensure!(head.status == 200 && head.body.is_empty(), "{head:?}");
    Ok(())
}

#[tokio::test]
async fn pages_of_other_sites_change_nothing() -> Result<()> {
    let api = Api::start()?;
    for (origin, status) in [("https://evil.example", 403), ("null", 403), ("https://x", 200)] {
        let headers = format!("origin: {origin}\r\n");
        let answered = api.send("POST", "/v1/reload", &headers, "").await?;
        ensure!(answered.status == status, "{origin}: {answered:?}");
        let answered = api.send("GET", "/v1/status", &headers, "").await?;
        ensure!(answered.status == 200, "{origin}: {answered:?}");
    }
    Ok(())
}

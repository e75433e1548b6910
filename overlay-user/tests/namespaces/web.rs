//! The web page in a browser, beside a gateway with traffic.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use overlay_testbed::{Netns, TwoGateways, require_root, require_tools, wait_until};

use crate::harness::{Browser, Page, Scene, keep, overlay};

const WEB: &str = "[web]\nlisten = \"127.0.0.1:8080\"\n";
const ADDRESS: &str = "http://127.0.0.1:8080/";

/// The text of a cell, by the first cell of its row and the heading of its column.
fn cell(page: &Page<'_>, table: &str, row: &str, column: &str) -> Result<String> {
    let value = page.value(&format!(
        "(() => {{
            const table = document.getElementById({table:?});
            const at = [...table.tHead.rows[0].cells].findIndex((c) => c.textContent === {column:?});
            const row = [...table.tBodies[0].rows].find((r) => r.cells[0].textContent === {row:?});
            return row ? row.cells[at].textContent : '';
        }})()"
    ))?;
    Ok(value.as_str().unwrap_or_default().to_owned())
}

fn wait_for_rate(page: &Page<'_>, table: &str, row: &str, column: &str) -> Result<()> {
    wait_until(&format!("{column} of {row}"), Duration::from_secs(30), || {
        let text = cell(page, table, row, column).ok()?;
        let digits = text.trim_end_matches(['k', 'M']);
        digits.parse::<f64>().is_ok_and(|rate| rate > 0.0).then_some(())
    })
    .with_context(|| page.text().unwrap_or_default())
}

#[test]
fn the_page_shows_peers_rates_and_drops_and_a_dead_daemon() -> Result<()> {
    let name = "the_page_shows_peers_rates_and_drops_and_a_dead_daemon";
    if !require_root(name) || !require_tools(name, &["ping", "chromium"]) {
        return Ok(());
    }
    let testbed = TwoGateways::new()?;
    let mut scene = Scene::start(&testbed, WEB)?;
    let browser = Browser::start(&testbed.gw1.netns)?;
    let page = browser.open(ADDRESS, (1000, 900), false)?;

    for (table, row) in [("peers", "paris"), ("ports", "eth1"), ("segments", "blue")] {
        wait_for_rate(&page, table, row, "rx bit/s")?;
        wait_for_rate(&page, table, row, "tx packets/s")?;
    }
    wait_for_rate(&page, "drops", "unknown-vni", "packets/s")?;
    ensure!(cell(&page, "peers", "paris", "state")? == "ready");
    ensure!(cell(&page, "peers", "oslo", "state")? == "unresolved");
    ensure!(cell(&page, "ports", "eth1.20", "segment")? == "green");
    let text = page.text()?;
    for words in [&*testbed.gw1.name, " problems", "oslo", "from hosts", "1 of 3"] {
        ensure!(text.contains(words), "no {words:?} in:\n{text}");
    }
    let drawn = page.value("document.querySelector('#topology svg').textContent")?;
    for words in ["paris", "oslo unresolved", "blue", "green", "eth1", "eth0"] {
        ensure!(drawn.as_str().is_some_and(|drawn| drawn.contains(words)), "{words}: {drawn}");
    }
    ensure!(page.value("document.querySelectorAll('#topology .flow').length > 1")? == true);
    let complaints = page.complaints()?;
    ensure!(complaints.is_empty(), "{complaints:?}");
    let asked = page.asked();
    ensure!(asked.iter().any(|address| address.ends_with("/v1/peers")), "{asked:?}");
    ensure!(asked.iter().all(|address| address.starts_with(ADDRESS)), "{asked:?}");
    keep("web.png", &page.picture()?)?;

    use_it(&page)?;
    on_a_phone(&browser)?;
    page.show()?;

    scene.ours.kill()?;
    page.wait_for(
        "absence",
        "document.body.classList.contains('away') && document.getElementById('notice')\
         .textContent.startsWith('No daemon answers since')",
    )?;
    ensure!(cell(&page, "peers", "paris", "state")? == "ready", "what was known stays");
    scene.ours.restart()?;
    page.wait_for(
        "restart",
        "!document.body.classList.contains('away') && document.getElementById('notice')\
         .textContent.startsWith('The daemon was restarted')",
    )?;
    wait_for_rate(&page, "peers", "paris", "rx bit/s")
}

/// The filter, the order of a column, the pause.
fn use_it(page: &Page<'_>) -> Result<()> {
    let rows =
        "[...document.querySelectorAll('#peers tbody tr')].map((r) => r.cells[0].textContent)";
    let filter = |text: &str| {
        page.value(&format!(
            "{{ const f = document.getElementById('filter'); f.value = {text:?}; \
             f.dispatchEvent(new Event('input')); }}"
        ))
    };
    filter("OSL")?;
    ensure!(page.value(rows)? == serde_json::json!(["oslo"]), "{}", page.value(rows)?);
    filter("")?;
    let click = "document.querySelector('#peers thead button').click()";
    page.value(click)?;
    ensure!(
        page.value(rows)? == serde_json::json!(["lyon", "oslo", "paris"]),
        "{}",
        page.value(rows)?
    );
    page.value(click)?;
    ensure!(
        page.value(rows)? == serde_json::json!(["paris", "oslo", "lyon"]),
        "{}",
        page.value(rows)?
    );
    Ok(())
}

/// Nothing but tables may be wider than the screen, and those scroll by themselves.
fn on_a_phone(browser: &Browser) -> Result<()> {
    let page = browser.open(ADDRESS, (360, 740), true)?;
    wait_for_rate(&page, "peers", "paris", "rx bit/s")?;
    ensure!(page.value("document.documentElement.scrollWidth <= 360")? == true);
    let ground = page.value("getComputedStyle(document.body).backgroundColor")?;
    ensure!(ground == "rgb(20, 23, 27)", "dark is wanted, and it is {ground}");
    let complaints = page.complaints()?;
    ensure!(complaints.is_empty(), "{complaints:?}");
    keep("web-phone.png", &page.picture()?)
}

/// A thousand peers are shown, and the page still answers at once.
#[test]
fn a_thousand_peers_are_shown() -> Result<()> {
    let name = "a_thousand_peers_are_shown";
    if !require_root(name) || !require_tools(name, &["ping", "chromium"]) {
        return Ok(());
    }
    let testbed = TwoGateways::new()?;
    let peer = |i: u32| {
        let vtep = format!("198.18.{}.{}", i / 250, i % 250 + 1);
        format!("[[peer]]\nname = \"p{i}\"\nvtep = \"{vtep}\"\nsegments = [\"blue\"]\n")
    };
    let peers: String = (0..1000).map(peer).collect();
    let _scene = Scene::start(&testbed, &format!("{peers}{WEB}"))?;
    let browser = Browser::start(&testbed.gw1.netns)?;
    let page = browser.open(ADDRESS, (1000, 900), false)?;
    wait_for_rate(&page, "peers", "paris", "rx bit/s")?;
    ensure!(page.value("document.querySelectorAll('#peers tbody tr').length")? == 1003);
    ensure!(page.value("document.querySelectorAll('#topology rect.dot').length")? == 1003);
    ensure!(page.value("document.querySelectorAll('#topology rect.dot.down').length")? == 1002);
    let complaints = page.complaints()?;
    ensure!(complaints.is_empty(), "{complaints:?}");
    Ok(())
}

/// There is no page unless it is asked for, and it follows the configuration.
#[test]
fn the_page_follows_the_configuration() -> Result<()> {
    let name = "the_page_follows_the_configuration";
    if !require_root(name) {
        return Ok(());
    }
    let testbed = TwoGateways::new()?;
    let gateway = &testbed.gw1;
    let config = gateway.config("tc", "tc", &[("second", testbed.gw2.vtep)]);
    let ours = crate::harness::Overlay::start(&gateway.netns, &gateway.name, &config)?;
    ensure!(gateway.netns.exec("ss -Hltn")?.trim().is_empty(), "something listens on TCP");

    let said = ours.reload(&format!("{config}\n{WEB}"))?;
    ensure!(said.contains("web: off → 127.0.0.1:8080"), "{said}");
    ensure!(ask(&gateway.netns, 8080, "GET / HTTP/1.1", "localhost")?.starts_with("HTTP/1.1 200"));
    ensure!(ask(&gateway.netns, 8080, "GET /v1/peers HTTP/1.1", "localhost")?.contains("second"));
    let evil = ask(&gateway.netns, 8080, "GET / HTTP/1.1", "evil.example")?;
    ensure!(evil.starts_with("HTTP/1.1 403"), "{evil}");
    let order = ask(&gateway.netns, 8080, "POST /v1/down HTTP/1.1", "localhost")?;
    ensure!(order.starts_with("HTTP/1.1 405"), "{order}");

    // For other machines only by an explicit word.
    let remote = "[web]\nlisten = \"0.0.0.0:8081\"\n";
    let error = ours.reload(&format!("{config}\n{remote}")).expect_err("not for everybody");
    ensure!(format!("{error:#}").contains("can be reached from other machines"), "{error:#}");
    ensure!(ask(&gateway.netns, 8080, "GET / HTTP/1.1", "localhost")?.starts_with("HTTP/1.1 200"));
    ours.reload(&format!("{config}\n{remote}allow_remote = true\n"))?;
    ensure!(ask(&gateway.netns, 8081, "GET / HTTP/1.1", "192.0.2.1")?.starts_with("HTTP/1.1 200"));
    ensure!(ask(&gateway.netns, 8080, "GET / HTTP/1.1", "localhost").is_err(), "it has moved");

    // An address that is taken is a problem, and served once it is free.
    let taken = gateway.netns.enter(|| std::net::TcpListener::bind("127.0.0.1:8082"))??;
    ours.reload(&format!("{config}\n[web]\nlisten = \"127.0.0.1:8082\"\n"))?;
    let status = ours.run(&["status"])?;
    ensure!(status.contains("the web page cannot be served on 127.0.0.1:8082"), "{status}");
    drop(taken);
    wait_until("a page", Duration::from_secs(10), || {
        let answer = ask(&gateway.netns, 8082, "GET / HTTP/1.1", "localhost").ok()?;
        answer.starts_with("HTTP/1.1 200").then_some(())
    })?;
    let status: serde_json::Value = serde_json::from_str(&ours.run(&["status", "--json"])?)?;
    let problems = status["problems"].to_string();
    ensure!(!problems.contains("web-listener"), "it is served: {problems}");

    ours.reload(&config)?;
    ensure!(gateway.netns.exec("ss -Hltn")?.trim().is_empty(), "something listens on TCP");
    let checked =
        overlay(&gateway.netns).arg("check").arg("--config").arg(ours.config()).output()?;
    ensure!(checked.status.success());
    Ok(())
}

fn ask(netns: &Netns, port: u16, line: &str, host: &str) -> Result<String> {
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let mut stream = netns.enter(|| TcpStream::connect(address))??;
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    write!(stream, "{line}\r\nhost: {host}\r\nconnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

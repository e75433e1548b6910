use std::sync::atomic::{AtomicUsize, Ordering};

use axum::body::{Body, to_bytes};
use axum::http::{Request as HttpRequest, StatusCode};
use tokio::sync::mpsc;
use tower::ServiceExt as _;

use super::*;
use crate::api::Answer;

/// A page with a daemon that has one peer, and counts what it is asked.
struct Page {
    router: Router,
    asked: Arc<AtomicUsize>,
    requests: Option<mpsc::Sender<Request>>,
}

impl Page {
    fn new(hosts: &[&str]) -> Self {
        let (requests, mut asked) = mpsc::channel(4);
        let hosts: Vec<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
        let router = router(Guard::new(&hosts), requests.downgrade());
        let count = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&count);
        tokio::spawn(async move {
            while let Some(request) = asked.recv().await {
                counted.fetch_add(1, Ordering::Relaxed);
                if let Request::Question { reply, .. } = request {
                    let _ = reply.send(Ok(Answer::Drops(Vec::new())));
                }
            }
        });
        Self { router, asked: count, requests: Some(requests) }
    }

    async fn ask(&self, method: &str, path: &str, hosts: &[&str]) -> (StatusCode, Response) {
        let mut request = HttpRequest::builder().method(method).uri(path);
        for host in hosts {
            request = request.header("host", *host);
        }
        let request = request.body(Body::empty()).unwrap();
        let response = self.router.clone().oneshot(request).await.unwrap();
        (response.status(), response)
    }

    async fn status(&self, method: &str, path: &str, host: &str) -> u16 {
        self.ask(method, path, &[host]).await.0.as_u16()
    }
}

async fn text(response: Response) -> String {
    String::from_utf8(to_bytes(response.into_body(), 1 << 20).await.unwrap().to_vec()).unwrap()
}

#[tokio::test]
async fn the_page_and_what_it_needs_are_served_and_nothing_else() {
    let page = Page::new(&[]);
    for (path, media_type, text_of) in FILES {
        let (status, response) = page.ask("GET", path, &["127.0.0.1:8080"]).await;
        assert_eq!(status, 200, "{path}");
        assert_eq!(response.headers()["content-type"], media_type);
        assert_eq!(text(response).await, text_of);
    }
    for question in QUESTIONS {
        let (status, response) = page.ask("GET", question.path(), &["localhost"]).await;
        assert_eq!((status, &*text(response).await), (StatusCode::OK, "[]"), "{question:?}");
    }
    for path in ["/v1/fdb", "/v1/reload", "/v1/down", "/status", "/../etc/passwd", "/v1/routes"] {
        for method in ["GET", "HEAD"] {
            assert_eq!(page.status(method, path, "localhost").await, 404, "{path}");
        }
    }
    assert_eq!(page.status("HEAD", "/", "localhost").await, 200);
}

#[tokio::test]
async fn whatever_could_change_something_is_refused() {
    let page = Page::new(&[]);
    let paths = ["/", "/page.js", "/v1/status", "/v1/reload", "/v1/down", "/v1/fdb/load"];
    for path in paths {
        for method in ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE", "BREW"] {
            let (status, response) = page.ask(method, path, &["localhost"]).await;
            assert_eq!(status, 405, "{method} {path}");
            assert_eq!(response.headers()["allow"], "GET, HEAD");
        }
    }
    assert_eq!(page.asked.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn names_of_others_are_refused() {
    let page = Page::new(&["gw1.example"]);
    for path in ["/", "/v1/status", "/none"] {
        assert_eq!(page.status("GET", path, "evil.example").await, 403, "{path}");
    }
    assert_eq!(page.status("GET", "/", "gw1.example:8080").await, 200);
    assert_eq!(page.ask("GET", "/", &[]).await.0, 400, "no host at all");
    assert_eq!(page.ask("GET", "/", &["localhost", "evil.example"]).await.0, 400, "two");
    // A target with a host of its own.
    assert_eq!(page.status("GET", "http://evil.example/", "localhost").await, 403);
    assert_eq!(page.status("GET", "http://localhost/", "localhost").await, 200);
    let (_, response) = page.ask("GET", "/v1/peers", &["evil.example"]).await;
    assert!(text(response).await.contains("web.hosts"));
    assert_eq!(page.asked.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn every_answer_has_the_browser_be_strict() {
    let page = Page::new(&[]);
    let asked = [
        ("GET", "/", "localhost"),
        ("GET", "/v1/peers", "localhost"),
        ("GET", "/none", "localhost"),
        ("POST", "/", "localhost"),
        ("GET", "/", "evil.example"),
    ];
    for (method, path, host) in asked {
        let (_, response) = page.ask(method, path, &[host]).await;
        let header = |name| response.headers()[name].to_str().unwrap().to_owned();
        let policy = header("content-security-policy");
        assert!(policy.starts_with("default-src 'none'; script-src 'self';"), "{policy}");
        assert!(!policy.contains("unsafe") && policy.contains("frame-ancestors 'none'"));
        assert_eq!(header("x-content-type-options"), "nosniff");
        assert_eq!(header("cache-control"), "no-store");
        assert_eq!(header("cross-origin-resource-policy"), "same-origin");
        assert!(!response.headers().contains_key("access-control-allow-origin"));
    }
}

/// What the policy forbids would not work; what is not forbidden must not be there either.
#[test]
fn the_page_is_small_and_has_nothing_from_elsewhere() {
    let sum: usize = FILES.iter().map(|(_, _, text)| text.len()).sum();
    assert!(sum < 60_000, "{sum} bytes");
    for (path, _, text) in FILES {
        let text = text.replace("http://www.w3.org/2000/svg", "");
        for bad in
            ["http:", "https:", "//cdn", "<style", " style=", "onclick", "innerHTML", "eval("]
        {
            assert!(!text.contains(bad), "{path} has {bad}");
        }
        for script in text.split("<script").skip(1) {
            assert!(script.starts_with(" src=\"/page.js\" defer></script>"), "{path}: {script}");
        }
    }
}

#[tokio::test]
async fn many_viewers_cost_no_more_than_one() {
    let page = Arc::new(Page::new(&[]));
    let viewers: Vec<_> = (0..50)
        .map(|_| {
            let page = Arc::clone(&page);
            tokio::spawn(async move { page.status("GET", "/v1/peers", "localhost").await })
        })
        .collect();
    for viewer in viewers {
        assert_eq!(viewer.await.unwrap(), 200);
    }
    // Unless the machine was so slow that the first answer was old before the last came.
    assert!(page.asked.load(Ordering::Relaxed) < 10, "{:?}", page.asked);
}

#[tokio::test]
async fn a_daemon_that_ends_is_told() {
    let mut page = Page::new(&[]);
    page.requests = None;
    let (status, response) = page.ask("GET", "/v1/status", &["localhost"]).await;
    assert_eq!(status, 503);
    assert!(text(response).await.contains("the daemon is ending"));
}

#[tokio::test]
async fn connections_end_with_the_page_and_a_taken_address_is_told() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    let (requests, _asked) = mpsc::channel(4);
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = free.local_addr().unwrap();
    let config = config::Web { listen, allow_remote: false, hosts: Vec::new() };
    let error = Web::start(config.clone(), requests.downgrade()).err().expect("it is taken");
    assert!(
        format!("{error:#}").starts_with(&format!("the web page cannot be served on {listen}: "))
    );
    drop(free);

    let web = Web::start(config.clone(), requests.downgrade()).unwrap();
    let mut stream = tokio::net::TcpStream::connect(listen).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    let mut first = [0; 15];
    stream.read_exact(&mut first).await.unwrap();
    assert_eq!(&first, b"HTTP/1.1 200 OK");
    drop(web);
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest).await;
    assert!(Web::start(config, requests.downgrade()).is_ok(), "the address is free at once");
}

#[tokio::test]
async fn refusals_say_why() {
    let page = Page::new(&[]);
    for (method, path, hosts, sentence) in [
        ("GET", "/none", &["localhost"][..], "there is no such page"),
        ("POST", "/", &["localhost"], "this page is to be looked at; POST is not served"),
        ("GET", "/", &[], "the request has not one Host"),
        (
            "GET",
            "/",
            &["evil.example"],
            "this is no name of this page; call it by address or localhost, or add the name to \
             web.hosts",
        ),
    ] {
        let (_, response) = page.ask(method, path, hosts).await;
        let problem: serde_json::Value = serde_json::from_str(&text(response).await).unwrap();
        assert_eq!(problem["detail"], sentence, "{method} {path}");
    }
}

//! Chromium without a screen, driven over its DevTools protocol: messages of JSON, each with a
//! zero behind it, over two pipes.

use std::cell::{Cell, RefCell};
use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use base64::Engine as _;
use nix::fcntl::OFlag;
use nix::libc;
use nix::unistd::pipe2;
use overlay_testbed::{Netns, Process, Scratch, patient, wait_until};
use serde_json::{Value, json};

/// A browser takes some seconds to start on a busy machine.
const LIMIT: Duration = Duration::from_secs(60);

/// A running browser; dropping it ends it.
pub struct Browser {
    to: RefCell<File>,
    from: Receiver<Value>,
    /// Events that came while an answer was waited for.
    events: RefCell<Vec<Value>>,
    count: Cell<u64>,
    process: Process,
    _scratch: Scratch,
}

impl Browser {
    /// Starts one in a namespace.
    pub fn start(netns: &Netns) -> Result<Self> {
        let scratch = Scratch::new()?;
        let (its_input, to) = pipe2(OFlag::O_CLOEXEC)?;
        let (from, its_output) = pipe2(OFlag::O_CLOEXEC)?;
        let mut command = netns.command("chromium");
        command.args([
            "--headless=new",
            // Root has no sandbox; everything that is loaded is ours.
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--disable-background-networking",
            "--disable-component-update",
            "--no-first-run",
            "--remote-debugging-pipe",
            "--lang=en-GB",
        ]);
        command.arg(format!("--user-data-dir={}", scratch.path().display()));
        command.arg("about:blank").env("HOME", scratch.path());
        let ends = [its_input.as_raw_fd(), its_output.as_raw_fd()];
        // SAFETY: system calls alone between fork and exec, on descriptors that are open then.
        unsafe { command.pre_exec(move || put_at_three_and_four(ends)) };
        let process = Process::spawn(&mut command)?;
        drop((its_input, its_output));
        Ok(Self {
            to: RefCell::new(to.into()),
            from: messages(from),
            events: RefCell::default(),
            count: Cell::new(0),
            process,
            _scratch: scratch,
        })
    }

    /// Opens a page in a window of this size.
    pub fn open(&self, address: &str, (width, height): (u32, u32), dark: bool) -> Result<Page<'_>> {
        let made = self.call("Target.createTarget", json!({ "url": "about:blank" }), None)?;
        let target = json!({ "targetId": made["targetId"], "flatten": true });
        let session = self.call("Target.attachToTarget", target, None)?["sessionId"].clone();
        let page = Page { browser: self, session };
        for domain in ["Page.enable", "Runtime.enable", "Log.enable", "Network.enable"] {
            page.call(domain, json!({}))?;
        }
        let size = json!({
            "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500,
        });
        page.call("Emulation.setDeviceMetricsOverride", size)?;
        let scheme = if dark { "dark" } else { "light" };
        let scheme = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
        page.call("Emulation.setEmulatedMedia", json!({ "features": scheme }))?;
        page.call("Page.navigate", json!({ "url": address }))?;
        Ok(page)
    }

    fn call(&self, method: &str, params: Value, session: Option<&Value>) -> Result<Value> {
        self.count.set(self.count.get() + 1);
        let id = self.count.get();
        let mut message = json!({ "id": id, "method": method, "params": params });
        if let Some(session) = session {
            message["sessionId"] = session.clone();
        }
        let mut bytes = serde_json::to_vec(&message)?;
        bytes.push(0);
        self.to.borrow_mut().write_all(&bytes).with_context(|| self.process.output())?;
        let until = Instant::now() + patient(LIMIT);
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let message = self.from.recv_timeout(left);
            let message =
                message.with_context(|| format!("{method}: {}", self.process.output()))?;
            if message["id"] != id {
                self.events.borrow_mut().push(message);
                continue;
            }
            if message["error"].is_object() {
                bail!("{method}: {}", message["error"]);
            }
            return Ok(message["result"].clone());
        }
    }
}

/// Where the browser looks for its pipes. The two may be each other's places, so they are first
/// put elsewhere.
fn put_at_three_and_four([input, output]: [i32; 2]) -> std::io::Result<()> {
    // SAFETY: no memory is concerned.
    let moved = |from: i32, to: i32| match unsafe { libc::fcntl(from, libc::F_DUPFD, to) } {
        -1 => Err(std::io::Error::last_os_error()),
        moved => Ok(moved),
    };
    let (input, output) = (moved(input, 10)?, moved(output, 10)?);
    for (from, to) in [(input, 3), (output, 4)] {
        // SAFETY: no memory is concerned.
        if unsafe { libc::dup2(from, to) } < 0 || unsafe { libc::close(from) } < 0 {
            return Err(std::io::Error::last_os_error());
        }
    }
    Ok(())
}

fn messages(from: OwnedFd) -> Receiver<Value> {
    let (sender, receiver) = channel();
    let mut from = BufReader::new(File::from(from));
    std::thread::spawn(move || {
        let mut message = Vec::new();
        while from.read_until(0, &mut message).is_ok_and(|len| len > 0) {
            message.pop();
            if let Ok(value) = serde_json::from_slice(&message)
                && sender.send(value).is_err()
            {
                break;
            }
            message.clear();
        }
    });
    receiver
}

/// A page.
pub struct Page<'b> {
    browser: &'b Browser,
    session: Value,
}

impl Page<'_> {
    fn call(&self, method: &str, params: Value) -> Result<Value> {
        self.browser.call(method, params, Some(&self.session))
    }

    /// What an expression of JavaScript is on the page.
    pub fn value(&self, expression: &str) -> Result<Value> {
        let params = json!({ "expression": expression, "returnByValue": true });
        let result = self.call("Runtime.evaluate", params)?;
        ensure!(result["exceptionDetails"].is_null(), "{expression}: {result}");
        Ok(result["result"]["value"].clone())
    }

    /// Brings it before other pages: one that nobody can see asks for nothing.
    pub fn show(&self) -> Result<()> {
        self.call("Page.bringToFront", json!({})).map(drop)
    }

    /// Waits until an expression is true.
    pub fn wait_for(&self, what: &str, expression: &str) -> Result<()> {
        wait_until(what, LIMIT, || {
            (self.value(expression).ok()? == Value::Bool(true)).then_some(())
        })
        .with_context(|| format!("the page reads:\n{}", self.text().unwrap_or_default()))
    }

    /// What can be read on it.
    pub fn text(&self) -> Result<String> {
        Ok(self.value("document.body.innerText")?.as_str().unwrap_or_default().to_owned())
    }

    /// What it complained about so far: errors on the console, exceptions, what was blocked.
    pub fn complaints(&self) -> Result<Vec<String>> {
        // Whatever came before this answer has come.
        self.value("0")?;
        let events = self.browser.events.borrow();
        let is_complaint = |event: &&Value| {
            let params = &event["params"];
            event["sessionId"] == self.session
                && match event["method"].as_str().unwrap_or_default() {
                    "Runtime.exceptionThrown" => true,
                    "Runtime.consoleAPICalled" => params["type"] != "log",
                    "Log.entryAdded" => params["entry"]["level"] != "info",
                    _ => false,
                }
        };
        Ok(events.iter().filter(is_complaint).map(|event| event["params"].to_string()).collect())
    }

    /// Every address that it has asked for.
    pub fn asked(&self) -> Vec<String> {
        let events = self.browser.events.borrow();
        let ours = events.iter().filter(|event| event["sessionId"] == self.session);
        let address = |event: &Value| event["params"]["request"]["url"].as_str().map(str::to_owned);
        ours.filter_map(address).collect()
    }

    /// A picture of the whole page, as PNG.
    pub fn picture(&self) -> Result<Vec<u8>> {
        let whole = json!({ "format": "png", "captureBeyondViewport": true });
        let shot = self.call("Page.captureScreenshot", whole)?;
        let data = shot["data"].as_str().context("a picture")?;
        Ok(base64::engine::general_purpose::STANDARD.decode(data)?)
    }
}

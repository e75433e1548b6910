//! The API over TCP: who is let in, and what for. curl is the client.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use overlay_control::config::{Access, Api as Settings};
use overlay_testbed::require_tools;
use overlay_user::api::tls;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

use crate::harness::Api;

/// An authority, and what it signs, in a directory.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new(directory: &Path, name: &str) -> Result<Self> {
        let mut params = CertificateParams::new(Vec::new())?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        let key = KeyPair::generate()?;
        let certificate = params.self_signed(&key)?;
        fs::write(directory.join(format!("{name}.pem")), certificate.pem())?;
        Ok(Self { issuer: Issuer::new(params, key) })
    }

    fn sign(&self, directory: &Path, name: &str) -> Result<()> {
        let params = CertificateParams::new(vec!["127.0.0.1".to_owned()])?;
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.issuer)?;
        fs::write(directory.join(format!("{name}.pem")), certificate.pem())?;
        let file = directory.join(format!("{name}.key"));
        fs::write(&file, key.serialize_pem())?;
        Ok(fs::set_permissions(file, Permissions::from_mode(0o600))?)
    }
}

fn settings(access: Access) -> Result<Settings> {
    // A port that is free now.
    let listen = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    Ok(Settings {
        listen,
        certificate: "gw1.pem".to_owned(),
        key: "gw1.key".to_owned(),
        client_ca: "clients.pem".to_owned(),
        access,
    })
}

/// Runs curl; returns the status and the body.
async fn curl(directory: &Path, arguments: Vec<String>) -> Result<(u16, String)> {
    let mut command = Command::new("curl");
    command.current_dir(directory).args(["-sS", "--max-time", "20", "-w", "\n%{http_code}"]);
    command.args(arguments);
    let output = tokio::task::spawn_blocking(move || command.output()).await??;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let (body, status) = text.rsplit_once('\n').context("a status")?;
    Ok((status.parse()?, body.to_owned()))
}

fn words(text: &str) -> Vec<String> {
    text.split(' ').map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_has_a_certificate_is_let_in_and_may_read() -> Result<()> {
    if !require_tools("who_has_a_certificate_is_let_in_and_may_read", &["curl"]) {
        return Ok(());
    }
    let mut api = Api::start()?;
    let directory = api.directory.path().to_owned();
    let clients = Authority::new(&directory, "clients")?;
    clients.sign(&directory, "noc")?;
    clients.sign(&directory, "gw1")?;
    Authority::new(&directory, "strangers")?.sign(&directory, "stranger")?;
    let mut settings = settings(Access::Read)?;
    let prepared = api.server.prepare(Some(&settings), &api.file).await?;
    api.server.adopt(prepared);

    let base = format!("https://{}", settings.listen);
    let known = "--cacert clients.pem --cert noc.pem --key noc.key";
    let (status, body) = curl(&directory, words(&format!("{known} {base}/v1/status"))).await?;
    ensure!(status == 200 && body.contains("gw1"), "{status} {body}");
    let delete = format!("{known} -X DELETE {base}/v1/configuration/peer/gw2");
    let (status, body) = curl(&directory, words(&delete)).await?;
    let problem: serde_json::Value = serde_json::from_str(&body)?;
    let said = "DELETE changes something; [api] has access = \"read\"";
    ensure!(status == 403 && problem["detail"] == said, "{status} {body}");
    for who in
        ["--cacert clients.pem", "--cacert clients.pem --cert stranger.pem --key stranger.key"]
    {
        let asked = curl(&directory, words(&format!("{who} {base}/v1/status"))).await;
        ensure!(asked.is_err(), "{who}: {asked:?}");
    }
    let old = curl(&directory, words(&format!("{known} --tls-max 1.2 {base}/v1/status"))).await;
    ensure!(old.is_err(), "TLS 1.2: {old:?}");
    let plain = curl(&directory, words(&format!("http://{}/v1/status", settings.listen))).await;
    ensure!(plain.is_err(), "without TLS: {plain:?}");

    // Other certificates and another access, on the same address.
    Authority::new(&directory, "clients")?.sign(&directory, "noc")?;
    settings.access = Access::Write;
    let prepared = api.server.prepare(Some(&settings), &api.file).await?;
    api.server.adopt(prepared);
    let (status, _) =
        curl(&directory, words(&delete.replace("--cacert clients.pem", "-k"))).await?;
    ensure!(status == 200, "{status}");
    api.server.adopt(None);
    let gone = curl(&directory, words(&format!("-k {known} {base}/v1/status"))).await;
    ensure!(gone.is_err(), "{gone:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silent_strangers_hold_nobody_up() -> Result<()> {
    let mut api = Api::start()?;
    let directory = api.directory.path().to_owned();
    let clients = Authority::new(&directory, "clients")?;
    clients.sign(&directory, "gw1")?;
    let settings = settings(Access::Read)?;
    let prepared = api.server.prepare(Some(&settings), &api.file).await?;
    api.server.adopt(prepared);
    let mut held = Vec::new();
    for _ in 0..100 {
        held.push(tokio::net::TcpStream::connect(settings.listen).await?);
    }
    let status = api.ask("GET", "/v1/status").await?;
    ensure!(status.status == 200, "the socket is not theirs: {status:?}");
    let mut byte = [0];
    for stream in &mut held {
        let read = tokio::io::AsyncReadExt::read(stream, &mut byte);
        let ended = tokio::time::timeout(std::time::Duration::from_secs(60), read).await;
        ensure!(matches!(ended, Ok(Ok(0) | Err(_))), "{ended:?}");
    }
    Ok(())
}

#[test]
fn files_that_would_not_do_are_named() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let directory = directory.path();
    let config = directory.join("overlay.toml");
    let clients = Authority::new(directory, "clients")?;
    clients.sign(directory, "gw1")?;
    clients.sign(directory, "gw2")?;
    let settings = settings(Access::Read)?;
    let wrong = |settings: &Settings| -> Vec<String> {
        let wrong = tls::wrong_files(settings, &config);
        wrong.into_iter().map(|(key, message, _)| format!("{key}: {message}")).collect()
    };
    ensure!(wrong(&settings).is_empty(), "{:?}", wrong(&settings));
    fs::set_permissions(directory.join("gw1.key"), Permissions::from_mode(0o644))?;
    ensure!(wrong(&settings)[0].contains("has mode 0644"), "{:?}", wrong(&settings));
    let other = Settings { key: "gw2.key".to_owned(), ..settings.clone() };
    ensure!(wrong(&other).len() == 1, "a key of another certificate: {:?}", wrong(&other));
    let missing = Settings {
        certificate: "nonesuch.pem".to_owned(),
        key: "gw2.key".to_owned(),
        client_ca: "gw2.key".to_owned(),
        ..settings
    };
    let wrong = wrong(&missing);
    ensure!(wrong.len() == 2 && wrong[1].contains("holds no certificate"), "{wrong:?}");
    Ok(())
}

#[test]
fn each_file_is_told_by_its_fault() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let file = |name: &str, text: &str, mode: u32| -> Result<std::path::PathBuf> {
        let path = directory.path().join(name);
        fs::write(&path, text)?;
        fs::set_permissions(&path, Permissions::from_mode(mode))?;
        Ok(path)
    };
    let open = file("open.key", "", 0o640)?;
    let said = tls::private_key(&open).unwrap_err().to_string();
    ensure!(said == "has mode 0640: others than its owner may use it", "{said}");
    let empty = file("empty.key", "", 0o600)?;
    let said = tls::private_key(&empty).unwrap_err().to_string();
    ensure!(said == "holds no private key", "{said}");
    let said = tls::certificates(&empty).unwrap_err().to_string();
    ensure!(said == "holds no certificate", "{said}");
    let broken = "-----BEGIN CERTIFICATE-----\n?\n-----END CERTIFICATE-----\n";
    let said = tls::certificates(&file("broken.pem", broken, 0o600)?).unwrap_err().to_string();
    ensure!(said == "no PEM", "{said}");
    let long = file("long.pem", &"x".repeat((1 << 20) + 1), 0o600)?;
    for path in [&*long, directory.path()] {
        let said = tls::certificates(path).unwrap_err().to_string();
        ensure!(said == "is no file of at most 1048576 bytes", "{said}");
    }
    Ok(())
}

#[tokio::test]
async fn an_address_that_is_taken_is_told() -> Result<()> {
    let api = Api::start()?;
    let directory = api.directory.path();
    let clients = Authority::new(directory, "clients")?;
    clients.sign(directory, "gw1")?;
    let taken = std::net::TcpListener::bind("127.0.0.1:0")?;
    let settings = Settings { listen: taken.local_addr()?, ..settings(Access::Read)? };
    let refused = api.server.prepare(Some(&settings), &api.file).await.err();
    let said = format!("{:#}", refused.context("it is taken")?);
    let sentence = format!("[api] cannot listen on {}: Address already in use", settings.listen);
    ensure!(said.starts_with(&sentence), "{said}");
    Ok(())
}

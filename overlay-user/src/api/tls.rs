//! `[api]`: certificates, and whom they let in. TLS 1.3, and no client without a certificate.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use overlay_control::config::Api;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};

/// No certificate or key is longer, in bytes.
const LONGEST: u64 = 1 << 20;

/// Where a file of the configuration is: relative names begin at the configuration file.
/// Where a file is that the configuration names: relative to the configuration.
pub fn located(name: &str, config: &Path) -> PathBuf {
    config.parent().map_or_else(|| PathBuf::from(name), |directory| directory.join(name))
}

/// What is wrong with the files of `[api]`: the key that names each, and what would be right.
/// `config` is the configuration file.
pub fn wrong_files(api: &Api, config: &Path) -> Vec<(&'static str, String, String)> {
    let mut wrong = Vec::new();
    for (key, name) in api.files() {
        let path = located(name, config);
        let checked = match key {
            "key" => private_key(&path).map(drop),
            _ => certificates(&path).map(drop),
        };
        if let Err(error) = checked {
            let help = match key {
                "key" => "a private key in PEM that only its owner may read (mode 0600)",
                _ => "one or more certificates in PEM",
            };
            wrong.push((key, format!("{key} {}: {error:#}", path.display()), help.to_owned()));
        }
    }
    if wrong.is_empty()
        && let Err(error) = server(api, config)
    {
        let help = "the key has to be that of the first certificate, and client_ca the \
                    certificates of authorities";
        wrong.push((
            "certificate",
            format!("certificate, key and client_ca: {error:#}"),
            help.to_owned(),
        ));
    }
    wrong
}

/// What a server needs, read from the files.
pub fn server(api: &Api, config: &Path) -> Result<Arc<ServerConfig>> {
    let provider = Arc::new(default_provider());
    let mut authorities = RootCertStore::empty();
    for certificate in certificates(&located(&api.client_ca, config))? {
        authorities.add(certificate).context("client_ca")?;
    }
    let clients =
        WebPkiClientVerifier::builder_with_provider(Arc::new(authorities), Arc::clone(&provider))
            .build()
            .context("client_ca")?;
    let mut server = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_client_cert_verifier(clients)
        .with_single_cert(
            certificates(&located(&api.certificate, config))?,
            private_key(&located(&api.key, config))?,
        )?;
    server.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(server))
}

/// Tells one set of files from another: the hash of what is in them.
pub fn fingerprint(api: &Api, config: &Path) -> Result<Vec<u8>> {
    let mut hash = aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA256);
    for (_, name) in api.files() {
        let text = read(&located(name, config))?;
        hash.update(&(text.len() as u64).to_be_bytes());
        hash.update(&text);
    }
    Ok(hash.finish().as_ref().to_vec())
}

/// The certificates of a file, at least one.
pub fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let text = read(path)?;
    let certificates =
        CertificateDer::pem_slice_iter(&text).collect::<Result<Vec<_>, _>>().context("no PEM")?;
    ensure!(!certificates.is_empty(), "holds no certificate");
    Ok(certificates)
}

/// The key of a file that nobody else may read.
pub fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>> {
    let mode = std::fs::metadata(path)?.mode() & 0o7777;
    ensure!(mode & 0o077 == 0, "has mode {mode:04o}: others than its owner may use it");
    PrivateKeyDer::from_pem_slice(&read(path)?).context("holds no private key")
}

fn read(path: &Path) -> Result<Vec<u8>> {
    let about = std::fs::metadata(path)?;
    ensure!(about.is_file() && about.len() <= LONGEST, "is no file of at most {LONGEST} bytes");
    Ok(std::fs::read(path)?)
}

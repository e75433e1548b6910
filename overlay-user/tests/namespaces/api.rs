//! The control API of a gateway: the book's examples, and TCP with mutual TLS.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use overlay_testbed::{Netns, Scratch, require_root, require_tools, run, veth};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

use crate::harness::Overlay;

const BOOK: &str = include_str!("../../../docs/src/api.md");

/// A gateway with a segment and a peer, as the book has it.
fn config(name: &str) -> String {
    format!(
        "[node]\nname = \"{name}\"\nvtep = \"192.0.2.1\"\n\n[[uplink]]\ninterface = \"eth0\"\n\n\
         [[segment]]\nname = \"blue\"\nvni = 100\n\n[[segment.port]]\ninterface = \"eth1\"\n\n\
         [[peer]]\nname = \"gw2\"\nvtep = \"192.0.2.2\"\nsegments = [\"blue\"]\n"
    )
}

struct Host {
    gateway: Netns,
    _outside: Netns,
}

impl Host {
    fn new() -> Result<Self> {
        let gateway = Netns::new("gw")?;
        let outside = Netns::new("outside")?;
        veth(&gateway, "eth0", &outside, "eth0")?;
        veth(&gateway, "eth1", &outside, "eth1")?;
        gateway.exec("ip addr add 192.0.2.1/24 dev eth0")?;
        Ok(Self { gateway, _outside: outside })
    }
}

#[test]
fn the_examples_of_the_book_work() -> Result<()> {
    let name = "the_examples_of_the_book_work";
    if !require_root(name) || !require_tools(name, &["curl"]) {
        return Ok(());
    }
    let host = Host::new()?;
    let name = host.gateway.name();
    let ours = Overlay::start(&host.gateway, name, &config(name))?;
    let blocks: Vec<&str> =
        BOOK.split("```sh\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    ensure!(blocks.len() >= 7, "{} examples", blocks.len());
    let script =
        blocks.join("\n").replace("/run/overlay/gw1.sock", &format!("/run/overlay/{name}.sock"));
    let scratch = Scratch::new()?;
    scratch.write("examples", &script)?;
    let mut shell = host.gateway.command("sh");
    shell.current_dir(scratch.path()).args(["-eu", "examples"]);
    let said = run(&mut shell).context(script)?;
    for words in ["\"persisted\":true", "unloaded 1 address", "segment green: added"] {
        ensure!(said.contains(words), "{words}: {said}");
    }
    let file = fs::read_to_string(ours.config())?;
    ensure!(file.contains("green") && file.contains("\"red\""), "{file}");
    Ok(())
}

/// An authority, and what it signs.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    /// One of this name, whose certificate is in a directory.
    pub fn new(directory: &Path, name: &str) -> Result<Self> {
        let mut params = CertificateParams::new(Vec::new())?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        // Who has the name of its signer passes for signed by itself.
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate()?;
        fs::write(directory.join(format!("{name}.pem")), params.self_signed(&key)?.pem())?;
        Ok(Self { issuer: Issuer::new(params, key) })
    }

    /// A certificate of this name, and its key.
    pub fn sign(&self, directory: &Path, name: &str) -> Result<()> {
        let key = KeyPair::generate()?;
        let params = CertificateParams::new(vec!["192.0.2.1".to_owned()])?;
        let certificate = params.signed_by(&key, &self.issuer)?;
        fs::write(directory.join(format!("{name}.pem")), certificate.pem())?;
        let file = directory.join(format!("{name}.key"));
        fs::write(&file, key.serialize_pem())?;
        Ok(fs::set_permissions(file, fs::Permissions::from_mode(0o600))?)
    }
}

/// curl over TCP, in the gateway's namespace.
fn secure(host: &Host, directory: &Path, arguments: &str) -> Result<String> {
    let mut curl = host.gateway.command("curl");
    curl.current_dir(directory).args(["-sS", "--fail-with-body", "--max-time", "20"]);
    run(curl.args(arguments.split(' ')))
}

#[test]
fn who_has_a_certificate_is_served_over_tcp() -> Result<()> {
    let name = "who_has_a_certificate_is_served_over_tcp";
    if !require_root(name) || !require_tools(name, &["curl"]) {
        return Ok(());
    }
    let host = Host::new()?;
    let name = host.gateway.name();
    let plain = config(name);
    let ours = Overlay::start(&host.gateway, name, &plain)?;
    let directory = ours.config().parent().context("a directory")?.to_owned();
    let api = "\n[api]\nlisten = \"192.0.2.1:8443\"\ncertificate = \"gw1.pem\"\n\
               key = \"gw1.key\"\nclient_ca = \"ca.pem\"\n";
    let refused = ours.reload(&format!("{plain}{api}")).err().context("missing files")?;
    let refused = format!("{refused:#}");
    ensure!(refused.contains("gw1.pem") && refused.contains("help:"), "{refused}");
    let authority = Authority::new(&directory, "ca")?;
    authority.sign(&directory, "gw1")?;
    authority.sign(&directory, "noc")?;
    ours.reload(&format!("{plain}{api}"))?;

    let url = "https://192.0.2.1:8443/v1";
    let known = "--cacert ca.pem --cert noc.pem --key noc.key";
    let status = secure(&host, &directory, &format!("{known} {url}/status"))?;
    ensure!(status.contains(name), "{status}");
    let change = format!("-X DELETE {known} {url}/configuration/peer/gw2");
    let refused = format!("{:#}", secure(&host, &directory, &change).err().context("read only")?);
    ensure!(refused.contains("403"), "{refused}");
    ensure!(secure(&host, &directory, &format!("--cacert ca.pem {url}/status")).is_err());
    // Another access, by the API itself.
    ours.run(&["set", "api", "access=write"])?;
    let changed = secure(&host, &directory, &change)?;
    ensure!(changed.contains("peer gw2: removed"), "{changed}");
    // Other certificates: those of before lead nowhere, and nothing else has changed.
    let authority = Authority::new(&directory, "ca")?;
    authority.sign(&directory, "gw1")?;
    ours.run(&["reload"])?;
    ensure!(secure(&host, &directory, &format!("{known} {url}/status")).is_err(), "an old one");
    authority.sign(&directory, "noc")?;
    secure(&host, &directory, &format!("{known} {url}/status"))?;
    // An address that is taken by somebody else changes nothing.
    let taken = plain.replace("vtep = \"192.0.2.2\"", "vtep = \"192.0.2.3\"")
        + &api.replace("192.0.2.1:8443", "198.51.100.1:1");
    let refused = format!("{:#}", ours.reload(&taken).err().context("no such address")?);
    ensure!(
        refused.contains("198.51.100.1:1") && refused.contains("nothing was changed"),
        "{refused}"
    );
    ensure!(ours.show("peers")?[0]["vtep"] == "192.0.2.2");
    secure(&host, &directory, &format!("{known} {url}/status"))?;
    ours.reload(&plain)?;
    ensure!(secure(&host, &directory, &format!("{known} {url}/status")).is_err(), "it is closed");
    Ok(())
}

//! `overlay check`, and reading a configuration for `run` and `reload`.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::Path;

use overlay_control::config::{Config, ConfigError, HostFacts};

use super::CommandFailure;
use crate::api::tls;
use crate::config_file;
use crate::netlink::Netlink;

/// Validates a file against itself and this host.
pub async fn check(file: &Path) -> Result<(), CommandFailure> {
    let Loaded { config, warnings, .. } = load(file, &Netlink::open()?, BTreeSet::new()).await?;
    for warning in warnings {
        eprintln!("warning: {warning}");
    }
    let ports: usize = config.segments.iter().map(|segment| segment.ports.len()).sum();
    println!(
        "{}: OK: {} with {} uplink(s), {} segment(s), {ports} access port(s), {} peer(s)",
        file.display(),
        config.node.name,
        config.uplinks.len(),
        config.segments.len(),
        config.peers.len(),
    );
    Ok(())
}

/// What a file says.
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// What works, and not as well as it could.
    pub warnings: Vec<ConfigError>,
    /// The file's text.
    pub text: String,
}

/// Reads a file and checks it against itself and this host, in that order: a
/// file that does not parse has nothing to compare. What works, and not as well as it could, is
/// told beside. `known` are the devices that a running gateway uses already.
pub async fn load(
    file: &Path,
    netlink: &Netlink,
    known: BTreeSet<String>,
) -> Result<Loaded, CommandFailure> {
    let name = file.display().to_string();
    let text = config_file::read(file).map_err(|error| unreadable(&name, &error))?;
    let config = Config::parse(&text, &name).map_err(CommandFailure::Configuration)?;
    let warnings = on_host(&config, file, netlink, known).await?;
    Ok(Loaded { config, warnings, text })
}

/// Why there is no configuration, and where one may come from.
pub fn unreadable(name: &str, error: &std::io::Error) -> CommandFailure {
    let hint = match error.kind() {
        ErrorKind::NotFound => {
            "\n  help: --config FILE names another; a package has an example, \
             /usr/share/doc/overlay/examples/overlay.toml"
        }
        _ => "",
    };
    let message = format!("cannot read {name}: {error}{hint}");
    match error.kind() {
        // It was read, and what it holds is no configuration.
        ErrorKind::InvalidData | ErrorKind::FileTooLarge => CommandFailure::Wrong(message),
        _ => CommandFailure::Unread(message),
    }
}

/// Checks a configuration against this host. `file` is where it stands, or is to stand.
pub async fn on_host(
    config: &Config,
    file: &Path,
    netlink: &Netlink,
    known: BTreeSet<String>,
) -> Result<Vec<ConfigError>, CommandFailure> {
    let addresses = netlink.addresses().await?;
    let mut host = HostFacts { addresses, known, ..HostFacts::default() };
    for link in netlink.links().await? {
        if !link.ethernet {
            host.not_ethernet.insert(link.name.clone());
        }
        host.mtus.insert(link.name.clone(), link.mtu);
        host.interfaces.insert(link.name);
    }
    if let Some(api) = &config.api {
        host.api_files = tls::wrong_files(api, file);
    }
    match config.check_host(&host) {
        errors if errors.is_empty() => Ok(config.host_warnings(&host)),
        errors => Err(CommandFailure::Host(errors)),
    }
}

//! `overlay check`, and reading a configuration for `run` and `reload`.

use std::path::Path;

use overlay_control::config::{Config, ConfigError, HostFacts};

use super::CommandFailure;
use crate::netlink::Netlink;

/// Validates a file against itself and this host.
pub async fn check(file: &Path) -> Result<(), CommandFailure> {
    let (config, warnings) = load(file, &Netlink::open()?).await?;
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

/// Reads a file and checks it against itself and this host, in that order: a
/// file that does not parse has nothing to compare. What works, and not as well as it could, is
/// told beside.
pub async fn load(
    file: &Path,
    netlink: &Netlink,
) -> Result<(Config, Vec<ConfigError>), CommandFailure> {
    let name = file.display().to_string();
    let text = std::fs::read_to_string(file)
        .map_err(|error| CommandFailure::Wrong(format!("cannot read {name}: {error}")))?;
    let config = Config::parse(&text, &name).map_err(CommandFailure::Configuration)?;
    let mut host = HostFacts { addresses: netlink.addresses().await?, ..HostFacts::default() };
    for link in netlink.links().await? {
        if !link.ethernet {
            host.not_ethernet.insert(link.name.clone());
        }
        host.mtus.insert(link.name.clone(), link.mtu);
        host.interfaces.insert(link.name);
    }
    match config.check_host(&host) {
        errors if errors.is_empty() => {
            let warnings = config.host_warnings(&host);
            Ok((config, warnings))
        }
        errors => Err(CommandFailure::Configuration(errors)),
    }
}

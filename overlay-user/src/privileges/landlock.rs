//! Which files are within reach: root without capabilities still owns most of them.

use std::path::{Path, PathBuf};

use ::landlock::{
    ABI, Access as _, AccessFs, BitFlags, PathBeneath, PathFd, Ruleset, RulesetAttr as _,
    RulesetCreatedAttr as _, RulesetStatus, Scope,
};
use anyhow::{Context as _, Result, bail};

use overlay_control::config::Config;

use crate::api::tls;
use crate::dataplane::bpffs;
use crate::instance;

/// The newest rules that are asked for. An older kernel does without the newer ones.
const NEWEST: ABI = ABI::V6;

/// What may be read beside what is the instance's own: what the kernel says about itself, its
/// devices and this process, and the certificates of the host.
const READ: &[&str] = &["/proc", "/sys", "/dev/urandom", "/etc/ssl"];

/// Confines this thread to reading [`READ`], and to reading and writing the configuration's
/// folder, the folder of control sockets and the BPF file system. Nothing can be executed.
pub fn restrict(config: &Path) -> Result<String> {
    let file = std::fs::canonicalize(config).unwrap_or_else(|_| config.to_owned());
    let mut written = vec![folder(config), folder(&file), PathBuf::from(instance::DIRECTORY)];
    written.extend(bpffs::find());
    let mut rules = Ruleset::default()
        .handle_access(AccessFs::from_all(NEWEST))
        .and_then(|rules| rules.scope(Scope::Signal))
        .and_then(Ruleset::create)
        .context("the kernel takes no rules")?;
    let read = AccessFs::from_read(NEWEST) & !AccessFs::Execute;
    let write = AccessFs::from_all(NEWEST) & !AccessFs::Execute & !made_of_devices();
    let readable = READ.iter().map(PathBuf::from).chain(certificates(config));
    let rights = readable.map(|path| (path, read));
    for (path, rights) in rights.chain(written.into_iter().map(|path| (path, write))) {
        // What is not there, nobody can ask for.
        let Ok(place) = PathFd::new(&path) else { continue };
        let rights = if path.is_dir() { rights } else { rights & AccessFs::from_file(NEWEST) };
        rules = rules
            .add_rule(PathBeneath::new(place, rights))
            .with_context(|| format!("the kernel takes no rule for {}", path.display()))?;
    }
    let status = rules.restrict_self().context("the kernel does not apply the rules")?;
    extent(status.ruleset)
}

/// How far the rules hold.
fn extent(status: RulesetStatus) -> Result<String> {
    match status {
        RulesetStatus::FullyEnforced => Ok("files confined".to_owned()),
        RulesetStatus::PartiallyEnforced => {
            Ok("files confined, as far as this kernel can".to_owned())
        }
        RulesetStatus::NotEnforced => bail!("this kernel has no landlock (5.13), or it is off"),
    }
}

/// The folders of the files that the configuration names, and of those that they are links to:
/// a certificate that is renewed is another file in the same place.
fn certificates(config: &Path) -> Vec<PathBuf> {
    let both = |file: PathBuf| [std::fs::canonicalize(&file).ok(), Some(file)];
    named(config).into_iter().flat_map(both).flatten().map(|file| folder(&file)).collect()
}

/// The files that the configuration names.
pub fn named(config: &Path) -> Vec<PathBuf> {
    let text = std::fs::read_to_string(config).unwrap_or_default();
    // What is wrong with it, the start says.
    let Ok(parsed) = Config::parse(&text, "") else { return Vec::new() };
    let files = parsed.api.iter().flat_map(|api| api.files());
    files.map(|(_, name)| tls::located(name, config)).collect()
}

/// The folder of a file.
pub fn folder(file: &Path) -> PathBuf {
    let file = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
    file.parent().map_or_else(|| PathBuf::from("/"), Path::to_owned)
}

/// Nobody makes devices in those folders.
fn made_of_devices() -> BitFlags<AccessFs> {
    AccessFs::MakeBlock | AccessFs::MakeChar | AccessFs::IoctlDev
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_said_how_far_files_are_confined() {
        let said = |status| extent(status).map_err(|error| error.to_string());
        assert_eq!(said(RulesetStatus::FullyEnforced), Ok("files confined".to_owned()));
        assert_eq!(
            said(RulesetStatus::PartiallyEnforced),
            Ok("files confined, as far as this kernel can".to_owned())
        );
        assert_eq!(
            said(RulesetStatus::NotEnforced),
            Err("this kernel has no landlock (5.13), or it is off".to_owned())
        );
    }
}

//! Debian's kernels: which, where from, and a cache of them.

use std::cmp::Reverse;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use nix::fcntl::{Flock, FlockArg};
use overlay_testbed::Scratch;

use super::image;
use crate::step::{capture, execute, step};

/// A series of kernels, of which Debian carries one at a time.
#[derive(Debug)]
pub struct Kernel {
    /// Such as `6.1`.
    pub series: &'static str,
    /// Where it is in Debian.
    suite: &'static str,
    /// What its packages' names begin with; the kernel's release follows.
    packages: &'static [&'static str],
    /// How its releases end.
    flavour: &'static str,
}

/// Oldest first; the last is the newest that there is.
pub const KERNELS: &[Kernel] = &[
    kernel("5.10", "bullseye-security", ONE, "-cloud-amd64"),
    kernel("6.1", "bookworm-security", ONE, "-cloud-amd64"),
    kernel("6.12", "bookworm-security", ONE, "+deb12-cloud-amd64"),
    kernel("6.16", "trixie-backports", ONE, "+deb13-cloud-amd64"),
    kernel("6.18", "trixie-backports", ONE, "+deb13-cloud-amd64"),
    kernel("7.2", "sid", TWO, "+deb14-cloud-amd64"),
    kernel("7.3", "trixie-backports", TWO, "+deb13-cloud-amd64"),
];

/// Those that every change is tested on: Debian's three stable releases, and the newest.
pub const EVERY_CHANGE: &[&str] = &["5.10", "6.1", "6.12", "7.3"];

const ONE: &[&str] = &["linux-image-"];
/// From Linux 7.0 on Debian ships a kernel and its modules apart.
const TWO: &[&str] = &["linux-binary-", "linux-modules-"];

const fn kernel(
    series: &'static str,
    suite: &'static str,
    packages: &'static [&'static str],
    flavour: &'static str,
) -> Kernel {
    Kernel { series, suite, packages, flavour }
}

/// A kernel that is ready to be booted.
#[derive(Debug)]
pub struct Ready {
    /// Such as `6.1`.
    pub series: &'static str,
    /// Such as `6.1.0-56-cloud-amd64`.
    pub release: String,
    /// The kernel.
    pub vmlinuz: PathBuf,
    /// An archive (cpio) of its modules.
    pub modules: PathBuf,
}

/// The kernels of these series, or all where none is named.
pub fn named(series: &[String]) -> Result<Vec<&'static Kernel>> {
    if series.is_empty() {
        return Ok(KERNELS.iter().collect());
    }
    let known = || KERNELS.iter().map(|kernel| kernel.series).collect::<Vec<_>>().join(", ");
    let find = |name: &String| {
        let kernel = KERNELS.iter().find(|kernel| kernel.series == name);
        kernel.with_context(|| format!("no kernel `{name}`; there are {}", known()))
    };
    series.iter().map(find).collect()
}

/// Whether a series is the newest of all.
pub fn is_newest(series: &str) -> bool {
    KERNELS.last().is_some_and(|kernel| kernel.series == series)
}

/// Makes kernels ready: those that are in the cache from there, unless newer ones are
/// asked for.
pub fn prepare(kernels: &[&'static Kernel], newer: bool) -> Result<Vec<Ready>> {
    let cache = Cache::open()?;
    let missing: Vec<&&Kernel> =
        kernels.iter().filter(|kernel| newer || !cache.holds(kernel)).collect();
    if !missing.is_empty() {
        let apt = Apt::update(&cache.root.join("apt"))?;
        for kernel in missing {
            cache.fetch(kernel, &apt)?;
        }
    }
    kernels.iter().map(|kernel| cache.ready(kernel)).collect()
}

/// `~/.cache/overlay/kernels`: a folder a series, complete or not there.
struct Cache {
    root: PathBuf,
    _lock: Flock<File>,
}

const RELEASE: &str = "release";
const VMLINUZ: &str = "vmlinuz";
const MODULES: &str = "modules.cpio";
const WANTED: &str = "wanted";
const SUMS: &str = "SHA256SUMS";

impl Cache {
    fn open() -> Result<Self> {
        let caches = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
        let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache"));
        let caches = caches.or_else(home).context("neither HOME nor XDG_CACHE_HOME is set")?;
        let root = caches.join("overlay").join("kernels");
        fs::create_dir_all(&root).with_context(|| format!("making {}", root.display()))?;
        let lock = File::create(root.join("lock"))?;
        let lock = Flock::lock(lock, FlockArg::LockExclusive)
            .map_err(|(_, error)| error)
            .context("locking the cache of kernels")?;
        Ok(Self { root, _lock: lock })
    }

    fn folder(&self, kernel: &Kernel) -> PathBuf {
        self.root.join(kernel.series)
    }

    /// Whether a kernel is there, unharmed, with the modules that are wanted.
    fn holds(&self, kernel: &Kernel) -> bool {
        let folder = self.folder(kernel);
        let wanted = fs::read_to_string(folder.join(WANTED)).unwrap_or_default();
        let mut check = Command::new("sha256sum");
        check.args(["--check", "--status", SUMS]).current_dir(&folder).stderr(Stdio::null());
        wanted == image::wanted_modules() && check.status().is_ok_and(|status| status.success())
    }

    fn ready(&self, kernel: &Kernel) -> Result<Ready> {
        let folder = self.folder(kernel);
        let release = fs::read_to_string(folder.join(RELEASE))
            .with_context(|| format!("kernel {} is not in the cache", kernel.series))?;
        Ok(Ready {
            series: kernel.series,
            release,
            vmlinuz: folder.join(VMLINUZ),
            modules: folder.join(MODULES),
        })
    }

    /// Downloads a series' newest kernel, and puts it in the place of the former.
    fn fetch(&self, kernel: &Kernel, apt: &Apt) -> Result<()> {
        let release = apt.newest(kernel)?;
        let same = self.ready(kernel).is_ok_and(|ready| ready.release == release);
        if same && self.holds(kernel) {
            return Ok(());
        }
        step(&format!("fetch Linux {release} from {}", kernel.suite), || {
            // What an interrupted download left is gone on with.
            let packages = self.root.join(format!("{release}.packages"));
            fs::create_dir_all(&packages)?;
            apt.download(kernel, &release, &packages)?;
            let new = self.root.join(format!("{}.new", kernel.series));
            let _ = fs::remove_dir_all(&new);
            fs::create_dir(&new)?;
            unpack(&release, &packages, &new)?;
            let folder = self.folder(kernel);
            let _ = fs::remove_dir_all(&folder);
            fs::rename(&new, &folder)?;
            fs::remove_dir_all(&packages)?;
            Ok(())
        })
    }
}

/// Takes the kernel and the modules that are wanted out of packages.
fn unpack(release: &str, packages: &Path, new: &Path) -> Result<()> {
    let scratch = Scratch::new()?;
    let root = scratch.path();
    for package in fs::read_dir(packages)? {
        execute(Command::new("dpkg").arg("--extract").arg(package?.path()).arg(root))?;
    }
    if !root.join("lib").exists() {
        std::os::unix::fs::symlink("usr/lib", root.join("lib"))?;
    }
    let places = [format!("boot/vmlinuz-{release}"), format!("lib/modules/{release}/vmlinuz")];
    let vmlinuz = places.iter().map(|place| root.join(place)).find(|place| place.exists());
    let vmlinuz = vmlinuz.with_context(|| format!("no kernel in the packages of {release}"))?;
    fs::copy(vmlinuz, new.join(VMLINUZ))?;
    image::modules(root, release, &new.join(MODULES))?;
    fs::write(new.join(RELEASE), release)?;
    fs::write(new.join(WANTED), image::wanted_modules())?;
    let mut sums = Command::new("sha256sum");
    let sums = capture(sums.args([RELEASE, VMLINUZ, MODULES, WANTED]).current_dir(new))?;
    Ok(fs::write(new.join(SUMS), sums)?)
}

/// apt with folders of its own, which leaves the machine's configuration alone.
struct Apt {
    options: Vec<String>,
}

const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

impl Apt {
    /// Reads the suites that the kernels are in. What they hold is signed by Debian, and
    /// apt checks that.
    fn update(folder: &Path) -> Result<Self> {
        fs::create_dir_all(folder.join("lists/partial"))?;
        fs::create_dir_all(folder.join("cache/archives/partial"))?;
        let sources = folder.join("sources.list");
        fs::write(&sources, sources_of(&configured_archives()?))?;
        let option = |name: &str, path: &Path| format!("--option={name}={}", path.display());
        let options = vec![
            option("Dir::Etc::SourceList", &sources),
            option("Dir::Etc::SourceParts", Path::new("/dev/null")),
            option("Dir::State::Lists", &folder.join("lists")),
            option("Dir::Cache", &folder.join("cache")),
            "--option=APT::Sandbox::User=root".to_owned(),
            "--option=APT::Get::List-Cleanup=0".to_owned(),
        ];
        let apt = Self { options };
        step("read Debian's lists of kernels", || {
            execute(apt.command("apt-get").args(["--quiet", "update"]))
        })?;
        Ok(apt)
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.args(&self.options);
        command
    }

    /// The newest release of a series.
    fn newest(&self, kernel: &Kernel) -> Result<String> {
        let prefix = kernel.packages[0];
        let names = capture(
            self.command("apt-cache").args(["pkgnames", &format!("{prefix}{}", kernel.series)]),
        )?;
        let newest = newest(names.lines().filter_map(|name| name.strip_prefix(prefix)), kernel);
        newest.map(str::to_owned).with_context(|| {
            format!("{} has no Linux {} of the cloud flavour", kernel.suite, kernel.series)
        })
    }

    fn download(&self, kernel: &Kernel, release: &str, folder: &Path) -> Result<()> {
        let names = kernel.packages.iter().map(|prefix| format!("{prefix}{release}"));
        let mut apt = self.command("apt-get");
        execute(apt.args(["--quiet", "download"]).args(names).current_dir(folder))?;
        let found = fs::read_dir(folder)?.count();
        ensure!(found == kernel.packages.len(), "{found} packages of Linux {release}");
        Ok(())
    }
}

/// The newest of a series' releases: the one with the largest numbers.
fn newest<'a>(releases: impl Iterator<Item = &'a str>, kernel: &Kernel) -> Option<&'a str> {
    let is_ours = |release: &&str| {
        let rest = release.strip_prefix(kernel.series);
        rest.is_some_and(|rest| rest.starts_with(['.', '-', '+']))
            && release.ends_with(kernel.flavour)
    };
    let numbers = |release: &&str| -> Vec<u64> {
        let version = release.trim_end_matches(kernel.flavour);
        version.split(|c: char| !c.is_ascii_digit()).filter_map(|n| n.parse().ok()).collect()
    };
    releases.filter(is_ours).min_by_key(|release| Reverse(numbers(release)))
}

/// Where this machine gets Debian from.
#[derive(Debug, PartialEq, Eq)]
struct Archives {
    main: String,
    security: String,
}

/// Reads them from this machine's configuration of apt.
fn configured_archives() -> Result<Archives> {
    let mut text = fs::read_to_string("/etc/apt/sources.list").unwrap_or_default();
    for entry in fs::read_dir("/etc/apt/sources.list.d").into_iter().flatten().flatten() {
        text += "\n\n";
        text += &fs::read_to_string(entry.path()).unwrap_or_default();
    }
    archives_in(&text)
}

/// Both notations: lines that begin with `deb`, and paragraphs with `URIs:`. Debian's own
/// archive is the one with updates; others may be configured beside it.
fn archives_in(text: &str) -> Result<Archives> {
    let (mut main, mut security) = (None, None);
    let mut note = |uri: &str, suites: &str| {
        let place = match suites {
            _ if suites.contains("-security") => &mut security,
            _ if suites.contains("-updates") => &mut main,
            _ => return,
        };
        place.get_or_insert_with(|| uri.trim_end_matches('/').to_owned());
    };
    for paragraph in text.split("\n\n") {
        let field = |name: &str| paragraph.lines().find_map(|line| line.strip_prefix(name));
        if let (Some(uris), Some(suites)) = (field("URIs:"), field("Suites:")) {
            uris.split_whitespace().for_each(|uri| note(uri, suites));
        }
        for line in paragraph.lines().filter_map(|line| line.strip_prefix("deb ")) {
            let plain = line.split(']').next_back().unwrap_or(line);
            let mut words = plain.split_whitespace();
            if let (Some(uri), Some(suite)) = (words.next(), words.next()) {
                note(uri, suite);
            }
        }
    }
    match (main, security) {
        (Some(main), Some(security)) => Ok(Archives { main, security }),
        _ => bail!("apt has no Debian archive configured, or none with security updates"),
    }
}

fn sources_of(archives: &Archives) -> String {
    let mut suites: Vec<&str> = KERNELS.iter().map(|kernel| kernel.suite).collect();
    suites.dedup();
    suites.sort_unstable();
    suites.dedup();
    let line = |suite: &str| {
        let archive =
            if suite.ends_with("-security") { &archives.security } else { &archives.main };
        format!("deb [signed-by={KEYRING}] {archive} {suite} main\n")
    };
    suites.into_iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_series_newest_release_is_chosen_by_its_numbers() {
        let names = [
            "6.1.0-9-cloud-amd64",
            "6.1.0-56-cloud-amd64",
            "6.1.0-57-amd64",
            "6.12.117+deb12-cloud-amd64",
            "6.1.0-58-cloud-amd64-dbg",
        ];
        let of = |series: &str| {
            let kernel = KERNELS.iter().find(|kernel| kernel.series == series).unwrap();
            newest(names.into_iter(), kernel)
        };
        assert_eq!(of("6.1"), Some("6.1.0-56-cloud-amd64"));
        assert_eq!(of("6.12"), Some("6.12.117+deb12-cloud-amd64"));
        assert_eq!(of("7.3"), None);
    }

    #[test]
    fn archives_are_read_in_both_notations() {
        let wanted = Archives {
            main: "http://mirror.test/debian".to_owned(),
            security: "http://mirror.test/security".to_owned(),
        };
        let paragraphs = "Types: deb\nURIs: http://other.test\nSuites: nodistro\n\n\
                          Types: deb\nURIs: http://mirror.test/debian/\n\
                          Suites: bookworm bookworm-updates\n\n\
                          Types: deb\nURIs: http://mirror.test/security\nSuites: bookworm-security\n";
        assert_eq!(archives_in(paragraphs).unwrap(), wanted);
        let lines = "# comment\ndeb http://other.test bookworm main\n\
                     deb [arch=amd64] http://mirror.test/debian bookworm-updates main\n\
                     deb http://mirror.test/security bookworm-security main\n";
        assert_eq!(archives_in(lines).unwrap(), wanted);
        assert!(archives_in("deb http://mirror.test/debian bookworm main").is_err());
    }

    #[test]
    fn what_every_change_is_tested_on_is_known_and_ends_with_the_newest() {
        let names: Vec<String> = EVERY_CHANGE.iter().map(|name| (*name).to_owned()).collect();
        assert_eq!(named(&names).unwrap().len(), names.len());
        assert_eq!(EVERY_CHANGE.last(), KERNELS.last().map(|kernel| &kernel.series));
        assert!(named(&["2.6".to_owned()]).is_err());
    }
}

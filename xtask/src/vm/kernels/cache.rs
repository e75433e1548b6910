//! The kernels on this machine: a folder a series, complete or not there.

use std::ffi::OsString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::SystemTime;

use anyhow::{Context, Result};
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use overlay_testbed::Scratch;

use super::apt::Apt;
use super::{Kernel, Look, Ready};
use crate::step::{capture, execute, step};
use crate::vm::image;

/// `~/.cache/overlay/kernels`, for nobody else while this is held.
pub struct Cache {
    root: PathBuf,
    _lock: Flock<File>,
}

const RELEASE: &str = "release";
const VMLINUZ: &str = "vmlinuz";
const MODULES: &str = "modules.cpio";
const WANTED: &str = "wanted";
const SUMS: &str = "SHA256SUMS";
/// Written when somebody looked for a newer kernel.
const LOOKED: &str = "looked";

/// What is in a folder, and how: a folder with another number is fetched again.
const FORMAT: u32 = 2;

impl Cache {
    /// Waits until no other run is at it.
    pub fn open() -> Result<Self> {
        let variable = |name| std::env::var_os(name);
        let caches = caches(variable("XDG_CACHE_HOME"), variable("HOME"))?;
        Self::at(caches.join("overlay").join("kernels"))
    }

    fn at(root: PathBuf) -> Result<Self> {
        fs::create_dir_all(&root).with_context(|| format!("making {}", root.display()))?;
        let lock = File::create(root.join("lock"))?;
        let lock = Flock::lock(lock, FlockArg::LockExclusiveNonblock)
            .or_else(|(lock, error)| match error {
                Errno::EWOULDBLOCK => {
                    println!("    waiting for another run, which has {}", root.display());
                    Flock::lock(lock, FlockArg::LockExclusive)
                }
                _ => Err((lock, error)),
            })
            .map_err(|(_, error)| error)
            .with_context(|| format!("locking {}", root.display()))?;
        Ok(Self { root, _lock: lock })
    }

    /// Where apt keeps its lists.
    pub fn lists(&self) -> PathBuf {
        self.root.join("apt")
    }

    fn folder(&self, kernel: &Kernel) -> PathBuf {
        self.root.join(kernel.series)
    }

    /// Whether a kernel is there, unharmed, with the modules that are wanted.
    pub fn holds(&self, kernel: &Kernel) -> bool {
        let folder = self.folder(kernel);
        let found = fs::read_to_string(folder.join(WANTED)).unwrap_or_default();
        let mut check = Command::new("sha256sum");
        check.args(["--check", "--strict", "--status", SUMS]);
        check.current_dir(&folder).stderr(Stdio::null());
        found == wanted() && check.status().is_ok_and(|status| status.success())
    }

    /// Whether it is time to look for a newer one.
    pub fn is_due(&self, kernel: &Kernel, look: Look) -> bool {
        let Look::After(time) = look else { return look == Look::Now };
        let looked =
            fs::metadata(self.folder(kernel).join(LOOKED)).and_then(|file| file.modified());
        let age = looked.ok().and_then(|then| SystemTime::now().duration_since(then).ok());
        age.is_none_or(|age| age > time)
    }

    fn release(&self, kernel: &Kernel) -> Result<String> {
        fs::read_to_string(self.folder(kernel).join(RELEASE))
            .with_context(|| format!("kernel {} is not in the cache", kernel.series))
    }

    /// Puts a kernel into a folder of a run's own, by another name for the same files
    /// where that is possible.
    pub fn take(&self, kernel: &Kernel, folder: &Path) -> Result<Ready> {
        let take = |name: &str| {
            let (from, to) =
                (self.folder(kernel).join(name), folder.join(kernel.series).join(name));
            fs::hard_link(&from, &to)
                .or_else(|_| fs::copy(&from, &to).map(drop))
                .with_context(|| format!("taking {}", from.display()))?;
            Ok::<_, anyhow::Error>(to)
        };
        let release = self.release(kernel)?;
        fs::create_dir_all(folder.join(kernel.series))?;
        Ok(Ready {
            series: kernel.series,
            release,
            vmlinuz: take(VMLINUZ)?,
            modules: take(MODULES)?,
        })
    }

    /// Downloads a series' newest kernel, and puts it in the place of the former.
    pub fn fetch(&self, kernel: &Kernel, apt: &Apt) -> Result<()> {
        let release = apt.newest(kernel)?;
        let is_there = self.release(kernel).is_ok_and(|held| held == release) && self.holds(kernel);
        if !is_there {
            step(&format!("fetch Linux {release} from {}", kernel.suite), || {
                let packages = self.root.join(format!("{}.packages", kernel.series));
                apt.download(kernel, &release, &packages)?;
                let new = self.root.join(format!("{}.new", kernel.series));
                let _ = fs::remove_dir_all(&new);
                fs::create_dir(&new)?;
                unpack(&release, &packages, &new)?;
                let folder = self.folder(kernel);
                let _ = fs::remove_dir_all(&folder);
                fs::rename(&new, &folder)?;
                Ok(fs::remove_dir_all(&packages)?)
            })?;
        }
        Ok(fs::write(self.folder(kernel).join(LOOKED), "")?)
    }
}

/// An empty variable is none.
fn caches(xdg: Option<OsString>, home: Option<OsString>) -> Result<PathBuf> {
    let told = |value: Option<OsString>| value.filter(|v| !v.is_empty()).map(PathBuf::from);
    let caches = told(xdg).or_else(|| told(home).map(|home| home.join(".cache")));
    caches.context("neither HOME nor XDG_CACHE_HOME is set")
}

fn wanted() -> String {
    format!("format {FORMAT}\n{}", image::wanted_modules())
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
    seal(release, new)
}

/// Notes what a folder holds.
fn seal(release: &str, folder: &Path) -> Result<()> {
    fs::write(folder.join(RELEASE), release)?;
    fs::write(folder.join(WANTED), wanted())?;
    let mut sums = Command::new("sha256sum");
    let sums = capture(sums.args([RELEASE, VMLINUZ, MODULES, WANTED]).current_dir(folder))?;
    Ok(fs::write(folder.join(SUMS), sums)?)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::KERNELS;
    use super::*;

    /// A cache that holds the oldest kernel.
    fn filled(scratch: &Scratch) -> (Cache, &'static Kernel) {
        let (cache, kernel) = (Cache::at(scratch.path().join("kernels")).unwrap(), &KERNELS[0]);
        let folder = cache.folder(kernel);
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join(VMLINUZ), "kernel").unwrap();
        fs::write(folder.join(MODULES), "modules").unwrap();
        seal("5.10.0-1-cloud-amd64", &folder).unwrap();
        assert!(cache.holds(kernel) && !cache.holds(&KERNELS[1]));
        (cache, kernel)
    }

    #[test]
    fn a_kernel_that_was_harmed_is_not_held() {
        for (file, text) in [
            (VMLINUZ, Some("kerneL")),
            (MODULES, Some("")),
            (WANTED, Some("format 2\nveth")),
            (WANTED, Some("veth")),
            (SUMS, Some("")),
            (SUMS, None),
        ] {
            let scratch = Scratch::new().unwrap();
            let (cache, kernel) = filled(&scratch);
            let path = cache.folder(kernel).join(file);
            match text {
                Some(text) => fs::write(&path, text).unwrap(),
                None => fs::remove_file(&path).unwrap(),
            }
            // With another list of modules the sums may be right.
            if file == WANTED {
                let mut sums = Command::new("sha256sum");
                sums.args([RELEASE, VMLINUZ, MODULES, WANTED]).current_dir(cache.folder(kernel));
                fs::write(cache.folder(kernel).join(SUMS), capture(&mut sums).unwrap()).unwrap();
            }
            assert!(!cache.holds(kernel), "{file} with {text:?}");
        }
    }

    #[test]
    fn what_a_run_took_stays_when_the_cache_changes() {
        let scratch = Scratch::new().unwrap();
        let (cache, kernel) = filled(&scratch);
        let ready = cache.take(kernel, &scratch.path().join("run")).unwrap();
        fs::remove_dir_all(cache.folder(kernel)).unwrap();
        assert_eq!(fs::read_to_string(&ready.vmlinuz).unwrap(), "kernel");
        assert_eq!(fs::read_to_string(&ready.modules).unwrap(), "modules");
        assert_eq!(ready.release, "5.10.0-1-cloud-amd64");
    }

    #[test]
    fn a_newer_kernel_is_looked_for_when_it_is_time() {
        let scratch = Scratch::new().unwrap();
        let (cache, kernel) = filled(&scratch);
        let day = Look::After(Duration::from_secs(86_400));
        assert!(cache.is_due(kernel, day) && cache.is_due(kernel, Look::Now));
        fs::write(cache.folder(kernel).join(LOOKED), "").unwrap();
        assert!(!cache.is_due(kernel, day) && !cache.is_due(kernel, Look::WhereMissing));
        assert!(cache.is_due(kernel, Look::Now));
    }

    #[test]
    fn an_empty_variable_is_none() {
        let path = |text: &str| Some(OsString::from(text));
        assert_eq!(caches(path("/x"), path("/home")).unwrap(), Path::new("/x"));
        assert_eq!(caches(path(""), path("/home")).unwrap(), Path::new("/home/.cache"));
        assert!(caches(path(""), path("")).is_err());
    }
}

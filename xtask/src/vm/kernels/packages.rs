//! The packages of a kernel while they are fetched.
//!
//! `apt-get download` keeps to a file that is there when its length is right, whatever is
//! in it, and begins again with one that is too short, under the final name. So what is
//! there is compared with what apt says it should be: a package that is whole is not
//! fetched again, and anything else is removed.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::step::capture;

/// SHA-256 sums by file name.
pub type Sums = BTreeMap<String, String>;

/// Reads what `apt-get --print-uris download` prints: `'URI' FILE SIZE SHA256:SUM`.
pub fn sums_in(text: &str) -> Sums {
    let sum = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let sum = words.last()?.strip_prefix("SHA256:")?;
        Some(((*words.get(1)?).to_owned(), sum.to_owned()))
    };
    text.lines().filter_map(sum).collect()
}

/// Makes a folder hold these packages and nothing else. What an interrupted download left
/// is gone on with; where the outcome is not right, everything is fetched once more.
pub fn complete(
    folder: &Path,
    sums: &Sums,
    mut download: impl FnMut(&Path) -> Result<()>,
) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
    if keep_whole(folder, sums)? {
        return Ok(());
    }
    let first = download(folder);
    if first.is_ok() && keep_whole(folder, sums)? {
        return Ok(());
    }
    if let Err(error) = first {
        println!("    once more from the beginning: {error:#}");
    }
    fs::remove_dir_all(folder)?;
    fs::create_dir(folder)?;
    download(folder)?;
    ensure!(keep_whole(folder, sums)?, "the packages are not those that Debian signed, twice");
    Ok(())
}

/// Removes what is not a whole package, and says whether all are there.
fn keep_whole(folder: &Path, sums: &Sums) -> Result<bool> {
    let mut whole = 0;
    for entry in fs::read_dir(folder)? {
        let (entry, file) = entry.map(|entry| (entry.file_name(), entry.path()))?;
        if sums.get(&*entry.to_string_lossy()).is_some_and(|sum| is_file_of(&file, sum)) {
            whole += 1;
        } else {
            let removed =
                if file.is_dir() { fs::remove_dir_all(&file) } else { fs::remove_file(&file) };
            removed.with_context(|| format!("removing {}", file.display()))?;
        }
    }
    Ok(whole == sums.len())
}

fn is_file_of(file: &Path, sum: &str) -> bool {
    let found = capture(Command::new("sha256sum").arg("--").arg(file));
    // A file name with a backslash gets a backslash in front of the sum.
    file.is_file() && found.is_ok_and(|text| text.split_whitespace().next() == Some(sum))
}

#[cfg(test)]
mod tests {
    use anyhow::bail;
    use overlay_testbed::Scratch;

    use super::*;

    /// The sum of `whole\n`.
    const WHOLE: &str = "3661291e28107bb940142d346bdb3a86da68415ae7fe451374d403c6037b9fa5";

    fn sums() -> Sums {
        BTreeMap::from(["one.deb", "two.deb"].map(|name| (name.to_owned(), WHOLE.to_owned())))
    }

    fn names(folder: &Path) -> Vec<String> {
        let files = fs::read_dir(folder).unwrap();
        let mut names: Vec<_> =
            files.map(|f| f.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn sums_are_read() {
        let text = "NOTICE: x\n'http://mirror.test/a_1%3a2.deb' a_1%3a2.deb 51193584 SHA256:b56d\n";
        let wanted = BTreeMap::from([("a_1%3a2.deb".to_owned(), "b56d".to_owned())]);
        assert_eq!(sums_in(text), wanted);
    }

    #[test]
    fn a_half_fetched_folder_is_gone_on_with() {
        let scratch = Scratch::new().unwrap();
        let folder = scratch.path();
        for (name, text) in [
            ("one.deb", "whole\n"),
            ("two.deb", "who"),
            ("two.deb.FAILED", "x"),
            ("former.deb", "whole\n"),
        ] {
            scratch.write(name, text).unwrap();
        }
        complete(folder, &sums(), |folder| {
            assert_eq!(names(folder), ["one.deb"], "only what is whole stays");
            Ok(fs::write(folder.join("two.deb"), "whole\n")?)
        })
        .unwrap();
        assert_eq!(names(folder), ["one.deb", "two.deb"]);
        complete(folder, &sums(), |_| bail!("nothing is missing")).unwrap();
    }

    #[test]
    fn a_wrong_set_is_fetched_once_more_from_the_beginning() {
        let scratch = Scratch::new().unwrap();
        scratch.write("one.deb", "whole\n").unwrap();
        let mut times = 0;
        let result = complete(scratch.path(), &sums(), |folder| {
            times += 1;
            assert_eq!(names(folder).is_empty(), times == 2);
            Ok(fs::write(folder.join("two.deb"), "wrong\n")?)
        });
        assert!(result.is_err() && times == 2, "{result:?} {times}");
    }
}

//! Every reason for a drop has its page in the book, and no page is about anything else.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use overlay_common::verdict::DropReason;

const BOOK: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/src");

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn labels() -> impl Iterator<Item = &'static str> {
    DropReason::ALL.iter().map(|reason| reason.name())
}

#[test]
fn every_reason_has_one_page_and_every_page_a_reason() {
    let folder = Path::new(BOOK).join("drops");
    let mut pages = BTreeSet::new();
    for entry in fs::read_dir(&folder).expect("docs/src/drops") {
        let path = entry.expect("an entry").path();
        let label = path.file_stem().expect("a name").to_str().expect("UTF-8").to_owned();
        if label != "index" {
            let text = read(&path);
            let title = text.lines().next().unwrap_or_default();
            assert_eq!(title, format!("# `{label}`"), "{}", path.display());
            for part in ["## When", "## What to check", "## What is counted"] {
                let has = text.lines().any(|line| line == part);
                assert!(has, "{}: no part `{part}`", path.display());
            }
            pages.insert(label);
        }
    }
    let wanted: BTreeSet<String> = labels().map(str::to_owned).collect();
    let missing: Vec<_> = wanted.difference(&pages).collect();
    assert!(missing.is_empty(), "no docs/src/drops/LABEL.md for {missing:?}");
    let strange: Vec<_> = pages.difference(&wanted).collect();
    assert!(strange.is_empty(), "docs/src/drops/ has pages that are no reason's: {strange:?}");
}

#[test]
fn the_index_and_the_table_of_contents_name_every_page_in_order() {
    for (file, link) in [
        ("SUMMARY.md", (|label| format!("[`{label}`](drops/{label}.md)")) as fn(&str) -> String),
        ("drops/index.md", |label| format!("| [`{label}`]({label}.md) |")),
    ] {
        let text = read(&Path::new(BOOK).join(file));
        let mut from = 0;
        for label in labels() {
            let link = link(label);
            let found = text[from..].find(&link);
            let at =
                found.unwrap_or_else(|| panic!("{file}: `{link}` is missing, or out of order"));
            from += at + link.len();
        }
    }
}

#[test]
fn retired_reasons_say_so() {
    for reason in DropReason::ALL {
        let page = read(&Path::new(BOOK).join(format!("drops/{}.md", reason.name())));
        let is_retired = DropReason::RETIRED.contains(reason);
        assert_eq!(page.contains("\nRetired: "), is_retired, "{}", reason.name());
    }
}

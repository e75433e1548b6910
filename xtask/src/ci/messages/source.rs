//! The sources of the product and of its tests, as tokens.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow};
use proc_macro2::{TokenStream, TokenTree};

use super::super::direction;

/// What users run.
const PRODUCT: &[&str] = &["overlay-common", "overlay-control", "overlay-user"];
/// What else holds expectations.
const PROOFS: &[&str] = &["proof"];

/// Rust files of the product's crates.
pub struct Sources {
    /// What is compiled into the product; test modules are still inside.
    pub product: Vec<Source>,
    /// Files of tests.
    pub tests: Vec<Source>,
}

/// One file.
pub struct Source {
    /// Its path from the workspace's root.
    pub path: String,
    /// Its crate's folder.
    pub room: String,
    /// What it holds.
    pub tokens: Vec<TokenTree>,
}

impl Sources {
    /// Reads all files.
    pub fn read(root: &Path) -> Result<Self> {
        let (mut product, mut tests) = (Vec::new(), Vec::new());
        for room in PRODUCT {
            let files = read(root, room, "src")?;
            let only_tests: BTreeSet<PathBuf> =
                files.iter().flat_map(|file| test_modules(root, file)).collect();
            for file in files {
                let is_test = only_tests.contains(&root.join(&file.path));
                if is_test { &mut tests } else { &mut product }.push(file);
            }
            tests.extend(read(root, room, "tests")?);
        }
        for room in PROOFS {
            tests.extend(read(root, room, "tests")?);
        }
        Ok(Self { product, tests })
    }
}

fn read(root: &Path, room: &str, folder: &str) -> Result<Vec<Source>> {
    let folder = root.join(room).join(folder);
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let one = |file: PathBuf| {
        let path = file.strip_prefix(root).unwrap_or(&file).display().to_string();
        let text = std::fs::read_to_string(&file)?;
        let tokens: TokenStream = text.parse().map_err(|error| anyhow!("{path}: {error}"))?;
        Ok(Source { path, room: room.to_owned(), tokens: tokens.into_iter().collect() })
    };
    direction::sources(&folder)?.into_iter().map(one).collect()
}

/// The files of modules that are compiled for tests only: `#[cfg(test)] mod tests;`, which may
/// say where it is.
fn test_modules(root: &Path, source: &Source) -> Vec<PathBuf> {
    let file = root.join(&source.path);
    let stem = file.file_stem().unwrap_or_default();
    let beside = file.parent().unwrap_or(root);
    let is_own = stem == "mod" || stem == "lib" || stem == "main";
    let below = if is_own { beside.to_path_buf() } else { beside.join(stem) };
    let mut found = Vec::new();
    let (mut is_test, mut path) = (false, None);
    for (index, token) in source.tokens.iter().enumerate() {
        match token {
            TokenTree::Group(group) => {
                let text = group.to_string();
                is_test |= text.replace(' ', "") == "[cfg(test)]";
                if let Some(named) = text.strip_prefix("[path = \"") {
                    path = Some(beside.join(named.trim_end_matches("\"]")));
                }
                if group.delimiter() == proc_macro2::Delimiter::Brace {
                    (is_test, path) = (false, None);
                }
            }
            TokenTree::Punct(punct) if punct.as_char() == ';' => {
                if is_test && let Some(TokenTree::Ident(name)) = source.tokens.get(index - 1) {
                    let usual = below.join(format!("{name}.rs"));
                    found.push(path.take().unwrap_or(usual));
                }
                (is_test, path) = (false, None);
            }
            _ => {}
        }
    }
    found
}

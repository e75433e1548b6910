//! What a request says beside its body: parameters, and on which version it stands.

use axum::extract::FromRequestParts;
use axum::http::header::IF_MATCH;
use axum::http::request::Parts;

use crate::api::problem::{Kind, Problem};

/// How a change is to be made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// `persist`: whether to write it to the file.
    pub persist: bool,
    /// `dry_run`: whether only to say what would change.
    pub dry_run: bool,
    /// `If-Match`: the versions that it may be made on.
    pub versions: Option<Vec<String>>,
}

impl<S: Sync> FromRequestParts<S> for Options {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let mut options = parse(parts.uri.query().unwrap_or_default())?;
        let header = parts.headers.get(IF_MATCH);
        options.versions = header.map(|value| versions(value.to_str().unwrap_or_default()));
        Ok(options)
    }
}

fn parse(query: &str) -> Result<Options, Problem> {
    let mut options = Options::default();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, "true"));
        let value = match value {
            "true" => true,
            "false" => false,
            _ => return Err(wrong(format!("{name}={value:?} is neither true nor false"))),
        };
        match name {
            "persist" => options.persist = value,
            "dry_run" => options.dry_run = value,
            _ => return Err(wrong(format!("unknown parameter {name:?}"))),
        }
    }
    Ok(options)
}

fn wrong(what: String) -> Problem {
    Problem::new(Kind::Request, format!("{what}; there are persist=true and dry_run=true"))
}

/// The entity tags of a header; weak ones match nothing (RFC 9110, section 13.1.1).
fn versions(header: &str) -> Vec<String> {
    let tags = header.split(',').map(str::trim);
    let strong = |tag: &str| {
        if tag == "*" { Some(tag) } else { tag.strip_prefix('"')?.strip_suffix('"') }
            .map(str::to_owned)
    };
    tags.filter_map(strong).collect()
}

impl Options {
    /// Whether the change may be made on this version.
    pub fn allow(&self, version: &str) -> Result<(), Problem> {
        match &self.versions {
            Some(versions) if !versions.iter().any(|own| own == "*" || own == version) => {
                let detail = format!(
                    "the configuration has version {version}, and the request is for another \
                     (If-Match); nothing was changed: read it again, and change that"
                );
                Err(Problem::new(Kind::Outdated, detail))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_strict() {
        let options = parse("persist=true&dry_run").unwrap();
        assert!(options.persist && options.dry_run);
        assert!(!parse("persist=false").unwrap().persist);
        for bad in ["persist=yes", "presist=true", "x"] {
            assert_eq!(parse(bad).unwrap_err().status, 400, "{bad}");
        }
    }

    #[test]
    fn versions_are_compared_strongly() {
        let options = |header| Options { versions: Some(versions(header)), ..Options::default() };
        assert!(options("\"a\", \"b\"").allow("b").is_ok() && options("*").allow("x").is_ok());
        assert!(options("W/\"b\"").allow("b").is_err() && options("").allow("b").is_err());
        assert_eq!(options("\"a\"").allow("b").unwrap_err().status, 412);
        assert!(Options::default().allow("b").is_ok());
    }
}

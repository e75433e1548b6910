//! Where the product speaks of errors, and what it says there; and what tests expect.

use std::collections::{BTreeMap, BTreeSet};

use proc_macro2::{TokenStream, TokenTree};
use syn::LitStr;

use super::pattern::Expected;
use super::scope::{Scope, function, is_punct, list, skipped, value, word, words};
use super::source::{Source, Sources};

/// Macros whose text is an error's, and the arguments in front of it.
const MACROS: &[(&str, usize)] =
    &[("anyhow", 0), ("bail", 0), ("ensure", 1), ("eprintln", 0), ("error", 0), ("warn", 0)];
/// What tests say of themselves.
const OF_TESTS: &[(&str, usize)] =
    &[("assert", 1), ("assert_eq", 2), ("assert_ne", 2), ("panic", 0), ("println", 0)];
/// Methods that take an error's text.
const METHODS: &[&str] = &["context", "with_context"];
/// Methods of which a sentence among the arguments is an error's.
const REPORTS: &[&str] = &["ok_or", "ok_or_else", "map_err"];
/// Types that are errors, or say what is wrong.
const ERRORS: &[&str] = &[
    "CommandFailure",
    "Error",
    "Fault",
    "FilterError",
    "LineError",
    "Obstacle",
    "Problem",
    "Refusal",
    "Wrong",
];
/// Folders whose every sentence is an error's.
const ALL_OF: &[&str] = &["overlay-control/src/config/", "overlay-control/src/addresses/"];

/// Folders that say what was asked for, where an error may ask, too.
const NONE_OF: &[&str] = &["overlay-control/src/explain/", "overlay-user/src/show/"];

/// Something that is said, and where.
pub struct Said {
    /// The text as a format string has it.
    pub text: String,
    /// File and line.
    pub place: String,
}

/// File, line and column.
type Place = (String, usize, usize);

/// Every error message of the product.
pub fn messages(sources: &Sources) -> Vec<Said> {
    let scope = Scope::of(&sources.product);
    let mut found = BTreeMap::new();
    for source in &sources.product {
        let mut search = Search { source, scope: &scope, variables: Vec::new(), found };
        if ALL_OF.iter().any(|folder| source.path.starts_with(folder)) {
            search.sentences(&product_only(&source.tokens));
        } else {
            search.walk(&source.tokens);
        }
        found = search.found;
    }
    let said =
        |((path, line, _), text): (Place, String)| Said { text, place: format!("{path}:{line}") };
    found.into_iter().map(said).collect()
}

/// Every text that tests have, apart from what they say of themselves.
pub fn expectations(sources: &Sources) -> Vec<Expected> {
    let mut texts = BTreeSet::new();
    for source in &sources.tests {
        expected(&source.tokens, &mut texts);
    }
    for source in &sources.product {
        inner_tests(&source.tokens, &mut texts);
    }
    texts.iter().map(|text| Expected::of(text)).collect()
}

fn expected(tokens: &[TokenTree], texts: &mut BTreeSet<String>) {
    for (at, token) in tokens.iter().enumerate() {
        match token {
            TokenTree::Literal(_) => texts.extend(text(token)),
            TokenTree::Group(group) => {
                let inside = list(group.stream());
                let own = called(tokens, at, &[MACROS, OF_TESTS].concat());
                let is_own =
                    METHODS.iter().chain(&["expect"]).any(|name| is_method(tokens, at, name));
                match own {
                    Some(in_front) => expected(&inside[..behind(&inside, in_front)], texts),
                    None if is_own => {}
                    None => expected(&inside, texts),
                }
            }
            _ => {}
        }
    }
}

/// The test modules inside a file of the product.
fn inner_tests(tokens: &[TokenTree], texts: &mut BTreeSet<String>) {
    let mut at = 0;
    while at < tokens.len() {
        if let Some(after) = skipped(tokens, at) {
            expected(&tokens[at..after], texts);
            at = after;
            continue;
        }
        if let TokenTree::Group(group) = &tokens[at] {
            inner_tests(&list(group.stream()), texts);
        }
        at += 1;
    }
}

/// The tokens without attributes and what is for tests only.
fn product_only(tokens: &[TokenTree]) -> Vec<TokenTree> {
    let (mut at, mut kept) = (0, Vec::new());
    while at < tokens.len() {
        if let Some(after) = skipped(tokens, at) {
            at = after;
            continue;
        }
        kept.push(match &tokens[at] {
            TokenTree::Group(group) => {
                let inside: TokenStream = product_only(&list(group.stream())).into_iter().collect();
                proc_macro2::Group::new(group.delimiter(), inside).into()
            }
            token => token.clone(),
        });
        at += 1;
    }
    kept
}

/// The search through one file.
struct Search<'a> {
    source: &'a Source,
    scope: &'a Scope,
    /// The variables in sight, and their values.
    variables: Vec<(String, Vec<TokenTree>)>,
    found: BTreeMap<Place, String>,
}

impl Search<'_> {
    fn walk(&mut self, tokens: &[TokenTree]) {
        let outside = self.variables.len();
        let mut at = 0;
        while at < tokens.len() {
            if let Some(after) = skipped(tokens, at) {
                at = after;
                continue;
            }
            match &tokens[at] {
                TokenTree::Group(group) => {
                    let inside = list(group.stream());
                    self.arguments(tokens, at, &inside);
                    self.walk(&inside);
                }
                token => self.definition(&word(token), tokens, at),
            }
            at += 1;
        }
        self.variables.truncate(outside);
    }

    /// A variable comes into sight; a function that makes errors; how an error is shown.
    fn definition(&mut self, keyword: &str, tokens: &[TokenTree], at: usize) {
        match keyword {
            "let" => {
                let name =
                    at + 1 + usize::from(tokens.get(at + 1).is_some_and(|t| word(t) == "mut"));
                if let (Some(name), Some(value)) = (tokens.get(name), value(tokens, at)) {
                    self.variables.push((name.to_string(), value));
                }
            }
            "fn" => {
                let is_error = |gives: &str| {
                    let mut kinds = words(gives);
                    kinds.any(|kind| ERRORS.contains(&kind)) && !words(gives).any(|k| k == "Result")
                };
                if let Some(function) = function(tokens, at).filter(|f| is_error(&f.gives)) {
                    self.sentences(&function.body);
                }
            }
            "Display" if tokens.get(at + 1).is_some_and(|token| word(token) == "for") => {
                let is_error =
                    tokens.get(at + 2).is_some_and(|t| ERRORS.contains(&word(t).as_str()));
                let body = tokens[at..].iter().find_map(|token| match token {
                    TokenTree::Group(group) => Some(list(group.stream())),
                    _ => None,
                });
                if let Some(body) = body.filter(|_| is_error) {
                    self.sentences(&body);
                }
            }
            _ => {}
        }
    }

    /// The group at this place may be the arguments of something that makes an error.
    fn arguments(&mut self, tokens: &[TokenTree], at: usize, inside: &[TokenTree]) {
        if let Some(in_front) = called(tokens, at, MACROS) {
            self.texts(&inside[behind(inside, in_front)..], true, 0);
        } else if METHODS.iter().any(|name| is_method(tokens, at, name)) {
            self.texts(inside, true, 0);
        } else if REPORTS.iter().any(|name| is_method(tokens, at, name)) || makes_error(tokens, at)
        {
            self.sentences(inside);
        }
    }

    /// What is said in these tokens, in several words.
    fn sentences(&mut self, tokens: &[TokenTree]) {
        self.texts(tokens, false, 0);
    }

    /// What is said: a single word only at the top, and only where it `may` be one.
    fn texts(&mut self, tokens: &[TokenTree], may: bool, depth: usize) {
        for (at, token) in tokens.iter().enumerate() {
            match token {
                TokenTree::Literal(_) => {
                    let is_value = at > 0 && is_punct(&tokens[at - 1], '=');
                    let said = text(token).filter(|text| may || text.trim().contains(' '));
                    if let Some(text) = said.filter(|_| !is_value || !may) {
                        let (path, start) = (self.source.path.clone(), token.span().start());
                        self.found.insert((path, start.line, start.column), text);
                    }
                }
                // Whoever expects something says so to developers.
                TokenTree::Group(_) if is_method(tokens, at, "expect") => {}
                TokenTree::Group(group) => self.texts(&list(group.stream()), false, depth),
                TokenTree::Ident(_) if depth < 3 => self.name(tokens, at, depth),
                _ => {}
            }
        }
    }

    /// A name among what is said.
    fn name(&mut self, tokens: &[TokenTree], at: usize, depth: usize) {
        let name = word(&tokens[at]);
        let before = at.checked_sub(1).map(|i| &tokens[i]);
        let is_call = matches!(tokens.get(at + 1), Some(TokenTree::Group(_)));
        let is_of_self = at > 1 && word(&tokens[at - 2]) == "self";
        if before.is_some_and(|token| is_punct(token, '.')) && !(is_call && is_of_self) {
            return;
        }
        let variable = self.variables.iter().rev().find(|(known, _)| *known == name);
        if let Some((_, value)) = variable.filter(|_| depth == 0) {
            return self.texts(&value.clone(), false, depth + 1);
        }
        let is_constant = name.chars().all(|c| !c.is_lowercase());
        if !is_call && !is_constant {
            return;
        }
        for meaning in self.scope.meaning(self.source, &name) {
            if NONE_OF.iter().any(|folder| meaning.path.starts_with(folder)) {
                continue;
            }
            let source =
                Source { path: meaning.path, room: self.source.room.clone(), tokens: Vec::new() };
            let found = std::mem::take(&mut self.found);
            let scope = self.scope;
            let mut there = Search { source: &source, scope, variables: Vec::new(), found };
            there.texts(&meaning.tokens, false, depth + 1);
            self.found = there.found;
        }
    }
}

/// The text of a literal.
fn text(token: &TokenTree) -> Option<String> {
    let literal: LitStr = syn::parse2(TokenStream::from(token.clone())).ok()?;
    Some(literal.value())
}

/// Whether the group at this place is that of one of these macros: how many of its arguments
/// come in front of its text.
fn called(tokens: &[TokenTree], at: usize, macros: &[(&str, usize)]) -> Option<usize> {
    let is_macro = at > 1 && is_punct(&tokens[at - 1], '!');
    let name = word(&tokens[at.checked_sub(2).filter(|_| is_macro)?]);
    macros.iter().find(|(known, _)| *known == name).map(|(_, in_front)| *in_front)
}

/// Whether the group at this place is the arguments of this method.
fn is_method(tokens: &[TokenTree], at: usize, name: &str) -> bool {
    // `Error::context` may also stand as a path.
    at > 1 && word(&tokens[at - 1]) == name && matches!(tokens[at - 2], TokenTree::Punct(_))
}

/// Whether the group at this place is what an error is made of: `Err(…)`, `Problem::new(…)`,
/// `Problem { … }`.
fn makes_error(tokens: &[TokenTree], at: usize) -> bool {
    let name = |back: usize| at.checked_sub(back).map_or(String::new(), |at| word(&tokens[at]));
    let is_known = |name: &str| ERRORS.contains(&name) || name == "Err";
    let is_path = at > 2 && is_punct(&tokens[at - 2], ':');
    let is_definition = ["impl", "struct", "enum", "for", "trait"].contains(&name(2).as_str())
        || at > 1 && is_punct(&tokens[at - 2], '>');
    is_known(&name(1)) && !is_definition || is_path && is_known(&name(4))
}

/// Where the arguments begin that stand behind so many others.
fn behind(tokens: &[TokenTree], in_front: usize) -> usize {
    let commas = tokens.iter().enumerate().filter(|(_, token)| is_punct(token, ','));
    let nth = in_front.checked_sub(1).map(|n| commas.map(|(at, _)| at + 1).nth(n));
    nth.map_or(0, |found| found.unwrap_or(tokens.len()))
}

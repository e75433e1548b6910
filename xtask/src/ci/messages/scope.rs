//! What a name in an error stands for: a variable above it, or a constant or function of its
//! crate.

use std::collections::BTreeMap;

use proc_macro2::{Delimiter, TokenStream, TokenTree};

use super::source::Source;

/// Tokens, and the file that they are in.
#[derive(Clone, Debug)]
pub struct Meaning {
    /// The file's path.
    pub path: String,
    /// A value, or a function's body.
    pub tokens: Vec<TokenTree>,
}

/// The constants and the functions that make text, of every crate.
#[derive(Default)]
pub struct Scope(BTreeMap<(String, String), Vec<Meaning>>);

impl Scope {
    /// Everything that these files define.
    pub fn of(sources: &[Source]) -> Self {
        let mut scope = Self::default();
        for source in sources {
            scope.define(source, &source.tokens);
        }
        scope
    }

    /// What a name means in a file: what the file itself defines before what others do.
    pub fn meaning(&self, source: &Source, name: &str) -> Vec<Meaning> {
        let all = self.0.get(&(source.room.clone(), name.to_owned()));
        let all: Vec<Meaning> = all.cloned().unwrap_or_default();
        let own: Vec<Meaning> = all.iter().filter(|m| m.path == source.path).cloned().collect();
        if own.is_empty() { all } else { own }
    }

    fn define(&mut self, source: &Source, tokens: &[TokenTree]) {
        let mut at = 0;
        while at < tokens.len() {
            if let Some(after) = skipped(tokens, at) {
                at = after;
                continue;
            }
            let value = match word(&tokens[at]).as_str() {
                "fn" => function(tokens, at).filter(|f| f.makes_text()).map(|f| f.body),
                "const" | "static" => text_constant(tokens, at),
                _ => None,
            };
            if let (Some(value), Some(name)) = (value, tokens.get(at + 1)) {
                let meaning = Meaning { path: source.path.clone(), tokens: value };
                let key = (source.room.clone(), name.to_string());
                self.0.entry(key).or_default().push(meaning);
            }
            if let TokenTree::Group(group) = &tokens[at] {
                self.define(source, &list(group.stream()));
            }
            at += 1;
        }
    }
}

/// A function's definition.
pub struct Function {
    /// What stands behind the arrow.
    pub gives: String,
    /// What it does.
    pub body: Vec<TokenTree>,
}

impl Function {
    fn makes_text(&self) -> bool {
        ["String", "str", "Cow"].iter().any(|kind| words(&self.gives).any(|word| word == *kind))
    }
}

/// The words of a type.
pub fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric() && c != '_')
}

/// The function that is defined at `fn`.
pub fn function(tokens: &[TokenTree], at: usize) -> Option<Function> {
    let rest = tokens.get(at + 1..)?;
    let end = rest.iter().position(|token| is_braces(token) || is_punct(token, ';'))?;
    let TokenTree::Group(body) = &rest[end] else { return None };
    let head: TokenStream = rest[..end].iter().cloned().collect();
    let head = head.to_string();
    let gives = head.rsplit_once("->").map_or("", |(_, gives)| gives);
    let gives = gives.split(" where ").next().unwrap_or_default().to_owned();
    Some(Function { gives, body: list(body.stream()) })
}

/// A constant that is text, or texts.
fn text_constant(tokens: &[TokenTree], at: usize) -> Option<Vec<TokenTree>> {
    let kind = tokens[at..].iter().take_while(|token| !is_punct(token, '='));
    let kind: TokenStream = kind.cloned().collect();
    words(&kind.to_string()).any(|word| word == "str").then(|| value(tokens, at))?
}

/// What stands between `=` and `;` of the definition at this place.
pub fn value(tokens: &[TokenTree], at: usize) -> Option<Vec<TokenTree>> {
    let rest = tokens.get(at..)?;
    let end = rest.iter().position(|token| is_punct(token, ';'))?;
    let begin = rest[..end].iter().position(|token| is_punct(token, '='))?;
    Some(rest[begin + 1..end].to_vec())
}

/// Where it goes on behind an attribute, and behind what is compiled for tests only.
pub fn skipped(tokens: &[TokenTree], at: usize) -> Option<usize> {
    if !is_punct(&tokens[at], '#') {
        return None;
    }
    let bang = usize::from(tokens.get(at + 1).is_some_and(|token| is_punct(token, '!')));
    let TokenTree::Group(attribute) = tokens.get(at + 1 + bang)? else { return None };
    let after = at + 2 + bang;
    if attribute.to_string().replace(' ', "") != "[cfg(test)]" {
        return Some(after);
    }
    let rest = &tokens[after..];
    let end = rest.iter().position(|token| is_braces(token) || is_punct(token, ';'));
    Some(end.map_or(tokens.len(), |end| after + end + 1))
}

/// The tokens of a group.
pub fn list(stream: TokenStream) -> Vec<TokenTree> {
    stream.into_iter().collect()
}

/// A token that is a word, as text; nothing for another.
pub fn word(token: &TokenTree) -> String {
    if let TokenTree::Ident(ident) = token { ident.to_string() } else { String::new() }
}

/// Whether a token is this sign.
pub fn is_punct(token: &TokenTree, sign: char) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == sign)
}

fn is_braces(token: &TokenTree) -> bool {
    matches!(token, TokenTree::Group(group) if group.delimiter() == Delimiter::Brace)
}

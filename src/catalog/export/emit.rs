//! Owns the writing of YAML: blocks for what nests, one line for what is short, and quotes wherever a reader
//! of any YAML version could see anything but text.

use serde_json::{Number, Value};

use crate::catalog::yaml::reads_as_text;

/// A value whose mappings keep their order.
pub(super) enum Tree {
    Null,
    Bool(bool),
    Number(Number),
    Text(String),
    /// A text of ours that needs no quotes, such as a duration.
    Plain(String),
    Sequence(Vec<Tree>),
    Mapping(Vec<(String, Tree)>),
}

impl Tree {
    /// Takes over a JSON value.
    pub(super) fn of(value: &Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(value) => Self::Bool(*value),
            Value::Number(number) => Self::Number(number.clone()),
            Value::String(words) => Self::Text(words.clone()),
            Value::Array(items) => Self::Sequence(items.iter().map(Self::of).collect()),
            Value::Object(fields) => {
                Self::Mapping(fields.iter().map(|(key, value)| (key.clone(), Self::of(value))).collect())
            }
        }
    }
}

/// Makes a text.
pub(super) fn text(words: &str) -> Tree {
    Tree::Text(words.to_owned())
}

/// Longest value that is written in one line.
const LINE_BYTES_MAX: usize = 90;

/// Writes a document.
pub(super) fn document(tree: &Tree) -> String {
    let mut out = String::new();
    block(&mut out, tree, 0);
    out
}

/// Writes a value that begins at the current column, and ends the line.
fn block(out: &mut String, tree: &Tree, indent: usize) {
    match tree {
        Tree::Mapping(fields) if !fields.is_empty() => {
            for (index, (key, value)) in fields.iter().enumerate() {
                begin_line(out, index, indent);
                out.push_str(&scalar(key));
                out.push(':');
                below(out, value, indent + 2);
            }
        }
        Tree::Sequence(items) if !items.is_empty() => {
            for (index, item) in items.iter().enumerate() {
                begin_line(out, index, indent);
                out.push_str("- ");
                match inline(item).filter(|_| !is_step(item)) {
                    Some(line) => out.push_str(&(line + "\n")),
                    None => block(out, item, indent + 2),
                }
            }
        }
        Tree::Null
        | Tree::Bool(_)
        | Tree::Number(_)
        | Tree::Text(_)
        | Tree::Plain(_)
        | Tree::Sequence(_)
        | Tree::Mapping(_) => {
            out.push_str(&flow(tree));
            out.push('\n');
        }
    }
}

/// The first entry stands where its holder began; the others begin a line.
fn begin_line(out: &mut String, index: usize, indent: usize) {
    if index > 0 || out.is_empty() || out.ends_with('\n') {
        out.push_str(&" ".repeat(indent));
    }
}

/// Writes the value of a key: in its line if it is short, else below.
fn below(out: &mut String, value: &Tree, indent: usize) {
    let short = match value {
        Tree::Mapping(fields) => inline(value).filter(|_| fields.iter().all(|(_, value)| is_flat(value))),
        Tree::Sequence(items) => inline(value).filter(|_| items.iter().all(is_flat)),
        Tree::Null | Tree::Bool(_) | Tree::Number(_) | Tree::Text(_) | Tree::Plain(_) => Some(flow(value)),
    };
    match short {
        Some(line) => {
            out.push(' ');
            out.push_str(&line);
            out.push('\n');
        }
        None => {
            out.push('\n');
            block(out, value, indent);
        }
    }
}

/// Returns the value in one line, if it is short enough.
fn inline(tree: &Tree) -> Option<String> {
    let line = flow(tree);
    (line.len() <= LINE_BYTES_MAX).then_some(line)
}

fn flow(tree: &Tree) -> String {
    match tree {
        Tree::Null => "null".to_owned(),
        Tree::Bool(value) => value.to_string(),
        Tree::Number(number) => number.to_string(),
        Tree::Text(words) => scalar(words),
        Tree::Plain(words) => words.clone(),
        Tree::Sequence(items) => format!("[{}]", items.iter().map(flow).collect::<Vec<_>>().join(", ")),
        Tree::Mapping(fields) if fields.is_empty() => "{}".to_owned(),
        Tree::Mapping(fields) => {
            let fields = fields.iter().map(|(key, value)| format!("{}: {}", scalar(key), flow(value)));
            format!("{{ {} }}", fields.collect::<Vec<_>>().join(", "))
        }
    }
}

/// Whether a value is no mapping, and holds none.
fn is_flat(tree: &Tree) -> bool {
    match tree {
        Tree::Null | Tree::Bool(_) | Tree::Number(_) | Tree::Text(_) | Tree::Plain(_) => true,
        Tree::Sequence(items) => items.iter().all(is_flat),
        Tree::Mapping(fields) => fields.is_empty(),
    }
}

fn is_step(tree: &Tree) -> bool {
    matches!(tree, Tree::Mapping(fields) if fields.first().is_some_and(|(key, _)| key == "step"))
}

/// Writes a text, in quotes unless it is made of safe signs and no reader could take it for anything else.
fn scalar(words: &str) -> String {
    let mut characters = words.chars();
    let safe_begin = characters.next().is_some_and(|first| first.is_ascii_alphabetic() || matches!(first, '_' | '/'));
    let safe = characters.all(|next| next.is_ascii_alphanumeric() || matches!(next, '_' | '/' | '.' | '-'));
    if safe_begin && safe && words.len() > 1 && reads_as_text(words) {
        return words.to_owned();
    }
    let mut out = String::from("\"");
    for character in words.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            ' '..='~' => out.push(character),
            _ if character.is_alphanumeric() => out.push(character),
            _ if (character as u32) <= 0xffff => out.push_str(&format!("\\u{:04X}", character as u32)),
            _ => out.push_str(&format!("\\U{:08X}", character as u32)),
        }
    }
    out.push('"');
    out
}

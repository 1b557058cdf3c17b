//! Writes YAML: blocks for nested values, one line for short values, and quotes around every text that some YAML
//! version could read as another type.

use serde_json::{Number, Value};

use crate::catalog::yaml::reads_as_text;

/// A YAML value. Its mappings keep the order of their fields.
pub(super) enum Tree {
    Null,
    Bool(bool),
    Number(Number),
    Text(String),
    /// A text that is safe without quotes, such as a duration.
    Plain(String),
    Sequence(Vec<Tree>),
    Mapping(Vec<(String, Tree)>),
}

impl Tree {
    /// Converts a JSON value.
    pub(super) fn from_value(value: &Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(value) => Self::Bool(*value),
            Value::Number(number) => Self::Number(number.clone()),
            Value::String(words) => Self::Text(words.clone()),
            Value::Array(items) => Self::Sequence(items.iter().map(Self::from_value).collect()),
            Value::Object(fields) => {
                Self::Mapping(fields.iter().map(|(key, value)| (key.clone(), Self::from_value(value))).collect())
            }
        }
    }
}

/// Returns a text value.
pub(super) fn text(words: &str) -> Tree {
    Tree::Text(words.to_owned())
}

/// Longest value that is written on one line, in bytes.
const LINE_BYTES_MAX: usize = 90;

/// Writes a document.
pub(super) fn document(tree: &Tree) -> String {
    let mut out = String::new();
    block(&mut out, tree, 0);
    out
}

/// Writes a value from the current column on, and ends the line.
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

/// Indents an entry, unless it is the first entry and continues the line of its parent.
fn begin_line(out: &mut String, index: usize, indent: usize) {
    if index > 0 || out.is_empty() || out.ends_with('\n') {
        out.push_str(&" ".repeat(indent));
    }
}

/// Writes the value of a key: on the line of the key if it is short, else on the lines below.
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

/// Returns the value on one line, or `None` if that is too long.
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

/// Returns whether a value holds no mapping, except an empty one.
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

/// Returns a text as YAML. It needs no quotes if it has only safe characters and every YAML version reads it as text.
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

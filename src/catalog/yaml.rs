//! YAML as a tree of nodes with positions. Translates a path into a line. Parsing follows YAML 1.2 and enforces
//! limits. A value that JSON cannot express, or that YAML 1.1 reads differently, is a fault.
//!
//! Leaves the meaning of a document to others.

mod builder;
mod scalar;

use serde_json::{Map, Number, Value};

use super::fault::{Position, printable};
pub(super) use builder::parse;
pub(super) use scalar::AMBIGUOUS_BOOLEANS;

/// A value and its start position.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) at: Position,
    pub(super) content: Content,
}

/// The content of a node: exactly the types of JSON.
#[derive(Clone, Debug)]
pub(super) enum Content {
    Null,
    Bool(bool),
    Number(Number),
    String(String),
    Sequence(Vec<Node>),
    Mapping(Vec<Entry>),
}

/// A key of a mapping and its value. The keys of a mapping are unique.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) at: Position,
    pub(super) node: Node,
}

/// One segment of a path: a key or an index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Segment {
    Key(String),
    Index(usize),
}

impl From<&str> for Segment {
    fn from(key: &str) -> Self {
        Self::Key(key.to_owned())
    }
}

impl From<usize> for Segment {
    fn from(index: usize) -> Self {
        Self::Index(index)
    }
}

/// Returns whether a text without quotes is text: not a number, a boolean, null, or a word that YAML 1.1 reads
/// differently.
pub(super) fn reads_as_text(plain: &str) -> bool {
    matches!(scalar::resolve_plain(plain), Ok(scalar::Plain::String))
}

/// Path from the root of a document to a node.
pub(super) type Path = Vec<Segment>;

/// The part of an entry that a fault points at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Anchor {
    /// The key: the key is unknown, or its value lacks something.
    Key,
    /// The value: it has a wrong type or is out of bounds.
    Value,
}

/// A fault within one document, without file and line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PathFault {
    pub(super) path: Path,
    pub(super) anchor: Anchor,
    pub(super) message: String,
}

impl PathFault {
    /// Returns a fault that points at a value.
    pub(super) fn value(path: &[Segment], message: impl Into<String>) -> Self {
        Self { path: path.to_vec(), anchor: Anchor::Value, message: message.into() }
    }

    /// Returns a fault that points at a key.
    pub(super) fn key(path: &[Segment], message: impl Into<String>) -> Self {
        Self { path: path.to_vec(), anchor: Anchor::Key, message: message.into() }
    }
}

impl Node {
    /// Returns the node of an empty document.
    pub(super) fn empty() -> Self {
        Self { at: Position { line: 1, column: 1 }, content: Content::Null }
    }

    /// Returns the node at the end of the path.
    pub(super) fn find(&self, path: &[Segment]) -> Option<&Self> {
        let mut way = path.iter();
        way.try_fold(self, |node, segment| node.turn(segment).map(|(_, next)| next))
    }

    /// Returns whether the node is neither a list nor a mapping.
    pub(super) fn is_scalar(&self) -> bool {
        !matches!(self.content, Content::Sequence(_) | Content::Mapping(_))
    }

    /// Returns the node as JSON. Nothing is lost: the parser refuses what JSON cannot express.
    pub(super) fn to_json(&self) -> Value {
        match &self.content {
            Content::Null => Value::Null,
            Content::Bool(value) => Value::Bool(*value),
            Content::Number(value) => Value::Number(value.clone()),
            Content::String(value) => Value::String(value.clone()),
            Content::Sequence(items) => items.iter().map(Self::to_json).collect(),
            Content::Mapping(entries) => {
                let pairs = entries.iter().map(|entry| (entry.key.clone(), entry.node.to_json()));
                Value::Object(pairs.collect::<Map<_, _>>())
            }
        }
    }

    /// Returns the value under a key of a mapping.
    pub(super) fn field(&self, key: &str) -> Option<&Self> {
        self.entry(key).map(|entry| &entry.node)
    }

    /// Returns whether the node is null.
    pub(super) fn is_null(&self) -> bool {
        matches!(self.content, Content::Null)
    }

    /// Returns whether the node is a mapping.
    pub(super) fn is_mapping(&self) -> bool {
        matches!(self.content, Content::Mapping(_))
    }

    /// Returns the text of a string.
    pub(super) fn as_str(&self) -> Option<&str> {
        match &self.content {
            Content::String(text) => Some(text),
            Content::Null | Content::Bool(_) | Content::Number(_) | Content::Sequence(_) | Content::Mapping(_) => None,
        }
    }

    /// Returns the position of the deepest part of the path that exists.
    pub(super) fn locate(&self, path: &[Segment], anchor: Anchor) -> Position {
        let mut at = self.at;
        let mut node = self;
        for (depth, segment) in path.iter().enumerate() {
            let Some((key_at, next)) = node.turn(segment) else { break };
            let last = depth + 1 == path.len();
            at = if last && anchor == Anchor::Value { next.at } else { key_at };
            node = next;
        }
        at
    }

    /// Returns the path for people, such as `steps.charge.action`. An item of a list is named by its `step`, or by
    /// its index if it has none.
    pub(super) fn describe(&self, path: &[Segment]) -> String {
        let mut out = String::new();
        let mut node = Some(self);
        for segment in path {
            node = node.and_then(|node| node.turn(segment)).map(|(_, next)| next);
            match segment {
                Segment::Key(key) => push_word(&mut out, key),
                Segment::Index(index) => match node.and_then(|item| item.field("step")).and_then(Self::as_str) {
                    Some(name) if !name.is_empty() => push_word(&mut out, name),
                    _ => push_index(&mut out, *index),
                },
            }
        }
        out
    }

    /// Follows one segment of a path. Returns the position of the key and the node.
    fn turn(&self, segment: &Segment) -> Option<(Position, &Self)> {
        match segment {
            Segment::Key(key) => self.entry(key).map(|entry| (entry.at, &entry.node)),
            // In a JSON pointer, the key `0` and the first item look the same.
            Segment::Index(index) => match &self.content {
                Content::Sequence(items) => items.get(*index).map(|item| (item.at, item)),
                _ => self.entry(&index.to_string()).map(|entry| (entry.at, &entry.node)),
            },
        }
    }

    fn entry(&self, key: &str) -> Option<&Entry> {
        match &self.content {
            Content::Mapping(entries) => entries.iter().find(|entry| entry.key == key),
            Content::Null | Content::Bool(_) | Content::Number(_) | Content::String(_) | Content::Sequence(_) => None,
        }
    }
}

/// Length at which a path is cut, in bytes. The line number still identifies the place.
const PATH_BYTES_MAX: usize = 200;

fn push_index(out: &mut String, index: usize) {
    if out.len() <= PATH_BYTES_MAX {
        out.push_str(&format!("[{index}]"));
    }
}

fn push_word(out: &mut String, word: &str) {
    const WORD_CHARS_MAX: usize = 64;
    if out.len() > PATH_BYTES_MAX {
        return;
    }
    if !out.is_empty() {
        out.push('.');
    }
    out.push_str(&printable(&word.chars().take(WORD_CHARS_MAX).collect::<String>()));
}

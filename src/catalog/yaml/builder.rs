//! Builds documents from the events of the YAML parser. Enforces every limit, and continues after a fault where it
//! can.

use std::collections::{HashMap, HashSet};

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, ScanError, Tag};

use super::scalar::{Plain, resolve_plain};
use super::{Content, Entry, Node, push_index, push_word};
use crate::catalog::fault::{Position, printable, quoted};
use crate::config::catalog::{DEPTH_MAX, DOCUMENTS_MAX, EXPANDED_BYTES_MAX, FAULTS_MAX};

/// A fault in the text of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::catalog) struct TextFault {
    pub(in crate::catalog) at: Position,
    pub(in crate::catalog) path: String,
    pub(in crate::catalog) message: String,
}

/// Parses all documents of a text. Parsing continues after a fault that leaves the rest readable, such as a duplicate
/// key or a number that is too large. It stops at a syntax error and returns the documents before it.
pub(in crate::catalog) fn parse(text: &str) -> (Vec<Node>, Vec<TextFault>) {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut builder = Builder::default();
    let mut parser = Parser::new_from_str(text);
    while let Some(event) = parser.next_event() {
        let stopped = match event {
            Ok((event, span)) => builder.take(event, position(&span.start)),
            Err(error) => builder.take_error(&error, text),
        };
        if stopped.is_break() || builder.faults.len() > FAULTS_MAX {
            break;
        }
    }
    (builder.documents, builder.faults)
}

type Flow = std::ops::ControlFlow<()>;

/// Estimated cost of a node, in bytes, without its text.
const NODE_BYTES: usize = std::mem::size_of::<Entry>();

#[derive(Default)]
struct Builder {
    documents: Vec<Node>,
    faults: Vec<TextFault>,
    open: Vec<Open>,
    /// Finished anchored nodes of the current document, each with the cost of one more copy, in bytes.
    anchors: HashMap<usize, (Node, usize)>,
    /// Cost of the document so far with its aliases expanded, in bytes.
    bytes: usize,
    /// Cost of the copies in `anchors`, in bytes.
    bytes_kept: usize,
}

/// A list or mapping whose end has not been read yet.
struct Open {
    at: Position,
    anchor: usize,
    bytes_before: usize,
    holds: Holds,
}

enum Holds {
    Sequence(Vec<Node>),
    Mapping { entries: Vec<Entry>, seen: HashSet<String>, key: Option<Key>, merged: Vec<Entry> },
}

/// The key that waits for its value.
enum Key {
    Named(String, Position),
    /// `<<`: the entries of the value are merged into this mapping.
    Merge,
    /// A refused key. Its value is read and dropped.
    Refused,
}

impl Builder {
    fn take(&mut self, event: Event<'_>, at: Position) -> Flow {
        match event {
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentStart(_) => Flow::Continue(()),
            Event::DocumentEnd => {
                self.anchors.clear();
                (self.bytes, self.bytes_kept) = (0, 0);
                if self.documents.len() > DOCUMENTS_MAX {
                    self.fault(at, format!("more than {DOCUMENTS_MAX} documents in one file; split it"));
                    return Flow::Break(());
                }
                Flow::Continue(())
            }
            Event::Alias(id) => self.alias(id, at),
            Event::Scalar(text, style, anchor, tag) => {
                let content = self.scalar(&text, style, tag.as_deref(), at);
                let bytes = NODE_BYTES + text.len();
                self.finish(Node { at, content }, anchor, bytes)
            }
            Event::SequenceStart(anchor, tag) => {
                self.begin(at, anchor, tag.as_deref(), "seq", Holds::Sequence(Vec::new()))
            }
            Event::MappingStart(anchor, tag) => {
                let (entries, seen, merged) = (Vec::new(), HashSet::new(), Vec::new());
                let holds = Holds::Mapping { entries, seen, key: None, merged };
                self.begin(at, anchor, tag.as_deref(), "map", holds)
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(),
        }
    }

    /// Records a syntax error and stops. Nothing after a syntax error can be read.
    fn take_error(&mut self, error: &ScanError, text: &str) -> Flow {
        let at = position(error.marker());
        let line = text.lines().nth(at.line as usize - 1).unwrap_or_default();
        let hint = if line.contains('\t') && line.trim_start_matches(' ').starts_with('\t') {
            "; indent with spaces"
        } else if line.contains("${") {
            "; quote a template that contains `: ` or ` #`, or is inside `{ }` or `[ ]`: \"${ … }\""
        } else {
            ""
        };
        self.fault(at, format!("expected YAML: {}{hint}", printable(error.info())));
        Flow::Break(())
    }

    fn begin(&mut self, at: Position, anchor: usize, tag: Option<&Tag>, core: &str, holds: Holds) -> Flow {
        if let Some(tag) = tag.filter(|tag| !tag.is_yaml_core_schema() || tag.suffix != core) {
            self.fault(at, refused_tag(tag));
        }
        if self.open.len() == DEPTH_MAX {
            self.fault(at, format!("nested deeper than {DEPTH_MAX} levels; flatten it"));
            return Flow::Break(());
        }
        self.open.push(Open { at, anchor, bytes_before: self.bytes, holds });
        Flow::Continue(())
    }

    fn end(&mut self) -> Flow {
        let Some(Open { at, anchor, bytes_before, holds }) = self.open.pop() else { return Flow::Break(()) };
        let content = match holds {
            Holds::Sequence(items) => Content::Sequence(items),
            Holds::Mapping { mut entries, seen, merged, .. } => {
                let mut seen = seen;
                entries.extend(merged.into_iter().filter(|entry| seen.insert(entry.key.clone())));
                Content::Mapping(entries)
            }
        };
        let inside = self.bytes - bytes_before;
        self.bytes = bytes_before;
        self.finish(Node { at, content }, anchor, inside + NODE_BYTES)
    }

    fn alias(&mut self, id: usize, at: Position) -> Flow {
        // The parser reports an unknown anchor as a syntax error. An anchor without a node is still open: the alias
        // is inside it.
        let Some((node, bytes)) = self.anchors.get(&id) else {
            self.fault(at, "the alias is inside the node that it refers to; remove the alias");
            return self.finish(Node { at, content: Content::Null }, 0, NODE_BYTES);
        };
        if self.bytes + self.bytes_kept + bytes > EXPANDED_BYTES_MAX {
            self.fault(at, expanded_too_far());
            return Flow::Break(());
        }
        let (node, bytes) = (node.clone(), *bytes);
        if self.open.len() + depth(&node) > DEPTH_MAX {
            self.fault(at, format!("nested deeper than {DEPTH_MAX} levels after the alias is expanded; flatten it"));
            return Flow::Break(());
        }
        self.finish(node, 0, bytes)
    }

    /// Adds a finished node to the open list or mapping, or to the documents.
    fn finish(&mut self, node: Node, anchor: usize, bytes: usize) -> Flow {
        self.bytes += bytes;
        if anchor != 0 {
            self.bytes_kept += bytes;
            self.anchors.insert(anchor, (node.clone(), bytes));
        }
        if self.bytes + self.bytes_kept > EXPANDED_BYTES_MAX {
            self.fault(node.at, expanded_too_far());
            return Flow::Break(());
        }
        match self.open.last_mut().map(|open| &mut open.holds) {
            None => self.documents.push(node),
            Some(Holds::Sequence(items)) => items.push(node),
            Some(Holds::Mapping { key: None, .. }) => {
                let taken = self.key(node);
                self.set_key(taken);
            }
            Some(Holds::Mapping { key, entries, merged, .. }) => match key.take() {
                Some(Key::Named(key, at)) => entries.push(Entry { key, at, node }),
                Some(Key::Merge) => {
                    let at = node.at;
                    match merge_entries(node) {
                        Some(new) => merged.extend(new),
                        None => self.fault(at, "expected one or more mappings after `<<`, found another value"),
                    }
                }
                Some(Key::Refused) | None => {}
            },
        }
        Flow::Continue(())
    }

    /// Converts a node at the place of a key into a key.
    fn key(&mut self, node: Node) -> Key {
        let found = match node.content {
            Content::String(text) if text == "<<" => return Key::Merge,
            Content::String(text) => {
                let fresh = match self.open.last_mut().map(|open| &mut open.holds) {
                    Some(Holds::Mapping { seen, .. }) => seen.insert(text.clone()),
                    Some(Holds::Sequence(_)) | None => true,
                };
                if fresh {
                    return Key::Named(text, node.at);
                }
                let first = self.first_position(&text);
                self.fault(node.at, format!("the key {} is already set {first}; remove one of the two", quoted(&text)));
                return Key::Refused;
            }
            Content::Null => "nothing".to_owned(),
            Content::Bool(value) => format!("the boolean {value}"),
            Content::Number(value) => format!("the number {value}"),
            Content::Sequence(_) => "a list".to_owned(),
            Content::Mapping(_) => "a mapping; quote a template, because `{` opens a mapping: \"${ … }\"".to_owned(),
        };
        self.fault(node.at, format!("expected a key that is text (quote it if needed), found {found}"));
        Key::Refused
    }

    fn set_key(&mut self, new: Key) {
        if let Some(Open { holds: Holds::Mapping { key, .. }, .. }) = self.open.last_mut() {
            *key = Some(new);
        }
    }

    fn first_position(&self, text: &str) -> String {
        let entries = match self.open.last().map(|open| &open.holds) {
            Some(Holds::Mapping { entries, .. }) => entries.as_slice(),
            Some(Holds::Sequence(_)) | None => &[],
        };
        let first = entries.iter().find(|entry| entry.key == text);
        first.map_or_else(|| "above".to_owned(), |entry| format!("on line {}", entry.at.line))
    }

    fn scalar(&mut self, text: &str, style: ScalarStyle, tag: Option<&Tag>, at: Position) -> Content {
        let is_key = matches!(self.open.last(), Some(Open { holds: Holds::Mapping { key: None, .. }, .. }));
        if let Some(tag) = tag {
            return self.tagged(text, tag, at);
        }
        if style != ScalarStyle::Plain {
            return Content::String(text.to_owned());
        }
        match resolve_plain(text) {
            Ok(plain) => content(plain, text),
            // A key is text even if YAML 1.1 reads it differently: `on:` means the word `on`.
            Err(_) if is_key => Content::String(text.to_owned()),
            Err(message) => {
                self.fault(at, message);
                Content::String(text.to_owned())
            }
        }
    }

    /// Resolves a scalar with an explicit type, such as `!!str` or `!!int`.
    fn tagged(&mut self, text: &str, tag: &Tag, at: Position) -> Content {
        // In YAML, `! text` is always a string.
        let non_specific = tag.handle.is_empty() && tag.suffix == "!";
        if non_specific || (tag.is_yaml_core_schema() && tag.suffix == "str") {
            return Content::String(text.to_owned());
        }
        if !tag.is_yaml_core_schema() {
            self.fault(at, refused_tag(tag));
            return Content::String(text.to_owned());
        }
        let plain = resolve_plain(text);
        let agrees = match (&plain, tag.suffix.as_str()) {
            (Ok(Plain::Null), "null") | (Ok(Plain::Bool(_)), "bool") | (Ok(Plain::Number(_)), "float") => true,
            (Ok(Plain::Number(number)), "int") => !number.is_f64(),
            _ => false,
        };
        match plain {
            Ok(plain) if agrees => content(plain, text),
            Err(message) => {
                self.fault(at, message);
                Content::String(text.to_owned())
            }
            Ok(_) if matches!(tag.suffix.as_str(), "null" | "bool" | "int" | "float") => {
                self.fault(at, format!("{} does not match its tag `!!{}`", quoted(text), tag.suffix));
                Content::String(text.to_owned())
            }
            Ok(_) => {
                self.fault(at, refused_tag(tag));
                Content::String(text.to_owned())
            }
        }
    }

    fn fault(&mut self, at: Position, message: impl Into<String>) {
        let path = self.path();
        self.faults.push(TextFault { at, path, message: message.into() });
    }

    /// Returns the path of the current place, from the open lists and mappings.
    fn path(&self) -> String {
        let mut path = String::new();
        for (depth, open) in self.open.iter().enumerate() {
            match &open.holds {
                Holds::Mapping { key: Some(Key::Named(key, _)), .. } => push_word(&mut path, key),
                Holds::Mapping { .. } => {}
                Holds::Sequence(items) => match self.open.get(depth + 1).and_then(|inner| inner.step_name()) {
                    Some(name) => push_word(&mut path, name),
                    None => push_index(&mut path, items.len()),
                },
            }
        }
        path
    }
}

impl Open {
    /// Returns the `step` of a mapping, if it has already been read.
    fn step_name(&self) -> Option<&str> {
        match &self.holds {
            Holds::Mapping { entries, .. } => {
                entries.iter().find(|entry| entry.key == "step").and_then(|entry| entry.node.as_str())
            }
            Holds::Sequence(_) => None,
        }
    }
}

/// Returns the entries that `<<` merges. In a list of mappings, the first entry with a key wins. Returns `None` if
/// the value is not a mapping or a list of mappings.
fn merge_entries(node: Node) -> Option<Vec<Entry>> {
    match node.content {
        Content::Mapping(entries) => Some(entries),
        Content::Sequence(items) => {
            let mut all = Vec::new();
            for item in items {
                match item.content {
                    Content::Mapping(entries) => all.extend(entries),
                    _ => return None,
                }
            }
            Some(all)
        }
        Content::Null | Content::Bool(_) | Content::Number(_) | Content::String(_) => None,
    }
}

fn content(plain: Plain, text: &str) -> Content {
    match plain {
        Plain::Null => Content::Null,
        Plain::Bool(value) => Content::Bool(value),
        Plain::Number(value) => Content::Number(value),
        Plain::String => Content::String(text.to_owned()),
    }
}

fn depth(node: &Node) -> usize {
    match &node.content {
        Content::Null | Content::Bool(_) | Content::Number(_) | Content::String(_) => 0,
        Content::Sequence(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Content::Mapping(entries) => 1 + entries.iter().map(|entry| depth(&entry.node)).max().unwrap_or(0),
    }
}

fn refused_tag(tag: &Tag) -> String {
    format!("expected a tag `!!str`, `!!int`, `!!float`, `!!bool` or `!!null`, found {}", { quoted(&tag.to_string()) })
}

fn expanded_too_far() -> String {
    format!("takes more than {} MiB after its aliases are expanded; use fewer aliases", EXPANDED_BYTES_MAX >> 20)
}

fn position(marker: &Marker) -> Position {
    let from_one = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    Position { line: from_one(marker.line()).max(1), column: from_one(marker.col()).saturating_add(1) }
}

//! Templates: JSON whose strings may hold `${ expression }`. Parses them and renders them to JSON text. Parts without
//! an expression are written as they are, and values of plain paths are copied as text.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Arc, LazyLock, PoisonError, RwLock};

use serde::ser::{Error as _, Serialize, SerializeMap, SerializeSeq, Serializer};
use serde_json::Value;
use serde_json::value::RawValue;

use super::compile::{self, Compiled};
use super::{CODE, Fault, View, raw, spelled};
use crate::config::participant::{EXPRESSIONS_CACHED_MAX, RENDERED_BYTES_MAX};
use crate::participant::reply::recorded;
use crate::saga::Json;
use crate::saga::definition::Template;
use crate::saga::outcome::Error;

/// A parsed string of a template.
#[derive(Debug)]
pub(in crate::participant) enum Text {
    /// No expression: the text with its escapes resolved.
    Plain(String),
    /// One expression and nothing else: its value keeps its type.
    Whole(Arc<Compiled>),
    /// A text with expressions inside.
    Mixed(Vec<Piece>),
}

/// A part of a mixed text.
#[derive(Debug)]
pub(in crate::participant) enum Piece {
    /// Literal text.
    Plain(String),
    /// An expression; its value becomes text.
    Value(Arc<Compiled>),
}

static CACHE: LazyLock<RwLock<HashMap<Box<str>, Arc<Text>>>> = LazyLock::new(RwLock::default);

impl Text {
    /// Returns the parsed form of a string, from the cache if it was parsed before.
    pub(super) fn cached(text: &str) -> Result<Arc<Self>, String> {
        if let Some(known) = CACHE.read().unwrap_or_else(PoisonError::into_inner).get(text) {
            return Ok(Arc::clone(known));
        }
        let fresh = Arc::new(Self::parse(text)?);
        let mut cache = CACHE.write().unwrap_or_else(PoisonError::into_inner);
        if cache.len() >= EXPRESSIONS_CACHED_MAX {
            cache.clear();
        }
        cache.insert(text.into(), Arc::clone(&fresh));
        Ok(fresh)
    }

    fn parse(text: &str) -> Result<Self, String> {
        let mut pieces = Vec::new();
        let mut plain = String::new();
        let mut rest = text;
        while let Some(at) = rest.find("${") {
            let (before, from) = rest.split_at(at);
            if let Some(before) = before.strip_suffix('$') {
                plain.push_str(before);
                plain.push_str("${");
                rest = &from[2..];
                continue;
            }
            plain.push_str(before);
            let end = end_of_expression(&from[2..])
                .ok_or_else(|| format!("`{from}` has no closing brace; `$${{` stands for a literal `${{`"))?;
            if !plain.is_empty() {
                pieces.push(Piece::Plain(std::mem::take(&mut plain)));
            }
            let expression = from[2..2 + end].trim();
            let compiled = compile::compiled(expression).map_err(|message| format!("`{expression}`: {message}"))?;
            pieces.push(Piece::Value(compiled));
            rest = &from[2 + end + 1..];
        }
        plain.push_str(rest);
        Ok(match pieces.as_slice() {
            [] => Self::Plain(plain),
            [Piece::Value(whole)] if plain.is_empty() => Self::Whole(Arc::clone(whole)),
            _ => {
                if !plain.is_empty() {
                    pieces.push(Piece::Plain(plain));
                }
                Self::Mixed(pieces)
            }
        })
    }

    /// Returns the expression of a string that is one expression; none for any other value.
    pub(super) fn whole(value: &Value) -> Option<Arc<Compiled>> {
        match &*Self::cached(value.as_str()?).ok()? {
            Self::Whole(whole) => Some(Arc::clone(whole)),
            Self::Plain(_) | Self::Mixed(_) => None,
        }
    }

    /// Returns the expressions in it.
    pub(super) fn expressions(&self) -> impl Iterator<Item = &Compiled> {
        let (whole, pieces) = match self {
            Self::Plain(_) => (None, [].as_slice()),
            Self::Whole(whole) => (Some(&**whole), [].as_slice()),
            Self::Mixed(pieces) => (None, pieces.as_slice()),
        };
        whole.into_iter().chain(pieces.iter().filter_map(|piece| match piece {
            Piece::Plain(_) => None,
            Piece::Value(compiled) => Some(&**compiled),
        }))
    }
}

/// Finds the brace that closes an expression. Skips the braces of its strings and maps.
fn end_of_expression(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut depth = 0_usize;
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'{' => depth += 1,
            b'}' if depth == 0 => return Some(at),
            b'}' => depth -= 1,
            b'\'' | b'"' => {
                at = end_of_string(bytes, at)?;
                continue;
            }
            _ => {}
        }
        at += 1;
    }
    None
}

/// Returns the position after a string literal that starts at `start`.
fn end_of_string(bytes: &[u8], start: usize) -> Option<usize> {
    let quote = bytes[start];
    let raw = start > 0
        && matches!(bytes[start - 1], b'r' | b'R')
        && !(start > 1 && bytes[start - 2].is_ascii_alphanumeric() && !matches!(bytes[start - 2], b'b' | b'B'));
    let length = if bytes[start..].starts_with(&[quote, quote, quote]) { 3 } else { 1 };
    let mut at = start + length;
    while at < bytes.len() {
        if bytes[at] == b'\\' && !raw {
            at += 2;
        } else if bytes[at] == quote && (length == 1 || bytes[at..].starts_with(&[quote, quote, quote])) {
            return Some(at + length);
        } else {
            at += 1;
        }
    }
    None
}

/// Removes the `${ }` around a text that is one expression.
pub(super) fn unwrap(text: &str) -> &str {
    let Some(inside) = text.trim().strip_prefix("${") else { return text };
    match inside.strip_suffix('}') {
        Some(expression) if end_of_expression(inside) == Some(expression.len()) => expression.trim(),
        Some(_) | None => text,
    }
}

/// A rendered template, ready to be written.
enum Rendered<'t, 'a> {
    Plain(&'t Value),
    Text(String),
    Raw(Cow<'a, str>),
    List(Vec<Self>),
    Object(Vec<(&'t str, Self)>),
}

/// Renders a template to JSON.
pub(super) fn render(template: &Template, view: &View<'_>) -> Result<Json, Error> {
    let mut room = RENDERED_BYTES_MAX;
    let rendered = rendered(&template.0, view, &mut room)?;
    Json::encode(&rendered).map_err(|error| recorded(CODE, error.to_string()))
}

fn rendered<'t, 'a>(template: &'t Value, view: &View<'a>, room: &mut usize) -> Result<Rendered<'t, 'a>, Error> {
    Ok(match template {
        Value::String(text) if text.contains("${") => {
            let parts = Text::cached(text).map_err(|message| recorded(CODE, message))?;
            let rendered = match &*parts {
                Text::Plain(text) => Rendered::Text(text.clone()),
                Text::Whole(whole) => {
                    Rendered::Raw(raw(whole, view).map_err(|fault| fault.in_expression(&whole.text))?)
                }
                Text::Mixed(pieces) => Rendered::Text(mixed(pieces, view)?),
            };
            let length = match &rendered {
                Rendered::Text(text) => text.len(),
                Rendered::Raw(raw) => raw.len(),
                Rendered::Plain(_) | Rendered::List(_) | Rendered::Object(_) => 0,
            };
            *room = room.checked_sub(length).ok_or_else(|| {
                recorded(CODE, format!("the rendered template is larger than {RENDERED_BYTES_MAX} bytes"))
            })?;
            rendered
        }
        Value::Array(items) => {
            Rendered::List(items.iter().map(|item| rendered(item, view, room)).collect::<Result<_, _>>()?)
        }
        Value::Object(fields) => Rendered::Object(
            fields
                .iter()
                .map(|(name, field)| Ok((name.as_str(), rendered(field, view, room)?)))
                .collect::<Result<_, Error>>()?,
        ),
        plain => Rendered::Plain(plain),
    })
}

/// Joins the parts of a mixed text.
fn mixed(pieces: &[Piece], view: &View<'_>) -> Result<String, Error> {
    let mut text = String::new();
    for piece in pieces {
        match piece {
            Piece::Plain(plain) => text.push_str(plain),
            Piece::Value(compiled) => text.push_str(&part(compiled, view)?),
        }
    }
    Ok(text)
}

/// Evaluates a value inside a longer text. Null is an error: it is nearly always a mistake there.
pub(super) fn part(compiled: &Compiled, view: &View<'_>) -> Result<String, Error> {
    let in_expression = |fault: Fault| fault.in_expression(&compiled.text);
    let null = || Fault::Wrong("it is null, which cannot be part of a text".into());
    spelled(compiled, view).and_then(|text| text.ok_or_else(null)).map_err(in_expression)
}

impl Serialize for Rendered<'_, '_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Plain(value) => value.serialize(serializer),
            Self::Text(text) => serializer.serialize_str(text),
            Self::Raw(raw) => serde_json::from_str::<&RawValue>(raw).map_err(S::Error::custom)?.serialize(serializer),
            Self::List(items) => {
                let mut list = serializer.serialize_seq(Some(items.len()))?;
                for item in items {
                    list.serialize_element(item)?;
                }
                list.end()
            }
            Self::Object(fields) => {
                let mut object = serializer.serialize_map(Some(fields.len()))?;
                for (name, field) in fields {
                    object.serialize_entry(name, field)?;
                }
                object.end()
            }
        }
    }
}

//! Plain paths such as `input.guest.name` or `steps.charge.items[0]`. Most expressions are plain paths. Reads them,
//! and looks them up in JSON text without parsing it into a tree or encoding it again, so numbers keep their digits.
//! CEL evaluates all other expressions.

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// A variable and the path into it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Path {
    /// Name of the variable.
    pub(super) root: String,
    /// Fields and positions below it.
    pub(super) segments: Vec<Segment>,
}

/// One segment of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Segment {
    /// A field of an object.
    Field(String),
    /// A position in an array.
    Index(usize),
}

/// Words that cannot be variables in CEL.
const RESERVED: [&str; 20] = [
    "true",
    "false",
    "null",
    "in",
    "as",
    "break",
    "const",
    "continue",
    "else",
    "for",
    "function",
    "if",
    "import",
    "let",
    "loop",
    "package",
    "namespace",
    "return",
    "var",
    "void",
];

impl Path {
    /// Reads a plain path; none if the text is any other expression.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut rest = text.trim();
        let root = identifier(&mut rest)?;
        if RESERVED.contains(&root) || root == "while" {
            return None;
        }
        let mut segments = Vec::new();
        while !rest.is_empty() {
            if let Some(after) = rest.strip_prefix('.') {
                rest = after;
                segments.push(Segment::Field(identifier(&mut rest)?.to_owned()));
            } else {
                let (inside, after) = rest.strip_prefix('[')?.split_once(']')?;
                rest = after;
                segments.push(subscript(inside.trim())?);
            }
        }
        Some(Self { root: root.to_owned(), segments })
    }
}

/// Takes an identifier off the front of `rest`.
fn identifier<'a>(rest: &mut &'a str) -> Option<&'a str> {
    let end = rest.bytes().position(|b| !(b.is_ascii_alphanumeric() || b == b'_')).unwrap_or(rest.len());
    let (name, after) = rest.split_at(end);
    if name.is_empty() || name.as_bytes()[0].is_ascii_digit() {
        return None;
    }
    *rest = after;
    Some(name)
}

/// Reads the text in brackets: a position of at most 9 digits, or a quoted field name without escapes.
fn subscript(text: &str) -> Option<Segment> {
    if !text.is_empty() && text.len() <= 9 && text.bytes().all(|b| b.is_ascii_digit()) {
        return text.parse().ok().map(Segment::Index);
    }
    let quote = text.chars().next().filter(|c| matches!(c, '\'' | '"'))?;
    let name = text.strip_prefix(quote)?.strip_suffix(quote)?;
    (!name.contains(['\'', '"', '\\'])).then(|| Segment::Field(name.to_owned()))
}

/// Finds the value at the end of `segments` in JSON text, as text.
///
/// Returns none if a field or a position is not there. Returns an error if a value on the path has the wrong type: a
/// field needs an object, and a position needs an array.
pub(super) fn find<'a>(text: &'a str, segments: &[Segment]) -> Result<Option<&'a str>, serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let found = Way(segments).deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(found.map(RawValue::get))
}

/// The rest of the path.
struct Way<'p>(&'p [Segment]);

impl<'de> DeserializeSeed<'de> for Way<'_> {
    type Value = Option<&'de RawValue>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        match self.0 {
            [] => <&RawValue>::deserialize(deserializer).map(Some),
            [_, ..] => deserializer.deserialize_any(self),
        }
    }
}

impl<'de> Visitor<'de> for Way<'_> {
    type Value = Option<&'de RawValue>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            [Segment::Field(name), ..] => write!(f, "an object with the field `{name}`"),
            [Segment::Index(index), ..] => write!(f, "an array with the position {index}"),
            [] => f.write_str("a value"),
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
        let [Segment::Field(name), rest @ ..] = self.0 else {
            return Err(A::Error::invalid_type(serde::de::Unexpected::Map, &self));
        };
        let mut found = None;
        // Reads to the end: the last of two fields with one name counts.
        while let Some(is_it) = entries.next_key_seed(Is(name))? {
            if is_it {
                found = entries.next_value_seed(Way(rest))?;
            } else {
                entries.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        let [Segment::Index(wanted), rest @ ..] = self.0 else {
            return Err(A::Error::invalid_type(serde::de::Unexpected::Seq, &self));
        };
        let mut found = None;
        let mut position = 0;
        loop {
            if position == *wanted {
                match items.next_element_seed(Way(rest))? {
                    Some(value) => found = value,
                    None => return Ok(None),
                }
            } else if items.next_element::<IgnoredAny>()?.is_none() {
                return Ok(found);
            }
            position += 1;
        }
    }
}

/// Compares a field's name without keeping it.
struct Is<'p>(&'p str);

impl<'de> DeserializeSeed<'de> for Is<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Is<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a field name")
    }

    fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<bool, E> {
        Ok(name == self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str, path: &str) -> String {
        let path = Path::parse(path).unwrap();
        match find(text, &path.segments) {
            Ok(Some(value)) => value.to_owned(),
            Ok(None) => "missing".into(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn finds_values_without_touching_their_text() {
        let text = r#"{"a":{"b":[1.10,{"c":"x"}]},"n":123456789012345678901234567890,"a-b":2}"#;
        assert_eq!(at(text, "input.a.b[0]"), "1.10");
        assert_eq!(at(text, "input.a.b[1].c"), "\"x\"");
        assert_eq!(at(text, " input.n "), "123456789012345678901234567890");
        assert_eq!(at(text, "input['a-b']"), "2");
        assert_eq!(at(text, "input"), text);
    }

    #[test]
    fn tells_missing_from_wrong() {
        assert_eq!(at(r#"{"a":[1]}"#, "input.b"), "missing");
        assert_eq!(at(r#"{"a":[1]}"#, "input.a[1]"), "missing");
        assert_eq!(at(r#"{"a":[1],"a":[2]}"#, "input.a[0]"), "2");
        assert!(at(r#"{"a":1}"#, "input.a.b").contains("expected an object with the field `b`"));
        assert!(at(r#"null"#, "input.a").contains("null"));
        assert!(at(r#"{"a":{}}"#, "input.a[0]").contains("position 0"));
    }

    #[test]
    fn leaves_everything_else_to_cel() {
        for text in ["input.a + 1", "true", "1", "f(x)", "input.", "input[a]", "input[-1]", "", "in", "'a'"] {
            assert_eq!(Path::parse(text), None, "{text}");
        }
    }
}

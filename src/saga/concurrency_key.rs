//! The concurrency key of an input, as text. Owns the same rules as `amends.concurrency_key` in SQL: the value at the
//! path, whatever its type, in the form in which `jsonb` writes it. A client needs the key before it asks a database,
//! because the key gives the bucket of the saga's id.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::Json;

/// Longest key, in bytes.
const KEY_BYTES_MAX: usize = 512;

/// Deepest value whose text fits into a key: each level takes two bytes.
const DEPTH_MAX: usize = KEY_BYTES_MAX / 2;

/// Most digits before the decimal point that `numeric` holds.
const WHOLE_DIGITS_MAX: i64 = 131_072;

/// Most digits after the decimal point that `numeric` holds.
const FRACTION_DIGITS_MAX: i64 = 16_383;

/// Largest exponent that `numeric` reads.
const EXPONENT_MAX: i64 = i32::MAX as i64 / 2;

/// Returns the concurrency key of an input. None if there is no value at the path or it is null, and for an input that
/// the database refuses: it cannot be read as text, or the key is too long.
pub fn concurrency_key(input: &Json, path: &[String]) -> Option<String> {
    let value = find(input.get(), path)?;
    let key = match Shape::new(value) {
        Shape::Null => return None,
        Shape::Number => number(value, true),
        Shape::Object | Shape::Array | Shape::Text | Shape::Truth => written(value, DEPTH_MAX),
    };
    match key {
        Ok(key) => Some(key),
        // What is JSON but too large for `jsonb` is compared as it was written.
        Err(Fault::OutOfRange) => Some(value.to_owned()),
        Err(Fault::Unreadable) => None,
    }
    .filter(|key| key.len() <= KEY_BYTES_MAX)
}

/// Why a value has no form in `jsonb`.
enum Fault {
    /// A number is too large or too precise.
    OutOfRange,
    /// A text holds half a surrogate pair or a NUL character, or the value is too deep for a key.
    Unreadable,
}

/// Type of a JSON value.
enum Shape {
    Object,
    Array,
    Text,
    Number,
    Truth,
    Null,
}

impl Shape {
    /// Tells the type by the first character. The text is JSON without white space around it.
    fn new(text: &str) -> Self {
        let begins = |letter: char| text.starts_with(letter);
        if begins('{') {
            Self::Object
        } else if begins('[') {
            Self::Array
        } else if begins('"') {
            Self::Text
        } else if begins('n') {
            Self::Null
        } else if begins('t') || begins('f') {
            Self::Truth
        } else {
            Self::Number
        }
    }
}

/// The fields of an object in their order, repeated ones included.
struct Fields<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Fields<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;

        impl<'de> Visitor<'de> for InOrder {
            type Value = Fields<'de>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields<'de>, A::Error> {
                let mut fields = Vec::new();
                while let Some((Text(name), value)) = map.next_entry::<Text<'de>, &'de RawValue>()? {
                    fields.push((name, value));
                }
                Ok(Fields(fields))
            }
        }

        deserializer.deserialize_map(InOrder)
    }
}

/// A text that is borrowed where it has no escapes.
#[derive(serde::Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// Returns the text of the value at a path, as `#>` finds it in a `json`: of repeated fields the last that leads to a
/// value.
fn find<'a>(text: &'a str, path: &[String]) -> Option<&'a str> {
    let Some((segment, rest)) = path.split_first() else { return Some(text) };
    match Shape::new(text) {
        Shape::Object => {
            let Fields(fields) = serde_json::from_str(text).ok()?;
            let named = fields.into_iter().rev().filter(|(name, _)| name == segment);
            named.into_iter().find_map(|(_, value)| find(value.get(), rest))
        }
        Shape::Array => {
            let elements: Vec<&RawValue> = serde_json::from_str(text).ok()?;
            let index = position(segment, elements.len())?;
            find(elements.get(index)?.get(), rest)
        }
        Shape::Text | Shape::Number | Shape::Truth | Shape::Null => None,
    }
}

/// Returns the position that a segment names in an array; a negative one counts from the end.
fn position(segment: &str, length: usize) -> Option<usize> {
    // As C's `strtol` reads it.
    let digits = segment.trim_start_matches([' ', '\t', '\n', '\u{b}', '\u{c}', '\r']);
    let index: i32 = digits.parse().ok()?;
    match usize::try_from(index) {
        Ok(index) => Some(index),
        Err(_) => length.checked_sub(usize::try_from(index.unsigned_abs()).ok()?),
    }
}

/// Writes a value as `jsonb` does. `depth`: most further levels.
fn written(text: &str, depth: usize) -> Result<String, Fault> {
    let below = depth.checked_sub(1).ok_or(Fault::Unreadable)?;
    let unreadable = |_: serde_json::Error| Fault::Unreadable;
    match Shape::new(text) {
        Shape::Object => {
            let Fields(mut fields) = serde_json::from_str(text).map_err(unreadable)?;
            // Stable, so that the last of equal names stays last.
            fields.sort_by(|(one, _), (other, _)| one.len().cmp(&other.len()).then_with(|| one.cmp(other)));
            let mut parts: Vec<(Cow<'_, str>, String)> = Vec::new();
            for (name, value) in fields {
                let value = written(value.get(), below)?;
                if parts.last().is_some_and(|(last, _)| *last == name) {
                    parts.pop();
                }
                parts.push((name, value));
            }
            let parts: Result<Vec<_>, _> =
                parts.into_iter().map(|(name, value)| Ok(format!("{}: {value}", quoted(&name)?))).collect();
            Ok(format!("{{{}}}", parts?.join(", ")))
        }
        Shape::Array => {
            let elements: Vec<&RawValue> = serde_json::from_str(text).map_err(unreadable)?;
            let parts: Result<Vec<_>, _> = elements.into_iter().map(|element| written(element.get(), below)).collect();
            Ok(format!("[{}]", parts?.join(", ")))
        }
        Shape::Text => quoted(&serde_json::from_str::<Text<'_>>(text).map_err(unreadable)?.0),
        Shape::Number => number(text, false),
        Shape::Truth | Shape::Null => Ok(text.to_owned()),
    }
}

/// Writes a text with the escapes that Postgres writes.
fn quoted(text: &str) -> Result<String, Fault> {
    use fmt::Write as _;

    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for letter in text.chars() {
        match letter {
            '\0' => return Err(Fault::Unreadable),
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\u{8}' => quoted.push_str("\\b"),
            '\u{c}' => quoted.push_str("\\f"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            // Writing into a string never fails.
            control if control < ' ' => write!(quoted, "\\u{:04x}", u32::from(control)).unwrap_or_default(),
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    Ok(quoted)
}

/// Writes a number as `numeric` does: without an exponent, with as many digits after the point as were given.
/// `trimmed`: without the zeros at the end of a fraction.
fn number(text: &str, trimmed: bool) -> Result<String, Fault> {
    let (negative, text) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let exponent = exponent.parse::<i64>().ok().filter(|exponent| exponent.abs() < EXPONENT_MAX);
    let exponent = exponent.ok_or(Fault::OutOfRange)?;
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let length = |part: &str| i64::try_from(part.len()).unwrap_or(i64::MAX);
    let scale = (length(fraction) - exponent).max(0);
    let digits = format!("{whole}{fraction}");
    let zeros = digits.len() - digits.trim_start_matches('0').len();
    let zero = zeros == digits.len();
    // Digits before the point, the first of which is not zero.
    let before = length(whole) + exponent - i64::try_from(zeros).unwrap_or(i64::MAX);
    if !zero && before > WHOLE_DIGITS_MAX || scale > FRACTION_DIGITS_MAX {
        return Err(Fault::OutOfRange);
    }
    let point = if zero { 0 } else { length(whole) + exponent };
    let digit = |place: i64| {
        let known = usize::try_from(place).ok().and_then(|place| digits.as_bytes().get(place));
        char::from(known.copied().filter(|_| !zero).unwrap_or(b'0'))
    };
    let first = i64::try_from(zeros).unwrap_or(i64::MAX).min(point);
    let whole: String = (first.max(0)..point.max(0)).map(digit).collect();
    let mut fraction: String = (point..point + scale).map(digit).collect();
    if trimmed {
        fraction.truncate(fraction.trim_end_matches('0').len());
    }
    let sign = if negative && !zero { "-" } else { "" };
    let whole = if whole.is_empty() { "0" } else { &whole };
    let point = if fraction.is_empty() { "" } else { "." };
    Ok(format!("{sign}{whole}{point}{fraction}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(input: &str, path: &[&str]) -> Option<String> {
        let path: Vec<String> = path.iter().map(|&segment| segment.to_owned()).collect();
        concurrency_key(&Json::parse(input).unwrap(), &path)
    }

    #[test]
    fn keys_of_equal_values_are_equal() {
        let number = |text: &str| key(&format!("{{\"n\": {text}}}"), &["n"]);
        for one in ["1", "1.0", "1e0", "10e-1", "0.1E+1", "100.00e-2"] {
            assert_eq!(number(one).as_deref(), Some("1"), "{one}");
        }
        assert_eq!(number("-0.0").as_deref(), Some("0"));
        assert_eq!(number("-12.5e-3").as_deref(), Some("-0.0125"));
        assert_eq!(number("7e3").as_deref(), Some("7000"));
        assert_eq!(number("1e200000").as_deref(), Some("1e200000"));
        assert_eq!(number("null"), None);
        let value = r#"{ "k" : {"bb":1.50, "a":[true , null,"é\u0041\n"], "a":2e1} }"#;
        assert_eq!(key(value, &["k"]).as_deref(), Some(r#"{"a": 20, "bb": 1.50}"#));
    }

    #[test]
    fn a_path_is_followed_as_in_sql() {
        assert_eq!(key(r#"{"a":[1,{"b":"x"}]}"#, &["a", "1", "b"]).as_deref(), Some("\"x\""));
        assert_eq!(key(r#"{"a":[1,2,3]}"#, &["a", "-1"]).as_deref(), Some("3"));
        assert_eq!(key(r#"{"a":{"0":4}}"#, &["a", "0"]).as_deref(), Some("4"));
        assert_eq!(key(r#"{"a":{"b":1},"a":2}"#, &["a", "b"]).as_deref(), Some("1"));
        assert_eq!(key(r#"{"a":{"b":1},"a":{"b":2}}"#, &["a", "b"]).as_deref(), Some("2"));
        assert_eq!(key(r#"{"a":1}"#, &["a", "b"]), None);
        assert_eq!(key(&format!("{{\"a\":\"{}\"}}", "x".repeat(511)), &["a"]), None);
        let deep = |levels: usize| format!("{{\"a\":{}{}}}", "[".repeat(levels), "]".repeat(levels));
        assert_eq!(key(&deep(200), &["a"]).map(|key| key.len()), Some(400));
        assert_eq!(key(&deep(100_000), &["a"]), None);
    }
}

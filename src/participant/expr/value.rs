//! Converts JSON text to CEL values and back. Integers stay integers, and objects become maps with string keys. Maps
//! are written in the order of their keys, so that the same value has the same text on every attempt.

use std::collections::HashMap;
use std::fmt::Write as _;

use cel::common::types::{
    CelBool, CelDouble, CelDuration, CelInt, CelList, CelMap, CelMapKey, CelNull, CelOptional, CelString, CelTimestamp,
    CelUInt,
};
use cel::common::value::Val;
use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

/// A CEL value that may borrow the text it was read from.
pub(super) type Owned<'v> = Box<dyn Val + 'v>;

/// Reads one JSON value. Strings without escapes borrow the text.
pub(super) fn from_json(text: &str) -> Result<Owned<'_>, serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let value = Node.deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(value)
}

/// Reads any JSON value.
struct Node;

impl<'v> DeserializeSeed<'v> for Node {
    type Value = Owned<'v>;

    fn deserialize<D: Deserializer<'v>>(self, deserializer: D) -> Result<Owned<'v>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'v> Visitor<'v> for Node {
    type Value = Owned<'v>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Owned<'v>, E> {
        Ok(Box::new(CelNull))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Owned<'v>, E> {
        Ok(Box::new(CelBool::from(value)))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Owned<'v>, E> {
        Ok(Box::new(CelInt::from(value)))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Owned<'v>, E> {
        Ok(match i64::try_from(value) {
            Ok(value) => Box::new(CelInt::from(value)),
            Err(_) => Box::new(CelUInt::from(value)),
        })
    }

    fn visit_f64<E>(self, value: f64) -> Result<Owned<'v>, E> {
        Ok(Box::new(CelDouble::from(value)))
    }

    fn visit_borrowed_str<E>(self, value: &'v str) -> Result<Owned<'v>, E> {
        Ok(Box::new(CelString::from(value)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Owned<'v>, E> {
        Ok(Box::new(CelString::from(value.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'v>>(self, mut items: A) -> Result<Owned<'v>, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(Node)? {
            list.push(item);
        }
        Ok(Box::new(CelList::from(list)))
    }

    fn visit_map<A: MapAccess<'v>>(self, mut entries: A) -> Result<Owned<'v>, A::Error> {
        let mut map: HashMap<CelMapKey<'v>, Owned<'v>> = HashMap::new();
        while let Some(key) = entries.next_key_seed(Key)? {
            map.insert(CelMapKey::String(key), entries.next_value_seed(Node)?);
        }
        Ok(Box::new(CelMap::from(map)))
    }
}

/// Reads the name of a field.
struct Key;

impl<'v> DeserializeSeed<'v> for Key {
    type Value = CelString<'v>;

    fn deserialize<D: Deserializer<'v>>(self, deserializer: D) -> Result<CelString<'v>, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'v> Visitor<'v> for Key {
    type Value = CelString<'v>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a field name")
    }

    fn visit_borrowed_str<E: serde::de::Error>(self, value: &'v str) -> Result<CelString<'v>, E> {
        Ok(CelString::from(value))
    }

    fn visit_str<E: serde::de::Error>(self, value: &str) -> Result<CelString<'v>, E> {
        Ok(CelString::from(value.to_owned()))
    }
}

/// Writes a value as JSON text of at most `bytes_max` bytes.
pub(super) fn to_json(value: &dyn Val, bytes_max: usize) -> Result<String, String> {
    let mut out = String::new();
    write(value, &mut out, bytes_max)?;
    Ok(out)
}

fn write(value: &dyn Val, out: &mut String, bytes_max: usize) -> Result<(), String> {
    if let Some(text) = value.downcast_ref::<CelString>() {
        quote(text.inner(), out);
    } else if let Some(number) = value.downcast_ref::<CelInt>() {
        let _ = write!(out, "{}", number.inner());
    } else if let Some(flag) = value.downcast_ref::<CelBool>() {
        out.push_str(if *flag.inner() { "true" } else { "false" });
    } else if value.downcast_ref::<CelNull>().is_some() {
        out.push_str("null");
    } else if let Some(map) = value.downcast_ref::<CelMap>() {
        write_map(map, out, bytes_max)?;
    } else if let Some(list) = value.downcast_ref::<CelList>() {
        write_list(list, out, bytes_max)?;
    } else if let Some(number) = value.downcast_ref::<CelUInt>() {
        let _ = write!(out, "{}", number.inner());
    } else if let Some(number) = value.downcast_ref::<CelDouble>() {
        let number = serde_json::Number::from_f64(*number.inner())
            .ok_or_else(|| format!("the number {} has no JSON form", number.inner()))?;
        let _ = write!(out, "{number}");
    } else if let Some(optional) = value.downcast_ref::<CelOptional>() {
        match optional.inner() {
            Some(value) => write(value, out, bytes_max)?,
            None => out.push_str("null"),
        }
    } else if let Some(time) = value.downcast_ref::<CelTimestamp>() {
        quote(&time.inner().to_rfc3339(), out);
    } else if let Some(duration) = value.downcast_ref::<CelDuration>() {
        quote(&seconds(duration.inner().num_seconds(), duration.inner().subsec_nanos()), out);
    } else {
        return Err(format!("a value of type {} has no JSON form", value.get_type().name()));
    }
    if out.len() > bytes_max {
        return Err(format!("the value is larger than {bytes_max} bytes"));
    }
    Ok(())
}

fn write_list(list: &CelList<'_>, out: &mut String, bytes_max: usize) -> Result<(), String> {
    out.push('[');
    for (index, item) in list.inner().iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        write(item.as_ref(), out, bytes_max)?;
    }
    out.push(']');
    Ok(())
}

fn write_map(map: &CelMap<'_>, out: &mut String, bytes_max: usize) -> Result<(), String> {
    out.push('{');
    for (index, (key, value)) in sorted(map).into_iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        quote(&key, out);
        out.push(':');
        write(value, out, bytes_max)?;
    }
    out.push('}');
    Ok(())
}

/// Returns the entries of a map in the order of their keys' text.
fn sorted<'m, 'v>(map: &'m CelMap<'v>) -> Vec<(String, &'m (dyn Val + 'v))> {
    let mut entries: Vec<(String, &'m (dyn Val + 'v))> =
        map.inner().iter().map(|(key, value)| (key_text(key), value.as_ref())).collect();
    entries.sort_by(|a, b| a.0.cmp(&b.0));
    entries
}

/// Returns a map's key as the text of a JSON field name.
pub(super) fn key_text(key: &CelMapKey<'_>) -> String {
    match key {
        CelMapKey::String(text) => text.inner().to_owned(),
        CelMapKey::Int(number) => number.inner().to_string(),
        CelMapKey::UInt(number) => number.inner().to_string(),
        CelMapKey::Bool(flag) => flag.inner().to_string(),
    }
}

/// Appends a JSON string.
fn quote(text: &str, out: &mut String) {
    let plain = |byte: u8| byte >= 0x20 && byte != b'"' && byte != b'\\';
    if text.bytes().all(plain) {
        out.push('"');
        out.push_str(text);
        out.push('"');
    } else {
        let _ = write!(out, "{}", serde_json::Value::from(text));
    }
}

/// Writes a duration of seconds and nanoseconds as CEL does: `1.5s`.
fn seconds(seconds: i64, nanos: i32) -> String {
    let sign = if seconds < 0 || nanos < 0 { "-" } else { "" };
    let whole = seconds.unsigned_abs();
    if nanos == 0 {
        return format!("{sign}{whole}s");
    }
    let fraction = format!("{:09}", nanos.unsigned_abs());
    format!("{sign}{whole}.{}s", fraction.trim_end_matches('0'))
}

/// Returns the size of a value in units of work: one for each node, and one for every 64 bytes of text.
pub(super) fn units(value: &dyn Val) -> i64 {
    let text = |bytes: usize| 1 + i64::try_from(bytes / 64).unwrap_or(i64::MAX / 2);
    if let Some(string) = value.downcast_ref::<CelString>() {
        text(string.inner().len())
    } else if let Some(list) = value.downcast_ref::<CelList>() {
        list.inner().iter().fold(1, |sum, item| sum.saturating_add(units(item.as_ref())))
    } else if let Some(map) = value.downcast_ref::<CelMap>() {
        map.inner().values().fold(1, |sum, item| sum.saturating_add(1 + units(item.as_ref())))
    } else if let Some(optional) = value.downcast_ref::<CelOptional>() {
        1 + optional.inner().map_or(0, units)
    } else if let Some(bytes) = value.downcast_ref::<cel::common::types::CelBytes>() {
        text(bytes.inner().len())
    } else {
        1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_survives_the_way_there_and_back() {
        for text in [
            "null",
            "true",
            "-7",
            "9223372036854775807",
            "18446744073709551615",
            "1.5",
            r#""a\"b\n""#,
            r#"[1,[],{}]"#,
            r#"{"a":{"b":[1,null]},"z":"ä€"}"#,
        ] {
            assert_eq!(to_json(from_json(text).unwrap().as_ref(), 1_000).unwrap(), text);
        }
    }

    #[test]
    fn maps_are_written_in_the_order_of_their_keys() {
        let value = from_json(r#"{"b":1,"a":2,"c":3}"#).unwrap();
        assert_eq!(to_json(value.as_ref(), 100).unwrap(), r#"{"a":2,"b":1,"c":3}"#);
    }

    #[test]
    fn too_deep_and_too_large_are_errors() {
        let deep = "[".repeat(500) + &"]".repeat(500);
        assert!(from_json(&deep).is_err());
        let value = from_json(r#"["aaaaaaaaaa","bbbbbbbbbb"]"#).unwrap();
        assert!(to_json(value.as_ref(), 15).unwrap_err().contains("15 bytes"));
    }

    #[test]
    fn durations_are_written_as_cel_does() {
        assert_eq!(seconds(-1, -500_000_000), "-1.5s");
        assert_eq!(seconds(0, -500_000_000), "-0.5s");
        assert_eq!(seconds(90, 0), "90s");
    }
}

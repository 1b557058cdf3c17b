//! Finds a duplicate member in JSON text. One reader takes the first of the two, another takes the last.

use std::borrow::Cow;
use std::collections::HashSet;

/// Returns a name that one object of the text has twice. The text must be valid JSON.
pub(super) fn named_twice(json: &str) -> Option<String> {
    let bytes = json.as_bytes();
    // The names in each open object; none for an array.
    let mut open: Vec<Option<HashSet<Cow<'_, str>>>> = Vec::new();
    let (mut at, mut name_follows) = (0, false);
    while at < bytes.len() {
        match bytes[at] {
            b'{' => {
                open.push(Some(HashSet::new()));
                name_follows = true;
            }
            b'[' => {
                open.push(None);
                name_follows = false;
            }
            b'}' | b']' => drop(open.pop()),
            b',' => name_follows = matches!(open.last(), Some(Some(_))),
            b'"' => {
                let end = end_of_string(bytes, at);
                let name = &json[at..end];
                if std::mem::take(&mut name_follows)
                    && let Some(Some(names)) = open.last_mut()
                    && !names.insert(plain(name))
                {
                    return Some(plain(name).into_owned());
                }
                at = end;
                continue;
            }
            _ => {}
        }
        at += 1;
    }
    None
}

/// Returns the position after the string that begins at `at`.
fn end_of_string(bytes: &[u8], mut at: usize) -> usize {
    at += 1;
    while at < bytes.len() && bytes[at] != b'"' {
        at += if bytes[at] == b'\\' { 2 } else { 1 };
    }
    (at + 1).min(bytes.len())
}

/// Decodes a quoted name.
fn plain(quoted: &str) -> Cow<'_, str> {
    let inside = quoted.get(1..quoted.len() - 1).unwrap_or_default();
    if !inside.contains('\\') {
        return Cow::Borrowed(inside);
    }
    // Half a surrogate pair cannot be decoded. Its escaped form still is a name.
    serde_json::from_str(quoted).map_or(Cow::Borrowed(inside), Cow::Owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_a_name_that_one_object_has_twice() {
        for (json, twice) in [
            (r#"{"a":1,"b":2}"#, None),
            (r#"{"a":1,"a":2}"#, Some("a")),
            (r#"{"a":1,"\u0061":2}"#, Some("a")),
            (r#"[{"a":1},{"a":2}]"#, None),
            (r#"{"a":{"a":{"a":1}},"b":[{"a":1}]}"#, None),
            (r#"{"x":["a","a"],"y":"x","z":{"p":[{}, {"q":"q"}],"p":0}}"#, Some("p")),
            (r#"{"a":"\"a\":1,\"a\"","b":"a"}"#, None),
            (r#"{"\ud800":1,"\ud800":2}"#, Some("\\ud800")),
            (r#"{"":1,"":2}"#, Some("")),
            ("12", None),
            (r#""a""#, None),
            (r#"{"a\\":1,"a":2}"#, None),
        ] {
            assert_eq!(named_twice(json).as_deref(), twice, "{json}");
        }
    }
}

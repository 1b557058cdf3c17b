//! Values on the command line: durations, and JSON as text, as `@FILE`, or as `@-` for stdin.

use std::io::{self, Read as _};
use std::time::Duration;

use super::failure::Failure;
use crate::config::store::BODY_BYTES_MAX;
use crate::saga::Json;

/// Reads a JSON value from the text itself, or from the file after `@`. `what` names the value in errors.
pub(super) fn json(what: &str, text: &str) -> Result<Json, Failure> {
    let text = match text.strip_prefix('@') {
        None => text.to_owned(),
        Some("-") => read(what, "stdin", io::stdin().lock())?,
        Some(path) => {
            let file = std::fs::File::open(path)
                .map_err(|error| Failure::usage(format!("{what}: cannot open {path}: {error}")))?;
            read(what, path, file)?
        }
    };
    if text.len() > BODY_BYTES_MAX {
        return Err(too_large(what));
    }
    Json::parse(&text).map_err(|error| {
        let hint = "write strings in quotes ('\"text\"'), and files as @FILE";
        Failure::usage(format!("{what}: expected JSON, found {text:?}: {error}; {hint}"))
    })
}

fn read(what: &str, place: &str, from: impl io::Read) -> Result<String, Failure> {
    let mut text = String::new();
    let limit = BODY_BYTES_MAX as u64 + 1;
    from.take(limit)
        .read_to_string(&mut text)
        .map_err(|error| Failure::usage(format!("{what}: cannot read {place}: {error}")))?;
    Ok(text)
}

fn too_large(what: &str) -> Failure {
    Failure::usage(format!("{what}: expected at most {BODY_BYTES_MAX} bytes, found more"))
}

/// Parses a duration such as `500ms`, `10s` or `2m 30s`.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text).map_err(|error| format!("expected a duration such as 500ms or 10s: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_json_files_and_durations() {
        assert_eq!(json("input", "{\"a\": 1}").unwrap().get(), "{\"a\": 1}");
        let error = json("input", "{a}").unwrap_err().message;
        assert!(error.starts_with("input: expected JSON, found \"{a}\": key must be a string"), "{error}");
        let error = json("input", "@/nonexistent").unwrap_err().message;
        assert!(error.starts_with("input: cannot open /nonexistent: No such file"), "{error}");
        let error = json("input", &format!("\"{}\"", "x".repeat(BODY_BYTES_MAX))).unwrap_err().message;
        assert!(error.starts_with("input: expected at most 1048576 bytes"), "{error}");
        assert_eq!(duration("1m 30s").unwrap(), Duration::from_secs(90));
        assert!(duration("soon").unwrap_err().starts_with("expected a duration such as"));
    }
}

//! The key under which a call starts its saga. Owns the order of the places where a caller can name a key, and the
//! marks of a key in the store. The principal owns the key, so that no two principals share one.

use std::time::Duration;

use rmcp::ErrorData;
use rmcp::model::RequestMetaObject;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::config::mcp::KEY_BYTES_MAX;
use crate::participant::KEY_META;
use crate::saga::canonical;

/// Idempotency key of a call, by its author.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Key {
    /// From the host, in `_meta` or `params`. Faults are protocol errors, which the host reads and the model does
    /// not.
    Host(String),
    /// From the model, in an argument.
    Model(String),
    /// The call has no key.
    None,
}

impl Key {
    /// Reads the key of a call. The host's key wins over the model's. The error says what is wrong with the key.
    pub(super) fn from_call(meta: &RequestMetaObject, argument: Option<Value>) -> Result<Self, Fault> {
        if let Some(given) = meta.0.get(KEY_META) {
            return Ok(Self::Host(checked(given).map_err(|why| Fault::Host(format!("_meta[{KEY_META:?}]: {why}")))?));
        }
        match argument {
            None | Some(Value::Null) => Ok(Self::None),
            Some(given) => {
                Ok(Self::Model(checked(&given).map_err(|why| Fault::Model(format!("idempotency_key: {why}")))?))
            }
        }
    }

    /// Returns the key as the caller wrote it.
    pub(super) fn text(&self) -> Option<&str> {
        match self {
            Self::Host(key) | Self::Model(key) => Some(key),
            Self::None => None,
        }
    }
}

/// What is wrong with a key, by who has to be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    Host(String),
    Model(String),
}

fn checked(given: &Value) -> Result<String, String> {
    let expected = format!("expected a text of 1 to {KEY_BYTES_MAX} bytes without control characters");
    let text = given.as_str().ok_or_else(|| format!("{expected}, found {given}"))?;
    let fits = (1..=KEY_BYTES_MAX).contains(&text.len()) && !text.chars().any(char::is_control);
    if fits { Ok(text.to_owned()) } else { Err(format!("{expected}, found one of {} bytes", text.len())) }
}

/// Returns the error for a key that was used with other arguments, in the shape of SEP-3182.
pub(super) fn conflict(message: &str) -> ErrorData {
    let data = json!({ "type": "idempotency_key_conflict" });
    ErrorData::invalid_params(format!("idempotency_key_conflict: {message}"), Some(data))
}

/// Returns the stored key of a start that names a key.
pub(super) fn named(key: &str) -> String {
    format!("k:{key}")
}

/// Returns the stored key of a start that names no key, from a random number of the call. Only this call knows it, and
/// can repeat the start under it.
pub(super) fn unnamed(call: Uuid) -> String {
    format!("u:{call}")
}

/// Returns the stored keys under which equal arguments are the same call for some time: the key of the current window
/// of time, and the key of the window before.
pub(super) fn by_arguments(input: &Value, window: Duration, now_ms: u64) -> [String; 2] {
    let digest: String =
        Sha256::digest(canonical(input).to_string()).iter().map(|byte| format!("{byte:02x}")).collect();
    let window_ms = u64::try_from(window.as_millis()).unwrap_or(u64::MAX).max(1);
    let stretch = now_ms / window_ms;
    [stretch, stretch.saturating_sub(1)].map(|stretch| format!("w:{window_ms}:{stretch}:{digest}"))
}

#[cfg(test)]
mod tests {
    use rmcp::model::{JsonObject, MetaObject};

    use super::*;

    fn meta(key: Option<Value>) -> RequestMetaObject {
        let object: JsonObject = key.into_iter().map(|key| (KEY_META.to_owned(), key)).collect();
        RequestMetaObject(MetaObject(object))
    }

    #[test]
    fn the_host_goes_before_the_model() {
        let of = |host: Option<Value>, model: Option<Value>| Key::from_call(&meta(host), model);
        assert_eq!(of(Some(json!("h")), Some(json!("m"))), Ok(Key::Host("h".to_owned())));
        assert_eq!(of(None, Some(json!("m"))), Ok(Key::Model("m".to_owned())));
        assert_eq!(of(None, None), Ok(Key::None));
        assert_eq!(of(None, Some(Value::Null)), Ok(Key::None));
        assert!(matches!(of(Some(json!(7)), None), Err(Fault::Host(_))));
        assert!(matches!(of(None, Some(json!(""))), Err(Fault::Model(_))));
        assert!(matches!(of(None, Some(json!("x".repeat(257)))), Err(Fault::Model(_))));
    }

    #[test]
    fn equal_arguments_meet_within_a_window() {
        let keys = |input: &Value, now_ms| by_arguments(input, Duration::from_secs(10), now_ms);
        let input = json!({ "b": 1, "a": 2 });
        assert_eq!(keys(&input, 10_000), keys(&json!({ "a": 2, "b": 1 }), 19_999));
        assert_eq!(keys(&input, 19_999)[0], keys(&input, 20_000)[1]);
        assert_ne!(keys(&input, 10_000), keys(&json!({ "a": 2 }), 10_000));
    }
}

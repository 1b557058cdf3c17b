//! Which headers of an HTTP request are no definition's to set. Owns their names; values, and the headers that the
//! settings give a participant, belong to the rooms above.

/// Names, in lower case, and why a definition may not set them.
const RESERVED: [(&[&str], &str); 5] = [
    (&["host"], "which host is meant is said by the participant's URL"),
    (
        &["content-length", "transfer-encoding", "trailer", "te", "expect"],
        "where a request ends is not the definition's business",
    ),
    (&["connection", "keep-alive", "upgrade", "http2-settings"], "it is about a connection, which calls share"),
    (&["idempotency-key"], "the key of the call is sent by itself"),
    (&["traceparent"], "the position in a trace is sent by itself"),
];

/// Returns why a definition may not set the header of this name, in any spelling; none if it may.
///
/// A value is a template, so one that said where a request goes, or where it ends, would leave that to whoever
/// starts a saga.
pub fn reserved_header(name: &str) -> Option<&'static str> {
    let name = name.to_ascii_lowercase();
    if name.starts_with("proxy-") {
        return Some("it is for a proxy, not for the participant");
    }
    RESERVED.iter().find(|(names, _)| names.contains(&name.as_str())).map(|(_, why)| *why)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_request_is_made_of_is_reserved_in_every_spelling() {
        for name in ["Host", "HOST", "Content-Length", "te", "Proxy-Authorization", "Idempotency-Key", "TraceParent"] {
            assert!(reserved_header(name).is_some(), "{name}");
        }
        for name in ["Accept", "Content-Type", "Authorization", "X-Host", "Hostile", "Proxy"] {
            assert_eq!(reserved_header(name), None, "{name}");
        }
    }
}

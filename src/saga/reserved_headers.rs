//! HTTP headers that a definition must not set. Owns their names. Rooms above this one check values, and the headers
//! in the settings of a participant.

/// Names in lower case, and the reason why a definition must not set them.
const RESERVED: [(&[&str], &str); 5] = [
    (&["host"], "the participant's URL names the host"),
    (&["content-length", "transfer-encoding", "trailer", "te", "expect"], "the HTTP client frames the request"),
    (&["connection", "keep-alive", "upgrade", "http2-settings"], "it controls a connection that calls share"),
    (&["idempotency-key"], "the runtime sends the key of the call"),
    (&["traceparent"], "the runtime sends the trace context"),
];

/// Returns why a definition must not set the header of this name, in any spelling; none if it may.
///
/// The value of a header is a template. If a definition could set these headers, the caller that starts a saga could
/// redirect a request or change where it ends.
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

//! Settings of the MCP endpoint, with their defaults.

use std::net::IpAddr;

use crate::config::mcp as limits;
use crate::peer::is_loopback;
use crate::saga::definition::Millis;

/// MCP endpoint for agents.
#[derive(Clone, Debug)]
pub struct McpSettings {
    /// Whether the node serves `/mcp`. Default: true.
    pub enabled: bool,
    /// Time that a call waits for its saga before it answers with a handle, in milliseconds. Default: 50,000.
    pub wait_ms: Millis,
    /// Time in which equal arguments from one principal count as the same call if no key is given, in milliseconds.
    /// Default: none; then every call without a key is a call of its own.
    pub dedupe_ms: Option<Millis>,
    /// Whether callers must authenticate. Default: none; then they must, unless only this machine can call
    /// ([`names_others`](Self::names_others), and HTTP listens on loopback) and no token exists.
    pub authenticate: Option<bool>,
    /// Scopes of callers on standard input and output, and of those on loopback that need not authenticate. Default:
    /// `start:*` and `read:*`.
    pub local_scopes: Vec<String>,
    /// Host names at which callers may reach the node, in addition to those of loopback: `HOST` or `HOST:PORT`.
    /// Default: none.
    pub hosts: Vec<String>,
    /// Origins of web pages that may call. Default: none; then only pages of this machine may call, and only a server
    /// that asks for no token.
    pub origins: Vec<String>,
    /// Most requests of one principal per minute on this node. Default: 600.
    pub requests_per_minute: u32,
    /// Authorization server whose access tokens are accepted, in addition to those of `amends token`. Default: none.
    pub oauth: Option<OauthSettings>,
}

/// Authorization server whose access tokens are accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OauthSettings {
    /// URL of the authorization server, as in the claim `iss` of its tokens.
    pub issuer: String,
    /// Public URL of this server, as in the claim `aud` of the tokens for it.
    pub audience: String,
    /// URL of the keys of the authorization server: `https`, or of this machine. Default:
    /// `ISSUER/.well-known/jwks.json`.
    pub jwks_url: String,
    /// Scopes that every valid token has in addition to its own, such as `start:hotel_*`. Default: none.
    pub scopes: Vec<String>,
}

impl Default for McpSettings {
    fn default() -> Self {
        Self {
            enabled: true,
            wait_ms: limits::WAIT_MS,
            dedupe_ms: None,
            authenticate: None,
            local_scopes: limits::LOCAL_SCOPES.map(str::to_owned).to_vec(),
            hosts: Vec::new(),
            origins: Vec::new(),
            requests_per_minute: limits::REQUESTS_PER_MINUTE,
            oauth: None,
        }
    }
}

impl McpSettings {
    /// Returns the settings that say that callers on other machines are expected: `mcp.hosts`, `mcp.oauth`.
    pub fn names_others(&self) -> Vec<&'static str> {
        let hosts = (!self.hosts.is_empty()).then_some("mcp.hosts");
        hosts.into_iter().chain(self.oauth.is_some().then_some("mcp.oauth")).collect()
    }
}

/// Returns whether a text is a URL whose answers no other machine on the way can change: `https`, or an address of this
/// machine.
pub fn is_secure_url(text: &str) -> bool {
    let Ok(url) = reqwest::Url::parse(text) else { return false };
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    match url.scheme() {
        "https" => !host.is_empty(),
        "http" => host == "localhost" || address.is_ok_and(is_loopback),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_secure_with_https_or_on_this_machine() {
        for good in ["https://a.example/x", "http://localhost:1/x", "http://127.0.0.9", "http://[::1]:8080/x"] {
            assert!(is_secure_url(good), "{good}");
        }
        for bad in [
            "http://a.example/x",
            "http://localhost.a.example",
            "http://localhost@a.example",
            "http://127.0.0.1.a.example",
            "http://[2001:db8::1]",
            "http://10.0.0.1",
            "ftp://localhost",
            "file:///x",
            "localhost",
            "",
        ] {
            assert!(!is_secure_url(bad), "{bad}");
        }
    }
}

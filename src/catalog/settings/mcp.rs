//! Settings of the MCP endpoint, with their defaults.

use crate::config::mcp as limits;
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
    /// Whether callers must authenticate. Default: none; then callers must authenticate unless HTTP listens on
    /// loopback.
    pub authenticate: Option<bool>,
    /// Host names at which callers may reach the node, in addition to those of loopback: `HOST` or `HOST:PORT`.
    /// Default: none.
    pub hosts: Vec<String>,
    /// Origins of web pages that may call. Default: none; then no web page may call.
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
    /// URL of the keys of the authorization server. Default: `ISSUER/.well-known/jwks.json`.
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
            hosts: Vec::new(),
            origins: Vec::new(),
            requests_per_minute: limits::REQUESTS_PER_MINUTE,
            oauth: None,
        }
    }
}

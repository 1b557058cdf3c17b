//! Owns the settings of the MCP door as values, and their defaults.

use crate::config::mcp as limits;
use crate::saga::definition::Millis;

/// The agents' door.
#[derive(Clone, Debug)]
pub struct McpSettings {
    /// Whether `/mcp` is served. Default: true.
    pub enabled: bool,
    /// How long a call waits for its saga before it answers with a handle, in milliseconds. Default: 50,000.
    pub wait_ms: Millis,
    /// How long equal arguments of one principal are the same call when no key is given, in milliseconds.
    /// Default: none.
    pub dedupe_ms: Option<Millis>,
    /// Whether callers must prove who they are. Default: none, which asks for it unless HTTP listens on
    /// loopback.
    pub authenticate: Option<bool>,
    /// Names under which callers may reach the node, besides those of loopback: `HOST` or `HOST:PORT`.
    /// Default: none.
    pub hosts: Vec<String>,
    /// Origins of web pages that may call. Default: none, so that no page may.
    pub origins: Vec<String>,
    /// Most requests of one principal within a minute, on this node. Default: 600.
    pub requests_per_minute: u32,
    /// Access tokens of an authorization server, besides those of `amends token`. Default: none.
    pub oauth: Option<OauthSettings>,
}

/// Whose access tokens are accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OauthSettings {
    /// The authorization server, as its tokens say in `iss`.
    pub issuer: String,
    /// This server, as tokens for it say in `aud`: its public URL.
    pub audience: String,
    /// Where the server's keys are. Default: `ISSUER/.well-known/jwks.json`.
    pub jwks_url: String,
    /// Scopes that every valid token has, such as `start:hotel_*`. Default: none but those in the token.
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

//! Reads the field `mcp` of a settings document into [`McpSettings`].

use std::net::SocketAddr;

use super::super::{McpSettings, OauthSettings, is_secure_url};
use super::{Field, PathFault, Reading, Value, is_http_url};
use crate::config::mcp::{DEDUPE_MS_MAX, REQUESTS_PER_MINUTE_MAX, WAIT_MS_MAX};
use crate::peer::is_loopback;

/// Returns whether a text is a scope: `start`, `read` or `operate`, a colon, and a name that may end in `*`.
fn is_scope(text: &str) -> bool {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    text.split_once(':').is_some_and(|(right, names)| {
        let name = names.strip_suffix('*').unwrap_or(names);
        ["start", "read", "operate"].contains(&right) && !names.is_empty() && name.chars().all(fits)
    })
}

const SCOPE: &str = "a scope such as `start:hotel_*`, `read:*`";

impl Reading<'_> {
    /// Reads the field. `address`: where the HTTP server listens.
    pub(super) fn mcp(&mut self, field: &Field<'_>, address: Option<SocketAddr>) -> McpSettings {
        let settings = self.mcp_fields(field);
        let others = settings.names_others().into_iter().map(str::to_owned);
        let outside = address.filter(|address| !is_loopback(address.ip()));
        let others: Vec<_> = others.chain(outside.map(|address| format!("http.address {address}"))).collect();
        if settings.enabled && settings.authenticate == Some(false) && !others.is_empty() {
            let message = format!(
                "expected `bearer`, or no `auth`, because of {}: callers on other machines are expected. With `none` \
                 every caller is let in; found `none`",
                others.join(" and ")
            );
            self.faults.push(PathFault::value(&field.at("auth").path, message));
        }
        settings
    }

    fn mcp_fields(&mut self, field: &Field<'_>) -> McpSettings {
        let default = McpSettings::default();
        let is_host = |text: &str| !text.is_empty() && !text.contains(['/', '@', ' ', '*']);
        let is_origin = |text: &str| {
            let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
            rest.is_some_and(|rest| !rest.is_empty() && !rest.contains(['/', '@', ' ']))
        };
        let (oauth, local) = (field.at("oauth"), field.at("local").at("scopes"));
        McpSettings {
            enabled: field.at("enabled").value.and_then(Value::as_bool).unwrap_or(default.enabled),
            wait_ms: self.duration(&field.at("wait"), "100ms to 10m", 100..=WAIT_MS_MAX).unwrap_or(default.wait_ms),
            dedupe_ms: self.duration(&field.at("dedupe"), "1s to 24h", 1_000..=DEDUPE_MS_MAX),
            authenticate: match field.at("auth").text() {
                Some("none") => Some(false),
                Some(_) => Some(true),
                None => None,
            },
            local_scopes: match local.value {
                Some(_) => self.texts(&local, SCOPE, is_scope),
                None => default.local_scopes,
            },
            hosts: self.texts(&field.at("hosts"), "a host such as `agents.example.com`, or one with a port", is_host),
            origins: self.texts(&field.at("origins"), "an origin such as `https://app.example.com`", is_origin),
            requests_per_minute: self
                .number(&field.at("requests_per_minute"), 1..=REQUESTS_PER_MINUTE_MAX)
                .and_then(|number| u32::try_from(number).ok())
                .unwrap_or(default.requests_per_minute),
            oauth: oauth.value.and_then(|_| self.oauth(&oauth)),
        }
    }

    fn oauth(&mut self, field: &Field<'_>) -> Option<OauthSettings> {
        let url = |reading: &mut Self, name: &str| {
            let read = reading.checked(&field.at(name), "a URL such as `https://login.example.com`", is_http_url);
            read.map(|text| text.expose().to_owned())
        };
        let (issuer, audience) = (url(self, "issuer"), url(self, "audience"));
        let jwks_url = url(self, "jwks_url");
        let scopes = self.texts(&field.at("scopes"), SCOPE, is_scope);
        let issuer = issuer?;
        let usual = || format!("{}/.well-known/jwks.json", issuer.trim_end_matches('/'));
        let name = if jwks_url.is_some() { "jwks_url" } else { "issuer" };
        let jwks_url = jwks_url.unwrap_or_else(usual);
        if !is_secure_url(&jwks_url) {
            let message = "expected an `https` URL, or one of this machine such as `http://127.0.0.1:8080`: a \
                           machine on the way can change the keys and then make every token; found `http`";
            self.faults.push(PathFault::value(&field.at(name).path, message));
        }
        Some(OauthSettings { issuer, audience: audience?, jwks_url, scopes })
    }

    fn texts(&mut self, field: &Field<'_>, expected: &str, fits: impl Fn(&str) -> bool) -> Vec<String> {
        let items: Vec<_> = field.items().collect();
        let read = items.iter().filter_map(|item| self.checked(item, expected, &fits));
        read.map(|text| text.expose().to_owned()).collect()
    }
}

//! Access tokens of an authorization server: this node is an OAuth 2.1 resource server. Owns the cache of the
//! server's keys, and the checks of a token: signature, issuer, audience and time.

use std::sync::Arc;
use std::time::{Duration, Instant};

use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{DecodingKey, Header, Validation, decode, decode_header};
use serde::Deserialize;
use tokio::sync::Mutex;

use super::{Grants, Principal, Refusal, ring};
use crate::client::Client;
use crate::config::mcp as limits;

/// An authorization server, and what is accepted from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issuer {
    /// The issuer's name, as in `iss` of its tokens.
    pub issuer: String,
    /// Name of this server, as in `aud` of tokens for it.
    pub audience: String,
    /// URL of the issuer's keys.
    pub jwks_url: String,
    /// Scopes that every valid token has.
    pub scopes: Vec<String>,
}

/// Checks tokens of one authorization server.
#[derive(Debug)]
pub(super) struct Verifier {
    issuer: Issuer,
    http: reqwest::Client,
    keys: Arc<Mutex<Keys>>,
}

#[derive(Debug, Default)]
struct Keys {
    set: Option<Arc<JwkSet>>,
    /// Time of the last successful read.
    read_at: Option<Instant>,
    /// Time of the last read, successful or not.
    asked_at: Option<Instant>,
}

#[derive(Debug, Deserialize)]
struct Claims {
    sub: String,
    /// Scopes, separated by spaces.
    #[serde(default)]
    scope: Option<String>,
    /// The scopes, under the name that some servers use.
    #[serde(default)]
    scp: Option<Scp>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Scp {
    Words(String),
    List(Vec<String>),
}

impl Verifier {
    pub(super) fn new(issuer: Issuer) -> Self {
        ring::install();
        Self { issuer, http: direct(), keys: Arc::default() }
    }

    pub(super) fn issuer(&self) -> &Issuer {
        &self.issuer
    }

    /// Checks a token and returns its principal.
    pub(super) async fn principal(&self, client: &Client, token: &str) -> Result<Principal, Refusal> {
        let header = decode_header(token).map_err(|_| Refusal::Invalid("expected an access token"))?;
        if !ring::ACCEPTED.contains(&header.alg) {
            return Err(Refusal::Invalid("the signature algorithm of the token is not accepted"));
        }
        let (http, keys, url) = (self.http.clone(), self.keys.clone(), self.issuer.jwks_url.clone());
        let wanted = header.kid.clone();
        let reading = async move { keys.lock().await.current(&http, &url, wanted.as_deref()).await };
        let set = client.work().spawn(reading).await.ok().flatten().ok_or(Refusal::Unavailable)?;
        let claims = self.claims(token, &header, &set)?;
        let scp = match &claims.scp {
            Some(Scp::Words(words)) => words.split_whitespace().collect(),
            Some(Scp::List(list)) => list.iter().map(String::as_str).collect(),
            None => Vec::new(),
        };
        let own = claims.scope.iter().flat_map(|words| words.split_whitespace()).chain(scp);
        let grants = Grants::of_scopes(self.issuer.scopes.iter().map(String::as_str).chain(own));
        // The name of an `amends token` holds no colon, so the two cannot be the same.
        Ok(Principal::new(format!("oauth:{}", claims.sub), grants))
    }

    fn claims(&self, token: &str, header: &Header, set: &JwkSet) -> Result<Claims, Refusal> {
        let mut validation = Validation::new(header.alg);
        validation.set_audience(&[&self.issuer.audience]);
        validation.set_issuer(&[&self.issuer.issuer]);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        validation.validate_nbf = true;
        validation.leeway = limits::CLOCK_LEEWAY_S;
        let named = header.kid.as_ref().and_then(|kid| set.find(kid));
        // A server with only one key need not name it.
        let only = (header.kid.is_none() && set.keys.len() == 1).then(|| &set.keys[0]);
        let key = named.or(only).ok_or(Refusal::Invalid("no key of the issuer fits the token"))?;
        let key = DecodingKey::from_jwk(key).map_err(|_| Refusal::Invalid("the key of the token is unusable"))?;
        let invalid = Refusal::Invalid("the token is not valid here: its signature, issuer, audience or time is wrong");
        decode::<Claims>(token, &key, &validation).map(|data| data.claims).map_err(|_| invalid)
    }
}

impl Keys {
    /// Returns the keys. Reads them again when they are old or lack the wanted key, but at most every `KEYS_PAUSE_S`
    /// seconds, unless there are none yet. Old keys are better than none.
    async fn current(&mut self, http: &reqwest::Client, url: &str, wanted: Option<&str>) -> Option<Arc<JwkSet>> {
        let older = |at: Option<Instant>, seconds| at.is_none_or(|at| at.elapsed() >= Duration::from_secs(seconds));
        let lacking = self.set.as_ref().is_none_or(|set| wanted.is_some_and(|kid| set.find(kid).is_none()));
        let due = lacking || older(self.read_at, limits::KEYS_FRESH_S);
        if due && (self.set.is_none() || older(self.asked_at, limits::KEYS_PAUSE_S)) {
            self.asked_at = Some(Instant::now());
            match read(http, url).await {
                Ok(set) => (self.set, self.read_at) = (Some(Arc::new(set)), Some(Instant::now())),
                Err(error) => {
                    tracing::warn!(url, error, "could not read the keys of the authorization server")
                }
            }
        }
        self.set.clone()
    }
}

/// Returns an HTTP client that connects directly, even if the environment names a proxy.
fn direct() -> reqwest::Client {
    let client = reqwest::Client::builder().no_proxy().build();
    // If this fails, nothing in the process could use TLS: `reqwest::Client::new` panics then, too.
    client.unwrap_or_else(|error| panic!("cannot create the HTTP client: {error}"))
}

async fn read(http: &reqwest::Client, url: &str) -> Result<JwkSet, String> {
    let reading = async {
        let mut answer = http.get(url).send().await.and_then(reqwest::Response::error_for_status)?;
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await? {
            body.extend_from_slice(&chunk);
            if body.len() > limits::KEYS_BYTES_MAX {
                break;
            }
        }
        Ok::<_, reqwest::Error>(body)
    };
    let body = tokio::time::timeout(Duration::from_millis(limits::KEYS_MS_MAX), reading).await;
    let body = body.map_err(|_| "no answer in time".to_owned())?.map_err(|error| error.to_string())?;
    serde_json::from_slice(&body).map_err(|error| format!("expected a set of keys (JWKS): {error}"))
}

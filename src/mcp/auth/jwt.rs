//! Access tokens of an authorization server: this node is an OAuth 2.1 resource server. Owns the checks of a token:
//! header, key, signature, issuer, audience and time, as RFC 8725 and RFC 9068 ask. Leaves the server's keys to
//! `jwks.rs`.

use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::jwk::{Jwk, KeyOperations, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, Header, Validation, decode, decode_header};
use serde::Deserialize;

use super::jwks::{Jwks, Keys, Newer};
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
    /// URL of the issuer's keys: `https`, or at this machine.
    pub jwks_url: String,
    /// Scopes that every valid token has.
    pub scopes: Vec<String>,
}

/// Types of tokens that are accepted, in lower case. Besides access tokens of RFC 9068, many servers call their access
/// tokens `JWT`, or give them no type.
const TYPES: [&str; 4] = ["at+jwt", "application/at+jwt", "jwt", "application/jwt"];

/// One text for several faults, so that the caller learns little from it.
const INVALID: &str = "the token is not valid here: its signature, issuer, audience or time is wrong";

/// Checks tokens of one authorization server.
#[derive(Debug)]
pub(super) struct Verifier {
    issuer: Issuer,
    jwks: Jwks,
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

/// What is wrong with a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// No key fits. The server may have a new one.
    Key,
    /// The signature is not that of the key. The server may have changed the key under its name.
    Signature,
    /// Newer keys would change nothing.
    Token(&'static str),
}

impl Fault {
    fn refusal(self) -> Refusal {
        Refusal::Invalid(match self {
            Self::Key => "no key of the issuer fits the token",
            Self::Signature => INVALID,
            Self::Token(why) => why,
        })
    }
}

impl Verifier {
    pub(super) fn new(issuer: Issuer) -> Self {
        ring::install();
        let jwks = Jwks::new(issuer.jwks_url.clone());
        Self { issuer, jwks }
    }

    pub(super) fn issuer(&self) -> &Issuer {
        &self.issuer
    }

    /// Checks a token and returns its principal.
    pub(super) async fn principal(&self, client: &Client, token: &str) -> Result<Principal, Refusal> {
        let header = decode_header(token).map_err(|_| Refusal::Invalid("expected an access token"))?;
        acceptable(&header).map_err(Refusal::Invalid)?;
        let work = client.work();
        let keys = match self.jwks.held(work) {
            Some(keys) => keys,
            None => match self.jwks.newer(work, None).await {
                Newer::Keys(keys) => keys,
                Newer::Known | Newer::Unavailable => return Err(Refusal::Unavailable),
            },
        };
        let claims = match self.claims(token, &header, &keys) {
            Err(fault @ (Fault::Key | Fault::Signature)) => match self.jwks.newer(work, Some(&keys)).await {
                Newer::Keys(keys) => self.claims(token, &header, &keys),
                // Perhaps the server has a key that fits.
                Newer::Unavailable if fault == Fault::Key => return Err(Refusal::Unavailable),
                Newer::Known | Newer::Unavailable => Err(fault),
            },
            checked => checked,
        };
        let claims = claims.map_err(Fault::refusal)?;
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

    fn claims(&self, token: &str, header: &Header, keys: &Keys) -> Result<Claims, Fault> {
        let mut validation = Validation::new(header.alg);
        validation.set_audience(&[&self.issuer.audience]);
        validation.set_issuer(&[&self.issuer.issuer]);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        validation.validate_nbf = true;
        validation.leeway = limits::CLOCK_LEEWAY_S;
        let key = key(header, &keys.all).ok_or(Fault::Key)?;
        let key = DecodingKey::from_jwk(key).map_err(|_| Fault::Token("the key of the token is unusable"))?;
        let decoded = decode::<Claims>(token, &key, &validation).map_err(|error| match error.kind() {
            ErrorKind::InvalidSignature => Fault::Signature,
            _ => Fault::Token(INVALID),
        });
        let claims = decoded?.claims;
        if claims.sub.trim().is_empty() {
            return Err(Fault::Token("the token names no subject"));
        }
        Ok(claims)
    }
}

/// Checks the header of a token, before any key is looked for.
fn acceptable(header: &Header) -> Result<(), &'static str> {
    if !ring::ACCEPTED.contains(&header.alg) {
        return Err("the signature algorithm of the token is not accepted");
    }
    // A critical header must be understood, and this server understands none.
    if header.crit.is_some() {
        return Err("the token has a critical header that is not understood");
    }
    match &header.typ {
        Some(typ) if !TYPES.contains(&typ.to_ascii_lowercase().as_str()) => {
            Err("the type of the token is not that of an access token")
        }
        Some(_) | None => Ok(()),
    }
}

/// Returns the key of a token. A server with only one key that fits need not name it.
fn key<'a>(header: &Header, keys: &'a [Jwk]) -> Option<&'a Jwk> {
    let mut fitting = keys.iter().filter(|key| fits(key, header.alg));
    match &header.kid {
        Some(kid) => fitting.find(|key| key.common.key_id.as_ref() == Some(kid)),
        None => fitting.next().filter(|_| fitting.next().is_none()),
    }
}

/// Returns whether a key is for signatures, and for this algorithm.
fn fits(key: &Jwk, algorithm: Algorithm) -> bool {
    let common = &key.common;
    let signs = common.public_key_use.as_ref().is_none_or(|usage| *usage == PublicKeyUse::Signature);
    let verifies = common.key_operations.as_ref().is_none_or(|all| all.contains(&KeyOperations::Verify));
    signs && verifies && common.key_algorithm.is_none_or(|own| own == algorithm.into())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn keys(all: Value) -> Vec<Jwk> {
        serde_json::from_value(all).unwrap()
    }

    fn header(all: Value) -> Header {
        serde_json::from_value(all).unwrap()
    }

    #[test]
    fn a_key_is_used_only_for_what_it_says() {
        let one = |extra: Value| {
            let mut key = json!({ "kty": "OKP", "crv": "Ed25519", "kid": "k", "x": "AAAA" });
            key.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
            keys(json!([key]))
        };
        let named = header(json!({ "alg": "EdDSA", "kid": "k" }));
        for good in [json!({}), json!({ "use": "sig", "alg": "EdDSA" }), json!({ "key_ops": ["verify"] })] {
            assert!(key(&named, &one(good.clone())).is_some(), "{good}");
        }
        for bad in [
            json!({ "use": "enc" }),
            json!({ "use": "other" }),
            json!({ "alg": "ES256" }),
            json!({ "alg": "RSA-OAEP" }),
            json!({ "alg": "ML-DSA-44" }),
            json!({ "key_ops": ["encrypt"] }),
            json!({ "key_ops": [] }),
        ] {
            assert!(key(&named, &one(bad.clone())).is_none(), "{bad}");
        }
        // Without a name there must be no choice. A key for encryption is none.
        let unnamed = header(json!({ "alg": "EdDSA" }));
        let both = |extra: Value| [one(json!({})), one(extra)].concat();
        assert!(key(&unnamed, &both(json!({ "use": "enc" }))).is_some());
        assert!(key(&unnamed, &both(json!({}))).is_none() && key(&unnamed, &[]).is_none());
        // Of two keys of one name, the one that fits counts.
        assert!(key(&named, &[one(json!({ "use": "enc" })), one(json!({}))].concat()).is_some());
    }

    #[test]
    fn headers_that_are_not_understood_are_refused() {
        let check = |all: Value| acceptable(&header(all)).is_ok();
        for typ in ["at+jwt", "AT+JWT", "application/at+jwt", "JWT", "jwt", "application/jwt"] {
            assert!(check(json!({ "alg": "RS256", "typ": typ })), "{typ}");
        }
        assert!(check(json!({ "alg": "RS256" })));
        for typ in ["", "logout+jwt", "dpop+jwt", "secevent+jwt", "at+jwt2", "JWE", "jwt "] {
            assert!(!check(json!({ "alg": "RS256", "typ": typ })), "{typ}");
        }
        for crit in [json!(["b64"]), json!(["exp"]), json!([])] {
            assert!(!check(json!({ "alg": "RS256", "crit": crit })), "{crit}");
        }
        assert!(!check(json!({ "alg": "HS256" })));
    }
}

//! Authentication over HTTP. Asks for bearer tokens, or accepts the callers of this machine as long as no live token
//! exists. Also decides what a refusal says, and which refusals need no look-up.

mod failures;
mod jwks;
mod jwt;
mod limit;
mod open;
mod place;
mod ring;
mod token;

use std::net::IpAddr;
use std::time::Duration;

use actix_web::http::header::{FORWARDED, HeaderMap, HeaderName, VIA};
use tokio::sync::Semaphore;

use crate::client::Client;
use crate::config::mcp as limits;
use crate::store;

pub use jwt::Issuer;
pub(super) use limit::Limits;
pub(super) use place::{LOOPBACK, Places};
pub use token::{Minted, mint};

use super::principal::{Grants, Principal};
use failures::{Failures, Fingerprint, fingerprint};
use jwt::Verifier;
use open::Open;

/// Which callers the server accepts.
#[derive(Clone, Debug, Default)]
pub enum Trust {
    /// Every caller, as long as no live token of `amends token` exists; then only callers with a token. Only right if
    /// no other machine can reach the server, not even through a proxy. With names of the server besides those of
    /// loopback it is the same as `Bearer(None)`.
    #[default]
    Everybody,
    /// Callers with a token: one of `amends token`, or one of this authorization server.
    Bearer(Option<Issuer>),
}

/// Authenticates callers.
#[derive(Debug)]
pub(super) struct Authority {
    client: Client,
    /// The caller without a token.
    local: Principal,
    /// None if callers always need a token.
    open: Option<Open>,
    verifier: Option<Verifier>,
    failures: Failures,
    /// Limits the look-ups of tokens that were not valid a moment ago.
    lookups: Semaphore,
}

/// Reason why a caller is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The request has no token.
    Missing,
    /// The token is malformed, unknown or no longer valid. The text is for the caller, and never says which token
    /// would be valid.
    Invalid(&'static str),
    /// The network of the caller has failed too often. It may try again after this time.
    Limited(Duration),
    /// The request came through a proxy, so the caller may be on another machine, and needs no token.
    Forwarded,
    /// The token cannot be checked now.
    Unavailable,
}

/// Headers that proxies add to what they pass on.
const PROXY_HEADERS: [HeaderName; 6] = [
    FORWARDED,
    VIA,
    HeaderName::from_static("x-forwarded-for"),
    HeaderName::from_static("x-forwarded-host"),
    HeaderName::from_static("x-forwarded-proto"),
    HeaderName::from_static("x-real-ip"),
];

/// Returns whether a proxy has passed a request on.
pub(super) fn is_forwarded(headers: &HeaderMap) -> bool {
    PROXY_HEADERS.iter().any(|name| headers.contains_key(name))
}

impl Authority {
    /// Creates the authority. `local`: what callers without a token may do, where there are any.
    pub(super) async fn new(
        client: Client,
        trust: &Trust,
        places: &Places,
        local: Grants,
    ) -> Result<Self, store::Error> {
        let (open, verifier) = match trust {
            Trust::Everybody if places.expect_others() => (None, None),
            Trust::Everybody => (Some(Open::begin(&client).await?), None),
            Trust::Bearer(issuer) => (None, issuer.clone().map(Verifier::new)),
        };
        let (local, lookups) = (Principal::local(local), Semaphore::new(limits::TOKEN_LOOKUPS_MAX));
        Ok(Self { client, local, open, verifier, failures: Failures::new(), lookups })
    }

    /// Returns the authorization server, if there is one.
    pub(super) fn issuer(&self) -> Option<&Issuer> {
        self.verifier.as_ref().map(Verifier::issuer)
    }

    /// Returns the principal over standard input and output.
    pub(super) fn local(&self) -> &Principal {
        &self.local
    }

    /// Returns the principal for a value of the header `Authorization`, from a caller at this address.
    pub(super) async fn principal(
        &self,
        authorization: Option<&str>,
        address: Option<IpAddr>,
        is_forwarded: bool,
    ) -> Result<Principal, Refusal> {
        if let Some(open) = &self.open
            && open.is_open(&self.client).await
        {
            return if is_forwarded { Err(Refusal::Forwarded) } else { Ok(self.local.clone()) };
        }
        let token = authorization.ok_or(Refusal::Missing)?;
        let print = fingerprint(token);
        let was_valid = self.failures.was_valid(&print);
        if !was_valid {
            self.admitted(address)?;
        }
        let found =
            if self.failures.was_refused(&print) { Err(UNKNOWN) } else { self.found(token, address, was_valid).await };
        self.remember(address, token, print, &found);
        found
    }

    /// Refuses a caller whose network has used up its failures.
    fn admitted(&self, address: Option<IpAddr>) -> Result<(), Refusal> {
        self.failures.wait(address).map_or(Ok(()), |wait| Err(Refusal::Limited(wait)))
    }

    fn remember(
        &self,
        address: Option<IpAddr>,
        authorization: &str,
        print: Fingerprint,
        found: &Result<Principal, Refusal>,
    ) {
        match found {
            Ok(_) => self.failures.accept(print),
            Err(Refusal::Invalid(_)) => {
                // A token of amends that is refused once never becomes valid. One of an authorization server may: its
                // time may come, or its key may be published.
                let is_final = bearer(authorization).is_ok_and(|token| token::parts(token).is_some());
                self.failures.refuse(address, print, is_final);
            }
            // Neither the caller's fault, nor a look-up.
            Err(Refusal::Missing | Refusal::Limited(_) | Refusal::Forwarded | Refusal::Unavailable) => {}
        }
    }

    /// Looks a token up.
    async fn found(&self, authorization: &str, address: Option<IpAddr>, was_valid: bool) -> Result<Principal, Refusal> {
        let token = bearer(authorization)?;
        match (token::parts(token), &self.verifier) {
            (Some((id, secret)), _) if was_valid => self.kept(id, secret).await,
            (Some((id, secret)), _) => {
                let _place = self.lookups.acquire().await.map_err(|_| Refusal::Unavailable)?;
                // Others of its network may have failed while it waited.
                self.admitted(address)?;
                self.kept(id, secret).await
            }
            (None, Some(verifier)) => verifier.principal(&self.client, token).await,
            (None, None) => Err(Refusal::Invalid("unknown token")),
        }
    }

    async fn kept(&self, id: &str, secret: &str) -> Result<Principal, Refusal> {
        let (store, id) = (self.client.store().clone(), id.to_owned());
        let found = self.client.work().spawn(async move { store.access_token(&id).await }).await;
        let found = match found {
            Ok(Ok(found)) => found,
            Ok(Err(error)) => {
                tracing::warn!(%error, "cannot look up a token");
                return Err(Refusal::Unavailable);
            }
            Err(_) => return Err(Refusal::Unavailable),
        };
        let kept = found.filter(|kept| token::is_secret(secret, &kept.digest) && kept.live).ok_or(UNKNOWN)?;
        Ok(Principal::new(kept.name, Grants::of_scopes(kept.scopes.iter().map(String::as_str))))
    }
}

/// One answer for all faults of a token of amends, so that the caller learns nothing from it.
const UNKNOWN: Refusal = Refusal::Invalid("unknown, expired or revoked token");

/// Returns the token in a value of the header `Authorization`.
fn bearer(authorization: &str) -> Result<&str, Refusal> {
    match authorization.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => Ok(token.trim()),
        Some(_) | None => Err(Refusal::Invalid("expected a bearer token")),
    }
}

//! Authentication over HTTP. Either accepts everybody, which is right on loopback only, or asks for bearer tokens.
//! Also decides what a refusal says.

mod jwt;
mod limit;
mod ring;
mod token;

use crate::client::Client;

pub use jwt::Issuer;
pub(super) use limit::Limits;
pub use token::{Minted, mint};

use super::principal::{Grants, Principal};
use jwt::Verifier;

/// Which callers the server accepts.
#[derive(Clone, Debug, Default)]
pub enum Trust {
    /// Every caller. Only right if no other machine can reach the server.
    #[default]
    Everybody,
    /// Callers with a token: one of `amends token`, or one of this authorization server.
    Bearer(Option<Issuer>),
}

/// Authenticates callers.
#[derive(Debug)]
pub(super) struct Authority {
    client: Client,
    trust: Option<Option<Verifier>>,
}

/// Reason why a caller is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The request has no token.
    Missing,
    /// The token is malformed, unknown or no longer valid. The text is for the caller, and never says which token
    /// would be valid.
    Invalid(&'static str),
    /// The token cannot be checked now.
    Unavailable,
}

impl Authority {
    pub(super) fn new(client: Client, trust: &Trust) -> Self {
        let trust = match trust {
            Trust::Everybody => None,
            Trust::Bearer(issuer) => Some(issuer.clone().map(Verifier::new)),
        };
        Self { client, trust }
    }

    /// Returns the authorization server, if there is one.
    pub(super) fn issuer(&self) -> Option<&Issuer> {
        self.trust.as_ref()?.as_ref().map(Verifier::issuer)
    }

    /// Returns the principal for a value of the header `Authorization`.
    pub(super) async fn principal(&self, authorization: Option<&str>) -> Result<Principal, Refusal> {
        let Some(verifier) = &self.trust else { return Ok(Principal::local()) };
        let token = authorization.ok_or(Refusal::Missing)?;
        let token = match token.split_once(' ') {
            Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => token.trim(),
            Some(_) | None => return Err(Refusal::Invalid("expected a bearer token")),
        };
        match (token::parts(token), verifier) {
            (Some((id, secret)), _) => self.kept(id, secret).await,
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
        // One answer for all these faults, so that the caller learns nothing from it.
        let unknown = Refusal::Invalid("unknown, expired or revoked token");
        let kept = found.filter(|kept| token::is_secret(secret, &kept.digest) && kept.live).ok_or(unknown)?;
        Ok(Principal::new(kept.name, Grants::of_scopes(kept.scopes.iter().map(String::as_str))))
    }
}

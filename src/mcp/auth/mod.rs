//! Who may come in over HTTP. Owns the choice between a door on loopback that believes everybody and one that
//! asks for proof, and what a refusal says.

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

/// Whom the door believes.
#[derive(Clone, Debug, Default)]
pub enum Trust {
    /// Everybody who reaches it; only right where that is this machine.
    #[default]
    Everybody,
    /// Who has a token: one of `amends token`, or one of this authorization server.
    Bearer(Option<Issuer>),
}

/// Looks at proofs.
#[derive(Debug)]
pub(super) struct Authority {
    client: Client,
    trust: Option<Option<Verifier>>,
}

/// Why a caller does not come in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// No token came.
    Missing,
    /// The token is none, or not valid any more. The text is for the caller, and never says what would be
    /// valid.
    Invalid(&'static str),
    /// It cannot be looked at now.
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

    /// The authorization server, if one is trusted.
    pub(super) fn issuer(&self) -> Option<&Issuer> {
        self.trust.as_ref()?.as_ref().map(Verifier::issuer)
    }

    /// Says who came with this value of `Authorization`.
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
            (None, None) => Err(Refusal::Invalid("the token is not known")),
        }
    }

    async fn kept(&self, id: &str, secret: &str) -> Result<Principal, Refusal> {
        let (store, id) = (self.client.store().clone(), id.to_owned());
        let found = self.client.work().spawn(async move { store.access_token(&id).await }).await;
        let found = match found {
            Ok(Ok(found)) => found,
            Ok(Err(error)) => {
                tracing::warn!(%error, "a token could not be looked up");
                return Err(Refusal::Unavailable);
            }
            Err(_) => return Err(Refusal::Unavailable),
        };
        // One answer for all that is wrong, so that nothing is learned from it.
        let unknown = Refusal::Invalid("the token is not known, is over or was revoked");
        let kept = found.filter(|kept| token::is_secret(secret, &kept.digest) && kept.live).ok_or(unknown)?;
        Ok(Principal::new(kept.name, Grants::of_scopes(kept.scopes.iter().map(String::as_str))))
    }
}

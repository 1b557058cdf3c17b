//! HTTP participants. Makes one exchange, from the request to the reply, within the time of an attempt. `connect.rs`
//! opens connections, `body.rs` reads bodies and `status.rs` judges answers.

mod body;
mod connect;
mod key_conflict;
mod names;
mod request;
mod status;

use std::sync::Arc;

use reqwest::Url;
use reqwest::header::{HeaderMap, RANGE};
use tokio::time::Instant;

use super::config::Limits;
use super::default_rules::DefaultRule as Rule;
use super::reply::Reply;
use super::secret::Filter;
use crate::config::participant::ANSWER_BYTES_INLINE_MAX;
use crate::saga::definition::Effect;
pub(super) use body::{Arrived, flaw_of_stream};
#[cfg(test)]
pub(super) use connect::client_without_names;
pub(super) use connect::{Progress, client, client_of_single_calls, innermost, lost, out_of_files};
pub(super) use key_conflict::speaks_of_own_key;
use request::Address;
pub(super) use request::{Request, base_url, header_map};
use status::{Asked, Reading};
pub(super) use status::{judged, pause, proves_nothing};

/// A participant that speaks HTTP.
pub(super) struct HttpParticipant {
    address: Address,
    client: reqwest::Client,
    reading: Arc<Reading>,
    limits: Limits,
}

impl HttpParticipant {
    /// `busy`: statuses by which the participant turns a request away before it works on it, according to the
    /// settings.
    pub(super) fn new(
        base: Url,
        headers: HeaderMap,
        filter: Filter,
        limits: Limits,
        busy: Vec<u16>,
        client: reqwest::Client,
    ) -> Self {
        let reading = Arc::new(Reading { filter, busy, bytes_max: limits.answer_bytes_max });
        Self { address: Address { base, headers }, client, reading, limits }
    }

    pub(super) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Sends a request and waits for its answer until `deadline`.
    pub(super) async fn call(&self, request: Request, effect: Effect, deadline: Instant) -> Reply {
        let keyed = request.key.is_some() && effect != Effect::ReadOnly;
        let built = match self.address.build(request) {
            Ok(built) => built,
            Err(message) => return Reply::new(Rule::Arguments, message).cleaned(&self.reading.filter),
        };
        let asked = Asked { keyed, in_part: built.headers().contains_key(RANGE) };
        let progress = Progress::until(deadline);
        Arc::clone(&progress).watch(self.exchange(built, asked, &progress)).await
    }

    async fn exchange(&self, request: reqwest::Request, asked: Asked, progress: &Progress) -> Reply {
        let response = match self.client.execute(request).await {
            Ok(response) => response,
            Err(error) => return lost(&error).cleaned(&self.reading.filter),
        };
        progress.answered(response.headers());
        let arrived = Arrived::read(response, self.limits.answer_bytes_max).await;
        if arrived.length() <= ANSWER_BYTES_INLINE_MAX {
            return self.reading.reply(&arrived, asked);
        }
        // A large answer is read on another thread. Other calls share this one, and the deadline of this attempt must
        // hold meanwhile.
        let reading = Arc::clone(&self.reading);
        let read = tokio::task::spawn_blocking(move || reading.reply(&arrived, asked)).await;
        read.unwrap_or_else(|error| Reply::new(Rule::Invalid, format!("the answer was not read: {error}")))
    }
}

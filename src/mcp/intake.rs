//! Takes in the bodies of requests over HTTP: each within its time, and all of them within the memory that they may
//! fill, in total and of one principal. What a request brought counts until it is answered.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use actix_web::error::PayloadError;
use actix_web::web::{Bytes, BytesMut};
use futures_util::{Stream, StreamExt as _};
use tokio::time::{Instant, timeout_at};

use crate::config::mcp::{
    BODIES_BYTES_MAX, BODIES_BYTES_OF_PRINCIPAL_MAX, BODY_FREE_BYTES, BODY_S_MAX, MESSAGE_BYTES_MAX,
};

/// Counts the bytes of the bodies that are here, and the requests under way, in total and by principal.
#[derive(Debug)]
pub(super) struct Intake {
    /// Most requests of one principal that may be under way.
    requests_max: usize,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    bytes: usize,
    by_principal: HashMap<Arc<str>, OfPrincipal>,
}

#[derive(Debug, Default)]
struct OfPrincipal {
    bytes: usize,
    requests: usize,
}

/// Why a body was not taken in.
#[derive(Debug)]
pub(super) enum Refused {
    /// It is longer than a message may be.
    TooLong,
    /// It did not arrive in time.
    TooSlow,
    /// Too much is held for the principal, or in total.
    NoRoom,
    /// The connection ended, or the body is malformed.
    Broken(PayloadError),
}

/// A request under way. Dropping it frees what it holds.
#[derive(Debug)]
pub(super) struct Taken {
    intake: Arc<Intake>,
    principal: Arc<str>,
    bytes: usize,
}

impl Intake {
    pub(super) fn new(requests_max: usize) -> Arc<Self> {
        Arc::new(Self { requests_max, held: Mutex::default() })
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a request; none if the principal has as many under way as it may.
    pub(super) fn begin(self: &Arc<Self>, principal: Arc<str>) -> Option<Taken> {
        let mut held = self.held();
        let own = held.by_principal.entry(principal.clone()).or_default();
        if own.requests >= self.requests_max {
            return None;
        }
        own.requests += 1;
        drop(held);
        Some(Taken { intake: Arc::clone(self), principal, bytes: 0 })
    }

    /// Reads a body to its end. The first `BODY_FREE_BYTES` of a body are taken in whatever is held: the number of
    /// connections bounds them, and no flood of long bodies keeps a short one out.
    pub(super) async fn read(
        taken: &mut Taken,
        mut body: impl Stream<Item = Result<Bytes, PayloadError>> + Unpin,
    ) -> Result<Bytes, Refused> {
        let deadline = Instant::now() + Duration::from_secs(BODY_S_MAX);
        let mut whole = BytesMut::new();
        loop {
            match timeout_at(deadline, body.next()).await {
                Err(_) => return Err(Refused::TooSlow),
                Ok(None) => return Ok(whole.freeze()),
                Ok(Some(Err(error))) => return Err(Refused::Broken(error)),
                Ok(Some(Ok(chunk))) => {
                    let length = whole.len() + chunk.len();
                    if length > MESSAGE_BYTES_MAX {
                        return Err(Refused::TooLong);
                    }
                    if !taken.hold(length.saturating_sub(BODY_FREE_BYTES)) {
                        return Err(Refused::NoRoom);
                    }
                    whole.extend_from_slice(&chunk);
                }
            }
        }
    }
}

impl Taken {
    /// Holds this many bytes in all. Returns whether there is room for them.
    fn hold(&mut self, bytes: usize) -> bool {
        let more = bytes.saturating_sub(self.bytes);
        let mut held = self.intake.held();
        let total = held.bytes + more;
        let Some(own) = held.by_principal.get_mut(&self.principal) else { return false };
        if total > BODIES_BYTES_MAX || own.bytes + more > BODIES_BYTES_OF_PRINCIPAL_MAX {
            return false;
        }
        own.bytes += more;
        held.bytes = total;
        self.bytes += more;
        true
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        let mut held = self.intake.held();
        held.bytes -= self.bytes;
        if let Some(own) = held.by_principal.get_mut(&self.principal) {
            own.bytes -= self.bytes;
            own.requests -= 1;
            if own.requests == 0 {
                held.by_principal.remove(&self.principal);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::stream;

    use super::*;

    async fn read(taken: &mut Taken, chunks: usize) -> Result<usize, Refused> {
        let chunk = || Ok(Bytes::from(vec![b' '; BODY_FREE_BYTES]));
        Intake::read(taken, stream::iter((0..chunks).map(|_| chunk()))).await.map(|whole| whole.len())
    }

    #[tokio::test]
    async fn long_bodies_fill_their_part_and_short_ones_pass_all_the_same() {
        let intake = Intake::new(1_000);
        let ada: Arc<str> = "ada".into();
        let whole = MESSAGE_BYTES_MAX / BODY_FREE_BYTES;
        let mut held = Vec::new();
        loop {
            let mut taken = intake.begin(ada.clone()).unwrap();
            let read = read(&mut taken, whole).await;
            if let Err(refused) = read {
                assert!(matches!(refused, Refused::NoRoom), "{refused:?}");
                break;
            }
            held.push(taken);
        }
        assert!(held.len() >= 3 && held.len() * (whole - 1) * BODY_FREE_BYTES <= BODIES_BYTES_OF_PRINCIPAL_MAX);
        assert_eq!(read(&mut intake.begin(ada.clone()).unwrap(), 1).await.unwrap(), BODY_FREE_BYTES);
        assert!(read(&mut intake.begin("bob".into()).unwrap(), whole).await.is_ok(), "another has its own part");
        held.clear();
        assert!(read(&mut intake.begin(ada).unwrap(), whole).await.is_ok(), "what is answered is held no more");
        assert!(intake.held().by_principal.is_empty() && intake.held().bytes == 0);
    }

    #[tokio::test]
    async fn a_body_has_a_length_and_a_principal_a_number_of_requests() {
        let intake = Intake::new(1);
        let mut only = intake.begin("ada".into()).unwrap();
        assert!(intake.begin("ada".into()).is_none());
        let over = MESSAGE_BYTES_MAX / BODY_FREE_BYTES + 1;
        assert!(matches!(read(&mut only, over).await, Err(Refused::TooLong)));
        drop(only);
        assert!(intake.begin("ada".into()).is_some());
    }
}

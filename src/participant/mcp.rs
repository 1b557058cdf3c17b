//! MCP participants. Makes one call of a tool within its time, and decides what a missing answer means.
//! `connection.rs` keeps the connection, `answer.rs` reads answers.

mod answer;
mod child;
mod connection;
mod framing;
mod pipes;
mod post;
mod raw;
mod session;
mod tools;

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use rmcp::ServiceError;
use rmcp::model::{CallToolRequest, CallToolRequestParams, ClientRequest, JsonObject, MetaObject, RequestMetaObject};
use rmcp::transport::streamable_http_client::StreamableHttpError;
use tokio::time::{Instant, timeout_at};

pub(super) use child::{Program, user};
pub(super) use connection::Link;
pub(super) use session::Server;

use answer::SessionWord;
use raw::{Heard, Slot};
use session::Session;

use super::config::Limits;
use super::default_rules::DefaultRule as Rule;
use super::http;
use super::reply::{Reply, excerpt};
use super::secret::Filter;
use crate::files;
use crate::saga::Json;
use crate::saga::definition::Effect;
use crate::trace;

/// Name of the idempotency key in `_meta`, for servers that read it.
pub const KEY_META: &str = "amends/idempotency_key";

/// What a call carries besides its arguments.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sent<'a> {
    /// The idempotency key; none for a probe.
    pub(super) key: Option<&'a str>,
    /// The W3C `traceparent` of the call.
    pub(super) traceparent: Option<&'a str>,
    /// The declared effect of the call.
    pub(super) effect: Effect,
}

impl Sent<'_> {
    /// Whether the call may have an effect and carries a key. Then its answer may be about an earlier attempt.
    fn is_keyed(&self) -> bool {
        self.key.is_some() && self.effect != Effect::ReadOnly
    }

    fn meta(self) -> Option<RequestMetaObject> {
        let named = [(KEY_META, self.key), (trace::NAME, self.traceparent)];
        let fields = named.into_iter().filter_map(|(name, text)| Some((name.to_owned(), text?.into())));
        let meta = JsonObject::from_iter(fields);
        (!meta.is_empty()).then(|| RequestMetaObject(MetaObject(meta)))
    }
}

/// How long a broken call waits to learn why its connection ended.
const ENDING_WAIT: Duration = Duration::from_millis(300);

/// A participant that speaks MCP.
pub(super) struct McpParticipant {
    link: Arc<Link>,
    limits: Limits,
}

impl McpParticipant {
    pub(super) fn new(link: Arc<Link>, limits: Limits) -> Self {
        Self { link, limits }
    }

    pub(super) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Ends the connection, and the child process if there is one.
    pub(super) async fn shutdown(&self) {
        self.link.shutdown().await;
    }

    /// Calls a tool and waits for its answer until `deadline`.
    pub(super) async fn call(&self, tool: &str, arguments: Json, sent: Sent<'_>, deadline: Instant) -> Reply {
        let session = match timeout_at(deadline, self.session(sent.effect)).await {
            Ok(Ok(session)) => session,
            Ok(Err(reply)) => return reply.cleaned(self.link.filter()),
            Err(_) => return self.link.unready(),
        };
        let mut params = CallToolRequestParams::new(Cow::Owned(tool.to_owned()));
        params.meta = sent.meta();
        let slot = Arc::new(Slot::of_call(arguments, self.link.progress(deadline)));
        let request = ClientRequest::CallToolRequest(CallToolRequest::new(params));
        let (in_flight, begun) = (session.begin_call(), Instant::now());
        let ended = timeout_at(deadline, session.ask(&slot, request)).await;
        drop(in_flight);
        let reply = match ended {
            Ok(Ok(heard)) => {
                let judged = answer::reply(&heard, sent.is_keyed(), &self.limits, self.link.filter());
                let doubts = self.settled(&session, (tool, sent.effect), &heard, &judged, begun);
                // If the time of the attempt ends first, the answer stands as it was judged.
                timeout_at(deadline, doubts).await.ok().flatten().unwrap_or(judged)
            }
            Ok(Err(error)) => self.broken(&session, &slot, &error, deadline).await,
            Err(_) => {
                self.link.suspect(&session);
                slot.late()
            }
        };
        reply.cleaned(self.link.filter())
    }

    /// Waits while the server has left a ping unanswered: until it answers, or until its session is over.
    pub(super) async fn ready(&self) {
        if let Some(session) = self.link.open_session() {
            session.ready().await;
        }
    }

    /// Returns a session that may take a call. Waits for a server that hangs, until it answers or is replaced. A
    /// `once` call gets a session that the server knew a moment ago: if the session were lost, the call would be in
    /// doubt.
    async fn session(&self, effect: Effect) -> Result<Arc<Session>, Reply> {
        loop {
            let session = self.link.session().await?;
            session.ready().await;
            let known = effect != Effect::Once || !session.may_be_forgotten() || self.link.knows(&session).await;
            if session.is_alive() && known {
                return Ok(session);
            }
            self.link.retire(&session);
        }
    }

    /// Finds out what an answer alone does not say: whether the server refused the session rather than the call, and
    /// whether it has the tool. Returns the new reply; none if the answer stands as it was judged.
    async fn settled(
        &self,
        session: &Arc<Session>,
        (tool, effect): (&str, Effect),
        heard: &Heard,
        judged: &Reply,
        begun: Instant,
    ) -> Option<Reply> {
        let refused = match answer::of_session(heard) {
            SessionWord::Gone => {
                self.link.retire(session);
                true
            }
            SessionWord::Doubtful => self.link.refused_session(session, heard).await,
            SessionWord::Wrong => {
                self.link.suspect(session);
                false
            }
            SessionWord::Nothing => false,
        };
        if refused {
            return Some(answer::session_lost(heard, effect));
        }
        if answer::may_miss_tool(heard, judged) && session.has_tool(tool, begun).await == Some(false) {
            return Some(answer::no_such_tool(judged.clone()));
        }
        None
    }

    /// Makes the reply for a call whose connection failed, and retires the connection.
    async fn broken(&self, session: &Arc<Session>, slot: &Slot, error: &ServiceError, deadline: Instant) -> Reply {
        if let Some(error) = http_cause(error) {
            self.link.retire(session);
            return over_http(error, slot, self.link.filter());
        }
        // The end of a child process says more than its closed pipe. It is known at once or not at all.
        let most = deadline.min(Instant::now() + ENDING_WAIT);
        let how = timeout_at(most, session.ending()).await.ok().flatten();
        // A single HTTP exchange that ended without its answer retires the session, too. rmcp reports both cases
        // alike, and a gateway may end every exchange of a dead session like this.
        self.link.retire(session);
        if !slot.was_sent() {
            return Reply::new(Rule::Refused, "the connection was closed already; nothing was sent");
        }
        let how = how.unwrap_or_else(|| error.to_string());
        Reply::new(Rule::Closed, format!("the connection ended before the answer: {how}")).after(slot.pause())
    }
}

/// Returns an error's causes, the error of the transport first.
fn causes(error: &ServiceError) -> impl Iterator<Item = &(dyn std::error::Error + 'static)> {
    let first: Option<&(dyn std::error::Error + 'static)> = match error {
        ServiceError::TransportSend(sent) => Some(sent.error.as_ref()),
        _ => None,
    };
    std::iter::successors(first, |cause| cause.source())
}

/// Returns the failed POST under an error, if there is one.
fn http_cause(error: &ServiceError) -> Option<&StreamableHttpError<reqwest::Error>> {
    causes(error).find_map(|cause| cause.downcast_ref())
}

/// Makes the reply for a failed POST. A POST that was answered is not one, whatever its status.
fn over_http(error: &StreamableHttpError<reqwest::Error>, slot: &Slot, filter: &Filter) -> Reply {
    match error {
        StreamableHttpError::Client(error) if slot.was_sent() || error.is_connect() || error.is_dns() => {
            http::lost(error)
        }
        StreamableHttpError::Client(error) if files::is_shortage(error) => http::out_of_files(),
        StreamableHttpError::Client(error) => {
            Reply::new(Rule::Refused, format!("nothing was sent: {}", http::innermost(error)))
        }
        other => {
            let said = filter.clean(other.to_string());
            Reply::new(Rule::Closed, format!("the exchange failed: {}", excerpt(&said)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_and_position_travel_beside_the_arguments() {
        let meta = |key, traceparent| {
            Sent { key, traceparent, effect: Effect::Once }.meta().map(|meta| serde_json::to_value(meta).unwrap())
        };
        assert_eq!(meta(None, None), None);
        let both = serde_json::json!({ "amends/idempotency_key": "k", "traceparent": "00-1-2-01" });
        assert_eq!(meta(Some("k"), Some("00-1-2-01")), Some(both));
    }
}

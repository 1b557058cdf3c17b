//! Asks the person at a client the questions of a saga, and passes the replies on. Owns the pace, and who is asked. A
//! reply is a signal like that of `amends approve`; the core decides what it does.
//!
//! In the old era a client is asked while its call waits. In the new era the questions are the answer to the call,
//! and the client repeats the call with the replies. If the call has a task, the task asks the questions.

use std::collections::BTreeSet;
use std::time::Duration;

use rmcp::ErrorData;
use rmcp::RoleServer;
use rmcp::model::{ClientResult, ElicitRequest, InputResponses, ServerRequest};
use rmcp::service::{PeerRequestOptions, RequestHandle, ServiceError};
use uuid::Uuid;

use super::caller::Caller;
use super::question::{Question, Reply};
use super::server::Inner;
use crate::client::{Error, Inspection};
use crate::config::mcp as limits;
use crate::saga::definition::Action;
use crate::store;

/// Asks the questions of a saga while a call waits.
pub(super) struct Asking<'a> {
    door: &'a Inner,
    caller: &'a Caller,
    saga: Uuid,
    /// Ids of the questions that this call does not ask again: they were sent or dismissed.
    over: BTreeSet<String>,
    /// The question that the client shows now.
    before: Option<Before>,
    /// Messages to the caller about replies that were not accepted.
    said: Vec<String>,
}

struct Before {
    question: Question,
    handle: RequestHandle<RoleServer>,
}

/// Reason why a call stops waiting.
#[derive(Debug)]
pub(super) enum Asked {
    /// These questions are the answer to the call.
    Open(Vec<Question>),
    /// The person dismissed the questions.
    Dismissed,
}

/// Result of earlier replies.
#[derive(Debug, Default)]
pub(super) struct Taken {
    /// Ids of the questions that were dismissed.
    dismissed: BTreeSet<String>,
    /// Messages to the caller about replies that were not accepted.
    said: Vec<String>,
}

impl<'a> Asking<'a> {
    /// Prepares to ask the questions of a saga, given the result of earlier replies.
    pub(super) fn new(door: &'a Inner, caller: &'a Caller, saga: Uuid, taken: Taken) -> Self {
        Self { door, caller, saga, over: taken.dismissed, before: None, said: taken.said }
    }

    /// Asks the person at the client the questions of the saga, one after the other. In the new era it returns them
    /// instead.
    pub(super) async fn run(&mut self) -> Asked {
        let mut pause = Duration::from_millis(limits::ASK_MS);
        let mut dismissed = !self.over.is_empty();
        loop {
            let open = match self.door.questions(self.saga, self.caller).await {
                Ok(Some(open)) => open,
                Ok(None) => return std::future::pending().await,
                Err(error) => {
                    tracing::debug!(saga.id = %self.saga, %error, "cannot read the questions of a saga");
                    Vec::new()
                }
            };
            let answered = |before: &Before| !open.contains(&before.question);
            if self.before.as_ref().is_some_and(answered) {
                self.withdraw("the question was answered elsewhere, or no longer needs an answer").await;
            }
            let mut rest = open.into_iter().filter(|question| !self.over.contains(&question.id())).peekable();
            if self.caller.is_modern && rest.peek().is_some() {
                return Asked::Open(rest.collect());
            }
            match (&self.before, rest.next()) {
                (None, Some(question)) => self.put(question).await,
                (None, None) if dismissed => return Asked::Dismissed,
                (None, None) | (Some(_), _) => {}
            }
            tokio::select! {
                reply = heard(&mut self.before) => {
                    dismissed |= self.hear(reply).await;
                    pause = Duration::from_millis(limits::ASK_MS);
                    continue;
                }
                () = tokio::time::sleep(pause) => {}
            }
            pause = (pause * 2).min(Duration::from_millis(limits::ASK_MS_MAX));
        }
    }

    /// Stops asking, and withdraws the question that the client still shows. Returns the messages to the caller.
    pub(super) async fn end(mut self) -> Vec<String> {
        self.withdraw("the call no longer waits").await;
        self.said
    }

    async fn put(&mut self, question: Question) {
        self.over.insert(question.id());
        let request = ServerRequest::ElicitRequest(ElicitRequest::new(question.elicitation()));
        let peer = &self.caller.peer;
        match peer.send_cancellable_request(request, PeerRequestOptions::no_options()).await {
            Ok(handle) => self.before = Some(Before { question, handle }),
            Err(error) => tracing::warn!(saga.id = %self.saga, %error, "could not send a question to the client"),
        }
    }

    /// Passes the client's reply on. Returns true if the question was dismissed, if the reply is invalid, or if it
    /// could not be passed on.
    async fn hear(&mut self, reply: Result<ClientResult, ServiceError>) -> bool {
        let Some(Before { question, .. }) = self.before.take() else { return false };
        let reply = match reply {
            Ok(result) => Reply::read(&serde_json::to_value(result).unwrap_or_default()),
            Err(error) => Err(error.to_string()),
        };
        let reply = match reply {
            Ok(reply) => reply,
            Err(why) => {
                tracing::info!(saga.id = %self.saga, why, "the client gave no valid reply to a question");
                self.said.push(format!("The client gave no valid answer: {why}."));
                return true;
            }
        };
        let dismissed = reply == Reply::Dismissed;
        match self.door.pass_on(self.saga, &question.id(), reply, self.caller).await {
            Ok(said) => self.said.extend(said),
            Err(error) => {
                tracing::warn!(saga.id = %self.saga, %error, "could not pass an answer on to the saga");
                self.said.push("The answer did not reach the saga. The next call asks again.".to_owned());
                return true;
            }
        }
        dismissed
    }

    async fn withdraw(&mut self, why: &str) {
        let Some(Before { handle, .. }) = self.before.take() else { return };
        // A client that is gone does not receive this.
        let withdrawn = handle.cancel(Some(why.to_owned()));
        let _ = tokio::time::timeout(Duration::from_millis(limits::WITHDRAW_MS_MAX), withdrawn).await;
    }
}

/// Waits for the client's reply. Without a question it waits for ever.
async fn heard(before: &mut Option<Before>) -> Result<ClientResult, ServiceError> {
    match before {
        Some(before) => (&mut before.handle.rx).await.unwrap_or(Err(ServiceError::TransportClosed)),
        None => std::future::pending().await,
    }
}

/// Replies to questions, by question id.
pub(super) type Replies = Vec<(String, Reply)>;

/// Reads all replies before any of them takes effect. The error says which reply is invalid.
pub(super) fn read(responses: &InputResponses) -> Result<Replies, ErrorData> {
    let replies = responses.iter().map(|(id, result)| match Reply::read(result) {
        Ok(reply) => Ok((id.clone(), reply)),
        Err(why) => Err(ErrorData::invalid_params(format!("inputResponses[{id:?}]: {why}"), None)),
    });
    replies.collect()
}

impl Inner {
    /// Returns the open questions of a saga that this caller may answer and its client can show; none if there will
    /// never be any.
    pub(super) async fn questions(&self, saga: Uuid, caller: &Caller) -> Result<Option<Vec<Question>>, Error> {
        if !caller.elicits {
            return Ok(None);
        }
        let found = self.client.inspect(saga).await?;
        let mut steps = found.definition.steps().iter();
        if !steps.any(|planned| matches!(planned.step.action, Action::Approval { .. })) {
            return Ok(None);
        }
        Ok(Some(self.questions_of(&found, caller).await?))
    }

    /// Returns the same for a saga that was already read.
    pub(super) async fn questions_of(&self, found: &Inspection, caller: &Caller) -> Result<Vec<Question>, Error> {
        if !caller.elicits || found.state.as_ref().is_none_or(|state| state.steps.is_empty()) {
            return Ok(Vec::new());
        }
        let key = self.client.saga(found.saga.id).await?.and_then(|(_, key)| key);
        let may = |approver| caller.principal.may_approve(&found.saga.name, key.as_ref(), approver);
        Ok(Question::open(found, may))
    }

    /// Passes replies on to a saga. A reply to a question that the saga does not ask has no effect.
    pub(super) async fn take(&self, saga: Uuid, replies: Replies, caller: &Caller) -> Result<Taken, ErrorData> {
        let mut taken = Taken::default();
        for (id, reply) in replies {
            if reply == Reply::Dismissed {
                taken.dismissed.insert(id);
                continue;
            }
            let said = self.pass_on(saga, &id, reply, caller).await.map_err(|error| {
                tracing::warn!(saga.id = %saga, %error, "could not pass an answer on to the saga");
                ErrorData::internal_error("the answer did not reach the saga; send it again", None)
            })?;
            taken.said.extend(said);
        }
        Ok(taken)
    }

    /// Passes a person's reply on to the saga, if the saga still asks the question and the person may answer it.
    /// Returns a message to the caller if the reply was not accepted. A repeat of an accepted reply gets no message.
    async fn pass_on(&self, saga: Uuid, id: &str, reply: Reply, caller: &Caller) -> Result<Option<String>, Error> {
        let Some((step, digest)) = id.split_once(':') else { return Ok(None) };
        let approves = matches!(reply, Reply::Approve(_));
        let Some(request) = reply.request(step, digest) else { return Ok(None) };
        let found = self.client.inspect(saga).await?;
        let mut why = "the saga does not ask this now".to_owned();
        if asks(&found, step, digest) {
            let key = self.client.saga(saga).await?.and_then(|(_, key)| key);
            let may = |approver| caller.principal.may_approve(&found.saga.name, key.as_ref(), approver);
            if Question::open(&found, may).iter().any(|question| question.id() == id) {
                match self.client.signal_for(&caller.asker(), saga, request).await {
                    Ok(signal) => match self.refusal_of(saga, signal).await? {
                        None => return Ok(None),
                        Some(refused) => why = refused,
                    },
                    Err(Error::Store(store::Error::SagaEnded(_))) => {}
                    Err(error) => return Err(error),
                }
            } else {
                why = format!("{} may not answer it", caller.principal.name());
            }
        }
        if says_so(&self.client.inspect(saga).await?, step, digest, approves) {
            return Ok(None);
        }
        Ok(Some(format!("The answer for step {step} was not taken: {why}.")))
    }
}

/// Returns whether a step asks this question now.
fn asks(found: &Inspection, step: &str, digest: &str) -> bool {
    let state = found.state.as_ref();
    state.is_some_and(|state| {
        let asking = crate::saga::asking(&found.definition, state);
        asking.iter().any(|one| one.step == step && one.shown.digest == digest)
    })
}

/// Returns whether this same reply was accepted before. A repeated call brings it again.
fn says_so(found: &Inspection, step: &str, digest: &str, approves: bool) -> bool {
    let Some(state) = &found.state else { return false };
    let mut steps = state.steps.iter().enumerate();
    steps.any(|(index, one)| {
        found.definition.step(state, index).name == step
            && one.shown.as_ref().is_some_and(|shown| shown.digest == digest)
            && match approves {
                true => one.output.is_some(),
                false => one.action.error.as_ref().is_some_and(|error| error.code == "denied"),
            }
    })
}

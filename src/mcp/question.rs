//! An approval as a question to a person, and the meaning of a reply. Owns the wording and the form. `elicitation.rs`
//! sends the question. The core decides what a reply does to the saga.

use std::collections::BTreeMap;

use rmcp::model::{
    ElicitRequest, ElicitRequestParams, ElicitationSchema, EnumSchema, InputRequest, InputRequests, JsonObject,
    PrimitiveSchemaDefinition, RequestMetaObject, StringSchema,
};
use serde_json::Value;
use uuid::Uuid;

use crate::client::Inspection;
use crate::config::mcp as limits;
use crate::saga::Shown;
use crate::saga::definition::Approver;
use crate::saga::event::Request;

/// Key in a question's `_meta`: digest of what is approved.
const DIGEST_META: &str = "amends/digest";
/// Key in a question's `_meta`: id of the saga that asks.
const SAGA_META: &str = "amends/saga_id";
const DECISION: &str = "decision";
const REASON: &str = "reason";
const APPROVE: &str = "approve";
const DENY: &str = "deny";

/// A question that a step asks now.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Question {
    saga: Uuid,
    tool: String,
    step: String,
    shown: Shown,
}

impl Question {
    /// Returns the open questions of a saga, if `is_taken` accepts their approver. A question that is too long to be
    /// shown whole (`QUESTION_BYTES_MAX`) is left out.
    pub(super) fn open(found: &Inspection, is_taken: impl Fn(Approver) -> bool) -> Vec<Self> {
        let Some(state) = &found.state else { return Vec::new() };
        let asking = crate::saga::asking(&found.definition, state);
        let fits = |shown: &Shown| shown.message.len() + shown.arguments.get().len() <= limits::QUESTION_BYTES_MAX;
        let asking = asking.into_iter().filter(|one| is_taken(one.approver) && fits(one.shown));
        asking
            .map(|one| Self {
                saga: found.saga.id,
                tool: found.saga.name.clone(),
                step: one.step.to_owned(),
                shown: one.shown.clone(),
            })
            .collect()
    }

    /// Returns the id of the question within its saga: the step, and the digest of what is shown.
    pub(super) fn id(&self) -> String {
        format!("{}:{}", self.step, self.shown.digest)
    }

    /// Returns the question as a form.
    pub(super) fn elicitation(&self) -> ElicitRequestParams {
        let Shown { message, arguments, digest } = &self.shown;
        let mut said = plain(message);
        let arguments = arguments.to_value();
        if !arguments.is_null() {
            let arguments = serde_json::to_string_pretty(&arguments).unwrap_or_default();
            said.push_str(&format!("\n\n{}", plain(&arguments)));
        }
        said.push_str(&format!("\n\nAsked by {}, step {}, saga {}.", self.tool, self.step, self.saga));
        let meta = [(DIGEST_META, digest.clone()), (SAGA_META, self.saga.to_string())];
        let meta: JsonObject = meta.into_iter().map(|(key, value)| (key.to_owned(), value.into())).collect();
        ElicitRequestParams::FormElicitationParams {
            meta: Some(RequestMetaObject::from(meta)),
            message: said,
            requested_schema: form(),
        }
    }
}

/// Returns questions as requests, by question id.
pub(super) fn requests(questions: &[Question]) -> InputRequests {
    let request = |question: &Question| InputRequest::Elicitation(ElicitRequest::new(question.elicitation()));
    questions.iter().map(|question| (question.id(), request(question))).collect()
}

/// A person's reply to a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reply {
    /// Approves exactly what was shown, for this reason.
    Approve(String),
    /// Denies it, for this reason.
    Deny(String),
    /// No decision: the question was dismissed and stays open.
    Dismissed,
}

impl Reply {
    /// Reads the result of an elicitation. The error says what is wrong with it. Only a clear approval counts as an
    /// approval.
    pub(super) fn read(result: &Value) -> Result<Self, String> {
        let content = &result["content"];
        let reason = match &content[REASON] {
            Value::Null => String::new(),
            Value::String(reason) => reason.chars().take(limits::REASON_CHARS_MAX).collect(),
            other => return Err(format!("expected `content.{REASON}` to be a text, found {other}")),
        };
        match result["action"].as_str() {
            Some("accept") => match content[DECISION].as_str() {
                Some(APPROVE) => Ok(Self::Approve(reason)),
                Some(DENY) => Ok(Self::Deny(reason)),
                _ => {
                    let found = &content[DECISION];
                    Err(format!("expected `content.{DECISION}` to be {APPROVE:?} or {DENY:?}, found {found}"))
                }
            },
            Some("decline") => Ok(Self::Deny(reason)),
            Some("cancel") => Ok(Self::Dismissed),
            _ => {
                let found = &result["action"];
                Err(format!("expected `action` to be \"accept\", \"decline\" or \"cancel\", found {found}"))
            }
        }
    }

    /// Returns the request to the saga; none if the reply holds no decision.
    pub(super) fn request(self, step: &str, digest: &str) -> Option<Request> {
        let step = step.to_owned();
        match self {
            Self::Approve(reason) => Some(Request::Approve { step, digest: digest.to_owned(), reason }),
            Self::Deny(reason) => Some(Request::Deny { step, reason }),
            Self::Dismissed => None,
        }
    }
}

/// Returns the form. No field is filled in, so that a form sent by accident decides nothing.
fn form() -> ElicitationSchema {
    let decision = EnumSchema::builder(vec![APPROVE.to_owned(), DENY.to_owned()])
        .title("Decision")
        .description("approve: exactly what is shown above. deny: nothing of it is done.")
        .build();
    let reason = StringSchema::new().title("Reason").description("Reason, kept on record.");
    let properties = BTreeMap::from([
        (DECISION.to_owned(), PrimitiveSchemaDefinition::Enum(decision)),
        (REASON.to_owned(), PrimitiveSchemaDefinition::String(reason)),
    ]);
    ElicitationSchema::new(properties).with_required(vec![DECISION.to_owned()])
}

/// Replaces all characters that could hide text: invisible ones, and those that move a cursor or turn the direction
/// of writing.
fn plain(text: &str) -> String {
    let hides = |c: char| {
        (c.is_control() && c != '\n')
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
    };
    text.chars().map(|c| if hides(c) { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::saga::Json;

    #[test]
    fn only_a_clear_yes_is_a_yes() {
        let read = |result: Value| Reply::read(&result);
        let accept = |content: Value| read(json!({ "action": "accept", "content": content }));
        assert_eq!(accept(json!({ "decision": "approve" })), Ok(Reply::Approve(String::new())));
        assert_eq!(accept(json!({ "decision": "deny", "reason": "too much" })), Ok(Reply::Deny("too much".to_owned())));
        assert_eq!(read(json!({ "action": "decline" })), Ok(Reply::Deny(String::new())));
        assert_eq!(read(json!({ "action": "cancel", "content": null })), Ok(Reply::Dismissed));
        for odd in [json!({}), json!({ "decision": "yes" }), json!({ "decision": true }), json!("approve")] {
            assert!(accept(odd.clone()).unwrap_err().contains("decision"), "{odd}");
        }
        assert!(accept(json!({ "decision": "approve", "reason": 7 })).is_err());
        for odd in [json!({}), json!(null), json!({ "action": "yes" }), json!([])] {
            assert!(read(odd.clone()).unwrap_err().contains("action"), "{odd}");
        }
        let long = accept(json!({ "decision": "deny", "reason": "x".repeat(5_000) }));
        assert_eq!(long, Ok(Reply::Deny("x".repeat(limits::REASON_CHARS_MAX))));
    }

    #[test]
    fn a_question_shows_everything_and_nothing_hides_in_it() {
        let arguments = Json::from(&json!({ "amount": 250, "to": "a\u{202e}b" }));
        let shown = Shown::new("pay", "Pay?\u{1b}[2K\nNow".to_owned(), arguments);
        let question = Question { saga: Uuid::nil(), tool: "checkout".to_owned(), step: "pay".to_owned(), shown };
        let asked = serde_json::to_value(question.elicitation()).unwrap();
        let message = asked["message"].as_str().unwrap();
        assert!(message.starts_with("Pay?\u{fffd}[2K\nNow\n\n{\n  \"amount\": 250,"), "{message}");
        assert!(message.contains("a\u{fffd}b") && message.contains("checkout, step pay"), "{message}");
        assert_eq!(asked["_meta"]["amends/digest"].as_str().unwrap().len(), 64);
        assert_eq!(asked["requestedSchema"]["required"], json!(["decision"]));
        assert_eq!(asked["requestedSchema"]["properties"]["decision"]["enum"], json!(["approve", "deny"]));
        assert_eq!(question.id(), format!("pay:{}", question.shown.digest));
    }
}

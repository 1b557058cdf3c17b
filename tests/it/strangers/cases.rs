//! One saga of a stranger: what it begins with, how it must end, and whether its end is true by the ledger. Owns the
//! verdict; the stage on which it plays is `stage.rs`.

use std::time::Instant;

use serde_json::{Value, json};
use tokio_postgres::Client;
use uuid::Uuid;

use super::stage::Entries;

/// How a saga must end. Whatever it is, the ledger must agree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// Exactly one effect is in place.
    Completed,
    /// No net effect.
    Compensated,
    /// This step needs a person.
    Stuck(&'static str),
    /// Any of the three: the ledger alone decides.
    Honest,
}

/// One saga of a stranger.
pub(super) struct Case {
    pub(super) definition: String,
    pub(super) input: Value,
    pub(super) end: End,
    /// Whether `compensated` may leave the effect in place: the step is irreversible.
    pub(super) may_stay: bool,
    /// What the text of its result must hold.
    pub(super) result: &'static [&'static str],
    /// It starts when the ledger has such an entry.
    pub(super) after: Option<&'static str>,
    /// The rule that decides how its first attempt ended.
    pub(super) rule: Option<&'static str>,
    /// The event by which it is told that its call has had its effect, or will have none.
    pub(super) event: Option<&'static str>,
    /// Its call only reads, so a saga that is completed has no effect.
    pub(super) reads: bool,
}

/// A saga of `definition` against a stranger that errs in this `way`.
pub(super) fn case(definition: &str, way: &str, end: End) -> Case {
    let input = json!({ "way": way });
    Case {
        definition: definition.to_owned(),
        input,
        end,
        may_stay: false,
        result: &[],
        after: None,
        rule: None,
        event: None,
        reads: false,
    }
}

impl Case {
    pub(super) fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.input[name] = value.into();
        self
    }

    /// It starts when the ledger has such an entry.
    pub(super) fn after(mut self, did: &'static str) -> Self {
        self.after = Some(did);
        self
    }

    /// The text of the saga's result must hold these.
    pub(super) fn gives(mut self, result: &'static [&'static str]) -> Self {
        self.result = result;
        self
    }

    /// The effect may stay in place although the saga turned back.
    pub(super) fn may_stay(mut self, may_stay: bool) -> Self {
        self.may_stay = may_stay;
        self
    }

    /// This rule decides how an attempt of it ended.
    pub(super) fn decided_by(mut self, rule: &'static str) -> Self {
        self.rule = Some(rule);
        self
    }

    /// It waits for this event when its call was accepted: it is told of the effect by it, and of none by a person.
    pub(super) fn told(mut self, event: &'static str) -> Self {
        self.event = Some(event);
        self
    }

    /// Its call only reads.
    pub(super) fn reads(mut self) -> Self {
        self.reads = true;
        self
    }

    pub(super) fn name(&self) -> String {
        format!("{} {}", self.definition, self.input)
    }
}

/// A saga that waits for word of a call that was accepted.
pub(super) struct Untold {
    pub(super) saga: Uuid,
    pub(super) order: String,
    pub(super) event: &'static str,
    /// When it was told last.
    pub(super) told_at: Option<Instant>,
}

impl Untold {
    /// Tells of the effect by the event, as the participant would. Of none a person tells.
    pub(super) async fn tell(&self, client: &Client, happened: bool) {
        let (step, event) = ("pay", self.event);
        let sql = match happened {
            true => format!("select amends.signal($1, '{event}', '{{\"state\": \"done\"}}')"),
            false => format!("select amends.resolve($1, '{step}', 'absent', null, 'the bank renounced it')"),
        };
        let Err(error) = client.query(&sql, &[&self.saga]).await else { return };
        // What was told before may have ended it meanwhile.
        let ended = error.code().is_some_and(|code| code.code() == "AM002");
        assert!(ended && self.told_at.is_some(), "{sql}: {error:?}");
    }
}

/// A row of `amends.stuck`.
#[derive(Debug)]
struct Stuck {
    step: Option<String>,
    legal: Vec<String>,
}

impl Stuck {
    fn from_row(row: &tokio_postgres::Row) -> Self {
        Self { step: row.get("step"), legal: row.get("legal") }
    }
}

/// Holds one saga's end against what its stranger did.
pub(super) async fn verdict(client: &Client, case: &Case, id: Uuid, entries: &Entries) -> Result<(), String> {
    let sql = "select status, result from amends.sagas where saga = $1";
    let row = client.query_one(sql, &[&id]).await.unwrap();
    let (status, result): (String, Option<String>) = (row.get(0), row.get(1));
    let sql = "select step, legal from amends.stuck where saga = $1";
    let stuck = client.query(sql, &[&id]).await.unwrap();
    let stuck: Vec<Stuck> = stuck.iter().map(Stuck::from_row).collect();
    let (effects, in_place) = (entries.count("effect"), entries.in_place());
    let said = format!("{status} {stuck:?}, {effects} effects, {in_place} in place");
    match status.as_str() {
        "completed" if in_place != isize::from(!case.reads) => {
            return Err(format!("expected the effect in place once, of a read none, found {said}"));
        }
        "compensated" if in_place != 0 && !case.may_stay => {
            return Err(format!("expected no net effect, found {said}"));
        }
        "stuck" if stuck.iter().any(|one| one.step.is_none() || one.legal.is_empty()) => {
            return Err(format!("expected the step and what may be done, found {said}"));
        }
        "completed" | "compensated" | "stuck" => {}
        _ => return Err(format!("expected an end, found {said}")),
    }
    // A limiter was not heeded, or an accepted call was made again.
    if entries.count("early") > 0 || entries.count("promise") > 1 {
        let (early, promises) = (entries.count("early"), entries.count("promise"));
        return Err(format!("expected one promise at most, found {promises}, {early} calls too early, {said}"));
    }
    if effects > 1 {
        return Err(format!("expected one effect at most, undone ones included, found {said}"));
    }
    let held = match case.end {
        End::Completed => status == "completed",
        End::Compensated => status == "compensated",
        End::Stuck(named) => stuck.iter().any(|one| one.step.as_deref() == Some(named)),
        End::Honest => true,
    };
    if !held {
        return Err(format!("expected {:?}, found {said}", case.end));
    }
    if let Some(rule) = case.rule.filter(|rule| !matches!(*rule, "tool_result" | "handler")) {
        // With what the settings say of errors, or with the status.
        let (alone, and_more) = (format!("(by {rule})"), format!("(by {rule}, "));
        let sql = "select count(*) from amends.timeline
                   where saga = $1 and kind = 'attempt_ended' and (strpos(what, $2) > 0 or strpos(what, $3) > 0)";
        let row = client.query_one(sql, &[&id, &alone, &and_more]).await.unwrap();
        if row.get::<_, i64>(0) == 0 {
            return Err(format!("expected an attempt that ended by the rule {rule}, found none; {said}"));
        }
    }
    let result = result.unwrap_or_default();
    match case.result.iter().find(|part| status == "completed" && !result.contains(**part)) {
        Some(part) => Err(format!("expected {part} in the result, found {result}")),
        None => Ok(()),
    }
}

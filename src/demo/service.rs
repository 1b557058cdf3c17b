//! Serves the calls of a participant: counts a call, draws its fault, and makes its effect. Owns the ledger rows and
//! the reply of a call. `server.rs` owns the wire, silence and crashes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::sync::RwLock;

use super::effect::Kind;
use super::fault::{Fault, FaultPlan};
use super::ledger::{self, Effect, Entry, Landing, Ledger, LedgerError, Transaction};
use super::tool::{Deed, Tool};
use crate::config::demo::LEDGER_WAIT_MAX;

/// Reply to a call.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Reply {
    /// Success.
    Answer(Value),
    /// A refusal: the call had no effect, and the reply says so.
    Refusal {
        /// Code for programs: [`BUSY`], [`AT_WORK`], [`DECLINED`], ...
        code: String,
        /// Sentence for people.
        message: String,
    },
    /// A success whose text says that the call had no effect.
    Text(String),
    /// An error that says nothing of the effect: the call had its effect.
    Failure(String),
    /// This HTTP status, whatever the protocol above: the call had its effect.
    Status(u16),
    /// No answer.
    Silence,
    /// The process exits.
    Crash,
}

/// Error of a call that was not served.
#[derive(Debug, thiserror::Error)]
pub(super) enum Rejection {
    /// There is no such tool.
    #[error("unknown tool {0:?}")]
    UnknownTool(String),
    /// The arguments do not fit the tool's schema; lists all faults.
    #[error("bad arguments: {}", .0.join("; "))]
    BadArguments(Vec<String>),
    /// The ledger could not be read or written; the effect is unknown.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

/// Code of a refusal that another attempt may overcome.
pub(super) const BUSY: &str = "temporarily_unavailable";
/// Code of a refusal that is stored under its key and replayed.
pub(super) const SAVED_ERROR: &str = "saved_error";
/// Code of a refusal while an earlier call on the same booking is still running.
pub(super) const AT_WORK: &str = "in_progress";
/// Code of a refusal for good.
pub(super) const DECLINED: &str = "declined";
/// Code of a refusal because the key was used for another call.
pub(super) const KEY_CONFLICT: &str = "idempotency_key_conflict";
/// Code of a refusal because there is nothing to undo.
pub(super) const NOTHING_TO_UNDO: &str = "nothing_to_undo";
/// Code of a refusal because the undo came first.
pub(super) const FORESTALLED: &str = "forestalled";

/// The service of one participant.
pub(super) struct Desk {
    ledger: Ledger,
    plan: FaultPlan,
    slow: Duration,
    tools: Vec<(&'static Tool, jsonschema::Validator)>,
    /// Read lock: held by every effect under way. Write lock: taken at the end of the process.
    at_work: Arc<RwLock<()>>,
}

/// A call with checked arguments.
struct Order {
    tool: &'static Tool,
    arguments: Value,
    came_in: Instant,
}

impl Order {
    fn text(&self, name: &str) -> &str {
        self.arguments[name].as_str().unwrap_or_default()
    }

    fn key(&self) -> &str {
        if self.arguments["idempotency_key"].is_null() { self.text("request") } else { self.text("idempotency_key") }
    }

    fn amount_cents(&self) -> i64 {
        self.arguments["amount_cents"].as_i64().unwrap_or(0)
    }

    /// Returns what the effect touches, for the ledger.
    fn subject(&self) -> &str {
        ["charge", "customer", "room", "to", "stage", "booking"]
            .into_iter()
            .map(|name| self.text(name))
            .find(|text| !text.is_empty())
            .unwrap_or_default()
    }
}

impl Desk {
    /// Creates the service for `tools`. A slow call makes its effect `slow` after it came in.
    pub(super) fn new(ledger: Ledger, plan: FaultPlan, slow: Duration, tools: &'static [Tool]) -> Result<Self, String> {
        let tools = tools
            .iter()
            .map(|tool| match jsonschema::validator_for(&tool.input_schema()) {
                Ok(schema) => Ok((tool, schema)),
                Err(error) => Err(format!("schema of {}: {error}", tool.name)),
            })
            .collect::<Result<_, _>>()?;
        Ok(Self { ledger, plan, slow, tools, at_work: Arc::default() })
    }

    /// Returns the tools.
    pub(super) fn tools(&self) -> impl Iterator<Item = &'static Tool> {
        self.tools.iter().map(|(tool, _)| *tool)
    }

    /// Serves one call in a task of its own: a caller that stops waiting does not stop the effect.
    pub(super) async fn serve(self: Arc<Self>, name: &str, arguments: Value) -> Result<Reply, Rejection> {
        let Some((tool, schema)) = self.tools.iter().find(|(tool, _)| tool.name == name) else {
            return Err(Rejection::UnknownTool(name.to_owned()));
        };
        let faults: Vec<_> =
            schema.iter_errors(&arguments).map(|error| format!("{}: {error}", error.instance_path())).collect();
        if !faults.is_empty() {
            return Err(Rejection::BadArguments(faults));
        }
        let order = Order { tool, arguments, came_in: Instant::now() };
        let desk = Arc::clone(&self);
        let task = tokio::spawn(async move {
            let _at_work = desk.at_work.read().await;
            desk.handle(&order).await
        });
        match task.await {
            Ok(reply) => Ok(reply?),
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }

    /// Waits until every effect under way is made, for `limit` at most, then closes the ledger.
    pub(super) async fn close(&self, limit: Duration) {
        let _ = tokio::time::timeout(limit, self.at_work.write()).await;
        self.ledger.close(limit).await;
    }

    async fn handle(&self, order: &Order) -> Result<Reply, LedgerError> {
        let (tool, booking) = (order.tool, order.text("booking"));
        let call = self.ledger.count_call(tool.name, booking).await?;
        let entry = Entry { tool: tool.name, booking, key: order.key(), call };
        let fault = self.plan.draw(tool.name, booking, call, &tool.faults);
        match tool.deed {
            Deed::Find(kinds) => self.find(order, entry, kinds, fault).await,
            Deed::Keyed(kind) | Deed::Unkeyed(kind) | Deed::Undo(kind) | Deed::UndoOrForestall(kind) => {
                self.make(order, entry, kind, fault).await
            }
        }
    }

    async fn find(
        &self,
        order: &Order,
        entry: Entry<'_>,
        kinds: &[Kind],
        fault: Option<Fault>,
    ) -> Result<Reply, LedgerError> {
        if let Some(fault) = fault {
            self.ledger.record_fault(entry, fault).await?;
            return Ok(match fault {
                Fault::LostAnswer => Reply::Silence,
                Fault::Crash => Reply::Crash,
                Fault::Busy
                | Fault::Refused
                | Fault::CachedError
                | Fault::FailureAsText
                | Fault::Slow
                | Fault::FailsTwice
                | Fault::ErrorAfter
                | Fault::UnavailableAfter
                | Fault::ConflictCut
                | Fault::Accepted => busy(entry),
            });
        }
        let change = order.text("change");
        let kind = kinds.iter().copied().find(|kind| kind.as_str() == change).or(kinds.first().copied());
        // An accepted call may be due, and its process may be gone.
        let accepted = self.ledger.land(entry.key).await? == Landing::Accepted;
        let found = match kind {
            Some(kind) => self.ledger.find(entry, kind).await?,
            None => None,
        };
        let name = match kind {
            Some(Kind::Charge) => "charge",
            Some(Kind::Refund) => "refund",
            Some(_) | None => "change",
        };
        let state = if accepted { "accepted" } else { found.as_ref().map_or("none", |_| "done") };
        let record = found.as_ref().map(Effect::to_json);
        Ok(Reply::Answer(json!({ "found": found.is_some(), "state": state, name: record })))
    }

    async fn make(
        &self,
        order: &Order,
        entry: Entry<'_>,
        kind: Kind,
        fault: Option<Fault>,
    ) -> Result<Reply, LedgerError> {
        let mut client = self.ledger.client().await?;
        let transaction = client.transaction().await?;
        if order.came_in.elapsed() > LEDGER_WAIT_MAX {
            // A probe trusts that no effect lands later than its settle window, so a call that waited too long must
            // not begin.
            return Ok(busy(entry));
        }
        let unkeyed = matches!(order.tool.deed, Deed::Unkeyed(_));
        if !ledger::lock(&transaction, entry.booking, kind.deed(), unkeyed).await? {
            return Ok(refusal(AT_WORK, format!("an earlier call on {} is still at work", entry.booking)));
        }
        let first = if unkeyed { None } else { ledger::first_answer(&transaction, entry.key).await? };
        let (reply, fault) = match first {
            Some(first) => (replayed(order, first), fault.filter(|fault| fault.fits_replay())),
            None => match self.hindrance(&transaction, order, entry).await? {
                Some(refusal) => (refusal, None),
                None => (self.carry_out(&transaction, order, entry, kind, fault).await?, fault),
            },
        };
        if let Some(fault) = fault {
            ledger::record_fault(&transaction, entry, fault).await?;
        }
        transaction.commit().await?;
        Ok(match fault {
            Some(Fault::LostAnswer) => Reply::Silence,
            Some(Fault::Crash) => Reply::Crash,
            Some(Fault::ErrorAfter) => Reply::Failure(format!("Error executing tool {}", entry.tool)),
            Some(Fault::UnavailableAfter) => Reply::Status(503),
            Some(Fault::ConflictCut) => Reply::Status(409),
            Some(Fault::Accepted) => {
                self.land_later(entry.key.to_owned());
                reply
            }
            Some(
                Fault::Refused
                | Fault::Busy
                | Fault::CachedError
                | Fault::FailureAsText
                | Fault::Slow
                | Fault::FailsTwice,
            )
            | None => reply,
        })
    }

    /// Returns the refusal if the ledger's state does not allow the effect.
    async fn hindrance(
        &self,
        transaction: &Transaction<'_>,
        order: &Order,
        entry: Entry<'_>,
    ) -> Result<Option<Reply>, LedgerError> {
        Ok(match order.tool.deed {
            Deed::Keyed(kind) => ledger::is_forestalled(transaction, entry.booking, kind)
                .await?
                .then(|| refusal(FORESTALLED, format!("{} was taken back already", entry.booking))),
            Deed::Undo(kind) => {
                let deed = ledger::last_effect(transaction, entry.booking, kind.deed()).await?;
                let fits = match (&deed, order.tool.name) {
                    (Some(charge), "refund_charge") => charge.id() == order.text("charge"),
                    (Some(_), _) => true,
                    (None, _) => false,
                };
                let message = || format!("{} has no such {} to undo", entry.booking, kind.deed());
                (!fits).then(|| refusal(NOTHING_TO_UNDO, message()))
            }
            Deed::Unkeyed(_) | Deed::UndoOrForestall(_) | Deed::Find(_) => None,
        })
    }

    /// Makes the tool's effect, or carries out the fault.
    async fn carry_out(
        &self,
        transaction: &Transaction<'_>,
        order: &Order,
        entry: Entry<'_>,
        kind: Kind,
        fault: Option<Fault>,
    ) -> Result<Reply, LedgerError> {
        match fault {
            Some(Fault::Refused) => {
                return Ok(refusal(DECLINED, format!("{} was declined for {}", entry.tool, entry.booking)));
            }
            Some(Fault::Busy | Fault::FailsTwice) => return Ok(busy(entry)),
            Some(Fault::CachedError) => {
                let message = format!("{} has had a hiccup", entry.tool);
                let body = json!({ "code": SAVED_ERROR, "message": message });
                ledger::keep_answer(transaction, entry, &order.arguments, true, &body).await?;
                return Ok(refusal_of(&body));
            }
            Some(Fault::FailureAsText) => {
                return Ok(Reply::Text(format!("Failed to complete {} for {}.", entry.tool, entry.booking)));
            }
            Some(Fault::Slow) => tokio::time::sleep(self.slow).await,
            Some(Fault::Accepted) => return self.accept(transaction, order, entry, kind).await,
            Some(
                Fault::LostAnswer | Fault::Crash | Fault::ErrorAfter | Fault::UnavailableAfter | Fault::ConflictCut,
            )
            | None => {}
        }
        let body = match self.effect(transaction, order, entry, kind).await? {
            Some(effect) => effect.to_json(),
            None => json!({ "status": "never_done", "booking": entry.booking }),
        };
        if !matches!(order.tool.deed, Deed::Unkeyed(_)) {
            ledger::keep_answer(transaction, entry, &order.arguments, false, &body).await?;
        }
        Ok(Reply::Answer(body))
    }

    /// Stores an accepted call; its effect is made later.
    async fn accept(
        &self,
        transaction: &Transaction<'_>,
        order: &Order,
        entry: Entry<'_>,
        kind: Kind,
    ) -> Result<Reply, LedgerError> {
        let undone = match kind.undoes() {
            Some(deed) => ledger::last_effect(transaction, entry.booking, deed).await?,
            None => None,
        };
        let amount_cents = undone.map_or_else(|| order.amount_cents(), |undone| undone.amount_cents);
        ledger::accept(transaction, entry, kind, order.subject(), amount_cents, self.slow).await?;
        let body = json!({ "status": "accepted", "booking": entry.booking });
        if !matches!(order.tool.deed, Deed::Unkeyed(_)) {
            ledger::keep_answer(transaction, entry, &order.arguments, false, &body).await?;
        }
        Ok(Reply::Answer(body))
    }

    /// Makes the effect of an accepted call when it is due. The process waits for it before it ends. After a crash
    /// the next probe makes it.
    fn land_later(&self, key: String) {
        let (ledger, slow, at_work) = (self.ledger.clone(), self.slow, Arc::clone(&self.at_work));
        tokio::spawn(async move {
            let _at_work = at_work.read().await;
            tokio::time::sleep(slow).await;
            if let Err(error) = ledger.land(&key).await {
                tracing::warn!(%error, "could not make the effect of an accepted call; the next probe makes it");
            }
        });
    }

    /// Makes the effect. Returns none if there was nothing to undo.
    async fn effect(
        &self,
        transaction: &Transaction<'_>,
        order: &Order,
        entry: Entry<'_>,
        kind: Kind,
    ) -> Result<Option<ledger::Effect>, LedgerError> {
        let undone = match kind.undoes() {
            Some(deed) => ledger::last_effect(transaction, entry.booking, deed).await?,
            None => None,
        };
        if let Deed::UndoOrForestall(_) = order.tool.deed {
            ledger::forestall(transaction, entry.booking, kind.deed()).await?;
            if undone.is_none() {
                return Ok(None);
            }
        }
        let amount_cents = undone.map_or_else(|| order.amount_cents(), |undone| undone.amount_cents);
        Ok(Some(ledger::make_effect(transaction, entry, kind, order.subject(), amount_cents).await?))
    }
}

fn refusal(code: &str, message: String) -> Reply {
    Reply::Refusal { code: code.to_owned(), message }
}

fn busy(entry: Entry<'_>) -> Reply {
    refusal(BUSY, format!("{} is overloaded, nothing was done for {}", entry.tool, entry.booking))
}

fn refusal_of(body: &Value) -> Reply {
    let word = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
    Reply::Refusal { code: word("code"), message: word("message") }
}

/// Returns the first answer again, if the call is the same.
fn replayed(order: &Order, first: ledger::FirstAnswer) -> Reply {
    if first.tool != order.tool.name || first.arguments != order.arguments {
        let message = format!("the key {:?} was used for another call of {}", order.key(), first.tool);
        return refusal(KEY_CONFLICT, message);
    }
    if first.failed { refusal_of(&first.body) } else { Reply::Answer(first.body) }
}

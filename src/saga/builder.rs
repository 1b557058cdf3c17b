//! Builders for definitions in Rust: constructors and setters over the plain data of `definition.rs`. Nothing is
//! checked here; [`Definition::build`](super::Definition::build) finds the faults.
//!
//! ```
//! use amends::saga::Definition;
//! use amends::saga::definition::{Call, Draft, Step};
//!
//! let draft = Draft::new("hotel_checkout")
//!     .step(
//!         Step::new("charge", Call::handler("charge").idempotent())
//!             .compensation(Call::handler("refund").idempotent()),
//!     )
//!     .step(Step::new("receipt", Call::handler("receipt").idempotent()).needs(["charge"]).retriable());
//! assert!(Definition::build(draft).is_ok());
//! ```

use serde_json::Value;

use super::definition::{
    Action, Approver, Call, Draft, Effect, Errors, Expression, KeyRule, Kind, Millis, Notice, OnDisconnect, Open,
    Probe, Quota, Refused, Retry, Rule, Step, Target, Template, Verdict,
};

impl Draft {
    /// Begins a definition that accepts any input.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            description: String::new(),
            input: Value::Bool(true),
            output_schema: None,
            output: None,
            steps: Vec::new(),
            deadline_ms: None,
            retention_ms: None,
            concurrency: None,
            priority: None,
            fairness: None,
            quota: None,
            on_stuck: None,
            on_end: None,
            on_disconnect: OnDisconnect::Continue,
            open: None,
        }
    }

    /// Sets the description for people, and for models that call the saga as a tool.
    pub fn description(mut self, description: impl Into<String>) -> Self {
        self.description = description.into();
        self
    }

    /// Sets the JSON Schema of the input.
    pub fn input(mut self, schema: Value) -> Self {
        self.input = schema;
        self
    }

    /// Sets the template of the output, over `input` and `steps.NAME`.
    pub fn output(mut self, template: Value) -> Self {
        self.output = Some(Template(template));
        self
    }

    /// Adds a step.
    pub fn step(mut self, step: Step) -> Self {
        self.steps.push(step);
        self
    }

    /// Turns a saga back if it has not passed its point of no return after this time.
    pub fn deadline_ms(mut self, deadline_ms: Millis) -> Self {
        self.deadline_ms = Some(deadline_ms);
        self
    }

    /// Sets the least time for which ended sagas are kept.
    pub fn retention_ms(mut self, retention_ms: Millis) -> Self {
        self.retention_ms = Some(retention_ms);
        self
    }

    /// Runs sagas one at a time if this path gives the same value in their inputs. The path is plain, such as
    /// `input.guest`.
    pub fn concurrency(mut self, path: &str) -> Self {
        self.concurrency = Some(path.into());
        self
    }

    /// Sets which starts nodes take first while starts wait: `high`, `normal` or `low`, or a plain path into the input
    /// where one of these words is, such as `input.urgency`.
    pub fn priority(mut self, priority: &str) -> Self {
        self.priority = Some(priority.into());
        self
    }

    /// Lets waiting starts share the nodes by this value, one start of each value in turn: `principal`, who starts the
    /// saga, or a plain path into the input, such as `input.tenant`.
    pub fn fairness(mut self, key: &str) -> Self {
        self.fairness = Some(key.into());
        self
    }

    /// Limits the live sagas of each fairness key. A start beyond the quota is refused.
    pub fn quota(mut self, quota: Quota) -> Self {
        self.quota = Some(quota);
        self
    }

    /// Sends this notice when a step of the saga comes to need a person.
    pub fn on_stuck(mut self, notice: Notice) -> Self {
        self.on_stuck = Some(notice);
        self
    }

    /// Sends this notice when the saga has ended in any way.
    pub fn on_end(mut self, notice: Notice) -> Self {
        self.on_end = Some(notice);
        self
    }

    /// Cancels a saga if its MCP client goes away before the answer.
    pub fn abort_on_disconnect(mut self) -> Self {
        self.on_disconnect = OnDisconnect::Abort;
        self
    }

    /// Lets a driver append steps while the saga runs. The driver must send something within each lease.
    pub fn open(mut self, lease_ms: Millis) -> Self {
        self.open = Some(Open { lease_ms });
        self
    }

    /// Returns whether waiting starts are taken in another order than that of their arrival.
    pub fn orders_starts(&self) -> bool {
        self.priority.is_some() || self.fairness.is_some()
    }

    /// Returns whether the definition sends notices.
    pub fn tells(&self) -> bool {
        self.on_stuck.is_some() || self.on_end.is_some()
    }
}

impl Step {
    /// Makes a compensable step that calls a participant and needs no other step.
    pub fn new(name: impl Into<String>, action: Call) -> Self {
        Self::with_action(name, Action::Call(action))
    }

    /// Makes a step that waits for an event.
    pub fn awaiting(name: impl Into<String>, event: impl Into<String>, deadline_ms: Option<Millis>) -> Self {
        Self::with_action(name, Action::Await { event: event.into(), deadline_ms })
    }

    /// Makes a step that asks a person for approval. Message and arguments are templates.
    pub fn approval(
        name: impl Into<String>,
        message: impl Into<String>,
        arguments: Option<Value>,
        deadline_ms: Option<Millis>,
    ) -> Self {
        let (message, arguments) = (Template(Value::String(message.into())), arguments.map(Template));
        Self::with_action(name, Action::Approval { message, arguments, approver: Approver::Operator, deadline_ms })
    }

    /// Makes a step that sleeps.
    pub fn sleeping(name: impl Into<String>, for_ms: Millis) -> Self {
        Self::with_action(name, Action::Sleep { for_ms })
    }

    fn with_action(name: impl Into<String>, action: Action) -> Self {
        Self {
            name: name.into(),
            needs: Vec::new(),
            kind: Kind::Compensable,
            action,
            compensation: None,
            safe_when_absent: false,
            irreversible: false,
            when: None,
        }
    }

    /// Sets the steps that must be done or skipped before this one.
    pub fn needs<Name: Into<String>>(mut self, needs: impl IntoIterator<Item = Name>) -> Self {
        self.needs = needs.into_iter().map(Into::into).collect();
        self
    }

    /// Makes the step a pivot: the point of no return.
    pub fn pivot(mut self) -> Self {
        self.kind = Kind::Pivot;
        self
    }

    /// Makes the step retriable: it only goes forward.
    pub fn retriable(mut self) -> Self {
        self.kind = Kind::Retriable;
        self
    }

    /// Lets the MCP client that started the saga answer this approval, beside the operators. Has no effect on other
    /// steps.
    pub fn approved_by_caller(mut self) -> Self {
        if let Action::Approval { approver, .. } = &mut self.action {
            *approver = Approver::Caller;
        }
        self
    }

    /// Sets the compensation.
    pub fn compensation(mut self, compensation: Call) -> Self {
        self.compensation = Some(compensation);
        self
    }

    /// Allows the compensation even if the action never took effect. While the action is in doubt, the compensation
    /// is called only if it surely lands while the participant remembers the action's key.
    pub fn safe_when_absent(mut self) -> Self {
        self.safe_when_absent = true;
        self
    }

    /// Accepts that the effect stays when the saga turns back.
    pub fn irreversible(mut self) -> Self {
        self.irreversible = true;
        self
    }

    /// Skips the step when this CEL condition over `input` and `steps` is false.
    pub fn when(mut self, condition: &str) -> Self {
        self.when = Some(condition.into());
        self
    }
}

impl Call {
    /// Calls a Rust handler with the saga's input.
    pub fn handler(name: impl Into<String>) -> Self {
        Self::new(Target::Handler { name: name.into(), arguments: None })
    }

    /// Calls a Rust handler with these arguments.
    pub fn handler_with(name: impl Into<String>, arguments: Value) -> Self {
        Self::new(Target::Handler { name: name.into(), arguments: Some(Template(arguments)) })
    }

    /// Calls a tool of an MCP server.
    pub fn tool(participant: impl Into<String>, tool: impl Into<String>, arguments: Value) -> Self {
        let (participant, tool) = (participant.into(), tool.into());
        Self::new(Target::Tool { participant, tool, arguments: Template(arguments) })
    }

    /// Calls a target. By default a call with an unknown outcome is never repeated.
    pub fn new(target: Target) -> Self {
        Self {
            target,
            effect: Effect::Once,
            key_lifetime_ms: None,
            retry: Retry::default(),
            timeout_ms: TIMEOUT_MS,
            deadline_ms: None,
            settle_ms: SETTLE_MS,
            probe: None,
            errors: None,
            refused: None,
            success: None,
            classify: Vec::new(),
            output: None,
        }
    }

    /// Declares that the call changes nothing.
    pub fn read_only(mut self) -> Self {
        self.effect = Effect::ReadOnly;
        self
    }

    /// Declares that a repeat under the same key is safe.
    pub fn idempotent(mut self) -> Self {
        self.effect = Effect::Idempotent;
        self
    }

    /// Declares that a Rust handler makes its effect in the transaction that records its success.
    pub fn transactional(mut self) -> Self {
        self.effect = Effect::Transactional;
        self
    }

    /// Sets how long the participant remembers keys.
    pub fn key_lifetime_ms(mut self, lifetime_ms: Millis) -> Self {
        self.key_lifetime_ms = Some(lifetime_ms);
        self
    }

    /// Sets how often and how fast the call is attempted.
    pub fn retry(mut self, retry: Retry) -> Self {
        self.retry = retry;
        self
    }

    /// Sets the limit of one attempt.
    pub fn timeout_ms(mut self, timeout_ms: Millis) -> Self {
        self.timeout_ms = timeout_ms;
        self
    }

    /// Sets the limit of all attempts together.
    pub fn deadline_ms(mut self, deadline_ms: Millis) -> Self {
        self.deadline_ms = Some(deadline_ms);
        self
    }

    /// Sets how long the effect of an attempt without an answer can still land.
    pub fn settle_ms(mut self, settle_ms: Millis) -> Self {
        self.settle_ms = settle_ms;
        self
    }

    /// Sets the probe, which asks whether the call took effect.
    pub fn probe(mut self, probe: Probe) -> Self {
        self.probe = Some(probe);
        self
    }

    /// Sets a CEL predicate over `result`. An answer that does not satisfy it is a failure.
    pub fn success(mut self, predicate: &str) -> Self {
        self.success = Some(predicate.into());
        self
    }

    /// Sets what errors of the participant prove.
    pub fn errors(mut self, errors: Errors) -> Self {
        self.errors = Some(errors);
        self
    }

    /// Sets which answers are refusals: no effect, and no use in another attempt. Takes a CEL predicate, or a
    /// [`Refused`] with more options.
    pub fn refused(mut self, refused: impl Into<Refused>) -> Self {
        self.refused = Some(refused.into());
        self
    }

    /// Adds a rule over answers.
    pub fn classify(mut self, rule: Rule) -> Self {
        self.classify.push(rule);
        self
    }

    /// Sets the template of the output over `result`.
    pub fn output(mut self, template: Value) -> Self {
        self.output = Some(Template(template));
        self
    }
}

impl Refused {
    /// Makes a rule: answers that satisfy this CEL predicate are refusals.
    pub fn new(when: impl Into<Expression>) -> Self {
        Self { when: when.into(), answers_key: false }
    }

    /// Declares that the participant looks the key up before it gives this refusal. The refusal then ends the doubt
    /// about every attempt under the key.
    ///
    /// ```
    /// use amends::saga::definition::{Call, Refused};
    ///
    /// let declined = Refused::new("result.state == 'declined'").answers_key();
    /// let charge = Call::handler("charge").idempotent().refused(declined);
    /// assert!(charge.refused.is_some_and(|refused| refused.answers_key));
    /// ```
    pub fn answers_key(mut self) -> Self {
        self.answers_key = true;
        self
    }
}

impl From<&str> for Refused {
    fn from(when: &str) -> Self {
        Self::new(when)
    }
}

impl Rule {
    /// Makes a rule: an answer that satisfies `when` has this outcome.
    pub fn new(when: impl Into<Expression>, outcome: Verdict) -> Self {
        Self { when: when.into(), outcome, error: None, answers_key: false, key: None }
    }

    /// Declares that the participant looks the key up before it gives this refusal.
    pub fn answers_key(mut self) -> Self {
        self.answers_key = true;
        self
    }

    /// Gives the next attempt a new key, because the participant repeats this refusal under the old one.
    pub fn renew_key(mut self) -> Self {
        self.key = Some(KeyRule::Renew);
        self
    }
}

impl Probe {
    /// Makes a probe that asks a target. The CEL predicate over `result` tells whether the effect is in place.
    pub fn new(target: Target, applied: &str) -> Self {
        Self {
            target,
            applied: applied.into(),
            absent: None,
            output: None,
            retry: Retry { attempts: PROBE_ATTEMPTS, ..Retry::default() },
            timeout_ms: TIMEOUT_MS,
        }
    }

    /// Sets the CEL predicate for absence. Without it, an answer that is not `applied` is `absent`.
    pub fn absent(mut self, predicate: &str) -> Self {
        self.absent = Some(Expression::from(predicate));
        self
    }

    /// Sets the template of the action's output over `result`.
    pub fn output(mut self, template: Value) -> Self {
        self.output = Some(Template(template));
        self
    }

    /// Sets how often and how fast the probe is asked.
    pub fn retry(mut self, retry: Retry) -> Self {
        self.retry = retry;
        self
    }
}

impl Notice {
    /// Makes a notice to a target.
    pub fn new(target: Target) -> Self {
        Self { target, timeout_ms: NOTICE_TIMEOUT_MS, success: None }
    }

    /// Makes a notice to a Rust handler, with all facts about the saga.
    pub fn handler(name: impl Into<String>) -> Self {
        Self::new(Target::Handler { name: name.into(), arguments: None })
    }

    /// Sets the limit of one attempt.
    pub fn timeout_ms(mut self, timeout_ms: Millis) -> Self {
        self.timeout_ms = timeout_ms;
        self
    }
}

/// Default limit of one attempt of a notice, in milliseconds.
pub(super) const NOTICE_TIMEOUT_MS: Millis = 10_000;
/// Default limit of one attempt or probe, in milliseconds.
pub(super) const TIMEOUT_MS: Millis = 30_000;
/// Default settle window, in milliseconds.
pub(super) const SETTLE_MS: Millis = 10_000;
/// Default number of attempts of a probe.
pub(super) const PROBE_ATTEMPTS: u32 = 10;

impl From<&str> for Expression {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

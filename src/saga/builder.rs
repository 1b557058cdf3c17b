//! How a definition is written in Rust: constructors and setters over the plain data of `definition.rs`. Owns
//! the wording only; what is wrong with the result is found when it is built.
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
    Probe, Refused, Retry, Rule, Step, Target, Template, Verdict,
};

impl Draft {
    /// Begins a definition that takes any input.
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
            on_stuck: None,
            on_end: None,
            on_disconnect: OnDisconnect::Continue,
            open: None,
        }
    }

    /// Describes it for people, and for models that call the saga as a tool.
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

    /// Turns a saga back that has not passed its pivot after this time.
    pub fn deadline_ms(mut self, deadline_ms: Millis) -> Self {
        self.deadline_ms = Some(deadline_ms);
        self
    }

    /// Keeps ended sagas at least so long.
    pub fn retention_ms(mut self, retention_ms: Millis) -> Self {
        self.retention_ms = Some(retention_ms);
        self
    }

    /// Lets sagas run one at a time whose inputs have the same value here: a plain path such as `input.guest`.
    pub fn concurrency(mut self, path: &str) -> Self {
        self.concurrency = Some(path.into());
        self
    }

    /// Tells somebody when the saga comes to need a person.
    pub fn on_stuck(mut self, notice: Notice) -> Self {
        self.on_stuck = Some(notice);
        self
    }

    /// Tells somebody when the saga has ended, however it did.
    pub fn on_end(mut self, notice: Notice) -> Self {
        self.on_end = Some(notice);
        self
    }

    /// Cancels a saga when whoever called it as a tool goes away before the answer.
    pub fn abort_on_disconnect(mut self) -> Self {
        self.on_disconnect = OnDisconnect::Abort;
        self
    }

    /// Lets a driver append steps while the saga runs, as long as it is heard from within the lease.
    pub fn open(mut self, lease_ms: Millis) -> Self {
        self.open = Some(Open { lease_ms });
        self
    }
}

impl Step {
    /// Makes a compensable step that calls a participant, and needs no other.
    pub fn new(name: impl Into<String>, action: Call) -> Self {
        Self::of(name, Action::Call(action))
    }

    /// Makes a step that waits for an event.
    pub fn awaiting(name: impl Into<String>, event: impl Into<String>, deadline_ms: Option<Millis>) -> Self {
        Self::of(name, Action::Await { event: event.into(), deadline_ms })
    }

    /// Makes a step that asks a person to approve what the two templates come to.
    pub fn approval(
        name: impl Into<String>,
        message: impl Into<String>,
        arguments: Option<Value>,
        deadline_ms: Option<Millis>,
    ) -> Self {
        let (message, arguments) = (Template(Value::String(message.into())), arguments.map(Template));
        Self::of(name, Action::Approval { message, arguments, approver: Approver::Operator, deadline_ms })
    }

    /// Makes a step that waits for a time.
    pub fn sleeping(name: impl Into<String>, for_ms: Millis) -> Self {
        Self::of(name, Action::Sleep { for_ms })
    }

    fn of(name: impl Into<String>, action: Action) -> Self {
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

    /// Sets the steps that must be done or skipped before.
    pub fn needs<Name: Into<String>>(mut self, needs: impl IntoIterator<Item = Name>) -> Self {
        self.needs = needs.into_iter().map(Into::into).collect();
        self
    }

    /// Makes it the point of no return.
    pub fn pivot(mut self) -> Self {
        self.kind = Kind::Pivot;
        self
    }

    /// Makes it go forward only.
    pub fn retriable(mut self) -> Self {
        self.kind = Kind::Retriable;
        self
    }

    /// Lets whoever started the saga over MCP answer this approval, besides those who may operate it. Of a step
    /// that is no approval it says nothing.
    pub fn approved_by_caller(mut self) -> Self {
        if let Action::Approval { approver, .. } = &mut self.action {
            *approver = Approver::Caller;
        }
        self
    }

    /// Says what undoes it.
    pub fn compensation(mut self, compensation: Call) -> Self {
        self.compensation = Some(compensation);
        self
    }

    /// Says that the compensation may be called even if the action never took effect. Of an action in doubt it is called
    /// only as long as it surely lands while the participant remembers the action's key.
    pub fn safe_when_absent(mut self) -> Self {
        self.safe_when_absent = true;
        self
    }

    /// Accepts that the effect stays when the saga turns back.
    pub fn irreversible(mut self) -> Self {
        self.irreversible = true;
        self
    }

    /// Skips it when this CEL condition over `input` and `steps` is false.
    pub fn when(mut self, condition: &str) -> Self {
        self.when = Some(condition.into());
        self
    }
}

impl Call {
    /// Calls a Rust handler with the saga's input.
    pub fn handler(name: impl Into<String>) -> Self {
        Self::of(Target::Handler { name: name.into(), arguments: None })
    }

    /// Calls a Rust handler with these arguments.
    pub fn handler_with(name: impl Into<String>, arguments: Value) -> Self {
        Self::of(Target::Handler { name: name.into(), arguments: Some(Template(arguments)) })
    }

    /// Calls a tool of an MCP server.
    pub fn tool(participant: impl Into<String>, tool: impl Into<String>, arguments: Value) -> Self {
        let (participant, tool) = (participant.into(), tool.into());
        Self::of(Target::Tool { participant, tool, arguments: Template(arguments) })
    }

    /// Calls whatever the target says: attempted once, never repeated on an unknown outcome, unless set
    /// otherwise.
    pub fn of(target: Target) -> Self {
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

    /// Declares that it changes nothing.
    pub fn read_only(mut self) -> Self {
        self.effect = Effect::ReadOnly;
        self
    }

    /// Declares that a repeat under the same key is safe.
    pub fn idempotent(mut self) -> Self {
        self.effect = Effect::Idempotent;
        self
    }

    /// Declares that a Rust handler makes its effect in the transaction in which its success is recorded.
    pub fn transactional(mut self) -> Self {
        self.effect = Effect::Transactional;
        self
    }

    /// Says for how long the participant remembers keys.
    pub fn key_lifetime_ms(mut self, lifetime_ms: Millis) -> Self {
        self.key_lifetime_ms = Some(lifetime_ms);
        self
    }

    /// Sets how often and how fast it is attempted.
    pub fn retry(mut self, retry: Retry) -> Self {
        self.retry = retry;
        self
    }

    /// Limits one attempt.
    pub fn timeout_ms(mut self, timeout_ms: Millis) -> Self {
        self.timeout_ms = timeout_ms;
        self
    }

    /// Limits all attempts together.
    pub fn deadline_ms(mut self, deadline_ms: Millis) -> Self {
        self.deadline_ms = Some(deadline_ms);
        self
    }

    /// Says how long after an attempt without an answer its effect can still land.
    pub fn settle_ms(mut self, settle_ms: Millis) -> Self {
        self.settle_ms = settle_ms;
        self
    }

    /// Says how to find out whether it took effect.
    pub fn probe(mut self, probe: Probe) -> Self {
        self.probe = Some(probe);
        self
    }

    /// Makes an answer a failure for which this CEL predicate over `result` is false.
    pub fn success(mut self, predicate: &str) -> Self {
        self.success = Some(predicate.into());
        self
    }

    /// Says what errors of the participant prove.
    pub fn errors(mut self, errors: Errors) -> Self {
        self.errors = Some(errors);
        self
    }

    /// Makes answers refusals for which a CEL predicate holds: no effect, and another attempt is no use. Takes the
    /// predicate, or a [`Refused`] that says more.
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
    /// Makes answers refusals for which this CEL predicate holds.
    pub fn new(when: impl Into<Expression>) -> Self {
        Self { when: when.into(), answers_key: false }
    }

    /// Says that the participant gives such a refusal only after it has looked the key up: it ends the doubt about
    /// every attempt under the key.
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
    /// Makes a rule: an answer that satisfies `when` is this.
    pub fn new(when: impl Into<Expression>, outcome: Verdict) -> Self {
        Self { when: when.into(), outcome, error: None, answers_key: false, key: None }
    }

    /// Says that the participant gives this refusal only after it has looked the key up.
    pub fn answers_key(mut self) -> Self {
        self.answers_key = true;
        self
    }

    /// Gives the next attempt a new key, since the participant repeats this refusal under the old one.
    pub fn renew_key(mut self) -> Self {
        self.key = Some(KeyRule::Renew);
        self
    }
}

impl Probe {
    /// Asks a target; the CEL predicate over `result` says whether the effect is in place.
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

    /// Sets the CEL predicate for absence; without it, whatever is not applied is absent.
    pub fn absent(mut self, predicate: &str) -> Self {
        self.absent = Some(Expression::from(predicate));
        self
    }

    /// Sets the template of the action's output over `result`.
    pub fn output(mut self, template: Value) -> Self {
        self.output = Some(Template(template));
        self
    }

    /// Sets how often and how fast an inconclusive answer is asked again.
    pub fn retry(mut self, retry: Retry) -> Self {
        self.retry = retry;
        self
    }
}

impl Notice {
    /// Tells a target.
    pub fn new(target: Target) -> Self {
        Self { target, timeout_ms: NOTICE_TIMEOUT_MS, success: None }
    }

    /// Tells a Rust handler, with everything that there is to say.
    pub fn handler(name: impl Into<String>) -> Self {
        Self::new(Target::Handler { name: name.into(), arguments: None })
    }

    /// Limits one attempt.
    pub fn timeout_ms(mut self, timeout_ms: Millis) -> Self {
        self.timeout_ms = timeout_ms;
        self
    }
}

/// Limit of one attempt of a notice unless set otherwise, in milliseconds.
pub(super) const NOTICE_TIMEOUT_MS: Millis = 10_000;
/// Limit of one attempt or probe unless set otherwise, in milliseconds.
pub(super) const TIMEOUT_MS: Millis = 30_000;
/// Settle window unless set otherwise, in milliseconds.
pub(super) const SETTLE_MS: Millis = 10_000;
/// Attempts of a probe unless set otherwise.
pub(super) const PROBE_ATTEMPTS: u32 = 10;

//! The notation of graphs: one line of text for each. Owns parsing and printing. Histories are in `story.rs`; the
//! tests say what must follow.
//!
//! A graph is a list of steps, `NAME[!|+][(ATTRIBUTES)][<NEEDS]`: `!` is a pivot, `+` a retriable step, needs are
//! separated by commas. Steps are idempotent and compensable unless they say otherwise:
//!
//! | attribute | meaning |
//! |---|---|
//! | `once`, `reads`, `within` | effect: `once`, `read_only`, `transactional` |
//! | `probe`, `sure` | has a probe; has a probe with an `absent` of its own, which proves that nothing will come |
//! | `safe`, `stays` | `safe_when_absent`, `irreversible` |
//! | `when` | has a condition |
//! | `await=E`, `sleep=N`, `approval` | waits for an event, for N ms, for a person |
//! | `tries=N` | number of attempts |
//! | `settle=N`, `life=N`, `limit=N` | settle window, lifetime of keys, deadline; ms |
//! | `asks=N` | the participant asks for this pause with every answer that is no success; ms |
//! | `~once`, `~probe`, `~tries=N`, ... | the same for the compensation |
//!
//! `@deadline=N` and `@open=N` are the saga's deadline and the driver's lease in ms. `@law=1` is the law of the
//! journal. Defaults are those of [`call`].

use std::fmt;

use serde_json::json;

use crate::saga::definition::{
    Action, Approver, Call, Draft, Effect, Expression, Kind, Millis, OnDisconnect, Open, Probe, Retry, Step, Target,
    Template,
};
use crate::saga::{Definition, Fault, Law};
use std::sync::Arc;

/// A graph in the notation.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Graph {
    pub(super) law: Option<Law>,
    pub(super) deadline_ms: Option<Millis>,
    pub(super) lease_ms: Option<Millis>,
    pub(super) steps: Vec<StepSpec>,
}

/// One step in the notation.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct StepSpec {
    pub(super) name: String,
    pub(super) kind: Kind,
    pub(super) needs: Vec<String>,
    pub(super) does: Does,
    pub(super) safe: bool,
    pub(super) stays: bool,
    pub(super) when: bool,
    pub(super) action: CallSpec,
    pub(super) compensation: CallSpec,
}

/// The action of a step.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Does {
    Call,
    Await(String),
    Sleep(Millis),
    Approval(Approver),
}

/// The attributes of one call.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct CallSpec {
    pub(super) effect: Effect,
    pub(super) probe: bool,
    pub(super) sure: bool,
    pub(super) tries: u32,
    pub(super) settle_ms: Millis,
    pub(super) life_ms: Option<Millis>,
    pub(super) limit_ms: Option<Millis>,
    pub(super) asks_ms: Option<Millis>,
}

/// Attempts of a call that does not set them; the pauses are 100, 200, 400, ... ms.
pub(super) const TRIES: u32 = 3;
/// Time-out of every call.
pub(super) const TIMEOUT_MS: Millis = 1_000;
/// Settle window of a call that does not set it.
pub(super) const SETTLE_MS: Millis = 500;
/// Probes of one doubt; the first pause is 50 ms, and doubles.
pub(super) const PROBES: u32 = 2;

impl Default for CallSpec {
    fn default() -> Self {
        Self {
            effect: Effect::Idempotent,
            probe: false,
            sure: false,
            tries: TRIES,
            settle_ms: SETTLE_MS,
            life_ms: None,
            limit_ms: None,
            asks_ms: None,
        }
    }
}

impl StepSpec {
    pub(super) fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            kind: Kind::Compensable,
            needs: Vec::new(),
            does: Does::Call,
            safe: false,
            stays: false,
            when: false,
            action: CallSpec::default(),
            compensation: CallSpec::default(),
        }
    }

    /// Whether the step has a compensation.
    pub(super) fn undoable(&self) -> bool {
        self.kind == Kind::Compensable
            && self.does == Does::Call
            && self.action.effect != Effect::ReadOnly
            && !self.stays
    }

    /// Drops attributes that would not be valid, so that any mixture of attributes is a step.
    pub(super) fn tidy(&mut self) {
        if self.kind != Kind::Compensable && matches!(self.does, Does::Approval(_)) {
            self.does = Does::Call;
        }
        let calls = self.does == Does::Call;
        if !calls {
            self.action = CallSpec { limit_ms: self.action.limit_ms, ..CallSpec::default() };
        }
        self.stays &= calls && self.kind == Kind::Compensable && self.action.effect != Effect::ReadOnly;
        self.safe &= self.undoable();
        for call in [&mut self.action, &mut self.compensation] {
            if call.effect != Effect::Idempotent {
                call.life_ms = None;
            }
            call.probe &= call.effect != Effect::Transactional;
            call.sure &= call.probe;
        }
    }

    pub(super) fn parse(text: &str) -> Self {
        let (head, needs) = text.split_once('<').unwrap_or((text, ""));
        let (head, attributes) = match head.split_once('(') {
            Some((head, rest)) => (head, rest.strip_suffix(')').expect("a closing parenthesis")),
            None => (head, ""),
        };
        let mut step = Self::new(head.trim_end_matches(['!', '+']));
        if head.ends_with('!') {
            step.kind = Kind::Pivot;
        } else if head.ends_with('+') {
            step.kind = Kind::Retriable;
        }
        step.needs = needs.split(',').filter(|need| !need.is_empty()).map(str::to_owned).collect();
        for attribute in attributes.split(',').filter(|attribute| !attribute.is_empty()) {
            step.set(attribute);
        }
        step
    }

    fn set(&mut self, attribute: &str) {
        let (word, value) = attribute.split_once('=').unwrap_or((attribute, ""));
        let ms = || value.parse::<Millis>().expect("a number");
        let (call, word) = match word.strip_prefix('~') {
            Some(word) => (&mut self.compensation, word),
            None => (&mut self.action, word),
        };
        match word {
            "once" => call.effect = Effect::Once,
            "reads" => call.effect = Effect::ReadOnly,
            "within" => call.effect = Effect::Transactional,
            "probe" => call.probe = true,
            "sure" => (call.probe, call.sure) = (true, true),
            "tries" => call.tries = u32::try_from(ms()).expect("few tries"),
            "settle" => call.settle_ms = ms(),
            "life" => call.life_ms = Some(ms()),
            "limit" => call.limit_ms = Some(ms()),
            "asks" => call.asks_ms = Some(ms()),
            "safe" => self.safe = true,
            "stays" => self.stays = true,
            "when" => self.when = true,
            "await" => self.does = Does::Await(value.to_owned()),
            "sleep" => self.does = Does::Sleep(ms()),
            "approval" => self.does = Does::Approval(Approver::Operator),
            "approval_by_caller" => self.does = Does::Approval(Approver::Caller),
            other => panic!("expected an attribute, found {other:?}"),
        }
    }

    /// Returns the step for a draft.
    pub(super) fn step(&self) -> Step {
        let action = match &self.does {
            Does::Call => Action::Call(call(&self.name, &self.action)),
            Does::Await(event) => Action::Await { event: event.clone(), deadline_ms: self.action.limit_ms },
            Does::Sleep(for_ms) => Action::Sleep { for_ms: *for_ms },
            Does::Approval(approver) => Action::Approval {
                message: Template(json!("may it?")),
                arguments: Some(Template(json!({ "input": "${ input }" }))),
                approver: *approver,
                deadline_ms: self.action.limit_ms,
            },
        };
        let undo = || call(&format!("undo_{}", self.name), &self.compensation);
        Step {
            name: self.name.clone(),
            needs: self.needs.clone(),
            kind: self.kind,
            action,
            compensation: self.undoable().then(undo),
            safe_when_absent: self.safe,
            irreversible: self.stays,
            when: self.when.then(|| Expression::from("input.yes")),
        }
    }
}

/// Makes a call for the tests: retries after 100, 200, 400 ms without jitter, time-out 1 s; the settle window is 500
/// ms unless set.
fn call(handler: &str, spec: &CallSpec) -> Call {
    // The core does not read arguments. Here they carry the pause for the model of the participant.
    let arguments = spec.asks_ms.map(|ms| Template(json!(ms)));
    let target = || Target::Handler { name: handler.to_owned(), arguments: arguments.clone() };
    let retry =
        |attempts, backoff_ms| Retry { attempts, backoff_ms, multiplier: 2.0, backoff_max_ms: 1_000, jitter: 0.0 };
    Call {
        target: target(),
        effect: spec.effect,
        key_lifetime_ms: spec.life_ms,
        retry: retry(spec.tries, 100),
        timeout_ms: TIMEOUT_MS,
        deadline_ms: spec.limit_ms,
        settle_ms: spec.settle_ms,
        probe: spec.probe.then(|| Probe {
            target: target(),
            applied: Expression::from("result.found"),
            absent: spec.sure.then(|| Expression::from("result.failed")),
            output: None,
            retry: retry(PROBES, 50),
            timeout_ms: TIMEOUT_MS,
        }),
        errors: None,
        refused: None,
        success: None,
        classify: Vec::new(),
        output: Some(Template(json!("${ result }"))),
    }
}

/// Returns the pause that the participant of a call asks for.
pub(super) fn asked_pause(call: &Call) -> Option<Millis> {
    match &call.target {
        Target::Handler { arguments: Some(Template(pause)), .. } => pause.as_u64(),
        Target::Handler { arguments: None, .. } | Target::Tool { .. } | Target::Http { .. } => None,
    }
}

impl Graph {
    pub(super) fn parse(text: &str) -> Self {
        let mut graph = Self::default();
        for word in text.split_whitespace() {
            if word == "@law=1" {
                graph.law = Some(Law::V1);
            } else if let Some(ms) = word.strip_prefix("@deadline=") {
                graph.deadline_ms = Some(ms.parse().expect("a number"));
            } else if let Some(ms) = word.strip_prefix("@open=") {
                graph.lease_ms = Some(ms.parse().expect("a number"));
            } else {
                graph.steps.push(StepSpec::parse(word));
            }
        }
        graph
    }

    /// Returns the law of the graph's sagas: the newest, unless the graph sets another.
    pub(super) fn law(&self) -> Law {
        self.law.unwrap_or(Law::NEWEST)
    }

    pub(super) fn draft(&self) -> Draft {
        Draft {
            name: "test".to_owned(),
            description: String::new(),
            input: json!(true),
            output_schema: None,
            output: None,
            steps: self.steps.iter().map(StepSpec::step).collect(),
            deadline_ms: self.deadline_ms,
            retention_ms: None,
            concurrency: None,
            priority: None,
            fairness: None,
            quota: None,
            on_stuck: None,
            on_end: None,
            on_disconnect: OnDisconnect::Continue,
            open: self.lease_ms.map(|lease_ms| Open { lease_ms }),
        }
    }

    pub(super) fn build(&self) -> Result<Arc<Definition>, Vec<Fault>> {
        Definition::build(self.draft())
    }
}

impl fmt::Display for Graph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut words = Vec::new();
        words.extend(self.law.map(|law| format!("@law={}", law.number())));
        words.extend(self.deadline_ms.map(|ms| format!("@deadline={ms}")));
        words.extend(self.lease_ms.map(|ms| format!("@open={ms}")));
        words.extend(self.steps.iter().map(ToString::to_string));
        f.write_str(&words.join(" "))
    }
}

impl fmt::Display for StepSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mark = match self.kind {
            Kind::Compensable => "",
            Kind::Pivot => "!",
            Kind::Retriable => "+",
        };
        write!(f, "{}{mark}", self.name)?;
        let mut words = match &self.does {
            Does::Call => Vec::new(),
            Does::Await(event) => vec![format!("await={event}")],
            Does::Sleep(ms) => vec![format!("sleep={ms}")],
            Does::Approval(Approver::Operator) => vec!["approval".to_owned()],
            Does::Approval(Approver::Caller) => vec!["approval_by_caller".to_owned()],
        };
        let flags = [(self.safe, "safe"), (self.stays, "stays"), (self.when, "when")];
        words.extend(flags.iter().filter(|(set, _)| *set).map(|(_, word)| (*word).to_owned()));
        words.extend(self.action.words(""));
        if self.undoable() {
            words.extend(self.compensation.words("~"));
        }
        if !words.is_empty() {
            write!(f, "({})", words.join(","))?;
        }
        if !self.needs.is_empty() {
            write!(f, "<{}", self.needs.join(","))?;
        }
        Ok(())
    }
}

impl CallSpec {
    fn words(&self, prefix: &str) -> Vec<String> {
        let usual = Self::default();
        let mut words = Vec::new();
        match self.effect {
            Effect::Idempotent => {}
            Effect::Once => words.push(format!("{prefix}once")),
            Effect::ReadOnly => words.push(format!("{prefix}reads")),
            Effect::Transactional => words.push(format!("{prefix}within")),
        }
        if self.probe {
            words.push(format!("{prefix}{}", if self.sure { "sure" } else { "probe" }));
        }
        if self.tries != usual.tries {
            words.push(format!("{prefix}tries={}", self.tries));
        }
        if self.settle_ms != usual.settle_ms {
            words.push(format!("{prefix}settle={}", self.settle_ms));
        }
        words.extend(self.life_ms.map(|ms| format!("{prefix}life={ms}")));
        words.extend(self.limit_ms.map(|ms| format!("{prefix}limit={ms}")));
        words.extend(self.asks_ms.map(|ms| format!("{prefix}asks={ms}")));
        words
    }
}

#[test]
fn the_notation_reads_what_it_writes() {
    let text = "@law=1 @deadline=5000 @open=2000 a(await=go,when,limit=9) b(safe,once,probe,~once,~tries=2,~asks=9)<a \
                c!(settle=0,life=9000)<a,b d+(sleep=10)<c e(reads,sure) f(approval,limit=7)";
    assert_eq!(Graph::parse(text).to_string(), text.split_whitespace().collect::<Vec<_>>().join(" "));
    assert_eq!(Graph::parse(&Graph::parse(text).to_string()), Graph::parse(text));
}

//! Timelines of sagas whose journals are written here: rules, statuses and keys in them.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::json;
use uuid::Uuid;

use super::key::explain;
use super::render::story;
use super::timeline::{Entry, Timeline};
use crate::saga::command::Command;
use crate::saga::definition::{Call, Draft, Probe, Step, Target, Template};
use crate::saga::event::{AttemptEnded, Event, OwnerLost, ProbeAnswered, Started, TimerFired};
use crate::saga::outcome::{Answer, DecidedBy, Error, Outcome};
use crate::saga::state::State;
use crate::saga::{Definition, Json, Law, begin, next_timer, outstanding, transition};

const SAGA: Uuid = Uuid::nil();

/// A saga in progress, with its journal.
struct Played {
    definition: Arc<Definition>,
    state: State,
    journal: Vec<(i32, Event)>,
}

impl Played {
    fn begin(draft: Draft, law: Law) -> Self {
        let definition = Definition::build(draft).unwrap_or_else(|faults| panic!("{faults:?}"));
        let started = Started { law, ..Started::new(0, Json::null()) };
        let (state, _) = begin(&definition, &started);
        Self { definition, state, journal: vec![(1, Event::Started(started))] }
    }

    fn happens(&mut self, event: Event) {
        self.state = transition(&self.definition, &self.state, &event).unwrap().0;
        let seq = i32::try_from(self.journal.len()).unwrap() + 1;
        self.journal.push((seq, event));
    }

    /// Ends the attempt that is in progress. `by` is the rule that decided the outcome, with the HTTP status.
    fn ends(&mut self, outcome: Outcome, by: Option<(&str, Option<u16>)>) {
        let under_way = outstanding(&self.state).into_iter().find_map(|command| match command {
            Command::Execute { step, direction, attempt, .. } => Some((step, direction, attempt)),
            Command::Probe { .. } | Command::Decide { .. } | Command::Show { .. } => None,
        });
        let (step, direction, attempt) = under_way.expect("an attempt is under way");
        let (at, decided_by) = (self.state.at, by.map(decided).map(Box::new));
        let end = AttemptEnded { at, step, direction, attempt, outcome, decided_by, jitter: 0.0 };
        self.happens(Event::AttemptEnded(end));
    }

    fn answers(&mut self, answer: Answer, by: (&str, Option<u16>)) {
        let asked = outstanding(&self.state).into_iter().find_map(|command| match command {
            Command::Probe { step, direction, probe, .. } => Some((step, direction, probe)),
            Command::Execute { .. } | Command::Decide { .. } | Command::Show { .. } => None,
        });
        let (step, direction, probe) = asked.expect("a probe is under way");
        let (at, decided_by) = (self.state.at, Some(Box::new(decided(by))));
        let answer = ProbeAnswered { at, step, direction, probe, answer, decided_by, jitter: 0.0 };
        self.happens(Event::ProbeAnswered(answer));
    }

    fn owner_dies(&mut self) {
        let at = self.state.at;
        self.happens(Event::OwnerLost(OwnerLost { at, jitter: 0.0, convicted: false }));
    }

    fn timer(&mut self) {
        let at = next_timer(&self.definition, &self.state).expect("a timer");
        self.happens(Event::TimerFired(TimerFired { at }));
    }

    fn told(&self) -> Timeline {
        Timeline::new(SAGA, &self.definition, &self.journal, self.state.at).unwrap()
    }
}

fn decided((rule, status): (&str, Option<u16>)) -> DecidedBy {
    DecidedBy { rule: rule.to_owned(), status }
}

fn done() -> Outcome {
    Outcome::Succeeded { output: Json::from(json!(1)) }
}

fn refused() -> Outcome {
    Outcome::failed(Error::new("declined", "no"))
}

fn lost() -> Outcome {
    Outcome::unknown(Error::new("timeout", "late"))
}

fn http() -> Target {
    let (participant, method, path) = ("bank".to_owned(), "POST".to_owned(), Template("/".into()));
    Target::Http { participant, method, path, query: BTreeMap::new(), headers: BTreeMap::new(), body: None }
}

/// Returns the text of an entry, as it is printed.
fn printed(entry: &Entry) -> String {
    story(entry, &mut Vec::new())
}

/// Each attempt has a rule: the recorded one, or the rule of a plain success if none is recorded.
#[test]
fn each_attempt_names_its_rule() {
    let draft = Draft::new("shop")
        .step(Step::new("a", Call::tool("desk", "book", json!({})).idempotent()).irreversible())
        .step(Step::new("b", Call::handler("b").idempotent()).irreversible().needs(["a"]))
        .step(Step::new("c", Call::new(http()).idempotent()).irreversible().needs(["b"]))
        .step(Step::new("d", Call::handler("d").transactional()).irreversible().needs(["c"]));
    let mut saga = Played::begin(draft, Law::NEWEST);
    for by in [None, None, Some(("http_2xx", Some(201))), Some(("classify[0]", None))] {
        saga.ends(done(), by);
    }
    let told = saga.told();
    let texts: Vec<String> = told.entries[1..].iter().map(printed).collect();
    for (text, by) in texts.iter().zip(["tool_result", "handler", "http_2xx, HTTP 201", "classify[0]"]) {
        assert!(text.contains(&format!("attempt 1 succeeded (by {by})\n  key {SAGA}-")), "{text}");
    }
    // JSON has the rules too.
    let entries = serde_json::to_value(&told.entries).unwrap();
    assert_eq!(entries[1]["decided_by"], json!({ "rule": "tool_result" }));
    assert_eq!(entries[3]["decided_by"], json!({ "rule": "http_2xx", "status": 201 }));
}

/// The version that wrote a journal under the first law may have recorded no rules.
#[test]
fn a_journal_of_an_older_version_gets_no_rule_by_guess() {
    let draft = Draft::new("shop").step(Step::new("a", Call::handler("a").idempotent()).irreversible());
    let mut saga = Played::begin(draft, Law::V1);
    saga.ends(done(), None);
    let text = printed(&saga.told().entries[1]);
    assert!(text.starts_with(&format!("attempt 1 succeeded\n  key {SAGA}/a/action/0\n")), "{text}");
}

/// An operator needs the key even if no attempt has ended: while the call is in progress, and after each process died
/// during it.
#[test]
fn a_key_is_told_though_no_attempt_has_ended() {
    let step = |name: &str| Step::new(name, Call::handler(name)).irreversible();
    let draft = Draft::new("shop").step(step("a")).step(step("b"));
    let mut saga = Played::begin(draft, Law::NEWEST);
    let told = saga.told();
    let keys: Vec<_> = told.steps.iter().map(|step| step.key.clone().unwrap()).collect();
    assert_eq!(keys, ["a", "b"].map(|name| format!("{SAGA}-{name}-a0")), "both are under way");
    saga.owner_dies();
    let told = saga.told();
    let text = printed(&told.entries[1]);
    let lost = "taken over from a node that died; lost: attempt 1 of a, attempt 1 of b (by process_died)";
    assert!(text.starts_with(&format!("{lost}\n  key {SAGA}-a-a0\n  key {SAGA}-b-a0\n")), "{text}");
    let entry = serde_json::to_value(&told.entries[1]).unwrap();
    let key = format!("{SAGA}-a-a0");
    let of_a = json!({ "step": "a", "direction": "action", "attempt": 1, "key": key, "rule": "process_died" });
    assert_eq!(entry["lost"][0], of_a);
    let events: Vec<Event> = saga.journal.iter().map(|(_, event)| event.clone()).collect();
    let said = explain(SAGA, &saga.definition, &saga.state, &events, &key);
    assert_eq!(said, format!("key {key}: the action of step a, generation 0, attempt 1"));
}

/// A probe's answer decides what happens to money, so the entry shows the predicate and the status.
#[test]
fn a_probe_names_its_predicate_and_the_status() {
    let probe = Probe::new(http(), "result.found").absent("status == 404 && result.code == 'none'");
    let call = Call::new(http()).settle_ms(0).probe(probe);
    let mut saga = Played::begin(Draft::new("shop").step(Step::new("a", call).irreversible()), Law::NEWEST);
    saga.ends(lost(), Some(("timeout", None)));
    let busy = Answer::inconclusive(Error::new("http_503", "HTTP 503"));
    saga.answers(busy, ("http_5xx", Some(503)));
    saga.timer();
    saga.answers(Answer::Absent, ("absent", Some(404)));
    let texts: Vec<String> = saga.told().entries.iter().map(printed).collect();
    assert!(texts[2].starts_with("probe 1 could not tell (by http_5xx, HTTP 503)\n"), "{texts:#?}");
    assert!(texts[4].starts_with("probe 2 found no effect (by absent, HTTP 404)"), "{texts:#?}");
}

/// The law of the saga decides what a retry does to the key. If no key was sent, the text does not mention a key.
#[test]
fn a_stuck_step_says_what_a_retry_does() {
    let keyed = || Call::handler("a").idempotent();
    for (law, advice) in [
        (Law::V1, "cannot turn back; a retry takes a new key"),
        (
            Law::V2,
            "a retry keeps the key, under which the participant may repeat a saved refusal (--new-key takes another)",
        ),
    ] {
        let draft = Draft::new("shop")
            .step(Step::new("p", keyed()).pivot())
            .step(Step::new("a", keyed()).retriable().needs(["p"]));
        let mut saga = Played::begin(draft, law);
        saga.ends(done(), None);
        saga.ends(refused(), None);
        let told = saga.told();
        assert!(told.steps[1].state.ends_with(advice), "{}", told.steps[1].state);
        assert!(printed(&told.entries[2]).ends_with(advice));
        assert_eq!(law == Law::V1, !told.steps[1].state.contains("--new-key"));
    }
    let draft = Draft::new("shop")
        .step(Step::new("p", keyed()).pivot())
        .step(Step::awaiting("bell", "rung", Some(10)).retriable().needs(["p"]));
    let mut saga = Played::begin(draft, Law::NEWEST);
    saga.ends(done(), None);
    saga.timer();
    let said = &saga.told().steps[1].state;
    assert!(said.starts_with("stuck: the action failed for good") && !said.contains("key"), "{said}");
}

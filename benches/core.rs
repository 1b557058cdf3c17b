//! Benches of the pure core and its encoding: one transition, a replay of 1,000 rows, an event to and from its row.

use std::hint::black_box;
use std::sync::Arc;

use amends::saga::definition::{Call, Draft, Step};
use amends::saga::event::{AttemptEnded, Direction, Event, Started, TimerFired};
use amends::saga::outcome::{Error, Outcome};
use amends::saga::state::{End, State};
use amends::saga::{Definition, Json, begin, next_timer, replay, transition};
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};

/// The allocator of the `amends` program.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Bytes of payload that make an input of about 200 bytes, as in `amends bench`.
const PAYLOAD_BYTES: usize = 186;

/// Returns a definition with steps in sequence, each with a compensation.
fn definition(steps: usize) -> Arc<Definition> {
    let draft = (0..steps).fold(Draft::new("bench"), |draft, number| {
        let needs = number.checked_sub(1).map(|before| format!("step_{before}"));
        let action = Call::handler("echo").idempotent();
        let undo = Call::handler("echo").idempotent();
        draft.step(Step::new(format!("step_{number}"), action).needs(needs).compensation(undo))
    });
    Definition::build(draft).expect("a sound definition")
}

fn payload() -> Json {
    Json::from(serde_json::json!({ "payload": "x".repeat(PAYLOAD_BYTES) }))
}

fn ended(at: u64, step: usize, attempt: u32, outcome: Outcome) -> Event {
    let direction = Direction::Action;
    Event::AttemptEnded(AttemptEnded { at, step, direction, attempt, outcome, decided_by: None, jitter: 0.5 })
}

/// Returns the journal of a saga whose steps each fail `failures` times before they succeed.
fn journal(definition: &Definition, failures: u32) -> Vec<Event> {
    let started = Started::new(1_000, payload());
    let mut state = begin(definition, &started).0;
    let mut events = vec![Event::Started(started)];
    let push = |state: &mut State, events: &mut Vec<Event>, event: Event| {
        *state = transition(definition, state, &event).expect("a legal event").0;
        events.push(event);
    };
    for step in 0..definition.steps().len() {
        for attempt in 1..=failures {
            let error = Error::new("busy", "come back later");
            let failed = Outcome::retryable(error, None);
            let at = state.at + 1;
            push(&mut state, &mut events, ended(at, step, attempt, failed));
            let due = next_timer(definition, &state).expect("a next attempt");
            push(&mut state, &mut events, Event::TimerFired(TimerFired { at: due }));
        }
        let at = state.at + 1;
        let succeeded = Outcome::Succeeded { output: payload() };
        push(&mut state, &mut events, ended(at, step, failures + 1, succeeded));
    }
    assert_eq!(state.end(), Some(End::Completed));
    events
}

/// Runs the code three times first, so that allocator and linker do their one-time work: `--test` counts the
/// instructions of a single iteration.
fn warm<T>(measured: impl Fn() -> T) {
    for _ in 0..3 {
        black_box(measured());
    }
}

fn core(criterion: &mut Criterion) {
    let checkout = definition(3);
    let events = journal(&checkout, 0);
    let (state, _) = match &events[0] {
        Event::Started(started) => begin(&checkout, started),
        other => panic!("a journal begins with `started`, not with {other:?}"),
    };
    criterion.bench_function("transition", |bencher| {
        warm(|| transition(&checkout, &state, &events[1]));
        bencher.iter(|| transition(&checkout, black_box(&state), black_box(&events[1])));
    });
    let long = definition(200);
    let rows = journal(&long, 2);
    assert_eq!(rows.len(), 1_001);
    criterion.bench_function("replay_1000_rows", |bencher| {
        warm(|| replay(&long, &rows));
        bencher.iter(|| replay(&long, black_box(&rows)));
    });
}

fn encoding(criterion: &mut Criterion) {
    let event = journal(&definition(3), 0).remove(1);
    criterion.bench_function("encode_event", |bencher| {
        warm(|| Json::encode(&event));
        bencher.iter(|| Json::encode(black_box(&event)));
    });
    let body = Json::encode(&event).expect("an event is JSON");
    criterion.bench_function("decode_event", |bencher| {
        warm(|| body.clone().decode::<Event>());
        bencher.iter_batched(|| body.clone(), |body| body.decode::<Event>(), BatchSize::SmallInput);
    });
}

criterion_group!(benches, core, encoding);
criterion_main!(benches);

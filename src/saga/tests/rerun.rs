//! Reruns: a new saga goes on from a step of an ended one. Tests where that is legal, which outcomes the new saga
//! takes over, and under which keys it undoes them.

use uuid::Uuid;

use super::invariants::{self, Fault, call_of, must};
use super::story::{Story, state_text};
use super::world::World;
use crate::saga::definition::Effect;
use crate::saga::event::{Direction, Event, Request, Requested, Started};
use crate::saga::rerun::{Rerun, TakenOver, rerunnable, take_over};
use crate::saga::state::{Origin, Phase, State};
use crate::saga::{Definition, Law, begin, replay, transition};

const OLD: Uuid = Uuid::from_u128(1);

fn started(state: &State, from: &str, outcomes: Vec<TakenOver>) -> Started {
    let rerun = Rerun { of: OLD, from: from.to_owned(), by: "ada".into(), reason: "test".into(), outcomes };
    Started { rerun: Some(Box::new(rerun)), ..Started::new(state.at, state.input.clone()) }
}

fn rerun(story: &Story, from: &str) -> Result<Started, String> {
    let outcomes = take_over(&story.definition, OLD, &story.state, from).map_err(|illegal| illegal.what)?;
    Ok(started(&story.state, from, outcomes))
}

/// Runs a saga to its end, and compares how a rerun from a step begins.
#[track_caller]
fn check(graph: &str, history: &str, from: &str, expected: &str) {
    let story = Story::tell(graph, history);
    let started = rerun(&story, from).unwrap_or_else(|what| panic!("{graph}: {history}: {from}: {what}"));
    let (state, _) = begin(&story.definition, &started);
    let found = state_text(&story.definition, &state);
    assert!(found == expected, "{graph}: {history}: {from}\n  expected {expected}\n  found    {found}");
    invariants::of_state(&story.definition, &state).unwrap_or_else(|fault| panic!("{graph}: {fault}"));
    let text = serde_json::to_string(&Event::Started(started)).unwrap();
    let read: Event = serde_json::from_str(&text).unwrap();
    assert_eq!(replay(&story.definition, &[read]).unwrap(), state, "{text}");
    assert!(rerunnable(&story.definition, OLD, &story.state).contains(&from.to_owned()));
}

#[track_caller]
fn check_refused(graph: &str, history: &str, from: &str, because: &str) {
    let story = Story::tell(graph, history);
    let refusal = rerun(&story, from).expect_err("it is refused");
    assert!(refusal.contains(because), "{graph}: {history}: {from}: {refusal}");
    assert!(!rerunnable(&story.definition, OLD, &story.state).contains(&from.to_owned()));
}

#[test]
fn what_came_before_is_taken_over_and_the_rest_is_done_anew() {
    check("a b<a c<b", "a ok; b ok; c fails; abandon", "c", "running a:done b:done c:attempting#1");
    check("a b<a c<b", "a ok; b ok; pause; c refuses; abandon", "c", "running a:done b:done c:attempting#1");
    check("a b", "a ok; b fails; abandon", "b", "running a:done b:attempting#1");
    check("a b c<b", "a ok; b fails; abandon", "b", "running a:done b:attempting#1");
    check("a b c<b", "b ok; a fails; c fails; abandon", "c", "running a:attempting#1 b:done c:attempting#1");
    check("a(when) b<a", "a leave; b fails; abandon", "b", "running a:skipped b:attempting#1");
    check("a p!<a r+<p", "a ok; p ok; r refuses; abandon", "r", "running a:done p:done r:attempting#1");
    check("a b<a", "a fails; skip a; b fails; abandon", "b", "running a:done b:attempting#1");
    check("a(await=go) b<a", "provide go; b fails; abandon", "b", "running a:done b:attempting#1");
    // A step that only reads may be rerun, even in a saga that has completed.
    check("a b(reads)<a", "a ok; b ok", "b", "running a:done b:attempting#1");
    check("a(reads) b<a", "a ok; b refuses", "a", "running a:attempting#1");
}

#[test]
fn it_undoes_what_it_took_over_by_the_keys_that_the_participant_knows() {
    let story = Story::tell("@law=1 a b<a", "a fails; timer; a ok; b fails; abandon");
    let started = rerun(&story, "b").unwrap();
    let (state, _) = begin(&story.definition, &started);
    assert_eq!(
        (state.steps[0].origin, state.steps[0].action.generation),
        (Some(Origin { saga: OLD, law: Law::V1 }), 1)
    );
    let cancel = Request::Cancel { reason: "test".into() };
    let cancel =
        Requested { at: 1_000, asked_at: None, signal: 1, by: "ada".into(), by_starter: false, request: cancel };
    let mut journal = vec![Event::Started(started), Event::Requested(cancel)];
    let state = replay(&story.definition, &journal).unwrap();
    assert_eq!(state_text(&story.definition, &state), "running a:done b:attempting#1", "b may have landed");
    let refused = Story::tell("a", "a refuses").journal.pop().unwrap();
    let Event::AttemptEnded(ended) = refused else { panic!("an attempt ended") };
    journal.push(Event::AttemptEnded(crate::saga::event::AttemptEnded { at: 1_001, step: 1, ..ended }));
    let state = replay(&story.definition, &journal).unwrap();
    assert_eq!(state_text(&story.definition, &state), "compensating a:~attempting#1 b:failed");
    // Taken over a second time, the outcome still has the key of the saga that made the call.
    journal.truncate(1);
    let abandon = Request::Abandon { reason: "test".into() };
    let abandon =
        Requested { at: 1_000, asked_at: None, signal: 1, by: "ada".into(), by_starter: false, request: abandon };
    let fails = Story::tell("a", "a fails").journal.pop().unwrap();
    let Event::AttemptEnded(ended) = fails else { panic!("an attempt ended") };
    journal.push(Event::AttemptEnded(crate::saga::event::AttemptEnded { at: 999, step: 1, ..ended }));
    journal.push(Event::Requested(abandon));
    let state = replay(&story.definition, &journal).unwrap();
    let outcomes = take_over(&story.definition, Uuid::from_u128(2), &state, "b").unwrap();
    let inherited = outcomes[0].effect.clone().unwrap();
    assert_eq!((inherited.saga, inherited.generation), (OLD, 1));
}

#[test]
fn nothing_is_done_twice_and_nothing_left_behind() {
    let twice = "would be done twice";
    check_refused("a b<a", "a ok", "b", "until it has ended");
    check_refused("a b<a", "a ok; b fails; pause", "b", "until it has ended");
    check_refused("a b<a", "a ok; b ok", "b", twice);
    check_refused("a b<a", "a ok; b ok", "a", twice);
    check_refused("a b<a", "a ok; b fails; abandon", "a", "step \"a\" has its effect in place");
    // In flight, in doubt or accepted: the effect may be there.
    check_refused("a b<a", "a ok; abandon", "b", "may have taken effect");
    check_refused("a b(once)<a", "a ok; b unknown; abandon", "b", "may have taken effect");
    check_refused("a b(probe)<a", "a ok; b pending; abandon", "b", "may have taken effect");
    check_refused("a b<a", "a ok; b unknown; abandon", "b", "may have taken effect");
    // This also holds for a step beside the rerun step.
    check_refused("a b", "a fails; abandon", "a", "step \"b\" may have taken effect");
    // A step that was undone has no outcome. A step whose undoing is unfinished must not be done again.
    check_refused("a b<a", "a ok; b refuses; ~a ok", "b", "comes before");
    check_refused("a b<a c<b", "a ok; b ok; c refuses; ~b ok; abandon", "c", "step \"a\"");
    check_refused("a b<a", "a ok; b refuses; abandon", "b", "was not undone completely");
    check_refused("a(stays) b<a", "a ok; b refuses", "a", "has its effect in place");
    // A step whose kind waits for another comes after it, whatever its `needs` say.
    check_refused("a(reads) p!", "a ok; p ok", "a", "step \"p\" has its effect in place");
    check_refused("a", "a ok", "z", "its steps are a");
    check_refused("@open=1000 a", "a ok; commit", "a", "was open");
}

/// Closes the saga as it is, and reruns it from each legal step in a world that knows the truth. Steps that are done
/// again have left no effect; outcomes that are taken over are in place. Then each new saga is driven to its end.
/// Returns the number of legal steps.
pub(super) fn of_takeovers(world: &World, land: bool) -> Result<usize, Fault> {
    let mut closed = world.clone();
    if closed.state.end().is_none() {
        let request = Request::Abandon { reason: "test".into() };
        let signal = closed.state.signals_seen + 1;
        let event = Requested { at: closed.now, asked_at: None, signal, by: "ada".into(), by_starter: false, request };
        let event = Event::Requested(event);
        let (state, _) =
            transition(&closed.definition, &closed.state, &event).map_err(|illegal| illegal.to_string())?;
        closed.state = state;
    }
    let definition: std::sync::Arc<Definition> = closed.definition.clone();
    let names = rerunnable(&definition, OLD, &closed.state);
    for from in &names {
        let outcomes = take_over(&definition, OLD, &closed.state, from).map_err(|illegal| illegal.what)?;
        for (index, one) in closed.state.steps.iter().enumerate() {
            let (ledger, name) = (&closed.ledgers[index], &definition.step(&closed.state, index).name);
            let reads = call_of(&definition, &closed.state, index, Direction::Action)
                .is_none_or(|call| call.effect == Effect::ReadOnly);
            let taken = outcomes.iter().find(|outcome| outcome.step == index);
            match taken {
                None => {
                    must!(ledger.in_place == 0, "{name:?} is rerun from {from:?}, but its effect is in place");
                    // A late compensation finds the effect by its key, so an effect that may land blocks the rerun.
                    must!(!closed.may_land(index), "{name:?} is rerun from {from:?}, but may still land");
                }
                Some(outcome) => {
                    let there = one.phase == Phase::Done && !one.skipped_by_hand && !reads;
                    must!(ledger.in_place == u32::from(there), "{name:?}: {} effects taken over", ledger.in_place);
                    must!(outcome.effect.is_some() == (one.phase == Phase::Done), "{name:?} is {:?}", one.phase);
                }
            }
        }
        let started = started(&closed.state, from, outcomes);
        World::rerun(&closed, started)?.go_home(land, &mut Vec::new())?;
    }
    Ok(names.len())
}

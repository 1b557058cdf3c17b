//! The protocol of lanes, claims, sweeps and wakes, explored in full by a model checker: every order of moves, every
//! crash, lost answer, pause and late copy of a statement within its bounds. Owns what must hold, and the proof that
//! the check can fail: with one guard taken out, the model finds the defect.

mod moves;
mod protocol;
mod steps;

use std::path::Path;
use std::time::Duration;

use moves::{Move, Protocol};
use protocol::{Database, LaneState, Process, State, Without};
use stateright::{Checker, HasDiscoveries, Model, Property};

/// Folders of statements that are part of the protocol.
const NOUNS: [&str; 11] =
    ["chore", "inbox", "journal", "lane", "node", "saga", "signal", "start_queue", "sweep", "timer", "transition"];

/// Statements in them that are not, each with the reason.
const NOT_MODELLED: &[(&str, &str)] = &[
    ("chore/take", "saves work only: the model lets any node do any chore at any time"),
    ("node/clock", "reads only"),
    ("node/drain", "asks only; the node then claims nothing, and releases as when it leaves"),
    ("node/undrain", "asks only"),
    ("node/durability", "reads only"),
    ("node/list", "reads only"),
    ("node/next_due", "reads only; a node sleeps when it has left, and then comes back as another"),
    ("node/server", "reads only"),
    ("lane/timeline", "a promoted standby is met by a new lane: tests/it/store/lost.rs"),
    ("step_transaction/seal", "the batch of one row follows it in the same transaction: transition/commit"),
    ("journal/sagas", "reads only"),
    ("journal/walk", "reads only"),
    ("saga/count", "reads only"),
    ("saga/ended", "reads only"),
    ("saga/list", "reads only"),
    ("saga/read", "reads only"),
    ("saga/unreadable", "reads only"),
    ("saga/waits", "reads only"),
    ("saga/set_aside", "a park whose timer fires later"),
    ("saga/take_back", "changes only how a saga is listed"),
    ("quarantine/clear_node", "a wake of what is parked"),
    ("saga/of_lane", "reads only"),
    ("quarantine/mark", "counts deaths only"),
    ("quarantine/clear", "counts deaths only"),
    ("saga/lost", "the safety net: the model must do without it"),
    ("start_queue/forget", "ids are unique in the model"),
    ("signal/bulk", "signal/request for each of many sagas"),
    ("sweep/forget", "takes rows that nothing refers to any more"),
];

impl Model for Protocol {
    type State = State;
    type Action = Move;

    fn init_states(&self) -> Vec<State> {
        let lanes = usize::from(self.lanes);
        let born = |lane| {
            if lane < 2 { LaneState::Live } else { LaneState::Unborn }
        };
        let db = Database {
            awaits_signal: self.awaits_signal,
            lanes: (0..lanes).map(born).collect(),
            owner: None,
            queued: true,
            in_queue: self.in_queue,
            uncounted: false,
            ended: false,
            signaled: false,
            journal: Vec::new(),
            ready: if self.in_queue { Vec::new() } else { vec![(0, true)] },
            inbox: vec![false; lanes],
            timer: false,
        };
        let process = |lane| Process { gone: lane >= 2, ..Process::unborn() };
        vec![State {
            db,
            processes: (0..lanes).map(process).collect(),
            cuts: self.cuts,
            evictions: self.evictions,
            early_wakes: self.early.into(),
            told: Vec::new(),
            two_owners: false,
            dead_wrote: false,
            call_without_intent: false,
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Move>) {
        actions.extend(self.moves(state));
    }

    fn next_state(&self, state: &State, action: Move) -> Option<State> {
        self.after(state, action)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("no two owners' rows are both accepted", |_, state: &State| !state.two_owners),
            Property::always("who was taken for dead writes nothing", |_, state: &State| !state.dead_wrote),
            Property::always("no call leaves before its row is durable", |_, state: &State| !state.call_without_intent),
            Property::always(
                "a live saga has a lane, a ready row, a timer or its place in the queue",
                |_, state: &State| {
                    let db = &state.db;
                    db.in_queue || db.ended || db.owner.is_some() || !db.ready.is_empty() || db.timer
                },
            ),
            Property::always("no saga is forgotten", |model: &Self, state: &State| {
                let only_misfortune = model.moves(state).into_iter().all(Move::is_misfortune);
                !only_misfortune || state.db.ended
            }),
            Property::sometimes("it ends", |_, state: &State| state.db.ended),
        ]
    }
}

const TWO_LANES: Protocol = Protocol {
    lanes: 2,
    cuts: 0,
    evictions: 0,
    late_copies: true,
    awaits_signal: false,
    early: false,
    in_queue: false,
    // One node of each version.
    older: 0b01,
    without: Without::Nothing,
};

/// Moves that a run looks at, unless `AMENDS_MODEL=whole` asks for all of them.
const MOVES: usize = 1_000_000;
/// Different states that so many moves must lead to.
const STATES_LEAST: usize = 150_000;

/// Explores the nearest states, and all that lie no deeper than `depth_least`; or, when the whole is asked for, all
/// there are, however long that takes, except where `depth_most` bounds it. Prints how many and how deep that was.
#[track_caller]
fn holds(protocol: Protocol, depth_least: usize, depth_most: Option<usize>) {
    let mut builder = protocol.checker().threads(2);
    let is_whole = std::env::var_os("AMENDS_MODEL").is_some_and(|size| size == "whole");
    match depth_most.filter(|_| is_whole) {
        Some(most) => builder = builder.target_max_depth(most),
        None if is_whole => {}
        None => builder = builder.target_state_count(MOVES),
    }
    let checker = builder.spawn_bfs().join();
    let (states, depth) = (checker.unique_state_count(), checker.max_depth());
    let bound = depth_most.filter(|_| is_whole).map_or("all", |_| "as deep as it is told to go");
    let extent = if is_whole { bound } else { "the nearest" };
    println!("{protocol:?}: {states} states ({extent}), depth {depth}");
    for (property, path) in checker.discoveries().into_iter().filter(|(name, _)| *name != "it ends") {
        println!("{property}: {:?}", path.into_actions());
    }
    checker.assert_properties();
    assert!(states >= STATES_LEAST, "only {states} states: the bounds are wrong");
    assert!(depth > depth_least, "only {depth} deep: expected more than {depth_least}");
}

#[test]
fn the_protocol_holds_for_a_saga_that_waits_for_a_time() {
    holds(Protocol { cuts: 1, ..TWO_LANES }, 20, None);
}

#[test]
fn the_protocol_holds_for_a_saga_that_waits_for_a_signal() {
    holds(Protocol { cuts: 1, awaits_signal: true, ..TWO_LANES }, 20, None);
}

#[test]
fn the_protocol_holds_when_every_node_looks_before_it_claims() {
    for awaits_signal in [false, true] {
        holds(Protocol { cuts: 1, awaits_signal, older: 0, ..TWO_LANES }, 20, None);
    }
}

#[test]
fn the_protocol_holds_without_late_copies_and_without_looking_again() {
    for awaits_signal in [false, true] {
        holds(Protocol { cuts: 1, late_copies: false, awaits_signal, ..TWO_LANES }, 20, None);
    }
}

#[test]
fn the_protocol_holds_when_a_saga_is_taken_away() {
    for awaits_signal in [false, true] {
        holds(Protocol { evictions: 1, awaits_signal, ..TWO_LANES }, 20, None);
    }
}

#[test]
fn the_protocol_holds_when_sagas_are_taken_away_among_three() {
    for awaits_signal in [false, true] {
        holds(Protocol { lanes: 3, evictions: 2, awaits_signal, ..TWO_LANES }, 14, Some(26));
    }
}

#[test]
fn the_protocol_holds_with_a_third_node() {
    holds(Protocol { lanes: 3, awaits_signal: true, ..TWO_LANES }, 16, None);
}

#[test]
fn the_protocol_holds_for_a_saga_that_is_asked_before_its_first_claim() {
    for awaits_signal in [false, true] {
        holds(Protocol { cuts: 1, early: true, awaits_signal, ..TWO_LANES }, 16, Some(24));
        holds(Protocol { evictions: 1, early: true, awaits_signal, ..TWO_LANES }, 16, Some(24));
    }
    holds(Protocol { lanes: 3, early: true, awaits_signal: true, ..TWO_LANES }, 12, Some(18));
}

#[test]
fn the_protocol_holds_for_a_start_in_the_queue() {
    for awaits_signal in [false, true] {
        for older in [0b00, 0b01] {
            let protocol = Protocol { in_queue: true, early: true, awaits_signal, older, ..TWO_LANES };
            holds(Protocol { cuts: 1, ..protocol }, 16, Some(24));
            holds(Protocol { evictions: 1, ..protocol }, 16, Some(24));
        }
    }
}

#[test]
fn without_a_guard_the_model_finds_the_defect() {
    let forgotten = "no saga is forgotten";
    let defects = [
        (Without::Reconciling, false, true, forgotten),
        (Without::Fence, false, false, "who was taken for dead writes nothing"),
        (Without::ParkGuard, true, false, forgotten),
        (Without::LaterLoad, false, false, forgotten),
        (Without::Resolving, false, false, forgotten),
        (Without::Strays, false, false, forgotten),
        (Without::Looks, false, false, forgotten),
        (Without::Intent, false, false, "no call leaves before its row is durable"),
        // A signal before the first claim, or a wake of another kind.
        (Without::Input, true, true, forgotten),
        (Without::Input, false, false, forgotten),
        (Without::Unqueue, true, false, forgotten),
    ];
    for (without, awaits_signal, late_copies, property) in defects {
        let early = matches!(without, Without::Input | Without::Unqueue);
        let in_queue = without == Without::Unqueue;
        let older = if without == Without::Looks { 0 } else { TWO_LANES.older };
        let protocol = Protocol { cuts: 1, late_copies, awaits_signal, early, in_queue, older, without, ..TWO_LANES };
        let checker = protocol
            .checker()
            .threads(2)
            .finish_when(HasDiscoveries::AnyFailures)
            .timeout(Duration::from_secs(300))
            .spawn_bfs()
            .join();
        let found = checker.discovery(property).map(stateright::Path::into_actions);
        println!("{without:?}: {} states, {found:?}", checker.unique_state_count());
        assert!(found.is_some(), "without {without:?} the model finds nothing");
    }
}

#[test]
fn every_statement_of_the_protocol_has_its_move() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("sql/queries");
    let stood_for: Vec<&str> = Move::kinds().iter().flat_map(|kind| kind.statements()).copied().collect();
    for statement in &stood_for {
        assert!(root.join(format!("{statement}.sql")).exists(), "no such statement: {statement}");
    }
    for noun in NOUNS {
        for path in crate::tidy::files_below(&root.join(noun), "sql") {
            let name = path.strip_prefix(&root).unwrap().with_extension("").display().to_string();
            let excused = NOT_MODELLED.iter().any(|(prefix, _)| name.starts_with(prefix));
            assert!(stood_for.contains(&name.as_str()) || excused, "{name} has no move in the model");
        }
    }
}

//! Explores all small sagas and everything that can happen to them with few faults. Owns the set of graphs and the
//! search through their states. The properties are in `invariants.rs` and `world.rs`.
//!
//! The graphs are all graphs of up to four steps with all kinds, up to isomorphism. Each step behaves in one of a few
//! manners. In each graph the search takes every order in which things can go well, with every choice of at most
//! [`faults_max`] faults. These count as faults:
//!
//! * retryable failures, final refusals, and errors that the participant repeats under the key
//! * errored, unknown and pending outcomes: without effect, with an effect, or with a late effect
//! * inconclusive probes
//! * conditions that fail, and approvals that cannot be rendered or are denied
//! * lost owners and handovers
//! * `cancel` and `pause`
//! * a silence of all sides until keys are forgotten
//!
//! Some participants ask for a pause. `AMENDS_EXPLORE=1` allows one more fault everywhere.

use std::collections::{HashSet, VecDeque};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::fingerprint::fingerprint;
use super::invariants::call_of;
use super::moves::{Move, put_in_order};
use super::notation::{Graph, StepSpec};
use super::story::state_text;
use super::world::World;
use crate::saga::definition::{Kind, Millis};
use crate::saga::event::{Direction, Request};
use crate::saga::state::{Activity, Phase};

/// How the steps of a graph behave.
const MANNERS: &[&str] = &[
    "tries=2,~tries=2",
    "once,tries=2,~once,~tries=2",
    "once,probe,tries=2,asks=120,~once,~probe,~tries=2",
    "sure,tries=2,life=2000,~sure,~tries=2",
    "safe,once,tries=2,~tries=2",
    "safe,tries=2,life=2000,~tries=2",
    "when,tries=2,~tries=2",
    "stays,once,tries=2",
    "reads,tries=2",
    "approval,limit=900",
];

/// Returns the most faults in one history of a graph whose steps have these manners.
fn faults_max(manners: &[usize]) -> u32 {
    let uniform = manners.iter().all(|manner| *manner == manners[0]);
    match (manners.len(), uniform, manners[0]) {
        (0 | 1, ..) => 3,
        (2, true, _) => 2,
        _ => 1,
    }
}

/// Returns the choices of manners for this many steps. Two steps mix all manners freely. Otherwise all steps of a
/// graph share one manner; four steps have only two manners to choose from.
fn manners(steps: usize) -> Vec<Vec<usize>> {
    let all = 0..MANNERS.len();
    match steps {
        2 => all.clone().flat_map(|one| all.clone().map(move |other| vec![one, other])).collect(),
        4 => vec![vec![0; 4], vec![2; 4]],
        _ => all.map(|manner| vec![manner; steps]).collect(),
    }
}

#[test]
fn all_small_sagas_keep_the_promise() {
    let more = std::env::var("AMENDS_EXPLORE").ok().and_then(|text| text.parse().ok()).unwrap_or(0);
    let graphs: Vec<(Graph, u32)> = (1..=4).flat_map(all_graphs).collect();
    let next = AtomicUsize::new(0);
    let states = AtomicUsize::new(0);
    let broken = Mutex::new(None);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some((graph, faults)) = graphs.get(next.fetch_add(1, Ordering::Relaxed)) {
                    match explore(graph, faults + more) {
                        Ok(count) => states.fetch_add(count, Ordering::Relaxed),
                        Err(story) => {
                            let mut broken = broken.lock().expect("no thread panics while it holds the lock");
                            let shortest: &mut Option<String> = &mut broken;
                            if shortest.as_ref().is_none_or(|found| story.lines().count() < found.lines().count()) {
                                *shortest = Some(story);
                            }
                            return;
                        }
                    };
                }
            });
        }
    });
    if let Some(story) = broken.into_inner().expect("no thread panicked") {
        panic!("{story}");
    }
    println!("{} graphs, {} states", graphs.len(), states.into_inner());
}

/// Returns all graphs of this many steps with all kinds and manners, each with its most faults per history. Graphs of
/// one or two steps also come with a driver, which may commit, abort or vanish.
fn all_graphs(steps: usize) -> Vec<(Graph, u32)> {
    let manners = manners(steps);
    let mut all = Vec::new();
    for shape in shapes(steps) {
        for manners in &manners {
            let words: Vec<&str> = manners.iter().map(|manner| MANNERS[*manner]).collect();
            let graph = shape.graph(&words);
            if steps <= 2 && manners.iter().all(|manner| *manner == 0) {
                all.push((Graph { lease_ms: Some(3_000), ..graph.clone() }, 2));
            }
            all.push((graph, faults_max(manners)));
        }
    }
    all
}

/// Most states of a graph without faults. Each allowed fault multiplies the limit by four. Both are far above the
/// real numbers.
const STATES_MAX: usize = 64_000;

/// Which step needs which, and the kind of each step.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Shape {
    kinds: Vec<Kind>,
    /// `needs[i][j]`: step `i` needs step `j`.
    needs: Vec<Vec<bool>>,
}

impl Shape {
    fn graph(&self, manners: &[&str]) -> Graph {
        let name = |index: usize| char::from(b'a' + index as u8).to_string();
        let mut graph = Graph::default();
        for (index, kind) in self.kinds.iter().enumerate() {
            let mut step = StepSpec::parse(&format!("{}({})", name(index), manners[index]));
            step.kind = *kind;
            step.needs = (0..index).filter(|earlier| self.needs[index][*earlier]).map(name).collect();
            graph.steps.push(step);
        }
        put_in_order(&mut graph);
        graph
    }

    /// Returns the same graph with its steps in another order.
    fn permuted(&self, order: &[usize]) -> Self {
        Self {
            kinds: order.iter().map(|&old| self.kinds[old]).collect(),
            needs: order.iter().map(|&old| order.iter().map(|&needed| self.needs[old][needed]).collect()).collect(),
        }
    }
}

/// Returns all valid shapes of this many steps, one of each class of isomorphic shapes.
fn shapes(steps: usize) -> Vec<Shape> {
    let orders = permutations(steps);
    let pairs: Vec<(usize, usize)> =
        (0..steps).flat_map(|later| (0..later).map(move |earlier| (later, earlier))).collect();
    let kinds = [Kind::Compensable, Kind::Pivot, Kind::Retriable];
    let mut seen = HashSet::new();
    let mut found = Vec::new();
    for edges in 0..1_usize << pairs.len() {
        for assignment in 0..3_usize.pow(steps as u32) {
            let mut shape = Shape { kinds: Vec::new(), needs: vec![vec![false; steps]; steps] };
            for (bit, (later, earlier)) in pairs.iter().enumerate() {
                shape.needs[*later][*earlier] = edges >> bit & 1 == 1;
            }
            shape.kinds = (0..steps).map(|step| kinds[assignment / 3_usize.pow(step as u32) % 3]).collect();
            let plain = shape.graph(&vec!["tries=1"; steps]);
            let changed = plain.steps.iter().zip(&shape.kinds).any(|(step, kind)| step.kind != *kind);
            let least = orders.iter().map(|order| shape.permuted(order)).min().expect("an order");
            if !changed && plain.build().is_ok() && seen.insert(format!("{least:?}")) {
                found.push(shape);
            }
        }
    }
    found
}

fn permutations(count: usize) -> Vec<Vec<usize>> {
    if count == 0 {
        return vec![Vec::new()];
    }
    let shorter = permutations(count - 1);
    shorter
        .iter()
        .flat_map(|order| {
            (0..count).map(|at| {
                let mut longer = order.clone();
                longer.insert(at, count - 1);
                longer
            })
        })
        .collect()
}

/// A state that was reached: the state before it and the move between them.
struct Reached {
    from: usize,
    by: Option<Move>,
}

/// Visits every state that can be reached with at most this many faults. States with fewer faults come first, and
/// among these the nearest. Returns the number of states, or the history that breaks a property.
fn explore(graph: &Graph, faults_max: u32) -> Result<usize, String> {
    let definition = graph.build().map_err(|faults| format!("{graph} is refused: {faults:?}"))?;
    let start = World::new(&definition, graph.law(), false).map_err(|fault| format!("{graph}: {fault}"))?;
    let mut reached = vec![Reached { from: 0, by: None }];
    let mut visited = HashSet::from([fingerprint(&start)]);
    let mut layer = VecDeque::from([(start, 0)]);
    for faults in 0..=faults_max {
        let mut next = VecDeque::new();
        while let Some((world, at)) = layer.pop_front() {
            for (one, cost) in open_moves(&world) {
                if faults + cost > faults_max {
                    continue;
                }
                let mut after = world.clone();
                let outcome = after.apply(&one);
                if let Err(fault) = outcome {
                    return Err(story(graph, &reached, at, &one, &fault));
                }
                if !visited.insert(fingerprint(&after)) {
                    continue;
                }
                if visited.len() > STATES_MAX << (2 * faults_max) {
                    let fault = format!("more than {} states: a history repeats without end", visited.len());
                    return Err(story(graph, &reached, at, &one, &fault));
                }
                reached.push(Reached { from: at, by: Some(one) });
                let queue = if cost == 0 { &mut layer } else { &mut next };
                queue.push_back((after, reached.len() - 1));
            }
        }
        layer = next;
    }
    Ok(visited.len())
}

/// Returns the open moves of an exploration with their costs: the moves of the world and the requests that lead
/// somewhere.
fn open_moves(world: &World) -> Vec<(Move, u32)> {
    if world.state.end().is_some() {
        return Vec::new();
    }
    let mut moves = world.moves();
    let stuck = world.state.stuck().map(|(step, ..)| world.definition.step(&world.state, step).name.clone());
    let open = world.state.lease_until.is_some();
    let failed: Vec<String> = (0..world.state.steps.len())
        .filter(|step| open && world.state.steps[*step].phase == Phase::Failed)
        .map(|step| world.definition.step(&world.state, step).name.clone())
        .collect();
    let asks = world
        .state
        .steps
        .iter()
        .any(|one| matches!(one.phase, Phase::Active { activity: Activity::Asking { .. }, .. }));
    for request in world.requests() {
        let cost = match &request {
            Request::Cancel { .. } | Request::Pause { .. } | Request::Abort { .. } => 1,
            Request::Resume { .. } | Request::Provide { .. } | Request::Commit => 0,
            Request::Approve { digest, .. } if digest.len() == 64 => u32::from(!asks),
            Request::Approve { .. } | Request::Deny { .. } => 1,
            Request::Skip { step, .. } if failed.contains(step) => 0,
            Request::Retry { step, .. } | Request::Skip { step, .. } if stuck.as_ref() == Some(step) => 0,
            Request::Resolve { step, .. } => {
                let index = world.definition.index_of(&world.state, step).expect("a step");
                u32::from(!matches!(world.state.steps[index].phase, Phase::Stuck { .. }))
            }
            _ => continue,
        };
        moves.push((Move::Ask(request), cost));
    }
    moves.extend(long_silence(world).map(|ms| (Move::Pass(ms), 1)));
    moves
}

/// Returns the time after which the participants have forgotten the keys of all calls that are not over. No node and
/// no person acts in that time.
fn long_silence(world: &World) -> Option<Millis> {
    let steps = world.state.steps.iter().enumerate();
    let open = steps.filter(|(_, one)| matches!(one.phase, Phase::Active { .. } | Phase::Stuck { .. }));
    let calls = open.flat_map(|(index, one)| {
        [Direction::Action, Direction::Compensation].map(|direction| (index, direction, one.tally(direction)))
    });
    let forgotten_at = calls.filter_map(|(index, direction, tally)| {
        let call = call_of(&world.definition, &world.state, index, direction)?;
        Some(tally.generation_at? + call.key_lifetime_ms? + call.timeout_ms + call.settle_ms + 1)
    });
    forgotten_at.max()?.checked_sub(world.now).filter(|ms| *ms > 0)
}

fn story(graph: &Graph, reached: &[Reached], at: usize, last: &Move, fault: &str) -> String {
    let mut moves = vec![last];
    let mut at = at;
    while let Some(one) = &reached[at].by {
        moves.push(one);
        at = reached[at].from;
    }
    let definition = graph.build().expect("it was built before");
    let mut world = World::new(&definition, graph.law(), false).expect("it was made before");
    let mut lines = vec![fault.to_owned(), format!("graph {graph}")];
    for one in moves.into_iter().rev() {
        let text = world.describe(one);
        let broken = world.apply(one).is_err();
        let state = if broken { "broken".to_owned() } else { state_text(&definition, &world.state) };
        lines.push(format!("{:>6}  {text:<44} {state}", world.now));
    }
    lines.join("\n  ")
}

#[test]
fn there_are_as_many_shapes_as_there_should_be() {
    // There are 1, 2, 6 and 31 unlabelled acyclic graphs of 1 to 4 nodes. The kinds make more of each.
    let plain = |steps: usize| {
        let compensable = |shape: &Shape| shape.kinds.iter().all(|kind| *kind == Kind::Compensable);
        shapes(steps).into_iter().filter(compensable).count()
    };
    assert_eq!([plain(1), plain(2), plain(3), plain(4)], [1, 2, 6, 31]);
}

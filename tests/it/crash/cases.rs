//! Where and for whom a process dies. Owns the places, which come from the files of the statements and from the list in
//! the sources; the cases that are made of them; and the rules for what cannot occur and what may be missed.

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};

use rand::SeedableRng as _;
use rand::rngs::StdRng;
use rand::seq::{IndexedRandom as _, SliceRandom as _};

use crate::tidy::files_below;

/// Statements and places at which nobody dies here, each with the reason. A name that ends in `/` stands for a folder.
const LEFT_OUT: &[(&str, &str)] = &[
    ("access_token/", "of the command line and of doors; no saga depends on them"),
    ("session_key/", "of doors; no saga depends on them"),
    ("definition/pause", "asked by an operator in one statement"),
    ("definition/resume", "asked by an operator in one statement"),
    ("node/drain", "asked by an operator in one statement"),
    ("node/undrain", "asked by an operator in one statement"),
    ("node/list", "of the command line; reads only"),
    ("node/clock", "of programs without a node; reads only"),
    ("listener/", "only with `wake: listen`: tests/it/wake.rs"),
    ("listener: started", "only with `wake: listen`: tests/it/wake.rs"),
    ("listener: stopped", "only with `wake: listen`: tests/it/wake.rs"),
    ("idle_watch: started", "only with `idle: sleep`: tests/it/sleep.rs"),
    ("idle_watch: stopped", "only with `idle: sleep`: tests/it/sleep.rs"),
    ("node/next_due", "only with `idle: sleep`; reads only"),
    ("node/durability", "of the bench; reads only"),
    ("signal/bulk", "asked by an operator in one statement"),
    ("signal/evict", "asked by an operator in one statement"),
    ("erasure/ask", "asked by an operator in one statement"),
    ("erasure/of_saga", "of the command line; reads only"),
    ("journal/walk", "of the command line; reads only"),
    ("journal/sagas", "of the command line; reads only"),
    ("saga/list", "of doors; reads only"),
    ("saga/count", "of doors; reads only"),
    ("compact/begin", "only where dead rows pile up: tests/it/store/compact.rs"),
    ("compact: copying", "only where dead rows pile up: tests/it/store/compact.rs"),
    ("saga/lost", "sent two minutes after the start: tests/it/store/sweep.rs"),
    ("saga/unreadable", "of whoever looks; reads only"),
    ("saga/waits", "of the command line; reads only"),
    ("saga/of_lane", "only after an actor has died: tests/it/faults.rs"),
    ("quarantine/", "only after deaths: tests/it/poison.rs, tests/it/store/quarantine.rs"),
    ("saga/set_aside", "only for a damaged journal: tests/it/fuzz.rs"),
    ("saga/take_back", "changes only how a saga is listed"),
    ("lane/retire", "only after a failover: tests/it/failover.rs"),
    ("outbox/of_saga", "of the command line; reads only"),
    ("start_key/", "of doors; reads only"),
    ("measure/checkup", "of the command line; reads only"),
    ("measure/connection", "of the command line; reads only"),
    ("start_queue/forget", "only after the same start came twice at once: tests/it/store/start_queue.rs"),
    ("rerun/outcome", "of whoever asked; reads only"),
];

/// Places that need a lost answer to be passed.
const AFTER_LOST_ANSWERS: &[&str] =
    &["commit again:", "transition/resolve:", "lane/live:", "saga/owned:", "transactional: looked up"];

/// Places of the first node ever on a database.
const OF_THE_FIRST_NODE: &[&str] = &["migration/lock:", "migration/prepare:", "migration/record", "migration: applied"];

/// What only who takes over from a dead owner passes.
const OF_HEIRS: &[&str] = &["sweep/requeue:"];

/// What a process passes once in its life, or so seldom that another time would have to be waited for.
const ONCE: &[&str] = &[
    "migration/",
    "migration:",
    "node/server:",
    "node/join:",
    "node/leave:",
    "lane/open:",
    "lane/timeline:",
    "compact/",
    "measure/",
    "partition/",
    "erasure/expired:",
    "sweep/forget",
    "sweep/orphaned_lanes:",
    "definition/put:",
    "definition/choose:",
    "definition/note_plain:",
    "start_queue/take:",
    "rerun/ask:",
    "rerun/take:",
    "rerun/decided:",
    "turn/cancel_waiting:",
    "timer/fire:",
    "stop/announce:",
    "runtime:",
    "dispatcher: draining",
    "heartbeat:",
    "lookout:",
    "orphan_finder:",
    "chore/take:",
    "virtual_time/",
    "quota_use/",
    "definition_poller:",
    "completion_poller:",
    "rerunner:",
    "turn_granter:",
    "outbox_relay:",
    "timers:",
    "dead_nodes:",
    "left_behind:",
    "retention:",
    "compactor:",
    "measurement:",
    "safety_net:",
    "supervisor:",
    "lane_worker:",
    "committer:",
    "dispatcher:",
];

/// What any of several nodes does, whichever comes first.
const OF_ANYBODY: &[&str] = &[
    "journal/load:",
    "outbox/",
    "notification:",
    "turn/",
    "rerun/",
    "timer/",
    "sweep/",
    "inbox/",
    "signal/after:",
    "saga/claim:",
    "start_queue/take:",
    "saga/read:",
    "saga/park:",
    "saga/ended:",
    "definition/read:",
    "measure/",
    // One node does the chores of the fleet.
    "chore/",
    "virtual_time/",
    "quota_use/",
    "compact/",
    "partition/",
    "erasure/expired:",
    "quarantine/forget:",
    "saga/lost:",
    "saga: reading",
    "saga: ended",
];

/// What chance decides, too: an answer that is lost at the right statement, or a row in the right moment.
const BY_CHANCE: &[&str] = &[
    "transition/resolve:",
    "lane/live:",
    "saga/owned:",
    "commit again:",
    "transactional: looked up",
    "outbox/",
    "saga/release:",
    "turn/cancel_waiting:",
    "inbox/drain:",
];

/// What ends on a thread for which a process that exits does not wait.
const AT_EXIT: &[&str] = &["lane_worker: stopped", "committer: stopped", "dispatcher: stopped"];

/// Definitions for which a place may be wanted, and whether they turn back. Linear and parallel graphs, pivot and
/// retriable steps, participants with keys, with a probe and without either, one that errs after the effect, waits,
/// turns, and one transaction.
const AIMS: [(&str, bool); 17] = [
    ("linear", false),
    ("linear_back", true),
    ("parallel", false),
    ("parallel_back", true),
    ("pivot", false),
    ("bare", false),
    ("bare_back", true),
    ("waits", false),
    ("within", false),
    ("within_back", true),
    ("turns", false),
    ("turns_back", true),
    ("early", false),
    ("early_back", true),
    ("errs", false),
    ("errs_back", true),
    ("left_back", true),
];

/// Cases of a short run.
const SAMPLE: usize = 52;
/// A later pass of a place.
const LATER: u32 = 3;

/// Sagas of which a place is passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Aim {
    pub(super) definition: &'static str,
    pub(super) backward: bool,
}

impl Aim {
    pub(super) fn direction(self) -> &'static str {
        if self.backward { "backward" } else { "forward" }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Case {
    pub(super) place: String,
    /// Whose pass of the place counts; none for anybody's.
    pub(super) aim: Option<Aim>,
    /// The how manieth time.
    pub(super) hit: u32,
    /// It dies while it takes over from a dead owner.
    pub(super) as_heir: bool,
    /// Another node is there all the time.
    pub(super) in_company: bool,
}

fn starts(place: &str, with: &[&str]) -> bool {
    with.iter().any(|start| place.starts_with(start))
}

impl Case {
    /// The name under which the process passes the place.
    pub(super) fn point(&self) -> String {
        match self.aim {
            Some(aim) => format!("{} for {} {}", self.place, aim.definition, aim.direction()),
            None => self.place.clone(),
        }
    }

    pub(super) fn loses_answers(&self) -> bool {
        starts(&self.place, AFTER_LOST_ANSWERS)
    }

    /// Whether its process is the first on its database.
    pub(super) fn begins_with_nothing(&self) -> bool {
        starts(&self.place, OF_THE_FIRST_NODE)
    }

    /// Whether it is about a time that comes.
    pub(super) fn is_about_timers(&self) -> bool {
        self.place.starts_with("timer/")
    }

    /// How long its process may take to come to its place: who inherits waits for a lease to run out, there is a sweep
    /// each second, and what an error proves is known only when a late effect has had its time.
    pub(super) fn takes_ms(&self) -> u64 {
        let sweeps_again = self.hit > 1 && self.place.starts_with("sweep/");
        let met_errors = self.aim.is_some_and(|aim| aim.backward && starts(aim.definition, &["errs", "left"]));
        if self.as_heir || sweeps_again || met_errors { 5_000 } else { 1_600 }
    }

    /// Whether the participants shall lose answers, so that somebody has to ask.
    pub(super) fn is_about_probes(&self) -> bool {
        self.place.starts_with("probe:")
    }

    /// Why there is no such case; none if there is.
    pub(super) fn cannot_occur(&self) -> Option<&'static str> {
        if let Some(aim) = self.aim {
            let turns_back = AIMS.iter().any(|(name, back)| *name == aim.definition && *back);
            let has_probe = starts(aim.definition, &["linear", "parallel", "turns", "early", "errs", "left"]);
            let is_called = starts(&self.place, &["action:", "compensation:", "probe:"]);
            if aim.definition == "early_back" && (is_called || !aim.backward && self.place != "saga: reading") {
                return Some("it turns back before it begins, unless its owner dies at its claim");
            }
            match (&*self.place, aim.backward) {
                (_, true) if !turns_back => return Some("its sagas never turn back"),
                ("saga: reading", true) => return Some("the direction is not read yet"),
                (place, true) if place.starts_with("action:") => return Some("actions go forward"),
                (place, true) if place.starts_with("probe:") && aim.definition != "errs_back" => {
                    return Some("its compensations have keys and no probe");
                }
                (place, false) if place.starts_with("compensation:") => {
                    return Some("compensations go backward");
                }
                (place, _) if place.starts_with("probe:") && !has_probe => {
                    return Some("its participants have no probe");
                }
                _ => {}
            }
        }
        if self.hit > 1 && starts(&self.place, ONCE) {
            return Some("a process passes it once, or seldom");
        }
        if self.begins_with_nothing() && (self.as_heir || self.in_company) {
            return Some("the schema is made once, before anything else");
        }
        if self.hit > 2 && starts(&self.place, OF_HEIRS) {
            return Some("the one lane of the dead owner is handed back in two statements");
        }
        if !self.as_heir && starts(&self.place, OF_HEIRS) {
            return Some("nobody has died yet");
        }
        None
    }

    /// Why its process need not have died; none if it must have.
    pub(super) fn may_be_missed(&self) -> Option<&'static str> {
        if self.in_company && starts(&self.place, OF_ANYBODY) {
            return Some("the other node may have come first");
        }
        if self.in_company && self.as_heir && self.is_about_probes() {
            return Some("the other node may have come first");
        }
        if self.in_company && self.aim.is_some_and(|aim| aim.definition.starts_with("early")) {
            return Some("the other node may have come first");
        }
        let takes_turns = self.aim.is_some_and(|aim| aim.definition.starts_with("turns"));
        if takes_turns && (self.hit > 1 || self.as_heir && self.in_company) {
            return Some("its sagas run one at a time, and there may be no time for so many");
        }
        if self.hit > 1 && self.place.starts_with("journal/load:") {
            return Some("there may be no time for so many sagas that come back");
        }
        if starts(&self.place, AT_EXIT) {
            return Some("the process may be gone before its threads have ended");
        }
        starts(&self.place, BY_CHANCE).then_some("it takes a chance that did not come")
    }
}

impl fmt::Display for Case {
    /// The first columns of a row of the table.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (definition, direction) = self.aim.map_or(("any", "any"), |aim| (aim.definition, aim.direction()));
        let role = if self.as_heir { "heir" } else { "owner" };
        let company = if self.in_company { "another" } else { "nobody" };
        write!(f, "{} | {definition} | {direction} | {} | {role} | {company}", self.place, self.hit)
    }
}

/// Names of all statements: `noun/verb`.
pub(super) fn statements() -> Vec<String> {
    let root = Path::new("sql/queries");
    let name = |file: PathBuf| file.strip_prefix(root).unwrap().with_extension("").display().to_string();
    files_below(root, "sql").into_iter().map(name).collect()
}

/// Why nobody dies around a statement.
fn left_out(name: &str) -> Option<&'static str> {
    LEFT_OUT.iter().find(|(start, _)| name == *start || name.starts_with(start)).map(|(_, reason)| *reason)
}

/// Each place, for anybody or for one definition and direction.
fn points() -> Vec<(String, Option<Aim>)> {
    let mut points = Vec::new();
    for name in statements().iter().filter(|name| left_out(name).is_none()) {
        points.extend(["sending", "answered"].map(|side| (format!("{name}: {side}"), None)));
    }
    let places = amends::boundary::ALL.iter().filter(|place| left_out(place).is_none());
    points.extend(places.map(|place| ((*place).to_owned(), None)));
    for place in amends::boundary::OF_SAGAS {
        for (definition, _) in AIMS {
            let aims = [false, true].map(|backward| Aim { definition, backward });
            points.extend(aims.map(|aim| ((*place).to_owned(), Some(aim))));
        }
    }
    points
}

const ROLES: [(bool, bool); 4] = [(false, false), (true, true), (false, true), (true, false)];

/// The cases of a point: its first pass and a later one, by the owner and by an heir, alone and beside another. Where a
/// place is passed for a saga, each pass has two of the four, in rotation.
fn cases_of(number: usize, place: &str, aim: Option<Aim>) -> Vec<Case> {
    let case = |hit, (as_heir, in_company)| Case { place: place.to_owned(), aim, hit, as_heir, in_company };
    match aim {
        None => ROLES.map(|role| case(1, role)).into_iter().chain([case(LATER, ROLES[number % 4])]).collect(),
        Some(_) => {
            let pair = |at: usize| [ROLES[at % 2 * 2], ROLES[at % 2 * 2 + 1]];
            let first = pair(number).map(|role| case(1, role));
            first.into_iter().chain(pair(number + 1).map(|role| case(LATER, role))).collect()
        }
    }
}

/// All cases there are, and how many there are not, by the reason.
pub(super) fn whole() -> (Vec<Case>, Vec<Case>) {
    let points = points();
    let cases = points.iter().enumerate().flat_map(|(number, (place, aim))| cases_of(number, place, *aim));
    cases.partition(|case| case.cannot_occur().is_none())
}

/// The sample of a seed: one case of each of some points. As many seeds one after the other as it takes come to all.
pub(super) fn sample(seed: u64) -> Vec<Case> {
    let (whole, _) = whole();
    let mut points: Vec<(String, Option<Aim>)> =
        whole.iter().map(|case| (case.place.clone(), case.aim)).collect::<BTreeSet<_>>().into_iter().collect();
    // The same order for all seeds.
    points.shuffle(&mut StdRng::seed_from_u64(0));
    let mut chance = StdRng::seed_from_u64(seed);
    let begin = usize::try_from(seed).unwrap().wrapping_mul(SAMPLE) % points.len();
    let chosen = points.iter().cycle().skip(begin).take(SAMPLE);
    let of = |(place, aim): &(String, Option<Aim>)| -> Vec<&Case> {
        whole.iter().filter(|case| case.place == *place && case.aim == *aim).collect()
    };
    chosen.filter_map(|point| of(point).choose(&mut chance).map(|case| (*case).clone())).collect()
}

#[test]
fn seeds_come_to_every_place() {
    let (whole, _) = whole();
    let all: BTreeSet<(String, Option<Aim>)> = whole.iter().map(|case| (case.place.clone(), case.aim)).collect();
    let seeds = u64::try_from(all.len().div_ceil(SAMPLE)).unwrap();
    let met: BTreeSet<(String, Option<Aim>)> =
        (7..7 + seeds).flat_map(sample).map(|case| (case.place, case.aim)).collect();
    assert_eq!(met, all);
    assert_eq!(sample(7), sample(7));
}

/// A place for which there is no case at all is one that the matrix has forgotten.
#[test]
fn every_place_has_a_case() {
    let (whole, _) = whole();
    let has = |place: &str| whole.iter().any(|case| case.place == place);
    for place in amends::boundary::ALL.iter().chain(amends::boundary::OF_SAGAS) {
        assert!(has(place) != left_out(place).is_some(), "{place:?} is forgotten, or left out twice");
    }
    for name in statements() {
        assert!(
            has(&format!("{name}: sending")) != left_out(&name).is_some(),
            "{name} is forgotten, or left out twice"
        );
    }
    for (start, _) in LEFT_OUT {
        let is_statement = statements().iter().any(|name| name.starts_with(start));
        assert!(is_statement || amends::boundary::ALL.contains(start), "there is no such statement or place: {start}");
    }
}

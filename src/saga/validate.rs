//! Refuses definitions that could not keep the promise, with all faults at once. Owns the rules. The room that
//! evaluates expressions parses them.

use std::collections::{BTreeMap, BTreeSet};

use super::definition::{
    ATTEMPTS_MAX, Action, Call, DURATION_MS_MAX, Draft, Effect, Expression, Kind, Millis, NAME_MAX,
    NOTICE_TIMEOUT_MS_MAX, OnDisconnect, Probe, QUOTA_BYTES_MAX, QUOTA_LIVE_MAX, Retry, Rule, STEPS_MAX, Step, Target,
    Verdict,
};
use super::reserved_headers::reserved_header;
use super::retry;

/// One thing that is wrong with a definition.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fault {
    /// Place of the fault, such as `steps[1].action.retry.attempts`, as in the draft's JSON (an action's call is
    /// `steps[1].action`).
    pub path: String,
    /// What was expected, what was found, and what to do.
    pub message: String,
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.path, self.message)
    }
}

/// Collects faults under a path.
struct Faults(Vec<Fault>);

impl Faults {
    fn add(&mut self, path: impl Into<String>, message: impl Into<String>) {
        self.0.push(Fault { path: path.into(), message: message.into() });
    }

    fn within(&mut self, path: String, what: &str, value: Millis, least: Millis) {
        if !(least..=DURATION_MS_MAX).contains(&value) {
            self.add(path, format!("{what} must be {least} to {DURATION_MS_MAX} ms, found {value} ms"));
        }
    }
}

/// Checks a draft. Returns the needs of each step as ascending indexes, or all faults.
pub(super) fn draft(draft: &Draft) -> Result<Vec<Vec<usize>>, Vec<Fault>> {
    let mut faults = Faults(Vec::new());
    name(&mut faults, "name", "a definition", &draft.name);
    if let Some(ms) = draft.retention_ms {
        faults.within("retention_ms".into(), "the saga's retention", ms, 1);
    }
    if let Some(ms) = draft.deadline_ms {
        faults.within("deadline_ms".into(), "the saga's deadline", ms, 1);
    }
    if let Some(open) = &draft.open {
        faults.within("open.lease_ms".into(), "the driver's lease", open.lease_ms, 1_000);
        if draft.on_disconnect == OnDisconnect::Abort {
            let message = "an open saga cannot be called as a tool, and the end of its lease turns it back; remove \
                           `on_disconnect` or `open`";
            faults.add("on_disconnect", message);
        }
    }
    let of_starts = [("concurrency", &draft.concurrency), ("priority", &draft.priority), ("fairness", &draft.fairness)];
    for (path, found) in of_starts {
        if let Some(found) = found {
            expression(&mut faults, path.into(), found);
        }
    }
    if let Some(quota) = &draft.quota {
        if draft.fairness.is_none() {
            faults.add("quota", "a quota needs `fairness`, which says whose sagas it counts; add it");
        }
        if quota.live.is_none() && quota.bytes.is_none() {
            faults.add("quota", "expected `live`, `bytes` or both, found neither");
        }
        let limits = [("quota.live", quota.live, QUOTA_LIVE_MAX), ("quota.bytes", quota.bytes, QUOTA_BYTES_MAX)];
        for (path, limit, most) in limits {
            if let Some(found) = limit.filter(|limit| !(1..=most).contains(limit)) {
                faults.add(path, format!("expected 1 to {most}, found {found}"));
            }
        }
    }
    for (path, notice) in [("on_stuck", &draft.on_stuck), ("on_end", &draft.on_end)] {
        let Some(notice) = notice else { continue };
        if !(1..=NOTICE_TIMEOUT_MS_MAX).contains(&notice.timeout_ms) {
            let found = notice.timeout_ms;
            let message = format!("the time-out is 1 to {NOTICE_TIMEOUT_MS_MAX} ms, found {found} ms");
            faults.add(format!("{path}.timeout_ms"), message);
        }
        target(&mut faults, &format!("{path}.target"), &notice.target);
        if let Some(success) = &notice.success {
            expression(&mut faults, format!("{path}.success"), success);
        }
    }
    if draft.steps.is_empty() && draft.open.is_none() {
        faults.add("steps", "a saga needs at least one step unless it is open; add a step or `open`");
    }
    if draft.steps.len() > STEPS_MAX {
        let found = draft.steps.len();
        faults.add("steps", format!("a saga has at most {STEPS_MAX} steps, found {found}; split it"));
    }
    let mut index_of = BTreeMap::new();
    for (index, step) in draft.steps.iter().enumerate() {
        if let Some(first) = index_of.insert(step.name.as_str(), index) {
            let message = format!("the name {:?} is taken by step {}; names are unique", step.name, first + 1);
            faults.add(format!("steps[{index}].name"), message);
            index_of.insert(step.name.as_str(), first);
        }
    }
    let needs: Vec<Vec<usize>> = draft
        .steps
        .iter()
        .enumerate()
        .map(|(index, one)| {
            let path = format!("steps[{index}]");
            step(&mut faults, &path, one);
            needs(&mut faults, &path, one, |name| index_of.get(name).copied())
        })
        .collect();
    order(&mut faults, &draft.steps, &needs);
    events(&mut faults, &draft.steps);
    if faults.0.is_empty() { Ok(needs) } else { Err(faults.0) }
}

/// Checks a step that a driver appends after the steps `known`. Returns its needs, or all faults. The known steps are
/// in order among themselves, so only the order between the new step and its needs is checked.
pub(super) fn appended(one: &Step, known: &[&Step]) -> Result<Vec<usize>, Vec<Fault>> {
    let mut faults = Faults(Vec::new());
    if known.len() >= STEPS_MAX {
        faults.add("step", format!("an open saga has at most {STEPS_MAX} steps; commit it and start another"));
    }
    step(&mut faults, "step", one);
    let index_of = |name: &str| known.iter().position(|earlier| earlier.name == name);
    let needs = needs(&mut faults, "step", one, index_of);
    for &earlier in &needs {
        if let Some(message) = misplaced(one, known[earlier]) {
            faults.add("step.kind", message);
        }
    }
    if faults.0.is_empty() { Ok(needs) } else { Err(faults.0) }
}

/// Returns further faults of an appended step, by rules that came later. They apply only to new requests, because
/// older journals were accepted without them. `before` holds the steps that the step comes after if it names no
/// needs.
pub(super) fn appended_now(one: &Step, known: &[&Step], before: &[&Step]) -> Vec<Fault> {
    let mut faults = Faults(Vec::new());
    for message in before.iter().filter_map(|earlier| misplaced(one, earlier)) {
        faults.add("step.kind", message);
    }
    if known.iter().any(|other| shares_event(one, other)) {
        faults.add("step.action.event", shared_event(one));
    }
    if let Some(other) = known.iter().find(|other| shares_event(other, one)) {
        faults.add("step.name", shared_event(other));
    }
    faults.0
}

/// Returns whether a text may be a name: lower case letters, digits and `_`, starting with a letter, at most
/// [`NAME_MAX`] characters.
pub fn is_name(text: &str) -> bool {
    let mut characters = text.chars();
    text.len() <= NAME_MAX
        && characters.next().is_some_and(|first| first.is_ascii_lowercase())
        && characters.all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

fn name(faults: &mut Faults, path: &str, whose: &str, text: &str) {
    if !is_name(text) {
        let rule = format!("1 to {NAME_MAX} lower case letters, digits and `_`, a letter first");
        faults.add(path, format!("the name of {whose} is {rule}; found {text:?}"));
    }
}

fn needs(faults: &mut Faults, path: &str, step: &Step, index_of: impl Fn(&str) -> Option<usize>) -> Vec<usize> {
    let mut found = BTreeSet::new();
    for (position, need) in step.needs.iter().enumerate() {
        let path = format!("{path}.needs[{position}]");
        match index_of(need) {
            None => faults.add(path, format!("step {:?} needs {need:?}, which is no step of this saga", step.name)),
            Some(_) if *need == step.name => faults.add(path, format!("step {need:?} needs itself")),
            Some(index) => {
                if !found.insert(index) {
                    faults.add(path, format!("step {:?} needs {need:?} twice; name it once", step.name));
                }
            }
        }
    }
    found.into_iter().collect()
}

fn step(faults: &mut Faults, path: &str, step: &Step) {
    name(faults, &format!("{path}.name"), "a step", &step.name);
    if let Some(when) = &step.when {
        expression(faults, format!("{path}.when"), when);
    }
    let writes = match &step.action {
        Action::Call(action) => {
            call(faults, &format!("{path}.action"), action);
            action.effect != Effect::ReadOnly
        }
        Action::Await { event, deadline_ms } => {
            name(faults, &format!("{path}.action.event"), "an event", event);
            if let Some(ms) = deadline_ms {
                faults.within(format!("{path}.action.deadline_ms"), "the longest wait", *ms, 1);
            }
            false
        }
        Action::Approval { message, deadline_ms, .. } => {
            if message.0.as_str().is_some_and(|text| text.trim().is_empty()) {
                faults.add(format!("{path}.action.message"), "expected the text of the question, found nothing");
            }
            if let Some(ms) = deadline_ms {
                faults.within(format!("{path}.action.deadline_ms"), "the longest wait", *ms, 1);
            }
            if step.kind != Kind::Compensable {
                let message = "a denial turns the saga back, so an approval comes before the point of no return; \
                               remove the kind";
                faults.add(format!("{path}.kind"), message);
            }
            false
        }
        Action::Sleep { for_ms } => {
            faults.within(format!("{path}.action.for_ms"), "a sleep", *for_ms, 1);
            false
        }
    };
    if let Some(compensation) = &step.compensation {
        let path = format!("{path}.compensation");
        call(faults, &path, compensation);
        if compensation.effect == Effect::ReadOnly {
            faults.add(format!("{path}.effect"), "a compensation undoes something, so it is not read_only");
        }
    }
    undo(faults, path, step, writes);
}

/// Checks the rules about undoing a step.
fn undo(faults: &mut Faults, path: &str, step: &Step, writes: bool) {
    let undoable = step.compensation.is_some();
    if step.kind == Kind::Compensable && writes && !undoable && !step.irreversible {
        let name = &step.name;
        let message = format!(
            "step {name:?} has an effect and nothing undoes it; add `compensation`, make it the `pivot` or \
             `retriable`, declare it `read_only`, or accept that it stays with `irreversible: true`"
        );
        faults.add(path, message);
    }
    if undoable && !writes {
        faults.add(format!("{path}.compensation"), "the action has no effect, so there is nothing to compensate");
    }
    if undoable && step.kind != Kind::Compensable {
        let message = "a pivot or retriable step is never compensated; remove the compensation or the kind";
        faults.add(format!("{path}.compensation"), message);
    }
    if undoable && step.irreversible {
        faults.add(format!("{path}.irreversible"), "a step with a compensation is not irreversible; choose one");
    }
    if step.irreversible && step.kind != Kind::Compensable {
        let message = "a pivot or retriable step is irreversible already; remove `irreversible`";
        faults.add(format!("{path}.irreversible"), message);
    }
    if step.safe_when_absent && !undoable {
        let message = "`safe_when_absent` needs a compensation, and there is none; add one, or remove it";
        faults.add(format!("{path}.safe_when_absent"), message);
    }
}

fn call(faults: &mut Faults, path: &str, call: &Call) {
    faults.within(format!("{path}.timeout_ms"), "the time-out of an attempt", call.timeout_ms, 1);
    if let Some(ms) = call.deadline_ms {
        faults.within(format!("{path}.deadline_ms"), "the step's deadline", ms, 1);
    }
    if let Some(ms) = call.key_lifetime_ms {
        faults.within(format!("{path}.key_lifetime_ms"), "the lifetime of a key", ms, 1);
        if call.effect != Effect::Idempotent {
            let message = "only an idempotent call has a key lifetime; set `effect: idempotent` or remove it";
            faults.add(format!("{path}.key_lifetime_ms"), message);
        }
        let landing_ms = retry::landing_ms(call);
        if ms <= landing_ms {
            let message = format!(
                "the participant forgets the key after {ms} ms, and an attempt may land as late as {landing_ms} ms \
                 (`timeout` plus `settle`); shorten them or remove the lifetime"
            );
            faults.add(format!("{path}.key_lifetime_ms"), message);
        }
    }
    if call.is_transactional() {
        transactional(faults, path, call);
    }
    faults.within(format!("{path}.settle_ms"), "the settle window", call.settle_ms, 0);
    pauses(faults, &format!("{path}.retry"), &call.retry);
    target(faults, &format!("{path}.target"), &call.target);
    if let Some(success) = &call.success {
        expression(faults, format!("{path}.success"), success);
    }
    if let Some(refused) = &call.refused {
        expression(faults, format!("{path}.refused"), &refused.when);
    }
    for (index, one) in call.classify.iter().enumerate() {
        rule(faults, &format!("{path}.classify[{index}]"), one);
    }
    if let Some(one) = &call.probe {
        probe(faults, &format!("{path}.probe"), one);
    }
}

fn rule(faults: &mut Faults, path: &str, rule: &Rule) {
    expression(faults, format!("{path}.when"), &rule.when);
    let refusal = match rule.outcome {
        Verdict::Failed | Verdict::Retryable => true,
        Verdict::Succeeded | Verdict::Pending | Verdict::Errored | Verdict::Unknown => false,
    };
    if rule.answers_key && !refusal {
        let message = "only a refusal can hold for earlier attempts; make the outcome `failed` or `retryable`, or \
                       remove `answers_key`";
        faults.add(format!("{path}.answers_key"), message);
    }
    if rule.key.is_some() && rule.outcome != Verdict::Retryable {
        let message = "a new key is for the next attempt; make the outcome `retryable`, or remove `key`";
        faults.add(format!("{path}.key"), message);
    }
}

/// Checks a transactional call. Its effect and its record are one transaction: only a Rust handler can use that
/// transaction, and there is no doubt to ask about.
fn transactional(faults: &mut Faults, path: &str, call: &Call) {
    match &call.target {
        Target::Handler { .. } => {}
        Target::Tool { .. } | Target::Http { .. } => {
            let message = "only a Rust handler can use the transaction that records its success; call a `handler`, or \
                           set `effect: idempotent` or `once`";
            faults.add(format!("{path}.effect"), message);
        }
    }
    if call.probe.is_some() {
        let message = "a transactional call is never in doubt, so there is nothing to ask; remove the probe";
        faults.add(format!("{path}.probe"), message);
    }
    for (field, is_there) in [("success", call.success.is_some()), ("classify", !call.classify.is_empty())] {
        if is_there {
            let message = "a transactional handler decides by itself whether it succeeds; remove the rule";
            faults.add(format!("{path}.{field}"), message);
        }
    }
}

/// Checks that a definition sets no reserved header. Otherwise the caller that starts a saga could send a request
/// elsewhere.
fn target(faults: &mut Faults, path: &str, target: &Target) {
    let Target::Http { headers, .. } = target else { return };
    for name in headers.keys() {
        if let Some(why) = reserved_header(name) {
            let message = format!("a definition cannot set the header {name:?}: {why}; remove it");
            faults.add(format!("{path}.http.headers.{name}"), message);
        }
    }
}

fn probe(faults: &mut Faults, path: &str, probe: &Probe) {
    target(faults, &format!("{path}.target"), &probe.target);
    expression(faults, format!("{path}.applied"), &probe.applied);
    if let Some(absent) = &probe.absent {
        expression(faults, format!("{path}.absent"), absent);
    }
    faults.within(format!("{path}.timeout_ms"), "the time-out of a probe", probe.timeout_ms, 1);
    pauses(faults, &format!("{path}.retry"), &probe.retry);
}

fn pauses(faults: &mut Faults, path: &str, retry: &Retry) {
    let Retry { attempts, backoff_ms, multiplier, backoff_max_ms, jitter } = retry;
    if !(1..=ATTEMPTS_MAX).contains(attempts) {
        faults.add(format!("{path}.attempts"), format!("attempts are 1 to {ATTEMPTS_MAX}, found {attempts}"));
    }
    faults.within(format!("{path}.backoff_ms"), "the first pause", *backoff_ms, 0);
    faults.within(format!("{path}.backoff_max_ms"), "the longest pause", *backoff_max_ms, 0);
    if !(1.0..=100.0).contains(multiplier) {
        faults.add(format!("{path}.multiplier"), format!("the multiplier is 1 to 100, found {multiplier}"));
    }
    if !(0.0..=1.0).contains(jitter) {
        faults.add(format!("{path}.jitter"), format!("jitter is a share from 0 to 1, found {jitter}"));
    }
}

fn expression(faults: &mut Faults, path: String, expression: &Expression) {
    if expression.0.trim().is_empty() {
        faults.add(path, "expected a CEL expression, found nothing");
    }
}

/// Checks the rules about order: no cycle, no compensable step after the point of no return, one pivot on a path.
fn order(faults: &mut Faults, steps: &[Step], needs: &[Vec<usize>]) {
    let before = ancestors(needs);
    let mut cyclic = Vec::new();
    for (index, step) in steps.iter().enumerate() {
        if before[index].contains(&index) {
            cyclic.push(step.name.as_str());
            continue;
        }
        for &earlier in &before[index] {
            if let Some(message) = misplaced(step, &steps[earlier]) {
                faults.add(format!("steps[{index}].kind"), message);
            }
        }
    }
    if !cyclic.is_empty() {
        faults.add("steps", format!("the needs of {} form a cycle; break it", cyclic.join(", ")));
    }
}

/// Checks that no step awaits an event that a pending call waits for: a pending call without a probe waits for the
/// event named after its step.
fn events(faults: &mut Faults, steps: &[Step]) {
    for (index, step) in steps.iter().enumerate() {
        if steps.iter().any(|other| shares_event(step, other)) {
            faults.add(format!("steps[{index}].action.event"), shared_event(step));
        }
    }
}

/// Returns whether a step awaits the event that the other step waits for when it is pending.
fn shares_event(step: &Step, other: &Step) -> bool {
    match (&step.action, &other.action) {
        (Action::Await { event, .. }, Action::Call(call)) => other.name == *event && call.probe.is_none(),
        (Action::Await { .. }, Action::Await { .. } | Action::Sleep { .. } | Action::Approval { .. })
        | (Action::Call(_) | Action::Sleep { .. } | Action::Approval { .. }, _) => false,
    }
}

fn shared_event(step: &Step) -> String {
    let event = match &step.action {
        Action::Await { event, .. } => event.as_str(),
        Action::Call(_) | Action::Sleep { .. } | Action::Approval { .. } => step.name.as_str(),
    };
    format!("the step {event:?} waits for the event of its own name when it is pending; rename one of them")
}

/// Returns why a step may not come after another one.
fn misplaced(step: &Step, earlier: &Step) -> Option<String> {
    let (name, other) = (&step.name, &earlier.name);
    match (step.kind, earlier.kind) {
        (Kind::Compensable, Kind::Pivot | Kind::Retriable) => {
            Some(format!("step {name:?} comes after {other:?}, the point of no return; make it `retriable`"))
        }
        (Kind::Pivot, Kind::Pivot) => {
            Some(format!("steps {other:?} and {name:?} are pivots on one path; make the later one `retriable`"))
        }
        (Kind::Pivot, Kind::Retriable) => {
            Some(format!("the pivot {name:?} needs {other:?}, but retriable steps come after every pivot"))
        }
        (Kind::Compensable, Kind::Compensable)
        | (Kind::Pivot, Kind::Compensable)
        | (Kind::Retriable, Kind::Compensable | Kind::Pivot | Kind::Retriable) => None,
    }
}

/// Returns for each step all steps before it; the step itself too if it lies on a cycle.
fn ancestors(needs: &[Vec<usize>]) -> Vec<BTreeSet<usize>> {
    let mut all: Vec<BTreeSet<usize>> = Vec::with_capacity(needs.len());
    for direct in needs {
        let mut seen = BTreeSet::new();
        let mut open = direct.clone();
        while let Some(index) = open.pop() {
            if seen.insert(index) {
                open.extend(&needs[index]);
            }
        }
        all.push(seen);
    }
    all
}

//! The definitions of the crash matrix and of chaos. Owns their shapes and how patient they are; what their
//! participants do is `ledger.rs`.

use amends::saga::definition::{Call, Draft, Notice, Probe, Retry, Step, Target};

/// Names of the definitions. Sagas of those that end in `_back` must end compensated, the others completed.
pub(crate) const SAGAS: [&str; 13] = [
    "linear",
    "linear_back",
    "parallel",
    "parallel_back",
    "pivot",
    "bare",
    "bare_back",
    "waits",
    "slow",
    "within",
    "within_back",
    "turns",
    "turns_back",
];

/// Those of which something is asked before any node has them: to pause and go on, or to turn back.
pub(super) const EARLY: [&str; 2] = ["early", "early_back"];

/// How patient definitions are, and how bad their participants.
#[derive(Clone, Copy, Debug, serde::Serialize, serde::Deserialize)]
pub(crate) struct Habits {
    /// Attempts of a call.
    pub(crate) attempts: u32,
    /// How long an effect may still land after its time-out.
    pub(crate) settle_ms: u64,
    /// Participants answer twice, wrongly and late.
    pub(crate) naughty: bool,
    /// Participants without keys lose the first answer about each step.
    pub(crate) forgetful: bool,
}

/// Limit of an attempt.
pub(crate) const TIMEOUT_MS: u64 = 2_000;
/// Limit of an attempt that is not answered as long as its caller lives.
const HELD_MS: u64 = 120_000;

impl Habits {
    fn call(self, handler: &str) -> Call {
        self.patient(Call::handler(handler))
    }

    /// A call as all of them are.
    pub(crate) fn patient(self, call: Call) -> Call {
        let attempts = self.attempts;
        let retry = Retry { attempts, backoff_ms: 20, multiplier: 1.5, backoff_max_ms: 500, jitter: 0.5 };
        call.retry(retry).timeout_ms(TIMEOUT_MS).settle_ms(self.settle_ms)
    }

    /// A probe as all of them are.
    pub(crate) fn insistent(self, probe: Probe) -> Probe {
        probe.retry(Retry { attempts: self.attempts, backoff_ms: 50, ..Retry::default() })
    }

    fn undo(self) -> Call {
        self.call("undo").idempotent()
    }

    fn find(self) -> Probe {
        self.insistent(Probe::new(Target::Handler { name: "find".into(), arguments: None }, "result.found"))
    }

    /// A step whose participant knows keys.
    fn repeatable(self, name: &str, handler: &str) -> Step {
        Step::new(name, self.call(handler).idempotent()).compensation(self.undo())
    }

    /// A step whose participant knows no keys, and can be asked.
    fn probed(self, name: &str) -> Step {
        Step::new(name, self.call("once").probe(self.find())).compensation(self.undo())
    }

    /// A step whose participant knows no keys and cannot be asked either.
    fn bare(self, name: &str) -> Step {
        Step::new(name, self.call("once")).compensation(self.undo())
    }

    /// A step in the runtime's own Postgres: its ledger knows no keys, and nobody asks it.
    fn within(self, name: &str) -> Step {
        let undo = self.call("undo_within").transactional();
        Step::new(name, self.call("effect_within").transactional()).compensation(undo)
    }

    /// A step that never succeeds. When its refusal was lost, a second one says nothing of the first call, so it is
    /// asked.
    fn refused(self, name: &str) -> Step {
        Step::new(name, self.call("refuse").idempotent().probe(self.find())).compensation(self.undo())
    }

    /// Every definition.
    pub(crate) fn drafts(self) -> Vec<Draft> {
        let effect = |name: &str| self.repeatable(name, "effect");
        let linear = |name: &str, last: Step| {
            let draft = Draft::new(name).step(effect("a")).step(self.probed("b").needs(["a"]));
            draft.step(last.needs(["b"]))
        };
        let parallel = |name: &str, last: Step| {
            let draft = Draft::new(name).step(effect("a")).step(self.probed("b").needs(["a"]));
            draft.step(effect("c").needs(["a"])).step(last.needs(["b", "c"]))
        };
        let bare = |name: &str, last: Step| {
            let draft = Draft::new(name).step(effect("a")).step(self.bare("x").needs(["a"]));
            draft.step(last.needs(["x"]))
        };
        let within = |name: &str, last: Step| {
            let draft = Draft::new(name).step(self.within("a")).step(self.within("b").needs(["a"]));
            draft.step(self.within("c").needs(["a"])).step(last.needs(["b", "c"]))
        };
        let pivot = Step::new("p", self.call("effect").idempotent()).pivot().needs(["a"]);
        let retriable = Step::new("r", self.call("flaky").idempotent()).retriable().needs(["p"]);
        vec![
            linear("linear", effect("z")).priority("high").fairness("input.guest"),
            linear("early", effect("z")),
            linear("early_back", effect("z")),
            linear("linear_back", self.refused("z")),
            parallel("parallel", effect("z")),
            parallel("parallel_back", self.refused("z")),
            Draft::new("pivot").step(effect("a")).step(pivot).step(retriable),
            bare("bare", effect("z")),
            bare("bare_back", self.refused("z")),
            Draft::new("waits")
                .step(effect("a"))
                .step(Step::awaiting("go", "go", None).needs(["a"]))
                .step(effect("z").needs(["go"])),
            Draft::new("slow").step(self.repeatable("a", "slow")).step(self.repeatable("z", "slow").needs(["a"])),
            within("within", self.within("z")),
            within("within_back", self.refused("z")),
            // One at a time, and somebody is told of their ends.
            linear("turns", effect("z")).concurrency("input.guest").priority("low").on_end(told()).on_stuck(told()),
            linear("turns_back", self.refused("z")).concurrency("input.guest").on_end(told()).on_stuck(told()),
            Draft::new("naps")
                .step(effect("a"))
                .step(Step::sleeping("nap", NAP_MS).needs(["a"]))
                .step(effect("z").needs(["nap"])),
            Draft::new("held")
                .step(Step::new("a", self.call("hold").idempotent().timeout_ms(HELD_MS)).compensation(self.undo())),
        ]
    }
}

/// Longer than a saga stays on its node when there is nothing to do.
const NAP_MS: u64 = 12_000;

fn told() -> Notice {
    Notice::handler("tell").timeout_ms(TIMEOUT_MS)
}

//! The sagas of the dump by their start keys: what is asked of each, how it must end, and which calls the new
//! program must make for it.

/// A saga that the old program left.
pub(crate) struct Case {
    /// The key that started it.
    pub(crate) name: &'static str,
    /// The law to which it is held: a saga that the old program had not begun is under the newest.
    pub(crate) law: u32,
    /// It must come to need a person before anything is asked.
    pub(crate) gets_stuck: bool,
    /// What is asked, in SQL; `SAGA` is its id.
    pub(crate) asks: &'static [&'static str],
    pub(crate) ends: &'static str,
    /// The steps whose effects are in place in the end.
    pub(crate) left: &'static str,
    /// The calls of the new program: `~` for a compensation, `?` for a probe, the key without the saga's id,
    /// then the key of the action that is undone.
    pub(crate) calls: &'static [&'static str],
}

const UNDO_A: &str = "~/a/compensation/0 of /a/action/0";

const fn ends(name: &'static str, ends: &'static str, left: &'static str, calls: &'static [&'static str]) -> Case {
    Case { name, law: 1, gets_stuck: false, asks: &[], ends, left, calls }
}

const fn completes(name: &'static str, calls: &'static [&'static str]) -> Case {
    ends(name, "completed", "a b", calls)
}

const fn turns_back(name: &'static str, calls: &'static [&'static str]) -> Case {
    ends(name, "compensated", "", calls)
}

impl Case {
    const fn asked(self, asks: &'static [&'static str]) -> Self {
        Self { asks, ..self }
    }

    const fn stuck_first(self) -> Self {
        Self { gets_stuck: true, ..self }
    }

    const fn newest(self) -> Self {
        Self { law: 2, ..self }
    }

    const fn leaves(self, left: &'static str) -> Self {
        Self { left, ..self }
    }
}

const APPEND: &str = "select amends.request_as(null, 'SAGA', '{\"append\":{\"step\":STEP}}')";
const COMMIT: &str = "select amends.request_as(null, 'SAGA', '\"commit\"')";
const ABORT: &str = "select amends.request_as(null, 'SAGA', '{\"abort\":{\"reason\":\"enough\"}}')";
const APPROVE: &str =
    "select amends.approve('SAGA', 'may', body::json #>> '{approval_shown,showing,shown,digest}', 'yes')
    from amends.journal where id = 'SAGA' and kind = 'approval_shown'";
const PROVIDE: &str = "select amends.signal('SAGA', 'go', '{}')";
const RESUME: &str = "select amends.resume('SAGA', 'go on')";

/// All of them.
pub(crate) const CASES: &[Case] = &[
    // Not begun by the old program: the newest law, and a request that came before the first row is kept.
    completes("queued", &["/a-a0", "/b-a0"]).newest(),
    turns_back("queued_cancelled", &[]).newest(),
    completes("queued_provided", &["/a-a0", "/b-a0"]).newest(),
    // Amid a call: a repeat under the same key.
    completes("running", &["/b/action/0"]),
    completes("running_before", &["/b/action/0"]),
    completes("lost_here", &["/b/action/0"]),
    completes("refused_once", &["/b/action/1"]),
    completes("died_once", &["/b/action/0"]),
    completes("died_twice", &["/b/action/0"]).stuck_first().asked(&["select amends.retry('SAGA', 'b', 'mended')"]),
    completes("within_calling", &["/b/action/1", "/c/action/0"]).leaves("a b c"),
    turns_back("within_undoing", &["~/b/compensation/1 of /b/action/0", UNDO_A]),
    // Between attempts: a definite failure gets the next attempt a new key.
    completes("backing_off", &["/b/action/1"]),
    completes("backing_off_twice", &["/b/action/2"]),
    completes("backing_off_here", &["/b/action/2"]),
    // In doubt.
    completes("doubt_applied", &["?/a/action/0", "/b/action/0"]),
    completes("doubt_absent", &["?/a/action/0", "/a/action/1", "/b/action/0"]),
    completes("doubt_running", &["?/a/action/0", "/b/action/0"]),
    completes("probing", &["?/a/action/0", "/b/action/0"]),
    turns_back("doubt_cancelled", &["?/a/action/0", UNDO_A]),
    turns_back("doubt_cancelled_absent", &["?/a/action/0"]),
    turns_back("unresolved", &["~/b/compensation/0 of /b/action/0", UNDO_A]),
    turns_back("unresolved_absent", &["~/b/compensation/0 of /b/action/0", UNDO_A]),
    // Accepted by their participants: the first law takes that for any other doubt.
    completes("pending_applied", &["?/a/action/0", "/b/action/0"]),
    completes("pending_absent", &["?/a/action/0", "/a/action/1", "/b/action/0"]),
    completes("pending_event", &[]).asked(&["select amends.signal('SAGA', 'b', '{}')"]),
    turns_back("pending_undo", &[]).asked(&["select amends.signal('SAGA', 'a.compensation', '{}')"]),
    // Waiting.
    completes("awaiting", &["/b/action/0"]).asked(&[PROVIDE]),
    completes("provided", &["/b/action/0"]),
    completes("sleeping", &["/b/action/0"]),
    completes("asking", &["/b/action/0"]).asked(&[APPROVE]),
    turns_back("denied", &[UNDO_A]).asked(&["select amends.deny('SAGA', 'may', 'no')"]),
    // Turning back.
    turns_back("compensating", &[UNDO_A]),
    turns_back("compensating_before", &[UNDO_A]),
    turns_back("undo_backing_off", &["~/a/compensation/1 of /a/action/0"]),
    turns_back("undo_refused_once", &["~/a/compensation/1 of /a/action/0"]),
    turns_back("undo_doubt_applied", &["?/a/compensation/0 of /a/action/0"]),
    turns_back("undo_doubt_absent", &["?/a/compensation/0 of /a/action/0", "~/a/compensation/1 of /a/action/0"]),
    // Waiting for a person.
    completes("stuck_doubt_applied", &[]).asked(&["select amends.resolve('SAGA', 'b', 'applied', '{}', 'seen')"]),
    completes("stuck_doubt_absent", &["/b/action/1"])
        .asked(&["select amends.resolve('SAGA', 'b', 'absent', null, 'looked')"]),
    turns_back("stuck_doubt_undone", &["~/b/compensation/0 of /b/action/0", UNDO_A]).asked(&[
        "select amends.cancel('SAGA', 'enough')",
        "select amends.resolve('SAGA', 'b', 'applied', '{}', 'seen')",
    ]),
    completes("stuck_failed", &["/b/action/1"]).leaves("a b p").asked(&["select amends.retry('SAGA', 'b', 'mended')"]),
    turns_back("stuck_undo", &["~/a/compensation/1 of /a/action/0"])
        .asked(&["select amends.retry('SAGA', 'a', 'mended')"]),
    completes("paused", &["/b/action/1"]).asked(&[RESUME]),
    completes("paused_calling", &["/b/action/0"]).asked(&[RESUME]),
    // Open.
    completes("open", &["/z/action/0"]).leaves("x y z").asked(&[APPEND, COMMIT]),
    completes("open_calling", &["/y/action/0"]).leaves("x y").asked(&[COMMIT]),
    turns_back("open_aborted", &["~/x/compensation/0 of /x/action/0", "~/y/compensation/0 of /y/action/0"])
        .asked(&[ABORT]),
    // One after the other: the second one had not begun.
    completes("turn", &["/a/action/0"]).leaves("a"),
    completes("turn_after", &["/a-a0"]).leaves("a").newest(),
    // Suspected of killing their processes, the first one convicted.
    completes("put_aside", &[]).leaves("a").asked(&[RESUME]),
    completes("read_twice", &[]).leaves("a").asked(&["select amends.resume_definition('cursed', 'mended')"]),
    // Ended by the old program: they stay as they are.
    completes("tells", &[]).leaves("a"),
    completes("done_then", &[]),
    turns_back("undone_then", &[]),
    ends("closed", "abandoned", "a", &[]),
    // What the rerun that takes this over does is undone, and so is what it has taken over.
    ends("closed_too", "abandoned", "", &[]),
    ends("closed_third", "abandoned", "a", &[]),
];

//! The protocol by which lanes own a saga, as a model: one saga, a few lanes, each of a process of its own, and the
//! server. Owns the states and what each statement does to them; what may happen when is in `moves.rs`, what must
//! hold in `mod.rs`. A statement is sent, carried out and answered in three moves, so that anything may come between;
//! a clock that stops is any pause between two moves, and who is slow may be taken for dead at any time.

/// Which lane; also an index.
pub(super) type LaneId = u8;

/// A guard of the protocol that a test takes out, to see that the model then finds the defect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Without {
    /// Everything is in place.
    Nothing,
    /// A batch is let in from a dead lane.
    Fence,
    /// A saga is parked although a signal came since it last looked.
    ParkGuard,
    /// The journal is read with the snapshot of the claim, not in a later statement.
    LaterLoad,
    /// A row that is there already is refused, whoever wrote it.
    Resolving,
    /// After a claim whose answer was lost, nobody asks what the lane owns.
    Strays,
    /// Nobody looks from time to time for sagas that a lane owns and nobody runs.
    Reconciling,
    /// No node looks for ready rows: lanes claim only while they find something.
    Looks,
    /// A call begins before the row that announces it is durable.
    Intent,
    /// A saga without its first row is taken by any wake, and the row with its input is deleted like one.
    Input,
    /// Who asks something of a start in the queue leaves it there, without a row that counts what was asked.
    Unqueue,
}

/// A row of the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Event {
    Started,
    OwnerLost,
    AttemptEnded,
    Signaled,
    TimerFired,
}

/// The fold of a journal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Fold {
    pub(super) seq: u8,
    /// A call is under way, as far as the journal says.
    pub(super) attempting: bool,
    pub(super) attempted: bool,
    /// Signals seen; at most one is sent.
    pub(super) seen: bool,
    pub(super) fired: bool,
}

impl Fold {
    pub(super) fn from_rows(rows: &[Row]) -> Self {
        rows.iter().fold(Self::default(), |fold, row| fold.then(row.event))
    }

    pub(super) fn then(mut self, event: Event) -> Self {
        self.seq += 1;
        match event {
            Event::Started | Event::OwnerLost => self.attempting = true,
            Event::AttemptEnded => (self.attempting, self.attempted) = (false, true),
            Event::Signaled => self.seen = true,
            Event::TimerFired => self.fired = true,
        }
        self
    }

    /// It ends when its call has ended and what it waits for has come.
    pub(super) fn has_ended(self, awaits_signal: bool) -> bool {
        self.attempted && if awaits_signal { self.seen } else { self.fired }
    }

    fn is_legal(self, event: Event) -> bool {
        match event {
            Event::Started => self.seq == 0,
            Event::OwnerLost | Event::AttemptEnded => self.attempting,
            Event::Signaled => !self.seen,
            Event::TimerFired => self.attempted && !self.fired,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Row {
    pub(super) lane: LaneId,
    pub(super) event: Event,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum LaneState {
    Unborn,
    Live,
    Dead,
}

/// What Postgres holds.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Database {
    /// What the saga waits for: a signal, or its timer. Never changes.
    pub(super) awaits_signal: bool,
    pub(super) lanes: Vec<LaneState>,
    pub(super) owner: Option<LaneId>,
    /// No lane has had it: its first row is not written.
    pub(super) queued: bool,
    /// It is a start in the queue: it has no row of its own yet.
    pub(super) in_queue: bool,
    /// What was asked of it was not counted.
    pub(super) uncounted: bool,
    pub(super) ended: bool,
    pub(super) signaled: bool,
    pub(super) journal: Vec<Row>,
    /// Rows in `ready`, each with the lanes whose open snapshot is older (bits), and whether it brings the input.
    pub(super) ready: Vec<(u8, bool)>,
    pub(super) inbox: Vec<bool>,
    pub(super) timer: bool,
}

/// A statement of a lane's connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Statement {
    Claim,
    Take,
    Owned,
    Commit { seq: u8, event: Event },
    Park { seen: bool },
    Release,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Answer {
    Fenced,
    /// A claim or a list: the saga is this lane's.
    Adopted {
        fresh: bool,
        seen_rows: u8,
        /// As its row tells.
        asked: bool,
    },
    /// A wake of a saga that was this lane's before.
    Woken,
    Nothing,
    Accepted,
    Refused,
    LetGo(bool),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Phase {
    Sent,
    /// A claim has its snapshot, with so many rows of the journal.
    Begun {
        rows: u8,
    },
    Answered(Answer),
}

/// What a claim sees.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    /// Rows of the journal in its snapshot.
    pub(super) rows: u8,
    /// Its own bit among the snapshots, if it has one that is older than now.
    pub(super) hidden_by: u8,
    /// The first ready row is held by another claim: it takes the second.
    pub(super) past: bool,
}

/// The actor of the saga on one lane.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Actor {
    pub(super) fold: Fold,
    /// A call of this process is under way.
    pub(super) calling: bool,
    pub(super) events: Vec<Event>,
    pub(super) proposed: Option<Event>,
    pub(super) must_read: bool,
    /// Signals are being read: what the statement has seen.
    pub(super) reading: Option<bool>,
    pub(super) letting_go: bool,
    /// An operator takes the saga away: nothing begins, and it is released.
    pub(super) evicted: bool,
}

/// What a claim told of a saga whose journal is read next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Loading {
    /// The claim wrote its first row.
    pub(super) fresh: bool,
    /// Something was asked of it.
    pub(super) asked: bool,
}

/// A process with one lane.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Process {
    pub(super) gone: bool,
    /// It is leaving in good order.
    pub(super) leaving: bool,
    /// Its beats count for nothing: when it hears so it drops everything, and its lane is buried.
    pub(super) disowned: bool,
    pub(super) statement: Option<(Statement, Phase)>,
    /// Copies of statements whose connection was lost and that the server may still carry out.
    pub(super) ghosts: Vec<Statement>,
    /// A claim's answer was lost.
    pub(super) strays: bool,
    /// A look or a claim of its own found something: it claims next.
    pub(super) hinted: bool,
    /// The same for starts in the queue.
    pub(super) hinted_starts: bool,
    /// It owns the saga and has not read its journal yet.
    pub(super) loading: Option<Loading>,
    pub(super) actor: Option<Actor>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct State {
    pub(super) db: Database,
    pub(super) processes: Vec<Process>,
    /// Connections that may still be cut.
    pub(super) cuts: u8,
    /// How often the saga may still be taken away.
    pub(super) evictions: u8,
    /// Wakes that may still be written before its first claim.
    pub(super) early_wakes: u8,
    /// Who was told that its row is there, by place in the journal.
    pub(super) told: Vec<Option<LaneId>>,
    /// Two lanes were told so of the same place.
    pub(super) two_owners: bool,
    /// A dead lane wrote a row.
    pub(super) dead_wrote: bool,
    /// A call began without its row.
    pub(super) call_without_intent: bool,
}

impl Database {
    pub(super) fn is_live(&self, lane: LaneId) -> bool {
        self.lanes[usize::from(lane)] == LaneState::Live
    }

    /// The ready rows that a snapshot sees.
    pub(super) fn visible(&self, hidden_by: u8) -> impl Iterator<Item = usize> {
        let rows = self.ready.iter().enumerate();
        rows.filter(move |(_, (older, _))| older & hidden_by == 0).map(|(at, _)| at)
    }

    /// Puts a row into `ready`; open snapshots do not see it.
    fn make_ready(&mut self, open: u8, with_input: bool) {
        self.ready.push((open, with_input));
        self.ready.sort_unstable();
    }

    /// saga/claim.sql, after its snapshot was taken: it does not see ready rows that are hidden by that, and passes
    /// by those that other claims hold just now.
    pub(super) fn claim(&mut self, lane: LaneId, seen: Seen, without: Without) -> Answer {
        if !self.is_live(lane) {
            return Answer::Fenced;
        }
        let Some(at) = self.visible(seen.hidden_by).nth(usize::from(seen.past)) else {
            return Answer::Nothing;
        };
        let (_, with_input) = self.ready[at];
        let minds_input = without != Without::Input;
        if minds_input && with_input && self.owner.is_some() && !self.ended {
            return Answer::Nothing;
        }
        self.ready.remove(at);
        if self.ended || minds_input && self.queued && !with_input {
            return Answer::Nothing;
        }
        match self.owner {
            None => {
                (self.owner, self.queued, self.timer) = (Some(lane), false, false);
                if with_input && self.journal.is_empty() {
                    self.journal.push(Row { lane, event: Event::Started });
                    // Its row, which the claim holds, counts what was asked.
                    let asked = self.signaled && !self.uncounted;
                    return Answer::Adopted { fresh: true, seen_rows: 1, asked };
                }
                Answer::Adopted { fresh: false, seen_rows: seen.rows, asked: true }
            }
            Some(owner) if owner == lane => Answer::Woken,
            Some(owner) => {
                self.inbox[usize::from(owner)] = true;
                Answer::Nothing
            }
        }
    }

    /// start_queue/take.sql: nothing was asked of the saga, as far as rows tell.
    pub(super) fn take(&mut self, lane: LaneId) -> Answer {
        if !self.is_live(lane) {
            return Answer::Fenced;
        }
        if !self.in_queue {
            return Answer::Nothing;
        }
        (self.in_queue, self.queued, self.owner) = (false, false, Some(lane));
        self.journal.push(Row { lane, event: Event::Started });
        Answer::Adopted { fresh: true, seen_rows: 1, asked: false }
    }

    /// transition/commit.sql, and transition/resolve.sql for a row that was not let in.
    pub(super) fn commit(&mut self, lane: LaneId, seq: u8, event: Event, without: Without) -> Answer {
        if !self.is_live(lane) && without != Without::Fence {
            return Answer::Fenced;
        }
        match self.journal.get(usize::from(seq) - 1) {
            Some(row) if *row == (Row { lane, event }) && without != Without::Resolving => Answer::Accepted,
            Some(_) => Answer::Refused,
            None => {
                self.journal.push(Row { lane, event });
                if Fold::from_rows(&self.journal).has_ended(self.awaits_signal) {
                    (self.ended, self.owner) = (true, None);
                }
                Answer::Accepted
            }
        }
    }

    /// saga/park.sql.
    pub(super) fn park(&mut self, lane: LaneId, seen: bool, without: Without) -> Answer {
        let unseen = self.signaled && !self.uncounted && !seen && without != Without::ParkGuard;
        let parked = self.is_live(lane) && self.owner == Some(lane) && !unseen;
        if parked {
            (self.owner, self.timer) = (None, true);
        }
        Answer::LetGo(parked)
    }

    /// saga/release.sql.
    pub(super) fn release(&mut self, lane: LaneId, open: u8) -> Answer {
        let freed = self.owner == Some(lane);
        if freed {
            self.owner = None;
            self.make_ready(open, false);
        }
        Answer::LetGo(freed)
    }

    /// amends.request: the saga's row says whom to wake. What is queued is woken by the row with its input. A start in
    /// the queue gets both rows first.
    pub(super) fn request(&mut self, open: u8, without: Without) {
        self.signaled = true;
        if self.in_queue && without == Without::Unqueue {
            self.uncounted = true;
            return;
        }
        if std::mem::take(&mut self.in_queue) {
            self.make_ready(open, true);
        }
        match self.owner {
            Some(owner) => self.inbox[usize::from(owner)] = true,
            None if self.queued => {}
            None => self.make_ready(open, false),
        }
    }

    /// A wake of a queued saga, as a timer or an older version writes it.
    pub(super) fn wake(&mut self, open: u8) {
        self.make_ready(open, false);
    }

    /// sweep/requeue.sql.
    pub(super) fn requeue(&mut self, open: u8) {
        self.owner = None;
        self.make_ready(open, false);
    }

    /// sweep/forward.sql.
    pub(super) fn forward(&mut self, lane: LaneId, open: u8) {
        self.inbox[usize::from(lane)] = false;
        self.make_ready(open, false);
    }

    /// timer/fire.sql.
    pub(super) fn fire(&mut self, open: u8) {
        self.timer = false;
        if !self.ended {
            self.make_ready(open, false);
        }
    }
}

impl Actor {
    /// An actor that takes up what the journal says.
    pub(super) fn take_up(rows: &[Row], fresh: bool, asked: bool) -> Self {
        let fold = Fold::from_rows(rows);
        let lost = (fold.attempting && !fresh).then_some(Event::OwnerLost);
        Self {
            fold,
            calling: false,
            events: lost.into_iter().collect(),
            proposed: None,
            must_read: asked,
            reading: None,
            letting_go: false,
            evicted: false,
        }
    }

    /// The next event that is legal, if none is proposed.
    pub(super) fn decide(&mut self) {
        while self.proposed.is_none() && !self.letting_go && !self.events.is_empty() {
            let event = self.events.remove(0);
            if self.fold.is_legal(event) {
                self.proposed = Some(event);
            }
        }
    }

    /// Nothing is to be decided, and nothing is under way.
    pub(super) fn is_idle(&self) -> bool {
        self.proposed.is_none() && self.events.is_empty() && !self.must_read && self.reading.is_none()
    }
}

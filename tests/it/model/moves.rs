//! What may happen: every move of processes, server, sweep and misfortune. Owns when a move is possible and which
//! SQL statement it stands for; what follows from it is in `steps.rs`.

use super::protocol::{LaneId, LaneState, Phase, State, Statement, Without};

/// How big the model is, and what is taken out of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Protocol {
    /// Lanes in all; two are there at first, the others take the place of dead ones.
    pub(super) lanes: u8,
    /// Connections that are cut.
    pub(super) cuts: u8,
    /// How often an operator takes the saga away.
    pub(super) evictions: u8,
    /// The server may still carry out a statement whose connection was lost, at any time.
    pub(super) late_copies: bool,
    /// The saga waits for a signal, or else for its timer.
    pub(super) awaits_signal: bool,
    /// It may be asked and woken before its first claim.
    pub(super) early: bool,
    /// It begins as a start in the queue; otherwise as a ready row with its input.
    pub(super) in_queue: bool,
    /// Lanes of an older version, as bits: they claim from time to time, whether something is there or not, and do not
    /// see the queue of starts. The others claim only after a look of their node.
    pub(super) older: u8,
    pub(super) without: Without,
}

/// One move.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Move {
    // Misfortune and environment.
    Request,
    /// A wake of the saga before its first claim.
    Wake,
    Crash(LaneId),
    BuryLiving(LaneId),
    /// The connection is lost; whether a statement on it may still be carried out.
    Cut(LaneId, bool),
    Leave(LaneId),
    /// An operator takes the saga from its lane.
    Evict(LaneId),
    /// It was not let go in time: beats count for nothing any more, which the process hears with the next one.
    Disown(LaneId),
    // The server and the sweep.
    Begin(LaneId),
    CarryOut(LaneId),
    /// A claim is carried out while another one holds the first row that it would take.
    CarryOutPast(LaneId),
    CarryOutGhost(LaneId, u8),
    Bury(LaneId),
    Rehome,
    Forward(LaneId),
    Fire,
    // Processes.
    Open(LaneId),
    /// A node looks, without a lock, and finds a ready row.
    Look(LaneId),
    Claim(LaneId),
    /// It takes starts out of the queue.
    Take(LaneId),
    AskOwned(LaneId),
    Reconcile(LaneId),
    Load(LaneId),
    Commit(LaneId),
    Park(LaneId),
    Release(LaneId),
    Drain(LaneId),
    ReadSignals(LaneId),
    ReadAnswer(LaneId),
    Receive(LaneId),
    CallEnds(LaneId),
    TimerRings(LaneId),
    Beat(LaneId),
    Gone(LaneId),
}

impl Move {
    /// The statements that it stands for, as files below `sql/queries`; none where the world moves by itself.
    pub(super) fn statements(self) -> &'static [&'static str] {
        match self {
            Self::Request => &["signal/request"],
            Self::Evict(_) => &["signal/evict", "sweep/evicted"],
            Self::Disown(_) => &["sweep/disown"],
            Self::BuryLiving(_) | Self::Bury(_) => &["sweep/fence_dead_nodes", "lane/retire"],
            Self::Take(_) => &["start_queue/take", "saga/start"],
            Self::Begin(_) | Self::Claim(_) | Self::CarryOutPast(_) => &["saga/claim", "saga/start"],
            Self::CarryOut(_) | Self::CarryOutGhost(..) => {
                &["saga/claim", "transition/commit", "transition/resolve", "lane/live", "saga/park", "saga/release"]
            }
            Self::Rehome => &["sweep/orphaned_lanes", "sweep/requeue"],
            Self::Forward(_) => &["sweep/forward"],
            Self::Fire => &["timer/fire"],
            Self::Open(_) => &["node/join", "lane/open"],
            Self::Look(_) => &["node/look"],
            Self::AskOwned(_) | Self::Reconcile(_) => &["saga/owned"],
            Self::Load(_) => &["journal/load"],
            Self::Commit(_) => &["transition/commit"],
            Self::Park(_) => &["saga/park"],
            Self::Release(_) => &["saga/release"],
            Self::Drain(_) => &["inbox/drain"],
            Self::ReadSignals(_) | Self::ReadAnswer(_) => &["signal/after"],
            Self::Beat(_) => &["node/beat"],
            Self::Gone(_) => &["node/leave"],
            Self::Wake
            | Self::Crash(_)
            | Self::Cut(..)
            | Self::Leave(_)
            | Self::Receive(_)
            | Self::CallEnds(_)
            | Self::TimerRings(_) => &[],
        }
    }

    /// Every kind of move, once.
    pub(super) fn kinds() -> Vec<Self> {
        use Move::*;
        vec![
            Request,
            Wake,
            Crash(0),
            BuryLiving(0),
            Cut(0, true),
            Leave(0),
            Evict(0),
            Disown(0),
            Begin(0),
            CarryOut(0),
            CarryOutPast(0),
            CarryOutGhost(0, 0),
            Bury(0),
            Rehome,
            Forward(0),
            Fire,
            Open(0),
            Look(0),
            Claim(0),
            Take(0),
            AskOwned(0),
            Reconcile(0),
            Load(0),
            Commit(0),
            Park(0),
            Release(0),
            Drain(0),
            ReadSignals(0),
            ReadAnswer(0),
            Receive(0),
            CallEnds(0),
            TimerRings(0),
            Beat(0),
            Gone(0),
        ]
    }

    /// Whether it need not happen: a saga must come to its end without it.
    pub(super) fn is_misfortune(self) -> bool {
        matches!(
            self,
            Self::Wake
                | Self::Crash(_)
                | Self::BuryLiving(_)
                | Self::Cut(..)
                | Self::Leave(_)
                | Self::Evict(_)
                | Self::Disown(_)
        )
    }
}

impl Protocol {
    /// Guards that a look from time to time would make up for are tested without it, and without late copies, which
    /// alone need it.
    fn reconciles(&self) -> bool {
        self.late_copies && self.without != Without::Reconciling
    }

    /// Whatever may happen now.
    pub(super) fn moves(&self, state: &State) -> Vec<Move> {
        let mut moves = Vec::new();
        let db = &state.db;
        if !db.signaled && !db.ended && (self.early || !db.journal.is_empty()) {
            moves.push(Move::Request);
        }
        if db.queued && !db.in_queue && state.early_wakes > 0 {
            moves.push(Move::Wake);
        }
        if db.owner.is_some_and(|owner| !db.is_live(owner)) {
            moves.push(Move::Rehome);
        }
        // What waits for a signal has a timer that never fires.
        if db.timer && !self.awaits_signal {
            moves.push(Move::Fire);
        }
        let stays = |lane: &usize| match db.lanes[*lane] {
            LaneState::Unborn => true,
            LaneState::Live => {
                let process = &state.processes[*lane];
                !process.gone && !process.leaving && !process.disowned
            }
            LaneState::Dead => false,
        };
        let spare = (0..usize::from(self.lanes)).filter(stays).count() > 1;
        for lane in 0..self.lanes {
            self.moves_of(state, lane, spare, &mut moves);
        }
        moves
    }

    fn moves_of(&self, state: &State, lane: LaneId, spare: bool, moves: &mut Vec<Move>) {
        let (db, process) = (&state.db, &state.processes[usize::from(lane)]);
        for ghost in 0..process.ghosts.len() {
            moves.push(Move::CarryOutGhost(lane, u8::try_from(ghost).unwrap()));
        }
        match db.lanes[usize::from(lane)] {
            LaneState::Unborn => {
                let in_service = state.processes.iter().filter(|process| !process.gone).count();
                if in_service < 2 {
                    moves.push(Move::Open(lane));
                }
                return;
            }
            LaneState::Live => {
                if process.gone {
                    moves.push(Move::Bury(lane));
                } else if spare {
                    moves.extend([Move::Crash(lane), Move::BuryLiving(lane)]);
                }
            }
            LaneState::Dead => {
                if db.inbox[usize::from(lane)] {
                    moves.push(Move::Forward(lane));
                }
                if !process.gone {
                    moves.push(Move::Beat(lane));
                }
            }
        }
        match &process.statement {
            // Whoever sent it may be gone: the server carries it out all the same.
            Some((Statement::Claim, Phase::Sent)) => moves.push(Move::Begin(lane)),
            Some((Statement::Claim, Phase::Begun { .. })) => {
                moves.push(Move::CarryOut(lane));
                if db.is_live(lane) && db.visible(1 << lane).count() > 1 {
                    moves.push(Move::CarryOutPast(lane));
                }
            }
            Some((_, Phase::Sent | Phase::Begun { .. })) => moves.push(Move::CarryOut(lane)),
            Some((_, Phase::Answered(_))) if !process.gone => moves.push(Move::Receive(lane)),
            Some((_, Phase::Answered(_))) | None => {}
        }
        if process.gone {
            return;
        }
        if let Some((_, phase)) = &process.statement
            && state.cuts > 0
        {
            moves.push(Move::Cut(lane, false));
            if self.late_copies && matches!(phase, Phase::Sent) {
                moves.push(Move::Cut(lane, true));
            }
        }
        if spare && !process.leaving && db.is_live(lane) {
            moves.push(Move::Leave(lane));
        }
        // Who has the saga hears of it through its inbox, in its own time. Who does not hear is disowned, which alone
        // kills nobody: the lane lives until it is buried.
        if state.evictions > 0 && db.owner == Some(lane) && db.is_live(lane) && !process.disowned {
            if process.actor.is_some() {
                moves.push(Move::Evict(lane));
            }
            if spare {
                moves.push(Move::Disown(lane));
            }
        }
        self.moves_of_process(state, lane, moves);
    }

    fn moves_of_process(&self, state: &State, lane: LaneId, moves: &mut Vec<Move>) {
        let (db, process) = (&state.db, &state.processes[usize::from(lane)]);
        if db.inbox[usize::from(lane)] {
            moves.push(Move::Drain(lane));
        }
        if process.loading.is_some() {
            moves.push(Move::Load(lane));
        }
        let free = process.statement.is_none();
        if process.disowned {
            moves.push(Move::Beat(lane));
        }
        let Some(actor) = &process.actor else {
            let idle = free && process.loading.is_none();
            if idle && process.strays {
                moves.push(Move::AskOwned(lane));
            } else if idle && process.leaving {
                moves.push(Move::Gone(lane));
            } else if idle {
                // From time to time; a look that finds nothing changes nothing.
                if db.owner == Some(lane) && db.is_live(lane) && self.reconciles() {
                    moves.push(Move::Reconcile(lane));
                }
                self.claims(state, lane, moves);
            }
            return;
        };
        if actor.calling {
            moves.push(Move::CallEnds(lane));
        }
        let leaving = process.leaving || actor.evicted;
        if actor.must_read && actor.reading.is_none() {
            moves.push(Move::ReadSignals(lane));
        }
        if actor.reading.is_some() {
            moves.push(Move::ReadAnswer(lane));
        }
        if free && actor.proposed.is_some() {
            moves.push(Move::Commit(lane));
        }
        if free && actor.letting_go {
            moves.push(if leaving { Move::Release(lane) } else { Move::Park(lane) });
        }
        if free && !actor.letting_go && actor.is_idle() && !actor.calling {
            if leaving {
                moves.push(Move::Release(lane));
            } else if actor.fold.attempted {
                moves.push(Move::Park(lane));
                if !self.awaits_signal {
                    moves.push(Move::TimerRings(lane));
                }
            }
        }
        // Wakes for a saga that some other lane owns are claimed by whoever has room.
        if free && actor.is_idle() && !actor.letting_go && !leaving {
            self.claims(state, lane, moves);
        }
    }

    /// What a lane with room does about ready rows. A claim that finds nothing, after a look that is out of date,
    /// changes nothing but the hint.
    fn claims(&self, state: &State, lane: LaneId, moves: &mut Vec<Move>) {
        let (ready, process) = (!state.db.ready.is_empty(), &state.processes[usize::from(lane)]);
        if self.older >> lane & 1 == 1 {
            moves.extend(ready.then_some(Move::Claim(lane)));
            return;
        }
        let unknown = ready && !process.hinted || state.db.in_queue && !process.hinted_starts;
        if unknown && self.without != Without::Looks {
            moves.push(Move::Look(lane));
        }
        moves.extend(process.hinted.then_some(Move::Claim(lane)));
        moves.extend(process.hinted_starts.then_some(Move::Take(lane)));
    }
}

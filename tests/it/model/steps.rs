//! What follows from a move. Owns how processes react to answers, silence and wakes; what a statement does in the
//! database is in `protocol.rs`.

use super::moves::{Move, Protocol};
use super::protocol::{
    Actor, Answer, Event, LaneId, LaneState, Loading, Phase, Process, Row, Seen, State, Statement, Without,
};

impl Protocol {
    /// The state after a move; none if nothing changes.
    pub(super) fn after(&self, state: &State, step: Move) -> Option<State> {
        let mut next = state.clone();
        let open = next.open_snapshots();
        match step {
            Move::Request => next.db.request(open, self.without),
            Move::Wake => {
                next.early_wakes -= 1;
                next.db.wake(open);
            }
            Move::Rehome => next.db.requeue(open),
            Move::Fire => next.db.fire(open),
            Move::Forward(lane) => next.db.forward(lane, open),
            Move::BuryLiving(lane) | Move::Bury(lane) => next.db.lanes[usize::from(lane)] = LaneState::Dead,
            Move::Crash(lane) | Move::Beat(lane) => next.process(lane).die(),
            Move::Gone(lane) => {
                next.process(lane).die();
                next.db.lanes[usize::from(lane)] = LaneState::Dead;
            }
            Move::Open(lane) => {
                next.db.lanes[usize::from(lane)] = LaneState::Live;
                next.process(lane).gone = false;
            }
            Move::Leave(lane) => next.process(lane).leaving = true,
            Move::Evict(lane) => {
                next.evictions -= 1;
                next.actor(lane).evicted = true;
            }
            Move::Disown(lane) => {
                next.evictions -= 1;
                next.process(lane).disowned = true;
            }
            Move::Cut(lane, as_ghost) => next.cut(lane, as_ghost, self),
            Move::Begin(lane) => {
                let rows = u8::try_from(next.db.journal.len()).unwrap();
                next.process(lane).statement = Some((Statement::Claim, Phase::Begun { rows }));
            }
            Move::CarryOut(lane) => self.carry_out(&mut next, lane, false),
            Move::CarryOutPast(lane) => self.carry_out(&mut next, lane, true),
            Move::CarryOutGhost(lane, ghost) => {
                let statement = next.process(lane).ghosts.remove(usize::from(ghost));
                next.carry_out(lane, statement, None, false, self.without);
            }
            Move::Receive(lane) => next.receive(lane, self.without),
            Move::Look(lane) => {
                let (ready, starts) = (!next.db.ready.is_empty(), next.db.in_queue);
                let process = next.process(lane);
                process.hinted |= ready;
                process.hinted_starts |= starts;
            }
            Move::Claim(lane) => {
                next.process(lane).hinted = false;
                next.send(lane, Statement::Claim);
            }
            Move::Take(lane) => {
                next.process(lane).hinted_starts = false;
                next.send(lane, Statement::Take);
            }
            Move::AskOwned(lane) | Move::Reconcile(lane) => next.send(lane, Statement::Owned),
            Move::Park(lane) => {
                let seen = next.actor(lane).fold.seen;
                next.actor(lane).letting_go = true;
                next.send(lane, Statement::Park { seen });
            }
            Move::Release(lane) => {
                next.actor(lane).letting_go = true;
                next.send(lane, Statement::Release);
            }
            Move::Commit(lane) => {
                let actor = next.actor(lane);
                let (seq, event) = (actor.fold.seq + 1, actor.proposed?);
                next.send(lane, Statement::Commit { seq, event });
            }
            Move::Load(lane) => next.load(lane),
            Move::Drain(lane) => {
                next.db.inbox[usize::from(lane)] = false;
                next.wake(lane);
            }
            Move::ReadSignals(lane) => {
                let signaled = next.db.signaled;
                let actor = next.actor(lane);
                (actor.must_read, actor.reading) = (false, Some(signaled));
            }
            Move::ReadAnswer(lane) => {
                let actor = next.actor(lane);
                if actor.reading.take()? && !actor.fold.seen {
                    actor.events.push(Event::Signaled);
                }
                actor.decide();
            }
            Move::CallEnds(lane) => next.actor(lane).happened(Event::AttemptEnded),
            Move::TimerRings(lane) => next.actor(lane).happened(Event::TimerFired),
        }
        self.begin_early(&mut next, step);
        Some(next)
    }

    fn carry_out(&self, next: &mut State, lane: LaneId, past: bool) {
        let Some((statement, phase)) = next.process(lane).statement else {
            return;
        };
        let snapshot = match phase {
            Phase::Begun { rows } => Some(rows),
            Phase::Sent | Phase::Answered(_) => None,
        };
        next.process(lane).statement = None;
        let answer = next.carry_out(lane, statement, snapshot, past, self.without);
        // A process that is gone hears nothing.
        if !next.process(lane).gone {
            next.process(lane).statement = Some((statement, Phase::Answered(answer)));
        }
    }

    /// Without intent before effect, a call begins when its row is decided.
    fn begin_early(&self, next: &mut State, step: Move) {
        let Move::Commit(lane) = step else { return };
        let actor = next.actor(lane);
        if self.without == Without::Intent && actor.proposed == Some(Event::OwnerLost) {
            let seq = actor.fold.seq + 1;
            next.begin_call(lane, seq);
        }
    }
}

impl State {
    fn process(&mut self, lane: LaneId) -> &mut Process {
        &mut self.processes[usize::from(lane)]
    }

    fn actor(&mut self, lane: LaneId) -> &mut Actor {
        self.process(lane).actor.as_mut().expect("the move asks for an actor")
    }

    fn send(&mut self, lane: LaneId, statement: Statement) {
        self.process(lane).statement = Some((statement, Phase::Sent));
    }

    /// Lanes whose claim has its snapshot already, as bits.
    fn open_snapshots(&self) -> u8 {
        let begun = |process: &Process| matches!(process.statement, Some((_, Phase::Begun { .. })));
        self.processes.iter().enumerate().map(|(lane, process)| u8::from(begun(process)) << lane).sum()
    }

    /// What a snapshot that is no more did not see is of no interest.
    fn forget_snapshots(&mut self) {
        let open = self.open_snapshots();
        for (hidden_from, _) in &mut self.db.ready {
            *hidden_from &= open;
        }
        self.db.ready.sort_unstable();
    }

    fn carry_out(
        &mut self,
        lane: LaneId,
        statement: Statement,
        snapshot: Option<u8>,
        past: bool,
        without: Without,
    ) -> Answer {
        let open = self.open_snapshots();
        let rows = u8::try_from(self.db.journal.len()).unwrap();
        let seen = Seen { rows: snapshot.unwrap_or(rows), hidden_by: u8::from(snapshot.is_some()) << lane, past };
        let dead = !self.db.is_live(lane);
        let answer = match statement {
            Statement::Claim => self.db.claim(lane, seen, without),
            Statement::Take => self.db.take(lane),
            Statement::Owned if self.db.owner == Some(lane) => {
                Answer::Adopted { fresh: false, seen_rows: rows, asked: true }
            }
            Statement::Owned => Answer::Nothing,
            Statement::Commit { seq, event } => self.db.commit(lane, seq, event, without),
            Statement::Park { seen } => self.db.park(lane, seen, without),
            Statement::Release => self.db.release(lane, open),
        };
        self.dead_wrote |= dead && self.db.journal.len() > usize::from(rows);
        self.forget_snapshots();
        answer
    }

    /// The connection is gone. What was on it may have been carried out, may still be, or never is; the process asks
    /// or sends again.
    fn cut(&mut self, lane: LaneId, as_ghost: bool, protocol: &Protocol) {
        self.cuts -= 1;
        let process = self.process(lane);
        let Some((statement, _)) = process.statement.take() else {
            return;
        };
        if as_ghost {
            process.ghosts.push(statement);
        }
        match statement {
            Statement::Claim | Statement::Take | Statement::Owned => {
                // It asks again, and claims again.
                (process.strays, process.hinted) = (protocol.without != Without::Strays, true);
                process.hinted_starts = protocol.in_queue;
            }
            // The same row is proposed still, and sent again as it was.
            Statement::Commit { .. } => {}
            // Whether it was let go is told by what the lane owns.
            Statement::Park { .. } | Statement::Release => {
                process.statement = Some((Statement::Owned, Phase::Sent));
            }
        }
    }

    fn load(&mut self, lane: LaneId) {
        let rows = self.db.journal.clone();
        let Some(loading) = self.process(lane).loading.take() else {
            return;
        };
        self.arrive(lane, &rows, loading);
    }

    fn arrive(&mut self, lane: LaneId, rows: &[Row], Loading { fresh, asked }: Loading) {
        // Rows of somebody else: it is not the first owner any more, whatever its claim said.
        let fresh = fresh && rows.len() == 1;
        let mut actor = Actor::take_up(rows, fresh, asked || !fresh);
        actor.decide();
        self.process(lane).actor = Some(actor);
        if fresh {
            let seq = u8::try_from(rows.len()).unwrap();
            self.begin_call(lane, seq);
        }
    }

    /// A call leaves the process: the row that announces it must be there, and this lane's.
    fn begin_call(&mut self, lane: LaneId, seq: u8) {
        let row = self.db.journal.get(usize::from(seq) - 1);
        self.call_without_intent |= row.is_none_or(|row| row.lane != lane);
        self.actor(lane).calling = true;
    }

    /// Wakes the saga, or keeps the wake until it has an actor.
    fn wake(&mut self, lane: LaneId) {
        let process = self.process(lane);
        if let Some(actor) = &mut process.actor {
            actor.must_read = true;
        } else if let Some(loading) = &mut process.loading {
            loading.asked = true;
        }
    }

    fn receive(&mut self, lane: LaneId, without: Without) {
        let Some((statement, Phase::Answered(answer))) = self.process(lane).statement.take() else {
            return;
        };
        if matches!(statement, Statement::Owned) && !matches!(answer, Answer::Fenced) {
            self.process(lane).strays = false;
            if let Some(actor) = &self.process(lane).actor
                && actor.letting_go
            {
                let gone = answer == Answer::Nothing;
                return self.let_go(lane, gone);
            }
        }
        // It goes on while it finds something.
        let found = matches!(answer, Answer::Adopted { .. } | Answer::Woken);
        self.process(lane).hinted |= found && statement == Statement::Claim;
        self.process(lane).hinted_starts |= found && statement == Statement::Take;
        match answer {
            Answer::Fenced => self.process(lane).die(),
            Answer::Adopted { .. } | Answer::Woken if self.process(lane).has_it() => self.wake(lane),
            Answer::Adopted { fresh, seen_rows, asked } if without == Without::LaterLoad => {
                let rows = self.db.journal[..usize::from(seen_rows)].to_vec();
                self.arrive(lane, &rows, Loading { fresh, asked });
            }
            Answer::Adopted { fresh, asked, .. } => self.process(lane).loading = Some(Loading { fresh, asked }),
            Answer::Woken => self.process(lane).loading = Some(Loading { fresh: false, asked: true }),
            Answer::Nothing => {}
            Answer::Accepted => self.accepted(lane),
            Answer::Refused => self.process(lane).actor = None,
            Answer::LetGo(gone) => self.let_go(lane, gone),
        }
    }

    fn let_go(&mut self, lane: LaneId, gone: bool) {
        if gone {
            self.process(lane).actor = None;
            return;
        }
        let actor = self.actor(lane);
        (actor.letting_go, actor.must_read) = (false, true);
        actor.decide();
    }

    fn accepted(&mut self, lane: LaneId) {
        let Some(event) = self.actor(lane).proposed.take() else {
            return;
        };
        let fold = self.actor(lane).fold.then(event);
        self.actor(lane).fold = fold;
        let place = usize::from(fold.seq) - 1;
        self.told.resize(self.told.len().max(place + 1), None);
        self.two_owners |= self.told[place].is_some_and(|other| other != lane);
        self.told[place] = Some(lane);
        if fold.has_ended(self.db.awaits_signal) {
            self.process(lane).actor = None;
            return;
        }
        if event == Event::OwnerLost {
            self.begin_call(lane, fold.seq);
        }
        self.actor(lane).decide();
    }
}

impl Actor {
    fn happened(&mut self, event: Event) {
        if event == Event::AttemptEnded {
            self.calling = false;
        }
        self.events.push(event);
        self.decide();
    }
}

impl Process {
    /// It is no more; a statement on its way may still be carried out.
    fn die(&mut self) {
        let ghosts = std::mem::take(&mut self.ghosts);
        let on_its_way = match self.statement {
            Some((statement, Phase::Sent)) => Some(statement),
            Some((_, Phase::Begun { .. } | Phase::Answered(_))) | None => None,
        };
        *self = Self::unborn();
        self.ghosts = ghosts;
        self.ghosts.extend(on_its_way);
    }

    /// The saga has its actor here, or is about to.
    fn has_it(&self) -> bool {
        self.actor.is_some() || self.loading.is_some()
    }

    /// A process that is not there.
    pub(super) fn unborn() -> Self {
        Self {
            gone: true,
            leaving: false,
            disowned: false,
            statement: None,
            ghosts: Vec::new(),
            strays: false,
            hinted: false,
            hinted_starts: false,
            loading: None,
            actor: None,
        }
    }
}

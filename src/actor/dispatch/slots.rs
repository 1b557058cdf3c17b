//! The sagas that one lane has on this node, each in a slot: loading, resident, leaving or in backoff. Owns how many
//! there may be, and the changes of a slot. Leaves reading journals and starting actors to the dispatcher.

use std::collections::HashMap;

use uuid::Uuid;

use crate::store::Claimed;

/// Slots of a lane. `A` is the address of a saga's actor.
pub(crate) struct Slots<A> {
    most: usize,
    /// Number of sagas that the claim under way may bring.
    reserved: usize,
    slots: HashMap<Uuid, Slot<A>>,
}

struct Slot<A> {
    stage: Stage<A>,
    /// How often the saga's actor has crashed, or its load has failed, since the saga came here.
    crashes: u32,
    /// A wake came while the saga had no actor to take it: the next actor gets it.
    woken: bool,
}

enum Stage<A> {
    /// Its journal is being read.
    Loading,
    /// An actor runs the saga.
    Resident(A),
    /// The lane claimed the saga again before its actor had stopped: the saga is loaded once the actor is gone.
    Leaving(A, Box<Claimed>),
    /// Its actor crashed, its journal could not be read yet, or it was an orphan: it is loaded after a pause.
    Backoff,
}

/// What the dispatcher must do with a claimed saga.
#[derive(Debug)]
pub(crate) enum Taken<A> {
    /// Read its journal.
    Load(Claimed),
    /// The saga is resident: wake it.
    Wake(A),
    /// Nothing: the saga is loading, or is loaded later. The actor that then starts is woken.
    Wait,
}

impl<A: Clone> Slots<A> {
    /// Creates slots for up to `most` sagas.
    pub(crate) fn new(most: usize) -> Self {
        Self { most, reserved: 0, slots: HashMap::new() }
    }

    /// Returns how many more sagas there is room for.
    pub(crate) fn free(&self) -> usize {
        self.most.saturating_sub(self.slots.len() + self.reserved)
    }

    /// Keeps room for the sagas that a claim may bring, until the claim has ended.
    pub(crate) fn reserve(&mut self, sagas: usize) {
        self.reserved = sagas;
    }

    /// Whether no saga is here.
    pub(crate) fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Whether a saga has a slot.
    pub(crate) fn contains(&self, id: &Uuid) -> bool {
        self.slots.contains_key(id)
    }

    /// Returns the actor of a saga, if it has one.
    pub(crate) fn resident(&self, id: Uuid) -> Option<&A> {
        actor(self.slots.get(&id)?)
    }

    /// Returns all actors.
    pub(crate) fn residents(&self) -> impl Iterator<Item = &A> {
        self.slots.values().filter_map(actor)
    }

    /// Gives a claimed saga its slot. If the lane did not own the saga before the claim and its actor is still here,
    /// the actor is about to stop: the saga is loaded after it.
    pub(crate) fn take(&mut self, saga: Claimed) -> Taken<A> {
        let Some(slot) = self.slots.get_mut(&saga.id) else {
            self.load(saga.id);
            return Taken::Load(saga);
        };
        match &slot.stage {
            Stage::Resident(actor) | Stage::Leaving(actor, _) if saga.adopted => {
                slot.stage = Stage::Leaving(actor.clone(), Box::new(saga));
                Taken::Wait
            }
            Stage::Loading | Stage::Backoff | Stage::Resident(_) | Stage::Leaving(..) => {
                slot.wake().map_or(Taken::Wait, Taken::Wake)
            }
        }
    }

    /// Returns the actor that takes a wake of the saga now. If the saga is here without one, its next actor gets the
    /// wake; a saga that is not here saw its wake before it left.
    pub(crate) fn wake(&mut self, id: Uuid) -> Option<A> {
        self.slots.get_mut(&id)?.wake()
    }

    /// Marks the saga as loading: its journal is being read.
    pub(crate) fn load(&mut self, id: Uuid) {
        self.stage(id, Stage::Loading);
    }

    /// Marks the saga as resident: its actor has started. Returns whether the actor must be woken.
    pub(crate) fn arrive(&mut self, id: Uuid, actor: A) -> bool {
        std::mem::take(&mut self.stage(id, Stage::Resident(actor)).woken)
    }

    /// Marks the saga for a load after a pause. Returns how often that was needed since it came here, at least once.
    pub(crate) fn back_off(&mut self, id: Uuid) -> u32 {
        let slot = self.stage(id, Stage::Backoff);
        slot.crashes = slot.crashes.saturating_add(1);
        slot.crashes
    }

    /// Frees the slot of a saga that is gone. Returns the claim that brought the saga back before its actor had
    /// stopped, if there is one: then the saga keeps its slot and is loading.
    pub(crate) fn leave(&mut self, id: Uuid) -> Option<Claimed> {
        let Slot { stage, crashes: _, woken } = self.slots.remove(&id)?;
        let Stage::Leaving(_, again) = stage else { return None };
        self.slots.insert(id, Slot { stage: Stage::Loading, crashes: 0, woken });
        Some(*again)
    }

    /// Empties all slots; returns the actors.
    pub(crate) fn clear(&mut self) -> Vec<A> {
        let residents = self.residents().cloned().collect();
        self.slots.clear();
        residents
    }

    fn stage(&mut self, id: Uuid, stage: Stage<A>) -> &mut Slot<A> {
        let slot = self.slots.entry(id).or_insert(Slot { stage: Stage::Loading, crashes: 0, woken: false });
        slot.stage = stage;
        slot
    }
}

impl<A: Clone> Slot<A> {
    /// Returns the actor that takes a wake now. Without one, keeps the wake for the next actor.
    fn wake(&mut self) -> Option<A> {
        match &self.stage {
            Stage::Resident(actor) => Some(actor.clone()),
            Stage::Loading | Stage::Leaving(..) | Stage::Backoff => {
                self.woken = true;
                None
            }
        }
    }
}

fn actor<A>(slot: &Slot<A>) -> Option<&A> {
    match &slot.stage {
        Stage::Resident(actor) | Stage::Leaving(actor, _) => Some(actor),
        Stage::Loading | Stage::Backoff => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::DefinitionId;

    fn claimed(id: Uuid, adopted: bool) -> Claimed {
        Claimed {
            id,
            definition: DefinitionId(1),
            signals: 0,
            adopted,
            stuck: false,
            deaths: 0,
            waited_ms: 0,
            first: None,
        }
    }

    #[test]
    fn a_wake_that_comes_while_a_saga_loads_reaches_its_actor() {
        let (id, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let mut slots = Slots::new(4);
        assert!(matches!(slots.take(claimed(id, true)), Taken::Load(_)));
        assert_eq!(slots.wake(id), None);
        assert_eq!(slots.wake(other), None, "it is not here");
        assert!(slots.arrive(id, "first"), "the actor must be woken");
        assert_eq!(slots.wake(id), Some("first"));
        assert!(!slots.arrive(id, "first"), "it was woken already");
        // A claim that finds a wake of a saga that is loading.
        assert!(matches!(slots.take(claimed(other, true)), Taken::Load(_)));
        assert!(matches!(slots.take(claimed(other, false)), Taken::Wait));
        assert!(slots.arrive(other, "second"));
    }

    #[test]
    fn a_wake_that_comes_while_an_actor_leaves_or_has_crashed_reaches_the_next_one() {
        let id = Uuid::from_u128(1);
        let mut slots = Slots::new(4);
        assert!(matches!(slots.take(claimed(id, true)), Taken::Load(_)));
        assert!(!slots.arrive(id, "first"));
        // Claimed again before the actor has stopped.
        assert!(matches!(slots.take(claimed(id, true)), Taken::Wait));
        assert_eq!(slots.wake(id), None, "the actor is about to stop");
        assert!(slots.leave(id).is_some_and(|again| again.adopted));
        assert!(slots.contains(&id) && slots.resident(id).is_none(), "it is loading");
        assert!(slots.arrive(id, "second"));
        assert_eq!(slots.back_off(id), 1);
        assert_eq!(slots.wake(id), None);
        slots.load(id);
        assert!(slots.arrive(id, "third"));
        assert!(slots.leave(id).is_none() && slots.is_empty());
    }
}

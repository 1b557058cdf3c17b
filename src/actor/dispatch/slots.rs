//! The sagas that one lane has on this node, each in a slot: loading, resident, leaving or in backoff. Owns how many
//! there may be and what becomes of a slot; the dispatcher reads journals and starts actors.

use std::collections::HashMap;

use uuid::Uuid;

use crate::store::Claimed;

/// The slots of a lane. `A` is the address of a saga's actor.
pub(crate) struct Slots<A> {
    most: usize,
    /// How many more the claim under way may bring.
    reserved: usize,
    slots: HashMap<Uuid, Slot<A>>,
}

struct Slot<A> {
    stage: Stage<A>,
    /// How often the saga's actor has crashed since the saga came here.
    crashes: u32,
}

enum Stage<A> {
    /// Its journal is being read. The saga looks for signals when it is resident.
    Loading,
    /// An actor runs it.
    Resident(A),
    /// The lane claimed it again before its actor had left: it is loaded once the actor is gone.
    Leaving(A, Box<Claimed>),
    /// Its actor crashed, or its journal could not be read yet: it is loaded after a pause.
    Backoff,
}

/// What to do with a claimed saga.
#[derive(Debug)]
pub(crate) enum Taken<A> {
    /// Read its journal.
    Load(Claimed),
    /// It is resident: wake it.
    Wake(A),
    /// It is loading, or is loaded once its actor has left.
    Wait,
}

impl<A: Clone> Slots<A> {
    /// Has room for `most` sagas.
    pub(crate) fn new(most: usize) -> Self {
        Self { most, reserved: 0, slots: HashMap::new() }
    }

    /// For how many more sagas there is room.
    pub(crate) fn free(&self) -> usize {
        self.most.saturating_sub(self.slots.len() + self.reserved)
    }

    /// Keeps room for what a claim brings, until it has.
    pub(crate) fn reserve(&mut self, sagas: usize) {
        self.reserved = sagas;
    }

    /// Whether there is no saga here.
    pub(crate) fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Whether a saga has a slot.
    pub(crate) fn contains(&self, id: &Uuid) -> bool {
        self.slots.contains_key(id)
    }

    /// The actor of a saga, if it has one.
    pub(crate) fn resident(&self, id: Uuid) -> Option<&A> {
        actor(self.slots.get(&id)?)
    }

    /// All actors.
    pub(crate) fn residents(&self) -> impl Iterator<Item = &A> {
        self.slots.values().filter_map(actor)
    }

    /// Gives a claimed saga its slot. A saga that was adopted from another owner while its actor is here had left: the
    /// actor is about to stop, and the saga is loaded after it.
    pub(crate) fn take(&mut self, saga: Claimed) -> Taken<A> {
        let Some(slot) = self.slots.get_mut(&saga.id) else {
            self.load(saga.id);
            return Taken::Load(saga);
        };
        match &slot.stage {
            Stage::Loading | Stage::Backoff => Taken::Wait,
            Stage::Resident(actor) | Stage::Leaving(actor, _) if saga.adopted => {
                slot.stage = Stage::Leaving(actor.clone(), Box::new(saga));
                Taken::Wait
            }
            Stage::Resident(actor) | Stage::Leaving(actor, _) => Taken::Wake(actor.clone()),
        }
    }

    /// The saga's journal is being read.
    pub(crate) fn load(&mut self, id: Uuid) {
        self.stage(id, Stage::Loading);
    }

    /// The saga's actor has started.
    pub(crate) fn arrive(&mut self, id: Uuid, actor: A) {
        self.stage(id, Stage::Resident(actor));
    }

    /// The saga is loaded after a pause; returns how often that was needed since it came here, at least once.
    pub(crate) fn back_off(&mut self, id: Uuid) -> u32 {
        let slot = self.stage(id, Stage::Backoff);
        slot.crashes = slot.crashes.saturating_add(1);
        slot.crashes
    }

    /// The saga is gone; returns the claim that brought it back before it had left.
    pub(crate) fn leave(&mut self, id: Uuid) -> Option<Claimed> {
        match self.slots.remove(&id)?.stage {
            Stage::Leaving(_, again) => Some(*again),
            Stage::Loading | Stage::Resident(_) | Stage::Backoff => None,
        }
    }

    /// Empties all slots; returns the actors.
    pub(crate) fn clear(&mut self) -> Vec<A> {
        let residents = self.residents().cloned().collect();
        self.slots.clear();
        residents
    }

    fn stage(&mut self, id: Uuid, stage: Stage<A>) -> &mut Slot<A> {
        let slot = self.slots.entry(id).or_insert(Slot { stage: Stage::Loading, crashes: 0 });
        slot.stage = stage;
        slot
    }
}

fn actor<A>(slot: &Slot<A>) -> Option<&A> {
    match &slot.stage {
        Stage::Resident(actor) | Stage::Leaving(actor, _) => Some(actor),
        Stage::Loading | Stage::Backoff => None,
    }
}

//! The definitions that this node knows and those that it can run. Owns the registry by number; what a
//! definition is, is the core's; where it is kept, the store's.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, PoisonError, RwLock};

use crate::actor::telemetry::saga_metrics::SagaMetrics;
use crate::participant::{Participants, expr};
use crate::saga::{Definition, Json, unsound_rules};
use crate::store::{self, DefinitionId, Store, StoredDefinition};

/// One definition under its number in this database.
#[derive(Clone, Debug)]
pub struct Pinned {
    /// Number in this database.
    pub id: DefinitionId,
    /// The definition.
    pub definition: Arc<Definition>,
    /// What is counted of its sagas.
    pub(crate) counts: Arc<SagaMetrics>,
    /// What no door lets through now. It was stored before that was refused; sagas that run go on.
    inadmissible: Arc<[String]>,
}

impl Pinned {
    fn new(id: DefinitionId, definition: Arc<Definition>, participants: &Participants) -> Self {
        let counts = Arc::new(SagaMetrics::of(&definition));
        let faults = participants.inadmissible(definition.draft());
        let inadmissible = faults.iter().map(ToString::to_string).collect();
        Self { id, definition, counts, inadmissible }
    }

    /// Says why nothing new may begin under this definition; all reasons at once.
    pub(crate) fn check_admission(&self) -> Result<(), Vec<String>> {
        if self.inadmissible.is_empty() {
            return Ok(());
        }
        let name = self.definition.name();
        Err(self.inadmissible.iter().map(|fault| format!("definition {name}: {fault}")).collect())
    }

    /// Whether a saga with this input begins on no node, whatever the settings there.
    pub(crate) fn never_starts(&self, input: &Json) -> bool {
        self.definition.check_input(input).is_err() || !unsound_rules(self.definition.draft()).is_empty()
    }

    /// Says why no saga may start under this definition with this input; all reasons at once.
    pub fn check_start(&self, input: &Json) -> Result<(), Vec<String>> {
        self.check_admission()?;
        self.definition.check_input(input)
    }
}

#[derive(Debug, Default)]
struct Known {
    by_id: HashMap<DefinitionId, Entry>,
    by_name: HashMap<String, DefinitionId>,
    /// Numbers of those that an operator has paused.
    paused: HashSet<DefinitionId>,
}

#[derive(Debug)]
struct Entry {
    /// None when the stored draft cannot be read by this version of the program.
    pinned: Option<Pinned>,
    /// What this node lacks to run it.
    missing: Vec<String>,
}

/// The registry of one node.
#[derive(Debug, Default)]
pub struct Definitions(RwLock<Known>);

impl Definitions {
    /// Registers a definition in the database and here; starts by its name take it from now on.
    pub async fn register(
        &self,
        store: &Store,
        participants: &Participants,
        definition: Arc<Definition>,
    ) -> Result<DefinitionId, store::Error> {
        let draft = serde_json::to_string(definition.draft())
            .map_err(|error| store::Error::Invalid(format!("definition {}: {error}", definition.name())))?;
        let turns = definition.draft().concurrency.as_ref().and_then(expr::input_path);
        let (digest, name) = (definition.digest(), definition.name());
        let id = store.put_definition(digest, name, &draft, turns.as_deref()).await?;
        let missing = participants.missing(definition.draft());
        let name = definition.name().to_owned();
        let pinned = Pinned::new(id, definition, participants);
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        known.by_name.insert(name, id);
        known.by_id.insert(id, Entry { pinned: Some(pinned), missing });
        Ok(id)
    }

    /// Reads what others have registered since.
    pub async fn refresh(&self, store: &Store, participants: &Participants) -> Result<(), store::Error> {
        for stored in store.definitions().await? {
            if !self.0.read().unwrap_or_else(PoisonError::into_inner).by_id.contains_key(&stored.id) {
                let entry = read(&stored, participants);
                self.0.write().unwrap_or_else(PoisonError::into_inner).by_id.insert(stored.id, entry);
            }
            let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
            if stored.paused {
                known.paused.insert(stored.id);
            } else {
                known.paused.remove(&stored.id);
            }
            if stored.current {
                known.by_name.insert(stored.name, stored.id);
            }
        }
        Ok(())
    }

    /// The definition with this number, if this node can read it.
    pub fn get(&self, id: DefinitionId) -> Option<Pinned> {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        known.by_id.get(&id)?.pinned.clone()
    }

    /// The definition that starts by this name take, with what this node lacks to run it.
    pub fn current(&self, name: &str) -> Option<(Pinned, Vec<String>)> {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let id = *known.by_name.get(name)?;
        let entry = known.by_id.get(&id)?;
        Some((entry.pinned.clone()?, entry.missing.clone()))
    }

    /// The definitions that starts by name take, in order of their names.
    pub fn all_current(&self) -> Vec<Arc<Definition>> {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let pinned = known.by_name.values().filter_map(|id| known.by_id.get(id)?.pinned.as_ref());
        let mut all: Vec<_> = pinned.map(|pinned| pinned.definition.clone()).collect();
        all.sort_unstable_by(|one, other| one.name().cmp(other.name()));
        all
    }

    /// Whether an operator has paused this definition: its sagas are not taken up.
    pub fn is_paused(&self, id: DefinitionId) -> bool {
        self.0.read().unwrap_or_else(PoisonError::into_inner).paused.contains(&id)
    }

    /// Numbers of the definitions whose sagas this node may claim.
    pub fn runnable(&self) -> Vec<DefinitionId> {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let able = known
            .by_id
            .iter()
            .filter(|(id, entry)| entry.pinned.is_some() && entry.missing.is_empty() && !known.paused.contains(*id));
        let mut ids: Vec<_> = able.map(|(id, _)| *id).collect();
        ids.sort_unstable();
        ids
    }

    /// Numbers of the definitions that tell somebody of their sagas, and whom this node can tell.
    pub(crate) fn telling(&self) -> Vec<DefinitionId> {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let able = known.by_id.values().filter(|entry| entry.missing.is_empty());
        let pinned = able.filter_map(|entry| entry.pinned.as_ref());
        pinned.filter(|pinned| pinned.definition.draft().tells()).map(|pinned| pinned.id).collect()
    }

    /// Whether sagas of any definition known here wait for their turn.
    pub fn any_takes_turns(&self) -> bool {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let mut pinned = known.by_id.values().filter_map(|entry| entry.pinned.as_ref());
        pinned.any(|pinned| pinned.definition.draft().concurrency.is_some())
    }

    /// Definitions that this node cannot run, with what it lacks.
    pub fn unrunnable_definitions(&self) -> Vec<(String, Vec<String>)> {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let named = known.by_name.iter().filter_map(|(name, id)| {
            let entry = known.by_id.get(id)?;
            (!entry.missing.is_empty()).then(|| (name.clone(), entry.missing.clone()))
        });
        let mut named: Vec<_> = named.collect();
        named.sort();
        named
    }
}

fn read(stored: &StoredDefinition, participants: &Participants) -> Entry {
    match stored.build() {
        Ok(definition) => {
            let missing = participants.missing(definition.draft());
            let pinned = Pinned::new(stored.id, definition, participants);
            Entry { pinned: Some(pinned), missing }
        }
        Err(reason) => {
            tracing::warn!(definition = stored.name, digest = stored.digest, reason, "unreadable definition");
            Entry { pinned: None, missing: vec![format!("a version that reads it: {reason}")] }
        }
    }
}

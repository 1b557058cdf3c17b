//! The definitions that this node knows, and those that it can run. Owns the registry by number. Leaves the meaning
//! of a definition to the core, and its storage to the store.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, PoisonError, RwLock};

use sha2::{Digest, Sha256};

use crate::actor::telemetry::saga_metrics::SagaMetrics;
use crate::participant::{Participants, expr};
use crate::saga::{Definition, Json, unsound_rules};
use crate::store::{self, AtStart, DefinitionId, Store, StoredDefinition};

/// Definition with its number in this database.
#[derive(Clone, Debug)]
pub struct Pinned {
    /// Number in this database.
    pub id: DefinitionId,
    /// The definition.
    pub definition: Arc<Definition>,
    /// Metrics of its sagas.
    pub(crate) counts: Arc<SagaMetrics>,
    /// Faults for which its new sagas are refused. The definition was stored before this check existed, or by a node
    /// with other settings; its running sagas go on.
    inadmissible: Arc<[String]>,
}

impl Pinned {
    fn new(id: DefinitionId, definition: Arc<Definition>, participants: &Participants) -> Self {
        let counts = Arc::new(SagaMetrics::for_definition(&definition));
        let faults = participants.inadmissible(definition.draft());
        let inadmissible = faults.iter().map(ToString::to_string).collect();
        Self { id, definition, counts, inadmissible }
    }

    /// Checks whether new sagas may begin under this definition. The error lists every fault.
    pub(crate) fn check_startable(&self) -> Result<(), Vec<String>> {
        if self.inadmissible.is_empty() {
            return Ok(());
        }
        let name = self.definition.name();
        Err(self.inadmissible.iter().map(|fault| format!("definition {name}: {fault}")).collect())
    }

    /// Whether every node refuses to begin a saga with this input, whatever its settings.
    pub(crate) fn never_starts(&self, input: &Json) -> bool {
        self.definition.check_input(input).is_err() || !unsound_rules(self.definition.draft()).is_empty()
    }

    /// Checks whether a saga may start under this definition with this input. The error lists every fault of the
    /// definition, or, if it has none, every fault of the input.
    pub fn check_start(&self, input: &Json) -> Result<(), Vec<String>> {
        self.check_startable()?;
        self.definition.check_input(input)
    }
}

#[derive(Debug, Default)]
struct Known {
    by_id: HashMap<DefinitionId, Entry>,
    by_name: HashMap<String, DefinitionId>,
    /// Numbers of the definitions that an operator has paused.
    paused: HashSet<DefinitionId>,
}

#[derive(Debug)]
struct Entry {
    /// None if this version of the program cannot read the stored draft.
    pinned: Option<Pinned>,
    /// What this node lacks to run it.
    missing: Vec<String>,
}

/// Registry of one node.
#[derive(Debug, Default)]
pub struct Definitions(RwLock<Known>);

impl Definitions {
    /// Registers a definition in the database and here. It becomes the current definition of its name.
    pub async fn register(
        &self,
        store: &Store,
        participants: &Participants,
        definition: Arc<Definition>,
    ) -> Result<DefinitionId, store::Error> {
        let draft = serde_json::to_string(definition.draft())
            .map_err(|error| store::Error::Invalid(format!("definition {}: {error}", definition.name())))?;
        let starts = definition.draft();
        let signed = |limit: u64| i64::try_from(limit).unwrap_or(i64::MAX);
        let at_start = AtStart {
            concurrency: starts.concurrency.as_ref().and_then(expr::input_path),
            priority: starts.priority.as_ref().and_then(|found| expr::of_start(found, &expr::PRIORITIES)),
            fairness: starts.fairness.as_ref().and_then(|found| expr::of_start(found, &expr::FAIRNESS)),
            quota_live: starts.quota.and_then(|quota| quota.live).map(signed),
            quota_bytes: starts.quota.and_then(|quota| quota.bytes).map(signed),
        };
        let (digest, name) = (definition.digest(), definition.name());
        let id = store.put_definition(digest, name, &draft, &at_start).await?;
        let missing = participants.missing(definition.draft());
        let name = definition.name().to_owned();
        let pinned = Pinned::new(id, definition, participants);
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        known.by_name.insert(name, id);
        known.by_id.insert(id, Entry { pinned: Some(pinned), missing });
        Ok(id)
    }

    /// Reads the definitions that other programs have registered, and which definitions are current and paused.
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

    /// Returns the definition with this number, if this node can read it.
    pub fn get(&self, id: DefinitionId) -> Option<Pinned> {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        known.by_id.get(&id)?.pinned.clone()
    }

    /// Returns the current definition of a name, which new sagas use, and what this node lacks to run it.
    pub fn current(&self, name: &str) -> Option<(Pinned, Vec<String>)> {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let id = *known.by_name.get(name)?;
        let entry = known.by_id.get(&id)?;
        Some((entry.pinned.clone()?, entry.missing.clone()))
    }

    /// Returns the current definitions of all names, ordered by name.
    pub fn all_current(&self) -> Vec<Arc<Definition>> {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let pinned = known.by_name.values().filter_map(|id| known.by_id.get(id)?.pinned.as_ref());
        let mut all: Vec<_> = pinned.map(|pinned| pinned.definition.clone()).collect();
        all.sort_unstable_by(|one, other| one.name().cmp(other.name()));
        all
    }

    /// Whether an operator has paused this definition. No node claims sagas of a paused definition.
    pub fn is_paused(&self, id: DefinitionId) -> bool {
        self.0.read().unwrap_or_else(PoisonError::into_inner).paused.contains(&id)
    }

    /// Returns the numbers of the definitions whose sagas this node may claim.
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

    /// Returns a digest of the definitions whose sagas this node may claim; none if there are none.
    pub(crate) fn digest(&self) -> Option<i64> {
        let runnable = self.runnable();
        let digest =
            runnable.iter().fold(Sha256::new(), |digest, id| digest.chain_update(id.0.to_be_bytes())).finalize();
        let first = digest.first_chunk().copied().map(i64::from_be_bytes);
        first.filter(|_| !runnable.is_empty())
    }

    /// Returns the numbers of the definitions that have notices and that this node can run.
    pub(crate) fn telling(&self) -> Vec<DefinitionId> {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let able = known.by_id.values().filter(|entry| entry.missing.is_empty());
        let pinned = able.filter_map(|entry| entry.pinned.as_ref());
        pinned.filter(|pinned| pinned.definition.draft().tells()).map(|pinned| pinned.id).collect()
    }

    /// Whether any definition known here has a concurrency key, so that its sagas take turns.
    pub fn any_takes_turns(&self) -> bool {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let takes_turns = |pinned: &Pinned| pinned.definition.draft().concurrency.is_some();
        // What this version of the program cannot read may have one.
        known.by_id.values().any(|entry| entry.pinned.as_ref().is_none_or(takes_turns))
    }

    /// Returns the current definitions that this node cannot run, with what it lacks.
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
            Entry { pinned: None, missing: vec![format!("a version of amends that can read it: {reason}")] }
        }
    }
}

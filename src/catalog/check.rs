//! Owns what files say together: which are definitions and which settings, names that clash, participants that nobody
//! configured. Leaves each file to `definition.rs` and `settings.rs`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::definition::{self, locate};
use super::environment::Environment;
use super::fault::{Faults, LocatedFault, did_you_mean, printable, quoted};
use super::settings::{self, Settings};
use super::source::{Source, files_of};
use super::yaml::{Path as FieldPath, PathFault, Segment};
use crate::config::catalog::FILES_MAX;
use crate::participant::{ParticipantConfig, Transport};
use crate::saga::Definition;
use crate::saga::definition::{Action, Draft, Errors, Target};

/// What a node runs: its settings, and the definitions that they name.
#[derive(Clone, Debug, Default)]
pub struct Catalog {
    /// The settings.
    pub settings: Settings,
    /// The definitions, in the order of their files.
    pub definitions: Vec<Arc<Definition>>,
}

/// What [`check`] found.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Files that were read, those named by settings included.
    pub files: usize,
    /// Files without a fault.
    pub files_fine: usize,
    /// Definitions without a fault.
    pub definitions: usize,
    /// All faults, sorted by file and line; none when everything is fine.
    pub faults: Faults,
    /// What is legal and often wrong, sorted likewise.
    pub advice: Faults,
}

/// Reads settings and the definitions that they name.
///
/// # Errors
///
/// Returns every fault of every file at once.
pub fn load(settings_file: &Path, environment: &Environment) -> Result<Catalog, Faults> {
    let mut reading = Reading::default();
    let settings = reading.settings(Source::of_file(settings_file), environment);
    reading.cross_check(false);
    let definitions = reading.definitions.iter().filter_map(|one| Definition::build(one.draft.clone()).ok()).collect();
    reading.faults.or(Catalog { settings, definitions })
}

/// Reads definitions from files, folders (their `*.yaml` and `*.yml`) and patterns such as `sagas/**/*.yaml`.
///
/// # Errors
///
/// Returns every fault of every file at once.
pub fn load_definitions(paths: &[PathBuf]) -> Result<Vec<Arc<Definition>>, Faults> {
    let mut reading = Reading::default();
    for path in paths {
        for file in reading.files(path) {
            reading.definition(Source::of_file(&file));
        }
    }
    // The settings are the program's; they are asked when it registers the definitions.
    reading.cross_check(true);
    let definitions = reading.definitions.iter().filter_map(|one| Definition::build(one.draft.clone()).ok()).collect();
    reading.faults.or(definitions)
}

/// Checks files, folders and patterns of definitions and settings, and the definitions that settings name.
///
/// A file with `saga` or `steps` at its top is a definition, any other is settings. Where there are settings,
/// every `tool` and `http` is looked up among their participants.
pub fn check(paths: &[PathBuf], environment: &Environment) -> Report {
    let mut reading = Reading::default();
    for path in paths {
        for file in reading.files(path) {
            let source = Source::of_file(&file);
            if source.is_definition() {
                reading.definition(source);
            } else {
                reading.settings(source, environment);
            }
        }
    }
    reading.cross_check(false);
    let mut advice = Faults::default();
    for one in &reading.definitions {
        let found = definition::doubtful_rules(one).into_iter();
        found.for_each(|fault| advice.push(locate(&one.file, &one.node, fault)));
    }
    let (faults, advice) = (reading.faults.sorted(), advice.sorted());
    let at_fault: BTreeSet<&str> = faults.as_slice().iter().map(|fault| fault.file.as_str()).collect();
    let files_fine = reading.files.iter().filter(|file| !at_fault.contains(file.as_str())).count();
    Report { files: reading.files.len(), files_fine, definitions: reading.definitions.len(), faults, advice }
}

/// What was read so far.
#[derive(Default)]
struct Reading {
    faults: Faults,
    /// Names of the files that were read.
    files: BTreeSet<String>,
    /// The same files as the machine knows them, so that one is not read twice under two names.
    seen: BTreeSet<PathBuf>,
    definitions: Vec<definition::Located>,
    /// Participants of all settings, by name; none without settings.
    participants: Option<BTreeMap<String, Known>>,
}

impl Reading {
    /// Returns the files of a path that were not read yet.
    fn files(&mut self, path: &Path) -> Vec<PathBuf> {
        let found = match files_of(path) {
            Ok(found) => found,
            Err(message) => {
                let file = path.display().to_string();
                self.faults.push_file(&file, message);
                self.files.insert(file);
                return Vec::new();
            }
        };
        let mut fresh = Vec::new();
        for file in found {
            if self.seen.len() == FILES_MAX {
                self.faults.push_file(&file.display().to_string(), format!("more than {FILES_MAX} files; name fewer"));
                break;
            }
            if self.seen.insert(file.canonicalize().unwrap_or_else(|_| file.clone())) {
                fresh.push(file);
            }
        }
        fresh
    }

    fn definition(&mut self, source: Source) {
        self.files.insert(source.file.clone());
        let (located, faults) = definition::read(source);
        self.faults.extend(faults);
        self.definitions.extend(located);
    }

    fn settings(&mut self, source: Source, environment: &Environment) -> Settings {
        let file = source.file.clone();
        self.files.insert(file.clone());
        let (located, faults) = settings::read(source, environment);
        self.faults.extend(faults);
        let participants = self.participants.get_or_insert_default();
        for participant in &located.settings.participants {
            participants.insert(participant.name.clone(), Known::of(participant));
        }
        for (index, path) in located.settings.definitions.iter().enumerate() {
            match files_of(path) {
                Ok(_) => {}
                Err(message) => {
                    let message = format!("`{}`: {message}", printable(&path.display().to_string()));
                    let field = PathFault::value(&["definitions".into(), index.into()], message);
                    self.faults.push(locate(&file, &located.node, field));
                    continue;
                }
            }
            for found in self.files(path) {
                self.definition(Source::of_file(&found));
            }
        }
        located.settings
    }

    /// Looks for what no file can know alone. Settings that are elsewhere may say what errors prove.
    fn cross_check(&mut self, settings_elsewhere: bool) {
        let mut first: BTreeMap<&str, String> = BTreeMap::new();
        let mut faults: Vec<LocatedFault> = Vec::new();
        for one in &self.definitions {
            let path: FieldPath = vec!["saga".into()];
            if let Some(other) = first.get(one.draft.name.as_str()) {
                let message = format!("the definition {} is also in {other}; rename one", quoted(&one.draft.name));
                faults.push(locate(&one.file, &one.node, PathFault::value(&path, message)));
            } else {
                let line = one.node.locate(&path, super::yaml::Anchor::Value).line;
                first.insert(&one.draft.name, format!("{}:{line}", printable(&one.file)));
            }
            if let Some(participants) = &self.participants {
                let unknown = unknown_participants(&one.draft, participants);
                let overridden = overridden_headers(&one.draft, participants);
                let found = unknown.into_iter().chain(overridden);
                faults.extend(found.map(|fault| locate(&one.file, &one.node, fault)));
            }
            let known = self.participants.as_ref();
            let silent = definition::silent_errors(one, |participant| match known {
                Some(known) => known.get(participant).is_some_and(|known| known.trusts_errors),
                None => settings_elsewhere,
            });
            faults.extend(silent.into_iter().map(|fault| locate(&one.file, &one.node, fault)));
        }
        faults.into_iter().for_each(|fault| self.faults.push(fault));
    }
}

/// What definitions must know of a participant.
struct Known {
    /// The field that calls it.
    protocol: &'static str,
    /// Names of the headers that the settings give its requests, in lower case.
    headers: BTreeSet<String>,
    /// Whether they say that its errors had no effect.
    trusts_errors: bool,
}

impl Known {
    fn of(participant: &ParticipantConfig) -> Self {
        let trusts_errors = participant.answers.errors == Some(Errors::Definite);
        match &participant.transport {
            Transport::Stdio { .. } | Transport::McpHttp { .. } => {
                Self { protocol: "tool", headers: BTreeSet::new(), trusts_errors }
            }
            Transport::Http { headers, .. } => Self {
                protocol: "http",
                headers: headers.keys().map(|name| name.to_ascii_lowercase()).collect(),
                trusts_errors,
            },
        }
    }
}

/// Returns a fault for each call of a participant that the settings do not have, or have with another protocol.
fn unknown_participants(draft: &Draft, participants: &BTreeMap<String, Known>) -> Vec<PathFault> {
    let mut faults = Vec::new();
    for (path, target) in targets(draft) {
        let (participant, field) = match target {
            Target::Tool { participant, .. } => (participant, "tool"),
            Target::Http { participant, .. } => (participant, "http"),
            Target::Handler { .. } => continue,
        };
        let name = quoted(participant);
        let message = match participants.get(participant.as_str()) {
            Some(Known { protocol, .. }) if *protocol == field => continue,
            Some(Known { protocol, .. }) => {
                format!("the participant {name} is called by `{protocol}`, not by `{field}`; see its settings")
            }
            None => {
                let near = did_you_mean(participant, participants.keys().map(String::as_str));
                format!("the settings have no participant {name}{near}")
            }
        };
        let path: FieldPath = path.into_iter().chain([field.into()]).collect();
        faults.push(PathFault::value(&path, message));
    }
    faults
}

/// Returns a fault for each header of a call that the settings give its participant: theirs is sent, and not that one.
fn overridden_headers(draft: &Draft, participants: &BTreeMap<String, Known>) -> Vec<PathFault> {
    let mut faults = Vec::new();
    for (path, target) in targets(draft) {
        let Target::Http { participant, headers, .. } = target else { continue };
        let Some(known) = participants.get(participant.as_str()) else { continue };
        for name in headers.keys().filter(|name| known.headers.contains(&name.to_ascii_lowercase())) {
            let path: FieldPath = path.iter().cloned().chain(["headers".into(), name.as_str().into()]).collect();
            let message = format!(
                "the settings give {} the header {}, which no definition overrides; remove it",
                quoted(participant),
                quoted(name)
            );
            faults.push(PathFault::value(&path, message));
        }
    }
    faults
}

/// Returns all targets of a draft with their paths in the file.
fn targets(draft: &Draft) -> Vec<(FieldPath, &Target)> {
    let told = [("on_stuck", &draft.on_stuck), ("on_end", &draft.on_end)];
    let told = told.into_iter().filter_map(|(key, notice)| Some((vec![key.into()], &notice.as_ref()?.target)));
    let mut out: Vec<(FieldPath, &Target)> = told.collect();
    for (index, step) in draft.steps.iter().enumerate() {
        let at = |more: &[&str]| -> FieldPath {
            let step: [Segment; 2] = ["steps".into(), index.into()];
            step.into_iter().chain(more.iter().map(|key| Segment::from(*key))).collect()
        };
        if let Action::Call(action) = &step.action {
            out.push((at(&["action"]), &action.target));
            out.extend(action.probe.iter().map(|probe| (at(&["probe"]), &probe.target)));
        }
        if let Some(compensation) = &step.compensation {
            out.push((at(&["compensation"]), &compensation.target));
            let probe = compensation.probe.iter();
            out.extend(probe.map(|probe| (at(&["compensation", "probe"]), &probe.target)));
        }
    }
    out
}

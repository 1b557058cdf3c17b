//! Reads a set of files and checks them against each other: duplicate definition names, participants that the
//! settings lack, headers that the settings override. Decides which file is a definition and which is settings.
//!
//! Leaves single files to `definition.rs` and `settings.rs`.

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

/// Settings of a node and the definitions that they name.
#[derive(Clone, Debug, Default)]
pub struct Catalog {
    /// The settings.
    pub settings: Settings,
    /// The definitions, in the order of their files.
    pub definitions: Vec<Arc<Definition>>,
}

/// Result of [`check`].
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Number of files read, including the files that settings name. A path that cannot be read counts as one file.
    pub files: usize,
    /// Number of files without a fault.
    pub files_fine: usize,
    /// Number of definitions without a fault of their own. Faults between files do not lower it.
    pub definitions: usize,
    /// All faults, sorted by file and line. Empty if there are none.
    pub faults: Faults,
    /// Rules that are legal but often wrong, sorted by file and line.
    pub advice: Faults,
}

/// Returns the faults of all files at once.
pub fn load(settings_file: &Path, environment: &Environment) -> Result<Catalog, Faults> {
    let mut reading = Reading::default();
    let settings = reading.settings(Source::of_file(settings_file), environment);
    reading.cross_check(false);
    let definitions = reading.definitions.iter().filter_map(|one| Definition::build(one.draft.clone()).ok()).collect();
    reading.faults.or(Catalog { settings, definitions })
}

/// Returns the faults of all files at once.
pub fn load_definitions(paths: &[PathBuf]) -> Result<Vec<Arc<Definition>>, Faults> {
    let mut reading = Reading::default();
    for path in paths {
        for file in reading.files(path) {
            reading.definition(Source::of_file(&file));
        }
    }
    // The settings belong to the calling program. Registration checks the definitions against them.
    reading.cross_check(true);
    let definitions = reading.definitions.iter().filter_map(|one| Definition::build(one.draft.clone()).ok()).collect();
    reading.faults.or(definitions)
}

/// Checks definitions and settings in files, folders and patterns. Also checks the definitions that the settings
/// name.
///
/// A file is a definition if a document in it has `saga` or `steps` at the top level, or if no document in it is a
/// mapping. Every other file is settings. If there are settings, every `tool` and `http` call must name one of their
/// participants.
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

/// Files and definitions read so far, and their faults.
#[derive(Default)]
struct Reading {
    faults: Faults,
    /// Names of the files read, as faults show them.
    files: BTreeSet<String>,
    /// Canonical paths of the files, so that no file is read twice under two names.
    seen: BTreeSet<PathBuf>,
    definitions: Vec<definition::Located>,
    /// Participants of all settings, by name. `None` if no settings were read.
    participants: Option<BTreeMap<String, Known>>,
}

impl Reading {
    /// Returns the files of a path, without the files that were read before.
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
            participants.insert(participant.name.clone(), Known::from_participant(participant));
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

    /// Finds faults between files: duplicate definition names, unknown participants, overridden headers, and tool
    /// calls for which nothing says what an error proves. If `settings_elsewhere` is set and no settings were read,
    /// every participant counts as one with `errors: definite`.
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

/// Settings of a participant that matter to definitions.
struct Known {
    /// Field that calls the participant: `tool` or `http`.
    protocol: &'static str,
    /// Names of the headers that the settings add to its requests, in lower case.
    headers: BTreeSet<String>,
    /// Whether the settings declare `errors: definite`: an error proves that the call had no effect.
    trusts_errors: bool,
}

impl Known {
    fn from_participant(participant: &ParticipantConfig) -> Self {
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

/// Returns a fault for each call to an unknown participant and for each call with the wrong protocol.
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
                format!("expected `{protocol}` calls to participant {name}, found `{field}`; see its settings")
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

/// Returns a fault for each header that both a call and the settings of its participant set. The request carries the
/// value from the settings.
fn overridden_headers(draft: &Draft, participants: &BTreeMap<String, Known>) -> Vec<PathFault> {
    let mut faults = Vec::new();
    for (path, target) in targets(draft) {
        let Target::Http { participant, headers, .. } = target else { continue };
        let Some(known) = participants.get(participant.as_str()) else { continue };
        for name in headers.keys().filter(|name| known.headers.contains(&name.to_ascii_lowercase())) {
            let path: FieldPath = path.iter().cloned().chain(["headers".into(), name.as_str().into()]).collect();
            let message = format!(
                "the settings of participant {} set the header {}, which a definition cannot override; remove it",
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

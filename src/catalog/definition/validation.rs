//! Runs the checks of the core and of the expressions on a draft. Translates the paths in their faults from the draft
//! to the file.

use crate::catalog::yaml::{Anchor, Node, Path, PathFault, Segment};
use crate::participant::expr;
use crate::saga::definition::Draft;
use crate::saga::{self, Definition, Fault};

/// Returns every fault that the core or an expression finds in a draft, with paths in the file.
pub(super) fn faults(draft: &Draft, file: &Node) -> Vec<PathFault> {
    let of_core = Definition::build(draft.clone()).err().unwrap_or_default();
    let unsound = saga::unsound_rules(draft);
    let found = of_core.into_iter().chain(unsound).chain(expr::check_draft(draft));
    without_inherited(at_paths_of_file(found, file))
}

/// Returns a fault for each tool call for which the draft does not say what an error of the tool proves, with paths
/// in the file.
pub(super) fn silent_errors(draft: &Draft, file: &Node, says: impl Fn(&str) -> bool) -> Vec<PathFault> {
    at_paths_of_file(saga::silent_errors(draft, says), file)
}

/// Returns advice on the rules of a draft that are legal but often wrong, with paths in the file.
pub(super) fn doubtful_rules(draft: &Draft, file: &Node) -> Vec<PathFault> {
    at_paths_of_file(saga::doubtful_rules(draft), file)
}

fn at_paths_of_file(faults: impl IntoIterator<Item = Fault>, file: &Node) -> Vec<PathFault> {
    let at_path = |Fault { path, message }| {
        let path = file_path(&path, file);
        let anchor = if file.find(&path).is_some_and(Node::is_scalar) { Anchor::Value } else { Anchor::Key };
        PathFault { path, anchor, message }
    };
    faults.into_iter().map(at_path).collect()
}

/// Drops the faults of fields that a compensation inherits from its step. The step has the same faults.
fn without_inherited(faults: Vec<PathFault>) -> Vec<PathFault> {
    let is_inherited = |fault: &PathFault| {
        let mut of_step = fault.path.clone();
        of_step.retain(|segment| *segment != "compensation".into());
        let same = |other: &PathFault| other.path == of_step && other.message == fault.message;
        of_step.len() < fault.path.len() && faults.iter().any(same)
    };
    faults.iter().filter(|fault| !is_inherited(fault)).cloned().collect()
}

/// Drops the faults that may only follow from a refused field: the field is no longer in the draft.
pub(super) fn not_implied_by(verdict: Vec<PathFault>, shape: &[PathFault]) -> Vec<PathFault> {
    let place = |path: &Path| path.iter().take(2).cloned().collect::<Vec<_>>();
    let shaken: Vec<_> = shape.iter().map(|fault| place(&fault.path)).collect();
    let names_lost = shape.iter().any(|fault| fault.path.is_empty() || names_a_step(&fault.path));
    let implied = |fault: &PathFault| names_lost || shaken.contains(&place(&fault.path));
    verdict.into_iter().filter(|fault| !implied(fault)).collect()
}

/// Returns whether the refused field removes a step or its name, which other steps may refer to.
fn names_a_step(path: &[Segment]) -> bool {
    match path {
        [Segment::Key(steps)] => steps == "steps",
        [Segment::Key(steps), Segment::Index(_)] => steps == "steps",
        [Segment::Key(steps), Segment::Index(_), Segment::Key(field)] => steps == "steps" && field == "step",
        _ => false,
    }
}

/// Translates `steps[1].action.call.retry.backoff_ms` into `steps[1].retry.backoff`.
fn file_path(draft_path: &str, file: &Node) -> Path {
    let mut words = split(draft_path).into_iter().peekable();
    let mut path = Path::new();
    while let Some(word) = words.next() {
        let Segment::Key(key) = &word else {
            path.push(word);
            continue;
        };
        match (path.len(), key.as_str()) {
            (0, "name") => path.push("saga".into()),
            (2, "name") => path.push("step".into()),
            (2, "action") => action(&mut path, &mut words),
            (_, "call") => {}
            (_, "target") => target(&mut path, &mut words),
            (_, "settle_ms") => settle(&mut path, file),
            (_, key) => path.push(key.strip_suffix("_ms").unwrap_or(key).into()),
        }
        if path.last().is_some_and(|field| TEMPLATES.iter().any(|template| *field == Segment::from(*template))) {
            // The names inside a template are the author's.
            path.extend(words);
            break;
        }
    }
    path
}

/// Fields that hold templates.
const TEMPLATES: [&str; 5] = ["arguments", "query", "headers", "body", "output"];

type Words = std::iter::Peekable<std::vec::IntoIter<Segment>>;

/// In the file, the target of an action is inside `action`, and the other fields of its call are next to it.
fn action(path: &mut Path, words: &mut Words) {
    words.next_if(|word| *word == "call".into());
    match words.peek() {
        None => path.push("action".into()),
        Some(Segment::Key(key)) => match key.as_str() {
            "target" => path.push("action".into()),
            "event" | "for_ms" => {
                let field = if key == "event" { "await" } else { "sleep" };
                words.next();
                path.extend(["action".into(), field.into()]);
            }
            "message" | "arguments" | "approver" => path.extend(["action".into(), "approval".into()]),
            "await" | "sleep" | "approval" => path.push("action".into()),
            _ => {}
        },
        Some(Segment::Index(_)) => path.push("action".into()),
    }
}

/// In the file, the variant of a target is not a level of its own.
fn target(path: &mut Path, words: &mut Words) {
    let Some(Segment::Key(variant)) = words.next() else { return };
    if let Some(Segment::Key(field)) = words.peek() {
        if ["participant", "tool", "name"].contains(&field.as_str()) {
            words.next();
            path.push(variant.as_str().into());
        }
    } else {
        path.push(variant.as_str().into());
    }
}

/// The settle window may be set in the call or in its probe.
fn settle(path: &mut Path, file: &Node) {
    let mut in_probe = path.clone();
    in_probe.extend(["probe".into(), "settle".into()]);
    if file.find(&in_probe).is_some() { *path = in_probe } else { path.push("settle".into()) }
}

/// Splits `steps[1].retry` into its segments.
fn split(path: &str) -> Path {
    let mut out = Path::new();
    for part in path.split('.') {
        let mut pieces = part.split('[');
        if let Some(key) = pieces.next().filter(|key| !key.is_empty()) {
            out.push(key.into());
        }
        for piece in pieces {
            match piece.strip_suffix(']').and_then(|digits| digits.parse::<usize>().ok()) {
                Some(index) => out.push(index.into()),
                None => out.push(piece.into()),
            }
        }
    }
    out
}

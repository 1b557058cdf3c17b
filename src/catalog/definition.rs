//! Owns the way from a definition's file to [`Draft`]s: syntax, shape, defaults that depend on the place, and
//! at last the core's and the expressions' own verdict, all named by line. The shape itself is
//! `definition.schema.json`.

pub(super) mod defaults;
mod draft;
mod validation;

use super::fault::{Faults, LocatedFault};
use super::schema;
use super::source::Source;
use super::yaml::{Node, Path, PathFault};
use crate::saga::definition::Draft;

pub(super) use draft::duration_ms;

/// A definition and where it was read.
#[derive(Clone, Debug)]
pub(super) struct Located {
    pub(super) file: String,
    pub(super) node: Node,
    pub(super) draft: Draft,
}

/// Reads the definitions of one text: one, or several divided by `---`.
///
/// `file` is the name that faults carry. Every fault of the text is returned at once: of the syntax, of the
/// shape, and of what the saga could not promise.
///
/// # Errors
///
/// Returns all faults, sorted by line. There is at least one.
pub fn parse_definitions(file: &str, text: &str) -> Result<Vec<Draft>, Faults> {
    let (located, faults) = read(Source::of_text(file, text));
    faults.or(located.into_iter().map(|one| one.draft).collect())
}

/// Reads what can be read of a source, and returns the faults beside it.
pub(super) fn read(source: Source) -> (Vec<Located>, Faults) {
    let Source { file, mut documents, mut faults } = source;
    // A `---` at the begin or end of a file divides nothing.
    documents.retain(|document| !document.is_null());
    if documents.is_empty() && faults.is_empty() {
        faults.push_file(&file, "expected a definition, found an empty file; begin with `saga: NAME`");
    }
    let mut located = Vec::new();
    for node in documents {
        match decode(&node) {
            Ok(draft) => located.push(Located { file: file.clone(), node, draft }),
            Err(found) => found.into_iter().for_each(|fault| faults.push(locate(&file, &node, fault))),
        }
    }
    (located, faults)
}

/// Returns the calls whose errors a definition trusts in silence; `says` tells whether the settings of a participant
/// say that its errors had no effect.
pub(super) fn silent_errors(one: &Located, says: impl Fn(&str) -> bool) -> Vec<PathFault> {
    validation::silent_errors(&one.draft, &one.node, says)
}

/// Returns rules of a definition that are legal and often wrong.
pub(super) fn doubtful_rules(one: &Located) -> Vec<PathFault> {
    validation::doubtful_rules(&one.draft, &one.node)
}

/// Names a fault by file and line.
pub(super) fn locate(file: &str, node: &Node, fault: PathFault) -> LocatedFault {
    let PathFault { path, anchor, message } = fault;
    let at = Some(node.locate(&path, anchor));
    LocatedFault { file: file.to_owned(), at, path: node.describe(&path), message }
}

/// Turns one document into a draft that the core and the expressions accept.
fn decode(node: &Node) -> Result<Draft, Vec<PathFault>> {
    let value = node.to_json();
    let mut faults = schema::DEFINITION.faults(&value);
    for key in ["input", "output_schema"] {
        if let Some(found) = value.get(key).filter(|found| found.is_object() || found.is_boolean()) {
            faults.extend(schema::schema_faults(found).into_iter().map(|fault| below(key, fault)));
        }
    }
    let shape = faults.clone();
    match draft::decode(&schema::without(value, &shape)) {
        Ok((draft, more)) => {
            faults.extend(more);
            let verdict = validation::not_implied_by(validation::faults(&draft, node), &shape);
            faults.extend(verdict);
            if faults.is_empty() { Ok(draft) } else { Err(faults) }
        }
        // What is left does not decode: the shape's own faults say why.
        Err(fault) => Err(if faults.is_empty() { vec![fault] } else { faults }),
    }
}

/// Decodes a text by its shape alone, whatever the core says of it.
#[cfg(test)]
pub(super) fn decode_shape(text: &str) -> Result<Draft, String> {
    let source = Source::of_text("test", text);
    let [node] = source.documents.as_slice() else { return Err(format!("{:?}", source.faults)) };
    let value = node.to_json();
    let faults = schema::DEFINITION.faults(&value);
    if !faults.is_empty() || !source.faults.is_empty() {
        return Err(format!("{faults:?} {}", source.faults));
    }
    let (draft, faults) = draft::decode(&value).map_err(|fault| format!("{fault:?}"))?;
    if faults.is_empty() { Ok(draft) } else { Err(format!("{faults:?}")) }
}

fn below(key: &str, mut fault: PathFault) -> PathFault {
    let mut path: Path = vec![key.into()];
    path.append(&mut fault.path);
    PathFault { path, ..fault }
}

#[cfg(test)]
mod tests;

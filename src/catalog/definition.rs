//! Reads a definition file into [`Draft`]s. Checks the syntax and the shape, fills in the defaults that depend on the
//! place of a field, then runs the checks of the core and of the expressions. Every fault names its line.
//!
//! The shape is `definition.schema.json`.

pub(super) mod defaults;
mod draft;
mod validation;

use super::fault::{Faults, LocatedFault};
use super::schema;
use super::source::Source;
use super::yaml::{Node, Path, PathFault};
use crate::saga::definition::Draft;

pub(super) use draft::duration_ms;

/// A definition, its file and its YAML node.
#[derive(Clone, Debug)]
pub(super) struct Located {
    pub(super) file: String,
    pub(super) node: Node,
    pub(super) draft: Draft,
}

/// Parses the definitions in a text: one, or several separated by `---`.
///
/// `file` is the file name in the faults. All faults of the text are returned at once: of the syntax, of the shape,
/// and from the checks of the core and of the expressions.
///
/// # Errors
///
/// Returns all faults, sorted by line. There is at least one.
pub fn parse_definitions(file: &str, text: &str) -> Result<Vec<Draft>, Faults> {
    let (located, faults) = read(Source::of_text(file, text));
    faults.or(located.into_iter().map(|one| one.draft).collect())
}

/// Decodes the definitions of a source. Returns every definition without a fault, and the faults of the others.
pub(super) fn read(source: Source) -> (Vec<Located>, Faults) {
    let Source { file, mut documents, mut faults } = source;
    // A `---` at the start or end of a file adds a null document.
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

/// Returns a fault for each tool call for which the definition does not say what an error of the tool proves. `says`
/// returns whether the settings of a participant declare `errors: definite`.
pub(super) fn silent_errors(one: &Located, says: impl Fn(&str) -> bool) -> Vec<PathFault> {
    validation::silent_errors(&one.draft, &one.node, says)
}

/// Returns advice on the rules of a definition that are legal but often wrong.
pub(super) fn doubtful_rules(one: &Located) -> Vec<PathFault> {
    validation::doubtful_rules(&one.draft, &one.node)
}

/// Adds the file, the line and the readable path to a fault.
pub(super) fn locate(file: &str, node: &Node, fault: PathFault) -> LocatedFault {
    let PathFault { path, anchor, message } = fault;
    let at = Some(node.locate(&path, anchor));
    LocatedFault { file: file.to_owned(), at, path: node.describe(&path), message }
}

/// Decodes one document into a draft that passes the checks of the core and of the expressions.
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
        // The rest of the document does not decode. Faults of the shape explain why, if there are any.
        Err(fault) => Err(if faults.is_empty() { vec![fault] } else { faults }),
    }
}

/// Decodes a text by its shape alone, without the checks of the core.
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

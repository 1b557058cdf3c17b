//! Checks files against the two JSON Schemas that this crate ships, and turns each violation into a message for
//! people.
//!
//! Leaves to `definition.rs` and `settings.rs` what a schema cannot express.

use std::sync::LazyLock;

use jsonschema::error::{TypeKind, ValidationErrorKind};
use jsonschema::paths::LocationSegment;
use jsonschema::{JsonType, ValidationError, Validator};
use serde_json::Value;

use super::fault::{did_you_mean, quoted};
use super::yaml::{AMBIGUOUS_BOOLEANS, Path, PathFault, Segment};
use crate::config::catalog::FAULTS_MAX;
use crate::saga;

/// JSON Schema of a definition file, for editors.
pub const DEFINITION_SCHEMA: &str = include_str!("definition.schema.json");
/// JSON Schema of a settings file, for editors.
pub const SETTINGS_SCHEMA: &str = include_str!("settings.schema.json");

/// A shipped schema with its compiled validator.
pub(super) struct Schema {
    document: Value,
    validator: Validator,
}

pub(super) static DEFINITION: LazyLock<Schema> = LazyLock::new(|| Schema::shipped(DEFINITION_SCHEMA));
pub(super) static SETTINGS: LazyLock<Schema> = LazyLock::new(|| Schema::shipped(SETTINGS_SCHEMA));

impl Schema {
    fn shipped(text: &str) -> Self {
        let document: Value =
            serde_json::from_str(text).unwrap_or_else(|error| panic!("a shipped schema is not JSON: {error}"));
        let validator = jsonschema::options()
            .offline()
            .build(&document)
            .unwrap_or_else(|error| panic!("a shipped schema is not a JSON Schema: {error}"));
        Self { document, validator }
    }

    /// Returns the violations of a document, at most one more than the number of faults that are shown.
    pub(super) fn faults(&self, value: &Value) -> Vec<PathFault> {
        let errors: Vec<_> = self.validator.iter_errors(value).take(FAULTS_MAX + 1).collect();
        let undecided: Vec<_> = errors.iter().filter(|error| is_choice(error)).map(path_of).collect();
        let mut faults = Vec::new();
        for error in &errors {
            // While the choice between alternatives is open, the rules of each alternative are of no help.
            let implied = is_rule(error) && undecided.iter().any(|path| path_of(error).starts_with(path));
            if !implied {
                self.explain(error, &mut faults);
            }
        }
        faults.truncate(FAULTS_MAX + 1);
        faults
    }

    fn explain(&self, error: &ValidationError<'_>, faults: &mut Vec<PathFault>) {
        let path = path_of(error);
        let found = describe(error.instance());
        match error.kind() {
            ValidationErrorKind::AdditionalProperties { unexpected } => {
                let known = self.parent(error).and_then(|parent| parent["properties"].as_object());
                for name in unexpected.iter().take(FAULTS_MAX + 1) {
                    let known = known.into_iter().flat_map(|known| known.keys().map(String::as_str));
                    let message = format!("unknown field{}", suggestion(name, known));
                    faults.push(PathFault::key(&child(&path, name), message));
                }
            }
            ValidationErrorKind::Required { property } => {
                let path = child(&path, property.as_str().unwrap_or_default());
                faults.push(PathFault::key(&path, "expected this field, which is missing"));
            }
            ValidationErrorKind::OneOfNotValid { .. }
            | ValidationErrorKind::OneOfMultipleValid { .. }
            | ValidationErrorKind::AnyOf { .. } => faults.push(self.alternatives(error, &path)),
            ValidationErrorKind::FalseSchema => {
                let place = self.enclosing_title(error).unwrap_or("this place");
                faults.push(PathFault::key(&path, format!("does not belong to {place}; remove it")));
            }
            ValidationErrorKind::PropertyNames { error: inner } => {
                let name = inner.instance().as_str().unwrap_or_default().to_owned();
                let message = format!("expected {}, found {}", self.expected(inner), quoted(&name));
                faults.push(PathFault::key(&child(&path, &name), message));
            }
            ValidationErrorKind::Enum { options } => {
                let words: Vec<&str> = options.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
                let close = error.instance().as_str().map(|found| did_you_mean(found, words.iter().copied()));
                let words = list(words.iter().copied());
                let close = close.unwrap_or_default();
                faults.push(PathFault::value(&path, format!("expected one of {words}, found {found}{close}")));
            }
            _ => {
                let message = format!("expected {}, found {found}{}", self.expected(error), hint(error));
                faults.push(PathFault::value(&path, message));
            }
        }
    }

    /// Describes what the failed keyword asks for. `minimum`, `maximum`, `maxItems` and `maxLength` name their limit.
    /// Any other keyword is described by the title of its schema, or by itself if the schema has no title.
    fn expected(&self, error: &ValidationError<'_>) -> String {
        let bound = match error.kind() {
            ValidationErrorKind::Type { kind } => types(kind),
            ValidationErrorKind::Minimum { limit } => return format!("at least {limit}"),
            ValidationErrorKind::Maximum { limit } => return format!("at most {limit}"),
            ValidationErrorKind::MaxItems { limit } => return format!("at most {limit} items"),
            ValidationErrorKind::MaxLength { limit } => return format!("at most {limit} characters"),
            ValidationErrorKind::MinLength { limit: 1 } => "text that is not empty".to_owned(),
            ValidationErrorKind::UniqueItems => "items that differ".to_owned(),
            ValidationErrorKind::Pattern { pattern } => format!("text like `{pattern}`"),
            kind => format!("a value that the schema keyword `{}` accepts", kind.keyword()),
        };
        let title = self.parent(error).and_then(|parent| parent["title"].as_str());
        title.map_or(bound, str::to_owned)
    }

    /// Describes a failed choice between fields, such as `tool`, `http` or `handler`.
    fn alternatives(&self, error: &ValidationError<'_>, path: &[Segment]) -> PathFault {
        let branches = self.document.pointer(error.schema_path().as_str()).and_then(Value::as_array);
        let names = || branches.into_iter().flatten().filter_map(|branch| branch["required"][0].as_str());
        let present = || names().filter(|name| error.instance().get(name).is_some());
        let found = if present().next().is_none() { "none of them".to_owned() } else { list(present()) };
        let how_many = match error.kind() {
            ValidationErrorKind::AnyOf { .. } => "at least one",
            _ => "exactly one",
        };
        PathFault::key(path, format!("expected {how_many} of the fields {}; found {found}", list(names())))
    }

    /// Returns the schema object that holds the failed keyword.
    fn parent(&self, error: &ValidationError<'_>) -> Option<&Value> {
        let pointer = error.schema_path().as_str();
        self.document.pointer(&pointer[..pointer.rfind('/')?])
    }

    /// Returns the nearest title above the failed keyword.
    fn enclosing_title(&self, error: &ValidationError<'_>) -> Option<&str> {
        let mut pointer = error.schema_path().as_str();
        while let Some(end) = pointer.rfind('/') {
            pointer = &pointer[..end];
            if let Some(title) = self.document.pointer(pointer).and_then(|schema| schema["title"].as_str()) {
                return Some(title);
            }
        }
        None
    }
}

/// Returns whether the error is a choice of exactly one field: several of the fields are set, or none.
fn is_choice(error: &ValidationError<'_>) -> bool {
    matches!(error.kind(), ValidationErrorKind::OneOfNotValid { .. } | ValidationErrorKind::OneOfMultipleValid { .. })
}

/// Returns whether the error comes from a rule for one of the alternatives.
fn is_rule(error: &ValidationError<'_>) -> bool {
    error.schema_path().as_str().contains("/then/")
}

/// Returns the faults of a JSON Schema inside a file, with paths below that schema.
pub(super) fn schema_faults(schema: &Value) -> Vec<PathFault> {
    let meta = match jsonschema::meta::validator_for(schema) {
        Ok(meta) => meta,
        Err(error) => {
            return vec![PathFault::value(&[], format!("expected a JSON Schema: {}", one_line(&error)))];
        }
    };
    let mut faults: Vec<PathFault> =
        meta.iter_errors(schema).map(|error| PathFault::value(&path_of(&error), meta_message(&error))).collect();
    // Only building a validator checks patterns and references.
    if let Err(error) = saga::schema_options().build(schema) {
        let path = path_of(&error);
        if faults.iter().all(|fault| fault.path != path) {
            faults.push(PathFault::value(&path, meta_message(&error)));
        }
    }
    faults
}

/// Describes a fault in a part of a JSON Schema.
fn meta_message(error: &ValidationError<'_>) -> String {
    if path_of(error).last() == Some(&"type".into()) {
        let found = describe(error.instance());
        return format!(
            "expected `string`, `integer`, `number`, `boolean`, `object`, `array` or `null`, found {found}"
        );
    }
    format!("expected a JSON Schema: {}", one_line(error))
}

/// Removes the parts that the schema refused, so that the same run can decode and check the rest.
pub(super) fn without(mut value: Value, faults: &[PathFault]) -> Value {
    for fault in faults {
        remove(&mut value, &fault.path);
    }
    value
}

fn remove(value: &mut Value, path: &[Segment]) {
    let Some((last, way)) = path.split_last() else { return };
    let holder = way.iter().try_fold(value, |value, segment| match segment {
        Segment::Key(key) => value.get_mut(key),
        Segment::Index(index) => value.get_mut(index),
    });
    match (holder, last) {
        (Some(Value::Object(fields)), Segment::Key(key)) => drop(fields.remove(key)),
        (Some(Value::Object(fields)), Segment::Index(index)) => drop(fields.remove(&index.to_string())),
        // Items keep their index, because other faults refer to it.
        (Some(Value::Array(items)), Segment::Index(index)) => {
            if let Some(item) = items.get_mut(*index).filter(|item| !item.is_object()) {
                *item = Value::Null;
            }
        }
        (Some(_) | None, _) => {}
    }
}

/// Describes a value in a message, in at most one short line.
pub(super) fn describe(value: &Value) -> String {
    match value {
        Value::Null => "nothing".to_owned(),
        Value::Bool(value) => format!("the boolean `{value}`"),
        Value::Number(value) => format!("the number `{value}`"),
        Value::String(text) if text.is_empty() => "empty text".to_owned(),
        Value::String(text) => quoted(text),
        Value::Array(items) => format!("a list of {}", items.len()),
        Value::Object(_) => "a mapping".to_owned(),
    }
}

/// Returns a hint about the most likely mistake.
fn hint(error: &ValidationError<'_>) -> &'static str {
    let ValidationErrorKind::Type { kind } = error.kind() else { return "" };
    let wants = |wanted: JsonType| match kind {
        TypeKind::Single(only) => *only == wanted,
        TypeKind::Multiple(set) => set.contains(wanted),
    };
    match error.instance().as_ref() {
        Value::String(text) if wants(JsonType::Boolean) && is_ambiguous(text) => {
            "; write `true` or `false` without quotes"
        }
        Value::String(text) if wants(JsonType::Integer) && text.parse::<i64>().is_ok() => "; remove the quotes",
        _ => "",
    }
}

fn is_ambiguous(text: &str) -> bool {
    AMBIGUOUS_BOOLEANS.iter().chain(&["true", "false"]).any(|word| text.eq_ignore_ascii_case(word))
}

fn types(kind: &TypeKind) -> String {
    let word = |kind: JsonType| match kind {
        JsonType::Array => "a list",
        JsonType::Boolean => "`true` or `false`",
        JsonType::Integer => "a whole number",
        JsonType::Null => "nothing",
        JsonType::Number => "a number",
        JsonType::Object => "a mapping",
        JsonType::String => "text",
    };
    match kind {
        TypeKind::Single(kind) => word(*kind).to_owned(),
        TypeKind::Multiple(kinds) => kinds.iter().map(word).collect::<Vec<_>>().join(" or "),
    }
}

fn suggestion<'a>(name: &str, known: impl Iterator<Item = &'a str> + Clone) -> String {
    let nearest = did_you_mean(name, known.clone());
    if nearest.is_empty() { format!("; known are {}", list(known)) } else { nearest }
}

/// Returns words in backticks, with commas.
fn list<'a>(words: impl Iterator<Item = &'a str>) -> String {
    words.map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
}

fn one_line(error: &ValidationError<'_>) -> String {
    const MESSAGE_CHARS_MAX: usize = 300;
    let message: String = error.to_string().chars().take(MESSAGE_CHARS_MAX).collect();
    super::fault::printable(&message)
}

fn path_of(error: &ValidationError<'_>) -> Path {
    let segments = error.instance_path().segments();
    segments
        .map(|segment| match segment {
            LocationSegment::Property(name) => Segment::Key(name.into_owned()),
            LocationSegment::Index(index) => Segment::Index(index),
        })
        .collect()
}

fn child(path: &[Segment], name: &str) -> Path {
    let mut path = path.to_vec();
    path.push(Segment::Key(name.to_owned()));
    path
}

//! The JSON Schema of an input or an output, compiled once. Owns what a schema may contain: patterns that match in
//! linear time and pay for what they read, and no references that would have to be fetched. A check has the budget of
//! an evaluation, so no value makes it take long.

use jsonschema::paths::Location;
use jsonschema::{Keyword, PatternOptions, ValidationError, ValidationOptions};
use serde_json::{Map, Value};

use super::Json;
use crate::config::participant::{
    INPUT_FAULT_CHARS_MAX, INPUT_FAULTS_BYTES_MAX, INPUT_FAULTS_MAX, SCHEMA_PATTERN_BYTES_MAX, SCHEMA_REGEX_BYTES_MAX,
};
use crate::evaluation::pattern::Pattern;
use crate::evaluation::{budgeted, spend};

/// A compiled JSON Schema.
pub(crate) struct Schema {
    /// None if the schema accepts anything.
    validator: Option<jsonschema::Validator>,
    /// Patterns of `patternProperties`. jsonschema reads the names of properties by itself, so they are paid for
    /// before.
    of_names: Vec<Pattern>,
}

/// The check of a value takes more work than an evaluation may do.
const TOO_MUCH: &str = "expected a value that can be checked within the budget of an evaluation, found one that takes \
                        more work; shorten its texts, or make the patterns of the schema simpler";

impl Schema {
    /// Compiles a schema, or returns what is wrong with it.
    pub(crate) fn compile(schema: &Value) -> Result<Self, String> {
        if *schema == Value::Bool(true) {
            return Ok(Self { validator: None, of_names: Vec::new() });
        }
        let validator = options().build(schema).map_err(|error| format!("expected a JSON Schema: {error}"))?;
        let mut of_names = Vec::new();
        patterns_of_names(schema, &mut of_names);
        Ok(Self { validator: Some(validator), of_names })
    }

    /// Checks an input. Returns its faults (at most `INPUT_FAULTS_MAX`) with their places, as `input.guest: ...`.
    pub(crate) fn check(&self, input: &Json) -> Result<(), Vec<String>> {
        let Some(validator) = &self.validator else { return Ok(()) };
        let too_much = || vec![format!("input: {TOO_MUCH}")];
        let value = input.to_value();
        if self.accepts(&value).ok_or_else(too_much)? {
            return Ok(());
        }
        let fault = |error: ValidationError<'_>| {
            let path = error.instance_path().to_string().replace('/', ".");
            format!("input{path}: {}", in_short(&error))
        };
        let faults: Option<Vec<String>> = budgeted(|| match input.get().len() <= INPUT_FAULTS_BYTES_MAX {
            true => validator.iter_errors(&value).take(INPUT_FAULTS_MAX).map(fault).collect(),
            false => validator.validate(&value).err().into_iter().map(fault).collect(),
        });
        Err(faults.filter(|faults| !faults.is_empty()).unwrap_or_else(too_much))
    }

    /// Returns whether a value fits; none if that takes too much work to tell.
    pub(crate) fn accepts(&self, value: &Value) -> Option<bool> {
        let Some(validator) = &self.validator else { return Some(true) };
        budgeted(|| (self.of_names.is_empty() || self.pay_for_names(value)) && validator.is_valid(value))
    }

    /// Reads the names of all properties with all patterns that they may be held against. Returns whether the budget
    /// was enough.
    fn pay_for_names(&self, value: &Value) -> bool {
        let reads = |name: &String| self.of_names.iter().all(|pattern| pattern.is_match(name, spend).is_ok());
        match value {
            Value::Object(fields) => fields.iter().all(|(name, value)| reads(name) && self.pay_for_names(value)),
            Value::Array(items) => items.iter().all(|item| self.pay_for_names(item)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => true,
        }
    }
}

/// Returns how schemas of definitions are compiled.
pub(crate) fn options<'a>() -> ValidationOptions<'a> {
    jsonschema::options()
        .offline()
        .with_pattern_options(PatternOptions::regex())
        .with_keyword("pattern", Paid::keyword)
        .with_format("regex", |text: &str| {
            text.len() <= SCHEMA_REGEX_BYTES_MAX && jsonschema_regex::is_valid_ecma_regex(text)
        })
}

/// `pattern`: what it reads is paid for.
struct Paid {
    text: String,
    pattern: Pattern,
}

impl Paid {
    fn keyword<'a>(
        _: &'a Map<String, Value>,
        pattern: &'a Value,
        _: Location,
    ) -> Result<Box<dyn for<'i> Keyword<'i>>, ValidationError<'a>> {
        let wrong = || ValidationError::custom(format!("{pattern} is not a \"regex\""));
        let text = pattern.as_str().ok_or_else(wrong)?;
        let pattern = compiled(text).ok_or_else(wrong)?;
        Ok(Box::new(Self { text: text.to_owned(), pattern }))
    }
}

impl<'i> Keyword<'i> for Paid {
    fn validate(&self, value: &'i Value) -> Result<(), ValidationError<'i>> {
        if Keyword::is_valid(self, value) {
            return Ok(());
        }
        let value = value.as_str().filter(|text| text.len() <= INPUT_FAULT_CHARS_MAX);
        let value = value.map_or_else(|| "value".to_owned(), |text| format!("{text:?}"));
        Err(ValidationError::custom(format!("{value} does not match {:?}", self.text)))
    }

    fn is_valid(&self, value: &'i Value) -> bool {
        // Without a budget left nothing counts, whatever this says.
        value.as_str().is_none_or(|text| self.pattern.is_match(text, spend).unwrap_or(false))
    }
}

/// Compiles a pattern in the syntax of JSON Schema; none if it is malformed or too large.
fn compiled(text: &str) -> Option<Pattern> {
    let text = jsonschema_regex::to_rust_regex(text).ok()?;
    Pattern::compile(&text, SCHEMA_PATTERN_BYTES_MAX).ok()
}

/// Collects the patterns of all `patternProperties`. What only looks like one costs nothing but time.
fn patterns_of_names(schema: &Value, found: &mut Vec<Pattern>) {
    match schema {
        Value::Object(fields) => {
            if let Some(Value::Object(by_pattern)) = fields.get("patternProperties") {
                found.extend(by_pattern.keys().filter_map(|text| compiled(text)));
            }
            fields.values().for_each(|inner| patterns_of_names(inner, found));
        }
        Value::Array(items) => items.iter().for_each(|inner| patterns_of_names(inner, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Describes a fault without the value, where that is long.
fn in_short(error: &ValidationError<'_>) -> String {
    let whole = error.to_string();
    if whole.chars().nth(INPUT_FAULT_CHARS_MAX).is_none() {
        return whole;
    }
    error.masked().to_string().chars().take(INPUT_FAULT_CHARS_MAX).collect()
}

impl std::fmt::Debug for Schema {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Schema")
    }
}

//! The JSON Schema of a saga's input, compiled once. Owns what a schema may contain: patterns that match in linear
//! time, and no references that would have to be fetched.

use serde_json::Value;

use super::Json;

/// Largest number of faults that are reported for one input.
const INPUT_FAULTS_MAX: usize = 50;

/// A compiled JSON Schema.
pub(super) struct Schema {
    /// None if the schema accepts anything.
    validator: Option<jsonschema::Validator>,
}

impl Schema {
    /// Compiles a schema, or returns what is wrong with it.
    pub(super) fn compile(schema: &Value) -> Result<Self, String> {
        if *schema == Value::Bool(true) {
            return Ok(Self { validator: None });
        }
        let options = jsonschema::options().offline().with_pattern_options(jsonschema::PatternOptions::regex());
        let validator = options.build(schema).map_err(|error| format!("expected a JSON Schema: {error}"))?;
        Ok(Self { validator: Some(validator) })
    }

    /// Checks an input. Returns all faults (at most `INPUT_FAULTS_MAX`) with their places, as `input.guest: ...`.
    pub(super) fn check(&self, input: &Json) -> Result<(), Vec<String>> {
        let Some(validator) = &self.validator else { return Ok(()) };
        let value = input.to_value();
        let fault = |error: jsonschema::ValidationError<'_>| {
            let path = error.instance_path().to_string().replace('/', ".");
            format!("input{path}: {error}")
        };
        let faults: Vec<String> = validator.iter_errors(&value).take(INPUT_FAULTS_MAX).map(fault).collect();
        if faults.is_empty() { Ok(()) } else { Err(faults) }
    }
}

impl std::fmt::Debug for Schema {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Schema")
    }
}

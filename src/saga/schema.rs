//! The JSON Schema of a saga's input, compiled once. Owns what is accepted: patterns whose time is linear in
//! the input, and no reference that would have to be fetched.

use serde_json::Value;

use super::Json;

/// Most faults of one input that are named.
const INPUT_FAULTS_MAX: usize = 50;

/// A compiled JSON Schema.
pub(super) struct Schema {
    /// None when the schema takes anything.
    validator: Option<jsonschema::Validator>,
}

impl Schema {
    /// Compiles a schema; says what is wrong with it.
    pub(super) fn compile(schema: &Value) -> Result<Self, String> {
        if *schema == Value::Bool(true) {
            return Ok(Self { validator: None });
        }
        let options = jsonschema::options().offline().with_pattern_options(jsonschema::PatternOptions::regex());
        let validator = options.build(schema).map_err(|error| format!("expected a JSON Schema: {error}"))?;
        Ok(Self { validator: Some(validator) })
    }

    /// Checks an input; names every fault with its place, `input.guest: ...`.
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

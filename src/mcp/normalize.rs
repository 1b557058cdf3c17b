//! Writes numbers in arguments in one form. `1.0` and `1` are the same input under a key, because they are the same
//! JSON number to a program that compares parsed values.

use serde_json::{Number, Value};

/// Largest magnitude up to which every integer has a float of its own (2^53).
const EXACT_MAX: f64 = 9_007_199_254_740_992.0;

/// Writes whole numbers up to [`EXACT_MAX`] as integers, at every depth.
pub(super) fn settle(value: &mut Value) {
    match value {
        Value::Number(number) => {
            if let Some(whole) = whole(number) {
                *number = whole;
            }
        }
        Value::Array(list) => list.iter_mut().for_each(settle),
        Value::Object(object) => object.values_mut().for_each(settle),
        Value::Null | Value::Bool(_) | Value::String(_) => {}
    }
}

fn whole(number: &Number) -> Option<Number> {
    let float = number.as_f64().filter(|_| number.is_f64())?;
    let is_whole = float.fract() == 0.0 && float.abs() <= EXACT_MAX;
    #[expect(clippy::cast_possible_truncation, reason = "it is whole and within the bounds of i64")]
    is_whole.then(|| Number::from(float as i64))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn whole_numbers_are_integers() {
        let mut value: Value =
            serde_json::from_str(r#"{"a":[1.0,1e2,0.5,-0.0,1e300],"b":18446744073709551615}"#).unwrap();
        settle(&mut value);
        assert_eq!(value, json!({ "a": [1, 100, 0.5, 0, 1e300], "b": 18_446_744_073_709_551_615_u64 }));
    }
}

//! Resolves plain scalars without a tag by the core schema of YAML 1.2. Refuses values that JSON cannot express and
//! values that YAML 1.1 reads differently.

use serde_json::Number;

/// Type and value of a plain scalar.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::catalog) enum Plain {
    Null,
    Bool(bool),
    Number(Number),
    String,
}

/// Words that YAML 1.1 reads as booleans and YAML 1.2 as strings, in lower case.
pub(in crate::catalog) const AMBIGUOUS_BOOLEANS: [&str; 4] = ["yes", "no", "on", "off"];

/// Resolves a plain scalar. Returns a message if its meaning depends on the reader or JSON cannot express it.
pub(in crate::catalog) fn resolve_plain(text: &str) -> Result<Plain, String> {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Ok(Plain::Null),
        "true" | "True" | "TRUE" => return Ok(Plain::Bool(true)),
        "false" | "False" | "FALSE" => return Ok(Plain::Bool(false)),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" | "-.inf" | "-.Inf" | "-.INF" | ".nan" | ".NaN"
        | ".NAN" => {
            return Err(format!("`{text}` is not a number in JSON; quote it if it is meant as text"));
        }
        _ => {}
    }
    if AMBIGUOUS_BOOLEANS.iter().any(|word| text.eq_ignore_ascii_case(word)) {
        return Err(format!(
            "`{text}` is text in YAML 1.2 and a boolean in YAML 1.1; write `true` or `false`, or quote it"
        ));
    }
    resolve_number(text)
}

fn resolve_number(text: &str) -> Result<Plain, String> {
    let (negative, unsigned) = match text.as_bytes() {
        [b'-', ..] => (true, &text[1..]),
        [b'+', ..] => (false, &text[1..]),
        _ => (false, text),
    };
    let is_decimal = !unsigned.is_empty() && unsigned.bytes().all(|byte| byte.is_ascii_digit());
    if is_decimal && unsigned.len() > 1 && unsigned.starts_with('0') {
        return Err(format!(
            "`{}` is octal in YAML 1.1 and decimal in YAML 1.2; drop the leading zero, or quote it if it is text",
            shown(text)
        ));
    }
    let radix = match unsigned.as_bytes() {
        [b'0', b'x', _, ..] if unsigned[2..].bytes().all(|byte| byte.is_ascii_hexdigit()) => Some(16),
        [b'0', b'o', _, ..] if unsigned[2..].bytes().all(|byte| (b'0'..=b'7').contains(&byte)) => Some(8),
        _ if is_decimal => Some(10),
        _ => None,
    };
    if let Some(radix) = radix {
        let digits = if radix == 10 { unsigned } else { &unsigned[2..] };
        return integer(negative, digits, radix)
            .map(Plain::Number)
            .ok_or_else(|| format!("`{}` does not fit in 64 bits; quote it if it is an identifier", shown(text)));
    }
    if !is_float(unsigned) {
        return Ok(Plain::String);
    }
    // `from_f64` refuses infinities, which is what 1e999 parses to.
    let number = text.parse::<f64>().ok().and_then(Number::from_f64);
    number
        .map(Plain::Number)
        .ok_or_else(|| format!("`{}` is too large for a number; quote it if it is meant as text", shown(text)))
}

fn integer(negative: bool, digits: &str, radix: u32) -> Option<Number> {
    let magnitude = u64::from_str_radix(digits, radix).ok()?;
    if negative { 0_i64.checked_sub_unsigned(magnitude).map(Number::from) } else { Some(Number::from(magnitude)) }
}

/// Returns whether a text without a sign is a float: `[0-9]*.[0-9]*` with at least one digit, then an exponent or
/// nothing.
fn is_float(text: &str) -> bool {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (text, None),
    };
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let mantissa_ok = digits(whole) && digits(fraction) && !(whole.is_empty() && fraction.is_empty());
    let exponent_ok = exponent.is_none_or(|text| {
        let text = text.strip_prefix(['-', '+']).unwrap_or(text);
        !text.is_empty() && digits(text)
    });
    mantissa_ok && exponent_ok
}

fn shown(text: &str) -> String {
    const DIGITS_SHOWN_MAX: usize = 40;
    if text.len() <= DIGITS_SHOWN_MAX { text.to_owned() } else { format!("{}…", &text[..DIGITS_SHOWN_MAX]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let found = match resolve_plain(text) {
            Ok(Plain::Null) => "null".to_owned(),
            Ok(Plain::Bool(value)) => value.to_string(),
            Ok(Plain::Number(value)) => value.to_string(),
            Ok(Plain::String) => "string".to_owned(),
            Err(_) => "fault".to_owned(),
        };
        assert_eq!(found, expected, "{text:?}");
    }

    #[test]
    fn follows_the_core_schema() {
        for (text, expected) in [
            ("", "null"),
            ("~", "null"),
            ("NULL", "null"),
            ("nUll", "string"),
            ("true", "true"),
            ("FALSE", "false"),
            ("tRue", "string"),
            ("0", "0"),
            ("-0", "0"),
            ("+7", "7"),
            ("-12", "-12"),
            ("0x1F", "31"),
            ("-0o17", "-15"),
            ("0x", "string"),
            ("0b1", "string"),
            ("1_000", "string"),
            ("12:30", "string"),
            ("1.2.3", "string"),
            ("-", "string"),
            ("1.5", "1.5"),
            (".5", "0.5"),
            ("5.", "5.0"),
            ("1e3", "1000.0"),
            ("-1.5E-2", "-0.015"),
            ("1e", "string"),
            (".", "string"),
            ("e5", "string"),
            ("+", "string"),
            ("inf", "string"),
            ("nan", "string"),
            ("0.50", "0.5"),
            ("18446744073709551615", "18446744073709551615"),
            ("-9223372036854775808", "-9223372036854775808"),
            ("2026-11-22", "string"),
            ("0x8000000000000000", "9223372036854775808"),
        ] {
            check(text, expected);
        }
    }

    #[test]
    fn refuses_what_two_readers_read_differently() {
        for text in [
            "yes",
            "No",
            "ON",
            "off",
            "012",
            "-007",
            "1e999",
            "-1e999",
            ".inf",
            "-.INF",
            ".nan",
            "18446744073709551616",
            "-9223372036854775809",
            "00",
        ] {
            check(text, "fault");
        }
    }
}

//! The functions that expressions have beyond CEL's standard library. A loop, a copy or a search pays for its work
//! before it does it. `budget.rs` places the calls.

use std::sync::{Arc, LazyLock};

use cel::common::types::{CelBool, CelInt, CelList, CelMap, CelString, DYN_TYPE, LIST_TYPE, STRING_TYPE, Type};
use cel::common::value::{CowVal, Val};
use cel::{Env, ExecutionError};

use super::value;
use crate::evaluation::pattern::{Origin, Pattern};
use crate::evaluation::{self, Exhausted};

/// Name of the function around the range of a loop.
pub(super) const RANGE: &str = "@range";
/// Name of the function around a value that is about to be copied or searched.
pub(super) const WEIGH: &str = "@weigh";

/// Name of `matches` with a pattern that is computed.
pub(super) const MATCHES_DATA: &str = "@matches_data";

/// Names of our own functions, called on a string or a list.
pub(super) const MEMBERS: [&str; 7] = ["matches", "lowerAscii", "upperAscii", "trim", "split", "join", "replace"];

/// The environment of every expression.
pub(super) static ENVIRONMENT: LazyLock<Arc<Env>> = LazyLock::new(|| {
    let mut env = Env::stdlib();
    let declared = declare(&mut env);
    assert!(declared.is_ok(), "our functions clash with the standard library's: {declared:?}");
    Arc::new(env)
});

fn declare(env: &mut Env) -> Result<(), cel::DeclarationError> {
    let member = |env: &mut Env, name: &str, target, arguments: Vec<Type>, function| {
        let id = format!("amends_{name}_{}", arguments.len());
        env.add_member_overload(name, &id, target, arguments, function)
    };
    env.add_overload(RANGE, "amends_range", vec![DYN_TYPE, DYN_TYPE], range)?;
    env.add_overload(WEIGH, "amends_weigh", vec![DYN_TYPE], weigh)?;
    env.add_overload("matches", "amends_matches", vec![STRING_TYPE, STRING_TYPE], matches)?;
    member(env, "matches", STRING_TYPE, vec![STRING_TYPE], matches)?;
    env.add_overload(MATCHES_DATA, "amends_matches_data", vec![STRING_TYPE, STRING_TYPE], matches_data)?;
    member(env, "lowerAscii", STRING_TYPE, vec![], |args| map_text(&args, |text| text.to_ascii_lowercase()))?;
    member(env, "upperAscii", STRING_TYPE, vec![], |args| map_text(&args, |text| text.to_ascii_uppercase()))?;
    member(env, "trim", STRING_TYPE, vec![], |args| map_text(&args, |text| text.trim().to_owned()))?;
    member(env, "split", STRING_TYPE, vec![STRING_TYPE], split)?;
    member(env, "join", LIST_TYPE, vec![], join)?;
    member(env, "join", LIST_TYPE, vec![STRING_TYPE], join)?;
    member(env, "replace", STRING_TYPE, vec![STRING_TYPE, STRING_TYPE], replace)
}

fn spend(units: i64) -> Result<(), ExecutionError> {
    evaluation::spend(units).map_err(too_much)
}

fn solvent() -> Result<(), ExecutionError> {
    evaluation::solvent().map_err(too_much)
}

fn too_much(_: Exhausted) -> ExecutionError {
    ExecutionError::function_error("work", "the expression takes too much work")
}

type Arguments<'b, 'v> = Vec<CowVal<'b, 'v>>;
type Returned<'b, 'v> = Result<CowVal<'b, 'v>, ExecutionError>;

/// `@range(values, weight)`: pays for a loop in advance. A map is looped over in the order of its keys.
fn range<'b, 'v>(mut args: Arguments<'b, 'v>) -> Returned<'b, 'v> {
    let weight = args.pop().and_then(|weight| weight.downcast_ref::<CelInt>().map(|weight| *weight.inner()));
    let Some(values) = args.pop() else {
        return Err(ExecutionError::missing_argument_or_target());
    };
    solvent()?;
    let count = values.as_sizer().map_or(1, |sizer| *sizer.size().inner());
    spend(value::units(values.as_ref()).saturating_add(count.saturating_mul(weight.unwrap_or(1))))?;
    let Some(map) = values.downcast_ref::<CelMap>() else {
        return Ok(values);
    };
    let mut keys: Vec<_> = map.inner().keys().map(|key| (value::key_text(key), key.inner().clone_as_boxed())).collect();
    keys.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(CowVal::owned(CelList::from(keys.into_iter().map(|(_, key)| key).collect::<Vec<Box<dyn Val + 'v>>>())))
}

/// `@weigh(value)`: pays for a value's size and returns it.
fn weigh<'b, 'v>(mut args: Arguments<'b, 'v>) -> Returned<'b, 'v> {
    let Some(value) = args.pop() else {
        return Err(ExecutionError::missing_argument_or_target());
    };
    solvent()?;
    spend(value::units(value.as_ref()))?;
    Ok(value)
}

/// Returns the text of an argument; the overload's declaration promises one.
fn text<'a>(args: &'a [CowVal<'_, '_>], index: usize) -> Result<&'a str, ExecutionError> {
    args.get(index)
        .and_then(|value| value.downcast_ref::<CelString>())
        .map(CelString::inner)
        .ok_or_else(ExecutionError::missing_argument_or_target)
}

fn units_of(bytes: usize) -> i64 {
    1 + i64::try_from(bytes / 64).unwrap_or(i64::MAX)
}

fn map_text<'b, 'v>(args: &[CowVal<'_, '_>], map: fn(&str) -> String) -> Returned<'b, 'v> {
    let text = text(args, 0)?;
    spend(units_of(text.len()))?;
    Ok(CowVal::owned(CelString::from(map(text))))
}

/// `text.split(separator)`.
fn split<'b, 'v>(args: Arguments<'b, 'v>) -> Returned<'b, 'v> {
    let (text, separator) = (text(&args, 0)?, text(&args, 1)?);
    // At worst one value for every byte.
    spend(units_of(text.len()).saturating_add(i64::try_from(text.matches(separator).count()).unwrap_or(i64::MAX)))?;
    let part = |part: &str| -> Box<dyn Val + 'v> { Box::new(CelString::from(part.to_owned())) };
    let parts: Vec<Box<dyn Val + 'v>> = match separator {
        "" => text.chars().map(|c| part(c.encode_utf8(&mut [0; 4]))).collect(),
        _ => text.split(separator).map(part).collect(),
    };
    Ok(CowVal::owned(CelList::from(parts)))
}

/// `list.join(separator)`.
fn join<'b, 'v>(args: Arguments<'b, 'v>) -> Returned<'b, 'v> {
    let separator = if args.len() > 1 { text(&args, 1)? } else { "" };
    let Some(list) = args.first().and_then(|value| value.downcast_ref::<CelList>()) else {
        return Err(ExecutionError::missing_argument_or_target());
    };
    let mut parts = Vec::with_capacity(list.inner().len());
    for item in list.inner() {
        let Some(part) = item.downcast_ref::<CelString>() else {
            return Err(ExecutionError::function_error("join", "expected a list of strings"));
        };
        spend(units_of(part.inner().len() + separator.len()))?;
        parts.push(part.inner());
    }
    Ok(CowVal::owned(CelString::from(parts.join(separator))))
}

/// `text.replace(old, new)`.
fn replace<'b, 'v>(args: Arguments<'b, 'v>) -> Returned<'b, 'v> {
    let (text, old, new) = (text(&args, 0)?, text(&args, 1)?, text(&args, 2)?);
    spend(units_of(text.len()).saturating_mul(2))?;
    let grown = text.matches(old).count().saturating_mul(new.len());
    spend(units_of(grown))?;
    Ok(CowVal::owned(CelString::from(text.replace(old, new))))
}

/// `text.matches(pattern)`, with a pattern that is written in the definition.
fn matches<'b, 'v>(args: Arguments<'b, 'v>) -> Returned<'b, 'v> {
    matched(&args, Origin::Definition)
}

/// `text.matches(pattern)`, with a pattern that is computed.
fn matches_data<'b, 'v>(args: Arguments<'b, 'v>) -> Returned<'b, 'v> {
    matched(&args, Origin::Data)
}

fn matched<'b, 'v>(args: &Arguments<'b, 'v>, origin: Origin) -> Returned<'b, 'v> {
    let (text, pattern) = (text(args, 0)?, text(args, 1)?);
    solvent()?;
    let wrong = |why: String| ExecutionError::function_error("matches", why);
    let pattern = Pattern::compiled(pattern, origin, spend, wrong)?;
    Ok(CowVal::owned(CelBool::from(pattern.is_match(text, spend)?)))
}

//! Evaluates the CEL expressions and templates of definitions over a scope and an answer, and checks them before a
//! definition is accepted. Callers decide what follows from a value. No text and no value can make an evaluation
//! hang, overflow the stack or panic: texts are limited and work is metered. Loops go over maps in the order of their
//! keys.

mod bindings;
mod budget;
mod check;
mod compile;
mod function;
mod path;
mod template;
mod url_path;
mod value;

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::panic::AssertUnwindSafe;

use cel::common::types::{CelBool, CelNull, CelString};
use cel::common::value::Val;
use cel::{Context, ExecutionError, Value};
use tokio::runtime::{Handle, RuntimeFlavor};

pub(super) use bindings::View;
pub use check::{Place, check_draft, check_expression, check_step, check_template};
use compile::{Compiled, Form, Program};
use function::ENVIRONMENT;
pub(super) use url_path::{leads_elsewhere, url_path};

use super::reply::recorded;
use super::scope::Scope;
use crate::config::participant::{EXPRESSION_DEPTH_ON_STACK, EXPRESSION_STACK_BYTES, RENDERED_BYTES_MAX};
use crate::evaluation::{budgeted, give_up_short, must_be_short, shortly};
use crate::saga::Json;
use crate::saga::definition::{Expression, Template};
use crate::saga::outcome::Error;

/// Code of every error in an expression.
pub(super) const CODE: &str = "expression";

/// Why an expression has no value.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// It reads a field, a position or a step's output that is not there.
    Missing(String),
    /// Anything else.
    Wrong(String),
}

impl Fault {
    /// Returns the fault as a recorded error that names the expression.
    pub(super) fn in_expression(self, text: &str) -> Error {
        let (Self::Missing(message) | Self::Wrong(message)) = self;
        recorded(CODE, format!("`{text}`: {message}"))
    }
}

/// Evaluates an expression to JSON.
///
/// The error's code is always `expression`. Its message names the expression and what is wrong.
pub fn evaluate(expression: &Expression, scope: &Scope) -> Result<Json, Error> {
    let fault = |fault: Fault| fault.in_expression(&expression.0);
    json(&expression.0, &View::from_scope(scope)).map_err(fault)
}

/// Evaluates a condition. A value other than `true` and `false` is an error, as in [`evaluate`].
pub fn holds(expression: &Expression, scope: &Scope) -> Result<bool, Error> {
    condition(expression, &View::from_scope(scope)).map_err(|fault| fault.in_expression(&expression.0))
}

/// Renders a template. A string that is one `${ expression }` becomes its value and keeps the type. In a longer
/// string the value becomes text. `$${` stands for `${`.
pub fn render(template: &Template, scope: &Scope) -> Result<Json, Error> {
    template::render(template, &View::from_scope(scope))
}

/// Renders a template over the view of a call or an answer.
pub(super) fn render_view(template: &Template, view: &View<'_>) -> Result<Json, Error> {
    template::render(template, view)
}

/// Renders a template to the text of a header or a query parameter; null is an error.
pub(super) fn render_text(template: &Template, view: &View<'_>) -> Result<String, Error> {
    match serde_json::from_str(template::render(template, view)?.get()) {
        Ok(serde_json::Value::String(text)) => Ok(text),
        Ok(serde_json::Value::Null) => Err(recorded(CODE, format!("expected a text for {}, found null", template.0))),
        Ok(other) => Ok(other.to_string()),
        Err(error) => Err(recorded(CODE, error.to_string())),
    }
}

/// Returns the fields and positions of a plain path into the input; none for any other expression. Postgres follows
/// the same path with `#>`.
pub fn input_path(expression: &Expression) -> Option<Vec<String>> {
    let path = path::Path::parse(&expression.0).filter(|path| path.root == "input")?;
    let segments = path.segments.into_iter().map(|segment| match segment {
        path::Segment::Field(name) => name,
        path::Segment::Index(index) => index.to_string(),
    });
    Some(segments.collect())
}

/// Words that may be the priority of a definition.
pub const PRIORITIES: [&str; 3] = ["high", "normal", "low"];

/// Words that may be the fairness key of a definition.
pub const FAIRNESS: [&str; 1] = ["principal"];

/// Returns what the database needs to evaluate this at a start: one of these words, or `input` and a path into the
/// input. None for any other expression.
pub fn of_start(expression: &Expression, words: &[&str]) -> Option<Vec<String>> {
    if words.contains(&&*expression.0) {
        return Some(vec![expression.0.clone()]);
    }
    let path = input_path(expression).filter(|path| !path.is_empty())?;
    Some(std::iter::once("input".to_owned()).chain(path).collect())
}

/// Removes the `${ }` around a text that is one expression. Returns any other text as it is.
pub fn unwrap(text: &str) -> &str {
    template::unwrap(text)
}

/// Evaluates a condition over a view.
pub(super) fn condition(expression: &Expression, view: &View<'_>) -> Result<bool, Fault> {
    let compiled = compile::compiled(&expression.0).map_err(Fault::Wrong)?;
    match &compiled.form {
        Form::Path(path) => match &*view.find(path)? {
            "true" => Ok(true),
            "false" => Ok(false),
            _ => Err(Fault::Wrong("expected true or false".into())),
        },
        Form::Program(program) => run(program, view, |value| match value.downcast_ref::<CelBool>() {
            Some(flag) => Ok(*flag.inner()),
            None => Err(Fault::Wrong(format!("expected true or false, found {}", value.get_type().name()))),
        }),
    }
}

/// Evaluates an expression to a text: the text of a string, else JSON.
pub(super) fn text(expression: &Expression, view: &View<'_>) -> Result<String, Fault> {
    let compiled = compile::compiled(&expression.0).map_err(Fault::Wrong)?;
    Ok(spelled(&compiled, view)?.unwrap_or_else(|| "null".into()))
}

fn json(text: &str, view: &View<'_>) -> Result<Json, Fault> {
    let compiled = compile::compiled(text).map_err(Fault::Wrong)?;
    Json::parse(&raw(&compiled, view)?).map_err(|error| Fault::Wrong(error.to_string()))
}

/// Evaluates an expression to JSON text.
fn raw<'a>(compiled: &Compiled, view: &View<'a>) -> Result<Cow<'a, str>, Fault> {
    match &compiled.form {
        Form::Path(path) => view.find(path),
        Form::Program(program) => {
            run(program, view, |value| value::to_json(value, RENDERED_BYTES_MAX).map_err(Fault::Wrong)).map(Cow::Owned)
        }
    }
}

/// Evaluates an expression to the text that takes its place in a longer text; none for null.
fn spelled(compiled: &Compiled, view: &View<'_>) -> Result<Option<String>, Fault> {
    match &compiled.form {
        Form::Path(path) => {
            let raw = view.find(path)?;
            match raw.as_bytes().first() {
                Some(b'"') => serde_json::from_str(&raw).map(Some).map_err(|error| Fault::Wrong(error.to_string())),
                Some(b'n') => Ok(None),
                _ => Ok(Some(raw.into_owned())),
            }
        }
        Form::Program(program) => run(program, view, |value| {
            if value.downcast_ref::<CelNull>().is_some() {
                return Ok(None);
            }
            match value.downcast_ref::<CelString>() {
                Some(text) => Ok(Some(text.inner().to_owned())),
                None => value::to_json(value, RENDERED_BYTES_MAX).map(Some).map_err(Fault::Wrong),
            }
        }),
    }
}

/// Evaluates a syntax tree and hands its value to `take`. On a worker of a runtime, a long evaluation hands the other
/// tasks of the worker to another thread first.
fn run<T: Send>(
    program: &Program,
    view: &View<'_>,
    take: impl Fn(&dyn Val) -> Result<T, Fault> + Send + Sync,
) -> Result<T, Fault> {
    if must_be_short() || !is_on_worker() {
        return run_whole(program, view, &take);
    }
    match shortly(|| run_whole(program, view, &take)) {
        Some(done) => done,
        None => tokio::task::block_in_place(|| run_whole(program, view, &take)),
    }
}

fn is_on_worker() -> bool {
    let flavor = Handle::try_current().map(|runtime| runtime.runtime_flavor());
    flavor.is_ok_and(|flavor| flavor == RuntimeFlavor::MultiThread)
}

fn run_whole<T: Send>(
    program: &Program,
    view: &View<'_>,
    take: &(impl Fn(&dyn Val) -> Result<T, Fault> + Send + Sync),
) -> Result<T, Fault> {
    if program.depth <= EXPRESSION_DEPTH_ON_STACK {
        return run_here(&program.tree, view, take);
    }
    if must_be_short() {
        give_up_short();
        return Err(Fault::Wrong("it takes more work than this thread may do".into()));
    }
    // CEL recurses over the tree and takes much stack for each level. So a deep tree gets a thread with a large
    // stack.
    std::thread::scope(|scope| {
        let worker = std::thread::Builder::new().stack_size(EXPRESSION_STACK_BYTES);
        let running = worker.spawn_scoped(scope, || run_here(&program.tree, view, take));
        let running = running.map_err(|error| Fault::Wrong(format!("cannot start a thread for it: {error}")))?;
        running.join().unwrap_or_else(|_| Err(panicked()))
    })
}

fn panicked() -> Fault {
    Fault::Wrong("its evaluation panicked".into())
}

fn run_here<T>(
    tree: &cel::IdedExpr,
    view: &View<'_>,
    take: impl FnOnce(&dyn Val) -> Result<T, Fault>,
) -> Result<T, Fault> {
    let evaluation = || {
        let mut context = Context::with_env(ENVIRONMENT.clone());
        context.set_variable_resolver(view);
        match Value::resolve_val(tree, &context) {
            Ok(value) => take(value.as_ref()),
            Err(error) => Err(fault(&error)),
        }
    };
    let guarded = || std::panic::catch_unwind(AssertUnwindSafe(evaluation));
    match budgeted(guarded) {
        Some(result) => result.unwrap_or_else(|_| Err(panicked())),
        None => Err(Fault::Wrong("it takes more work than the limit allows".into())),
    }
}

fn fault(error: &ExecutionError) -> Fault {
    match error {
        ExecutionError::NoSuchKey(key) => Fault::Missing(format!("there is no field `{key}`")),
        ExecutionError::IndexOutOfBounds(_) => Fault::Missing("there is no such position".into()),
        ExecutionError::UndeclaredReference(name) => Fault::Wrong(format!("there is no `{name}` here")),
        // Fields of null and of texts count as missing: a lost answer is null, and an answer that is not JSON is a
        // text.
        ExecutionError::NoSuchOverload(error)
            if matches!(error.function(), "_._" | "_[_]")
                && error.argument_types().first().is_some_and(|of| of == "null_type" || of == "string") =>
        {
            let what =
                error.argument_types().first().map_or("null", |of| if of == "string" { "a text" } else { "null" });
            Fault::Missing(format!("{what} has no fields"))
        }
        // Not the `Debug` text of whole values: they may be large.
        ExecutionError::NoSuchOverload(error) => Fault::Wrong(error.to_string()),
        ExecutionError::FunctionError { function, message } => Fault::Wrong(format!("{function}: {message}")),
        ExecutionError::UnexpectedType { got, want } => Fault::Wrong(format!("expected {want}, found {got}")),
        ExecutionError::UnsupportedBinaryOperator(operator, left, right) => {
            Fault::Wrong(format!("`{operator}` does not work on {} and {}", left.type_of(), right.type_of()))
        }
        ExecutionError::Overflow(operator, _, _) => Fault::Wrong(format!("`{operator}` overflows")),
        ExecutionError::DivisionByZero(_) | ExecutionError::RemainderByZero(_) => {
            Fault::Wrong("division by zero".into())
        }
        other => {
            let text = other.to_string();
            Fault::Wrong(text.chars().take(200).collect())
        }
    }
}

//! Compiles the texts of expressions. Limits a text, parses it on a thread of its own, and caches the result. An
//! expression is compiled once per process, and again only after the full cache was emptied.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, PoisonError, RwLock};

use cel::common::ast::IdedExpr;

use super::budget::{self, Needs};
use super::function::{ENVIRONMENT, MEMBERS};
use super::path::{Path, Segment};
use crate::config::participant::{
    EXPRESSION_BYTES_MAX, EXPRESSION_DEPTH_MAX, EXPRESSION_STACK_BYTES, EXPRESSIONS_CACHED_MAX,
};
use crate::participant::reply::one_line;

/// A compiled expression.
#[derive(Debug)]
pub(super) struct Compiled {
    /// The text, for messages.
    pub(super) text: String,
    /// How the expression runs.
    pub(super) form: Form,
    /// The variables, steps and functions that it uses.
    pub(super) needs: Needs,
}

/// How an expression runs.
#[derive(Debug)]
pub(super) enum Form {
    /// A lookup in JSON text.
    Path(Path),
    /// A metered syntax tree.
    Program(Program),
}

/// A metered syntax tree.
#[derive(Debug)]
pub(super) struct Program {
    /// The tree.
    pub(super) tree: IdedExpr,
    /// Its depth, which bounds the stack of its evaluation.
    pub(super) depth: usize,
}

/// Functions of CEL's standard library that may be called by name; operators have names of their own.
const STANDARD: [&str; 36] = [
    "size",
    "contains",
    "startsWith",
    "endsWith",
    "string",
    "int",
    "uint",
    "double",
    "bool",
    "bytes",
    "type",
    "dyn",
    "duration",
    "timestamp",
    "getFullYear",
    "getMonth",
    "getDayOfYear",
    "getDayOfMonth",
    "getDate",
    "getDayOfWeek",
    "getHours",
    "getMinutes",
    "getSeconds",
    "getMilliseconds",
    "has",
    "orValue",
    "or",
    "hasValue",
    "value",
    "optMap",
    "optFlatMap",
    "optional.of",
    "optional.none",
    "optional.ofNonZeroValue",
    "max",
    "min",
];

static CACHE: LazyLock<RwLock<HashMap<Box<str>, Arc<Compiled>>>> = LazyLock::new(RwLock::default);

/// Returns the compiled form of `text`, from the cache if it was compiled before.
pub(super) fn compiled(text: &str) -> Result<Arc<Compiled>, String> {
    if let Some(known) = CACHE.read().unwrap_or_else(PoisonError::into_inner).get(text) {
        return Ok(Arc::clone(known));
    }
    let fresh = Arc::new(compile(text).map_err(one_line)?);
    let mut cache = CACHE.write().unwrap_or_else(PoisonError::into_inner);
    if cache.len() >= EXPRESSIONS_CACHED_MAX {
        cache.clear();
    }
    cache.insert(text.into(), Arc::clone(&fresh));
    Ok(fresh)
}

fn compile(text: &str) -> Result<Compiled, String> {
    if text.trim().is_empty() {
        return Err("expected an expression, found nothing".into());
    }
    if text.len() > EXPRESSION_BYTES_MAX {
        return Err(format!("expected at most {EXPRESSION_BYTES_MAX} bytes, found {}", text.len()));
    }
    if let Some(path) = Path::parse(text) {
        let needs = path_needs(&path);
        return Ok(Compiled { text: text.to_owned(), form: Form::Path(path), needs });
    }
    // CEL's parser recurses with the text, and it may panic. So it gets a thread with a large stack, and a panic ends
    // there.
    let source = text.to_owned();
    let parsed = std::thread::Builder::new()
        .name("amends-expression".into())
        .stack_size(EXPRESSION_STACK_BYTES)
        .spawn(move || parse(&source))
        .map_err(|error| format!("cannot start a thread to parse it: {error}"))?
        .join();
    let (program, needs) = parsed.map_err(|_| "it cannot be parsed".to_owned())??;
    Ok(Compiled { text: text.to_owned(), form: Form::Program(program), needs })
}

fn path_needs(path: &Path) -> Needs {
    let mut needs = Needs::default();
    match path.segments.first() {
        Some(Segment::Field(name)) if path.root == "steps" => needs.note_step(name),
        Some(_) | None => {
            needs.any_step = path.root == "steps";
            needs.variables.insert(path.root.clone());
        }
    }
    needs
}

fn parse(text: &str) -> Result<(Program, Needs), String> {
    let tree = ENVIRONMENT.parser().parse(text).map_err(|errors| match errors.errors.first() {
        // Further errors follow from the first.
        Some(error) => format!("syntax error at {}:{}: {}", error.pos.0, error.pos.1, spoken(&error.msg)),
        None => "it cannot be parsed".to_owned(),
    })?;
    let depth = budget::depth(&tree);
    if depth > EXPRESSION_DEPTH_MAX {
        return Err(format!("expected nesting of at most {EXPRESSION_DEPTH_MAX}, found {depth}"));
    }
    let mut needs = Needs::default();
    budget::needs(&tree, &mut Vec::new(), &mut needs);
    let tree = budget::metered(tree);
    Ok((Program { depth: budget::depth(&tree), tree }, needs))
}

/// Shortens a parser's message, which lists every token that it would have accepted.
fn spoken(message: &str) -> String {
    let message = message.strip_prefix("Syntax error: ").unwrap_or(message);
    let message = message.split(" expecting ").next().unwrap_or(message);
    let found = ["mismatched input ", "extraneous input ", "token recognition error at: "];
    match found.iter().find_map(|prefix| message.strip_prefix(prefix)) {
        Some("'<EOF>'") => "it ends too early".to_owned(),
        Some(found) => format!("unexpected {found}"),
        None => message.replace("'<EOF>'", "the end"),
    }
}

impl Compiled {
    /// Returns the names of the functions that do not exist.
    pub(super) fn unknown_functions(&self) -> Vec<&str> {
        let known = |name: &str| !is_word(name) || STANDARD.contains(&name) || MEMBERS.contains(&name);
        self.needs.functions.iter().map(String::as_str).filter(|name| !known(name)).collect()
    }
}

/// Whether a function's name is a word, and not an operator such as `_+_` or `@in`.
fn is_word(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic())
}

/// Returns the names of all functions that may be called, for messages.
pub(super) fn function_names() -> Vec<&'static str> {
    let mut names: Vec<_> = STANDARD.into_iter().chain(MEMBERS).collect();
    names.sort_unstable();
    names
}

//! Rewrites the syntax tree of an expression so that work is paid for before it is done: CEL itself has no limit on
//! loops over large values. Places the calls of `function.rs`, and collects the variables, steps and functions that a
//! tree uses.

use std::collections::BTreeSet;

use cel::common::ast::{CallExpr, ComprehensionExpr, EntryExpr, Expr, IdedEntryExpr, IdedExpr, LiteralValue};
use cel::common::ast::{MapEntryExpr, operators};

use super::function::{MATCHES_DATA, RANGE, WEIGH};

/// The variables, steps and functions that an expression uses.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Needs {
    /// Variables that are not bound by a loop of the expression itself.
    pub(super) variables: BTreeSet<String>,
    /// Names of steps in `steps.NAME` and `steps["NAME"]`.
    pub(super) steps: BTreeSet<String>,
    /// Whether it reads `steps` in any other way: all of them, or by a computed name.
    pub(super) any_step: bool,
    /// Functions called by name.
    pub(super) functions: BTreeSet<String>,
}

impl Needs {
    /// Records that the output of one step is read.
    pub(super) fn note_step(&mut self, name: &str) {
        self.variables.insert("steps".into());
        self.steps.insert(name.to_owned());
    }
}

/// Returns the depth of a tree.
pub(super) fn depth(expr: &IdedExpr) -> usize {
    1 + children(expr).into_iter().map(depth).max().unwrap_or(0)
}

/// Counts the nodes of a tree.
fn nodes(expr: &IdedExpr) -> i64 {
    1 + children(expr).into_iter().map(nodes).sum::<i64>()
}

fn children(expr: &IdedExpr) -> Vec<&IdedExpr> {
    match &expr.expr {
        Expr::Unspecified | Expr::Ident(_) | Expr::Literal(_) => Vec::new(),
        Expr::Call(call) => call.target.as_deref().into_iter().chain(&call.args).collect(),
        Expr::Comprehension(c) => vec![&c.iter_range, &c.accu_init, &c.loop_cond, &c.loop_step, &c.result],
        Expr::List(list) => list.elements.iter().collect(),
        Expr::Select(select) => vec![&select.operand],
        Expr::Map(map) => map.entries.iter().flat_map(entry_children).collect(),
        Expr::Struct(record) => record.entries.iter().flat_map(entry_children).collect(),
    }
}

fn entry_children(entry: &IdedEntryExpr) -> Vec<&IdedExpr> {
    match &entry.expr {
        EntryExpr::StructField(field) => vec![&field.value],
        EntryExpr::MapEntry(entry) => vec![&entry.key, &entry.value],
    }
}

/// Collects the needs of a tree. `bound`: the variables of the loops around it.
pub(super) fn needs(expr: &IdedExpr, bound: &mut Vec<String>, needs_: &mut Needs) {
    match &expr.expr {
        Expr::Ident(name) if !name.starts_with('@') && !bound.contains(name) => {
            needs_.any_step |= name == "steps";
            needs_.variables.insert(name.clone());
        }
        Expr::Select(select) if is_steps(&select.operand, bound) => needs_.note_step(&select.field),
        Expr::Select(select) => needs(&select.operand, bound, needs_),
        Expr::Call(call) => call_needs(call, bound, needs_),
        Expr::Comprehension(c) => {
            needs(&c.iter_range, bound, needs_);
            needs(&c.accu_init, bound, needs_);
            let outside = bound.len();
            bound.push(c.iter_var.clone());
            bound.extend(c.iter_var2.clone());
            for inner in [&c.loop_cond, &c.loop_step, &c.result] {
                needs(inner, bound, needs_);
            }
            bound.truncate(outside);
        }
        Expr::Ident(_) | Expr::Literal(_) | Expr::Unspecified => {}
        Expr::List(_) | Expr::Map(_) | Expr::Struct(_) => {
            for child in children(expr) {
                needs(child, bound, needs_);
            }
        }
    }
}

fn call_needs(call: &CallExpr, bound: &mut Vec<String>, needs_: &mut Needs) {
    if matches!(call.func_name.as_str(), operators::INDEX | operators::OPT_INDEX | operators::OPT_SELECT)
        && let [operand, index] = call.args.as_slice()
        && is_steps(operand, bound)
        && let Expr::Literal(LiteralValue::String(name)) = &index.expr
    {
        needs_.functions.insert(call.func_name.clone());
        return needs_.note_step(name.inner());
    }
    // `optional.of(x)` is a function of that name, not a call on a variable `optional`.
    let namespaced = matches!(call.target.as_deref(), Some(IdedExpr { expr: Expr::Ident(name), .. })
        if name == "optional" && !bound.contains(name));
    needs_.functions.insert(if namespaced { format!("optional.{}", call.func_name) } else { call.func_name.clone() });
    if let Some(target) = call.target.as_deref().filter(|_| !namespaced) {
        needs(target, bound, needs_);
    }
    for argument in &call.args {
        needs(argument, bound, needs_);
    }
}

fn is_steps(expr: &IdedExpr, bound: &[String]) -> bool {
    matches!(&expr.expr, Expr::Ident(name) if name == "steps" && !bound.contains(name))
}

/// Rewrites a tree so that every evaluation of it is metered.
pub(super) fn metered(mut expr: IdedExpr) -> IdedExpr {
    rewrite(&mut expr, false);
    expr
}

fn rewrite(expr: &mut IdedExpr, in_loop: bool) {
    match &mut expr.expr {
        Expr::Unspecified | Expr::Ident(_) | Expr::Literal(_) => {}
        Expr::Select(select) => rewrite(&mut select.operand, in_loop),
        Expr::List(list) => {
            for element in &mut list.elements {
                rewrite(element, in_loop);
                weigh(element);
            }
        }
        Expr::Map(map) => map.entries.iter_mut().for_each(|entry| rewrite_entry(entry, in_loop)),
        Expr::Struct(record) => record.entries.iter_mut().for_each(|entry| rewrite_entry(entry, in_loop)),
        Expr::Comprehension(comprehension) => rewrite_loop(comprehension, in_loop),
        Expr::Call(call) => {
            let grows = rewrite_call(call, in_loop);
            if grows {
                weigh(expr);
            }
        }
    }
}

fn rewrite_entry(entry: &mut IdedEntryExpr, in_loop: bool) {
    match &mut entry.expr {
        EntryExpr::StructField(field) => {
            rewrite(&mut field.value, in_loop);
            weigh(&mut field.value);
        }
        EntryExpr::MapEntry(MapEntryExpr { key, value, .. }) => {
            rewrite(key, in_loop);
            rewrite(value, in_loop);
            weigh(value);
        }
    }
}

fn rewrite_loop(comprehension: &mut ComprehensionExpr, in_loop: bool) {
    let weight = nodes(&comprehension.loop_step) + nodes(&comprehension.loop_cond);
    rewrite(&mut comprehension.iter_range, in_loop);
    rewrite(&mut comprehension.accu_init, in_loop);
    rewrite(&mut comprehension.loop_step, true);
    rewrite(&mut comprehension.result, in_loop);
    let range = std::mem::take(&mut comprehension.iter_range);
    let weight = IdedExpr { id: range.id, expr: Expr::Literal(LiteralValue::Int(weight.into())) };
    comprehension.iter_range = call(RANGE, range.id, vec![range, weight]);
}

/// Gives `matches` its other name where its pattern is not written in the expression, so that the data
/// cannot bring a pattern that is expensive.
fn name_matches(call: &mut CallExpr) {
    let is_written = |pattern: &IdedExpr| matches!(pattern.expr, Expr::Literal(LiteralValue::String(_)));
    if call.func_name != "matches" || call.args.last().is_none_or(is_written) {
        return;
    }
    call.func_name = MATCHES_DATA.to_owned();
    if let Some(target) = call.target.take() {
        call.args.insert(0, *target);
    }
}

/// Rewrites the parts of a call. Returns whether its result may be larger than its parts.
fn rewrite_call(call: &mut CallExpr, in_loop: bool) -> bool {
    name_matches(call);
    let name = call.func_name.as_str();
    // The first operand is the accumulator of a loop. The interpreter recognizes this shape and appends in place.
    if name == operators::ADD
        && let [IdedExpr { expr: Expr::Ident(first), .. }, second] = call.args.as_mut_slice()
        && first.starts_with('@')
    {
        rewrite(second, in_loop);
        return false;
    }
    let free = matches!(
        name,
        operators::CONDITIONAL
            | operators::LOGICAL_AND
            | operators::LOGICAL_OR
            | operators::LOGICAL_NOT
            | operators::NOT_STRICTLY_FALSE
            | operators::INDEX
            | operators::OPT_INDEX
            | operators::OPT_SELECT
            | operators::NEGATE
    );
    let grows = name == operators::ADD;
    // Outside loops, the length of the expression bounds how often its parts are read.
    let weighs = in_loop && !free;
    if let Some(target) = call.target.as_deref_mut()
        && !matches!(&target.expr, Expr::Ident(name) if name == "optional")
    {
        rewrite(target, in_loop);
        if weighs {
            weigh(target);
        }
    }
    for argument in &mut call.args {
        rewrite(argument, in_loop);
        if weighs {
            weigh(argument);
        }
    }
    grows
}

/// Wraps an expression in `@weigh`, unless it cannot be large.
fn weigh(expr: &mut IdedExpr) {
    let small = match &expr.expr {
        Expr::Literal(_) => true,
        Expr::Ident(name) => name.starts_with('@'),
        Expr::Call(call) => call.func_name == WEIGH,
        _ => false,
    };
    if !small {
        let inner = std::mem::take(expr);
        *expr = call(WEIGH, inner.id, vec![inner]);
    }
}

fn call(name: &str, id: u64, args: Vec<IdedExpr>) -> IdedExpr {
    IdedExpr { id, expr: Expr::Call(CallExpr { func_name: name.to_owned(), target: None, args }) }
}

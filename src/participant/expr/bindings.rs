//! The variables of one evaluation, with their names and values. JSON text is parsed only when an expression reads
//! its variable. For `steps.NAME`, only the output of that step is parsed.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::OnceLock;

use cel::common::types::{CelInt, CelMap, CelMapKey, CelNull, CelString};
use cel::common::value::{CowVal, Val};
use cel::context::VariableResolver;

use super::Fault;
use super::path::{self, Path, Segment};
use super::value::{self, Owned};
use crate::participant::reply::Reply;
use crate::participant::scope::{KEYS, Scope};
use crate::saga::Json;

/// What an expression sees: the scope of the call, and the answer to it once there is one.
pub(in crate::participant) struct View<'a> {
    scope: &'a Scope,
    reply: Option<&'a Reply>,
    cells: Cells<'a>,
}

/// Values that were parsed already.
#[derive(Default)]
struct Cells<'a> {
    input: OnceLock<Option<Owned<'a>>>,
    output: OnceLock<Option<Owned<'a>>>,
    result: OnceLock<Option<Owned<'a>>>,
    content: OnceLock<Option<Owned<'a>>>,
    meta: OnceLock<Option<Owned<'a>>>,
    error: OnceLock<Option<Owned<'a>>>,
    headers: OnceLock<Option<Owned<'a>>>,
    all_steps: OnceLock<Option<Owned<'a>>>,
    steps: Vec<OnceLock<Option<Owned<'a>>>>,
}

impl<'a> View<'a> {
    /// Makes the view of a call that is about to be made.
    pub(in crate::participant) fn from_scope(scope: &'a Scope) -> Self {
        let cells = Cells { steps: scope.steps.iter().map(|_| OnceLock::new()).collect(), ..Cells::default() };
        Self { scope, reply: None, cells }
    }

    /// Makes the view of an answer.
    pub(in crate::participant) fn of_answer(scope: &'a Scope, reply: &'a Reply) -> Self {
        Self { reply: Some(reply), ..Self::from_scope(scope) }
    }

    /// Looks up a plain path in JSON text.
    pub(super) fn find(&self, path: &Path) -> Result<Cow<'a, str>, Fault> {
        let (text, segments) = self.root(path)?;
        let Some(text) = text else {
            return Err(Fault::Missing(format!("there is no variable `{}` here", path.root)));
        };
        if segments.is_empty() {
            return Ok(text);
        }
        let wrong = |error: serde_json::Error| match bare(&error) {
            // `fault` does the same for CEL.
            message if message.starts_with("invalid type: null") => Fault::Missing("null has no fields".into()),
            message if message.starts_with("invalid type: string") => Fault::Missing("a text has no fields".into()),
            message if message.starts_with("invalid type: map") => {
                Fault::Missing("an object has fields and no positions".into())
            }
            message => Fault::Wrong(message),
        };
        let missing = || Fault::Missing(format!("`{}` has no such field or position", path.root));
        match text {
            Cow::Borrowed(text) => path::find(text, segments).map_err(wrong)?.map(Cow::Borrowed).ok_or_else(missing),
            Cow::Owned(text) => path::find(&text, segments)
                .map_err(wrong)?
                .map(|found| Cow::Owned(found.to_owned()))
                .ok_or_else(missing),
        }
    }

    /// Returns the JSON text of a path's variable, and the rest of the path.
    fn root<'p>(&self, path: &'p Path) -> Result<(Option<Cow<'a, str>>, &'p [Segment]), Fault> {
        let json = |json: &'a Json| Some(Cow::Borrowed(json.get()));
        let quoted = |text: &str| Some(Cow::Owned(serde_json::Value::from(text).to_string()));
        let scope = self.scope;
        let text = match path.root.as_str() {
            "input" => json(&scope.input),
            name if KEYS.contains(&name) => scope.key_as(name).and_then(|key| quoted(&key)),
            "saga" => quoted(&scope.saga.to_string()),
            "step" => quoted(&scope.step),
            "attempt" => Some(Cow::Owned(scope.attempt.to_string())),
            "output" => Some(Cow::Borrowed(scope.output.as_ref().map_or("null", Json::get))),
            "steps" => match path.segments.split_first() {
                Some((Segment::Field(name), rest)) => {
                    let output = scope.step_output(name);
                    let output =
                        output.ok_or_else(|| Fault::Missing(format!("the step `{name}` has no output here")))?;
                    return Ok((Some(Cow::Borrowed(output.get())), rest));
                }
                Some((Segment::Index(_), _)) => return Err(Fault::Wrong("expected the name of a step".into())),
                None => Some(Cow::Owned(self.all_steps())),
            },
            name if self.news(name).is_some() => self.news(name).map(|text| match text {
                Some(text) => Cow::Owned(serde_json::Value::from(text).to_string()),
                None => Cow::Borrowed("null"),
            }),
            name => self.reply.and_then(|reply| match name {
                "result" => json(&reply.result),
                "content" => Some(Cow::Borrowed(reply.content())),
                "meta" => Some(Cow::Borrowed(reply.meta())),
                "text" => quoted(reply.text()),
                "status" => Some(reply.status.map_or(Cow::Borrowed("null"), |status| Cow::Owned(status.to_string()))),
                "outcome" => quoted(reply.word()),
                "error" => Some(Cow::Owned(reply.error_json())),
                "headers" => Some(Cow::Owned(reply.headers_json())),
                _ => None,
            }),
        };
        Ok((text, &path.segments))
    }

    /// Returns the value of a notice's variable, which may be null; none if the notice has no such variable.
    fn news(&self, name: &str) -> Option<Option<&'a str>> {
        let news = self.scope.news.as_ref()?;
        match name {
            "definition" => Some(Some(&news.definition)),
            "status" => Some(Some(&news.status)),
            "reason" => Some(news.reason.as_deref()),
            _ => None,
        }
    }

    /// Returns one object with the outputs of all steps, as JSON text.
    fn all_steps(&self) -> String {
        let mut text = String::from("{");
        for (index, (name, output)) in self.scope.steps.iter().enumerate() {
            let comma = if index > 0 { "," } else { "" };
            text.push_str(&format!("{comma}{}:{}", serde_json::Value::from(&**name), output.get()));
        }
        text.push('}');
        text
    }

    fn value(&self, name: &str) -> Option<CowVal<'_, '_>> {
        let scope = self.scope;
        let owned = |value: Owned<'static>| Some(CowVal::Owned(value));
        match name {
            "input" => read(&self.cells.input, scope.input.get()),
            "output" => read(&self.cells.output, scope.output.as_ref().map_or("null", Json::get)),
            "key" => Some(CowVal::owned(CelString::from(scope.key.as_str()))),
            name if KEYS.contains(&name) => owned(Box::new(CelString::from(scope.key_as(name)?.into_owned()))),
            "step" => Some(CowVal::owned(CelString::from(&*scope.step))),
            "saga" => owned(Box::new(CelString::from(scope.saga.to_string()))),
            "attempt" => owned(Box::new(CelInt::from(i64::from(scope.attempt)))),
            "steps" => held(&self.cells.all_steps, || {
                let mut map: HashMap<CelMapKey<'a>, Owned<'a>> = HashMap::new();
                for (step, output) in &scope.steps {
                    map.insert(CelMapKey::from(&**step), value::from_json(output.get()).ok()?);
                }
                Some(Box::new(CelMap::from(map)))
            }),
            _ => match name.strip_prefix("steps.") {
                Some(step) => {
                    let index = scope.steps.iter().position(|(name, _)| &**name == step)?;
                    read(&self.cells.steps[index], scope.steps[index].1.get())
                }
                None => match self.news(name) {
                    Some(Some(text)) => Some(CowVal::owned(CelString::from(text))),
                    Some(None) => Some(CowVal::owned(CelNull)),
                    None => self.answer_value(self.reply?, name),
                },
            },
        }
    }

    fn answer_value(&self, reply: &'a Reply, name: &str) -> Option<CowVal<'_, '_>> {
        match name {
            "result" => read(&self.cells.result, reply.result.get()),
            "content" => read(&self.cells.content, reply.content()),
            "meta" => read(&self.cells.meta, reply.meta()),
            "text" => Some(CowVal::owned(CelString::from(reply.text()))),
            "outcome" => Some(CowVal::owned(CelString::from(reply.word()))),
            "status" => Some(match reply.status {
                Some(status) => CowVal::owned(CelInt::from(i64::from(status))),
                None => CowVal::owned(CelNull),
            }),
            "error" => held(&self.cells.error, || match &reply.error {
                Some(error) => Some(texts([("code", &*error.code), ("message", &error.message)])),
                None => Some(Box::new(CelNull)),
            }),
            "headers" => held(&self.cells.headers, || {
                Some(texts(reply.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()))))
            }),
            _ => None,
        }
    }
}

impl VariableResolver for View<'_> {
    fn resolve<'b>(&'b self, name: &str) -> Option<CowVal<'b, 'b>> {
        self.value(name)
    }
}

/// Returns the value of a cell. Parses it from JSON text the first time.
fn read<'b, 'a: 'b>(cell: &'b OnceLock<Option<Owned<'a>>>, text: &'a str) -> Option<CowVal<'b, 'b>> {
    held(cell, || value::from_json(text).ok())
}

fn held<'b, 'a: 'b>(
    cell: &'b OnceLock<Option<Owned<'a>>>,
    make: impl FnOnce() -> Option<Owned<'a>>,
) -> Option<CowVal<'b, 'b>> {
    let value: &'b (dyn Val + 'b) = cell.get_or_init(make).as_deref()?;
    Some(CowVal::Borrowed(value))
}

/// Makes a map of texts.
fn texts<'a>(entries: impl IntoIterator<Item = (&'a str, &'a str)>) -> Owned<'a> {
    let entry =
        |(name, text)| -> (CelMapKey<'a>, Owned<'a>) { (CelMapKey::from(name), Box::new(CelString::from(text))) };
    Box::new(CelMap::from(entries.into_iter().map(entry).collect::<HashMap<_, _>>()))
}

/// Returns the message of a decoding error without its position, which means nothing to the reader.
fn bare(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.rsplit_once(" at line ") {
        Some((message, _)) => message.to_owned(),
        None => text,
    }
}
